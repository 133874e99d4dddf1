//! The answer of a describe call -> [`ObjectSchema`].

use super::{ObjectError, ObjectSchema};

pub(super) fn parse(_json: &[u8]) -> Result<ObjectSchema, ObjectError> {
    Err(ObjectError::Describe {
        reason: "not read yet".into(),
    })
}
