//! One request path: every request of this crate to Salesforce, logins included, is a [`Call`] that
//! [`Http::send`] sends and whose failure goes through a [`Policy`].

mod body;
mod call;
mod date;
mod failure;
mod host;
mod retry;
mod wire;

pub(super) use body::{Form, Progress};
pub use call::API_VERSION;
pub(super) use call::{AtStop, Call, Payload, Resource};
pub(super) use date::{api_date, http_date};
pub(super) use failure::{Failure, PAGE};
pub(super) use host::{check_instance, check_login, is_loopback};
pub(super) use retry::{Clock, Pauses, Policy, poll_pause};
pub(super) use wire::{parse_json, read_body, receive, retry_after};

use std::future::Future;
use std::time::Duration;

use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{RequestBuilder, Response};
use url::Url;

use super::error::BulkError;
use body::ChunkBody;
use wire::{network_error, reason_of, within_idle};

/// Time to set up a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

const USER_AGENT: &str = concat!("arrow-salesforce/", env!("CARGO_PKG_VERSION"));
const CALL_OPTIONS: &str = concat!("client=arrow-salesforce/", env!("CARGO_PKG_VERSION"));

/// Sends calls, and pauses between them.
#[derive(Debug)]
pub(super) struct Http {
    client: reqwest::Client,
    clock: Clock,
}

impl Http {
    /// A client that uses the environment's proxies, except for `loopback`. Redirects are not
    /// followed: a token goes to no host that was not checked.
    ///
    /// # Errors
    /// [`BulkError::Setup`].
    pub(super) fn new(loopback: bool, clock: Clock) -> Result<Self, BulkError> {
        let builder = reqwest::Client::builder()
            .user_agent(USER_AGENT)
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT);
        let builder = if loopback {
            builder.no_proxy()
        } else {
            builder
        };
        let client = builder.build().map_err(|error| BulkError::Setup {
            reason: reason_of(&error),
        })?;
        Ok(Self { client, clock })
    }

    /// Where pauses are spent.
    pub(super) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Sends a call once to the host `root`, signed by `bearer`, and returns what was answered,
    /// whatever its status is. `progress` counts the bytes of rows that were sent.
    ///
    /// # Errors
    /// [`BulkError::Network`]; [`BulkError::Serialize`] if the rows cannot be written as CSV.
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
        let answer = within_idle(request.send(), Some(progress)).await;
        let host = root.host_str().unwrap_or_default();
        answer.map_err(|failed| network_error(call.action, host, failed))
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
        let mut pauses = policy.pauses();
        loop {
            let error = match once().await {
                Ok(done) => return Ok(done),
                Err(error) => error,
            };
            let retry = pauses.wait(&self.clock, error, |error, pause_ms| {
                tracing::warn!(action, %error, pause_ms, "call failed, repeating");
            });
            retry.await?;
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
