//! A role for the bucket, assumed at AWS STS with the environment's credentials. object_store itself
//! assumes roles by web identity only.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, StatusCode, Uri};
use object_store::aws::{
    AmazonS3Builder, AmazonS3ConfigKey, AwsAuthorizer, AwsCredential, AwsCredentialProvider,
};
use object_store::client::{HttpClient, HttpConnector as _, HttpRequest};
use object_store::{ClientOptions, CredentialProvider};
use serde::Deserialize;
use tokio::sync::Mutex;

use super::connect::Connector;
use crate::error::ErrorKind;

/// Session of a role, in seconds: what every role allows (IAM User Guide, "AssumeRole").
const SESSION_SECONDS: &str = "3600";
/// A session is renewed when this little of it is left.
const RENEWED_BEFORE: Duration = Duration::from_secs(300);

/// A role that could not be assumed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RoleError {
    /// STS refused.
    #[error(
        "role_arn {arn} cannot be assumed ({code}); allow the environment's credentials \
         sts:AssumeRole on the role, let the role's trust policy name them, and set \
         AWS_ASSUME_ROLE_EXTERNAL_ID where it asks for an external id"
    )]
    Refused {
        /// The role.
        arn: String,
        /// Code of the response.
        code: String,
    },
    /// STS did not respond, or with nothing that can be read.
    #[error(
        "role_arn {arn} cannot be assumed for now ({reason}); check the network, try again later"
    )]
    Unavailable {
        /// The role.
        arn: String,
        /// What failed.
        reason: String,
    },
}

impl RoleError {
    /// Whose fault it is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Refused { .. } => ErrorKind::Config,
            Self::Unavailable { .. } => ErrorKind::Transient,
        }
    }
}

/// The credentials of a role, renewed before they expire.
#[derive(Debug)]
pub(super) struct AssumedRole {
    arn: String,
    /// What the role's trust policy may ask for.
    external_id: Option<String>,
    region: String,
    endpoint: Uri,
    /// Whoever assumes the role.
    assumer: AwsCredentialProvider,
    http: HttpClient,
    session: Mutex<Option<Session>>,
}

#[derive(Debug)]
struct Session {
    credential: Arc<AwsCredential>,
    expires: DateTime<Utc>,
}

impl AssumedRole {
    /// The role `arn`, assumed in `region` with the credentials that `environment` finds.
    pub(super) fn new(
        arn: &str,
        region: String,
        environment: AmazonS3Builder,
        connector: &Connector,
    ) -> object_store::Result<Self> {
        let suffix = match region.starts_with("cn-") {
            true => "amazonaws.com.cn",
            false => "amazonaws.com",
        };
        let endpoint = environment
            .get_config_value(&AmazonS3ConfigKey::StsEndpoint)
            .unwrap_or_else(|| format!("https://sts.{region}.{suffix}"));
        let options = ClientOptions::new().with_allow_http(endpoint.starts_with("http://"));
        Ok(Self {
            arn: arn.to_owned(),
            external_id: std::env::var("AWS_ASSUME_ROLE_EXTERNAL_ID").ok(),
            region,
            endpoint: endpoint.parse().map_err(failed)?,
            assumer: Arc::clone(environment.build()?.credentials()),
            http: connector.connect(&options)?,
            session: Mutex::default(),
        })
    }

    async fn assume(&self) -> object_store::Result<Session> {
        let assumer = self.assumer.get_credential().await?;
        self.request_session(&assumer).await.map_err(failed)
    }

    /// The session counts as expired: another one is asked for.
    pub(super) async fn forget(&self) {
        *self.session.lock().await = None;
    }

    async fn request_session(&self, assumer: &AwsCredential) -> Result<Session, RoleError> {
        let unavailable = |reason: String| RoleError::Unavailable {
            arn: self.arn.clone(),
            reason,
        };
        let response = self
            .http
            .execute(self.request(assumer))
            .await
            .map_err(|error| unavailable(error.to_string()))?;
        let status = response.status();
        let body = response.into_body().bytes().await;
        let body = body.map_err(|error| unavailable(error.to_string()))?;
        if status.is_success() {
            return session(&body).ok_or_else(|| unavailable("an answer of another form".into()));
        }
        let code = code(&body);
        if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
            return Err(unavailable(format!("HTTP {status} {code}")));
        }
        Err(RoleError::Refused {
            arn: self.arn.clone(),
            code,
        })
    }

    fn request(&self, assumer: &AwsCredential) -> HttpRequest {
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.append_pair("Action", "AssumeRole")
            .append_pair("Version", "2011-06-15")
            .append_pair("RoleArn", &self.arn)
            .append_pair("RoleSessionName", "arrow-salesforce")
            .append_pair("DurationSeconds", SESSION_SECONDS);
        if let Some(id) = &self.external_id {
            form.append_pair("ExternalId", id);
        }
        let mut request = HttpRequest::new(form.finish().into());
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.endpoint.clone();
        request.headers_mut().insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/x-www-form-urlencoded; charset=utf-8"),
        );
        AwsAuthorizer::new(assumer, "sts", &self.region).authorize(&mut request, None);
        request
    }
}

#[async_trait]
impl CredentialProvider for AssumedRole {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<AwsCredential>> {
        let mut session = self.session.lock().await;
        match &*session {
            Some(session) if Utc::now() + RENEWED_BEFORE < session.expires => {
                Ok(Arc::clone(&session.credential))
            }
            _ => {
                let renewed = self.assume().await?;
                let credential = Arc::clone(&renewed.credential);
                *session = Some(renewed);
                Ok(credential)
            }
        }
    }
}

fn failed(source: impl std::error::Error + Send + Sync + 'static) -> object_store::Error {
    object_store::Error::Generic {
        store: "STS",
        source: Box::new(source),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Response {
    assume_role_result: AssumeRoleResult,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct AssumeRoleResult {
    credentials: Credentials,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Credentials {
    access_key_id: String,
    secret_access_key: String,
    session_token: String,
    expiration: String,
}

fn session(body: &Bytes) -> Option<Session> {
    let response: Response = quick_xml::de::from_reader(&body[..]).ok()?;
    let credentials = response.assume_role_result.credentials;
    Some(Session {
        expires: DateTime::parse_from_rfc3339(&credentials.expiration)
            .ok()?
            .to_utc(),
        credential: Arc::new(AwsCredential {
            key_id: credentials.access_key_id,
            secret_key: credentials.secret_access_key,
            token: Some(credentials.session_token),
        }),
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Refusal {
    error: RefusalError,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RefusalError {
    code: String,
}

fn code(body: &Bytes) -> String {
    let refusal = quick_xml::de::from_reader::<_, Refusal>(&body[..]);
    refusal.map_or_else(|_| "no code".to_owned(), |refusal| refusal.error.code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn responses_of_sts() {
        let granted = Bytes::from_static(
            br#"<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
            <AssumeRoleResult><AssumedRoleUser><Arn>a</Arn><AssumedRoleId>b</AssumedRoleId>
            </AssumedRoleUser><Credentials><AccessKeyId>ASIA1</AccessKeyId>
            <SecretAccessKey>a/b+c=</SecretAccessKey><SessionToken>t==</SessionToken>
            <Expiration>2026-03-01T12:00:00Z</Expiration></Credentials></AssumeRoleResult>
            <ResponseMetadata><RequestId>r</RequestId></ResponseMetadata></AssumeRoleResponse>"#,
        );
        let session = session(&granted).unwrap();
        assert_eq!(session.expires.to_rfc3339(), "2026-03-01T12:00:00+00:00");
        let credential = &session.credential;
        assert_eq!(credential.key_id, "ASIA1");
        assert_eq!(credential.secret_key, "a/b+c=");
        assert_eq!(credential.token.as_deref(), Some("t=="));

        let refused = Bytes::from_static(
            b"<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code>
            <Message>User: x is not authorized</Message></Error></ErrorResponse>",
        );
        assert_eq!(code(&refused), "AccessDenied");
        assert_eq!(code(&Bytes::from_static(b"<html>")), "no code");
    }
}
