//! Source columns -> the header of a job.

use super::{ObjectError, ObjectSchema, Operation};

/// One column of a job: where it comes from and the field it goes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderColumn {
    /// Index of the column in the source schema.
    pub source: usize,
    /// Text of the header: the field's name in the describe's exact case.
    pub name: String,
    /// Index into [`ObjectSchema::fields`].
    pub field: usize,
}

/// The columns of every job of a load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Columns in the order of the source schema.
    pub columns: Vec<HeaderColumn>,
    /// Names of required fields that no column feeds: worth a warning.
    pub missing_required: Vec<String>,
}

impl Header {
    /// Matches source column names to fields without regard to letter case.
    ///
    /// # Errors
    /// [`ObjectError::Operation`] if the user may not do the operation on the object;
    /// [`ObjectError::Columns`] naming *every* column that the object lacks, that the user may not
    /// write, or that feeds the same field as another. Columns named `_airbyte_*` that match no
    /// field are left out.
    pub fn resolve(
        _columns: &[&str],
        _object: &ObjectSchema,
        _operation: &Operation,
    ) -> Result<Self, ObjectError> {
        Ok(Self {
            columns: Vec::new(),
            missing_required: Vec::new(),
        })
    }
}
