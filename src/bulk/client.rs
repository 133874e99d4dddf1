//! One login, cheap to clone: signs, sends, counts and repeats calls.

use std::collections::BTreeSet;
use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, DATE, RETRY_AFTER};
use reqwest::{Response, StatusCode};
use secrecy::SecretString;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::api::{Failure, PAGE};
use super::auth::{Auth, OnRotated, Session};
use super::body::{ChunkBody, Progress};
use super::call::{Call, Payload};
use super::credentials::Credentials;
use super::error::BulkError;
use super::host;
use super::limits::{ApiUsage, Limits};
use super::pace::Pace;
use super::retry::{Clock, Policy, http_date, parse_retry_after};
use super::wire::{host_of, network_error, parse_json, read_body, reason_of, within_idle};

/// Time to set up a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Logins in one try of a call: a second one, since a session can be revoked at any time.
const MAX_LOGINS: usize = 2;

const USER_AGENT: &str = concat!("arrow-salesforce/", env!("CARGO_PKG_VERSION"));
const CALL_OPTIONS: &str = concat!("client=arrow-salesforce/", env!("CARGO_PKG_VERSION"));

/// A login to one org. Clones share its session and its counters.
#[derive(Clone)]
pub struct Client {
    pub(crate) inner: Arc<Inner>,
    counters: Arc<Counters>,
}

pub(crate) struct Inner {
    http: reqwest::Client,
    auth: Auth,
    pub(crate) clock: Clock,
    pub(crate) pace: Pace,
    counters: Arc<Counters>,
    /// Jobs created and neither closed nor aborted.
    open_jobs: Mutex<BTreeSet<String>>,
    /// Jobs that this login has created.
    known_jobs: Mutex<BTreeSet<String>>,
    /// What Salesforce's clock said last, and when that was.
    server_time: Mutex<Option<(DateTime<Utc>, Instant)>>,
}

#[derive(Default)]
struct Counters {
    api_calls: AtomicU64,
    polls: AtomicU64,
    uploaded_bytes: AtomicU64,
    refreshes: AtomicU64,
    org: Mutex<Option<ApiUsage>>,
}

/// What a client has used so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Usage {
    /// Requests that count against the org's daily limit, repeated ones included.
    pub api_calls: u64,
    /// Those of them that asked for the state of a running job.
    pub polls: u64,
    /// Bytes of CSV sent, repeated uploads included.
    pub uploaded_bytes: u64,
    /// Logins after the first one.
    pub refreshes: u64,
    /// API requests of the whole org, as the last answer told.
    pub org: Option<ApiUsage>,
}

/// Settings of a login that is to be made.
pub struct ClientBuilder {
    credentials: Credentials,
    on_rotated: Option<OnRotated>,
    clock: Clock,
}

impl Client {
    /// Logs in.
    ///
    /// # Errors
    /// As [`ClientBuilder::connect`].
    pub async fn connect(credentials: Credentials) -> Result<Self, BulkError> {
        Self::builder(credentials).connect().await
    }

    /// A login with settings of its own.
    pub fn builder(credentials: Credentials) -> ClientBuilder {
        ClientBuilder {
            credentials,
            on_rotated: None,
            clock: Clock::default(),
        }
    }

    /// The same login with counters of its own: what it uses is counted here and by the login.
    #[must_use]
    pub fn scoped(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
            counters: Arc::default(),
        }
    }

    /// The counters of this client, and those of the login where they are others.
    fn counters(&self) -> impl Iterator<Item = &Counters> {
        let login = &self.inner.counters;
        let shared = Arc::ptr_eq(login, &self.counters);
        std::iter::once(&*self.counters).chain((!shared).then_some(&**login))
    }

    /// The describe of an object, as Salesforce's JSON.
    ///
    /// # Errors
    /// [`BulkError::ObjectNotFound`] where the user sees no such object.
    pub async fn describe(&self, object: &str) -> Result<Vec<u8>, BulkError> {
        let action = format!("describing {object}");
        let path = ["sobjects", object, "describe"];
        let call = Call::get(&action, &path, Policy::READ);
        let described = self.read_document(&call).await;
        described.map_err(|error| error.of_object(object))
    }

    /// The list of objects that the user sees, as Salesforce's JSON.
    ///
    /// # Errors
    /// Any of a call's.
    pub async fn sobjects(&self) -> Result<Vec<u8>, BulkError> {
        let call = Call::get("listing the objects", &["sobjects"], Policy::READ);
        self.read_document(&call).await
    }

    /// What is left of the org's allowances.
    ///
    /// # Errors
    /// Any of a call's.
    pub async fn limits(&self) -> Result<Limits, BulkError> {
        let call = Call::get("reading the limits", &["limits"], Policy::READ);
        self.read_json(&call).await
    }

    /// What this client has used so far.
    pub fn usage(&self) -> Usage {
        let counters = &self.counters;
        Usage {
            api_calls: counters.api_calls.load(Ordering::Relaxed),
            polls: counters.polls.load(Ordering::Relaxed),
            uploaded_bytes: counters.uploaded_bytes.load(Ordering::Relaxed),
            refreshes: counters.refreshes.load(Ordering::Relaxed),
            org: *lock(&self.inner.counters.org),
        }
    }

    /// The newest refresh token, if a login has answered another than it was given. See
    /// [`ClientBuilder::on_rotated_refresh_token`].
    pub fn rotated_refresh_token(&self) -> Option<SecretString> {
        self.inner.auth.rotated_refresh_token()
    }

    /// The ids of the jobs that were created and neither closed nor aborted.
    pub(crate) fn open_jobs(&self) -> MutexGuard<'_, BTreeSet<String>> {
        lock(&self.inner.open_jobs)
    }

    /// The ids of the jobs that this login is known to have created.
    pub(crate) fn known_jobs(&self) -> MutexGuard<'_, BTreeSet<String>> {
        lock(&self.inner.known_jobs)
    }

    /// The time by Salesforce's clock; by this machine's as long as no answer has told it.
    pub(crate) fn server_time(&self) -> DateTime<Utc> {
        let told = *lock(&self.inner.server_time);
        told.map_or_else(Utc::now, |(time, at)| time + at.elapsed())
    }

    /// Host of the org's API.
    pub(crate) fn instance_host(&self) -> String {
        let session = self.inner.auth.session();
        let host = session
            .as_deref()
            .and_then(|session| session.instance.host_str());
        host.unwrap_or_default().to_owned()
    }

    /// Id of the user that the client is logged in as, where the login has told it.
    pub(crate) fn user_id(&self) -> Option<String> {
        self.inner.auth.session()?.user_id.clone()
    }

    pub(crate) fn count_poll(&self) {
        for counters in self.counters() {
            counters.polls.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Sends a call and reads its answer; both are repeated as the call's policy says.
    pub(crate) async fn read(&self, call: &Call<'_>) -> Result<Vec<u8>, BulkError> {
        self.repeat(call.action, call.policy, || self.read_once(call))
            .await
    }

    /// One try of a call and its answer. A page is a gateway's: no answer to these calls is one.
    pub(crate) async fn read_once(&self, call: &Call<'_>) -> Result<Vec<u8>, BulkError> {
        let mut answer = self.answer(call).await?;
        let body = read_body(call.action, &host_of(&answer), &mut answer).await?;
        if body.trim_ascii_start().starts_with(b"<") {
            return Err(BulkError::Unavailable {
                action: call.action.to_owned(),
                status: answer.status().as_u16(),
                detail: PAGE.to_owned(),
                retry_after: None,
            });
        }
        Ok(body)
    }

    /// As [`Client::read_json`], for a document of any form.
    async fn read_document(&self, call: &Call<'_>) -> Result<Vec<u8>, BulkError> {
        let document: Box<RawValue> = self.read_json(call).await?;
        Ok(Box::<str>::from(document).into_string().into_bytes())
    }

    /// As [`Client::read`]; an answer that is no such JSON is repeated too, as the policy says.
    pub(crate) async fn read_json<T: DeserializeOwned>(
        &self,
        call: &Call<'_>,
    ) -> Result<T, BulkError> {
        let once = || async { parse_json(call.action, &self.read_once(call).await?) };
        self.repeat(call.action, call.policy, once).await
    }

    /// Repeats `once` after errors that may pass, as `policy` says.
    pub(crate) async fn repeat<T, F>(
        &self,
        action: &str,
        policy: Policy,
        once: impl Fn() -> F,
    ) -> Result<T, BulkError>
    where
        F: Future<Output = Result<T, BulkError>>,
    {
        let mut pauses = policy.pauses();
        loop {
            let error = match once().await {
                Ok(done) => return Ok(done),
                Err(error) => error,
            };
            let Some(pause) = pauses.after(&error) else {
                return Err(error);
            };
            let pause_ms = pause.as_millis();
            tracing::warn!(action, %error, pause_ms, "call failed, repeating");
            self.inner.clock.pause(pause).await;
        }
    }

    /// One try of a call, with a new login where the session has expired: a successful answer
    /// whose body is still to be read.
    pub(crate) async fn answer(&self, call: &Call<'_>) -> Result<Response, BulkError> {
        let mut session = self.session(0).await?;
        for _ in 0..=MAX_LOGINS {
            let mut answer = self.send(call, &session).await?;
            let status = answer.status();
            if status.is_success() {
                return Ok(answer);
            }
            if status == StatusCode::UNAUTHORIZED {
                session = self.session(session.generation).await?;
                continue;
            }
            let retry_after = answer
                .headers()
                .get(RETRY_AFTER)
                .and_then(|value| parse_retry_after(value.to_str().ok()?, Utc::now()));
            let host = host_of(&answer);
            // The status says enough where the text does not come.
            let body = read_body(call.action, &host, &mut answer)
                .await
                .unwrap_or_default();
            let failure = Failure {
                action: call.action,
                status: status.as_u16(),
                retry_after,
                body: &body,
            };
            return Err(self.failed(&failure));
        }
        Err(BulkError::Session {
            action: call.action.to_owned(),
        })
    }

    pub(crate) fn failed(&self, failure: &Failure<'_>) -> BulkError {
        failure.to_error(|text| self.inner.auth.clean(text))
    }

    /// A session newer than generation `seen`.
    async fn session(&self, seen: u64) -> Result<Arc<Session>, BulkError> {
        let inner = &self.inner;
        let before = inner.auth.session();
        if let Some(session) = before.filter(|session| session.generation > seen) {
            return Ok(session);
        }
        let session = inner.auth.renew(&inner.http, &inner.clock, seen).await?;
        let refreshes = session.generation.saturating_sub(1);
        inner
            .counters
            .refreshes
            .fetch_max(refreshes, Ordering::Relaxed);
        Ok(session)
    }

    async fn send(&self, call: &Call<'_>, session: &Session) -> Result<Response, BulkError> {
        let request = self
            .inner
            .http
            .request(call.method.clone(), call.url(&session.instance))
            .header(AUTHORIZATION, session.bearer.clone())
            .header("Sforce-Call-Options", CALL_OPTIONS)
            .header(ACCEPT, "application/json, text/csv");
        let progress = Progress::default();
        let request = match call.payload {
            Payload::None => request,
            Payload::Json(text) => request
                .header(CONTENT_TYPE, "application/json; charset=UTF-8")
                .body(text.to_owned()),
            Payload::Csv(chunk) => {
                let body = ChunkBody::new(chunk, progress.clone());
                request
                    .header(CONTENT_TYPE, "text/csv; charset=UTF-8")
                    .body(reqwest::Body::wrap(body))
            }
            Payload::Form(form) => {
                progress.add(form.csv().len() as u64);
                request
                    .header(CONTENT_TYPE, form.content_type())
                    .body(form.body())
            }
        };
        for counters in self.counters() {
            counters.api_calls.fetch_add(1, Ordering::Relaxed);
        }
        let answer = within_idle(request.send(), Some(&progress)).await;
        for counters in self.counters() {
            counters
                .uploaded_bytes
                .fetch_add(progress.bytes(), Ordering::Relaxed);
        }
        let host = session.instance.host_str().unwrap_or_default();
        let answer = answer.map_err(|failed| network_error(call.action, host, failed))?;
        let date = answer.headers().get(DATE);
        if let Some(time) = date.and_then(|value| http_date(value.to_str().ok()?)) {
            *lock(&self.inner.server_time) = Some((time, Instant::now()));
        }
        let told = answer.headers().get("Sforce-Limit-Info");
        if let Some(usage) = told.and_then(|value| ApiUsage::parse(value.to_str().ok()?)) {
            *lock(&self.inner.counters.org) = Some(usage);
        }
        Ok(answer)
    }
}

impl ClientBuilder {
    /// Calls `tell` with each refresh token that a login answers in place of the one it was given,
    /// which is dead from then on: whoever keeps the configuration must replace it. `tell` returns
    /// before the new session is used, and is never called twice at the same time.
    #[must_use]
    pub fn on_rotated_refresh_token(
        mut self,
        tell: Arc<dyn Fn(&SecretString) + Send + Sync>,
    ) -> Self {
        self.on_rotated = Some(tell);
        self
    }

    #[cfg(test)]
    pub(crate) fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Logs in.
    ///
    /// # Errors
    /// [`BulkError::LoginUrl`], [`BulkError::PrivateKey`], [`BulkError::Login`] and
    /// [`BulkError::Instance`] are the configuration's; [`BulkError::Network`] and
    /// [`BulkError::Unavailable`] after five repetitions.
    pub async fn connect(self) -> Result<Client, BulkError> {
        let http = http_client(host::is_loopback(&self.credentials.login_url))?;
        let auth = Auth::new(self.credentials, self.on_rotated)?;
        auth.renew(&http, &self.clock, 0).await?;
        let counters = Arc::new(Counters::default());
        let inner = Inner {
            http,
            auth,
            clock: self.clock,
            pace: Pace::default(),
            counters: Arc::clone(&counters),
            open_jobs: Mutex::default(),
            known_jobs: Mutex::default(),
            server_time: Mutex::default(),
        };
        Ok(Client {
            inner: Arc::new(inner),
            counters,
        })
    }
}

impl fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientBuilder")
            .field("credentials", &self.credentials)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let session = self.inner.auth.session();
        f.debug_struct("Client")
            .field(
                "instance",
                &session.map(|session| session.instance.to_string()),
            )
            .field("usage", &self.usage())
            .finish_non_exhaustive()
    }
}

/// A client of the environment's proxies, except on this machine. Redirects are answers: a token
/// goes to no host that was not checked.
fn http_client(loopback: bool) -> Result<reqwest::Client, BulkError> {
    let builder = reqwest::Client::builder()
        .user_agent(USER_AGENT)
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(CONNECT_TIMEOUT);
    let builder = if loopback {
        builder.no_proxy()
    } else {
        builder
    };
    builder.build().map_err(|error| BulkError::Setup {
        reason: reason_of(&error),
    })
}

/// A poisoned lock is taken as it is: what it guards is replaced whole, never half changed.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
