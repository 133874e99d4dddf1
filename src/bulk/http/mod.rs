//! One request path: every request of this crate to Salesforce, logins included, is a [`Call`] that
//! [`Http::send`] sends and whose failure goes through the [`Patience`] of its [`Policy`].

mod body;
mod call;
mod clock;
mod date;
mod failure;
mod host;
mod patience;
mod wire;

pub(super) use body::{Form, Progress};
pub use call::API_VERSION;
pub(super) use call::{AtStop, Call, Payload, Resource};
pub(super) use clock::Clock;
pub(super) use date::{api_date, http_date};
pub(super) use failure::{Failure, PAGE};
pub(super) use host::Hosts;
pub(super) use patience::{Patience, Policy};
pub(super) use wire::{parse_json, read_body, receive, redirect_target, retry_after};

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{Proxy, RequestBuilder, Response};
use url::Url;

use super::error::BulkError;
use crate::network::{Network, Obstacle};
use body::ChunkBody;
use wire::{NoAnswer, network_error, reason_of, within_idle};

/// Time to set up a connection: to find the host's address, which takes 10 seconds where the first
/// name server is down, to connect through a proxy, and to agree on TLS.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);

const USER_AGENT: &str = concat!("arrow-salesforce/", env!("CARGO_PKG_VERSION"));
const CALL_OPTIONS: &str = concat!("client=arrow-salesforce/", env!("CARGO_PKG_VERSION"));

/// Sends calls, and pauses between them.
#[derive(Debug)]
pub(super) struct Http {
    client: reqwest::Client,
    network: Network,
    /// Whether there was an answer before: then obstacles pass.
    reached: AtomicBool,
    clock: Clock,
}

impl Http {
    /// A client that uses the environment's proxies. Redirects are not followed: a token goes to no
    /// host that was not checked.
    ///
    /// # Errors
    /// [`BulkError::Environment`], [`BulkError::Setup`].
    pub(super) fn new(clock: Clock) -> Result<Self, BulkError> {
        let network = Network::from_environment().map_err(|error| BulkError::Environment {
            reason: error.to_string(),
        })?;
        let routes = network.clone();
        let proxy = move |url: &Url| Some(routes.proxy_for(url)?.address().clone());
        let client = reqwest::Client::builder()
            .user_agent(USER_AGENT)
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .proxy(Proxy::custom(proxy))
            .build();
        let client = client.map_err(|error| BulkError::Setup {
            reason: reason_of(&error),
        })?;
        Ok(Self {
            client,
            network,
            reached: AtomicBool::new(false),
            clock,
        })
    }

    /// Where pauses are spent.
    pub(super) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Sends a call once to the host `root`, signed by `bearer`, and returns what was answered,
    /// whatever its status is. `progress` counts the bytes of rows that were sent.
    ///
    /// # Errors
    /// [`BulkError::Network`]; [`BulkError::Obstacle`] where it is a proxy or a certificate that
    /// has let through nothing yet; [`BulkError::Serialize`] if the rows cannot be written as CSV.
    pub(super) async fn send(
        &self,
        call: &Call<'_>,
        root: &Url,
        bearer: Option<&HeaderValue>,
        progress: &Progress,
    ) -> Result<Response, BulkError> {
        let mut request = self.client.request(call.method.clone(), call.url(root));
        if let Some(bearer) = bearer {
            request = request
                .header(AUTHORIZATION, bearer.clone())
                .header("Sforce-Call-Options", CALL_OPTIONS)
                .header(ACCEPT, "application/json, text/csv");
        }
        let request = with_payload(request, call.payload, progress);
        let idle = self.clock.idle_timeout();
        let answer = within_idle(idle, request.send(), Some(progress)).await;
        let obstacle = match &answer {
            Ok(answer) => {
                let status = answer.status().as_u16();
                self.network.obstacle_of_status(status, root)
            }
            Err(NoAnswer::Failed(error)) => self.network.obstacle(error, root),
            Err(NoAnswer::Idle) => None,
        };
        let host = root.host_str().unwrap_or_default();
        match (answer, obstacle) {
            (_, Some(obstacle)) => Err(self.stopped(call.action, host, obstacle)),
            (Ok(answer), None) => {
                self.reached.store(true, Ordering::Relaxed);
                Ok(answer)
            }
            (Err(failed), None) => Err(network_error(call.action, host, failed)),
        }
    }

    /// The error of a call that an obstacle stopped. What worked before and stops later passes.
    fn stopped(&self, action: &str, host: &str, obstacle: Obstacle) -> BulkError {
        let action = action.to_owned();
        let reason = obstacle.reason;
        if obstacle.lasting && !self.reached.load(Ordering::Relaxed) {
            return BulkError::Obstacle { action, reason };
        }
        BulkError::Network {
            action,
            host: host.to_owned(),
            reason,
            unsent: true,
        }
    }

    /// Repeats `once` after errors that a retry may cure, as `policy` says.
    pub(super) async fn repeat<T, F>(
        &self,
        action: &str,
        policy: Policy,
        once: impl Fn() -> F,
    ) -> Result<T, BulkError>
    where
        F: Future<Output = Result<T, BulkError>>,
    {
        let mut patience = Patience::new(policy);
        loop {
            match once().await {
                Ok(done) => return Ok(done),
                Err(error) => patience.wait(&self.clock, action, error).await?,
            }
        }
    }
}

fn with_payload(
    request: RequestBuilder,
    payload: Payload<'_>,
    progress: &Progress,
) -> RequestBuilder {
    match payload {
        Payload::None => request,
        Payload::Fields(fields) => request.form(fields),
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
            progress.add(form.csv_bytes());
            request
                .header(CONTENT_TYPE, form.content_type())
                .body(form.body())
        }
    }
}
