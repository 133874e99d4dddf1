//! Calls of one login: signed with its session, counted, and repeated.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use chrono::{DateTime, Utc};
use parking_lot::Mutex;
use reqwest::Response;
use reqwest::header::DATE;
use secrecy::SecretString;
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;

use super::auth::{Auth, Credentials, Keepers, Session};
use super::error::BulkError;
use super::http::{
    AtStop, Call, Clock, Failure, Http, PAGE, Patience, Policy, Progress, http_date, parse_json,
    read_body, redirect_target, retry_after,
};
use super::usage::{ApiUsage, Counters, Usage};

/// A login to one org. Clones share its session and its counters.
#[derive(Clone)]
pub(super) struct Connection {
    login: Arc<Login>,
    counters: Arc<Counters>,
    /// From now on nothing is made: calls about jobs that are there go on.
    stop: CancellationToken,
}

struct Login {
    http: Http,
    auth: Auth,
    counters: Arc<Counters>,
    /// API requests of the org, as the last answer said.
    org: Mutex<Option<ApiUsage>>,
    /// The last time that Salesforce's clock showed, and when it was received.
    server_time: Mutex<Option<(DateTime<Utc>, Instant)>>,
}

impl Connection {
    /// Logs in.
    ///
    /// # Errors
    /// As [`super::ClientBuilder::connect`].
    pub(super) async fn open(
        credentials: Credentials,
        keepers: Keepers,
        clock: Clock,
    ) -> Result<Self, BulkError> {
        let http = Http::new(clock)?;
        let auth = Auth::new(credentials, keepers)?;
        let counters = Arc::new(Counters::default());
        let login = Arc::new(Login {
            http,
            auth,
            counters: Arc::clone(&counters),
            org: Mutex::default(),
            server_time: Mutex::default(),
        });
        renew(&login, 0, Policy::Start).await?;
        Ok(Self {
            login,
            counters,
            stop: CancellationToken::new(),
        })
    }

    /// The same login with counters of its own: what it uses is counted here and by the login. It
    /// makes no job once `stop` is cancelled.
    pub(super) fn scoped(&self, stop: CancellationToken) -> Self {
        Self {
            login: Arc::clone(&self.login),
            counters: Arc::default(),
            stop,
        }
    }

    /// Waits until no login is on its way: what is cut off then may be a new refresh token.
    pub(super) async fn login_at_rest(&self) {
        self.login.auth.at_rest().await;
    }

    /// Spends the pause before a call that makes, fills or closes a job is sent once more.
    ///
    /// # Errors
    /// `error`, if there is to be no other attempt; [`BulkError::Stopped`] as soon as the load is
    /// stopped.
    pub(super) async fn wait_before_new(
        &self,
        patience: &mut Patience,
        action: &str,
        error: BulkError,
    ) -> Result<(), BulkError> {
        let wait = patience.wait(self.clock(), action, error);
        self.unless_stopped(action, wait).await
    }

    /// What is `wanted`, unless the load is stopped first.
    pub(super) async fn unless_stopped<T>(
        &self,
        action: &str,
        wanted: impl Future<Output = Result<T, BulkError>>,
    ) -> Result<T, BulkError> {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Err(BulkError::Stopped { action: action.to_owned() }),
            done = wanted => done,
        }
    }

    /// What this connection has used so far.
    pub(super) fn usage(&self) -> Usage {
        Usage {
            org: *self.login.org.lock(),
            ..self.counters.usage()
        }
    }

    /// Counts a request for the state of a running job.
    pub(super) fn count_poll(&self) {
        for counters in self.counters() {
            counters.polls.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The counters of this connection, and those of the login where they are others.
    fn counters(&self) -> impl Iterator<Item = &Counters> {
        let login = &self.login.counters;
        let shared = Arc::ptr_eq(login, &self.counters);
        std::iter::once(&*self.counters).chain((!shared).then_some(&**login))
    }

    /// Where pauses are spent.
    pub(super) fn clock(&self) -> &Clock {
        self.login.http.clock()
    }

    /// The time by Salesforce's clock; by this machine's as long as no answer has shown it.
    pub(super) fn server_time(&self) -> DateTime<Utc> {
        let shown = *self.login.server_time.lock();
        shown.map_or_else(Utc::now, |(time, at)| time + at.elapsed())
    }

    /// Host of the org's API.
    pub(super) fn instance_host(&self) -> String {
        let session = self.login.auth.session();
        let host = session
            .as_deref()
            .and_then(|session| session.instance.host_str());
        host.unwrap_or_default().to_owned()
    }

    /// Id of the org, if the login said it.
    pub(super) fn org_id(&self) -> Option<String> {
        self.login.auth.session()?.org_id.clone()
    }

    /// Id of the user who is logged in, if the login said it.
    pub(super) fn user_id(&self) -> Option<String> {
        self.login.auth.session()?.user_id.clone()
    }

    /// The refresh token that a login returned in place of the one it was given.
    pub(super) fn rotated_refresh_token(&self) -> Option<SecretString> {
        self.login.auth.rotated_refresh_token()
    }

    /// Sends a call and reads its answer; both are repeated as the call's policy says.
    pub(super) async fn read(&self, call: &Call<'_>) -> Result<Vec<u8>, BulkError> {
        self.repeat(call, || self.read_once(call)).await
    }

    /// As [`Connection::read`]. An answer that is no such JSON is repeated too, as the policy says.
    pub(super) async fn read_json<T: DeserializeOwned>(
        &self,
        call: &Call<'_>,
    ) -> Result<T, BulkError> {
        self.read_as(call, |body| parse_json(call.action, body))
            .await
    }

    /// As [`Connection::read`]. An answer that `understood` takes for none is repeated too.
    pub(super) async fn read_as<T>(
        &self,
        call: &Call<'_>,
        understood: impl Fn(&[u8]) -> Result<T, BulkError>,
    ) -> Result<T, BulkError> {
        let once = || async { understood(&self.read_once(call).await?) };
        self.repeat(call, once).await
    }

    /// As [`Connection::read_json`], for a document that is handed on as it is, if it has the form `T`.
    pub(super) async fn read_document<T: DeserializeOwned>(
        &self,
        call: &Call<'_>,
    ) -> Result<Vec<u8>, BulkError> {
        let once = || async {
            let body = self.read_once(call).await?;
            parse_json::<T>(call.action, &body)?;
            Ok(body)
        };
        self.repeat(call, once).await
    }

    /// Repeats `once`, which sends the call and does something with its answer, as its policy says.
    pub(super) async fn repeat<T, F>(
        &self,
        call: &Call<'_>,
        once: impl Fn() -> F,
    ) -> Result<T, BulkError>
    where
        F: Future<Output = Result<T, BulkError>>,
    {
        let http = &self.login.http;
        http.repeat(call.action, call.policy, once).await
    }

    /// One attempt of a call and its answer. A page is a gateway's: no answer to these calls is one.
    async fn read_once(&self, call: &Call<'_>) -> Result<Vec<u8>, BulkError> {
        let mut answer = self.send(call).await?;
        let body = read_body(call.action, self.clock(), &mut answer).await?;
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

    /// One attempt of a call, with a new login where the session has expired or the org has moved:
    /// a successful answer whose body is still to be read.
    pub(super) async fn send(&self, call: &Call<'_>) -> Result<Response, BulkError> {
        let mut session = self.session_for(call, 0).await?;
        let mut renewed = false;
        loop {
            let answer = self.send_with(call, &session).await?;
            if answer.status().is_success() {
                return Ok(answer);
            }
            let error = self.failure(call, answer).await;
            if renewed || !error.asks_for_login() {
                return Err(error);
            }
            session = self.session_for(call, session.generation).await?;
            renewed = true;
        }
    }

    async fn failure(&self, call: &Call<'_>, mut answer: Response) -> BulkError {
        // The status says enough where the text does not come.
        let body = read_body(call.action, self.clock(), &mut answer).await;
        self.error_of(&Failure {
            action: call.action,
            status: answer.status().as_u16(),
            retry_after: retry_after(&answer),
            target: redirect_target(&answer),
            is_upload: call.is_upload(),
            body: &body.unwrap_or_default(),
        })
    }

    /// The error of an answer whose status is one.
    pub(super) fn error_of(&self, failure: &Failure<'_>) -> BulkError {
        failure.to_error(|text| self.login.auth.clean(text))
    }

    /// A session newer than generation `seen`, unless a stop means that the call is not sent.
    async fn session_for(&self, call: &Call<'_>, seen: u64) -> Result<Arc<Session>, BulkError> {
        let session = self.session(seen, call.policy);
        let session = match call.at_stop() {
            AtStop::GoesOn => session.await,
            AtStop::NotBegun | AtStop::Cut => self.unless_stopped(call.action, session).await,
        };
        session.map_err(|error| error.without_session(call.action))
    }

    /// A session newer than generation `seen`.
    async fn session(&self, seen: u64, policy: Policy) -> Result<Arc<Session>, BulkError> {
        let login = &self.login;
        let before = login.auth.session();
        if let Some(session) = before.filter(|session| session.generation > seen) {
            return Ok(session);
        }
        let session = renew(login, seen, policy.of_login()).await?;
        let refreshes = session.generation.saturating_sub(1);
        login
            .counters
            .refreshes
            .fetch_max(refreshes, Ordering::Relaxed);
        Ok(session)
    }

    /// Sends a call once, and notes what every answer says besides.
    async fn send_with(&self, call: &Call<'_>, session: &Session) -> Result<Response, BulkError> {
        for counters in self.counters() {
            counters.api_calls.fetch_add(1, Ordering::Relaxed);
        }
        let progress = Progress::default();
        let http = &self.login.http;
        let bearer = Some(&session.bearer);
        let sending = http.send(call, &session.instance, bearer, &progress);
        let answer = match call.at_stop() {
            AtStop::Cut => self.unless_stopped(call.action, sending).await,
            AtStop::GoesOn | AtStop::NotBegun => sending.await,
        };
        for counters in self.counters() {
            counters
                .uploaded_bytes
                .fetch_add(progress.bytes(), Ordering::Relaxed);
        }
        let answer = answer?;
        let header = |name: &str| answer.headers().get(name)?.to_str().ok();
        if let Some(time) = header(DATE.as_str()).and_then(http_date) {
            *self.login.server_time.lock() = Some((time, Instant::now()));
        }
        if let Some(usage) = header("Sforce-Limit-Info").and_then(ApiUsage::parse) {
            *self.login.org.lock() = Some(usage);
        }
        Ok(answer)
    }
}

/// Logs in by a task of its own: a caller that goes away must not take a new refresh token along.
async fn renew(login: &Arc<Login>, seen: u64, policy: Policy) -> Result<Arc<Session>, BulkError> {
    let login = Arc::clone(login);
    let renewing = tokio::spawn(async move { login.auth.renew(&login.http, seen, policy).await });
    renewing.await.unwrap_or_else(|error| {
        Err(BulkError::Setup {
            reason: format!("the login ended without a result: {error}"),
        })
    })
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("instance", &self.instance_host())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
