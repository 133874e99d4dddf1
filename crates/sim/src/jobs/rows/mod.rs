//! What happens to each row of a job: it is checked, then written. Errors have Salesforce's texts.

mod cells;
mod keys;
mod locks;
mod validation;

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use parking_lot::Mutex;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use self::cells::Cells;
use self::keys::{Key, KeyCheck, Keys};
use super::job::{Operation, Outcome, Settings};
use super::store::Jobs;
use crate::SimOptions;
use crate::faults::Action;
use crate::org::reference::{self, DELETED, NO_SUCH_RECORD};
use crate::org::table::{Entry, Found, Stored, Table, Upload};
use crate::org::{Field, Object, Org, id};

pub(crate) use self::keys::TRANSACTION_ROWS;
pub(crate) use self::validation::Validation;

const LOCKED: &str = "UNABLE_TO_LOCK_ROW:unable to obtain exclusive access to this record:--";
const DUPLICATE: &str = "DUPLICATES_DETECTED:Use one of these records?:--";
const REFUSED: &str = "FIELD_CUSTOM_VALIDATION_EXCEPTION:Refused by a rule of this org:--";
const TOO_MANY_RETRIES: &str = "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY:Trigger: Too many retries of \
     batch save in the presence of Apex triggers with failures:--";

/// Of the rows identical to an earlier row, the share that is refused.
const IDENTICAL_REFUSED: f64 = 0.5;
/// Of the failed rows whose record is known, the share whose result shows its Id.
const FAILED_WITH_ID: f64 = 0.5;

/// What a job does with its rows.
#[derive(Debug)]
pub(crate) struct Task {
    pub(crate) job_id: String,
    pub(crate) settings: Arc<Settings>,
    pub(crate) faults: Vec<Action>,
    /// As they are when the job is processed.
    pub(crate) options: Arc<SimOptions>,
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
    /// The share of failed rows, whose record is known, that show its Id.
    failed_with_id: f64,
    task: Task,
    /// Lookups whose parents are locked, by their index in the object.
    locking: Vec<usize>,
    validation: Arc<Validation>,
    /// Digests of the rows inserted so far, to recognise identical ones.
    inserted: Mutex<HashSet<u64>>,
}

/// A row after its checks.
#[derive(Debug)]
pub(crate) struct Checked {
    entry: Entry,
    /// Why it fails in any case.
    error: Option<String>,
    /// Why it fails if it would make a new record.
    missing: Option<String>,
    /// It is not written, and is in no result file.
    vanishes: bool,
    /// The key of its record.
    key: Key,
    /// The masters that it names: the field, and the Id of the master.
    masters: Vec<(usize, Option<String>)>,
    refuse_if_identical: bool,
}

impl Checked {
    /// Whether it fails whatever the org holds.
    pub(crate) fn is_bad(&self) -> bool {
        self.error.is_some() || (self.missing.is_some() && matches!(self.key, Key::None))
    }

    /// Makes it fail because the records of some Ids stayed locked.
    pub(crate) fn fail_for_locks(&mut self, ids: &[String]) {
        let (count, ids) = (ids.len(), ids.join(","));
        self.error = Some(format!(
            "UNABLE_TO_LOCK_ROW:unable to obtain exclusive access to this record or {count} \
             records: {ids}:--"
        ));
    }

    /// Makes it fail, if it is good, because of bad rows in its transaction.
    pub(crate) fn fail_with_others(&mut self) {
        if !self.is_bad() {
            self.error = Some(TOO_MANY_RETRIES.to_owned());
        }
    }
}

impl Rules {
    pub(crate) fn new(
        task: Task,
        upload: &Arc<Upload>,
        upload_number: u32,
        validation: Arc<Validation>,
    ) -> Rules {
        let Settings {
            object,
            operation,
            external_id,
            ..
        } = &*task.settings;
        let failed_with_id = task.faults.iter().find_map(|fault| match fault {
            Action::FailedIds { share } => Some(*share),
            _ => None,
        });
        let check_references = task.options.check_references;
        Rules {
            keys: Keys::new(object, *operation, *external_id, upload),
            cells: Cells::new(object, *operation, upload, check_references),
            object: Arc::clone(object),
            operation: *operation,
            upload: Arc::clone(upload),
            upload_number,
            failed_with_id: failed_with_id.unwrap_or(FAILED_WITH_ID),
            locking: match &task.options.contention {
                Some(settings) => locks::lookups(object, &settings.locking_lookups),
                None => Vec::new(),
            },
            task,
            validation,
            inserted: Mutex::default(),
        }
    }

    /// The Id of the job, and its settings.
    pub(crate) fn job(&self) -> (&str, &Settings) {
        (&self.task.job_id, &self.task.settings)
    }

    /// Whether bad rows make the good rows of their transaction fail.
    pub(crate) fn bad_rows_spread(&self) -> bool {
        self.task.faults.contains(&Action::TooManyRetries {})
    }

    /// Checks the values of a row, and the records that it refers to.
    pub(crate) fn check(&self, jobs: &Jobs, row: usize, values: &[Cow<'_, str>]) -> Checked {
        let entry = Entry::new(&self.object, &self.upload, self.upload_number, row, values);
        let mut vanishes = false;
        let (key, key_error) = match self.keys.check(&self.object, row, values) {
            KeyCheck::Good(key) => (key, None),
            KeyCheck::Bad(key, error) => (key, Some(error)),
            KeyCheck::Blank(error) => {
                vanishes = self.task.options.blank_keys_vanish;
                (Key::None, Some(error))
            }
        };
        let SimOptions {
            seed, fail_rate, ..
        } = *self.task.options;
        let error = self
            .fault(jobs, row, entry.digest)
            .or_else(|| self.cells.error(&jobs.org, values))
            .or(key_error)
            .or_else(|| (share(entry.digest, seed) < fail_rate).then(|| REFUSED.to_owned()));
        let drawn = share(entry.digest ^ row as u64, !seed);
        Checked {
            error,
            missing: self.cells.missing(values),
            vanishes,
            key,
            masters: self.cells.masters(&jobs.org, values),
            refuse_if_identical: self.task.options.refuse_duplicates && drawn < IDENTICAL_REFUSED,
            entry,
        }
    }

    /// The error that a fault gives a row.
    fn fault(&self, jobs: &Jobs, row: usize, digest: u64) -> Option<String> {
        let seed = self.task.options.seed;
        self.task.faults.iter().find_map(|fault| {
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
                    let drawn = xxh3_64_with_seed(self.task.job_id.as_bytes(), seed ^ row as u64);
                    share(drawn, seed) < hit
                }
                Some(attempts) => {
                    let row = xxh3_64_with_seed(error.as_bytes(), digest);
                    share(row, seed) < hit && jobs.count_attempt(row) <= attempts
                }
            };
            hit.then(|| error.to_owned())
        })
    }

    /// Writes a checked row.
    pub(crate) fn write(&self, org: &Org, table: &mut Table, row: &mut Checked) -> Outcome {
        if row.vanishes {
            return Outcome::Vanished;
        }
        let found = self.find(table, &row.key);
        let record = found.as_ref().ok().copied().flatten();
        let digest = row.entry.digest;
        self.save(org, table, row, found).unwrap_or_else(|error| {
            let shows_id = share(digest, self.task.options.seed ^ 1) < self.failed_with_id;
            Outcome::Failed {
                error: self.naming(table, error, record, digest).into(),
                record: record.filter(|_| shows_id),
            }
        })
    }

    /// An error with the Id that it names: that of the row's record, or another one.
    fn naming(&self, table: &Table, error: String, record: Option<u32>, digest: u64) -> String {
        if !error.contains("{id}") {
            return error;
        }
        let other = || id::make("001", u32::try_from(digest % 1_000).unwrap_or(0));
        let id = record.map_or_else(other, |number| table.id(number));
        error.replace("{id}", &id)
    }

    /// Finds the record of a key.
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
        org: &Org,
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
                self.check_masters(org, table, number, &row.masters)?;
                self.validate(row, || table.values(number))?;
                table.change(number, &row.entry)?;
                Ok(Outcome::Changed(number))
            }
            (Operation::Insert | Operation::Upsert, None) => {
                if let Some(missing) = row.missing.take() {
                    return Err(missing);
                }
                self.validate(row, BTreeMap::new)?;
                let known = !self.inserted.lock().insert(row.entry.digest);
                if known && row.refuse_if_identical && self.operation == Operation::Insert {
                    return Err(DUPLICATE.to_owned());
                }
                table.insert(&row.entry).map(Outcome::Created)
            }
            (_, None) => Err(NO_SUCH_RECORD.to_owned()),
        }
    }

    /// Checks what a record would hold after a row.
    fn validate(
        &self,
        row: &Checked,
        before: impl FnOnce() -> BTreeMap<usize, Stored>,
    ) -> Result<(), String> {
        let position = row.entry.row as usize;
        self.validation
            .check(&self.object, &self.upload, position, before)
    }

    /// Checks that a row does not give its record another master.
    fn check_masters(
        &self,
        org: &Org,
        table: &Table,
        number: u32,
        named: &[(usize, Option<String>)],
    ) -> Result<(), String> {
        if named.is_empty() {
            return Ok(());
        }
        let values = table.values(number);
        for (field, id) in named {
            // Locks the table of the masters too. That cannot deadlock: only here are two tables
            // locked, and no object is its own master.
            let master = values
                .get(field)
                .and_then(|stored| reference::id_of(org, &self.object, stored));
            if master.is_some() && master != *id {
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
