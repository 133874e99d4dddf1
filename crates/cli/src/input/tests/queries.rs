//! Records that cannot be read, in loads with a query and with a condition.

use super::*;
use crate::spec::LoadSpec;
use crate::sql;

async fn load(spec: &LoadSpec) -> Vec<String> {
    let folder = Folder::new();
    let typed = folder.write("a.csv", "Id,Name\n1,a\n2\n3,c\n");
    let inputs = folder.open(&[&typed]).await.unwrap();
    let session = sql::session(1 << 27, true).unwrap();
    let rows = match spec.sql {
        None => {
            inputs.register(&session).unwrap();
            sql::rows(&session, spec).await.unwrap()
        }
        Some(_) => {
            inputs.register_for_query(&session).unwrap();
            let rows = sql::rows(&session, spec).await.unwrap();
            sql::with_unreadable(&session, rows, inputs.unreadable()).unwrap()
        }
    };
    let rows = rows.collect().await.unwrap();
    rows.iter().flat_map(texts).collect()
}

#[tokio::test]
async fn a_record_that_cannot_be_read_is_not_left_out() {
    let raw = "_airbyte_raw=2 _airbyte_raw_error=";
    let condition = LoadSpec {
        filter: Some("Name = 'c'".to_owned()),
        ..LoadSpec::default()
    };
    let rows = load(&condition).await;
    assert_eq!((rows.len(), rows[1].as_str()), (2, "Id=3 Name=c"));
    assert!(rows[0].starts_with(raw), "{rows:?}");

    let sql = LoadSpec {
        sql: Some("select Id as Ext__c from input where Name <> 'c'".to_owned()),
        ..LoadSpec::default()
    };
    let mut rows = load(&sql).await;
    rows.sort();
    assert_eq!((rows.len(), rows[0].as_str()), (2, "Ext__c=1"));
    assert!(rows[1].starts_with(raw), "{rows:?}");
}
