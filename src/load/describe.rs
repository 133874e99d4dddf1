//! What an org says of its objects.

use crate::bulk::{BulkError, COMPOSITE_REQUESTS, Client, Described};
use crate::error::{ErrorKind, Result};
use crate::object::{self, ObjectSchema, RelatedObjects};

use super::LoadError;

/// The describe of an object, by its name in any letter case.
pub(super) async fn object(client: &Client, name: &str) -> Result<ObjectSchema> {
    let describe = match client.describe(name).await {
        Err(error @ BulkError::ObjectNotFound { .. }) => {
            client.describe(&listed(client, name, error).await?).await?
        }
        described => described?,
    };
    Ok(ObjectSchema::from_describe(&describe)?)
}

/// The name as the org lists it; `not_found` if it lists nothing like it.
async fn listed(client: &Client, name: &str, not_found: BulkError) -> Result<String> {
    let Ok(list) = client.sobjects().await else {
        return Err(not_found.into());
    };
    let list = object::list(&list).unwrap_or_default();
    let mut names = list.iter().map(|listed| listed.name.as_str());
    let same = |listed: &&str| *listed != name && listed.eq_ignore_ascii_case(name);
    if let Some(same) = names.clone().find(same) {
        return Ok(same.to_owned());
    }
    match object::nearest(name, names.by_ref().filter(|listed| *listed != name)).as_slice() {
        [] => Err(not_found.into()),
        similar => Err(LoadError::NoObject {
            object: name.to_owned(),
            similar: similar.join(", "),
        }
        .into()),
    }
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
