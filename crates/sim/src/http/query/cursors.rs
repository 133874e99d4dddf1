//! What queries found, kept for their further pages.

use std::collections::VecDeque;

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Value, json};

use crate::error::ApiError;
use crate::org::id;
use crate::org::records::{self, Record};
use crate::soql::{Found, Part, Query, What};

/// How many queries with further pages are remembered.
const KEPT: usize = 100;
/// Key prefix of the locators.
const LOCATORS: &str = "01g";
/// Letters of a locator before the number of the record.
const LOCATOR_LETTERS: usize = 18;

/// What a query found, as its pages show it.
#[derive(Debug)]
pub(super) struct Cursor {
    pub(super) version: String,
    /// `query` or `queryAll`.
    pub(super) resource: &'static str,
    /// Records on a page.
    pub(super) page: usize,
    query: Query,
    /// What the records of the page hold; nothing if they are no records.
    parts: Vec<Part>,
    found: Found,
}

impl Cursor {
    pub(super) fn new(
        query: Query,
        found: Found,
        version: String,
        resource: &'static str,
        page: usize,
    ) -> Cursor {
        let parts = match &query.what {
            What::Fields(fields) => query.columns().parts(fields),
            What::Count | What::Totals(_) => Vec::new(),
        };
        Cursor {
            version,
            resource,
            page,
            query,
            parts,
            found,
        }
    }

    /// The page from a record on, with the locator of the next one.
    fn page(&self, number: u32, first: usize) -> Page {
        let rows = &self.found.rows;
        let end = rows.len().min(first.saturating_add(self.page));
        let records = rows[first.min(end)..end].iter();
        let next = (end < rows.len()).then(|| {
            let Cursor {
                version, resource, ..
            } = self;
            let locator = id::make(LOCATORS, number);
            format!("/services/data/{version}/{resource}/{locator}-{end}")
        });
        Page {
            total_size: self.found.total,
            done: next.is_none(),
            next_records_url: next,
            records: records.map(|row| self.shown(row)).collect(),
        }
    }

    fn shown(&self, row: &Record) -> Shown {
        match &self.query.what {
            What::Fields(fields) => {
                let (values, ids) = row.split_at(fields.len());
                let [own, parents @ ..] = ids else {
                    return Shown(Vec::new());
                };
                let object = &self.query.object.name;
                let own = own.as_deref().unwrap_or_default();
                let about = attributes(&self.version, object, own);
                self.record(about, &self.parts, values, parents)
            }
            What::Count => Shown(Vec::new()),
            What::Totals(totals) => {
                let about = json!({"type": "AggregateResult"});
                let counts = totals.iter().zip(row).map(|(total, value)| {
                    let kind = total.kind(self.query.columns());
                    let value = value.as_deref();
                    let value = value.map_or(Value::Null, |text| records::json(kind, text));
                    (total.name.clone(), Cell::Value(value))
                });
                let about = [("attributes".to_owned(), Cell::Value(about))];
                Shown(about.into_iter().chain(counts).collect())
            }
        }
    }

    /// A record, or a parent of it: what it says of itself, then its parts.
    fn record(
        &self,
        about: Value,
        parts: &[Part],
        values: &[Option<String>],
        ids: &[Option<String>],
    ) -> Shown {
        let columns = self.query.columns();
        let mut shown = vec![("attributes".to_owned(), Cell::Value(about))];
        for part in parts {
            shown.push(match part {
                Part::Field(place, column) => {
                    let field = columns.field(*column);
                    let value = values[*place].as_deref();
                    let value = value.map_or(Value::Null, |text| records::json(field.kind, text));
                    (field.name.clone(), Cell::Value(value))
                }
                Part::Parent(relation, parts) => {
                    let name = columns.relation(*relation).to_owned();
                    let parent = ids[*relation].as_deref().map(|id| {
                        let (seen, object) = columns.kind(*relation, id);
                        let mut about = attributes(&self.version, object, id);
                        about["type"] = json!(seen);
                        self.record(about, parts, values, ids)
                    });
                    (name, parent.map_or(Cell::Value(Value::Null), Cell::Record))
                }
            });
        }
        Shown(shown)
    }
}

/// A page of records.
#[derive(Debug, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Page {
    pub(super) total_size: usize,
    pub(super) done: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) next_records_url: Option<String>,
    pub(super) records: Vec<Shown>,
}

/// A record with its fields in the order in which they were asked for, as Salesforce has them.
#[derive(Debug)]
pub(super) struct Shown(pub(super) Vec<(String, Cell)>);

/// What a record holds: a value, or a parent.
#[derive(Debug, serde::Serialize)]
#[serde(untagged)]
pub(super) enum Cell {
    Value(Value),
    Record(Shown),
}

impl Serialize for Shown {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

/// What a record says of itself.
pub(super) fn attributes(version: &str, object: &str, id: &str) -> Value {
    let url = format!("/services/data/{version}/sobjects/{object}/{id}");
    json!({"type": object, "url": url})
}

/// The queries that have further pages: the latest of them, with their numbers.
#[derive(Debug, Default)]
pub(crate) struct Cursors {
    made: u32,
    kept: VecDeque<(u32, Cursor)>,
}

impl Cursors {
    /// The first page of what a query found, which is kept if there are more.
    pub(super) fn first(&mut self, cursor: Cursor) -> Page {
        self.made += 1;
        let page = cursor.page(self.made, 0);
        if !page.done {
            self.kept.push_back((self.made, cursor));
        }
        if self.kept.len() > KEPT {
            self.kept.pop_front();
        }
        page
    }

    /// A further page.
    ///
    /// # Errors
    /// `INVALID_QUERY_LOCATOR`.
    pub(super) fn more(&self, locator: &str) -> Result<Page, ApiError> {
        let found = || {
            let (locator, first) = locator.split_once('-')?;
            let normal = id::normal(locator).filter(|_| locator.len() == LOCATOR_LETTERS)?;
            let number = id::number(LOCATORS, &normal)?;
            let kept = self.kept.iter().find(|(known, _)| *known == number)?;
            Some(kept.1.page(number, first.parse().ok()?))
        };
        found().ok_or_else(|| ApiError::new(400, "INVALID_QUERY_LOCATOR", "invalid query locator"))
    }

    /// Forgets all queries.
    pub(crate) fn clear(&mut self) {
        self.kept.clear();
    }
}
