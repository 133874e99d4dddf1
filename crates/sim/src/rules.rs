//! What happens to each row of a job: its checks, then the write, with the errors that
//! Salesforce gives in the same place.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::SimOptions;
use super::cells::Cells;
use super::faults::Action;
use super::index::Found;
use super::job::{Operation, Outcome};
use super::keys::{Key, Keys, Read};
use super::org::{Field, Object};
use super::reference;
use super::state::{Shared, lock};
use super::table::{Entry, Table, Upload};

pub(crate) const NO_SUCH_RECORD: &str = "INVALID_CROSS_REFERENCE_KEY:invalid cross reference id:--";
pub(crate) const DELETED: &str = "ENTITY_IS_DELETED:entity is deleted:--";
const LOCKED: &str = "UNABLE_TO_LOCK_ROW:unable to obtain exclusive access to this record:--";
const DUPLICATE: &str = "DUPLICATES_DETECTED:Use one of these records?:--";
const REFUSED: &str = "FIELD_CUSTOM_VALIDATION_EXCEPTION:Refused by a rule of this org:--";
const TOO_MANY_RETRIES: &str = "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY:Trigger: Too many retries of \
     batch save in the presence of Apex triggers with failures:--";

/// Of rows identical to an earlier one, the share that is refused.
const IDENTICAL_REFUSED: f64 = 0.5;
/// Of failed rows whose record is known, the share whose result tells its Id.
const FAILED_WITH_ID: f64 = 0.5;

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
    keys: Keys,
    cells: Cells,
    upload: Arc<Upload>,
    upload_number: u32,
    faults: Vec<Action>,
    job_id: String,
    options: Arc<SimOptions>,
    failed_with_id: f64,
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
    /// It fails or passes, but no result tells of it.
    vanishes: bool,
    /// What finds its record.
    key: Key,
    /// The masters that it names, by field.
    masters: Vec<(usize, Option<String>)>,
    refuse_if_identical: bool,
}

impl Checked {
    /// It fails already by itself, not by what the org holds.
    pub(crate) fn is_bad(&self) -> bool {
        self.error.is_some() || (self.missing.is_some() && matches!(self.key, Key::None))
    }

    /// A good row is not saved, because of bad ones beside it.
    pub(crate) fn retried_too_often(&mut self) {
        if !self.is_bad() {
            self.error = Some(TOO_MANY_RETRIES.to_owned());
        }
    }
}

impl Rules {
    pub(crate) fn new(
        shared: &Shared,
        asked: Asked,
        upload: &Arc<Upload>,
        upload_number: u32,
    ) -> Rules {
        let Asked {
            object,
            operation,
            external_id,
            faults,
            job_id,
        } = asked;
        let failed_with_id = faults.iter().find_map(|fault| match fault {
            Action::FailedIds { share } => Some(*share),
            _ => None,
        });
        Rules {
            keys: Keys::new(&object, operation, external_id, upload),
            cells: Cells::new(&object, operation, upload),
            object,
            operation,
            upload: Arc::clone(upload),
            upload_number,
            faults,
            job_id,
            options: shared.options(),
            failed_with_id: failed_with_id.unwrap_or(FAILED_WITH_ID),
            inserted: Mutex::default(),
        }
    }

    /// Whether bad rows make good ones beside them fail.
    pub(crate) fn bad_rows_spread(&self) -> bool {
        self.faults.contains(&Action::TooManyRetries {})
    }

    /// Checks a row by itself and against the records it refers to.
    pub(crate) fn check(&self, shared: &Shared, row: usize, values: &[Cow<'_, str>]) -> Checked {
        let entry = Entry::new(&self.object, &self.upload, self.upload_number, row, values);
        let mut vanishes = false;
        let (key, key_error) = match self.keys.read(&self.object, row, values) {
            Read::Good(key) => (key, None),
            Read::Bad(key, error) => (key, Some(error)),
            Read::Blank(error) => {
                vanishes = self.options.blank_keys_vanish;
                (Key::None, Some(error))
            }
        };
        let SimOptions {
            seed, fail_rate, ..
        } = *self.options;
        let error = self
            .fault(shared, row, entry.digest)
            .or_else(|| self.cells.error(shared, values))
            .or(key_error)
            .or_else(|| (share(entry.digest, seed) < fail_rate).then(|| REFUSED.to_owned()));
        let drawn = share(entry.digest ^ row as u64, !seed);
        Checked {
            error,
            missing: self.cells.missing(values),
            vanishes,
            key,
            masters: self.cells.masters(shared, values),
            refuse_if_identical: self.options.refuse_duplicates && drawn < IDENTICAL_REFUSED,
            entry,
        }
    }

    /// The error that a fault gives a row.
    fn fault(&self, shared: &Shared, row: usize, digest: u64) -> Option<String> {
        let seed = self.options.seed;
        self.faults.iter().find_map(|fault| {
            let (hit, error, attempts) = match fault {
                Action::LockRows { share, attempts } => (*share, LOCKED, *attempts),
                Action::FailRows {
                    share,
                    error,
                    attempts,
                } => (*share, error.as_str(), *attempts),
                _ => return None,
            };
            let hit = match attempts {
                None => {
                    let drawn = xxh3_64_with_seed(self.job_id.as_bytes(), seed ^ row as u64);
                    share(drawn, seed) < hit
                }
                Some(attempts) => {
                    let row = xxh3_64_with_seed(error.as_bytes(), digest);
                    share(row, seed) < hit && shared.count_attempt(row) <= attempts
                }
            };
            hit.then(|| error.to_owned())
        })
    }

    /// Writes a checked row, or says why not.
    pub(crate) fn write(&self, shared: &Shared, table: &mut Table, row: &mut Checked) -> Outcome {
        if row.vanishes {
            return Outcome::Vanished;
        }
        let found = self.find(table, &row.key);
        let record = found.as_ref().ok().copied().flatten();
        let digest = row.entry.digest;
        self.save(shared, table, row, found)
            .unwrap_or_else(|error| {
                let told = share(digest, self.options.seed ^ 1) < self.failed_with_id;
                Outcome::Failed {
                    error: error.into(),
                    record: record.filter(|_| told),
                }
            })
    }

    /// Finds the record that a key stands for.
    fn find(&self, table: &Table, key: &Key) -> Result<Option<u32>, String> {
        match (key, self.keys.field()) {
            (Key::None, _) | (_, None) => Ok(None),
            (Key::Id(value), _) => match table.by_id(value) {
                Some(number) => Ok(Some(number)),
                None if table.is_deleted(value) => Err(DELETED.to_owned()),
                None => Err(NO_SUCH_RECORD.to_owned()),
            },
            (Key::Digest(digest, value), Some(field)) => match table.by_key(field, *digest) {
                Found::Nothing => Ok(None),
                Found::One(number) => Ok(Some(number)),
                Found::Several => {
                    let Field { label, name, .. } = &self.object.fields[field];
                    Err(format!(
                        "DUPLICATE_EXTERNAL_ID:{label}: more than one record found for external \
                         id field: [{value}]:{name} --"
                    ))
                }
            },
        }
    }

    fn save(
        &self,
        shared: &Shared,
        table: &mut Table,
        row: &mut Checked,
        found: Result<Option<u32>, String>,
    ) -> Result<Outcome, String> {
        if let Some(error) = row.error.take() {
            return Err(error);
        }
        match (self.operation, found?) {
            (Operation::Delete | Operation::HardDelete, Some(number)) => {
                table.delete(number, self.operation == Operation::HardDelete);
                Ok(Outcome::Changed(number))
            }
            (_, Some(number)) => {
                self.keeps_masters(shared, table, number, &row.masters)?;
                table.change(number, &row.entry)?;
                Ok(Outcome::Changed(number))
            }
            (Operation::Insert | Operation::Upsert, None) => {
                if let Some(missing) = row.missing.take() {
                    return Err(missing);
                }
                let known = !lock(&self.inserted).insert(row.entry.digest);
                if known && row.refuse_if_identical && self.operation == Operation::Insert {
                    return Err(DUPLICATE.to_owned());
                }
                table.insert(&row.entry).map(Outcome::Created)
            }
            (_, None) => Err(NO_SUCH_RECORD.to_owned()),
        }
    }
}

impl Rules {
    /// Refuses to give a record another master.
    fn keeps_masters(
        &self,
        shared: &Shared,
        table: &Table,
        number: u32,
        named: &[(usize, Option<String>)],
    ) -> Result<(), String> {
        if named.is_empty() {
            return Ok(());
        }
        let held = table.values(number);
        for (field, id) in named {
            // The table of the masters is locked besides this one; no one locks them the other
            // way round, since only here two are needed and no object is its own master.
            let kept = held
                .get(field)
                .and_then(|held| reference::id_of(shared, &self.object, held));
            if kept.is_some() && kept != *id {
                let name = &self.object.fields[*field].name;
                let new = id.as_deref().unwrap_or_default();
                let text = "Attempting to update (as part of an upsert) parent field";
                return Err(format!(
                    "INVALID_FIELD_FOR_INSERT_UPDATE:{text} {name} with new value {new}:{name} --"
                ));
            }
        }
        Ok(())
    }
}

/// A number from 0 to 1 drawn from a digest.
fn share(digest: u64, seed: u64) -> f64 {
    fastrand::Rng::with_seed(digest ^ seed.rotate_left(32)).f64()
}
