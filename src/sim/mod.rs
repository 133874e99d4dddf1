//! A Salesforce of the project's own, over real HTTP: OAuth, describe, limits, the life cycle of
//! Bulk API 2.0 ingest jobs with strict CSV and row validation, faults on demand, and an
//! inspection of what the org holds.
//!
//! It shares no code with the loader, so that one misreading of Salesforce is not made twice.
//! By default it is as awkward as the original: results come in another order, numbers come back
//! through a double, and one of two identical rows is refused now and then.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::task::JoinHandle;

mod columns;
mod csv;
mod describe;
mod faults;
mod http;
mod id;
mod index;
mod ingest;
mod inspect;
mod job;
mod listener;
mod metadata;
mod number;
mod oauth;
mod org;
mod process;
mod record_type;
mod reference;
mod results;
mod rules;
mod state;
mod table;
#[cfg(test)]
mod tests;
mod validate;

pub use faults::{Action, Fault};

/// How a simulator behaves.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SimOptions {
    /// Where it listens; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Everything random is drawn from it.
    pub seed: u64,
    /// A JSON file of objects; the embedded org when absent.
    pub org: Option<PathBuf>,
    /// What a job takes after its close, before its first internal batch.
    pub job_time: Duration,
    /// What each internal batch of 10,000 records takes; jobs run at once.
    pub batch_time: Duration,
    /// Keeps counts and digests of records, not their values, and of finished jobs only the
    /// failed and unprocessed rows of the last 32: for runs of many millions.
    pub forget: bool,
    /// The share of valid rows that the org refuses with a validation rule: the same rows always.
    pub fail_rate: f64,
    /// Results come in another order than the rows were uploaded.
    pub shuffle: bool,
    /// Numbers in results come back through a double: `912260031` as `9.12260031E8`.
    pub reformat_numbers: bool,
    /// One of two identical rows of an insert is refused now and then.
    pub refuse_duplicates: bool,
    /// A lookup to a record that does not exist is an error.
    pub check_references: bool,
    /// Each refresh answers a new refresh token and kills the one before; showing a dead one
    /// ends all sessions and the current refresh token too.
    pub rotate_refresh_token: bool,
    /// Access tokens expire after it; never when absent.
    pub token_lifetime: Option<Duration>,
    /// The largest upload in bytes.
    pub max_upload_bytes: u64,
    /// API calls of the day.
    pub max_api_calls: u64,
    /// Internal batches of the day.
    pub max_batches: u64,
    /// The client id that is accepted.
    pub client_id: String,
    /// The client secret that is accepted.
    pub client_secret: String,
    /// The refresh token that is accepted.
    pub refresh_token: String,
    /// Faults from the start.
    pub faults: Vec<Fault>,
}

impl Default for SimOptions {
    fn default() -> SimOptions {
        SimOptions {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            seed: 42,
            org: None,
            job_time: Duration::ZERO,
            batch_time: Duration::ZERO,
            forget: false,
            fail_rate: 0.0,
            shuffle: true,
            reformat_numbers: true,
            refuse_duplicates: true,
            check_references: true,
            rotate_refresh_token: false,
            token_lifetime: None,
            max_upload_bytes: 112_500_000,
            max_api_calls: 100_000,
            max_batches: 15_000,
            client_id: "sim-client-id".to_owned(),
            client_secret: "sim-client-secret".to_owned(),
            refresh_token: "sim-refresh-token".to_owned(),
            faults: Vec::new(),
        }
    }
}

/// A running simulator; it stops when dropped.
#[derive(Debug)]
pub struct Sim {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    server: JoinHandle<()>,
}

impl Sim {
    /// Starts a simulator; it serves from when this returns.
    ///
    /// # Errors
    /// The address cannot be bound, or the org's file cannot be read.
    pub async fn start(options: SimOptions) -> io::Result<Sim> {
        let (listener, address) = listener::bind(options.listen).await?;
        let shared = Arc::new(state::Shared::new(options, format!("http://{address}"))?);
        let (stop, mut stopped) = watch::channel(false);
        let service =
            http::router(shared).into_make_service_with_connect_info::<listener::Connection>();
        let server = tokio::spawn(async move {
            let serving = axum::serve(listener, service).with_graceful_shutdown(async move {
                // Also ends when the `Sim` is dropped and its sender with it.
                let _ = stopped.wait_for(|stop| *stop).await;
            });
            if let Err(error) = serving.await {
                tracing::error!(%error, "the simulator stopped serving");
            }
        });
        Ok(Sim {
            address,
            stop,
            server,
        })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.address
    }

    /// The login URL for clients, `http://127.0.0.1:<port>`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Waits until it stops by itself, which it does only on an error.
    pub async fn stopped(&mut self) {
        if let Err(error) = (&mut self.server).await {
            tracing::error!(%error, "the simulator broke");
        }
    }

    /// Stops it after the requests under way are answered.
    pub async fn shutdown(mut self) {
        self.stop.send_replace(true);
        self.stopped().await;
    }
}
