//! Records of an org beside the run that wrote them.

pub(crate) mod beside;
pub(crate) mod compare;
pub(crate) mod look;
pub(crate) mod sent;

use arrow_salesforce::arrow::datatypes::SchemaRef;
use arrow_salesforce::coerce::Comparison;
use arrow_salesforce::object::{Header, ObjectSchema, Operation, RelatedObjects};
use arrow_salesforce::options::ValueOptions;
use arrow_salesforce::{ErrorKind, Org};
use chrono::{DateTime, Utc};

use crate::error::Result;

/// How rows of this source were, or will be, written into an object, and how they are compared.
///
/// # Errors
/// Those of calls; [`Comparison::plan`]'s.
pub(crate) async fn comparison(
    org: &Org,
    source: &SchemaRef,
    object: &ObjectSchema,
    operation: &Operation,
    values: ValueOptions,
) -> Result<Comparison> {
    let columns = source.fields().iter().map(|field| field.name().as_str());
    let columns: Vec<&str> = columns.collect();
    let mut related: Vec<ObjectSchema> = Vec::new();
    for name in Header::related(&columns, object, operation) {
        match org.object(&name).await {
            Ok(object) => related.push(object),
            // One of several that a lookup may point to, which the user does not see.
            Err(error) if error.kind() == ErrorKind::Config => {}
            Err(error) => return Err(error.into()),
        }
    }
    let related: RelatedObjects = related.into_iter().collect();
    let plan = Comparison::plan(source, object, operation, &related, values);
    Ok(plan?)
}

/// A moment as Salesforce writes it: `2024-03-01T10:00:00.000Z`, or with `+0000`.
pub(crate) fn moment(text: &str) -> Option<DateTime<Utc>> {
    let parsed = DateTime::parse_from_rfc3339(text);
    let parsed = parsed.or_else(|_| DateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f%#z"));
    parsed.ok().map(|moment| moment.to_utc())
}
