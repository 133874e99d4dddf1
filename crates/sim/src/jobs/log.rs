//! The log of what was written and when, by which a loader's claims can be checked.

use chrono::Utc;
use parking_lot::Mutex;
use serde::Serialize;

use super::job::{Operation, Outcome, Settings};

/// Begins the error of a row whose record, or a parent of it, stayed locked.
const LOCKED: &str = "UNABLE_TO_LOCK_ROW";

/// A transaction.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Written {
    /// When it was written: milliseconds since 1970, never less than those before it.
    pub(crate) ms: i64,
    pub(crate) job: String,
    pub(crate) object: String,
    /// Its first row, by the place in the job's upload.
    pub(crate) first: usize,
    pub(crate) rows: usize,
    pub(crate) created: usize,
    pub(crate) changed: usize,
    pub(crate) deleted: usize,
    pub(crate) failed: usize,
}

/// All transactions since the start.
#[derive(Debug, Default)]
pub(crate) struct Log(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    written: Vec<Written>,
    lock_errors: u64,
}

impl Log {
    /// Notes a transaction of a job. `ms` is when its rows were written.
    pub(super) fn add(
        &self,
        job: &str,
        settings: &Settings,
        ms: i64,
        outcomes: &[(usize, Outcome)],
    ) {
        let mut written = Written {
            ms,
            job: job.to_owned(),
            object: settings.object.name.clone(),
            first: outcomes.iter().map(|(row, _)| *row).min().unwrap_or(0),
            rows: outcomes.len(),
            created: 0,
            changed: 0,
            deleted: 0,
            failed: 0,
        };
        let deletes = matches!(
            settings.operation,
            Operation::Delete | Operation::HardDelete
        );
        let mut locked = 0;
        for (_, outcome) in outcomes {
            match outcome {
                Outcome::Created(_) => written.created += 1,
                Outcome::Changed(_) if deletes => written.deleted += 1,
                Outcome::Changed(_) => written.changed += 1,
                Outcome::Failed { error, .. } => {
                    written.failed += 1;
                    locked += u64::from(error.starts_with(LOCKED));
                }
                Outcome::Vanished => {}
            }
        }
        let mut inner = self.0.lock();
        let before = inner.written.last().map_or(i64::MIN, |last| last.ms);
        written.ms = ms.max(before);
        inner.lock_errors += locked;
        inner.written.push(written);
    }

    /// The transactions from one on, as a JSON object per line.
    pub(crate) fn lines(&self, from: usize) -> String {
        let inner = self.0.lock();
        let mut lines = String::new();
        for written in inner.written.iter().skip(from) {
            lines.push_str(&serde_json::json!(written).to_string());
            lines.push('\n');
        }
        lines
    }

    /// How many rows failed because a record was locked.
    pub(crate) fn lock_errors(&self) -> u64 {
        self.0.lock().lock_errors
    }

    /// Forgets all.
    pub(super) fn clear(&self) {
        *self.0.lock() = Inner::default();
    }
}

/// Now, in milliseconds since 1970.
pub(super) fn now_ms() -> i64 {
    Utc::now().timestamp_millis()
}
