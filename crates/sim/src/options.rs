//! How the simulator behaves, and what of it can change while it runs.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::contention::Contention;
use crate::faults::Fault;
use crate::profile::Profile;

/// How a simulator behaves.
///
/// As JSON, durations are `{"secs":1,"nanos":0}`, and absent keys keep their default.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SimOptions {
    /// The address to listen on; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The seed of everything random: the same seed and the same requests give the same org.
    pub seed: u64,
    /// A JSON file that describes the org's objects; the embedded org when absent.
    pub org: Option<PathBuf>,
    /// By the name of an object, a CSV file of records that are there from the start. Its columns
    /// are fields.
    pub data: BTreeMap<String, PathBuf>,
    /// A directory in which records are kept: they are read from it at the start, and saved in it
    /// once a second when they changed, and at the end. Jobs, sessions and counters are not kept.
    pub state: Option<PathBuf>,
    /// How long a closed job waits before its first internal batch.
    pub job_time: Duration,
    /// How long each internal batch of 10,000 records takes. Jobs run side by side.
    pub batch_time: Duration,
    /// Keeps counts and digests of records instead of their values, and of finished jobs only
    /// the failed and unprocessed rows of the last 32. For runs of many millions of records.
    pub forget: bool,
    /// The share of valid rows, 0 to 1, that a validation rule of the org refuses. A row that is
    /// sent once more with the same values is refused once more.
    pub fail_rate: f64,
    /// Result files list their rows in an order drawn from the seed.
    pub shuffle: bool,
    /// Concurrent jobs, the internal batches of a job, and the rows of a batch are processed in an
    /// order drawn from the seed, since Salesforce processes them in parallel.
    pub shuffle_processing: bool,
    /// The most that is added to `job_time`, drawn from the seed, so that concurrent jobs end in
    /// another order than they were closed. Without `shuffle_processing` nothing is added.
    pub job_jitter: Duration,
    /// Rows of an upsert without an external ID are in no result file, instead of failing.
    pub blank_keys_vanish: bool,
    /// The user may delete records for good.
    pub hard_delete: bool,
    /// Numbers in result files went through a double: `912260031` comes back as `9.12260031E8`.
    pub reformat_numbers: bool,
    /// Half of the rows of an insert that are identical to an earlier row are refused.
    pub refuse_duplicates: bool,
    /// A lookup to a record that does not exist is an error.
    pub check_references: bool,
    /// Each refresh returns a new refresh token and ends the one before. Using an ended one also
    /// ends all sessions and the current refresh token.
    pub rotate_refresh_token: bool,
    /// Codes, devices and refresh tokens need the client's secret. Without it an app may leave it
    /// out; a wrong one is always refused.
    pub require_secret: bool,
    /// The authorization code flow needs PKCE.
    pub require_pkce: bool,
    /// The addresses to which the browser may be sent back. When empty, any `http` address of this
    /// machine, and the org's own `/services/oauth2/success`.
    pub redirect_uris: Vec<String>,
    /// How long an authorization code is valid.
    pub code_lifetime: Duration,
    /// How many approvals of a user for an app are valid: a further one revokes the oldest.
    pub approvals: usize,
    /// Whether users may let the app in.
    pub app: AppPolicy,
    /// The user who is logged in in each browser, and let the app in before: the browser is sent back
    /// at once, unless the app asks with `prompt=login`. Browsers ask who it is when absent.
    pub signed_in: Option<String>,
    /// The org allows the device flow.
    pub device_flow: bool,
    /// How long a device has to wait between two requests, in whole seconds for the device.
    pub device_interval: Duration,
    /// How long a device waits to be let in.
    pub device_lifetime: Duration,
    /// What logins return as `instance_url`: a name for this server, which a proxy may know. Its
    /// own URL when absent.
    pub instance_url: Option<String>,
    /// How long an access token is valid; for ever when absent.
    pub token_lifetime: Option<Duration>,
    /// The largest upload in bytes.
    pub max_upload_bytes: u64,
    /// API calls that the org allows in a day.
    pub max_api_calls: u64,
    /// Internal batches that the org allows in a day.
    pub max_batches: u64,
    /// Query jobs of Bulk API 2.0 that the org allows in a day. `batch_window` is theirs too.
    pub max_query_jobs: u64,
    /// Records on a page of the results of a query job, at most.
    pub query_page_records: usize,
    /// How long an API call is counted, in place of a day; for ever when absent.
    pub api_window: Option<Duration>,
    /// How long an internal batch is counted, in place of a day; for ever when absent.
    pub batch_window: Option<Duration>,
    /// API calls of other clients, which are counted too.
    pub other_api_calls: u64,
    /// Internal batches of other clients, which are counted too.
    pub other_batches: u64,
    /// The client id that is accepted.
    pub client_id: String,
    /// The client secret that is accepted.
    pub client_secret: String,
    /// The refresh token that is accepted.
    pub refresh_token: String,
    /// The public RSA key (PEM) that verifies assertions of the JWT bearer grant; the grant is
    /// refused when absent.
    pub jwt_public_key: Option<String>,
    /// The user that such assertions may name, and that logs in with a password.
    pub jwt_user: String,
    /// The password of that user. Anything may follow it, as a security token does.
    pub password: String,
    /// How long a refresh takes. A second refresh with the same token meanwhile is refused: "token
    /// request is already being processed".
    pub token_time: Duration,
    /// Whether the org is a sandbox.
    pub sandbox: bool,
    /// Objects that the user may write; all when absent, none when empty.
    pub writable_objects: Option<Vec<String>>,
    /// How many generated objects the org has besides its own. Half of them are histories, shares,
    /// feeds and change events of the others.
    pub extra_objects: usize,
    /// Jobs lock the parents of their rows and fight over them, in simulated time; absent, rows
    /// lock nothing and jobs take real time. Jobs that are closed later follow a change of it.
    pub contention: Option<Contention>,
    /// The profile that the options were made of; it changes nothing by itself.
    pub profile: Option<Profile>,
    /// Faults that are there from the start.
    pub faults: Vec<Fault>,
    /// What requests below `/sim` must have in the header `Sim-Key`; nothing when absent. With it,
    /// a client under test cannot see or change more of the org than Salesforce lets it.
    pub inspection_key: Option<String>,
}

/// Whether the users of an org may let an app in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AppPolicy {
    /// They may.
    Installed,
    /// Not as long as the app is not installed in the org: `OAUTH_APPROVAL_ERROR_GENERIC`.
    NotInstalled,
    /// The org knows no such external client app: `OAUTH_EC_APP_NOT_FOUND`.
    NotFound,
}

impl Default for SimOptions {
    fn default() -> SimOptions {
        SimOptions {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            seed: 42,
            org: None,
            data: BTreeMap::new(),
            state: None,
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
            require_secret: false,
            require_pkce: false,
            redirect_uris: Vec::new(),
            code_lifetime: Duration::from_secs(900),
            approvals: 5,
            app: AppPolicy::Installed,
            signed_in: None,
            device_flow: true,
            device_interval: Duration::from_secs(5),
            device_lifetime: Duration::from_secs(600),
            instance_url: None,
            token_lifetime: None,
            max_upload_bytes: 112_500_000,
            max_api_calls: 100_000,
            max_batches: 15_000,
            max_query_jobs: 10_000,
            query_page_records: 100_000,
            api_window: None,
            batch_window: None,
            other_api_calls: 0,
            other_batches: 0,
            client_id: "sim-client-id".to_owned(),
            client_secret: "sim-client-secret".to_owned(),
            refresh_token: "sim-refresh-token".to_owned(),
            jwt_public_key: None,
            jwt_user: "loader@sim.example".to_owned(),
            password: "sim-password".to_owned(),
            token_time: Duration::ZERO,
            sandbox: false,
            writable_objects: None,
            extra_objects: 0,
            contention: None,
            profile: None,
            faults: Vec::new(),
            inspection_key: None,
        }
    }
}

impl SimOptions {
    /// The options of an org as a profile describes it.
    pub fn of(profile: Profile) -> SimOptions {
        let usual = SimOptions::default();
        SimOptions {
            contention: profile.contention(),
            faults: profile.faults(),
            max_api_calls: profile.api_calls.unwrap_or(usual.max_api_calls),
            other_api_calls: profile.api_calls_used.unwrap_or(usual.other_api_calls),
            max_batches: profile.batches.unwrap_or(usual.max_batches),
            other_batches: profile.batches_used.unwrap_or(usual.other_batches),
            fail_rate: profile.fail_rate.unwrap_or(usual.fail_rate),
            refuse_duplicates: profile.refuse_duplicates.unwrap_or(usual.refuse_duplicates),
            profile: Some(profile),
            ..usual
        }
    }

    /// Whether the user may write an object that can be written at all.
    pub(crate) fn may_write(&self, object: &str) -> bool {
        let is_object = |known: &String| known.eq_ignore_ascii_case(object);
        let writable = self.writable_objects.as_ref();
        writable.is_none_or(|objects| objects.iter().any(is_object))
    }
}

/// The options as they are now.
#[derive(Debug)]
pub(crate) struct Current(Mutex<Arc<SimOptions>>);

impl Current {
    pub(crate) fn new(options: SimOptions) -> Current {
        Current(Mutex::new(Arc::new(options)))
    }

    pub(crate) fn get(&self) -> Arc<SimOptions> {
        Arc::clone(&self.0.lock())
    }

    /// Changes the options given by key, as in the JSON of [`SimOptions`]. Those that shaped the
    /// org when it started stay as they are.
    pub(crate) fn change(&self, changes: Map<String, Value>) -> serde_json::Result<()> {
        const FIXED: [&str; 8] = [
            "listen",
            "org",
            "extra_objects",
            "forget",
            "profile",
            "data",
            "state",
            "inspection_key",
        ];
        let mut options = self.0.lock();
        let mut changed = serde_json::to_value(&**options)?;
        for (key, value) in changes {
            if !FIXED.contains(&key.as_str()) {
                changed[key] = value;
            }
        }
        *options = Arc::new(serde_json::from_value(changed)?);
        Ok(())
    }
}
