//! What the org says of itself.

use serde::Deserialize;

use crate::bulk::connection::Connection;
use crate::bulk::error::BulkError;
use crate::bulk::http::{Call, Policy, parse_json};

/// The kind of an org.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Organization {
    /// Host of its API.
    pub host: String,
    /// Whether it is a sandbox, where that can be known.
    pub is_sandbox: Option<bool>,
    /// Salesforce's word for its edition, if the user may read it: `Developer Edition`.
    pub edition: Option<String>,
}

#[derive(Deserialize)]
struct Answer {
    records: Vec<Record>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Record {
    is_sandbox: Option<bool>,
    organization_type: Option<String>,
}

/// See [`Client::organization`](crate::bulk::Client::organization).
pub(in crate::bulk) async fn organization(
    connection: &Connection,
) -> Result<Organization, BulkError> {
    let mut call = Call::get("reading what the org is", &["query"], Policy::Optional);
    call.query = &[("q", "SELECT IsSandbox, OrganizationType FROM Organization")];
    let record = match connection.read(&call).await {
        Ok(body) => parse_json::<Answer>(call.action, &body)?.records.pop(),
        Err(error @ BulkError::Refused { .. }) => {
            tracing::debug!(%error, "what the org is follows from its host");
            None
        }
        Err(error) => return Err(error),
    };
    let host = connection.instance_host();
    let (said, edition) = record.map_or((None, None), |record| {
        (record.is_sandbox, record.organization_type)
    });
    Ok(Organization {
        is_sandbox: said.or_else(|| is_sandbox(&host)),
        edition,
        host,
    })
}

/// What the name of a My Domain says: `acme--uat.sandbox.my.salesforce.com` is a sandbox,
/// `acme.my.salesforce.com` is none. Other hosts say nothing.
fn is_sandbox(host: &str) -> Option<bool> {
    let (name, _) = host.split_once(".my.")?;
    let mut labels = name.split('.');
    let sandbox = labels.next()?.contains("--")
        || labels.any(|label| label == "sandbox" || label == "scratch");
    Some(sandbox)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_of_sandboxes() {
        let hosts = [
            ("acme--uat.sandbox.my.salesforce.com", Some(true)),
            ("acme--uat.my.salesforce.com", Some(true)),
            ("quick-fox.scratch.my.salesforce.com", Some(true)),
            ("acme.my.salesforce.com", Some(false)),
            ("acme-dev-ed.develop.my.salesforce.com", Some(false)),
            ("cs42.salesforce.com", None),
            ("127.0.0.1", None),
        ];
        for (host, expected) in hosts {
            assert_eq!(is_sandbox(host), expected, "{host}");
        }
    }
}
