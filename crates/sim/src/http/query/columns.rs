//! The columns of a query's answer, which the sf command line asks for before it shows records: the
//! query with `columns=true`. Its own code
//! ([query.ts](https://github.com/salesforcecli/plugin-data/blob/main/src/commands/data/query.ts))
//! says what it reads of the answer.

use serde_json::{Value, json};

use crate::soql::{Query, What};

/// The answer in place of records.
pub(super) fn columns(query: &Query) -> Value {
    let object = &query.object;
    let field = |index: &usize| {
        let name = &object.fields[*index].name;
        json!({"aggregate": false, "columnName": name, "displayName": name, "joinColumns": [],
            "custom": object.fields[*index].custom})
    };
    let columns: Vec<Value> = match &query.what {
        What::Fields(fields) => fields.iter().map(field).collect(),
        What::Count => Vec::new(),
        What::CountsOf(counts) => counts
            .iter()
            .map(|(index, name)| {
                let shown = format!("count({})", object.fields[*index].name);
                json!({"aggregate": true, "columnName": name, "displayName": shown,
                    "joinColumns": [], "custom": false})
            })
            .collect(),
    };
    json!({"columnMetadata": columns, "entityName": object.name, "groupBy": false,
        "idSelected": true, "keyPrefix": object.key_prefix})
}
