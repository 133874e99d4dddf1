//! A load that is killed goes on where it stopped: no row is lost, and none is loaded twice.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::time::Duration;

use serde_json::{Value, json};
use testkit::sim::TestSim;
use tokio::io::AsyncWriteExt as _;

use crate::harness::{Ended, Shell, ended};

const ROWS: usize = 6_000;
/// Kills of a load, at moments drawn at random; then it may end.
const KILLS: usize = 3;

/// Contacts of whom some are equal, and every fiftieth has no last name.
fn contacts() -> String {
    let mut csv = "LastName,Email\n".to_owned();
    for row in 0..ROWS {
        let person = row % (ROWS - 40);
        let name = match row % 50 {
            7 => String::new(),
            _ => format!("Last {person}"),
        };
        writeln!(csv, "{name},{person}@example.com").unwrap();
    }
    csv
}

fn counted(values: impl IntoIterator<Item = String>) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for value in values {
        *counts.entry(value).or_default() += 1;
    }
    counts
}

/// Kills the command at a moment within `most`, unless it ends before.
async fn killed(shell: &Shell, arguments: &[&str], most: Duration) -> Option<Ended> {
    let mut child = shell.start(arguments);
    let moment = most.mul_f64(fastrand::f64());
    if tokio::time::timeout(moment, child.wait()).await.is_ok() {
        return Some(ended(child).await);
    }
    child.kill().await.unwrap();
    None
}

/// Loads with these arguments, is killed some times, and goes on.
async fn killed_and_resumed(arguments: &[&str]) -> (TestSim, Shell) {
    let sim = TestSim::with_job_time(Duration::from_millis(100)).await;
    let shell = Shell::of(&sim);
    shell.file("contacts.csv", contacts());
    let load = [
        &[
            "load",
            "contacts.csv",
            "--object",
            "Contact",
            "--max-job-rows",
            "700",
        ],
        arguments,
    ]
    .concat();
    let resume = ["resume", "last"];
    let mut last = None;
    for _ in 0..KILLS {
        let command = match shell.runs().first() {
            None => load.as_slice(),
            Some(run) if run["state"] == "finished" => break,
            Some(_) => &resume,
        };
        last = killed(&shell, command, Duration::from_millis(2_500)).await;
        if last.is_some() {
            break;
        }
    }
    let last = match last {
        Some(last) => Some(last),
        None if shell.runs().is_empty() => Some(shell.run(&load).await),
        // It may have ended in the moment of the kill.
        None if shell.runs()[0]["state"] == "finished" => None,
        None => Some(shell.run(&resume).await),
    };
    if let Some(last) = last {
        last.with_code(3);
    }
    (sim, shell)
}

async fn nothing_is_lost_or_doubled(arguments: &[&str]) {
    let (sim, shell) = killed_and_resumed(arguments).await;
    let expected = counted(contacts().lines().skip(1).filter_map(|line| {
        let (name, _) = line.split_once(',').unwrap();
        (!name.is_empty()).then(|| name.to_owned())
    }));
    assert_eq!(counted(sim.column("Contact", "LastName").await), expected);
    let run = shell.runs().pop().unwrap();
    assert_eq!(run["state"], "finished");
    let accepted: usize = expected.values().sum();
    assert_eq!(run["counts"]["read"], json!(ROWS));
    assert_eq!(run["counts"]["accepted"], json!(accepted));
    assert_eq!(run["counts"]["rejected"], json!(ROWS - accepted));
    // There is nothing left to do.
    let again = shell.run(&["resume", "last"]).await.with_code(2);
    assert!(again.stderr.contains("has finished"), "{}", again.stderr);
}

#[tokio::test]
async fn files_go_on_by_position() {
    nothing_is_lost_or_doubled(&[]).await;
}

#[tokio::test]
async fn queries_go_on_by_what_was_accepted() {
    nothing_is_lost_or_doubled(&["--sql", "SELECT LastName, Email FROM input"]).await;
}

#[tokio::test]
async fn kept_rows_go_on_by_position() {
    let sql = "SELECT LastName, Email FROM input WHERE random() >= 0";
    nothing_is_lost_or_doubled(&["--materialize", "--sql", sql]).await;
}

#[tokio::test]
async fn a_sample_is_loaded_and_then_the_rest() {
    let sim = TestSim::start().await;
    let shell = Shell::of(&sim);
    shell.file("contacts.csv", contacts());
    let load = [
        "load",
        "contacts.csv",
        "--object",
        "Contact",
        "--sample",
        "100",
    ];
    shell.run(&load).await.with_code(3);
    assert_eq!(sim.column("Contact", "Email").await.len(), 98);
    assert_eq!(shell.runs()[0]["state"], "stopped");
    // From wherever it is typed.
    let resume = [
        "-c",
        "cd / && exec \"$0\" resume last",
        env!("CARGO_BIN_EXE_arrow-salesforce"),
    ];
    shell.run_program("sh", &resume).await.with_code(3);
    let run: Value = shell.runs().remove(0);
    assert_eq!(run["state"], "finished");
    assert_eq!(run["attempts"][1]["from"], json!(100));
    assert_eq!(sim.column("Contact", "Email").await.len(), ROWS - ROWS / 50);
}

#[tokio::test]
async fn changed_files_are_refused() {
    let sim = TestSim::start().await;
    let shell = Shell::of(&sim);
    shell.file("contacts.csv", contacts());
    let load = [
        "load",
        "contacts.csv",
        "--object",
        "Contact",
        "--sample",
        "1",
    ];
    shell.run(&load).await.with_code(0);
    shell.file("contacts.csv", contacts() + "Last x,x@example.com\n");
    let refused = shell.run(&["resume", "last"]).await.with_code(2);
    assert!(
        refused.stderr.contains("contacts.csv had"),
        "{}",
        refused.stderr
    );
    assert_eq!(sim.column("Contact", "Email").await.len(), 1);
}

#[tokio::test]
async fn a_query_of_the_moment_is_not_resumed() {
    let sim = TestSim::start().await;
    let shell = Shell::of(&sim);
    shell.file("contacts.csv", contacts());
    let sql = "SELECT LastName, Email FROM input ORDER BY random()";
    let load = [
        "load",
        "contacts.csv",
        "--object",
        "Contact",
        "--sample",
        "1",
        "--sql",
        sql,
    ];
    shell.run(&load).await;
    let refused = shell.run(&["resume", "last"]).await.with_code(2);
    assert!(
        refused.stderr.contains("--materialize"),
        "{}",
        refused.stderr
    );
}

#[tokio::test]
async fn deletes_go_on_though_records_are_gone() {
    let sim = TestSim::with_job_time(Duration::from_millis(200)).await;
    let shell = Shell::of(&sim);
    shell.file("contacts.csv", contacts());
    shell
        .run(&["load", "contacts.csv", "--object", "Contact"])
        .await
        .with_code(3);
    let ids = sim.column("Contact", "Id").await;
    shell.file("ids.csv", format!("Id\n{}\n", ids.join("\n")));
    let load = [
        "load",
        "ids.csv",
        "--object",
        "Contact",
        "--delete",
        "--yes",
        "--max-job-rows",
        "700",
    ];
    for _ in 0..KILLS {
        let command = match shell.runs().len() {
            1 => load.as_slice(),
            _ => &["resume", "last", "--yes"],
        };
        if killed(&shell, command, Duration::from_millis(2_500))
            .await
            .is_some()
        {
            break;
        }
    }
    if shell.runs().len() == 1 {
        shell.run(&load).await.with_code(0);
    } else if shell.runs()[1]["state"] != "finished" {
        shell.run(&["resume", "last", "--yes"]).await.with_code(0);
    }
    assert!(sim.column("Contact", "Id").await.is_empty());
    assert_eq!(shell.runs()[1]["counts"]["accepted"], json!(ids.len()));
}

#[tokio::test]
async fn nothing_is_kept_of_a_load_that_ends_before_it_begins() {
    let sim = TestSim::start().await;
    let shell = Shell::of(&sim);
    let load = ["load", "-", "--format", "csv", "--object", "Contact"];
    let mut child = shell.start_open(&load);
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"LastName\nNg\n").await.unwrap();
    let runs = shell.path().join(".local/share/arrow-salesforce/runs");
    let kept = || fs::read_dir(&runs).map_or(0, Iterator::count);
    let begun = async {
        while kept() == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), begun)
        .await
        .unwrap();
    let id = child.id().unwrap().to_string();
    let sent = tokio::process::Command::new("kill")
        .args(["-INT", &id])
        .status();
    assert!(sent.await.unwrap().success());
    let ended = ended(child).await.with_code(1);
    assert!(
        ended.stderr.contains("before anything was done"),
        "{}",
        ended.stderr
    );
    assert_eq!(kept(), 0);
    drop(stdin);
}
