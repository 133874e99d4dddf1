//! What a person sees of a load, and what is asked before one.

use std::fmt::Write as _;
use std::fs;

use serde_json::Value;
use testkit::sim::TestSim;

use crate::harness::Shell;

const PEOPLE: &str = "Ext_Id__c,LastName,Email,shoe size\n\
    a1,Lovelace,ada@example.com,7\n\
    a2,Hopper,grace@@example,8\n";
const LOAD: [&str; 5] = [
    "load",
    "people.csv",
    "--object",
    "Contact",
    "--ignore-unknown",
];

/// A load of people, with more words.
fn load<'a>(more: &[&'a str]) -> Vec<&'a str> {
    LOAD.iter().chain(more).copied().collect()
}

async fn desk() -> (TestSim, Shell) {
    let sim = TestSim::start().await;
    let shell = Shell::of(&sim);
    shell.file("people.csv", PEOPLE);
    (sim, shell)
}

#[tokio::test]
async fn a_program_reads_an_object_a_line() {
    let (_sim, shell) = desk().await;
    let ended = shell.run(&load(&["--json"])).await.with_code(3);
    assert_eq!(ended.stderr, "");
    let lines = ended.stdout.lines();
    let lines: Vec<Value> = lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let types: Vec<&str> = lines
        .iter()
        .map(|line| line["type"].as_str().unwrap())
        .collect();
    assert_eq!(types.iter().filter(|kind| **kind != "found").count(), 2);
    let ignored = |line: &&Value| {
        line["text"]
            .as_str()
            .is_some_and(|t| t.contains("shoe size"))
    };
    assert!(lines.iter().any(|line| ignored(&line)), "{lines:?}");
    let [.., started, finished] = lines.as_slice() else {
        panic!("{lines:?}");
    };
    assert_eq!(started["type"], "started");
    assert_eq!(started["run"], finished["run"]);
    assert_eq!(finished["type"], "finished");
    assert_eq!(finished["state"], "finished");
    assert_eq!([&finished["accepted"], &finished["rejected"]], [1, 1]);
    let reason = &finished["reasons"][0];
    assert_eq!(reason["code"], "INVALID_EMAIL_ADDRESS");
    assert_eq!(reason["fields"][0], "Email");
    let rejects = finished["rejects"].as_str().unwrap();
    assert_eq!(fs::read_dir(rejects).unwrap().count(), 1);
}

#[tokio::test]
async fn a_person_reads_the_reasons_and_what_to_type_next() {
    let (_sim, shell) = desk().await;
    let ended = shell.run(&load(&[])).await.with_code(3);
    assert!(
        ended.stderr.contains("column shoe size is left out"),
        "{}",
        ended.stderr
    );
    assert!(
        ended
            .stdout
            .starts_with("Contact: 2 read, 1 accepted, 1 rejected; 1 job, ")
    );
    assert!(
        ended.stdout.contains("INVALID_EMAIL_ADDRESS"),
        "{}",
        ended.stdout
    );
    // Values of records are shown on terminals alone.
    assert!(!ended.stdout.contains("grace"), "{}", ended.stdout);
    let run = shell.runs()[0]["id"].as_str().unwrap().to_owned();
    let next = format!("Next: arrow-salesforce rejects {run}\n");
    assert!(ended.stdout.ends_with(&next), "{}", ended.stdout);
    assert!(!ended.stdout.contains('\u{1b}'), "there is no terminal");
    let quiet = shell.run(&load(&["--quiet"])).await.with_code(3);
    assert_eq!(quiet.stderr, "");
}

#[tokio::test]
async fn a_share_of_rejected_records_counts_in_a_small_load_too() {
    let (_sim, shell) = desk().await;
    let half = shell.run(&load(&["--max-rejected", "50%"])).await;
    half.with_code(3);
    let more = shell
        .run(&load(&["--max-rejected", "49%"]))
        .await
        .with_code(4);
    let why = "2 of 2 records were rejected, and --max-rejected allows 49%";
    assert!(more.stderr.contains(why), "{}", more.stderr);
}

#[tokio::test]
async fn a_session_that_is_there_is_enough() {
    let (sim, shell) = desk().await;
    let token = sim.session().await;
    let shell = shell
        .with("ARROW_SALESFORCE_CONFIG", "")
        .with("SF_ACCESS_TOKEN", &token)
        .with("SF_INSTANCE_URL", sim.url());
    shell.run(&load(&[])).await.with_code(3);
    assert_eq!(shell.runs()[0]["org"], "00D5g0000000000EAA");
    assert_eq!(sim.rows("Contact").await.len(), 1);
}

/// Newer versions of sf show the token by a command of its own.
#[cfg(unix)]
#[tokio::test]
async fn the_sf_command_line_lends_its_session() {
    use std::os::unix::fs::PermissionsExt as _;
    let (sim, shell) = desk().await;
    let token = sim.session().await;
    for (shown, of_its_own) in [(token.as_str(), ""), ("[REDACTED] see elsewhere", &token)] {
        let script = format!(
            "#!/bin/sh\ncase \"$*\" in\n\
             'org display --target-org dev --json') echo '{{\"status\":0,\"result\":\
             {{\"accessToken\":\"{shown}\",\"instanceUrl\":\"{url}\"}}}}';;\n\
             'org auth show-access-token --target-org dev --json') echo \
             '{{\"status\":0,\"result\":{{\"accessToken\":\"{of_its_own}\"}}}}';;\n\
             *) echo '{{\"status\":1,\"message\":\"No authorization information found.\"}}'; exit 1;;\n\
             esac\n",
            url = sim.url()
        );
        let sf = shell.file("bin/sf", script);
        fs::set_permissions(&sf, fs::Permissions::from_mode(0o755)).unwrap();
        let path = format!("{}:/bin:/usr/bin", sf.parent().unwrap().display());
        let shell = Shell::without_org().with("PATH", &path);
        shell.file("people.csv", PEOPLE);
        shell.run(&load(&["--from-sf", "dev"])).await.with_code(3);
        let unknown = shell.run(&load(&["--from-sf", "other"])).await.with_code(1);
        assert!(
            unknown
                .stderr
                .contains("No authorization information found.")
        );
        assert!(!unknown.stderr.contains(&token));
    }
}

#[tokio::test]
async fn many_changes_and_each_delete_are_asked_for() {
    let (sim, shell) = desk().await;
    let mut csv = "Ext_Id__c,LastName\n".to_owned();
    for row in 0..120 {
        writeln!(csv, "b{row},Person {row}").unwrap();
    }
    sim.insert("Contact", &csv).await;
    shell.file("again.csv", csv.replace("Person", "People"));
    let again = [
        "load",
        "again.csv",
        "--object",
        "Contact",
        "--upsert",
        "Ext_Id__c",
    ];
    let asked = shell.run(&again).await.with_code(2);
    let what =
        "this will change up to 120 of 120 records of Contact in the production org 127.0.0.1";
    assert!(asked.stderr.contains(what), "{}", asked.stderr);
    assert!(
        shell.runs().is_empty(),
        "a load that was not allowed is no run"
    );
    let jobs = sim.jobs().await.len();
    let confirmed: Vec<&str> = again.into_iter().chain(["--yes"]).collect();
    shell.run(&confirmed).await.with_code(0);
    assert!(sim.jobs().await.len() > jobs);
    let id = sim.column("Contact", "Id").await.remove(0);
    shell.file("gone.csv", format!("Id,LastName\n{id},whoever\n"));
    let gone = ["load", "gone.csv", "--object", "Contact", "--delete"];
    shell.run(&gone).await.with_code(2);
    let gone: Vec<&str> = gone.into_iter().chain(["--yes"]).collect();
    shell.run(&gone).await.with_code(0);
    assert_eq!(sim.rows("Contact").await.len(), 119);
}

#[tokio::test]
async fn runs_are_listed_and_deleted_with_all_they_keep() {
    let (_sim, shell) = desk().await;
    shell.run(&load(&[])).await.with_code(3);
    let run = shell.runs()[0]["id"].as_str().unwrap().to_owned();
    let list = shell.run(&["runs"]).await.with_code(0);
    assert!(list.stdout.contains(&run), "{}", list.stdout);
    let list = shell.run(&["runs", "--json"]).await.with_code(0);
    let line: Value = serde_json::from_str(list.stdout.trim()).unwrap();
    assert_eq!(line["counts"]["rejected"], 1);
    let kept = shell.run(&["runs", "prune", "--older-than", "1d"]).await;
    assert_eq!(kept.with_code(0).stdout, "no run is older than 1d\n");
    let pruned = shell
        .run(&["runs", "prune", "--older-than", "0d", "--yes"])
        .await;
    assert_eq!(pruned.with_code(0).stdout, "1 run deleted\n");
    let runs = shell.path().join(".local/share/arrow-salesforce/runs");
    assert!(!runs.join(run).exists());
    assert!(shell.runs().is_empty());
}

#[tokio::test]
async fn shells_and_manuals_know_the_commands() {
    let shell = Shell::without_org();
    for name in ["bash", "zsh", "fish"] {
        let script = shell.run(&["completions", name]).await.with_code(0).stdout;
        assert!(script.contains("older-than"), "{name}");
    }
    let page = shell.run(&["man"]).await.with_code(0).stdout;
    assert!(page.contains(".TH arrow-salesforce 1"), "{page}");
    let version = shell.run(&["--version"]).await.with_code(0).stdout;
    assert!(version.starts_with(concat!("arrow-salesforce ", env!("CARGO_PKG_VERSION"))));
    assert!(version.contains("Parquet"), "{version}");
}
