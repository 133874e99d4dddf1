//! The columns of a query's answer, which the sf command line asks for before it shows records: the
//! query with `columns=true`. Its own code
//! ([query.ts](https://github.com/salesforcecli/plugin-data/blob/main/src/commands/data/query.ts))
//! says what it reads of the answer.

use serde_json::{Value, json};

use crate::soql::{Function, Query, Shown, What};

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
        What::Totals(totals) => totals
            .iter()
            .map(|total| {
                let name = &object.fields[total.field].name;
                let (shown, is_total) = match total.what {
                    Shown::Group => (name.clone(), false),
                    Shown::Of(Function::CountDistinct) => (format!("count_distinct({name})"), true),
                    Shown::Of(function) => {
                        let function = format!("{function:?}").to_lowercase();
                        (format!("{function}({name})"), true)
                    }
                };
                json!({"aggregate": is_total, "columnName": total.name, "displayName": shown,
                    "joinColumns": [], "custom": false})
            })
            .collect(),
    };
    json!({"columnMetadata": columns, "entityName": object.name, "groupBy": false,
        "idSelected": true, "keyPrefix": object.key_prefix})
}
