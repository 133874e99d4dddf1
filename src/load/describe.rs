//! What an org tells about objects.

use crate::bulk::{BulkError, COMPOSITE_REQUESTS, Client, Described};
use crate::error::{ErrorKind, Result};
use crate::object::{ObjectSchema, RelatedObjects};

/// The describe of an object.
pub(super) async fn object(client: &Client, name: &str) -> Result<ObjectSchema> {
    let describe = client.describe(name).await?;
    Ok(ObjectSchema::from_describe(&describe)?)
}

/// The describes of objects that lookups point to, without those that the user may not see.
pub(super) async fn related(client: &Client, names: &[String]) -> Result<RelatedObjects> {
    let mut objects = Vec::with_capacity(names.len());
    for names in names.chunks(COMPOSITE_REQUESTS) {
        for Described { describe, .. } in client.describe_many(names).await? {
            match describe {
                Ok(describe) => {
                    objects.push(ObjectSchema::from_describe(describe.get().as_bytes())?);
                }
                Err(error) if is_hidden(&error) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(objects.into_iter().collect())
}

fn is_hidden(error: &BulkError) -> bool {
    matches!(
        error,
        BulkError::ObjectNotFound { .. }
            | BulkError::Refused {
                status: 403,
                kind: ErrorKind::Config,
                ..
            }
    )
}
