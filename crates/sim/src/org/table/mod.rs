//! The records of one object: for each, the row of the upload that it came from instead of a copy
//! of its values, and indexes of keys.

mod index;
mod saved;
mod times;
mod upload;

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use chrono::{DateTime, SubsecRound, Utc};
use serde::{Deserialize, Serialize};

use self::index::{Index, MAX_RECORDS};
use self::times::Times;
use self::upload::{is_key, value_digest};
use crate::csv::{self, File};
use crate::org::columns::Column;
use crate::org::{Field, Object, id, value};

pub(crate) use self::index::Found;
pub(crate) use self::saved::{Fingerprint, Place, Saved};
pub(crate) use self::upload::{Entry, Stored, Upload, key_digest};

/// The row that a record, or a change of it, came from.
#[derive(Debug, Clone, Copy)]
struct Origin {
    upload: u32,
    row: u32,
}

/// Who wrote rows, and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stamp {
    /// The Id of the user.
    pub(crate) user: String,
    /// In whole seconds, as records show it.
    pub(crate) at: DateTime<Utc>,
}

impl Stamp {
    /// Now.
    pub(crate) fn now(user: &str) -> Stamp {
        let now = Utc::now();
        Stamp {
            user: user.to_owned(),
            at: now.trunc_subsecs(0),
        }
    }
}

/// The records of one object.
#[derive(Debug)]
pub(crate) struct Table {
    object: Arc<Object>,
    /// Differs from that of the table before a reset.
    generation: u64,
    /// Uploads are kept; otherwise only digests and keys of rows.
    keep: bool,
    uploads: Vec<(Arc<Upload>, Stamp)>,
    origins: Vec<Origin>,
    digests: Vec<u64>,
    changes: HashMap<u32, Vec<Origin>>,
    /// Records in the recycle bin.
    deleted: HashSet<u32>,
    /// Records deleted for good.
    purged: HashSet<u32>,
    indexes: BTreeMap<usize, Index>,
    times: Times,
}

static GENERATIONS: AtomicU64 = AtomicU64::new(0);

impl Table {
    /// An empty table.
    pub(crate) fn new(object: Arc<Object>, keep: bool) -> Table {
        let indexed = |field: &&(usize, &Field)| {
            is_key(field.1) && (keep || field.1.external_id || field.1.unique)
        };
        let fields = object.fields.iter().enumerate();
        let indexes = fields
            .collect::<Vec<_>>()
            .iter()
            .filter(indexed)
            .map(|(index, _)| (*index, Index::new()))
            .collect();
        Table {
            object,
            generation: GENERATIONS.fetch_add(1, Ordering::Relaxed),
            keep,
            uploads: Vec::new(),
            origins: Vec::new(),
            digests: Vec::new(),
            changes: HashMap::new(),
            deleted: HashSet::new(),
            purged: HashSet::new(),
            indexes,
            times: Times::default(),
        }
    }

    /// Adds records from CSV whose columns are fields.
    ///
    /// # Errors
    /// If the CSV is malformed, or a column is no field.
    pub(crate) fn seed(&mut self, records: &str, stamp: Stamp) -> Result<(), String> {
        let file = File::parse(records.to_owned(), b',', false).map_err(|file| file.reason)?;
        let mut header = Vec::new();
        csv::split(file.header(), b',', &mut header);
        let columns = header
            .iter()
            .map(|name| self.object.field(name).map(Column::Field))
            .collect::<Option<_>>()
            .ok_or("the records of the org have a column that is no field")?;
        let upload = Arc::new(Upload { file, columns });
        self.enter(Utc::now().timestamp_millis());
        let number = self.add_upload(&upload, stamp);
        let mut values = Vec::new();
        for row in 0..upload.file.rows() {
            upload.file.split(row, &mut values);
            for (at, (column, value)) in upload.columns.iter().zip(&values).enumerate() {
                if let Column::Field(field) = column
                    && !value.is_empty()
                {
                    value::check(&self.object.fields[*field], at, value)
                        .map_err(|error| format!("row {}: {error}", row + 1))?;
                }
            }
            let entry = Entry::new(&self.object, &upload, number, row, &values);
            self.insert(&entry)
                .map_err(|error| format!("row {}: {error}", row + 1))?;
        }
        Ok(())
    }

    /// What is written from now on is written at a moment, in milliseconds since 1970. Returns it;
    /// the last one, if that is later.
    pub(crate) fn enter(&mut self, ms: i64) -> i64 {
        self.times.enter(ms)
    }

    /// When a record was created and when it was written last, in milliseconds since 1970. With
    /// `forget` nothing is known of changes.
    pub(crate) fn times(&self, number: u32) -> (i64, i64) {
        self.times.of(number)
    }

    /// Differs from that of the table before a reset.
    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    /// Registers an upload before its rows are written. The number is for [`Entry`].
    pub(crate) fn add_upload(&mut self, upload: &Arc<Upload>, stamp: Stamp) -> u32 {
        if !self.keep {
            return 0;
        }
        self.uploads.push((Arc::clone(upload), stamp));
        u32::try_from(self.uploads.len() - 1).unwrap_or(u32::MAX)
    }

    /// How many records there are, without deleted ones.
    pub(crate) fn len(&self) -> usize {
        self.digests.len() - self.deleted.len() - self.purged.len()
    }

    /// How many records there are, identical ones counted once.
    pub(crate) fn distinct(&self) -> usize {
        let mut digests: Vec<u64> = self
            .live()
            .map(|number| self.digests[number as usize])
            .collect();
        digests.sort_unstable();
        digests.dedup();
        digests.len()
    }

    /// The numbers of all records, in the order of their insertion.
    pub(crate) fn live(&self) -> impl Iterator<Item = u32> + '_ {
        (0..self.total()).filter(|number| self.is_live(*number))
    }

    /// Whether a record is there, not deleted.
    pub(crate) fn is_live(&self, number: u32) -> bool {
        !self.deleted.contains(&number) && !self.purged.contains(&number)
    }

    /// The name of a field.
    pub(crate) fn field_name(&self, field: usize) -> &str {
        &self.object.fields[field].name
    }

    /// How many records there were ever: the number after the last one's.
    pub(crate) fn total(&self) -> u32 {
        u32::try_from(self.digests.len()).unwrap_or(u32::MAX)
    }

    /// Whether a record is in the recycle bin; nothing if it is gone for good.
    pub(crate) fn is_in_bin(&self, number: u32) -> Option<bool> {
        let exists = number < self.total() && !self.purged.contains(&number);
        exists.then(|| self.deleted.contains(&number))
    }

    /// The numbers of the records in the recycle bin, in no order.
    pub(crate) fn recycled(&self) -> impl Iterator<Item = u32> + '_ {
        self.deleted.iter().copied()
    }

    /// The Id of a record.
    pub(crate) fn id(&self, number: u32) -> String {
        id::make(&self.object.key_prefix, number)
    }

    /// Finds a record by its Id.
    pub(crate) fn by_id(&self, value: &str) -> Option<u32> {
        let normal = id::normal(value)?;
        let number = id::number(&self.object.key_prefix, &normal)?;
        ((number as usize) < self.digests.len() && self.is_live(number)).then_some(number)
    }

    /// Whether the record of an Id is in the recycle bin.
    pub(crate) fn is_deleted(&self, value: &str) -> bool {
        id::normal(value)
            .and_then(|normal| id::number(&self.object.key_prefix, &normal))
            .is_some_and(|number| self.deleted.contains(&number))
    }

    /// Finds records by the digest of a key.
    pub(crate) fn by_key(&self, field: usize, digest: u64) -> Found {
        let index = self.indexes.get(&field);
        match index.map_or(Found::Nothing, |index| index.find(digest)) {
            Found::Several if self.keep => self.search(field, digest),
            found => found,
        }
    }

    /// Searches all records: an index does not forget that several records had a key once.
    fn search(&self, field: usize, digest: u64) -> Found {
        let described = &self.object.fields[field];
        let has_key = |number: &u32| {
            self.value(*number, field)
                .is_some_and(|value| key_digest(described, &value) == digest)
        };
        let mut found = self.live().filter(has_key);
        match (found.next(), found.next()) {
            (None, _) => Found::Nothing,
            (Some(only), None) => Found::One(only),
            (Some(_), Some(_)) => Found::Several,
        }
    }

    /// Adds a record.
    ///
    /// # Errors
    /// If it would repeat a unique key.
    pub(crate) fn insert(&mut self, entry: &Entry) -> Result<u32, String> {
        self.check_unique(entry, None)?;
        let number = u32::try_from(self.digests.len())
            .ok()
            .filter(|&number| number < MAX_RECORDS)
            .ok_or("STORAGE_LIMIT_EXCEEDED:storage limit exceeded:--")?;
        self.digests.push(entry.digest);
        if self.keep {
            self.origins.push(Origin {
                upload: entry.upload,
                row: entry.row,
            });
        }
        self.times.create(number);
        self.index(number, entry);
        Ok(number)
    }

    /// Changes a record by the values of a row that are not empty.
    ///
    /// # Errors
    /// If it would repeat a unique key.
    pub(crate) fn change(&mut self, number: u32, entry: &Entry) -> Result<(), String> {
        self.check_unique(entry, Some(number))?;
        if !self.keep {
            self.digests[number as usize] = entry.digest;
            return Ok(());
        }
        self.times.change(number);
        let before = self.values(number);
        for &(field, digest) in &entry.keys {
            let Some(Stored::Text(old)) = before.get(&field) else {
                continue;
            };
            let old = key_digest(&self.object.fields[field], old);
            if Some(old) != digest {
                self.unindex(number, field, old);
            }
        }
        let origin = Origin {
            upload: entry.upload,
            row: entry.row,
        };
        self.changes.entry(number).or_default().push(origin);
        self.digests[number as usize] = self.merged_digest(number);
        self.index(number, entry);
        Ok(())
    }

    /// Deletes a record, for good or into the recycle bin.
    pub(crate) fn delete(&mut self, number: u32, for_good: bool) {
        for (field, stored) in self.values(number) {
            if let Stored::Text(text) = stored {
                self.unindex(number, field, key_digest(&self.object.fields[field], &text));
            }
        }
        if for_good {
            self.purged.insert(number);
        } else {
            self.deleted.insert(number);
        }
    }

    fn check_unique(&self, entry: &Entry, own: Option<u32>) -> Result<(), String> {
        for &(field, digest) in &entry.keys {
            let described = &self.object.fields[field];
            let (true, Some(digest)) = (described.unique, digest) else {
                continue;
            };
            let Found::One(other) = self.by_key(field, digest) else {
                continue;
            };
            if Some(other) != own {
                return Err(format!(
                    "DUPLICATE_VALUE:duplicate value found: {} duplicates value on record with \
                     id: {}:--",
                    described.name,
                    self.id(other)
                ));
            }
        }
        Ok(())
    }

    fn index(&mut self, number: u32, entry: &Entry) {
        for (field, digest) in &entry.keys {
            if let (Some(index), Some(digest)) = (self.indexes.get_mut(field), digest) {
                index.add(*digest, number);
            }
        }
    }

    fn unindex(&mut self, number: u32, field: usize, digest: u64) {
        if let Some(index) = self.indexes.get_mut(&field) {
            index.remove(digest, number);
        }
    }

    fn merged_digest(&self, number: u32) -> u64 {
        self.values(number).iter().fold(0, |sum, (field, stored)| {
            sum.wrapping_add(match stored {
                Stored::Text(text) | Stored::Lookup { text, .. } => value_digest(*field, text),
                Stored::Null => value_digest(*field, "#N/A"),
            })
        })
    }

    /// The values of a record by field: those of its first row, overwritten by each change.
    pub(crate) fn values(&self, number: u32) -> BTreeMap<usize, Stored> {
        let mut stored = BTreeMap::new();
        let first = self.origins.get(number as usize);
        let changes = self.changes.get(&number).map_or(&[][..], Vec::as_slice);
        let mut values = Vec::new();
        for origin in first.into_iter().chain(changes) {
            let (upload, _) = &self.uploads[origin.upload as usize];
            upload.file.split(origin.row as usize, &mut values);
            for (column, value) in upload.columns.iter().zip(&values) {
                if !value.is_empty() {
                    stored.insert(column.field(), Stored::of(&self.object, column, value));
                }
            }
        }
        stored
    }

    /// Who created a record and when, and who changed it last. Nothing if that was forgotten.
    pub(crate) fn stamps(&self, number: u32) -> Option<[&Stamp; 2]> {
        let stamp = |origin: &Origin| &self.uploads[origin.upload as usize].1;
        let first = self.origins.get(number as usize)?;
        let last = self.changes.get(&number).and_then(|changes| changes.last());
        Some([stamp(first), stamp(last.unwrap_or(first))])
    }

    /// The text of one field of a record.
    pub(crate) fn value(&self, number: u32, field: usize) -> Option<String> {
        if self.changes.contains_key(&number) {
            return match self.values(number).remove(&field) {
                Some(Stored::Text(text) | Stored::Lookup { text, .. }) => Some(text),
                _ => None,
            };
        }
        let origin = self.origins.get(number as usize)?;
        let (upload, _) = &self.uploads[origin.upload as usize];
        let position = upload.position(field)?;
        let mut values: Vec<Cow<'_, str>> = Vec::new();
        upload.file.split(origin.row as usize, &mut values);
        let value = values.get(position).filter(|value| !value.is_empty())?;
        value::stored(&self.object.fields[field], value).map(Cow::into_owned)
    }
}
