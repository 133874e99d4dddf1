//! Rejected records: shown, exported, repaired, loaded again, each once.

use serde_json::Value;

use super::desk::Desk;

/// Three good records and three that the org, or we, refuse.
const PEOPLE: &str = "\
key,surname,mail,born
A,Ng,a@example.com,2001-02-03
B,,b@example.com,2001-02-03
C,Li,no address,2001-02-03
D,Oz,d@example.com,someday
E,Xu,e@example.com,2001-02-03
F,Wu,f@example.com,
";

const LOAD: &str = "load people.csv --object Contact \
    --map Ext_Id__c=key,LastName=surname,Email=mail,Birthdate=born --set Department=Sales";

async fn loaded() -> (Desk, String) {
    let desk = Desk::new().await;
    desk.write("people.csv", PEOPLE);
    desk.run(LOAD).await.with_code(3);
    let run = desk.last_run();
    (desk, run)
}

#[tokio::test]
async fn reasons_are_listed_with_counts_fields_and_examples() {
    let (desk, run) = loaded().await;
    let shown = desk.run(&format!("rejects {run}")).await.with_code(0);
    for text in [
        "REQUIRED_FIELD_MISSING",
        "INVALID_EMAIL_ADDRESS",
        "INVALID_VALUE",
        "someday",
        "no address",
    ] {
        assert!(shown.stdout.contains(text), "{text}: {}", shown.stdout);
    }
    assert!(
        shown.stdout.contains("3 rejected records"),
        "{}",
        shown.stdout
    );
    let lines = desk
        .run(&format!("rejects {run} --json"))
        .await
        .with_code(0)
        .stdout;
    let lines: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 3);
    assert!(lines.iter().all(|line| line["count"] == 1), "{lines:#?}");
    let born = lines
        .iter()
        .find(|line| line["code"] == "INVALID_VALUE")
        .unwrap();
    assert_eq!(born["fields"], serde_json::json!(["Birthdate"]));
    assert_eq!(born["examples"], serde_json::json!(["Birthdate=someday"]));
}

#[tokio::test]
async fn a_repaired_export_is_loaded_once() {
    let (desk, run) = loaded().await;
    desk.run(&format!("rejects {run} --export fixed.csv"))
        .await
        .with_code(0);
    let export = desk.read("fixed.csv");
    let header = export.lines().next().unwrap();
    assert_eq!(header, "key,surname,mail,born,_reject_reason,_reject_id");
    // It may hold work of hours.
    desk.run(&format!("rejects {run} --export fixed.csv"))
        .await
        .with_code(2);

    let fixed = export
        .replace("B,,", "B,Bo,")
        .replace("no address", "c@example.com");
    desk.write("fixed.csv", fixed.replace("someday", "2004-05-06"));
    let load = format!("rejects {run} --load fixed.csv");
    desk.run(&load).await.with_code(0);
    let rows = desk
        .rows(
            "Contact",
            &["Ext_Id__c", "LastName", "Birthdate", "Department"],
        )
        .await;
    assert_eq!(rows.len(), 6);
    assert_eq!(rows[1], ["B", "Bo", "2001-02-03", "Sales"]);
    assert_eq!(rows[3], ["D", "Oz", "2004-05-06", "Sales"]);

    let again = desk.run(&load).await.with_code(2);
    assert!(again.stderr.contains("already"), "{}", again.stderr);
    let shown = desk
        .run(&format!("rejects {run}"))
        .await
        .with_code(0)
        .stdout;
    assert!(shown.contains("loaded again by the run"), "{shown}");
    assert_eq!(desk.rows("Contact", &["Ext_Id__c"]).await.len(), 6);
}

#[tokio::test]
async fn what_was_no_fault_of_the_records_is_loaded_as_it_is() {
    let (desk, run) = loaded().await;
    let again = desk
        .run(&format!("rejects {run} --load"))
        .await
        .with_code(3);
    assert!(
        again.stderr.contains('3') || again.stdout.contains('3'),
        "{again:?}"
    );
    let second = desk.last_run();
    assert_ne!(second, run);
    desk.run(&format!("rejects {run} --load"))
        .await
        .with_code(2);

    // What was rejected again lies with the second run.
    let sql = "select Ext_Id__c, 'Bo' as LastName, _reject_id from input where LastName is null";
    let args = ["rejects", &second, "--load", "--sql", sql];
    desk.run_args(&args).await.with_code(0);
    let rows = desk.rows("Contact", &["Ext_Id__c", "LastName"]).await;
    assert_eq!(rows.len(), 4);
    assert_eq!(rows[1], ["B", "Bo"]);
    let left = desk
        .run(&format!("rejects {second} --json"))
        .await
        .with_code(0)
        .stdout;
    assert_eq!(left.lines().count(), 2, "{left}");
    let unmarked = [
        "rejects",
        &second,
        "--load",
        "--sql",
        "select LastName from input",
    ];
    let refused = desk.run_args(&unmarked).await.with_code(2);
    assert!(refused.stderr.contains("_reject_id"), "{}", refused.stderr);
}

#[tokio::test]
async fn ragged_rows_are_rejected_with_their_text() {
    let desk = Desk::new().await;
    desk.write(
        "people.csv",
        "Ext_Id__c,LastName\nA,Ng\nB,Li,too,many\nC,Oz\n",
    );
    desk.run("load people.csv --object Contact")
        .await
        .with_code(3);
    let run = desk.last_run();
    desk.run(&format!("rejects {run} --export fixed.csv"))
        .await
        .with_code(0);
    let export = desk.read("fixed.csv");
    assert!(
        export.starts_with("Ext_Id__c,LastName,_reject_text,"),
        "{export}"
    );
    assert!(export.contains("B,Li,too,many"), "{export}");
    assert_eq!(desk.rows("Contact", &["Ext_Id__c"]).await.len(), 2);
}

/// As the destination writes them, flattened or not.
#[tokio::test]
async fn files_of_the_destination_are_read_and_loaded() {
    let meta = r#"{"sync_id":1,"changes":[],"rejected":{"version":2,"attempt":"x","ordinal":0,"stage":"salesforce","code":"UNABLE_TO_LOCK_ROW","message":"locked","fields":[],"at":1}}"#;
    let nested = format!(
        r#"{{"_airbyte_raw_id":"n1","_airbyte_extracted_at":1,"_airbyte_meta":{meta},"_airbyte_generation_id":0,"_airbyte_data":{{"sf__Id":"","sf__Error":"UNABLE_TO_LOCK_ROW:locked: --","Ext_Id__c":"A","LastName":"Ng"}}}}"#
    );
    let quoted = meta.replace('"', "\"\"");
    let flat = format!(
        "\"_airbyte_raw_id\",\"_airbyte_extracted_at\",\"_airbyte_meta\",\"_airbyte_generation_id\",\"sf__Id\",\"sf__Error\",\"Ext_Id__c\",\"LastName\",\"_raw\"\r\n\
         \"f1\",1,\"{quoted}\",0,\"\",\"UNABLE_TO_LOCK_ROW:locked: --\",\"B\",\"Li\",\r\n"
    );
    let desk = Desk::new().await;
    desk.write("rejected/1/Contact/a.jsonl", format!("{nested}\n"));
    desk.write("rejected/1/Contact/b.csv", flat);
    let shown = desk.run("rejects ./rejected").await.with_code(0).stdout;
    assert!(
        shown.contains("UNABLE_TO_LOCK_ROW") && shown.contains("2 rejected records"),
        "{shown}"
    );
    let unsaid = desk.run("rejects ./rejected --load").await.with_code(2);
    assert!(unsaid.stderr.contains("--object"), "{}", unsaid.stderr);
    desk.run("rejects ./rejected --load --object Contact")
        .await
        .with_code(0);
    let rows = desk.rows("Contact", &["Ext_Id__c", "LastName"]).await;
    assert_eq!(rows, [["A", "Ng"], ["B", "Li"]]);
    desk.run("rejects ./rejected --load --object Contact")
        .await
        .with_code(2);
}

#[tokio::test]
async fn a_record_that_stands_twice_is_refused() {
    let (desk, run) = loaded().await;
    let before = desk.rows("Contact", &["Ext_Id__c"]).await.len();
    desk.run(&format!("rejects {run} --export fixed.csv"))
        .await
        .with_code(0);
    let mut twice = desk.read("fixed.csv").replace("B,,", "B,Bo,");
    let line = twice.lines().nth(1).unwrap().to_owned();
    twice.push_str(&line);
    desk.write("fixed.csv", twice);
    let load = format!("rejects {run} --load fixed.csv");
    let refused = desk.run(&load).await.with_code(2);
    assert!(
        refused.stderr.contains("more than once"),
        "{}",
        refused.stderr
    );
    assert_eq!(desk.rows("Contact", &["Ext_Id__c"]).await.len(), before);
}

#[tokio::test]
async fn a_condition_that_cannot_be_is_refused_before_a_run() {
    let desk = Desk::new().await;
    desk.write("people.csv", PEOPLE);
    for more in ["--where 1", "--sample 0"] {
        let command = format!("{LOAD} {more}");
        desk.run(&command).await.with_code(2);
    }
    desk.write("more.csv", PEOPLE);
    let named = "load a=people.csv b=more.csv --object Contact";
    let refused = desk.run(named).await.with_code(2);
    assert!(
        refused.stderr.contains("names of their own"),
        "{}",
        refused.stderr
    );
    assert!(desk.rows("Contact", &["Ext_Id__c"]).await.is_empty());
}
