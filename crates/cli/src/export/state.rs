//! What a directory of parts says of itself: which query they are of, and which of them are whole.

use arrow_salesforce::arrow::datatypes::Schema;
use serde::{Deserialize, Serialize};

use super::ExportError;
use super::place::Place;

/// File of the directory. Readers of Parquet pass over names that begin so.
pub(super) const FILE: &str = "_query.json";

/// Version of the form of the file.
const VERSION: u32 = 1;

/// What was asked for. Parts of another question do not fit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Asked {
    /// The query as it was typed.
    pub(crate) soql: String,
    /// Id of the org.
    pub(crate) org: String,
    /// Whether deleted records are of it.
    pub(crate) deleted: bool,
    /// Whether all values are texts.
    pub(crate) texts: bool,
}

/// The state of a directory of parts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PartsState {
    version: u32,
    #[serde(flatten)]
    pub(crate) asked: Asked,
    /// Jobs whose results the parts are of, in the order of the rows.
    pub(crate) jobs: Vec<String>,
    /// Whether no other job is to be made: the results of these are all records.
    pub(crate) all_jobs: bool,
    /// Names and types of the columns.
    pub(super) columns: Vec<String>,
    /// Parts that are whole, in the order of the rows.
    pub(super) parts: Vec<Part>,
    /// The last record of the whole parts: whether the results say the same at its place shows whether
    /// the parts have all that is before it.
    #[serde(default)]
    pub(super) last: Option<Vec<String>>,
    /// Whether all records are there.
    pub(crate) complete: bool,
}

/// A part that is whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Part {
    pub(super) name: String,
    pub(super) rows: u64,
    pub(super) bytes: u64,
}

impl PartsState {
    /// Of a query that begins.
    pub(crate) fn new(asked: Asked, schema: &Schema) -> Self {
        Self {
            version: VERSION,
            asked,
            jobs: Vec::new(),
            all_jobs: false,
            columns: columns(schema),
            parts: Vec::new(),
            last: None,
            complete: false,
        }
    }

    /// Records of all whole parts.
    pub(crate) fn rows(&self) -> u64 {
        self.parts.iter().map(|part| part.rows).sum()
    }

    /// Records of the whole parts that a query that goes on passes over: all but the last, which it
    /// compares.
    pub(crate) fn passed_over(&self) -> u64 {
        self.rows() - u64::from(self.last.is_some())
    }

    /// Fails if the parts are of another question, or their columns are others now.
    ///
    /// # Errors
    /// [`ExportError::Usage`].
    pub(crate) fn fits(&self, asked: &Asked, place: &str) -> Result<(), ExportError> {
        let was = &self.asked;
        let what = if was.org != asked.org {
            "org"
        } else if was.soql != asked.soql {
            "query"
        } else if was != asked {
            "--deleted or --texts"
        } else {
            return Ok(());
        };
        Err(ExportError::Usage(format!(
            "the parts in {place} are of another {what}: resume with what was typed then ({}), or begin anew \
             with --overwrite",
            was.soql
        )))
    }

    /// The state that a directory has, if it has one.
    pub(super) async fn read(place: &Place) -> Result<Option<Self>, ExportError> {
        let file = place.child(FILE);
        let Some(text) = file.content().await? else {
            return Ok(None);
        };
        let damaged = |reason: String| ExportError::State {
            place: file.shown().to_owned(),
            reason,
        };
        let state: Self =
            serde_json::from_slice(&text).map_err(|error| damaged(error.to_string()))?;
        match state.version {
            VERSION => Ok(Some(state)),
            other => Err(damaged(format!("it has version {other}"))),
        }
    }

    /// Writes it over the one before.
    pub(super) async fn write(&self, place: &Place) -> Result<(), ExportError> {
        let file = place.child(FILE);
        let text = serde_json::to_vec_pretty(self).map_err(|error| file.failed(&error))?;
        file.put(text.into()).await
    }
}

/// Names and types of columns.
pub(super) fn columns(schema: &Schema) -> Vec<String> {
    let fields = schema.fields().iter();
    fields
        .map(|field| format!("{} {}", field.name(), field.data_type()))
        .collect()
}
