//! What is done with each record, and with each of its fields.

use std::sync::Arc;

use arrow_salesforce::arrow::array::{
    Array as _, ArrayRef, AsArray as _, RecordBatch, StringArray, StringBuilder,
};
use arrow_salesforce::arrow::datatypes::TimestampMillisecondType;
use arrow_salesforce::coerce::{CLEAR, Comparison};
use arrow_salesforce::object::{FieldType, RecordId};
use chrono::{DateTime, Duration, SecondsFormat, Utc};

use super::conflicts::Conflict;
use super::join;
use super::{Conflicts, Counts, Deletes, Restores};
use crate::error::{CliError, Result};
use crate::records::{moment, sent};

/// How far the clocks of this machine and of the org may be apart.
const CLOCKS: Duration = Duration::minutes(5);

/// Decides what is done with the records of a run.
pub(crate) struct Judge<'a> {
    pub(crate) comparison: &'a Comparison,
    /// Id of the user who wrote them, if it is known.
    pub(crate) user: Option<&'a str>,
    /// Whether what has changed since is taken back too.
    pub(crate) overwrite: bool,
    /// When the run began, if it was gone on with: rows that were sent twice say `updated` of records
    /// that the run itself has created.
    pub(crate) resumed: Option<DateTime<Utc>>,
    /// Whether rows of one key may have become one, whose receipt shows the last of them.
    pub(crate) merged: bool,
}

/// What the judge has decided.
pub(crate) struct Decided {
    pub(crate) restores: Restores,
    pub(crate) deletes: Deletes,
    pub(crate) conflicts: Conflicts,
    pub(crate) counts: Counts,
}

/// The values of one field, a row each.
struct Values {
    /// Null where the field was left alone.
    sent: StringArray,
    /// As the path of the field shows them.
    now: StringArray,
    /// Of the field that is filled, before the run.
    former: StringArray,
    canonical_sent: StringArray,
    canonical_now: StringArray,
    /// Of the field that is filled, as a load takes it: exact, where canonical forms may not be.
    exact_current: StringArray,
    exact_former: StringArray,
}

/// A record of a batch.
struct Record<'a> {
    row: usize,
    id: &'a str,
    key: Option<&'a str>,
    /// Whether somebody has changed it since the run wrote it.
    change: Change,
    /// Its last change was its creation.
    is_as_created: bool,
}

/// Whether somebody has changed a record since the run wrote it. Salesforce shows whole seconds, and
/// what happened within one of them is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    /// Nobody has: its last change was the run's own.
    None,
    /// The run's user, in the second in which the run's write was known.
    Own,
    Unknown,
    Since,
}

impl Judge<'_> {
    /// Decides on the records of a batch of the join.
    ///
    /// # Errors
    /// If the batch is none, or what was decided cannot be kept.
    pub(crate) fn judge(&self, batch: &RecordBatch, decided: &mut Decided) -> Result<()> {
        let ids = texts(batch, join::ID)?;
        let there = texts(batch, join::NOW_ID)?;
        let before = texts(batch, join::BEFORE_ID)?;
        let actions = texts(batch, join::ACTION)?;
        let fields = self.values(batch)?;
        let key = self.comparison.key().and_then(|key| fields.get(key));
        let created = self.created_since(batch)?;
        let as_created = as_created(batch)?;
        for (row, change) in self.changes(batch)?.into_iter().enumerate() {
            if there.is_null(row) {
                decided.counts.gone += 1;
                continue;
            }
            let record = Record {
                row,
                id: ids.value(row),
                key: key
                    .filter(|key| key.sent.is_valid(row))
                    .map(|key| key.sent.value(row)),
                change,
                is_as_created: as_created[row],
            };
            if before.is_valid(row) {
                self.restore(&record, &fields, decided)?;
            } else if at(&actions, row) == Some(sent::CREATED) {
                self.delete(&record, &fields, decided)?;
            } else if created[row] {
                decided.counts.resumed += 1;
                self.delete(&record, &fields, decided)?;
            } else {
                Self::leave(&record, decided)?;
            }
        }
        Ok(())
    }

    /// A record that the run has created.
    fn delete(&self, record: &Record<'_>, fields: &[Values], decided: &mut Decided) -> Result<()> {
        let differs = |field: &&(usize, &Values)| field.1.differs(record.row);
        let fields: Vec<(usize, &Values)> = fields.iter().enumerate().collect();
        let changed: Vec<_> = fields.iter().filter(differs).collect();
        // The results of a job may be read long after it wrote, and its user may write by other ways.
        let is_own = record.change == Change::None && record.is_as_created;
        if changed.is_empty() || is_own || self.overwrite {
            for (field, _) in &changed {
                self.note(record, *field, decided);
            }
            decided.counts.deletes += 1;
            decided.counts.touched +=
                u64::from(record.change == Change::Since && changed.is_empty());
            decided.deletes.push(record.id);
            return Ok(());
        }
        decided.counts.kept += 1;
        for (field, values) in changed {
            self.conflict(record, *field, values, decided)?;
        }
        Ok(())
    }

    /// A record that the run has changed, though it was not there when the former values were read: it
    /// is somebody else's, and what it was is not known.
    fn leave(record: &Record<'_>, decided: &mut Decided) -> Result<()> {
        decided.counts.unknown += 1;
        decided.conflicts.push(&Conflict {
            id: record.id,
            key: record.key,
            field: "",
            former: None,
            sent: None,
            now: None,
        })
    }

    /// A record that the run has changed.
    fn restore(&self, record: &Record<'_>, fields: &[Values], decided: &mut Decided) -> Result<()> {
        let row = record.row;
        let (mut restored, mut conflicts) = (false, false);
        for (field, values) in fields.iter().enumerate() {
            // What the row left alone, another row of its key may have written, or the org itself.
            let is_left = values.sent.is_null(row);
            let is_others = is_left && record.change != Change::None && !self.merged;
            if values.is_former(row) || is_others {
                continue;
            }
            let differs = is_left || values.differs(row);
            let is_own = record.change == Change::None || (is_left && record.change == Change::Own);
            if differs && !is_own && !self.overwrite {
                conflicts = true;
                self.conflict(record, field, values, decided)?;
                continue;
            }
            if differs {
                self.note(record, field, decided);
            }
            restored = true;
            decided.restores.set(field, at(&values.exact_former, row));
        }
        decided.counts.kept += u64::from(conflicts);
        if restored {
            decided.counts.restores += 1;
            decided.restores.push(record.id);
        } else if !conflicts {
            decided.counts.same += 1;
        }
        Ok(())
    }

    /// Notes a field that the org itself has changed, or that is taken back though it has changed.
    fn note(&self, record: &Record<'_>, field: usize, decided: &mut Decided) {
        if let Some(field) = self.comparison.fields().get(field)
            && record.change == Change::None
        {
            decided.counts.automation(&field.fills.name);
        }
    }

    fn conflict(
        &self,
        record: &Record<'_>,
        field: usize,
        values: &Values,
        decided: &mut Decided,
    ) -> Result<()> {
        let Some(name) = self.comparison.fields().get(field).map(|field| &field.name) else {
            return Ok(());
        };
        let at = |texts: &StringArray| {
            let row = record.row;
            texts.is_valid(row).then(|| texts.value(row).to_owned())
        };
        decided.counts.conflict(name);
        decided.conflicts.push(&Conflict {
            id: record.id,
            key: record.key,
            field: name,
            former: at(&values.former),
            sent: at(&values.sent).filter(|sent| sent != CLEAR),
            now: at(&values.now),
        })
    }

    /// The values of all fields.
    fn values(&self, batch: &RecordBatch) -> Result<Vec<Values>> {
        let fields = self.comparison.fields().iter().enumerate();
        let values = fields.map(|(index, field)| {
            let column = |name: String| texts(batch, &name);
            let [sent, now, current, former] = join::of_field(index).map(column);
            let (sent, now, current, former) = (sent?, now?, current?, former?);
            let canonical = |texts: &StringArray| -> Result<StringArray> {
                let array: ArrayRef = Arc::new(texts.clone());
                let forms = self.comparison.canonical(index, &array);
                let forms = forms.map_err(arrow_salesforce::Error::from)?;
                Ok(forms.as_string::<i32>().clone())
            };
            // What a parent is named by is no value of the lookup, which holds its Id.
            let exact = |texts: &StringArray| -> Result<StringArray> {
                match field.path == field.fills.name {
                    true => Ok(exact(&field.fills.field_type, texts, &canonical(texts)?)),
                    false => Ok(of_ids(texts)),
                }
            };
            Ok(Values {
                canonical_sent: canonical(&sent)?,
                canonical_now: canonical(&now)?,
                exact_current: exact(&current)?,
                exact_former: exact(&former)?,
                sent,
                now,
                former,
            })
        });
        values.collect()
    }

    /// Which records somebody has changed since the run.
    fn changes(&self, batch: &RecordBatch) -> Result<Vec<Change>> {
        let modified = texts(batch, join::MODIFIED)?;
        let by = texts(batch, join::MODIFIED_BY)?;
        let written = batch.column_by_name(join::AT);
        let written = written.and_then(|at| at.as_primitive_opt::<TimestampMillisecondType>());
        let written = written.ok_or_else(|| CliError::failed("receipts have no time"))?;
        let user = self.user.and_then(RecordId::parse);
        let change = |row: usize| {
            let known = DateTime::<Utc>::from_timestamp_millis(written.value(row));
            let last = at(&modified, row).and_then(moment);
            let (Some(known), Some(last)) = (known, last) else {
                return Change::Unknown;
            };
            let is_ours = user.is_some() && at(&by, row).and_then(RecordId::parse) == user;
            let second = Duration::seconds(1);
            match is_ours {
                true if last + second <= known => Change::None,
                true if last <= known + second => Change::Own,
                _ if last > known + second => Change::Since,
                _ => Change::Unknown,
            }
        };
        Ok((0..batch.num_rows()).map(change).collect())
    }

    /// Which records the run's user has created since it began, if it was gone on with.
    fn created_since(&self, batch: &RecordBatch) -> Result<Vec<bool>> {
        let created = texts(batch, join::CREATED)?;
        let by = texts(batch, join::CREATED_BY)?;
        let user = self.user.and_then(RecordId::parse);
        let since = |row: usize| {
            let is_ours = user.is_some() && at(&by, row).and_then(RecordId::parse) == user;
            let created = at(&created, row).and_then(moment);
            is_ours
                && created
                    .zip(self.resumed)
                    .is_some_and(|(created, began)| created >= began - CLOCKS)
        };
        Ok((0..batch.num_rows()).map(since).collect())
    }
}

impl Values {
    /// What is there now differs from what was sent.
    fn differs(&self, row: usize) -> bool {
        self.sent.is_valid(row) && at(&self.canonical_sent, row) != at(&self.canonical_now, row)
    }

    /// What is there now is what was there before.
    fn is_former(&self, row: usize) -> bool {
        at(&self.exact_current, row) == at(&self.exact_former, row)
    }
}

/// Which records were changed last in the second of their creation.
fn as_created(batch: &RecordBatch) -> Result<Vec<bool>> {
    let created = texts(batch, join::CREATED)?;
    let modified = texts(batch, join::MODIFIED)?;
    let both = |row: usize| {
        let moment = |texts: &StringArray| at(texts, row).and_then(moment);
        moment(&created).zip(moment(&modified))
    };
    let is_same = |(created, modified)| modified <= created + Duration::seconds(1);
    let rows = 0..batch.num_rows();
    Ok(rows.map(|row| both(row).is_some_and(is_same)).collect())
}

fn at(texts: &StringArray, row: usize) -> Option<&str> {
    texts.is_valid(row).then(|| texts.value(row))
}

/// Values of a field as a load takes them, in one form whichever way they were read.
fn exact(kind: &FieldType, texts: &StringArray, canonical: &StringArray) -> StringArray {
    match kind {
        // Salesforce writes these in several forms: 9.12260031E8.
        FieldType::Int
        | FieldType::Long
        | FieldType::Double
        | FieldType::Currency
        | FieldType::Percent
        | FieldType::Date
        | FieldType::Time
        | FieldType::Boolean
        | FieldType::Id
        | FieldType::Reference => canonical.clone(),
        FieldType::DateTime => {
            let whole = |text: &str| match moment(text) {
                Some(moment) => moment.to_rfc3339_opts(SecondsFormat::Millis, true),
                None => text.to_owned(),
            };
            texts.iter().map(|text| text.map(whole)).collect()
        }
        _ => texts.clone(),
    }
}

/// Ids in the form of 18 characters.
fn of_ids(texts: &StringArray) -> StringArray {
    let mut ids = StringBuilder::new();
    for text in texts {
        let id = text.and_then(RecordId::parse);
        let id = id.map(|id| id.as_bytes().iter().map(|byte| char::from(*byte)).collect());
        ids.append_option(id.or_else(|| text.map(str::to_owned)));
    }
    ids.finish()
}

fn texts(batch: &RecordBatch, name: &str) -> Result<StringArray> {
    let column = batch.column_by_name(name);
    let column = column.and_then(|column| column.as_string_opt::<i32>());
    let column = column.ok_or_else(|| CliError::failed(format!("the join lacks {name}")))?;
    Ok(column.clone())
}

#[cfg(test)]
mod tests;
