//! The columns of a query's answer, which the sf command line asks for before it shows records: the
//! query with `columns=true`. Its own code
//! ([query.ts](https://github.com/salesforcecli/plugin-data/blob/main/src/commands/data/query.ts))
//! says what it reads of the answer.

use serde_json::{Value, json};

use crate::soql::{Columns, Function, Part, Query, Shown, What};

/// The answer in place of records.
pub(super) fn columns(query: &Query) -> Value {
    let object = &query.object;
    let columns: Vec<Value> = match &query.what {
        What::Fields(fields) => {
            let columns = query.columns();
            joined(columns, &columns.parts(fields))
        }
        What::Count => Vec::new(),
        What::Totals(totals) => totals
            .iter()
            .map(|total| {
                let name = query.columns().name(total.field);
                let (shown, is_total) = match total.what {
                    Shown::Group => (name, false),
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

/// Columns, those of a parent within one for it.
fn joined(columns: Columns<'_>, parts: &[Part]) -> Vec<Value> {
    let parts = parts.iter().map(|part| {
        let (name, custom, within) = match part {
            Part::Field(_, column) => {
                let field = columns.field(*column);
                (field.name.as_str(), field.custom, Vec::new())
            }
            Part::Parent(relation, parts) => {
                let name = columns.relation(*relation);
                (name, name.ends_with("__r"), joined(columns, parts))
            }
        };
        json!({"aggregate": false, "columnName": name, "displayName": name, "custom": custom,
            "joinColumns": within})
    });
    parts.collect()
}
