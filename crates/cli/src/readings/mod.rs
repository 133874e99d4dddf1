//! How people wrote their values: found from all values of a column, never from some of them.
//!
//! A survey sees every row of a load, in the columns of text that fill numbers, dates, times and
//! booleans. A column is read in the one way that all its values admit. If they admit two that differ,
//! the load is refused, with the flag that settles it. A value that admits none stays as it is: the
//! engine rejects its record. What the engine takes as it is stays as it is, too.

mod boolean;
mod date;
mod number;
#[cfg(test)]
mod tests;
mod time;

use std::borrow::Cow;

use arrow_salesforce::arrow::array::{
    Array as _, ArrayRef, AsArray as _, RecordBatch, StringBuilder,
};
use arrow_salesforce::arrow::compute::cast;
use arrow_salesforce::arrow::datatypes::{DataType, Field, Schema};
use arrow_salesforce::arrow::error::ArrowError;
use arrow_salesforce::object::{FieldType, ObjectSchema};
use arrow_salesforce::source::{DeclaredType, RAW_ERROR};

use crate::mapping::Mapping;
use crate::spec::ReadSpec;

/// Longest text, in bytes, that is a value of one of the kinds.
const LONGEST: usize = 100;

/// A column that fills a field whose values people write in several ways.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// The column, as the user calls it: in messages.
    pub(crate) column: String,
    /// The field that it fills: the name of the column in batches.
    pub(crate) field: String,
    pub(crate) kind: Kind,
}

impl Wanted {
    /// Columns of text, named by the fields that they fill, of fields that are none.
    pub(crate) fn of(rows: &Schema, object: &ObjectSchema, mapping: &Mapping) -> Vec<Self> {
        let fields = rows.fields().iter().filter(|field| is_text(field));
        let wanted = fields.filter_map(|field| {
            let kind = Kind::of(&object.field(field.name())?.field_type)?;
            // Some of its values were numbers before they became text: they have a decimal point.
            if kind.is_number() && DeclaredType::of(field) == Some(DeclaredType::Union) {
                return None;
            }
            let pair = mapping
                .pairs()
                .iter()
                .find(|(_, filled)| filled == field.name());
            let column = pair.map_or(field.name(), |(column, _)| column);
            Some(Self {
                column: column.clone(),
                field: field.name().clone(),
                kind,
            })
        });
        wanted.collect()
    }
}

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Number,
    /// A number without a fraction.
    Whole,
    Percent,
    Date,
    DateTime,
    Time,
    Boolean,
}

impl Kind {
    fn is_number(self) -> bool {
        matches!(self, Self::Number | Self::Whole | Self::Percent)
    }

    /// Of a field of this type; none if its values are written in one way only.
    pub(crate) fn of(field_type: &FieldType) -> Option<Self> {
        match field_type {
            FieldType::Currency | FieldType::Double => Some(Self::Number),
            FieldType::Int | FieldType::Long => Some(Self::Whole),
            FieldType::Percent => Some(Self::Percent),
            FieldType::Date => Some(Self::Date),
            FieldType::DateTime => Some(Self::DateTime),
            FieldType::Time => Some(Self::Time),
            FieldType::Boolean => Some(Self::Boolean),
            _ => None,
        }
    }
}

/// Why columns cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadingError {
    /// Columns can be read in more than one way: a sentence each, with an example and the flag.
    #[error("values can be read in more than one way:\n  {}", .0.join("\n  "))]
    Unsettled(Vec<String>),
    /// A batch could not be rewritten.
    #[error("values of a column of text cannot be read: {0}")]
    Batch(#[from] ArrowError),
}

/// Sees all rows of a load.
#[derive(Debug)]
pub(crate) struct Survey {
    columns: Vec<(Wanted, Tally)>,
}

/// What was seen of one column.
#[derive(Debug)]
enum Tally {
    Number(number::Tally),
    Date(date::Tally),
    Time(time::Tally),
    Boolean(boolean::Tally),
}

/// How one column is read.
#[derive(Debug)]
enum Reading {
    Number(number::Reading),
    Date(date::Reading),
    Time,
    Boolean(boolean::Reading),
}

impl Survey {
    pub(crate) fn new(wanted: Vec<Wanted>) -> Self {
        let tally = |kind| match kind {
            Kind::Number | Kind::Whole | Kind::Percent => Tally::Number(number::Tally::new(kind)),
            Kind::Date | Kind::DateTime => Tally::Date(date::Tally::default()),
            Kind::Time => Tally::Time(time::Tally::default()),
            Kind::Boolean => Tally::Boolean(boolean::Tally::default()),
        };
        let columns = wanted.into_iter().map(|wanted| {
            let tally = tally(wanted.kind);
            (wanted, tally)
        });
        Self {
            columns: columns.collect(),
        }
    }

    /// Takes the values of a batch, in columns of text.
    ///
    /// # Errors
    /// If a column cannot be made text.
    pub(crate) fn add(&mut self, batch: &RecordBatch) -> Result<(), ReadingError> {
        for (wanted, tally) in &mut self.columns {
            let Some((_, cells)) = texts(batch, &wanted.field)? else {
                continue;
            };
            for (row, cell) in cells.as_string::<i32>().iter().enumerate() {
                if is_row(batch, row) {
                    tally.add(cell.map(str::trim).unwrap_or_default());
                }
            }
        }
        Ok(())
    }

    /// The one reading of each column.
    ///
    /// # Errors
    /// If columns have more than one, and no flag settles it.
    pub(crate) fn finish(self, read: &ReadSpec) -> Result<Readings, ReadingError> {
        let (mut columns, mut found, mut problems) = (Vec::new(), Vec::new(), Vec::new());
        for (wanted, tally) in self.columns {
            let Wanted { column, field, .. } = wanted;
            let name = match column == field {
                true => field.clone(),
                false => format!("{field} (column {column})"),
            };
            match tally.finish(read) {
                Ok(Some((reading, note))) => {
                    found.push(format!("{name}: {note}"));
                    columns.push((field, reading));
                }
                Ok(None) => {}
                Err(problem) => problems.push(format!("{name}: {problem}")),
            }
        }
        if problems.is_empty() {
            Ok(Readings { columns, found })
        } else {
            Err(ReadingError::Unsettled(problems))
        }
    }
}

impl Tally {
    fn add(&mut self, text: &str) {
        let text = if text.len() > LONGEST { "?" } else { text };
        match self {
            Self::Boolean(tally) => tally.add(text),
            _ if text.is_empty() => {}
            Self::Number(tally) => tally.add(text),
            Self::Date(tally) => tally.add(text),
            Self::Time(tally) => tally.add(text),
        }
    }

    /// The reading, if values must be rewritten, with a sentence about it; or what is not settled.
    fn finish(self, read: &ReadSpec) -> Result<Option<(Reading, String)>, String> {
        Ok(match self {
            Self::Number(tally) => tally
                .finish(read.decimal)?
                .map(|(reading, note)| (Reading::Number(reading), note)),
            Self::Date(tally) => tally
                .finish(read.dates)?
                .map(|(reading, note)| (Reading::Date(reading), note)),
            Self::Time(tally) => tally.finish().map(|note| (Reading::Time, note)),
            Self::Boolean(tally) => tally
                .finish()
                .map(|(reading, note)| (Reading::Boolean(reading), note)),
        })
    }
}

/// How each column is read.
#[derive(Debug, Default)]
pub(crate) struct Readings {
    /// By the field.
    columns: Vec<(String, Reading)>,
    found: Vec<String>,
}

impl Readings {
    /// What was found, a sentence each; nothing about columns that stay as they are.
    pub(crate) fn found(&self) -> &[String] {
        &self.found
    }

    /// Writes values as the engine takes them.
    ///
    /// # Errors
    /// If a column cannot be made text.
    pub(crate) fn apply(&self, batch: RecordBatch) -> Result<RecordBatch, ReadingError> {
        if self.columns.is_empty() {
            return Ok(batch);
        }
        let mut columns = batch.columns().to_vec();
        for (field, reading) in &self.columns {
            let Some((index, cells)) = texts(&batch, field)? else {
                continue;
            };
            let mut out = StringBuilder::with_capacity(cells.len(), cells.len() * 8);
            for (row, cell) in cells.as_string::<i32>().iter().enumerate() {
                match reading.apply(cell.unwrap_or_default()) {
                    Some(text) if is_row(&batch, row) => out.append_value(text),
                    _ => out.append_option(cell),
                }
            }
            // The load is made for the columns as they are.
            columns[index] = cast(&out.finish(), batch.column(index).data_type())?;
        }
        Ok(RecordBatch::try_new(batch.schema(), columns)?)
    }
}

impl Reading {
    /// The value as the engine takes it; none if it stays as it is.
    fn apply<'a>(&self, text: &'a str) -> Option<Cow<'a, str>> {
        let text = text.trim();
        match self {
            Self::Boolean(reading) => reading.apply(text).map(Cow::Borrowed),
            _ if text.is_empty() || text.len() > LONGEST => None,
            Self::Number(reading) => reading.apply(text).map(Cow::Owned),
            Self::Date(reading) => reading.apply(text).map(Cow::Owned),
            Self::Time => time::read(text).map(Cow::Owned),
        }
    }
}

/// Whether a row was read; none of its values is one if not.
fn is_row(batch: &RecordBatch, row: usize) -> bool {
    let reasons = batch.column_by_name(RAW_ERROR);
    reasons.is_none_or(|reasons| reasons.is_null(row))
}

/// A column as text with its index; none if it is not there or no column of text.
fn texts(batch: &RecordBatch, name: &str) -> Result<Option<(usize, ArrayRef)>, ArrowError> {
    match batch.schema_ref().column_with_name(name) {
        Some((index, field)) if is_text(field) => {
            Ok(Some((index, cast(batch.column(index), &DataType::Utf8)?)))
        }
        _ => Ok(None),
    }
}

/// Whether values are texts, and were no other type before.
fn is_text(field: &Field) -> bool {
    let text = match field.data_type() {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => true,
        DataType::Dictionary(_, values) => values.is_string(),
        _ => false,
    };
    let declared = DeclaredType::of(field);
    text && matches!(
        declared,
        None | Some(DeclaredType::String | DeclaredType::Union | DeclaredType::Unknown)
    )
}
