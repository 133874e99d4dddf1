//! What the org says of itself.

use serde::Deserialize;

use super::call::Call;
use super::client::Client;
use super::error::BulkError;
use super::retry::Policy;
use super::wire::parse_json;

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

impl Client {
    /// What the org says of itself; of a user who may not read that, what its host tells.
    ///
    /// # Errors
    /// Any of a call's, but for a refusal.
    pub async fn organization(&self) -> Result<Organization, BulkError> {
        let mut call = Call::get("reading what the org is", &["query"], Policy::READ);
        call.query = &[("q", "SELECT IsSandbox, OrganizationType FROM Organization")];
        let record = match self.read(&call).await {
            Ok(body) => parse_json::<Answer>(call.action, &body)?.records.pop(),
            Err(error @ BulkError::Refused { .. }) => {
                tracing::debug!(%error, "the host tells what the org is");
                None
            }
            Err(error) => return Err(error),
        };
        let host = self.instance_host();
        let (said, edition) = record.map_or((None, None), |record| {
            (record.is_sandbox, record.organization_type)
        });
        Ok(Organization {
            is_sandbox: said.or_else(|| is_sandbox(&host)),
            edition,
            host,
        })
    }
}

/// What a My Domain tells: `acme--uat.sandbox.my.salesforce.com` is a sandbox,
/// `acme.my.salesforce.com` is none. Other hosts tell nothing.
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
