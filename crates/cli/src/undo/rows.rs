//! The rows that take a run back, in files that a load reads.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arrow_ipc::writer::FileWriter;
use arrow_salesforce::arrow::array::{
    ArrayRef, BooleanBuilder, RecordBatch, StringArray, StringBuilder,
};
use arrow_salesforce::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow_salesforce::arrow::error::ArrowError;
use arrow_salesforce::coerce::Comparison;
use arrow_salesforce::source::explicit_null_flag;

use crate::error::{CliError, Result};

/// Rows of a batch.
const BATCH_ROWS: usize = 8_192;

const ID: &str = "Id";

/// A file of rows.
struct Rows {
    writer: FileWriter<File>,
    path: String,
}

/// Records whose fields get their former values.
pub(crate) struct Restores {
    rows: Rows,
    ids: Vec<String>,
    columns: Vec<Restored>,
}

/// One field of them.
#[derive(Default)]
struct Restored {
    values: StringBuilder,
    /// Whether the value is null on purpose.
    nulls: BooleanBuilder,
    /// Of the record at hand: none where the field is left alone.
    next: Option<Option<String>>,
}

/// Records that are deleted.
pub(crate) struct Deletes {
    rows: Rows,
    ids: Vec<String>,
}

impl Restores {
    /// Begins a file.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(crate) fn create(path: &Path, comparison: &Comparison) -> Result<Self> {
        let fields = comparison.fields();
        let names: Vec<&str> = fields
            .iter()
            .map(|field| field.fills.name.as_str())
            .collect();
        let text = |name: &str| Field::new(name, DataType::Utf8, true);
        let mut columns = vec![text(ID)];
        columns.extend(names.iter().map(|name| text(name)));
        columns.extend(names.iter().map(|name| explicit_null_flag(name)));
        Ok(Self {
            rows: Rows::create(path, &Schema::new(columns))?,
            ids: Vec::new(),
            columns: fields.iter().map(|_| Restored::default()).collect(),
        })
    }

    /// Sets a field of the record at hand, by its number: null empties it.
    pub(super) fn set(&mut self, field: usize, value: Option<&str>) {
        if let Some(column) = self.columns.get_mut(field) {
            column.next = Some(value.map(str::to_owned));
        }
    }

    /// Ends the record at hand. The file is written now and then, as [`Restores::flush`] does.
    pub(super) fn push(&mut self, id: &str) {
        self.ids.push(id.to_owned());
        for column in &mut self.columns {
            let next = column.next.take();
            column.nulls.append_value(next == Some(None));
            column.values.append_option(next.flatten());
        }
    }

    /// Writes what is there if it makes a batch, or `all` of it.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(crate) fn flush(&mut self, all: bool) -> Result<()> {
        if self.ids.is_empty() || (self.ids.len() < BATCH_ROWS && !all) {
            return Ok(());
        }
        let ids: ArrayRef = Arc::new(StringArray::from(std::mem::take(&mut self.ids)));
        let mut columns = vec![ids];
        let values = self
            .columns
            .iter_mut()
            .map(|column| -> ArrayRef { Arc::new(column.values.finish()) });
        columns.extend(values);
        let nulls = self
            .columns
            .iter_mut()
            .map(|column| -> ArrayRef { Arc::new(column.nulls.finish()) });
        columns.extend(nulls);
        self.rows.write(columns)
    }

    /// Ends the file.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(crate) fn finish(mut self) -> Result<()> {
        self.flush(true)?;
        self.rows.finish()
    }
}

impl Deletes {
    /// Begins a file.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(crate) fn create(path: &Path) -> Result<Self> {
        let ids = Field::new(ID, DataType::Utf8, false);
        Ok(Self {
            rows: Rows::create(path, &Schema::new(vec![ids]))?,
            ids: Vec::new(),
        })
    }

    pub(super) fn push(&mut self, id: &str) {
        self.ids.push(id.to_owned());
    }

    /// As [`Restores::flush`].
    ///
    /// # Errors
    /// If it cannot be written.
    pub(crate) fn flush(&mut self, all: bool) -> Result<()> {
        if self.ids.is_empty() || (self.ids.len() < BATCH_ROWS && !all) {
            return Ok(());
        }
        let ids = StringArray::from(std::mem::take(&mut self.ids));
        self.rows.write(vec![Arc::new(ids)])
    }

    /// Ends the file.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(crate) fn finish(mut self) -> Result<()> {
        self.flush(true)?;
        self.rows.finish()
    }
}

impl Rows {
    fn create(path: &Path, schema: &Schema) -> Result<Self> {
        let shown = path.display().to_string();
        let file = File::create(path).map_err(|error| failed(&shown, &error.into()))?;
        let writer = FileWriter::try_new(file, schema).map_err(|error| failed(&shown, &error))?;
        Ok(Self {
            writer,
            path: shown,
        })
    }

    fn write(&mut self, columns: Vec<ArrayRef>) -> Result<()> {
        let schema = SchemaRef::clone(self.writer.schema());
        let batch = RecordBatch::try_new(schema, columns);
        let written = batch.and_then(|batch| self.writer.write(&batch));
        written.map_err(|error| failed(&self.path, &error))
    }

    fn finish(mut self) -> Result<()> {
        let finished = self.writer.finish();
        finished.map_err(|error| failed(&self.path, &error))
    }
}

fn failed(path: &str, error: &ArrowError) -> CliError {
    CliError::failed(format!(
        "{path} cannot be written: {error}. Make room, or choose another place with --run-dir"
    ))
}
