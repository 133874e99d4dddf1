//! How people wrote values, where it matters what they were before: in the org, as they were meant.

use serde_json::Value;

use super::desk::Desk;

async fn values(desk: &Desk, field: &str) -> Vec<Value> {
    let mut rows = desk.org.rows("Everything__c").await;
    rows.sort_by_key(|row| row["Ext_Id__c"].as_str().map(str::to_owned));
    rows.iter().map(|row| row[field].clone()).collect()
}

#[tokio::test]
async fn numbers_of_json_have_a_decimal_point() {
    let desk = Desk::new().await;
    desk.write(
        "n.jsonl",
        "{\"Ext_Id__c\":\"a\",\"Double__c\":1.234}\n{\"Ext_Id__c\":\"b\",\"Double__c\":\"12,5\"}\n",
    );
    let load = "load n.jsonl --object Everything__c";
    desk.run(load).await.with_code(3);
    assert_eq!(values(&desk, "Double__c").await, ["1.234"]);
}

#[tokio::test]
async fn constants_are_read_as_people_write_them() {
    let desk = Desk::new().await;
    desk.write("s.csv", "Ext_Id__c\na\n");
    let load = "load s.csv --object Everything__c --set Flag__c=ja --set Date__c=31/12/2024 --set Int__c=5";
    desk.run(load).await.with_code(0);
    assert_eq!(values(&desk, "Flag__c").await, ["true"]);
    assert_eq!(values(&desk, "Date__c").await, ["2024-12-31"]);
    assert_eq!(values(&desk, "Int__c").await, ["5"]);
}

#[tokio::test]
async fn a_flag_is_never_overruled() {
    let desk = Desk::new().await;
    desk.write("d.csv", "Ext_Id__c,Date__c\na,31/12/2024\nb,03/04/2024\n");
    let load = "load d.csv --object Everything__c --dates";
    let refused = desk.run(&format!("{load} mdy")).await.with_code(2);
    assert!(refused.stderr.contains("31/12/2024"), "{}", refused.stderr);
    assert!(values(&desk, "Date__c").await.is_empty());
    desk.run(&format!("{load} dmy")).await.with_code(0);
    assert_eq!(values(&desk, "Date__c").await, ["2024-12-31", "2024-04-03"]);
}
