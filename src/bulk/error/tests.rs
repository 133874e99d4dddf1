//! Errors as the rest of the library sees them.

use super::*;
use crate::error::Error;

#[test]
fn a_job_is_the_context_of_its_error() {
    let gone = BulkError::JobGone {
        id: "750A".to_owned(),
    };
    let error = Error::from(gone);
    let context: Vec<_> = error.context().collect();
    assert_eq!(context, [(Error::JOB, "750A")]);
}

#[test]
fn kind_and_text_survive_the_conversion() {
    let error = BulkError::ObjectNotFound {
        object: "Kontakt".to_owned(),
    };
    let text = error.to_string();
    let error = Error::from(error);
    assert_eq!(error.kind(), ErrorKind::Config);
    assert_eq!(error.to_string(), text);
}
