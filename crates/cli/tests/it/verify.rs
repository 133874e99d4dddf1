//! What a run has sent, compared with what its org has now.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use serde_json::Value;

use super::desk::Desk;

const CONTACTS: usize = 1_000;

/// A run that has loaded contacts by their key.
async fn loaded() -> (Desk, String) {
    let desk = Desk::new().await;
    let mut csv = "Ext_Id__c,LastName,Email,Birthdate,DoNotCall,Title\n".to_owned();
    for row in 0..CONTACTS {
        let title = if row % 2 == 0 { "Dr" } else { "" };
        writeln!(
            csv,
            "K{row}, Name {row} ,Person{row}@Example.com,1980-01-0{},yes,{title}",
            row % 9 + 1
        )
        .unwrap();
    }
    desk.write("contacts.csv", csv);
    desk.run("load contacts.csv --object Contact --upsert Ext_Id__c")
        .await
        .with_code(0);
    let run = desk.last_run();
    (desk, run)
}

/// The lines of a file of differences, without its Ids: `key kind field sent now`.
fn differences(csv: &str) -> BTreeSet<String> {
    let lines = csv.lines().skip(1);
    let lines = lines.map(|line| line.split_once(',').unwrap().1.replace(',', " "));
    lines.collect()
}

#[tokio::test]
async fn each_planted_difference_is_found_and_nothing_else() {
    let (desk, run) = loaded().await;
    let verify = format!("verify {run} --json");
    let ended = desk.run(&verify).await.with_code(0);
    let report: Value = serde_json::from_str(ended.stdout.lines().last().unwrap()).unwrap();
    assert_eq!(report["equal"], CONTACTS, "{report}");
    assert_eq!(
        desk.read(&format!("runs/{run}/differences.csv"))
            .lines()
            .count(),
        1
    );

    // Moments are whole seconds.
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    let mut planted = BTreeSet::new();
    let mut changed = "Ext_Id__c,LastName,Title,DoNotCall\n".to_owned();
    for row in 100..120 {
        writeln!(changed, "K{row},Other {row},,").unwrap();
        planted.insert(format!("K{row} changed LastName  Name {row}  Other {row}"));
    }
    for row in 200..210 {
        // Of every second nothing was sent.
        writeln!(changed, "K{row},,Prof,").unwrap();
        if row % 2 == 0 {
            planted.insert(format!("K{row} changed Title Dr Prof"));
        }
    }
    for row in 300..305 {
        writeln!(changed, "K{row},,,0").unwrap();
        planted.insert(format!("K{row} changed DoNotCall true false"));
    }
    desk.write("changed.csv", changed);
    let load = "load changed.csv --object Contact --upsert Ext_Id__c";
    desk.run(load).await.with_code(0);
    desk.write(
        "cleared.jsonl",
        (400..410)
            .map(|row| {
                planted.insert(format!(
                    "K{row} changed Birthdate 1980-01-0{} ",
                    row % 9 + 1
                ));
                format!("{{\"Ext_Id__c\":\"K{row}\",\"Birthdate\":null}}\n")
            })
            .collect::<String>(),
    );
    let load = "load cleared.jsonl --object Contact --upsert Ext_Id__c --nulls clear";
    desk.run(load).await.with_code(0);
    let mut gone = "Id\n".to_owned();
    for contact in desk.org.rows("Contact").await {
        let key = contact["Ext_Id__c"].as_str().unwrap();
        if ("K500".."K510").contains(&key) && key.len() == 4 {
            writeln!(gone, "{}", contact["Id"].as_str().unwrap()).unwrap();
            planted.insert(format!("{key} gone   "));
        }
    }
    desk.write("gone.csv", gone);
    desk.run("load gone.csv --object Contact --delete --yes")
        .await
        .with_code(0);
    assert_eq!(planted.len(), 50);

    let ended = desk
        .run(&format!("{verify} -o found.csv"))
        .await
        .with_code(3);
    assert_eq!(differences(&desk.read("found.csv")), planted);
    let report: Value = serde_json::from_str(ended.stdout.lines().last().unwrap()).unwrap();
    for (key, expected) in [
        ("records", CONTACTS),
        ("equal", CONTACTS - 50),
        ("different", 40),
        ("gone", 10),
        ("not_compared", 0),
    ] {
        assert_eq!(report[key], expected, "{key}: {report}");
    }
    // What ran in between is compared as well: its deletes are done.
    let last = desk.run("verify last").await.with_code(0);
    assert!(
        last.stdout.contains("10 records, 10 as sent"),
        "{}",
        last.stdout
    );
}

#[tokio::test]
async fn many_records_are_read_by_one_query_and_lookups_by_their_path() {
    let desk = Desk::new().await;
    desk.org
        .insert("Account", "Name,Ext_Id__c\nOne,A1\nTwo,A2\n")
        .await;
    // Others of the object are none of the run's.
    let other = "LastName,Ext_Id__c\nOther,other\n";
    desk.org.insert("Contact", other).await;
    let mut csv = "Ext_Id__c,LastName,Account.Ext_Id__c,Birthdate\n".to_owned();
    for row in 0..3_000 {
        writeln!(csv, "K{row},Name {row},a1,1980-01-02").unwrap();
    }
    desk.write("contacts.csv", csv);
    desk.run("load contacts.csv --object Contact")
        .await
        .with_code(0);
    let run = desk.last_run();
    let ended = desk.run(&format!("verify {run}")).await.with_code(0);
    let said = "3,000 records of the run are read by one query of all 3,001 records of the object";
    assert!(ended.stderr.contains(said), "{}", ended.stderr);
    assert!(ended.stdout.contains("3,000 records, 3,000 as sent"));

    tokio::time::sleep(Duration::from_millis(1_100)).await;
    desk.write(
        "moved.csv",
        "Ext_Id__c,Account.Ext_Id__c,Birthdate\nK7,A2,\nK2999,A1,1980-01-03\n",
    );
    desk.run("load moved.csv --object Contact --upsert Ext_Id__c")
        .await
        .with_code(0);
    let ended = desk.run(&format!("verify {run}")).await.with_code(3);
    let planted = [
        " changed Account.Ext_Id__c a1 A2",
        " changed Birthdate 1980-01-02 1980-01-03",
    ];
    let found = differences(&desk.read(&format!("runs/{run}/differences.csv")));
    assert_eq!(found, planted.map(str::to_owned).into(), "{}", ended.stdout);
}
