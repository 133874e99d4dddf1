//! Logging in: credentials -> a session, renewed once for all who find it expired.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use reqwest::header::{HeaderValue, RETRY_AFTER};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer};
use url::Url;

use super::credentials::{Credentials, Flow};
use super::error::BulkError;
use super::host;
use super::jwt::Signer;
use super::refusal::LoginRefused;
use super::retry::{Clock, Policy, parse_retry_after};
use super::wire::{network_error, read_body, within_idle};
use crate::error::ErrorKind;

/// Shorter ones stand within words, and are no secrets of Salesforce's.
const SHORTEST_SECRET: usize = 8;

/// Longest text of Salesforce's that goes into an error, in characters.
const MAX_DETAIL: usize = 300;

const LOGIN: &str = "logging in";

/// Told of each refresh token that a login answers in place of the one it was given.
pub(crate) type OnRotated = Arc<dyn Fn(&SecretString) + Send + Sync>;

/// One session: where to send calls, and what to sign them with.
#[derive(Debug)]
pub(crate) struct Session {
    /// Counts the logins; a session replaces those of lower generations.
    pub(crate) generation: u64,
    /// Root of the org's API.
    pub(crate) instance: Url,
    /// Value of the `Authorization` header, marked sensitive.
    pub(crate) bearer: HeaderValue,
    access_token: SecretString,
    /// Id of the user, where the login has told it.
    pub(crate) user_id: Option<String>,
}

/// The login of one client.
pub(crate) struct Auth {
    credentials: Credentials,
    /// Of the JWT bearer flow, with the audience that is tried next.
    signer: Option<Signer>,
    audience: AtomicUsize,
    on_rotated: Option<OnRotated>,
    /// The refresh token that replaced the one of the credentials.
    rotated: Mutex<Option<SecretString>>,
    session: Mutex<Option<Arc<Session>>>,
    /// Held while a login is under way. A refusal stays: the token is not shown again.
    turn: tokio::sync::Mutex<Option<LoginRefused>>,
}

/// An answer of the token endpoint. A new refresh token counts even if the rest is unusable.
#[derive(Deserialize)]
struct TokenAnswer {
    #[serde(default, deserialize_with = "optional_secret")]
    access_token: Option<SecretString>,
    #[serde(default)]
    instance_url: String,
    #[serde(default, deserialize_with = "optional_secret")]
    refresh_token: Option<SecretString>,
    /// URL whose last segment is the user's Id.
    id: Option<String>,
}

fn optional_secret<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<SecretString>, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.map(SecretString::from))
}

#[derive(Deserialize)]
struct TokenError {
    error: String,
    #[serde(default)]
    error_description: String,
}

impl Auth {
    /// Checks the login URL and the private key; logs nobody in.
    ///
    /// # Errors
    /// [`BulkError::LoginUrl`], [`BulkError::PrivateKey`].
    pub(crate) fn new(
        credentials: Credentials,
        on_rotated: Option<OnRotated>,
    ) -> Result<Self, BulkError> {
        let Credentials {
            login_url,
            client_id,
            flow,
        } = &credentials;
        host::check_login(login_url)?;
        let signer = match flow {
            Flow::JwtBearer {
                username,
                private_key,
            } => Some(Signer::new(login_url, client_id, username, private_key)?),
            Flow::RefreshToken { .. } | Flow::ClientCredentials { .. } => None,
        };
        Ok(Self {
            signer,
            audience: AtomicUsize::new(0),
            on_rotated,
            credentials,
            rotated: Mutex::default(),
            session: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
        })
    }

    /// The newest session, if there has been a login.
    pub(crate) fn session(&self) -> Option<Arc<Session>> {
        lock(&self.session).clone()
    }

    /// The refresh token that a login answered in place of the one it was given.
    pub(crate) fn rotated_refresh_token(&self) -> Option<SecretString> {
        lock(&self.rotated).clone()
    }

    /// A session newer than generation `seen`: one login for all who ask at the same time.
    /// A refusal is final, and later callers get it without another try.
    pub(crate) async fn renew(
        &self,
        http: &reqwest::Client,
        clock: &Clock,
        seen: u64,
    ) -> Result<Arc<Session>, BulkError> {
        let mut refusal = self.turn.lock().await;
        if let Some(session) = self.session()
            && session.generation > seen
        {
            return Ok(session);
        }
        if let Some(refused) = refusal.as_ref() {
            return Err(refused.clone().into());
        }
        let mut pauses = Policy::READ.pauses();
        loop {
            let error = match self.grant(http, seen + 1).await {
                Ok(session) => return Ok(session),
                Err(error) => error,
            };
            if self.next_audience(&error) {
                continue;
            }
            if let Some(pause) = pauses.after(&error) {
                tracing::warn!(%error, pause_ms = pause.as_millis(), "login failed, repeating");
                clock.pause(pause).await;
                continue;
            }
            if let BulkError::Login(refused) = &error
                && refused.kind == ErrorKind::Config
            {
                *refusal = Some(refused.clone());
            }
            return Err(error);
        }
    }

    /// Whether there is another audience to sign for, after `error` refused one.
    fn next_audience(&self, error: &BulkError) -> bool {
        let audiences = self.signer.as_ref().map_or(0, Signer::audiences);
        let next = self.audience.load(Ordering::Relaxed) + 1;
        let refused = matches!(error, BulkError::Login(refused) if refused.is_of_audience());
        if refused && next < audiences {
            self.audience.store(next, Ordering::Relaxed);
        }
        refused && next < audiences
    }

    /// The fields of the form, which hold secrets; `shown` is the refresh token.
    fn form(&self, shown: Option<&SecretString>) -> Result<Vec<(&str, String)>, BulkError> {
        const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
        let text = |text: &str| text.to_owned();
        if let Some(signer) = &self.signer {
            let audience = self.audience.load(Ordering::Relaxed);
            let assertion = signer.sign(audience, chrono::Utc::now().timestamp())?;
            return Ok(vec![
                ("grant_type", text(JWT_BEARER)),
                ("assertion", text(assertion.expose_secret())),
            ]);
        }
        let kind = match shown {
            Some(_) => "refresh_token",
            None => "client_credentials",
        };
        let mut form = vec![
            ("grant_type", text(kind)),
            ("client_id", self.credentials.client_id.clone()),
        ];
        if let Some(secret) = self.credentials.flow.client_secret() {
            form.push(("client_secret", text(secret.expose_secret())));
        }
        if let Some(shown) = shown {
            form.push(("refresh_token", text(shown.expose_secret())));
        }
        Ok(form)
    }

    async fn grant(
        &self,
        http: &reqwest::Client,
        generation: u64,
    ) -> Result<Arc<Session>, BulkError> {
        let login = &self.credentials.login_url;
        let mut url = login.clone();
        url.set_path("/services/oauth2/token");
        url.set_query(None);
        url.set_fragment(None);
        let shown = self
            .rotated_refresh_token()
            .or_else(|| self.credentials.flow.refresh_token().cloned());
        let form = self.form(shown.as_ref())?;
        let host = login.host_str().unwrap_or_default();
        let request = http.post(url).form(&form);
        let mut answer = within_idle(request.send(), None)
            .await
            .map_err(|failed| network_error(LOGIN, host, failed))?;
        let status = answer.status().as_u16();
        let retry_after = answer
            .headers()
            .get(RETRY_AFTER)
            .and_then(|value| parse_retry_after(value.to_str().ok()?, chrono::Utc::now()));
        let body = read_body(LOGIN, host, &mut answer).await?;
        if status != 200 {
            return Err(self.login_error(host, status, retry_after, &body));
        }
        self.accept(generation, &body, shown.as_ref())
    }

    fn accept(
        &self,
        generation: u64,
        body: &[u8],
        shown: Option<&SecretString>,
    ) -> Result<Arc<Session>, BulkError> {
        let unreadable = |reason: &str| BulkError::Answer {
            action: LOGIN.to_owned(),
            reason: reason.to_owned(),
        };
        const UNREADABLE: &str = "it is not JSON with access_token and instance_url";
        let answer: TokenAnswer =
            serde_json::from_slice(body).map_err(|_| unreadable(UNREADABLE))?;
        if let (Some(shown), Some(new)) = (shown, answer.refresh_token)
            && new.expose_secret() != shown.expose_secret()
        {
            self.rotate(new);
        }
        let access_token = answer.access_token.ok_or_else(|| unreadable(UNREADABLE))?;
        let instance = Url::parse(&answer.instance_url)
            .map_err(|_| unreadable("the instance_url is no URL"))?;
        host::check_instance(&self.credentials.login_url, &instance)?;
        let bearer = SecretString::from(format!("Bearer {}", access_token.expose_secret()));
        let mut bearer = HeaderValue::from_str(bearer.expose_secret())
            .map_err(|_| unreadable("the access token does not fit into a header"))?;
        bearer.set_sensitive(true);
        let session = Arc::new(Session {
            generation,
            instance,
            bearer,
            access_token,
            user_id: answer.id.as_deref().and_then(user_of),
        });
        *lock(&self.session) = Some(Arc::clone(&session));
        Ok(session)
    }

    /// Takes over a new refresh token. The old one is dead, so whoever keeps it must hear of the
    /// new one before anything else can fail.
    fn rotate(&self, new: SecretString) {
        tracing::info!("the login answered a new refresh token, which replaces the old one");
        if let Some(tell) = &self.on_rotated {
            tell(&new);
        }
        *lock(&self.rotated) = Some(new);
    }

    fn login_error(
        &self,
        host: &str,
        status: u16,
        retry_after: Option<std::time::Duration>,
        body: &[u8],
    ) -> BulkError {
        let told = serde_json::from_slice::<TokenError>(body).ok();
        let description = told.as_ref().map_or_else(
            || "an answer of another form".to_owned(),
            |told| self.clean(&told.error_description),
        );
        match (status, told) {
            (300..400 | 404, _) => BulkError::LoginUrl {
                url: format!("https://{host}"),
                reason: "it has no token endpoint, so it is not a login host",
            },
            (400..=407 | 409..=419, Some(told)) => {
                let error = self.clean(&told.error);
                LoginRefused::new(host, &self.credentials.flow, &error, &description).into()
            }
            _ => BulkError::Unavailable {
                action: LOGIN.to_owned(),
                status,
                detail: description,
                retry_after,
            },
        }
    }

    /// A text of Salesforce's as an error may show it: cut short, without tokens and secrets.
    pub(crate) fn clean(&self, text: &str) -> String {
        let access = self.session();
        let rotated = self.rotated_refresh_token();
        let flow = &self.credentials.flow;
        let secrets = [
            flow.client_secret(),
            flow.refresh_token(),
            rotated.as_ref(),
            access.as_deref().map(|session| &session.access_token),
        ];
        let mut text = text.to_owned();
        for secret in secrets.into_iter().flatten() {
            if secret.expose_secret().len() >= SHORTEST_SECRET {
                text = text.replace(secret.expose_secret(), "***");
            }
        }
        if let Some((end, _)) = text.char_indices().nth(MAX_DETAIL) {
            text.truncate(end);
            text.push('…');
        }
        text
    }
}

/// The user of `https://login.salesforce.com/id/<org>/<user>`.
fn user_of(id: &str) -> Option<String> {
    let (_, user) = id.rsplit_once('/')?;
    (!user.is_empty()).then(|| user.to_owned())
}

/// A poisoned lock is taken as it is: what it guards is replaced whole, never half changed.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
