//! The examples of docs/cli.md, run as they stand.

use std::sync::LazyLock;

use super::desk::Desk;

/// The page, which is not of this package.
static PAGE: LazyLock<String> = LazyLock::new(|| {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/cli.md");
    std::fs::read_to_string(path).unwrap()
});

/// The blocks of shell commands.
fn examples() -> Vec<&'static str> {
    let blocks = PAGE.split("```sh\n").skip(1);
    let ends = blocks.map(|block| block.split_once("\n```").unwrap().0);
    ends.collect()
}

/// A folder with all files that the examples name.
async fn desk() -> Desk {
    let desk = Desk::new().await;
    let people = "Ext_Id__c,LastName,Email\nC-1,Ng,a@example.com\nC-2,Li,\nC-3,Oz,c@example.com\n";
    desk.write("contacts.csv", people);
    desk.write("monthly/2026-01.csv", people);
    desk.write("monthly/2026-02.csv", people.replace("C-", "D-"));
    desk.write("by-department/Department=Sales/1.csv", people);
    desk.write(
        "contacts.jsonl.gz",
        super::formats::gzip(b"{\"Ext_Id__c\": \"C-1\", \"LastName\": \"Ng\"}\n"),
    );
    desk.write(
        "contacts.parquet",
        super::formats::parquet(&super::formats::records(3)),
    );
    desk.write("regions.csv", "id,region\nC-1,North\nC-2,South\n");
    desk.write(
        "export.csv",
        "key,surname,mail,other\nK-1,Ng,a@example.com,x\n",
    );
    desk.write(
        "german.csv",
        "LastName;Birthdate\nNg;03.04.2001\nLi;05.06.2002\n",
    );
    desk.write(
        "flawed.csv",
        "Ext_Id__c,LastName,Email\nF-1,Ng,a@example.com\nF-2,Li,not an address\n",
    );
    let meta = r#"{"sync_id":1,"changes":[],"rejected":{"version":2,"attempt":"x","ordinal":0,"stage":"salesforce","code":"UNABLE_TO_LOCK_ROW","message":"locked","fields":[],"at":1}}"#;
    let line = format!(
        r#"{{"_airbyte_raw_id":"n1","_airbyte_extracted_at":1,"_airbyte_meta":{meta},"_airbyte_generation_id":0,"_airbyte_data":{{"sf__Id":"","sf__Error":"","Ext_Id__c":"A","LastName":"Ng"}}}}"#
    );
    desk.write("airbyte-rejects/1/Contact/a.jsonl", line + "\n");
    desk
}

#[tokio::test]
async fn every_example_works() {
    let examples = examples();
    assert!(examples.len() > 10, "{}", examples.len());
    for example in examples {
        let desk = desk().await;
        let ended = desk.type_lines(example).await;
        assert_eq!(
            ended.code, 0,
            "{example}\n{}\n{}",
            ended.stdout, ended.stderr
        );
    }
}
