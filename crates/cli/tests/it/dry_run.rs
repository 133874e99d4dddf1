//! `--dry-run`: everything is planned and nothing written.

use serde_json::Value;

use super::desk::Desk;

const PEOPLE: &str = "\
key,surname,born
A,Ng,2001-02-03
B,,2001-02-03
C,Li,someday
D,Oz,
D,Oz,2001-02-03
";

const LOAD: &str =
    "load people.csv --object Contact --map Ext_Id__c=key,LastName=surname,Birthdate=born";

#[tokio::test]
async fn a_plan_shows_columns_refusals_and_calls() {
    let desk = Desk::new().await;
    desk.write("people.csv", PEOPLE);
    let ended = desk
        .run(&format!("{LOAD} --dry-run --json"))
        .await
        .with_code(3);
    let plan: Value = serde_json::from_str(ended.stdout.lines().last().unwrap()).unwrap();
    assert_eq!(
        (&plan["type"], &plan["rows"], &plan["refused"]),
        (&"dry_run".into(), &5.into(), &1.into())
    );
    assert_eq!(plan["reasons"][0]["examples"][0], "Birthdate=someday");
    assert_eq!((&plan["jobs"], &plan["batches"]), (&1.into(), &1.into()));
    assert!(plan["api_calls_left"].as_u64().unwrap() > 0);
    let columns = plan["columns"].as_array().unwrap();
    let born = columns
        .iter()
        .find(|column| column["column"] == "born")
        .unwrap();
    assert_eq!(
        (&born["field"], &born["empty"]),
        (&"Birthdate".into(), &1.into())
    );
    let shown = desk
        .run(&format!("{LOAD} --dry-run"))
        .await
        .with_code(3)
        .stdout;
    for text in [
        "surname",
        "LastName",
        "someday",
        "1 would be refused",
        "1 job",
        "nothing was written",
    ] {
        assert!(shown.contains(text), "{text}: {shown}");
    }
    assert!(desk.org.jobs().await.is_empty());
    assert!(!desk.path("runs/index").exists(), "it is no run");
}

#[tokio::test]
async fn the_org_says_what_an_upsert_would_do() {
    let desk = Desk::new().await;
    desk.org
        .insert("Contact", "Ext_Id__c,LastName\nA,Ng\n")
        .await;
    desk.write("people.csv", PEOPLE);
    let dry_run = format!("{LOAD} --upsert Ext_Id__c --dry-run=org --json");
    let ended = desk.run(&dry_run).await.with_code(3);
    assert!(
        ended.stdout.contains("API call"),
        "calls are said first: {}",
        ended.stdout
    );
    let plan: Value = serde_json::from_str(ended.stdout.lines().last().unwrap()).unwrap();
    // B and the first D are new; the second D changes it, and A is there.
    assert_eq!(
        (&plan["creates"], &plan["updates"], &plan["ambiguous"]),
        (&2.into(), &2.into(), &0.into())
    );
    assert_eq!(desk.rows("Contact", &["Ext_Id__c"]).await.len(), 1);
}
