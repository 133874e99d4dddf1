//! Logins: one for all callers who find the session expired.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use reqwest::header::DATE;
use reqwest::{Method, Response};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::credentials::{Credentials, Flow};
use super::jwt::Signer;
use super::keeper::{HeldToken, Keepers};
use super::session::{Grant, Session, UserInfo};
use crate::bulk::error::{BulkError, LoginRefused};
use crate::bulk::http::{
    Call, Hosts, Http, Patience, Payload, Policy, Progress, Resource, http_date, read_body,
    redirect_target, retry_after,
};
use crate::error::ErrorKind;

/// Shorter texts are parts of words, and no secret of Salesforce's is as short, in characters.
const SHORTEST_SECRET: usize = 8;

/// Longest text of Salesforce's that goes into an error, in characters.
const MAX_DETAIL: usize = 300;

/// Seconds that two clocks may be apart: assertions live for three minutes at most.
const CLOCKS_APART: i64 = 60;

const LOGIN: &str = "logging in";
const WHOSE: &str = "asking whose session it is";

/// What Salesforce says of an access token that is none.
const BAD_TOKEN: &str = "Bad_OAuth_Token";

/// The login of one client.
pub(in crate::bulk) struct Auth {
    credentials: Credentials,
    /// Where tokens may be sent.
    hosts: Hosts,
    /// Of the JWT bearer flow, and the index of the audience to sign for.
    signer: Option<Signer>,
    audience: AtomicUsize,
    /// Seconds that Salesforce's clock is ahead of this machine's, where that matters to assertions.
    ahead: AtomicI64,
    keepers: Keepers,
    /// The refresh token that replaced the one of the credentials.
    rotated: Mutex<Option<SecretString>>,
    session: Mutex<Option<Arc<Session>>>,
    /// Held by who logs in: how the last login failed that did.
    login: tokio::sync::Mutex<Option<Failed>>,
    /// Logins that failed.
    failures: AtomicU64,
}

/// A login that failed for good.
struct Failed {
    /// Its number among those that did.
    number: u64,
    /// How patient it was.
    policy: Policy,
    error: BulkError,
}

impl Failed {
    /// Whether it answers a caller of this patience who began to wait when so many had failed. A refusal
    /// answers all: the credentials are not sent once more.
    fn answers(&self, policy: Policy, failures: u64) -> bool {
        let refused = matches!(&self.error, BulkError::Login(refused)
            if refused.kind == ErrorKind::Config);
        let as_patient = self.policy == policy || policy == Policy::Start;
        refused || (as_patient && self.number > failures)
    }
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
    pub(in crate::bulk) fn new(
        credentials: Credentials,
        keepers: Keepers,
    ) -> Result<Self, BulkError> {
        let Credentials {
            login_url,
            client_id,
            flow,
            instance_hosts,
        } = &credentials;
        let hosts = Hosts::new(instance_hosts)?;
        hosts.check_login(login_url)?;
        let signer = match flow {
            Flow::JwtBearer {
                username,
                private_key,
            } => Some(Signer::new(login_url, client_id, username, private_key)?),
            Flow::RefreshToken { .. }
            | Flow::ClientCredentials { .. }
            | Flow::AccessToken { .. } => None,
        };
        Ok(Self {
            signer,
            audience: AtomicUsize::new(0),
            ahead: AtomicI64::new(0),
            keepers,
            hosts,
            credentials,
            rotated: Mutex::default(),
            session: Mutex::default(),
            login: tokio::sync::Mutex::default(),
            failures: AtomicU64::new(0),
        })
    }

    /// The newest session, if there has been a login.
    pub(in crate::bulk) fn session(&self) -> Option<Arc<Session>> {
        self.session.lock().clone()
    }

    /// The refresh token that a login returned in place of the one it was given.
    pub(in crate::bulk) fn rotated_refresh_token(&self) -> Option<SecretString> {
        self.rotated.lock().clone()
    }

    /// Waits until nobody logs in.
    pub(in crate::bulk) async fn at_rest(&self) {
        drop(self.login.lock().await);
    }

    /// A session newer than generation `seen`: one login for all who ask at the same time, as patient
    /// as `policy`. If it fails for good, it does for all who waited for it; a refusal is final, and
    /// later callers get it without another login.
    ///
    /// # Errors
    /// [`BulkError::Login`], [`BulkError::Instance`]; when patience runs out [`BulkError::Network`],
    /// [`BulkError::Unavailable`], [`BulkError::Answer`], [`BulkError::LoginUrl`] and
    /// [`BulkError::LoginRedirect`].
    pub(in crate::bulk) async fn renew(
        &self,
        http: &Http,
        seen: u64,
        policy: Policy,
    ) -> Result<Arc<Session>, BulkError> {
        let failures = self.failures.load(Ordering::Relaxed);
        let mut last = self.login.lock().await;
        if let Some(session) = self.session()
            && session.generation > seen
        {
            return Ok(session);
        }
        if let Some(failed) = &*last
            && failed.answers(policy, failures)
        {
            return Err(failed.error.clone());
        }
        let mut patience = Patience::new(policy);
        loop {
            let ahead = self.ahead.load(Ordering::Relaxed);
            let error = match self.grant(http, seen + 1).await {
                Ok(session) => return Ok(session),
                Err(error) => error,
            };
            // The clock is corrected once.
            let corrected = ahead == 0 && self.ahead.load(Ordering::Relaxed) != 0;
            if corrected || self.next_audience(&error) {
                continue;
            }
            let retry = patience.wait(http.clock(), LOGIN, error);
            let Err(error) = retry.await else { continue };
            *last = Some(Failed {
                number: self.failures.fetch_add(1, Ordering::Relaxed) + 1,
                policy,
                error: error.clone(),
            });
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

    /// The fields of the form, which hold secrets. `shown` is the refresh token to send.
    fn form(&self, shown: Option<&SecretString>) -> Result<Vec<(&str, String)>, BulkError> {
        const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
        let text = |text: &str| text.to_owned();
        if let Some(signer) = &self.signer {
            let audience = self.audience.load(Ordering::Relaxed);
            let now = chrono::Utc::now().timestamp() + self.ahead.load(Ordering::Relaxed);
            let assertion = signer.sign(audience, now)?;
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
        // An app can let its users do without a secret.
        let secret = self.credentials.flow.client_secret();
        if let Some(secret) = secret.filter(|secret| !secret.expose_secret().is_empty()) {
            form.push(("client_secret", text(secret.expose_secret())));
        }
        if let Some(shown) = shown {
            form.push(("refresh_token", text(shown.expose_secret())));
        }
        Ok(form)
    }

    /// Logs in once.
    async fn grant(&self, http: &Http, generation: u64) -> Result<Arc<Session>, BulkError> {
        if let Flow::AccessToken { access_token } = &self.credentials.flow {
            return self.take_over(http, generation, access_token).await;
        }
        let held = self.keepers.hold().await?;
        if let Some(held) = &held {
            *self.rotated.lock() = Some(held.token());
        }
        let shown = self
            .rotated_refresh_token()
            .or_else(|| self.credentials.flow.refresh_token().cloned());
        let form = self.form(shown.as_ref())?;
        let call = Call {
            action: LOGIN,
            method: Method::POST,
            resource: Resource::Token,
            query: &[],
            payload: Payload::Fields(&form),
            policy: Policy::Once,
        };
        let login = &self.credentials.login_url;
        let mut answer = http.send(&call, login, None, &Progress::default()).await?;
        let status = answer.status().as_u16();
        let retry_after = retry_after(&answer);
        let body = read_body(LOGIN, http.clock(), &mut answer).await?;
        if (300..400).contains(&status) {
            return Err(BulkError::LoginRedirect {
                url: login.origin().ascii_serialization(),
                target: redirect_target(&answer),
            });
        }
        if status != 200 {
            if self.signer.is_some() && (400..500).contains(&status) {
                self.compare_clocks(&answer);
            }
            return Err(self.login_error(status, retry_after, &body));
        }
        self.accept(generation, &body, shown.as_ref(), held)
    }

    /// The session of a ready access token, once Salesforce has said whose it is. There is none after
    /// it.
    async fn take_over(
        &self,
        http: &Http,
        generation: u64,
        access_token: &SecretString,
    ) -> Result<Arc<Session>, BulkError> {
        let instance = &self.credentials.login_url;
        let refused = || LoginRefused::no_session(instance.host_str().unwrap_or_default());
        if generation > 1 {
            return Err(refused().into());
        }
        let session = Session::new(generation, instance.clone(), access_token.clone());
        let session = session.map_err(|_| refused())?;
        let call = Call {
            action: WHOSE,
            method: Method::GET,
            resource: Resource::UserInfo,
            query: &[],
            payload: Payload::None,
            policy: Policy::Once,
        };
        let (bearer, progress) = (Some(&session.bearer), Progress::default());
        let mut answer = http.send(&call, instance, bearer, &progress).await?;
        let status = answer.status().as_u16();
        let retry_after = retry_after(&answer);
        let body = read_body(WHOSE, http.clock(), &mut answer).await?;
        let is_bad = || String::from_utf8_lossy(&body).contains(BAD_TOKEN);
        let user = match status {
            200 => serde_json::from_slice::<UserInfo>(&body).unwrap_or_default(),
            401 => return Err(refused().into()),
            403 if is_bad() => return Err(refused().into()),
            429 | 500.. => {
                return Err(BulkError::Unavailable {
                    action: WHOSE.to_owned(),
                    status,
                    detail: "an answer of another form".to_owned(),
                    retry_after,
                });
            }
            // A session may be good for the API and not for this.
            _ => UserInfo::default(),
        };
        let session = Arc::new(Session {
            user_id: user.user_id,
            org_id: user.organization_id,
            ..session
        });
        *self.session.lock() = Some(Arc::clone(&session));
        Ok(session)
    }

    /// Signs by Salesforce's clock from now on, if the one of this machine is far from it.
    fn compare_clocks(&self, answer: &Response) {
        let date = answer.headers().get(DATE);
        let Some(date) = date.and_then(|date| http_date(date.to_str().ok()?)) else {
            return;
        };
        let ahead = (date - chrono::Utc::now()).num_seconds();
        if ahead.abs() > CLOCKS_APART && self.ahead.swap(ahead, Ordering::Relaxed) == 0 {
            tracing::warn!(
                seconds = ahead,
                "Salesforce's clock is ahead of this machine's (behind, if negative): logins are \
                 signed by Salesforce's; correct the clock"
            );
        }
    }

    fn accept(
        &self,
        generation: u64,
        body: &[u8],
        shown: Option<&SecretString>,
        held: Option<Box<dyn HeldToken>>,
    ) -> Result<Arc<Session>, BulkError> {
        let unreadable = |reason: &str| BulkError::Answer {
            action: LOGIN.to_owned(),
            reason: reason.to_owned(),
        };
        let mut grant = Grant::read(body).map_err(unreadable)?;
        if let (Some(shown), Some(new)) = (shown, grant.refresh_token.take())
            && new.expose_secret() != shown.expose_secret()
        {
            self.rotate(new, held);
        }
        let instance = grant.instance().map_err(unreadable)?;
        self.hosts
            .check_instance(&self.credentials.login_url, &instance)?;
        let session = grant.into_session(generation, instance);
        let session = Arc::new(session.map_err(unreadable)?);
        *self.session.lock() = Some(Arc::clone(&session));
        Ok(session)
    }

    /// Takes over a new refresh token. The old one is dead, so that whoever keeps it must be notified
    /// before anything else can fail.
    fn rotate(&self, new: SecretString, held: Option<Box<dyn HeldToken>>) {
        tracing::info!("the login answered a new refresh token, which replaces the old one");
        self.keepers.keep(held, &new);
        *self.rotated.lock() = Some(new);
    }

    fn login_error(&self, status: u16, retry_after: Option<Duration>, body: &[u8]) -> BulkError {
        let host = self.credentials.login_url.host_str().unwrap_or_default();
        let refusal = serde_json::from_slice::<TokenError>(body).ok();
        let description = refusal.as_ref().map_or_else(
            || "an answer of another form".to_owned(),
            |refusal| self.clean(&refusal.error_description),
        );
        match (status, refusal) {
            (404, _) => BulkError::LoginUrl {
                url: self.credentials.login_url.origin().ascii_serialization(),
                reason: "it has no token endpoint, so it is not a login host",
            },
            (400..=407 | 409..=419, Some(refusal)) => {
                let error = self.clean(&refusal.error);
                let refused = LoginRefused::new(host, &self.credentials.flow, &error, &description);
                refused.unless_kept(&self.keepers).into()
            }
            _ => BulkError::Unavailable {
                action: LOGIN.to_owned(),
                status,
                detail: description,
                retry_after,
            },
        }
    }

    /// A text of Salesforce's in the form that an error may show: cut short, without secrets.
    pub(in crate::bulk) fn clean(&self, text: &str) -> String {
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
