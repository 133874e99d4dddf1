//! Records that are found by a key.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::value::RawValue;
use url::form_urlencoded::byte_serialize;

use super::rows::pages;
use crate::bulk::connection::Connection;
use crate::bulk::error::BulkError;
use crate::bulk::http::{Call, Policy, api_date};

/// Bytes of the keys of one query, as its address holds them. Salesforce takes addresses of 16,384
/// bytes, and proxies often no more than 8,192.
const KEY_BYTES: usize = 6_000;

/// The same where the query names many fields.
const FEWEST_KEY_BYTES: usize = 1_000;

const ACTION: &str = "looking for records by their key";

/// Which records are looked for.
#[derive(Debug, Clone, Copy)]
pub struct KeyedBy<'a> {
    /// API name of the object.
    pub object: &'a str,
    /// API name of the field that holds the key: one that can be filtered by.
    pub field: &'a str,
    /// The field holds numbers, which a query writes without quotes.
    pub numeric: bool,
}

/// A record that a key has found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyedRecord {
    /// Its Id, of 18 characters.
    pub id: String,
    /// Its key as Salesforce keeps it: the letters may be of another case than those asked for, and
    /// numbers are written as JSON has them (`12.0`).
    pub key: String,
    /// Id of the user who created it.
    pub created_by: String,
    /// When it was created, by Salesforce's clock, in whole seconds.
    pub created_at: DateTime<Utc>,
}

/// A record as JSON: numbers keep the digits that they came with.
type Record = HashMap<String, Box<RawValue>>;

/// See [`Client::records_by_key`](crate::bulk::Client::records_by_key).
pub(in crate::bulk) async fn records_by_key(
    connection: &Connection,
    by: KeyedBy<'_>,
    keys: &[String],
) -> Result<Vec<KeyedRecord>, BulkError> {
    is_api_name(by.object)?;
    is_api_name(by.field)?;
    let mut found = Vec::new();
    for literals in groups(&literals(by, keys), KEY_BYTES) {
        let query = format!(
            "SELECT Id, {field}, CreatedById, CreatedDate FROM {object} WHERE {field} IN ({keys})",
            field = by.field,
            object = by.object,
            keys = literals.join(",")
        );
        for record in all_records(connection, &query).await? {
            let read = read(&record, by.field);
            found.push(read.ok_or_else(|| unreadable("a record lacks a field"))?);
        }
    }
    Ok(found)
}

/// See [`Client::all_keys`](crate::bulk::Client::all_keys).
pub(in crate::bulk) async fn all_keys(
    connection: &Connection,
    by: KeyedBy<'_>,
) -> Result<Vec<String>, BulkError> {
    is_api_name(by.object)?;
    is_api_name(by.field)?;
    let (object, field) = (by.object, by.field);
    let query = format!("SELECT {field} FROM {object} WHERE {field} != null");
    let records = all_records(connection, &query).await?;
    let keys = records.iter().map(|record| {
        let key = text(record, field);
        key.ok_or_else(|| unreadable("a record lacks a field"))
    });
    keys.collect()
}

/// See [`Client::records_by_id`](crate::bulk::Client::records_by_id).
pub(in crate::bulk) async fn records_by_id(
    connection: &Connection,
    object: &str,
    ids: &[String],
) -> Result<Vec<String>, BulkError> {
    is_api_name(object)?;
    let literals: Vec<String> = ids.iter().map(|id| quoted(id)).collect();
    let mut found = Vec::new();
    for literals in groups(&literals, KEY_BYTES) {
        let ids = literals.join(",");
        let query = format!("SELECT Id FROM {object} WHERE Id IN ({ids})");
        for record in all_records(connection, &query).await? {
            let id = text(&record, "Id");
            found.push(id.ok_or_else(|| unreadable("a record lacks a field"))?);
        }
    }
    Ok(found)
}

/// See [`Client::values_by_key`](crate::bulk::Client::values_by_key).
pub(in crate::bulk) async fn values_by_key(
    connection: &Connection,
    by: KeyedBy<'_>,
    keys: &[String],
    columns: &[String],
) -> Result<Vec<Vec<Option<String>>>, BulkError> {
    is_api_name(by.object)?;
    is_api_name(by.field)?;
    for name in columns.iter().flat_map(|column| column.split('.')) {
        is_api_name(name)?;
    }
    let (object, field) = (by.object, by.field);
    let selected = columns.join(", ");
    let bytes = KEY_BYTES
        .saturating_sub(selected.len())
        .max(FEWEST_KEY_BYTES);
    let mut found = Vec::new();
    for literals in groups(&literals(by, keys), bytes) {
        let keys = literals.join(",");
        let query = format!("SELECT {selected} FROM {object} WHERE {field} IN ({keys})");
        for record in all_records(connection, &query).await? {
            let values = columns.iter().map(|column| at(&record, column));
            found.push(values.collect());
        }
    }
    Ok(found)
}

/// The value of a field, or of one of a parent (`Account.Name`), as a text.
fn at(record: &Record, column: &str) -> Option<String> {
    let Some((parent, rest)) = column.split_once('.') else {
        return text(record, column);
    };
    let parent: Record = serde_json::from_str(value(record, parent)?.get()).ok()?;
    at(&parent, rest)
}

/// See [`Client::record_count`](crate::bulk::Client::record_count).
pub(in crate::bulk) async fn record_count(
    connection: &Connection,
    object: &str,
) -> Result<u64, BulkError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Count {
        total_size: u64,
    }
    is_api_name(object)?;
    let query = format!("SELECT COUNT() FROM {object}");
    let parameters = [("q", query.as_str())];
    let mut call = Call::get("counting the records", &["query"], Policy::Optional);
    call.query = &parameters;
    let count: Count = connection.read_json(&call).await?;
    Ok(count.total_size)
}

fn is_api_name(name: &str) -> Result<(), BulkError> {
    let is_of_names = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if !name.is_empty() && name.bytes().all(is_of_names) {
        return Ok(());
    }
    Err(BulkError::NoApiName {
        name: name.to_owned(),
    })
}

/// The records of a query, from all its pages.
async fn all_records(connection: &Connection, query: &str) -> Result<Vec<Record>, BulkError> {
    let (_, records) = pages(connection, query, ACTION, Policy::InFlight).await?;
    Ok(records)
}

/// A text, a number or a truth of a record.
fn text(record: &Record, field: &str) -> Option<String> {
    let value = value(record, field)?.get();
    match value.as_bytes().first()? {
        b'"' => serde_json::from_str(value).ok(),
        b'{' | b'[' | b'n' => None,
        _ => Some(value.to_owned()),
    }
}

fn value<'a>(record: &'a Record, field: &str) -> Option<&'a RawValue> {
    let mut fields = record.iter();
    let (_, value) = fields.find(|(found, _)| found.eq_ignore_ascii_case(field))?;
    Some(value)
}

fn read(record: &Record, field: &str) -> Option<KeyedRecord> {
    let value = |name: &str| text(record, name);
    Some(KeyedRecord {
        id: value("Id")?,
        key: value(field)?,
        created_by: value("CreatedById")?,
        created_at: api_date(&value("CreatedDate")?)?,
    })
}

/// The keys as the query writes them. A text that is no number is the key of no record of a numeric
/// field.
fn literals(by: KeyedBy<'_>, keys: &[String]) -> Vec<String> {
    let is_number = |key: &str| key.parse::<f64>().is_ok_and(f64::is_finite);
    let literal = |key: &String| {
        if by.numeric {
            is_number(key).then(|| key.clone())
        } else {
            Some(quoted(key))
        }
    };
    keys.iter().filter_map(literal).collect()
}

/// A text as a SOQL string (SOQL and SOSL Reference, "Quoted String Escape Sequences").
fn quoted(text: &str) -> String {
    let mut literal = String::with_capacity(text.len() + 2);
    literal.push('\'');
    for character in text.chars() {
        match character {
            '\\' => literal.push_str("\\\\"),
            '\'' => literal.push_str("\\'"),
            '"' => literal.push_str("\\\""),
            '\n' => literal.push_str("\\n"),
            '\r' => literal.push_str("\\r"),
            '\t' => literal.push_str("\\t"),
            '\u{8}' => literal.push_str("\\b"),
            '\u{c}' => literal.push_str("\\f"),
            other => literal.push(other),
        }
    }
    literal.push('\'');
    literal
}

/// Groups of literals that take so many bytes of an address.
fn groups(literals: &[String], most: usize) -> Vec<&[String]> {
    let mut groups = Vec::new();
    let (mut begin, mut bytes) = (0, 0);
    for (index, literal) in literals.iter().enumerate() {
        let length = byte_serialize(literal.as_bytes())
            .map(str::len)
            .sum::<usize>()
            + 3;
        if bytes + length > most && index > begin {
            groups.push(&literals[begin..index]);
            (begin, bytes) = (index, 0);
        }
        bytes += length;
    }
    if begin < literals.len() {
        groups.push(&literals[begin..]);
    }
    groups
}

fn unreadable(reason: &str) -> BulkError {
    BulkError::Answer {
        action: ACTION.to_owned(),
        reason: reason.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bulk::testing::*;

    const BY: KeyedBy<'_> = KeyedBy {
        object: "Contact",
        field: "Ext__c",
        numeric: false,
    };

    fn route(query: &str) -> String {
        let query: String = byte_serialize(query.as_bytes()).collect();
        format!("GET /services/data/v62.0/query?q={query}")
    }

    fn record(id: &str, key: &str) -> String {
        format!(
            r#"{{"attributes":{{"type":"Contact"}},"Id":"{id}","EXT__c":{key},
            "CreatedById":"{USER}","CreatedDate":"2024-09-10T13:57:50.000+0000"}}"#
        )
    }

    fn page(records: &[String], next: &str) -> Reply {
        let records = records.join(",");
        reply(
            200,
            format!(r#"{{"done":false,"records":[{records}],"nextRecordsUrl":{next}}}"#),
        )
    }

    async fn find(
        server: &Server,
        by: KeyedBy<'_>,
        keys: &[&str],
    ) -> Result<Vec<String>, BulkError> {
        let keys: Vec<String> = keys.iter().map(|key| (*key).to_owned()).collect();
        let found = server.client().await.records_by_key(by, &keys).await?;
        let shown = |record: KeyedRecord| format!("{} {}", record.id, record.key);
        Ok(found.into_iter().map(shown).collect())
    }

    #[tokio::test]
    async fn records_of_all_pages_by_quoted_keys() {
        let server = Server::start().await;
        let query = r"SELECT Id, Ext__c, CreatedById, CreatedDate FROM Contact WHERE Ext__c IN ('A\'1','b\\')";
        let next = "\"/services/data/v62.0/query/01gX-2000\"";
        server.on(
            &route(query),
            [reply(503, ""), page(&[record("003A", "\"A'1\"")], next)],
        );
        let second = "GET /services/data/v62.0/query/01gX-2000";
        server.on(second, [page(&[record("003B", "\"B\\\\\"")], "null")]);
        let found = find(&server, BY, &["A'1", "b\\"]).await.unwrap();
        assert_eq!(found, ["003A A'1", "003B B\\"]);
        server.on(second, [page(&[], next)]);
        let error = find(&server, BY, &["A'1", "b\\"]).await.unwrap_err();
        assert!(error.to_string().contains("go in a circle"), "{error}");
    }

    #[tokio::test]
    async fn records_that_are_there_by_their_ids() {
        let server = Server::start().await;
        let query = "SELECT Id FROM Contact WHERE Id IN ('003A','003B')";
        server.on(
            &route(query),
            [reply(200, r#"{"done":true,"records":[{"Id":"003B"}]}"#)],
        );
        let client = server.client().await;
        let ids = ["003A", "003B"].map(str::to_owned);
        let found = client.records_by_id("Contact", &ids).await.unwrap();
        assert_eq!(found, ["003B"]);
        assert!(client.records_by_id("Contact--", &ids).await.is_err());
    }

    #[tokio::test]
    async fn values_of_records_and_their_parents() {
        let server = Server::start().await;
        let query = "SELECT Id, Account.Ext__c, Amount, Done FROM Contact WHERE Ext__c IN ('a')";
        let record =
            r#"{"Id":"003A","Account":{"attributes":{},"EXT__c":"p"},"Amount":2.50,"Done":true}"#;
        let orphan = r#"{"Id":"003B","Account":null,"Amount":null,"Done":false}"#;
        server.on(
            &route(query),
            [page(&[record.to_owned(), orphan.to_owned()], "null")],
        );
        let client = server.client().await;
        let columns = ["Id", "Account.Ext__c", "Amount", "Done"].map(str::to_owned);
        let keys = ["a".to_owned()];
        let found = client.values_by_key(BY, &keys, &columns).await.unwrap();
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(
            found,
            [
                [text("003A"), text("p"), text("2.50"), text("true")].to_vec(),
                [text("003B"), None, None, text("false")].to_vec(),
            ]
        );
        let wrong = ["Id) FROM X".to_owned()];
        assert!(client.values_by_key(BY, &keys, &wrong).await.is_err());
    }

    #[tokio::test]
    async fn numbers_are_bare() {
        let server = Server::start().await;
        let by = KeyedBy {
            numeric: true,
            ..BY
        };
        let query = "SELECT Id, Ext__c, CreatedById, CreatedDate FROM Contact WHERE Ext__c IN (12)";
        server.on(&route(query), [page(&[record("003A", "12.0")], "null")]);
        let found = find(&server, by, &["12", "1) OR (Id != null", "NaN"])
            .await
            .unwrap();
        assert_eq!(found, ["003A 12.0"]);
        assert!(find(&server, by, &["x"]).await.unwrap().is_empty());
        assert!(
            find(
                &server,
                KeyedBy {
                    field: "Id) OR (Id",
                    ..BY
                },
                &["x"]
            )
            .await
            .is_err()
        );
    }

    #[test]
    fn addresses_stay_short() {
        let keys: Vec<String> = (0..1_000).map(|n| format!("'{n:020}'")).collect();
        let parts = groups(&keys, KEY_BYTES);
        assert!(parts.len() > 4, "{}", parts.len());
        assert_eq!(parts.concat(), keys);
        let long = vec!["é".repeat(4_000); 3];
        assert_eq!(groups(&long, KEY_BYTES).len(), 3);
        assert!(groups(&[], KEY_BYTES).is_empty());
    }

    #[test]
    fn texts_are_quoted() {
        assert_eq!(
            quoted("a'b\\c\"\n\r\t\u{8}\u{c}é"),
            r#"'a\'b\\c\"\n\r\t\b\fé'"#
        );
    }
}
