//! Runs: how they end, go on, and are listed.

use serde_json::Value;

use super::desk::Desk;

fn people(count: usize) -> String {
    let rows = (0..count).map(|n| format!("C-{n:03},Ng{n}\n"));
    format!("Ext_Id__c,LastName\n{}", rows.collect::<String>())
}

#[tokio::test]
async fn a_sample_is_loaded_then_the_rest() {
    let desk = Desk::new().await;
    desk.write("people.csv", people(50));
    desk.run("load people.csv --object Contact --sample 10")
        .await
        .with_code(0);
    assert_eq!(desk.rows("Contact", &["Ext_Id__c"]).await.len(), 10);
    let run = desk.last_run();
    desk.run(&format!("resume {run}")).await.with_code(0);
    let rows = desk.rows("Contact", &["Ext_Id__c"]).await;
    assert_eq!(rows.len(), 50);
    assert_eq!(rows[49], ["C-049"]);
    desk.run(&format!("resume {run}")).await.with_code(2);
}

#[tokio::test]
async fn a_file_describes_a_load() {
    let desk = Desk::new().await;
    desk.write("people.csv", people(3));
    let described = "\
        inputs = [\"people.csv\"]\nobject = \"Contact\"\nupsert = \"Ext_Id__c\"\n\
        [set]\nDepartment = \"Sales\"\n";
    desk.write("people.toml", described);
    desk.run("load -f people.toml").await.with_code(0);
    desk.run("load -f people.toml").await.with_code(0);
    let rows = desk.rows("Contact", &["Ext_Id__c", "Department"]).await;
    assert_eq!(rows.len(), 3);
    assert_eq!(rows[0], ["C-000", "Sales"]);
}

#[tokio::test]
async fn too_many_rejected_records_stop_a_load() {
    let desk = Desk::new().await;
    let people: String = (0..50).map(|n| format!("C-{n:03},\n")).collect();
    desk.write("people.csv", format!("Ext_Id__c,LastName\n{people}"));
    desk.run("load people.csv --object Contact --max-rejected 5")
        .await
        .with_code(4);
}

#[tokio::test]
async fn json_tells_a_program_how_it_went() {
    let desk = Desk::new().await;
    desk.write("people.csv", people(3));
    let ended = desk
        .run("load people.csv --object Contact --json")
        .await
        .with_code(0);
    let lines = ended.stdout.lines();
    let lines: Vec<Value> = lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let types: Vec<&Value> = lines.iter().map(|line| &line["type"]).collect();
    assert_eq!(types[..2], ["found", "started"]);
    let last = lines.last().unwrap();
    assert_eq!(
        (&last["type"], &last["accepted"]),
        (&"finished".into(), &3.into())
    );
    let listed = desk.run("runs --json").await.with_code(0).stdout;
    assert!(listed.contains(last["run"].as_str().unwrap()), "{listed}");
}

#[tokio::test]
async fn the_same_file_typed_wrong_writes_nothing() {
    let desk = Desk::new().await;
    desk.write("people.csv", people(3));
    for words in [
        "load people.csv",
        "load nowhere.csv --object Contact",
        "load people.csv --object Kontact",
        "load people.csv --object Contact --map Lastname=nobody",
        "load people.csv --object Contact --upsert Title",
        "load people.csv --object Contact --update",
        "load people.csv --object Contact --where nothing=1",
        "resume 2020",
        "rejects 2020",
    ] {
        let ended = desk.run(words).await.with_code(2);
        assert!(ended.stderr.contains("error"), "{words}: {}", ended.stderr);
    }
    assert!(desk.org.jobs().await.is_empty());
}
