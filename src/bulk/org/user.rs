//! Who is logged in.

use reqwest::Method;
use serde::Deserialize;

use crate::bulk::connection::Connection;
use crate::bulk::error::BulkError;
use crate::bulk::http::{Call, Payload, Policy, Resource, parse_json};

const ACTION: &str = "asking whose session it is";

/// The user of a session.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct User {
    /// The name that the user logs in by, if the session may be asked for it.
    pub username: Option<String>,
    /// Id of the user.
    pub id: Option<String>,
    /// Id of the org.
    pub org_id: Option<String>,
}

#[derive(Default, Deserialize)]
struct UserInfo {
    user_id: Option<String>,
    organization_id: Option<String>,
    preferred_username: Option<String>,
}

#[derive(Deserialize)]
struct Answer {
    records: Vec<Record>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Record {
    username: Option<String>,
}

/// See [`Client::user`](crate::bulk::Client::user).
pub(in crate::bulk) async fn user(connection: &Connection) -> Result<User, BulkError> {
    let call = Call {
        action: ACTION,
        method: Method::GET,
        resource: Resource::UserInfo,
        query: &[],
        payload: Payload::None,
        policy: Policy::Optional,
    };
    let info = match connection.read(&call).await {
        Ok(body) => parse_json::<UserInfo>(ACTION, &body)?,
        // A session may be good for the API and not for this.
        Err(error) if is_refused(&error) => UserInfo::default(),
        Err(error) => return Err(error),
    };
    let user = User {
        username: info.preferred_username,
        id: info.user_id.or_else(|| connection.user_id()),
        org_id: info.organization_id.or_else(|| connection.org_id()),
    };
    match (&user.username, &user.id) {
        (None, Some(id)) => Ok(User {
            username: username_of(connection, id).await?,
            ..user
        }),
        _ => Ok(user),
    }
}

/// The name of the user of an Id, if it can be read.
async fn username_of(connection: &Connection, id: &str) -> Result<Option<String>, BulkError> {
    if !id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Ok(None);
    }
    let query = format!("SELECT Username FROM User WHERE Id = '{id}'");
    let query = [("q", &*query)];
    let mut call = Call::get(ACTION, &["query"], Policy::Optional);
    call.query = &query;
    match connection.read(&call).await {
        Ok(body) => {
            let record = parse_json::<Answer>(ACTION, &body)?.records.pop();
            Ok(record.and_then(|record| record.username))
        }
        Err(error) if is_refused(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

fn is_refused(error: &BulkError) -> bool {
    matches!(
        error,
        BulkError::Refused { .. } | BulkError::Session { .. } | BulkError::ObjectNotFound { .. }
    )
}
