//! Which records of the org the rows of an upsert would meet.

use std::collections::HashMap;

use arrow_salesforce::Error;
use arrow_salesforce::bulk::KeyedBy;
use arrow_salesforce::coerce::{Key, KeyForm};
use arrow_salesforce::rows::KeyMap;

use crate::commands::prepare::Prepared;
use crate::error::Result;
use crate::watch::Watch;
use crate::watch::numbers::{count, counted};

/// Bytes of keys that a query takes.
const QUERY_BYTES: u64 = 6_000;
/// Records on a page of a query.
const PAGE: u64 = 2_000;
/// Keys that are asked for between two looks at what was found.
const ASKED: usize = 10_000;

/// The keys of all rows.
#[derive(Debug, Default)]
pub(super) struct Keys {
    /// Rows of each key.
    rows: KeyMap<u64>,
    distinct: Vec<String>,
    bytes: u64,
    buffer: String,
}

/// What the org has of them.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Found {
    /// Rows that would create a record.
    pub(super) creates: u64,
    /// Rows that would change one.
    pub(super) updates: u64,
    /// Rows whose key several records have: Salesforce refuses them.
    pub(super) ambiguous: u64,
}

impl Keys {
    /// Adds the key of a row.
    pub(super) fn add(&mut self, key: &Key, cell: &str) {
        let digest = key.form.digest(cell, &mut self.buffer);
        let rows = self.rows.entry(digest).or_default();
        *rows += 1;
        if *rows == 1 {
            self.bytes += cell.len() as u64 + 3;
            self.distinct.push(cell.to_owned());
        }
    }

    /// Asks the org for them in the way that takes fewer calls: those keys, or all that there are.
    pub(super) async fn ask(&self, prepared: &Prepared, key: &Key, watch: &Watch) -> Result<Found> {
        let field = prepared.spec.upsert.as_deref().unwrap_or_default();
        let by = KeyedBy {
            object: &prepared.object.name,
            field,
            numeric: matches!(key.form, KeyForm::Number { .. }),
        };
        let client = prepared.org.client();
        let by_key = self.bytes.div_ceil(QUERY_BYTES);
        let there = client.record_count(by.object).await.ok();
        let by_page = there.map(|there| there.div_ceil(PAGE).max(1));
        let mut records: KeyMap<u64> = HashMap::default();
        let mut buffer = String::new();
        let mut note = |found: &str| {
            *records
                .entry(key.form.digest(found, &mut buffer))
                .or_default() += 1;
        };
        match by_page {
            Some(by_page) if by_page < by_key => {
                let calls = counted(by_page, "API call");
                let field = by.field;
                watch.say(&format!("asking the org for all keys of {field}: {calls}"));
                for found in client.all_keys(by).await.map_err(Error::from)? {
                    note(&found);
                }
            }
            _ => {
                let (keys, calls) = (
                    count(self.distinct.len() as u64),
                    counted(by_key, "API call"),
                );
                watch.say(&format!("asking the org for {keys} keys: about {calls}"));
                for keys in self.distinct.chunks(ASKED) {
                    let found = client.records_by_key(by, keys).await.map_err(Error::from)?;
                    found.iter().for_each(|record| note(&record.key));
                }
            }
        }
        Ok(self.meet(&records))
    }

    /// What becomes of the rows, where so many records have each key.
    fn meet(&self, records: &KeyMap<u64>) -> Found {
        let mut found = Found::default();
        for (key, rows) in &self.rows {
            match records.get(key).copied().unwrap_or_default() {
                // The first row creates it, the others change that.
                0 => {
                    found.creates += 1;
                    found.updates += rows - 1;
                }
                1 => found.updates += rows,
                _ => found.ambiguous += rows,
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_create_change_or_are_ambiguous() {
        let key = Key {
            column: 0,
            form: KeyForm::Text { ignore_case: true },
        };
        let mut keys = Keys::default();
        for cell in ["new", "NEW", "old", "twice", "twice"] {
            keys.add(&key, cell);
        }
        assert_eq!(keys.distinct, ["new", "old", "twice"]);
        let mut records: KeyMap<u64> = HashMap::default();
        let mut buffer = String::new();
        for (cell, count) in [("Old", 1), ("TWICE", 2)] {
            records.insert(key.form.digest(cell, &mut buffer), count);
        }
        let met = Found {
            creates: 1,
            updates: 2,
            ambiguous: 2,
        };
        assert_eq!(keys.meet(&records), met);
    }
}
