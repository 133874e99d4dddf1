//! What happens to each row of a job: its checks, then the write, with the errors that
//! Salesforce gives in the same place.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::columns::Column;
use super::faults::Action;
use super::index::Found;
use super::job::{Operation, Outcome};
use super::org::{Field, Kind, Object};
use super::record_type;
use super::reference;
use super::state::{Shared, lock};
use super::table::{self, Entry, Table, Upload};
use super::validate;

pub(crate) const NO_SUCH_RECORD: &str = "INVALID_CROSS_REFERENCE_KEY:invalid cross reference id:--";
pub(crate) const DELETED: &str = "ENTITY_IS_DELETED:entity is deleted:--";
const LOCKED: &str = "UNABLE_TO_LOCK_ROW:unable to obtain exclusive access to this record:--";
const DUPLICATE: &str = "DUPLICATES_DETECTED:Use one of these records?:--";
const REFUSED: &str = "FIELD_CUSTOM_VALIDATION_EXCEPTION:Refused by a rule of this org:--";

/// Of rows identical to an earlier one, the share that is refused.
const IDENTICAL_REFUSED: f64 = 0.5;

/// What a job asks for.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) object: Arc<Object>,
    pub(crate) operation: Operation,
    pub(crate) external_id: Option<usize>,
    pub(crate) faults: Vec<Action>,
    pub(crate) job_id: String,
}

/// The rules for the rows of one job.
#[derive(Debug)]
pub(crate) struct Rules {
    pub(crate) object: Arc<Object>,
    operation: Operation,
    /// The field that finds records, and the column that holds it.
    key: Option<(usize, Option<usize>)>,
    upload: Arc<Upload>,
    upload_number: u32,
    /// Required fields, each with the columns that may fill it.
    required: Vec<(usize, Vec<usize>)>,
    /// Keys that come more than once in the upload.
    repeated: HashSet<u64>,
    faults: Vec<Action>,
    job_id: String,
    /// Digests of the rows inserted so far, to know identical ones.
    inserted: Mutex<HashSet<u64>>,
}

/// A row after its checks.
#[derive(Debug)]
pub(crate) struct Checked {
    entry: Entry,
    /// It fails whatever it does.
    error: Option<String>,
    /// It fails if it makes a new record.
    missing: Option<String>,
    /// What finds its record.
    key: Key,
    refuse_if_identical: bool,
}

#[derive(Debug)]
enum Key {
    None,
    Id(String),
    Digest(u64, String),
}

impl Rules {
    pub(crate) fn new(asked: Asked, upload: &Arc<Upload>, upload_number: u32) -> Rules {
        let Asked {
            object,
            operation,
            external_id,
            faults,
            job_id,
        } = asked;
        let key_field = match operation {
            Operation::Insert => None,
            Operation::Upsert => external_id,
            Operation::Update | Operation::Delete => object.field("Id"),
        };
        let key = key_field.map(|field| (field, upload.position(field)));
        let fields = object.fields.iter().enumerate();
        let required = fields
            .filter(|(_, field)| field.required)
            .map(|(index, _)| {
                let columns = upload.columns.iter().enumerate();
                let filling = columns.filter(|(_, column)| column.field() == index);
                (index, filling.map(|(position, _)| position).collect())
            })
            .collect();
        let repeated = match key {
            Some((field, Some(position))) => repeated_keys(&object.fields[field], position, upload),
            _ => HashSet::new(),
        };
        Rules {
            object,
            operation,
            key,
            upload: Arc::clone(upload),
            upload_number,
            required,
            repeated,
            faults,
            job_id,
            inserted: Mutex::default(),
        }
    }

    /// Checks a row by itself and against the records it refers to.
    pub(crate) fn check(&self, shared: &Shared, row: usize, values: &[Cow<'_, str>]) -> Checked {
        let entry = Entry::new(&self.object, &self.upload, self.upload_number, row, values);
        let (key, key_error) = self.key_of(values);
        let options = &shared.options;
        let error = self
            .fault(row, options.seed)
            .or_else(|| self.values_error(shared, values))
            .or(key_error)
            .or_else(|| {
                (share(entry.digest, options.seed) < options.fail_rate).then(|| REFUSED.to_owned())
            });
        let drawn = share(entry.digest ^ row as u64, !options.seed);
        let refuse_if_identical = options.refuse_duplicates && drawn < IDENTICAL_REFUSED;
        let missing = self.missing(values);
        Checked {
            error,
            missing,
            key,
            refuse_if_identical,
            entry,
        }
    }

    fn fault(&self, row: usize, seed: u64) -> Option<String> {
        self.faults.iter().find_map(|fault| {
            let (hit, error) = match fault {
                Action::LockRows { share } => (*share, LOCKED),
                Action::FailRows { share, error } => (*share, error.as_str()),
                _ => return None,
            };
            let drawn = xxh3_64_with_seed(self.job_id.as_bytes(), seed ^ row as u64);
            (share(drawn, seed) < hit).then(|| error.to_owned())
        })
    }

    fn key_of(&self, values: &[Cow<'_, str>]) -> (Key, Option<String>) {
        let Some((field, position)) = self.key else {
            return (Key::None, None);
        };
        let field = &self.object.fields[field];
        let value = position.map_or("", |position| values[position].as_ref());
        if value.is_empty() || validate::is_null(value) {
            let error = match (self.operation, field.kind) {
                (Operation::Upsert, Kind::Id) => None,
                (Operation::Upsert, _) => {
                    Some(format!("MISSING_ARGUMENT:{} not specified:--", field.name))
                }
                (operation, _) => Some(format!(
                    "MISSING_ARGUMENT:Id not specified in an {} call:--",
                    operation.name()
                )),
            };
            return (Key::None, error);
        }
        let digest = table::key_digest(field, value);
        let repeated = self.repeated.contains(&digest);
        if field.kind == Kind::Id {
            let error = "DUPLICATE_VALUE:Duplicate id specified: ";
            let error = repeated.then(|| format!("{error}{value}:Id --"));
            return (Key::Id(value.to_owned()), error);
        }
        let error = repeated.then(|| {
            let name = &field.name;
            format!("DUPLICATE_VALUE:Duplicate external id specified: {value}:{name} --")
        });
        (Key::Digest(digest, value.to_owned()), error)
    }

    /// The first error among the values, in the order of the columns.
    fn values_error(&self, shared: &Shared, values: &[Cow<'_, str>]) -> Option<String> {
        let columns = self.upload.columns.iter().zip(values).enumerate();
        for (position, (column, value)) in columns {
            if value.is_empty() {
                continue;
            }
            let field = &self.object.fields[column.field()];
            if let Err(error) = self.value(shared, position, column, field, value) {
                return Some(error);
            }
        }
        self.twice_error(values)
            .or_else(|| self.record_type_error(values))
    }

    /// The error of a row that names a parent both by its Id and by another field.
    fn twice_error(&self, values: &[Cow<'_, str>]) -> Option<String> {
        let filled = self.upload.columns.iter().zip(values);
        let filled = filled.filter(|(_, value)| !value.is_empty());
        let filled: Vec<&Column> = filled.map(|(column, _)| column).collect();
        let twice = filled.iter().find_map(|column| match column {
            Column::Lookup { field, .. } => {
                filled.contains(&&Column::Field(*field)).then_some(*field)
            }
            Column::Field(_) => None,
        })?;
        let Field {
            name, relationship, ..
        } = &self.object.fields[twice];
        let relationship = relationship.as_deref().unwrap_or_default();
        Some(format!(
            "INVALID_FIELD:cannot specify both an external ID reference {relationship} and a \
             salesforce id, {name}:{name} --"
        ))
    }

    /// The first picklist value that the row's record type does not allow.
    fn record_type_error(&self, values: &[Cow<'_, str>]) -> Option<String> {
        let columns = || self.upload.columns.iter().zip(values);
        let name = |column: &Column| &self.object.fields[column.field()].name;
        let (column, value) = columns().find(|(column, _)| *name(column) == record_type::FIELD)?;
        let record_type = match column {
            Column::Field(_) => record_type::by_id(&self.object, value).ok().flatten(),
            Column::Lookup { by_name, .. } => {
                record_type::by_field(&self.object, by_name, value).next()
            }
        }?;
        columns().find_map(|(column, value)| {
            let field = &self.object.fields[column.field()];
            let refused = field.restricted.is_some()
                && !value.is_empty()
                && !validate::is_null(value)
                && !record_type.allows(&field.name, value);
            refused.then(|| validate::bad_choice(field, value))
        })
    }

    fn value(
        &self,
        shared: &Shared,
        position: usize,
        column: &Column,
        field: &Field,
        value: &str,
    ) -> Result<(), String> {
        if field.kind == Kind::Id {
            if self.operation == Operation::Insert {
                let text = "INVALID_FIELD_FOR_INSERT_UPDATE:cannot specify Id in an insert call";
                return Err(format!("{text}:Id --"));
            }
            return validate::value(field, position, value);
        }
        let writable = match self.operation {
            Operation::Update => field.updateable,
            _ => field.createable,
        };
        if !writable {
            let name = &field.name;
            return Err(format!(
                "INVALID_FIELD_FOR_INSERT_UPDATE:Unable to create/update fields: {name}. Please \
                 check the security settings of this field and verify that it is read/write for \
                 your profile or permission set.:{name} --"
            ));
        }
        match column {
            Column::Lookup { .. } if validate::is_null(value) => {
                validate::value(field, position, value)
            }
            Column::Lookup { parent, by, .. } => {
                reference::by_key(shared, &self.object, parent, *by, value)
            }
            Column::Field(_) => {
                validate::value(field, position, value)?;
                if field.kind == Kind::Reference && !validate::is_null(value) {
                    reference::by_id(shared, &self.object, field, value)?;
                }
                Ok(())
            }
        }
    }

    fn missing(&self, values: &[Cow<'_, str>]) -> Option<String> {
        let filled = |positions: &[usize]| positions.iter().any(|&at| !values[at].is_empty());
        let missing: Vec<&str> = self
            .required
            .iter()
            .filter(|(_, positions)| !filled(positions))
            .map(|(field, _)| self.object.fields[*field].name.as_str())
            .collect();
        (!missing.is_empty()).then(|| validate::required(&missing))
    }

    /// Writes a checked row, or says why not.
    pub(crate) fn write(&self, table: &mut Table, row: Checked) -> Result<Outcome, String> {
        if let Some(error) = row.error {
            return Err(error);
        }
        let record = match (&row.key, self.key) {
            (Key::None, _) | (_, None) => None,
            (Key::Id(value), _) => Some(table.by_id(value).ok_or_else(|| {
                if table.is_deleted(value) {
                    DELETED
                } else {
                    NO_SUCH_RECORD
                }
                .to_owned()
            })?),
            (Key::Digest(digest, value), Some((field, _))) => match table.by_key(field, *digest) {
                Found::Nothing => None,
                Found::One(number) => Some(number),
                Found::Several => {
                    let Field { label, name, .. } = &self.object.fields[field];
                    return Err(format!(
                        "DUPLICATE_EXTERNAL_ID:{label}: more than one record found for external \
                         id field: [{value}]:{name} --"
                    ));
                }
            },
        };
        match (self.operation, record) {
            (Operation::Delete, Some(number)) => {
                table.delete(number);
                Ok(Outcome::Changed(number))
            }
            (_, Some(number)) => {
                table.change(number, &row.entry)?;
                Ok(Outcome::Changed(number))
            }
            (Operation::Update | Operation::Delete, None) => Err(NO_SUCH_RECORD.to_owned()),
            (Operation::Insert | Operation::Upsert, None) => match row.missing {
                Some(missing) => Err(missing),
                None => {
                    let known = !lock(&self.inserted).insert(row.entry.digest);
                    if known && row.refuse_if_identical && self.operation == Operation::Insert {
                        return Err(DUPLICATE.to_owned());
                    }
                    table.insert(&row.entry).map(Outcome::Created)
                }
            },
        }
    }
}

/// Digests of the keys that come more than once in an upload.
fn repeated_keys(field: &Field, position: usize, upload: &Upload) -> HashSet<u64> {
    let mut seen: HashMap<u64, bool> = HashMap::new();
    let mut values = Vec::new();
    for row in 0..upload.file.rows() {
        upload.file.split(row, &mut values);
        if !values[position].is_empty() {
            let digest = table::key_digest(field, &values[position]);
            seen.entry(digest)
                .and_modify(|again| *again = true)
                .or_insert(false);
        }
    }
    seen.into_iter()
        .filter_map(|(digest, again)| again.then_some(digest))
        .collect()
}

/// A number from 0 to 1 drawn from a digest.
fn share(digest: u64, seed: u64) -> f64 {
    fastrand::Rng::with_seed(digest ^ seed.rotate_left(32)).f64()
}
