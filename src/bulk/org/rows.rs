//! Any query that the REST API answers, such as one that counts or groups.

use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeOwned, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::bulk::connection::Connection;
use crate::bulk::error::BulkError;
use crate::bulk::http::{Call, Policy};

const ACTION: &str = "running the query";

/// What the REST API answers a query with.
#[derive(Debug)]
pub struct Rows {
    /// How many rows match; the number itself, for `SELECT COUNT() FROM …`, which gives no rows.
    pub total: u64,
    /// The rows.
    pub rows: Vec<Row>,
}

/// A row: values in JSON by their names, in the order of the answer. Those of parents have their path
/// as name (`Account.Name`); what a subquery found is an object with `records`.
#[derive(Debug, Clone)]
pub struct Row(pub Vec<(String, Box<RawValue>)>);

/// One page of an answer.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Page<R> {
    #[serde(default)]
    total_size: u64,
    records: Vec<R>,
    next_records_url: Option<String>,
}

/// See [`Client::rows`](crate::bulk::Client::rows).
pub(in crate::bulk) async fn rows(connection: &Connection, soql: &str) -> Result<Rows, BulkError> {
    let (total, records) = pages::<Raw>(connection, soql, ACTION, Policy::Start).await?;
    let rows = records.into_iter().map(|record| {
        let mut row = Vec::new();
        flat(record, "", &mut row);
        Row(row)
    });
    Ok(Rows {
        total,
        rows: rows.collect(),
    })
}

/// The records of a query from all its pages, and how many Salesforce says there are.
pub(super) async fn pages<R: DeserializeOwned>(
    connection: &Connection,
    soql: &str,
    action: &'static str,
    policy: Policy,
) -> Result<(u64, Vec<R>), BulkError> {
    let parameters = [("q", soql)];
    let mut first = Call::get(action, &["query"], policy);
    first.query = &parameters;
    let mut page: Page<R> = connection.read_json(&first).await?;
    let total = page.total_size;
    let mut records = page.records;
    let mut seen = HashSet::new();
    let unreadable = |reason: &str| BulkError::Answer {
        action: action.to_owned(),
        reason: reason.to_owned(),
    };
    while let Some(next) = page.next_records_url.take() {
        let Some((_, locator)) = next.rsplit_once("/query/") else {
            return Err(unreadable("its next page has an address of another form"));
        };
        if !seen.insert(locator.to_owned()) {
            return Err(unreadable("its pages go in a circle"));
        }
        let path = ["query", locator];
        page = connection
            .read_json(&Call::get(action, &path, policy))
            .await?;
        records.append(&mut page.records);
    }
    Ok((total, records))
}

/// An object of the answer, in its order, without what it says of its own type.
#[derive(Debug)]
struct Raw(Vec<(String, Box<RawValue>)>);

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;

        impl<'de> Visitor<'de> for Fields {
            type Value = Raw;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a record")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Raw, A::Error> {
                let mut fields = Vec::new();
                while let Some(name) = map.next_key::<String>()? {
                    if name == "attributes" {
                        map.next_value::<IgnoredAny>()?;
                    } else {
                        fields.push((name, map.next_value()?));
                    }
                }
                Ok(Raw(fields))
            }
        }

        deserializer.deserialize_map(Fields)
    }
}

/// The values of a record with those of its parents, each by its path.
fn flat(record: Raw, path: &str, row: &mut Vec<(String, Box<RawValue>)>) {
    #[derive(Deserialize)]
    struct Subquery {
        #[serde(rename = "records")]
        _records: IgnoredAny,
    }
    for (name, value) in record.0 {
        let name = match path {
            "" => name,
            path => format!("{path}.{name}"),
        };
        let is_subquery = || serde_json::from_str::<Subquery>(value.get()).is_ok();
        match serde_json::from_str::<Raw>(value.get()) {
            Ok(parent) if !is_subquery() => flat(parent, &name, row),
            _ => row.push((name, value)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parents_are_flat_and_order_is_kept() {
        let record = r#"{"attributes":{"type":"Contact"},"Name":"b","Amount":9.12260031E8,
            "Account":{"attributes":{},"Owner":{"Name":"c"},"Ext__c":null},"Cases":{"totalSize":1,"records":[]}}"#;
        let mut row = Vec::new();
        flat(serde_json::from_str(record).unwrap(), "", &mut row);
        let row: Vec<_> = row
            .iter()
            .map(|(name, value)| format!("{name} = {value}"))
            .collect();
        assert_eq!(
            row,
            [
                r#"Name = "b""#,
                "Amount = 9.12260031E8",
                r#"Account.Owner.Name = "c""#,
                "Account.Ext__c = null",
                r#"Cases = {"totalSize":1,"records":[]}"#,
            ]
        );
    }
}
