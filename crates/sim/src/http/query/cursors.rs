//! What queries found, kept for their further pages.

use std::collections::{HashMap, VecDeque};

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Value, json};

use crate::error::ApiError;
use crate::org::records::{self, Record};
use crate::org::{Kind, Object, Schema, id};
use crate::soql::{Found, Query, What};

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
    object: String,
    id: Option<usize>,
    columns: Vec<(String, Kind)>,
    /// The paths of parents, whose Ids follow that of the record.
    parents: Vec<String>,
    /// By key prefix, the names of objects, if there are parents.
    objects: HashMap<String, String>,
    found: Found,
}

impl Cursor {
    pub(super) fn new(
        (query, schema): (&Query, &Schema),
        found: Found,
        version: String,
        resource: &'static str,
        page: usize,
    ) -> Cursor {
        let object: &Object = &query.object;
        let column = |field: &usize| {
            (
                object.fields[*field].name.clone(),
                object.fields[*field].kind,
            )
        };
        let (object_name, columns, id) = match &query.what {
            What::Fields(fields) => {
                // The last value of a row: see `Found::rows`.
                let id = Some(fields.len());
                (object.name.clone(), fields.iter().map(column).collect(), id)
            }
            What::Count => (object.name.clone(), Vec::new(), None),
            What::Totals(totals) => {
                let columns = totals.iter();
                let columns = columns.map(|total| (total.name.clone(), total.kind(object)));
                ("AggregateResult".to_owned(), columns.collect(), None)
            }
        };
        let parents: Vec<String> = query.parents.iter().map(|(path, _)| path.clone()).collect();
        let known = schema.objects.iter().filter(|_| !parents.is_empty());
        let known = known.map(|object| (object.key_prefix.clone(), object.name.clone()));
        Cursor {
            version,
            resource,
            page,
            objects: known.collect(),
            parents,
            object: object_name,
            id,
            columns,
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
        let own = self.id.and_then(|id| row.get(id)).cloned().flatten();
        let attributes = match own {
            Some(own) => attributes(&self.version, &self.object, &own),
            None => json!({"type": self.object}),
        };
        let mut shown = vec![("attributes".to_owned(), attributes)];
        for ((name, kind), value) in self.columns.iter().zip(row) {
            let value = value.as_deref();
            let value = value.map_or(Value::Null, |text| records::json(*kind, text));
            let Some((relation, _)) = name.split_once('.').filter(|_| self.id.is_some()) else {
                shown.push((name.clone(), value));
                continue;
            };
            let at = shown.iter().position(|(known, _)| known == relation);
            let at = at.unwrap_or_else(|| {
                shown.push((relation.to_owned(), self.parent(relation, row)));
                shown.len() - 1
            });
            self.put(&mut shown[at].1, relation.len(), name, value, row);
        }
        Shown(shown)
    }

    /// What a record says of a parent, by its path; null if it has none.
    fn parent(&self, path: &str, row: &Record) -> Value {
        let id = self.parents.iter().position(|known| known == path);
        let id = id.zip(self.id).and_then(|(at, own)| row.get(own + 1 + at));
        let Some(id) = id.cloned().flatten() else {
            return Value::Null;
        };
        let name = id.get(..3).and_then(|prefix| self.objects.get(prefix));
        let name = name.map_or("Name", String::as_str);
        json!({"attributes": attributes(&self.version, name, &id)})
    }

    /// Puts a value into a parent. `read` letters of its path lead there.
    fn put(&self, parent: &mut Value, read: usize, path: &str, value: Value, row: &Record) {
        let Value::Object(fields) = parent else {
            return;
        };
        let rest = &path[read + 1..];
        let Some((relation, _)) = rest.split_once('.') else {
            fields.insert(rest.to_owned(), value);
            return;
        };
        let read = read + 1 + relation.len();
        let next = fields.entry(relation);
        let next = next.or_insert_with(|| self.parent(&path[..read], row));
        self.put(next, read, path, value, row);
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
pub(super) struct Shown(pub(super) Vec<(String, Value)>);

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
