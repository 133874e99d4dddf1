//! A session, as the token endpoint returns it.

use reqwest::header::HeaderValue;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer};
use url::Url;

/// One session: where to send calls, and what to sign them with.
#[derive(Debug)]
pub(in crate::bulk) struct Session {
    /// Number of the login, counted from 1; a session replaces those of lower generations.
    pub(in crate::bulk) generation: u64,
    /// Root of the org's API.
    pub(in crate::bulk) instance: Url,
    /// Value of the `Authorization` header, marked sensitive.
    pub(in crate::bulk) bearer: HeaderValue,
    pub(super) access_token: SecretString,
    /// Id of the user, if the login said it.
    pub(in crate::bulk) user_id: Option<String>,
    /// Id of the org, if the login said it.
    pub(in crate::bulk) org_id: Option<String>,
}

/// What the token endpoint returns. A new refresh token counts even if the rest is unusable.
#[derive(Deserialize)]
pub(super) struct Grant {
    #[serde(default, deserialize_with = "optional_secret")]
    access_token: Option<SecretString>,
    #[serde(default)]
    instance_url: String,
    #[serde(default, deserialize_with = "optional_secret")]
    pub(super) refresh_token: Option<SecretString>,
    /// URL whose last segment is the user's Id.
    id: Option<String>,
}

/// Says what a [`Grant`] must be, where the answer is none.
const NO_GRANT: &str = "it is not JSON with access_token and instance_url";

fn optional_secret<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<SecretString>, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.map(SecretString::from))
}

impl Grant {
    /// What an answer grants; or why it is none.
    pub(super) fn read(body: &[u8]) -> Result<Self, &'static str> {
        serde_json::from_slice(body).map_err(|_| NO_GRANT)
    }

    /// The instance that the session is for, before it is checked; or why there is none.
    pub(super) fn instance(&self) -> Result<Url, &'static str> {
        if self.access_token.is_none() {
            return Err(NO_GRANT);
        }
        Url::parse(&self.instance_url).map_err(|_| "the instance_url is no URL")
    }

    /// The session at an instance that was checked; or why there is none.
    pub(super) fn into_session(
        self,
        generation: u64,
        instance: Url,
    ) -> Result<Session, &'static str> {
        let id = self.id.as_deref();
        let access_token = self.access_token.ok_or(NO_GRANT)?;
        let session = Session::new(generation, instance, access_token)?;
        Ok(Session {
            user_id: id.and_then(user_of),
            org_id: id.and_then(org_of),
            ..session
        })
    }
}

/// Whom a session belongs to.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct UserInfo {
    pub(super) user_id: Option<String>,
    pub(super) organization_id: Option<String>,
}

impl Session {
    /// A session of a user who is not known; or why there is none.
    pub(super) fn new(
        generation: u64,
        instance: Url,
        access_token: SecretString,
    ) -> Result<Self, &'static str> {
        let bearer = SecretString::from(format!("Bearer {}", access_token.expose_secret()));
        let mut bearer = HeaderValue::from_str(bearer.expose_secret())
            .map_err(|_| "the access token does not fit into a header")?;
        bearer.set_sensitive(true);
        Ok(Self {
            generation,
            instance,
            bearer,
            access_token,
            user_id: None,
            org_id: None,
        })
    }
}

/// The user of `https://login.salesforce.com/id/<org>/<user>`.
fn user_of(id: &str) -> Option<String> {
    let (_, user) = id.rsplit_once('/')?;
    (!user.is_empty()).then(|| user.to_owned())
}

/// The org of the same URL.
fn org_of(id: &str) -> Option<String> {
    let (rest, _) = id.rsplit_once('/')?;
    let (_, org) = rest.rsplit_once('/')?;
    (!org.is_empty()).then(|| org.to_owned())
}
