//! What can stop the planning or the evaluation of a coercion.

use arrow::datatypes::DataType;
use datafusion::error::DataFusionError;

use crate::error::{Error, ErrorKind};

/// Columns that no expression can write, or an expression that failed.
#[derive(Debug, thiserror::Error)]
pub enum CoerceError {
    /// Columns whose Arrow type has no plain meaning in their fields.
    #[error("{}", problems.join("; "))]
    SourceTypes {
        /// One sentence a column: its type, the field's type, and what to do.
        problems: Vec<String>,
    },
    /// Required fields of an insert that no column feeds, with strict validation.
    #[error(
        "no column feeds the required fields {}; map columns to them, or set validate to minimal",
        fields.join(", ")
    )]
    MissingRequired {
        /// Names of the fields.
        fields: Vec<String>,
    },
    /// DataFusion refused the expressions.
    #[error(
        "the expressions for the columns could not be planned: {0}; give each column its own name"
    )]
    Plan(#[source] DataFusionError),
    /// DataFusion failed on a batch.
    #[error(
        "the values of a batch could not be converted: {0}; batches must have the columns that the \
         load was planned for"
    )]
    Evaluate(#[source] DataFusionError),
}

impl CoerceError {
    /// Whose fault it is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::SourceTypes { .. } | Self::MissingRequired { .. } | Self::Plan(_) => {
                ErrorKind::Config
            }
            Self::Evaluate(_) => ErrorKind::System,
        }
    }

    pub(super) fn source_type(column: &str, data_type: &DataType, field: &str, to: &str) -> String {
        format!(
            "column {column} of type {data_type} cannot fill field {field} ({to}); cast it to Utf8"
        )
    }
}

impl From<CoerceError> for Error {
    fn from(error: CoerceError) -> Self {
        Self::new(error.kind(), error.to_string()).with_source(error)
    }
}
