//! What the org holds of one object: which row of which upload each record came from, never a
//! copy of its values, and the indexes of its keys.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use xxhash_rust::xxh3::xxh3_64;

use super::columns::Column;
use super::csv::File;
use super::id;
use super::index::{Found, Index, MAX_RECORDS};
use super::org::{Field, Object};
use super::validate;

/// An uploaded file and what its columns write.
#[derive(Debug)]
pub(crate) struct Upload {
    pub(crate) file: File,
    pub(crate) columns: Vec<Column>,
}

impl Upload {
    /// The position of the column that writes a field directly.
    pub(crate) fn position(&self, field: usize) -> Option<usize> {
        self.columns
            .iter()
            .position(|column| *column == Column::Field(field))
    }
}

/// Digest of a key's normal form. Two of ten million keys share one with odds of 1 to 400,000.
pub(crate) fn key_digest(field: &Field, value: &str) -> u64 {
    xxh3_64(validate::key(field, value).as_bytes())
}

/// Whether values of a field are looked up by other rows.
fn is_key(field: &Field) -> bool {
    field.name != "Id" && (field.external_id || field.unique || field.id_lookup)
}

/// A row that passed its checks: what the table needs of it.
#[derive(Debug)]
pub(crate) struct Entry {
    /// Number of the upload in this table.
    pub(crate) upload: u32,
    /// Row in the upload.
    pub(crate) row: u32,
    /// Digest of all values.
    pub(crate) digest: u64,
    /// Digests of the key fields that have a value, nothing for those that are cleared.
    pub(crate) keys: Vec<(usize, Option<u64>)>,
}

impl Entry {
    /// What a table needs of a row with these values.
    pub(crate) fn new(
        object: &Object,
        upload: &Upload,
        number: u32,
        row: usize,
        values: &[Cow<'_, str>],
    ) -> Entry {
        let mut entry = Entry {
            upload: number,
            row: u32::try_from(row).unwrap_or(u32::MAX),
            digest: 0,
            keys: Vec::new(),
        };
        for (column, value) in upload.columns.iter().zip(values) {
            if value.is_empty() {
                continue;
            }
            let index = column.field();
            let field = &object.fields[index];
            let direct = *column == Column::Field(index);
            let held = direct.then(|| validate::stored(field, value)).flatten();
            let held = held.as_deref().unwrap_or(value);
            entry.digest = entry.digest.wrapping_add(value_digest(index, held));
            if direct && is_key(field) {
                let digest = (!validate::is_null(value)).then(|| key_digest(field, value));
                entry.keys.push((index, digest));
            }
        }
        entry
    }
}

#[derive(Debug, Clone, Copy)]
struct Place {
    upload: u32,
    row: u32,
}

/// A value as the org holds it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Held {
    Text(String),
    Null,
    /// A lookup by another field of the parent.
    Lookup {
        parent: String,
        by: usize,
        text: String,
    },
}

impl Held {
    /// What the org holds of a value that a column wrote.
    pub(crate) fn of(object: &Object, column: &Column, value: &str) -> Held {
        match column {
            _ if validate::is_null(value) => Held::Null,
            Column::Field(field) => validate::stored(&object.fields[*field], value)
                .map_or(Held::Null, |stored| Held::Text(stored.into_owned())),
            Column::Lookup { parent, by, .. } => Held::Lookup {
                parent: parent.clone(),
                by: *by,
                text: value.to_owned(),
            },
        }
    }
}

/// The records of one object.
#[derive(Debug)]
pub(crate) struct Table {
    object: Arc<Object>,
    /// Tells this table from the one before a reset.
    generation: u64,
    /// Rows are kept; otherwise only their digests and keys.
    keep: bool,
    uploads: Vec<Arc<Upload>>,
    places: Vec<Place>,
    digests: Vec<u64>,
    changes: HashMap<u32, Vec<Place>>,
    /// Records in the recycle bin.
    deleted: HashSet<u32>,
    /// Records deleted for good.
    purged: HashSet<u32>,
    indexes: BTreeMap<usize, Index>,
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
            places: Vec::new(),
            digests: Vec::new(),
            changes: HashMap::new(),
            deleted: HashSet::new(),
            purged: HashSet::new(),
            indexes,
        }
    }

    /// Adds records from CSV whose columns are fields.
    pub(crate) fn seed(&mut self, records: &str) -> Result<(), String> {
        let file = File::parse(records.to_owned(), b',', false).map_err(|file| file.reason)?;
        let mut header = Vec::new();
        super::csv::split(file.header(), b',', &mut header);
        let columns = header
            .iter()
            .map(|name| self.object.field(name).map(Column::Field))
            .collect::<Option<_>>()
            .ok_or("the records of the org have a column that is no field")?;
        let upload = Arc::new(Upload { file, columns });
        let number = self.add_upload(&upload);
        let mut values = Vec::new();
        for row in 0..upload.file.rows() {
            upload.file.split(row, &mut values);
            let entry = Entry::new(&self.object, &upload, number, row, &values);
            self.insert(&entry)?;
        }
        Ok(())
    }

    /// Tells this table from the one before a reset.
    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    /// Registers an upload whose rows are about to be written; its number is for `Entry`.
    pub(crate) fn add_upload(&mut self, upload: &Arc<Upload>) -> u32 {
        if !self.keep {
            return 0;
        }
        self.uploads.push(Arc::clone(upload));
        u32::try_from(self.uploads.len() - 1).unwrap_or(u32::MAX)
    }

    /// Records that are there, the deleted left out.
    pub(crate) fn count(&self) -> usize {
        self.digests.len() - self.deleted.len() - self.purged.len()
    }

    /// Records whose values differ from all others'.
    pub(crate) fn distinct(&self) -> usize {
        let mut digests: Vec<u64> = self
            .live()
            .map(|number| self.digests[number as usize])
            .collect();
        digests.sort_unstable();
        digests.dedup();
        digests.len()
    }

    /// Numbers of all records in the order of their insertion.
    pub(crate) fn live(&self) -> impl Iterator<Item = u32> + '_ {
        let end = u32::try_from(self.digests.len()).unwrap_or(u32::MAX);
        (0..end).filter(|number| self.is_live(*number))
    }

    fn is_live(&self, number: u32) -> bool {
        !self.deleted.contains(&number) && !self.purged.contains(&number)
    }

    /// Numbers of the records in the recycle bin, in no order.
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

    /// Whether an Id was once given and its record deleted.
    pub(crate) fn is_deleted(&self, value: &str) -> bool {
        id::normal(value)
            .and_then(|normal| id::number(&self.object.key_prefix, &normal))
            .is_some_and(|number| self.deleted.contains(&number))
    }

    /// Finds records by the digest of a key.
    pub(crate) fn by_key(&self, field: usize, digest: u64) -> Found {
        let index = self.indexes.get(&field);
        match index.map_or(Found::Nothing, |index| index.find(digest)) {
            Found::Several if self.keep => self.count_again(field, digest),
            found => found,
        }
    }

    /// Looks at all records, since an index does not forget that a key was once several records'.
    fn count_again(&self, field: usize, digest: u64) -> Found {
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

    /// Adds a record; an error if it would repeat a unique key.
    pub(crate) fn insert(&mut self, entry: &Entry) -> Result<u32, String> {
        self.check_unique(entry, None)?;
        let number = u32::try_from(self.digests.len())
            .ok()
            .filter(|&number| number < MAX_RECORDS)
            .ok_or("STORAGE_LIMIT_EXCEEDED:storage limit exceeded:--")?;
        self.digests.push(entry.digest);
        if self.keep {
            self.places.push(Place {
                upload: entry.upload,
                row: entry.row,
            });
        }
        self.index(number, entry);
        Ok(number)
    }

    /// Changes a record by the non-empty values of a row; an error if that repeats a unique key.
    pub(crate) fn change(&mut self, number: u32, entry: &Entry) -> Result<(), String> {
        self.check_unique(entry, Some(number))?;
        if !self.keep {
            self.digests[number as usize] = entry.digest;
            return Ok(());
        }
        let before = self.values(number);
        for &(field, digest) in &entry.keys {
            let Some(Held::Text(old)) = before.get(&field) else {
                continue;
            };
            let old = key_digest(&self.object.fields[field], old);
            if Some(old) != digest {
                self.unindex(number, field, old);
            }
        }
        let place = Place {
            upload: entry.upload,
            row: entry.row,
        };
        self.changes.entry(number).or_default().push(place);
        self.digests[number as usize] = self.merged_digest(number);
        self.index(number, entry);
        Ok(())
    }

    /// Deletes a record, for good or into the recycle bin.
    pub(crate) fn delete(&mut self, number: u32, for_good: bool) {
        for (field, held) in self.values(number) {
            if let Held::Text(text) = held {
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
        self.values(number).iter().fold(0, |sum, (field, held)| {
            sum.wrapping_add(match held {
                Held::Text(text) | Held::Lookup { text, .. } => value_digest(*field, text),
                Held::Null => value_digest(*field, "#N/A"),
            })
        })
    }

    /// The values of a record by field: those of its first row, then of each change.
    pub(crate) fn values(&self, number: u32) -> BTreeMap<usize, Held> {
        let mut held = BTreeMap::new();
        let first = self.places.get(number as usize);
        let changes = self.changes.get(&number).map_or(&[][..], Vec::as_slice);
        let mut values = Vec::new();
        for place in first.into_iter().chain(changes) {
            let upload = &self.uploads[place.upload as usize];
            upload.file.split(place.row as usize, &mut values);
            for (column, value) in upload.columns.iter().zip(&values) {
                if !value.is_empty() {
                    held.insert(column.field(), Held::of(&self.object, column, value));
                }
            }
        }
        held
    }

    /// One field of a record that was never changed, without reading the others.
    pub(crate) fn value(&self, number: u32, field: usize) -> Option<String> {
        if self.changes.contains_key(&number) {
            return match self.values(number).remove(&field) {
                Some(Held::Text(text) | Held::Lookup { text, .. }) => Some(text),
                _ => None,
            };
        }
        let place = self.places.get(number as usize)?;
        let upload = &self.uploads[place.upload as usize];
        let position = upload.position(field)?;
        let mut values: Vec<Cow<'_, str>> = Vec::new();
        upload.file.split(place.row as usize, &mut values);
        let value = values.get(position).filter(|value| !value.is_empty())?;
        validate::stored(&self.object.fields[field], value).map(Cow::into_owned)
    }
}

/// A value's part in the digest of its row, which is the sum of the parts in any order.
fn value_digest(field: usize, value: &str) -> u64 {
    xxhash_rust::xxh3::xxh3_64_with_seed(value.as_bytes(), field as u64)
}
