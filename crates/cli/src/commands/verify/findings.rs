//! Records beside what was sent of them -> what became of each.

use std::sync::Arc;

use arrow_salesforce::arrow::array::{Array, ArrayRef, AsArray as _, BooleanArray, RecordBatch};
use arrow_salesforce::arrow::datatypes::TimestampMillisecondType;
use arrow_salesforce::arrow::error::ArrowError;
use arrow_salesforce::coerce::{CLEAR, Comparison};
use arrow_salesforce::object::RecordId;
use chrono::{DateTime, Utc};
use serde::Serialize;

use super::differences::{Difference, DifferencesFile, Kind};
use crate::error::{CliError, Result};
use crate::records::compare::{NOW_CHANGED, NOW_CHANGED_BY, NOW_ID, differing, now_column};
use crate::records::moment;
use crate::records::sent::{AT, ID, sent_column};

/// Differences that are shown.
const SHOWN: usize = 10;

/// What became of all records.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) records: u64,
    pub(super) equal: u64,
    /// Records with a field that has another value.
    pub(super) different: u64,
    pub(super) gone: u64,
    pub(super) still_there: u64,
    pub(super) not_compared: u64,
    /// Fields with differences, in the order of the columns.
    pub(super) fields: Vec<FieldFound>,
    /// The first differences.
    pub(super) first: Vec<Difference>,
}

/// What became of a field.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
pub(super) struct FieldFound {
    pub(super) field: String,
    /// Records in which it has another value.
    pub(super) differences: u64,
    /// Those of them that nobody has changed since.
    pub(super) by_org: u64,
}

/// Findings that are being made.
pub(super) struct Findings {
    comparison: Arc<Comparison>,
    /// The records were deleted.
    deleted: bool,
    /// Id of the user who wrote them, if it is known.
    user: Option<RecordId>,
    file: DifferencesFile,
    found: Found,
}

/// Columns of a batch.
struct Columns<'a> {
    batch: &'a RecordBatch,
    /// What was sent of each field, and what there is now.
    pairs: Vec<[&'a ArrayRef; 2]>,
    differ: Vec<BooleanArray>,
}

impl Findings {
    /// Nothing found yet.
    pub(super) fn new(
        comparison: &Arc<Comparison>,
        deleted: bool,
        user: Option<&str>,
        file: DifferencesFile,
    ) -> Self {
        let fields = comparison.fields().iter().map(|field| FieldFound {
            field: field.name.clone(),
            ..FieldFound::default()
        });
        let found = Found {
            fields: fields.collect(),
            ..Found::default()
        };
        Self {
            comparison: Arc::clone(comparison),
            deleted,
            user: user.and_then(RecordId::parse),
            file,
            found,
        }
    }

    /// Adds records, each beside what was sent of it.
    ///
    /// # Errors
    /// If they lack a column, or the file of differences cannot be written.
    pub(super) fn add(&mut self, batch: &RecordBatch) -> Result<()> {
        let columns = Columns::of(batch, &self.comparison)?;
        let (ids, now) = (texts(batch, ID)?, texts(batch, NOW_ID)?);
        for row in 0..batch.num_rows() {
            self.found.records += 1;
            let whole = match (ids.is_valid(row), now.is_valid(row)) {
                (false, _) => Some((Kind::NotCompared, &mut self.found.not_compared)),
                (true, false) if !self.deleted => Some((Kind::Gone, &mut self.found.gone)),
                (true, true) if self.deleted => {
                    Some((Kind::StillThere, &mut self.found.still_there))
                }
                _ => None,
            };
            if let Some((kind, count)) = whole {
                *count += 1;
                self.note(columns.whole(row, kind, &self.comparison)?)?;
            } else if self.deleted || !self.fields(&columns, row)? {
                self.found.equal += 1;
            }
        }
        Ok(())
    }

    /// Notes the fields of a record that differ. Returns whether one does.
    fn fields(&mut self, columns: &Columns<'_>, row: usize) -> Result<bool> {
        let differ = columns.differ.iter().enumerate();
        let differ = differ.filter(|(_, differs)| differs.value(row));
        let differ: Vec<usize> = differ.map(|(field, _)| field).collect();
        if differ.is_empty() {
            return Ok(false);
        }
        self.found.different += 1;
        let kind = columns.kind(row, self.user)?;
        for field in differ {
            let mut difference = columns.whole(row, kind, &self.comparison)?;
            let [sent, now] = columns.pairs[field].map(|values| text(values, row));
            difference.sent = Some(sent).filter(|sent| sent != CLEAR).unwrap_or_default();
            difference.now = now;
            let found = &mut self.found.fields[field];
            difference.field.clone_from(&found.field);
            found.differences += 1;
            found.by_org += u64::from(kind == Kind::ByOrg);
            self.note(difference)?;
        }
        Ok(true)
    }

    fn note(&mut self, difference: Difference) -> Result<()> {
        self.file.add(&difference)?;
        if self.found.first.len() < SHOWN {
            self.found.first.push(difference);
        }
        Ok(())
    }

    /// What was found; the file of differences is whole.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(super) fn finish(self) -> Result<Found> {
        self.file.finish()?;
        let mut found = self.found;
        found.fields.retain(|field| field.differences > 0);
        Ok(found)
    }
}

impl<'a> Columns<'a> {
    fn of(batch: &'a RecordBatch, comparison: &Comparison) -> Result<Self> {
        let (mut pairs, mut differ) = (Vec::new(), Vec::new());
        for field in 0..comparison.fields().len() {
            let sent = column(batch, &sent_column(field))?;
            let now = column(batch, &now_column(field))?;
            let differs = differing(comparison, field, sent, now);
            differ.push(differs.map_err(arrow_salesforce::Error::from)?);
            pairs.push([sent, now]);
        }
        Ok(Self {
            batch,
            pairs,
            differ,
        })
    }

    /// A difference of a record as a whole.
    fn whole(&self, row: usize, kind: Kind, comparison: &Comparison) -> Result<Difference> {
        let key = comparison.key().map(|key| self.pairs[key][0]);
        Ok(Difference {
            id: text(column(self.batch, ID)?, row),
            key: key.map(|keys| text(keys, row)).unwrap_or_default(),
            kind,
            field: String::new(),
            sent: String::new(),
            now: String::new(),
        })
    }

    /// Whether somebody has changed a record since it was sent: then its last change is later than the
    /// receipt, or another user's.
    fn kind(&self, row: usize, user: Option<RecordId>) -> Result<Kind> {
        let sent_at = column(self.batch, AT)?;
        let sent_at = sent_at.as_primitive::<TimestampMillisecondType>();
        let changed = moment(&text(column(self.batch, NOW_CHANGED)?, row));
        let by = RecordId::parse(&text(column(self.batch, NOW_CHANGED_BY)?, row));
        let is_before = |changed: DateTime<Utc>| {
            sent_at.is_valid(row) && changed.timestamp_millis() <= sent_at.value(row)
        };
        let by_another = user.zip(by).is_some_and(|(user, by)| user != by);
        Ok(match changed.is_some_and(is_before) && !by_another {
            true => Kind::ByOrg,
            false => Kind::Changed,
        })
    }
}

fn column<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a ArrayRef> {
    let column = batch.column_by_name(name);
    column.ok_or_else(|| {
        let lacking = ArrowError::SchemaError(format!("there is no column {name}"));
        CliError::failed(format!("records cannot be compared: {lacking}"))
    })
}

fn texts<'a>(
    batch: &'a RecordBatch,
    name: &str,
) -> Result<&'a arrow_salesforce::arrow::array::StringArray> {
    Ok(column(batch, name)?.as_string::<i32>())
}

/// A text; empty where there is none.
fn text(texts: &ArrayRef, row: usize) -> String {
    let texts = texts.as_string::<i32>();
    match texts.is_valid(row) {
        true => texts.value(row).to_owned(),
        false => String::new(),
    }
}
