//! A load is taken back: the org is as it was, but for what others have changed since.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};

use crate::desk::Desk;

const CONTACT: &[&str] = &[
    "Ext_Id__c",
    "LastName",
    "Title",
    "Birthdate",
    "AccountId",
    "HasOptedOutOfEmail",
];

/// The Ids of contacts by their key.
async fn ids(desk: &Desk) -> std::collections::BTreeMap<String, String> {
    let rows = desk.rows("Contact", &["Ext_Id__c", "Id"]).await;
    rows.into_iter()
        .map(|row| (row[0].clone(), row[1].clone()))
        .collect()
}

async fn load(desk: &Desk, file: &str, content: &str, flags: &str) {
    desk.write(file, content);
    desk.run(&format!("load {file} --object Contact --yes {flags}"))
        .await
        .with_code(0);
}

#[tokio::test]
async fn inserts_are_deleted_but_for_those_that_others_changed() {
    let desk = Desk::new().await;
    load(&desk, "old.csv", "Ext_Id__c,LastName\nold,Old\n", "").await;
    let before = desk.rows("Contact", CONTACT).await;
    let mut csv = "Ext_Id__c,LastName,Title,Birthdate\n".to_owned();
    for row in 0..50 {
        writeln!(csv, "{row},Last {row},\"Head, of {row}\",2001-02-03").unwrap();
    }
    load(&desk, "new.csv", &csv, "").await;
    let run = desk.last_run();
    let changes = "Ext_Id__c,Title\n7,Chief\n";
    load(&desk, "since.csv", changes, "--upsert Ext_Id__c").await;

    let asked = desk.run(&format!("undo {run} --dry-run")).await;
    let asked = asked.with_code(3);
    let shown = asked.stderr.replace(&run, "RUN");
    let shown = shown.replace(&desk.path("").display().to_string(), "HERE/");
    insta::assert_snapshot!(shown, @r"
    the records are read by 50 keys in lists, with about 1 call
    1 record has changed since the run: these fields are left alone
    changed since: Title (1)
    they are listed in HERE/runs/RUN/conflicts.csv
    this will delete 49 records of Contact in the production org 127.0.0.1
    ");
    assert_eq!(desk.rows("Contact", &["Id"]).await.len(), 51);

    desk.run(&format!("undo {run}")).await.with_code(2);
    desk.run(&format!("undo {run} --yes")).await.with_code(3);
    let left = desk.rows("Contact", CONTACT).await;
    let kept = ["7", "Last 7", "Chief", "2001-02-03", "", ""];
    let mut expected = before;
    expected.push(kept.map(str::to_owned).to_vec());
    expected.sort();
    assert_eq!(left, expected);
    let conflicts = desk.read(&format!("runs/{run}/conflicts.csv"));
    let id = &ids(&desk).await["7"];
    assert_eq!(
        conflicts,
        format!("Id,key,field,before,sent,now\n{id},,Title,,\"Head, of 7\",Chief\n")
    );
    // What is left is taken back where that is asked for.
    let all = format!("undo {run} --yes --overwrite");
    desk.run(&all).await.with_code(0);
    assert_eq!(desk.rows("Contact", &["Ext_Id__c"]).await, [["old"]]);
    desk.run(&all).await.with_code(0);
}

#[tokio::test]
async fn upserts_get_their_former_values_back() {
    let desk = Desk::new().await;
    desk.org
        .insert("Account", "Name,Ext_Id__c\nOne,a1\nTwo,a2\n")
        .await;
    let accounts = desk.rows("Account", &["Ext_Id__c", "Id"]).await;
    let first = &accounts[0][1];
    let old = format!(
        "Ext_Id__c,LastName,Title,Birthdate,AccountId,HasOptedOutOfEmail\n\
         1,Ng,\"a \"\"b\"\", c\",1999-12-31,{first},true\n\
         2,Ek,,,,false\n\
         3,Ly,Boss,2000-01-01,,true\n\
         4,Bo,Same,2000-01-01,,false\n\
         5,Xu,Old,2000-01-01,,false\n"
    );
    load(&desk, "old.csv", &old, "").await;
    let before = desk.rows("Contact", CONTACT).await;
    let new = "Ext_Id__c,LastName,Title,Birthdate,Account.Ext_Id__c,HasOptedOutOfEmail\n\
               1,New,Titled,2011-11-11,a2,false\n\
               2,New,Titled,2011-11-11,a2,true\n\
               3,New,,,,false\n\
               4,Bo,Same,2000-01-01,,false\n\
               5,New,Titled,2011-11-11,,false\n\
               6,Created,,,a1,true\n\
               7,Created,Titled,,,false\n";
    load(
        &desk,
        "new.csv",
        new,
        "--upsert Ext_Id__c --nulls clear --snapshot",
    )
    .await;
    let run = desk.last_run();
    assert_eq!(desk.rows("Contact", &["Id"]).await.len(), 7);
    let since = "Ext_Id__c,Title\n5,Mine\n7,Mine\n";
    load(&desk, "since.csv", since, "--upsert Ext_Id__c").await;

    desk.run(&format!("undo {run} --yes")).await.with_code(3);
    let mut expected = before;
    for row in &mut expected {
        if row[0] == "5" {
            row[2] = "Mine".to_owned();
        }
    }
    let kept = ["7", "Created", "Mine", "", "", "false"];
    expected.push(kept.map(str::to_owned).to_vec());
    expected.sort();
    assert_eq!(desk.rows("Contact", CONTACT).await, expected);
    let conflicts = desk.read(&format!("runs/{run}/conflicts.csv"));
    let ids = ids(&desk).await;
    let lines: Vec<&str> = conflicts.lines().skip(1).collect();
    assert_eq!(
        lines,
        [
            format!("{},5,Title,Old,Titled,Mine", ids["5"]),
            format!("{},7,Title,,Titled,Mine", ids["7"]),
        ]
    );
    // Taking it back is two runs with receipts of their own.
    let runs: Vec<Value> = desk
        .run("runs --json")
        .await
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let of: Vec<&Value> = runs
        .iter()
        .filter(|one| one["undo_of"] == run.as_str())
        .collect();
    assert_eq!(of.len(), 2);
    assert!(of.iter().all(|one| one["state"] == "finished"));
}

/// Kills of an undo, at moments drawn at random; then it may end.
const KILLS: usize = 4;

#[tokio::test]
async fn what_is_killed_is_gone_on_with() {
    let desk = Desk::new().await;
    let rows = |range: std::ops::Range<usize>, title: &str| {
        let mut csv = "Ext_Id__c,LastName,Title\n".to_owned();
        for row in range {
            writeln!(csv, "{row},Last {row},{title} {row}").unwrap();
        }
        csv
    };
    desk.org.insert("Contact", &rows(0..1_500, "Old")).await;
    let before = desk.rows("Contact", CONTACT).await;
    let flags = "--upsert Ext_Id__c --snapshot --max-job-rows 400";
    load(&desk, "new.csv", &rows(500..2_500, "New"), flags).await;
    let run = desk.last_run();
    assert_eq!(desk.rows("Contact", &["Id"]).await.len(), 2_500);
    for kill in 0..KILLS {
        let command = match kill % 2 {
            0 => format!("undo {run} --yes"),
            _ => format!("resume {} --yes", desk.last_run()),
        };
        let time = Duration::from_secs(3).mul_f64(fastrand::f64());
        desk.kill_after(&command, time).await;
    }
    desk.run(&format!("undo {run} --yes")).await.with_code(0);
    assert_eq!(desk.rows("Contact", CONTACT).await, before);
}

#[tokio::test]
async fn updates_get_their_former_values_back() {
    let desk = Desk::new().await;
    load(
        &desk,
        "old.csv",
        "Ext_Id__c,LastName,Title\n1,Ng,Boss\n2,Ek,\n",
        "",
    )
    .await;
    let before = desk.rows("Contact", CONTACT).await;
    let ids = ids(&desk).await;
    let new = format!("Id,Title\n{},A\n{},B\n", ids["1"], ids["2"]);
    load(&desk, "new.csv", &new, "--update --snapshot").await;
    assert_ne!(desk.rows("Contact", CONTACT).await, before);
    desk.run("undo last --yes").await.with_code(0);
    assert_eq!(desk.rows("Contact", CONTACT).await, before);
}

#[tokio::test]
async fn keys_get_their_letters_back() {
    let desk = Desk::new().await;
    let file = |key: &str, name: &str| format!("Ext_Id__c,LastName\n{key},{name}\n");
    load(&desk, "old.csv", &file("aB", "Ng"), "").await;
    let before = desk.rows("Contact", CONTACT).await;
    let flags = "--upsert Ext_Id__c --snapshot";
    load(&desk, "new.csv", &file("Ab", "New"), flags).await;
    assert_eq!(desk.rows("Contact", &["Ext_Id__c"]).await, [["Ab"]]);
    desk.run("undo last --yes").await.with_code(0);
    assert_eq!(desk.rows("Contact", CONTACT).await, before);
}

#[tokio::test]
async fn what_merged_rows_have_written_comes_back() {
    let desk = Desk::new().await;
    load(&desk, "old.csv", "Ext_Id__c,LastName,Title\n1,Ng,Old\n", "").await;
    let before = desk.rows("Contact", CONTACT).await;
    // The title is of the first row, and the receipt of the second.
    let rows = "Ext_Id__c,LastName,Title\n1,A,First\n1,B,\n";
    load(&desk, "new.csv", rows, "--upsert Ext_Id__c --snapshot").await;
    let written = desk.rows("Contact", &["LastName", "Title"]).await;
    assert_eq!(written, [["B", "First"]]);
    desk.run("undo last --yes").await.with_code(0);
    assert_eq!(desk.rows("Contact", CONTACT).await, before);
}

#[tokio::test]
async fn what_a_failed_run_may_have_written_is_said() {
    let desk = Desk::new().await;
    desk.write("new.csv", "LastName\nNg\nEk\n");
    let refused = json!({"api_error": {"status": 403, "code": "API_DISABLED_FOR_ORG"}});
    desk.org
        .fault(&json!({"calls": ["poll"], "times": 0, "do": refused}))
        .await;
    desk.run("load new.csv --object Contact").await.with_code(1);
    desk.org.clear_faults().await;
    let run = desk.last_run();
    assert_eq!(desk.rows("Contact", &["Id"]).await.len(), 2);
    let undo = format!("undo {run} --yes");
    let ended = desk.run(&undo).await.with_code(3);
    insta::assert_snapshot!(ended.stderr.replace(&run, "RUN"), @r"
    the records are read by 0 keys in lists, with about 0 calls
    the run ended before it knew what became of all that it had sent, so there may be records of it without a receipt, which are left alone: go on with it by `resume`, and take it back again
    nothing else of the run RUN can be taken back
    ");
    desk.run(&format!("resume {run}")).await.with_code(0);
    desk.run(&undo).await.with_code(0);
    assert!(desk.rows("Contact", &["Id"]).await.is_empty());
}

#[tokio::test]
async fn a_damaged_snapshot_takes_nothing_back() {
    let desk = Desk::new().await;
    let file = |name: &str| format!("Ext_Id__c,LastName\n1,{name}\n");
    load(&desk, "old.csv", &file("Ng"), "").await;
    load(
        &desk,
        "new.csv",
        &file("Ek"),
        "--upsert Ext_Id__c --snapshot",
    )
    .await;
    let run = desk.last_run();
    desk.write(&format!("runs/{run}/snapshot.parquet"), "");
    let ended = desk.run("undo last --yes").await.with_code(1);
    let words = "cannot be read as former values";
    assert!(ended.stderr.contains(words), "{}", ended.stderr);
    assert_eq!(desk.rows("Contact", &["LastName"]).await, [["Ek"]]);
}

#[tokio::test]
async fn a_snapshot_needs_rows_that_stay() {
    let desk = Desk::new().await;
    desk.write("new.csv", "k\n1\n");
    let load = "load new.csv --object Contact --upsert Ext_Id__c --snapshot --yes --sql";
    let query = "select k as \"Ext_Id__c\", cast(random() as varchar) as \"LastName\" from input";
    let mut arguments: Vec<&str> = load.split(' ').collect();
    arguments.push(query);
    let ended = desk.run_args(&arguments).await.with_code(2);
    assert!(
        ended.stderr.contains("add --materialize"),
        "{}",
        ended.stderr
    );
    assert!(desk.rows("Contact", &["Id"]).await.is_empty());
}

#[tokio::test]
async fn runs_that_cannot_be_taken_back_say_why() {
    let desk = Desk::new().await;
    load(&desk, "old.csv", "Ext_Id__c,LastName\n1,Ng\n", "").await;
    load(
        &desk,
        "new.csv",
        "Ext_Id__c,Title\n1,A\n",
        "--upsert Ext_Id__c",
    )
    .await;
    let run = desk.last_run();
    let ended = desk.run(&format!("undo {run} --yes")).await.with_code(2);
    insta::assert_snapshot!(ended.stderr.replace(&run, "RUN"), @"error: the run RUN has changed records, and kept no former values that could be restored: load with --snapshot, and it can be taken back");
    let ids = ids(&desk).await;
    load(
        &desk,
        "gone.csv",
        &format!("Id\n{}\n", ids["1"]),
        "--delete",
    )
    .await;
    let run = desk.last_run();
    let ended = desk.run(&format!("undo {run} --yes")).await.with_code(2);
    insta::assert_snapshot!(ended.stderr.replace(&run, "RUN"), @"error: the run RUN has deleted records, which cannot be taken back: look for them in the recycle bin of the org, where they stay for some days");
    desk.write("new.csv", "Ext_Id__c,LastName\n3,Lu\n");
    let ended = desk
        .run("load new.csv --object Contact --no-receipts")
        .await
        .with_code(0);
    drop(ended);
    let run = desk.last_run();
    let ended = desk.run(&format!("undo {run} --yes")).await;
    insta::assert_snapshot!(ended.stderr.replace(&run, "RUN"), @"error: the run RUN has no receipts: it was loaded with --no-receipts, or they were deleted. What it has sent cannot be known");
}
