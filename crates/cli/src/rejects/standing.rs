//! Which of the stored records count once: an attempt that was killed may have stored records that
//! the next one stores again.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use arrow_salesforce::rows::RowSet;

use super::Rejected;

/// Passes each rejected record once.
#[derive(Debug)]
pub(crate) enum Standing {
    /// Every line is a record of its own.
    All,
    /// A record is known by its number in the load: rows of the load before the first of each attempt,
    /// and the numbers that were passed.
    Numbered {
        from: HashMap<String, u64>,
        passed: RowSet,
    },
    /// Rows come in other orders each time: equal records of different attempts are one.
    Equal {
        /// How often a record was passed, by its digest.
        passed: HashMap<u64, u64>,
        /// How often an attempt has stored it.
        stored: HashMap<(u64, Option<String>), u64>,
    },
}

impl Standing {
    /// For the attempts of a run, each with the number of rows of the load before its first.
    pub(crate) fn of<'a>(
        attempts: impl ExactSizeIterator<Item = (&'a str, u64)>,
        unordered: bool,
    ) -> Self {
        if attempts.len() < 2 {
            Self::All
        } else if unordered {
            Self::Equal {
                passed: HashMap::new(),
                stored: HashMap::new(),
            }
        } else {
            Self::Numbered {
                from: attempts.map(|(id, from)| (id.to_owned(), from)).collect(),
                passed: RowSet::new(),
            }
        }
    }

    /// Whether a record was not passed before.
    pub(crate) fn pass(&mut self, record: &Rejected) -> bool {
        match self {
            Self::All => true,
            Self::Numbered { from, passed } => {
                let from = record
                    .attempt
                    .as_ref()
                    .and_then(|attempt| from.get(attempt));
                let (Some(from), Some(ordinal)) = (from, record.ordinal) else {
                    return true;
                };
                let number = from + ordinal;
                let is_new = !passed.contains(number);
                passed.insert(number);
                is_new
            }
            Self::Equal { passed, stored } => {
                let digest = digest(record);
                let stored = stored.entry((digest, record.attempt.clone())).or_default();
                *stored += 1;
                let passed = passed.entry(digest).or_default();
                let is_new = *stored > *passed;
                *passed = (*passed).max(*stored);
                is_new
            }
        }
    }
}

fn digest(record: &Rejected) -> u64 {
    let mut hasher = DefaultHasher::new();
    (&record.values, &record.text).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(attempt: &str, ordinal: u64, value: &str) -> Rejected {
        Rejected {
            id: String::new(),
            attempt: Some(attempt.to_owned()),
            ordinal: Some(ordinal),
            stage: "salesforce".to_owned(),
            code: "C".to_owned(),
            message: "m".to_owned(),
            fields: Vec::new(),
            values: vec![("a".to_owned(), Some(value.to_owned()))],
            text: None,
        }
    }

    #[test]
    fn a_row_that_two_attempts_have_stored_is_one_record() {
        let attempts = [("A", 0), ("B", 10)];
        let mut standing = Standing::of(attempts.into_iter(), false);
        assert!(standing.pass(&record("A", 3, "x")));
        assert!(standing.pass(&record("A", 12, "x")));
        assert!(!standing.pass(&record("B", 2, "x")));
        assert!(standing.pass(&record("B", 3, "x")));
    }

    #[test]
    fn equal_records_count_as_often_as_one_attempt_has_them() {
        let attempts = [("A", 0), ("B", 0)];
        let mut standing = Standing::of(attempts.into_iter(), true);
        let mut pass = |attempt, value| standing.pass(&record(attempt, 0, value));
        assert!(pass("A", "x") && pass("A", "x") && pass("A", "y"));
        assert!(!pass("B", "x") && !pass("B", "x"));
        assert!(pass("B", "x") && pass("B", "z"));
    }
}
