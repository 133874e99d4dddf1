//! What an org tells about objects.

use futures::{StreamExt, TryStreamExt, stream};

use crate::bulk::{BulkError, Client};
use crate::error::{ErrorKind, Result};
use crate::object::{ObjectSchema, RelatedObjects};

/// Describes in flight at once.
const DESCRIBES: usize = 4;

/// The describe of an object.
pub(super) async fn object(client: &Client, name: &str) -> Result<ObjectSchema> {
    let describe = client.describe(name).await?;
    Ok(ObjectSchema::from_describe(&describe)?)
}

/// The describes of objects that lookups point to, without those that the user may not see.
pub(super) async fn related(client: &Client, names: Vec<String>) -> Result<RelatedObjects> {
    let describes = names.into_iter().map(|name| async move {
        match client.describe(&name).await {
            Ok(describe) => Ok(Some(ObjectSchema::from_describe(&describe)?)),
            Err(error) if is_hidden(&error) => Ok(None),
            Err(error) => Err(error.into()),
        }
    });
    stream::iter(describes)
        .buffer_unordered(DESCRIBES)
        .try_filter_map(|object| async { Ok(object) })
        .try_collect()
        .await
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
