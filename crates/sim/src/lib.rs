//! A Salesforce of the project's own, over real HTTP: OAuth, describe, limits, the life cycle of
//! Bulk API 2.0 ingest jobs with strict CSV and row validation, faults on demand, and an
//! inspection of what the org holds.
//!
//! It shares no code with the loader, so that one misreading of Salesforce is not made twice.
//! By default it is as awkward as the original: jobs at once, their batches and rows are processed
//! and told in an order of their own, numbers come back through a double, half of the failed
//! updates come back without an Id, and one of two identical rows is refused now and then.
//!
//! # Inspection
//! No session is needed and nothing is charged.
//!
//! | request | what it does |
//! |---|---|
//! | `GET /sim/state` | counters and all jobs |
//! | `GET /sim/objects/{object}` | how many records there are, and how many differ |
//! | `GET /sim/objects/{object}/rows?offset=&limit=` | the records, up to 1,000 |
//! | `GET /sim/objects/{object}/deleted` | the records in the recycle bin |
//! | `GET /sim/objects/{object}/column/{field}` | one field of all records, a JSON value a line |
//! | `POST /sim/faults`, `DELETE /sim/faults` | adds a list of [`Fault`]s, or takes all away |
//! | `GET /sim/options`, `POST /sim/options` | tells [`SimOptions`], or changes the keys given |
//! | `POST /sim/hold` `{"hold":true}` | closed jobs do not go on until released |
//! | `POST /sim/reset` | forgets jobs, records, faults and counters |
//!
//! Options that shape the org when it starts (`listen`, `org`, `extra_objects`, `forget`) stay as
//! they were, whatever is posted.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::task::JoinHandle;

mod cells;
mod columns;
mod csv;
mod describe;
mod faults;
mod generated;
mod http;
mod id;
mod index;
mod ingest;
mod inspect;
mod job;
mod jwt;
mod keys;
mod listener;
mod metadata;
mod number;
mod oauth;
mod org;
mod process;
mod query;
mod record_type;
mod reference;
mod request;
mod results;
mod rules;
mod shape;
mod state;
mod table;
#[cfg(test)]
mod tests;
mod validate;

pub use faults::{Action, Case, Chosen, Fault, Order, ResultFile};

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
    /// Rows of results come in an order of the seed's own.
    pub shuffle: bool,
    /// Jobs at once, the internal batches of a job and the rows in them are processed in an order
    /// of the seed's own, as Salesforce does it in parallel.
    pub shuffle_processing: bool,
    /// What a job may take longer than another, drawn from the seed, so that jobs at once end in
    /// another order than they were closed; nothing without `shuffle_processing`.
    pub job_jitter: Duration,
    /// Rows of an upsert without an external ID are in no result, instead of failing.
    pub blank_keys_vanish: bool,
    /// The user may delete records for good.
    pub hard_delete: bool,
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
    /// The RSA key (PEM) that assertions of the JWT bearer grant are signed with; that grant is
    /// refused when absent.
    pub jwt_public_key: Option<String>,
    /// The user that such assertions may name.
    pub jwt_user: String,
    /// What the token endpoint takes; a refresh token that comes again meanwhile is told that
    /// its request is already being processed.
    pub token_time: Duration,
    /// What the org says of itself.
    pub sandbox: bool,
    /// Objects that the user may write; all when absent, none when empty.
    pub writable_objects: Option<Vec<String>>,
    /// Generated objects besides those of the org's description, half of them histories, shares,
    /// feeds and change events of the others.
    pub extra_objects: usize,
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
            shuffle_processing: true,
            job_jitter: Duration::from_millis(20),
            blank_keys_vanish: false,
            hard_delete: false,
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
            jwt_public_key: None,
            jwt_user: "loader@sim.example".to_owned(),
            token_time: Duration::ZERO,
            sandbox: false,
            writable_objects: None,
            extra_objects: 0,
            faults: Vec::new(),
        }
    }
}

impl SimOptions {
    /// Whether the user may write an object that can be written at all.
    fn may_write(&self, object: &str) -> bool {
        let is_object = |known: &String| known.eq_ignore_ascii_case(object);
        let writable = self.writable_objects.as_ref();
        writable.is_none_or(|objects| objects.iter().any(is_object))
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
