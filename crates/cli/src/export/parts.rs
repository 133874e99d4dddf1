//! Records as the Parquet files of a directory. What is whole is noted, so that another process can go
//! on with the rest.

use std::collections::BTreeMap;

use arrow_salesforce::arrow::array::RecordBatch;
use arrow_salesforce::arrow::datatypes::SchemaRef;
use arrow_salesforce::arrow::util::display::array_value_to_string;

use super::ExportError;
use super::encode::Encoding;
use super::file::Written;
use super::place::Place;
use super::sink::Sink;
use super::state::{self, FILE, Part, PartsState, columns};
use crate::spec::Format;

/// Most rows of a part, unless `--part-rows` says otherwise.
const PART_ROWS: u64 = 500_000;
/// A part of so many bytes is not added to.
const PART_BYTES: u64 = 256 << 20;

/// Parts that are being written.
pub(crate) struct Parts {
    place: Place,
    schema: SchemaRef,
    state: PartsState,
    most_rows: u64,
    /// The part that is not whole yet.
    open: Option<Written>,
    /// The last record of the open part.
    last: Option<RecordBatch>,
    /// The results begin with the last record of the parts that are whole already.
    proves: bool,
}

impl Parts {
    /// The state of the directory, if it is one of parts.
    ///
    /// # Errors
    /// [`ExportError`].
    pub(crate) async fn state(place: &Place) -> Result<Option<PartsState>, ExportError> {
        PartsState::read(place).await
    }

    /// Makes sure that new parts may be begun here: it is empty, or is made so. Returns the jobs of the
    /// parts that were there.
    ///
    /// # Errors
    /// [`ExportError::Usage`] if something is there that must stay.
    pub(crate) async fn clear(place: &Place, overwrite: bool) -> Result<Vec<String>, ExportError> {
        let shown = place.shown();
        let usage = |message: String| Err(ExportError::Usage(message));
        let files = place.files().await?;
        let state = match PartsState::read(place).await {
            // Whatever it was, it is written over.
            Err(ExportError::State { .. }) if overwrite => None,
            state => state?,
        };
        if !overwrite && let Some(state) = &state {
            let rows = state.rows();
            return usage(match state.complete {
                true => format!(
                    "{shown} has all {rows} records of a query already: --overwrite begins anew"
                ),
                false => format!(
                    "{shown} has the first {rows} records of a query that stopped: --resume goes on, \
                     --overwrite begins anew"
                ),
            });
        }
        if let Some(other) = files.keys().find(|name| !is_ours(name)) {
            return usage(format!(
                "{shown} holds {other}, which is no part of a query: name a directory of their own"
            ));
        }
        if !overwrite && !files.is_empty() {
            return usage(format!(
                "{shown} holds parts, and nothing says what they are of: --overwrite writes over them"
            ));
        }
        // What says that they are whole goes first.
        place.child(FILE).delete().await?;
        for name in files.keys() {
            place.child(name).delete().await?;
        }
        let unfinished = state.filter(|state| !state.complete);
        Ok(unfinished.map(|state| state.jobs).unwrap_or_default())
    }

    /// Begins with parts, or goes on with those that are whole.
    ///
    /// # Errors
    /// [`ExportError`].
    pub(crate) async fn begin(
        place: &Place,
        state: PartsState,
        schema: &SchemaRef,
        part_rows: Option<u64>,
    ) -> Result<Self, ExportError> {
        if state.columns != columns(schema) {
            return Err(ExportError::Usage(format!(
                "the fields of the object have changed since the parts in {} were begun, so that new ones \
                 would not fit: begin anew with --overwrite",
                place.shown()
            )));
        }
        let parts = Self {
            proves: state.last.is_some(),
            last: None,
            place: place.clone(),
            schema: SchemaRef::clone(schema),
            state,
            most_rows: part_rows.unwrap_or(PART_ROWS).max(1),
            open: None,
        };
        parts.settle().await?;
        Ok(parts)
    }

    /// Notes the jobs so far, and whether these are all, if that is new.
    ///
    /// # Errors
    /// [`ExportError`].
    pub(crate) async fn note(&mut self, jobs: Vec<String>, all: bool) -> Result<(), ExportError> {
        if self.state.jobs == jobs && self.state.all_jobs == all {
            return Ok(());
        }
        (self.state.jobs, self.state.all_jobs) = (jobs, all);
        self.state.write(&self.place).await
    }

    /// Proves that the whole parts are there, and deletes what a killed attempt has left beside them.
    async fn settle(&self) -> Result<(), ExportError> {
        let mut files = self.place.files().await?;
        for part in &self.state.parts {
            let size = files.remove(&part.name);
            if size != Some(part.bytes) {
                return Err(ExportError::Usage(format!(
                    "{} is not what was written there: begin anew with --overwrite",
                    self.place.child(&part.name).shown()
                )));
            }
        }
        for name in files.keys().filter(|name| is_ours(name) && *name != FILE) {
            self.place.child(name).delete().await?;
        }
        self.place.sweep();
        Ok(())
    }

    /// Adds records.
    ///
    /// # Errors
    /// [`ExportError`].
    pub(crate) async fn write(&mut self, batch: &RecordBatch) -> Result<(), ExportError> {
        let mut from = 0;
        if self.proves && batch.num_rows() > 0 {
            if self.state.last != Some(values(&batch.slice(0, 1))) {
                return Err(self.does_not_go_on());
            }
            self.proves = false;
            from = 1;
        }
        while from < batch.num_rows() {
            let open = self.open()?;
            let room = self.most_rows.saturating_sub(open);
            let room = usize::try_from(room).unwrap_or(usize::MAX);
            let taken = room.min(batch.num_rows() - from);
            let full = match &mut self.open {
                Some(part) => {
                    part.write(batch.slice(from, taken)).await?;
                    part.rows() >= self.most_rows || part.bytes() >= PART_BYTES
                }
                None => false,
            };
            from += taken;
            self.last = Some(batch.slice(from - 1, 1));
            if full {
                self.close().await?;
            }
        }
        Ok(())
    }

    /// The error of parts that lack a record, or have one twice.
    fn does_not_go_on(&self) -> ExportError {
        ExportError::Usage(format!(
            "the records in {} are not those with which the results of the job begin, since Salesforce gave \
             a page that was not whole: begin anew with --overwrite",
            self.place.shown()
        ))
    }

    /// Makes sure that a part is open, and returns how many rows it has.
    fn open(&mut self) -> Result<u64, ExportError> {
        if let Some(part) = &self.open {
            return Ok(part.rows());
        }
        let encoding = Encoding {
            format: Format::Parquet,
            gzip: false,
        };
        let sink = Sink::stored(&self.place.child(&self.name()));
        self.open = Some(Written::begin(encoding, &self.schema, sink)?);
        Ok(0)
    }

    /// The name of the part that comes after those that are whole.
    fn name(&self) -> String {
        format!("part-{:05}.parquet", self.state.parts.len())
    }

    /// Ends the open part, and notes it.
    async fn close(&mut self) -> Result<(), ExportError> {
        let Some(mut part) = self.open.take() else {
            return Ok(());
        };
        part.finish().await?;
        self.state.parts.push(Part {
            name: self.name(),
            rows: part.rows(),
            bytes: part.bytes(),
        });
        self.state.last = self
            .last
            .take()
            .as_ref()
            .map(values)
            .or(self.state.last.take());
        self.state.write(&self.place).await
    }

    /// Records of parts that are whole.
    pub(crate) fn rows(&self) -> u64 {
        self.state.rows()
    }

    /// The end of all records. Without any there is one part with the columns.
    ///
    /// # Errors
    /// [`ExportError`].
    pub(crate) async fn finish(&mut self) -> Result<(), ExportError> {
        if self.proves {
            return Err(self.does_not_go_on());
        }
        if self.state.parts.is_empty() {
            self.open()?;
        }
        self.close().await?;
        self.state.complete = true;
        self.state.write(&self.place).await
    }

    /// Leaves the parts that are whole, and nothing of the open one.
    pub(crate) async fn abort(mut self) {
        if let Some(part) = self.open.take() {
            part.abort().await;
        }
    }
}

/// The values of a record as texts.
fn values(record: &RecordBatch) -> Vec<String> {
    let columns = record.columns().iter();
    columns
        .map(|column| array_value_to_string(column, 0).unwrap_or_default())
        .collect()
}

/// Whether a file is one that a query writes.
fn is_ours(name: &str) -> bool {
    let number = name.strip_prefix("part-");
    let number = number.and_then(|rest| rest.strip_suffix(".parquet"));
    let is_part = number.is_some_and(|number| {
        number.len() >= 5 && number.bytes().all(|byte| byte.is_ascii_digit())
    });
    is_part || name == state::FILE
}

impl Place {
    /// Files of a directory with their sizes, and its directories.
    async fn files(&self) -> Result<BTreeMap<String, u64>, ExportError> {
        let listed = self.store().list_with_delimiter(Some(self.path())).await;
        let listed = listed.map_err(|error| self.failed(&error))?;
        let files = listed.objects.into_iter();
        let files = files.map(|object| (object.location, object.size));
        let directories = listed.common_prefixes.into_iter().map(|path| (path, 0));
        let named = files
            .chain(directories)
            .filter_map(|(path, size)| Some((path.filename()?.to_owned(), size)));
        Ok(named.collect())
    }
}
