//! What Salesforce would return for a describe of a shape's object: the simulated org's fields.

use std::io;

use serde_json::Value;

use super::records::Shape;

/// The describe response of the object that records of `shape` go to.
///
/// # Errors
/// Only if the simulated org has no such object.
pub(crate) fn describe(shape: Shape) -> io::Result<Value> {
    salesforce_sim::describe(shape.object())
        .ok_or_else(|| io::Error::other("the simulated org has no such object"))
}
