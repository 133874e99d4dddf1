//! What can go wrong between this process and Salesforce: the cause and the cure.

use std::sync::Arc;
use std::time::Duration;

use crate::error::ErrorKind;

mod kind;
mod passing;

pub(super) use passing::Passing;

/// A login, a call or a job that failed.
///
/// The texts hold no secret and no record's value: what Salesforce said is cut short, HTML pages
/// are left out, and tokens are replaced by `***`.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum BulkError {
    /// The login URL cannot be used.
    #[error(
        "login_url {url}: {reason}; give https://login.salesforce.com, \
         https://test.salesforce.com for a sandbox, or the org's My Domain \
         (https://<name>.my.salesforce.com); a host of your own is allowed by instance_hosts"
    )]
    LoginUrl {
        /// The URL as given, without a user part.
        url: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The private key of a JWT bearer login cannot be used.
    #[error(
        "private_key: {reason}; give an RSA key of at least 2048 bits as PEM text, such as \
         openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 makes"
    )]
    PrivateKey {
        /// What is wrong with it.
        reason: String,
    },
    /// The refresh token of several processes cannot be read.
    #[error("{reason}")]
    TokenKept {
        /// The cause and the cure.
        reason: String,
    },
    /// The token endpoint refused the login.
    #[error(transparent)]
    Login(#[from] LoginRefused),
    /// The answer to a login that a person began is none.
    #[error("nobody is logged in: {reason}; log in again, and use the page that this login opened")]
    Callback {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The login URL redirects: secrets are sent to no host that was not set.
    #[error(
        "login_url {url} redirects to {}; set login_url to where the org is now, over https (its My \
         Domain: https://<name>.my.salesforce.com)",
        target.as_deref().unwrap_or("a place that it does not name")
    )]
    LoginRedirect {
        /// Scheme and host as they were set.
        url: String,
        /// Scheme and host that it redirects to.
        target: Option<String>,
    },
    /// The login returned an instance that is not Salesforce's: the token is not sent there.
    #[error(
        "the login answered the instance {host}, which is not one of Salesforce's hosts over \
         https ({reason}); check login_url, or allow a host of your own by instance_hosts"
    )]
    Instance {
        /// Host that the answer named.
        host: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Hosts that are no hosts are to be trusted beside Salesforce's own.
    #[error(
        "instance_hosts has {entry:?}, which is no name of a host; give names such as \
         api.example.com, without https:// and port"
    )]
    InstanceHosts {
        /// What is no name of a host.
        entry: String,
    },
    /// A variable of the environment, such as that of a proxy, cannot be used.
    #[error("{reason}")]
    Environment {
        /// The variable, what is wrong with it, and what to do.
        reason: String,
    },
    /// A proxy, or a certificate that is not trusted, stands before the host.
    #[error("{action}: {reason}")]
    Obstacle {
        /// What was being done.
        action: String,
        /// What it is, and what to do.
        reason: String,
    },
    /// No answer came: DNS, connection, TLS, or a time limit.
    #[error(
        "{action}: no answer from {host}: {reason}; check the network, the proxy variables and \
         Salesforce's status, then start again"
    )]
    Network {
        /// What was being done.
        action: String,
        /// Host that was asked.
        host: String,
        /// What failed.
        reason: String,
        /// The request cannot have reached Salesforce.
        unsent: bool,
    },
    /// Salesforce or something before it answered with a server error.
    #[error(
        "{action}: Salesforce is unavailable (HTTP {status}: {detail}); start again \
         later"
    )]
    Unavailable {
        /// What was being done.
        action: String,
        /// HTTP status.
        status: u16,
        /// Salesforce's words.
        detail: String,
        /// How long Salesforce asks to wait.
        retry_after: Option<Duration>,
    },
    /// Too many requests at once; nothing was done.
    #[error(
        "{action}: Salesforce takes no more requests for now (HTTP {status}: {detail}); use \
         fewer jobs in flight, or start again later"
    )]
    Throttled {
        /// What was being done.
        action: String,
        /// HTTP status.
        status: u16,
        /// Salesforce's words.
        detail: String,
        /// How long Salesforce asks to wait.
        retry_after: Option<Duration>,
    },
    /// An allocation of the org is used up for now.
    #[error(
        "{action}: the org's {allocation} are used up ({detail}); each is free again a day after it \
         was used: start again later, wait for that by a longer limit_wait_seconds, or ask \
         Salesforce for more"
    )]
    DailyLimit {
        /// What was being done.
        action: String,
        /// Which allocation, in words, and by its name in the list of limits.
        allocation: &'static str,
        /// Salesforce's words.
        detail: String,
    },
    /// The answer sends the call to another host, after a new login too.
    #[error(
        "{action}: Salesforce redirects to {} (HTTP {status}), after a new login too; the org may \
         be moving to another host: start again later, and check login_url",
        target.as_deref().unwrap_or("a place that it does not name")
    )]
    Moved {
        /// What was being done.
        action: String,
        /// HTTP status.
        status: u16,
        /// Scheme and host that the answer names.
        target: Option<String>,
    },
    /// The object is not there for this user.
    #[error(
        "object {object} does not exist or the user may not see it; check the API name, or grant \
         the object permission in a profile or permission set of the integration user"
    )]
    ObjectNotFound {
        /// API name as given.
        object: String,
    },
    /// Salesforce refused the call, and would again.
    #[error(
        "{action}: Salesforce refused it ({}: {detail}); {cure}",
        status_and_code(.status, .code)
    )]
    Refused {
        /// What was being done.
        action: String,
        /// HTTP status.
        status: u16,
        /// Salesforce's error code.
        code: String,
        /// Salesforce's words.
        detail: String,
        /// What to do.
        cure: &'static str,
        /// Whose fault it is.
        kind: ErrorKind,
    },
    /// A session that has just been opened is refused.
    #[error(
        "{action}: Salesforce refuses the session it has just opened; check that the user has \
         the permission API Enabled, and the app's and the profile's IP ranges"
    )]
    Session {
        /// What was being done.
        action: String,
    },
    /// The answer is not what the API promises.
    #[error("{action}: Salesforce's answer cannot be read: {reason}")]
    Answer {
        /// What was being done.
        action: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A job is in a state this version does not know.
    #[error(
        "job {id} is in the state {state}, which this version does not know; look at Setup > \
         Bulk Data Load Jobs, and use a newer version"
    )]
    UnknownState {
        /// Id of the job.
        id: String,
        /// Salesforce's word.
        state: String,
    },
    /// A job is in a state that what was asked does not allow.
    #[error("job {id} is {state}, so it cannot be {wanted}; someone else has changed it")]
    WrongState {
        /// Id of the job.
        id: String,
        /// Salesforce's word for the state.
        state: &'static str,
        /// What was asked.
        wanted: &'static str,
    },
    /// Salesforce has confirmed that a job was closed, and shows it as open for as long as
    /// [`Waits::patience`](crate::options::Waits::patience).
    #[error(
        "job {id} was still Open {} after Salesforce had confirmed its close, more than once; {}",
        hours_and_minutes(*age),
        if *aborted {
            "it was aborted, so none of its rows is loaded: start again later"
        } else {
            "its rows may be loaded yet: look at Setup > Bulk Data Load Jobs before they are sent again"
        }
    )]
    StayedOpen {
        /// Id of the job.
        id: String,
        /// How long it was waited for.
        age: Duration,
        /// It was aborted then, and none of its rows was processed.
        aborted: bool,
    },
    /// A closed job cannot be waited for any longer: it goes on.
    #[error(
        "job {id} was closed and goes on, but it cannot be watched any longer, so its rows may be \
         loaded; look at Setup > Bulk Data Load Jobs before they are sent again: {source}"
    )]
    JobGoesOn {
        /// Id of the job.
        id: String,
        /// Why it cannot be watched.
        source: Box<BulkError>,
    },
    /// A closed job did not end within [`Waits::job_timeout`](crate::options::Waits::job_timeout).
    #[error(
        "job {id} is still {state} {} after it was closed; it goes on, so its rows may be loaded: \
         look at Setup > Bulk Data Load Jobs before they are sent again, and raise \
         job_timeout_seconds if jobs of this org take as long",
        hours_and_minutes(*age)
    )]
    JobTimeout {
        /// Id of the job.
        id: String,
        /// Salesforce's word for the state.
        state: &'static str,
        /// How long it was waited for.
        age: Duration,
    },
    /// The results of an ended job cannot be read.
    #[error(
        "job {id} has ended, but what became of its rows cannot be read, so they may be loaded; \
         look at Setup > Bulk Data Load Jobs before they are sent again: {source}"
    )]
    ResultsUnread {
        /// Id of the job.
        id: String,
        /// Why they cannot be read.
        source: Box<BulkError>,
    },
    /// Whether a job was closed cannot be found out: its rows may be loaded, now or later.
    #[error(
        "job {id}: whether it was closed is not known, so its rows may have been loaded; look at \
         Setup > Bulk Data Load Jobs before they are sent again: {source}"
    )]
    CloseUnclear {
        /// Id of the job.
        id: String,
        /// Why it cannot be found out.
        source: Box<BulkError>,
    },
    /// Whether a job was made of some rows cannot be found out: they may be loaded, now or later.
    #[error(
        "whether Salesforce has taken the rows of a job for {object} is not known, so they may \
         have been loaded; look at Setup > Bulk Data Load Jobs before they are sent again: {source}"
    )]
    SubmitUnclear {
        /// API name of the object.
        object: String,
        /// Why it cannot be found out.
        source: Box<BulkError>,
    },
    /// A job that was there is there no more.
    #[error(
        "job {id} is gone: someone has deleted it, or it is older than the 7 days that Salesforce \
         keeps jobs; which of its rows were loaded is not known, so check the org before they are \
         sent again"
    )]
    JobGone {
        /// Id of the job.
        id: String,
    },
    /// The load was stopped before the call was sent: nothing of it was done.
    #[error("{action}: the load was stopped first, so nothing of it was done")]
    Stopped {
        /// What was to be done.
        action: String,
    },
    /// The login that a call needs was waited for in vain: the call was not sent.
    #[error("{action}: it was not sent, since there is no session for it: {source}")]
    NoSession {
        /// What was to be done.
        action: String,
        /// Why there is none.
        source: Box<BulkError>,
    },
    /// A chunk that one call cannot load.
    #[error(
        "{operation} of {object}: a chunk of {bytes} bytes does not go into the call that creates \
         its job; keyed operations of fewer than 100,000 do"
    )]
    NotSmall {
        /// API name of the object.
        object: String,
        /// Salesforce's word for the operation.
        operation: &'static str,
        /// Size of the CSV.
        bytes: u64,
    },
    /// A name that a query cannot hold.
    #[error("{name:?} is no API name of an object or a field: it has letters, digits and _ only")]
    NoApiName {
        /// The name as given.
        name: String,
    },
    /// A result file is none.
    #[error("{action}: the answer is no result file: {reason}")]
    Results {
        /// Which file of which job.
        action: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A temporary file failed.
    #[error("{action}: a temporary file failed: {source}; check the space in the temporary folder")]
    Spool {
        /// What was being done.
        action: String,
        /// What the system said.
        source: Arc<std::io::Error>,
    },
    /// A chunk could not be written as CSV.
    #[error("{action}: the rows could not be written as CSV: {reason}")]
    Serialize {
        /// What was being done.
        action: String,
        /// What failed.
        reason: String,
    },
    /// A text that is no query.
    #[error("the query cannot be read: {reason}; write it as SELECT … FROM … WHERE …")]
    Soql {
        /// What is wrong with it.
        reason: String,
    },
    /// A query that no query job answers.
    #[error("the query has {what}, which the Bulk API does not answer; {cure}")]
    NotForBulk {
        /// What it has.
        what: String,
        /// What to do.
        cure: String,
        /// It counts or groups records: its answer is small, and the REST API gives it.
        aggregate: bool,
    },
    /// A query job failed as a whole.
    #[error("query job {id} is {state} ({detail}); {cure}")]
    QueryFailed {
        /// Id of the job.
        id: String,
        /// Salesforce's word for the state.
        state: &'static str,
        /// Salesforce's words.
        detail: String,
        /// What to do.
        cure: &'static str,
        /// Whose fault it is.
        kind: ErrorKind,
    },
    /// A query job did not end within [`Waits::job_timeout`](crate::options::Waits::job_timeout).
    #[error(
        "query job {id} is still {state} after {}, and was aborted; select fewer records by a \
         condition on an indexed field, or raise job_timeout_seconds",
        hours_and_minutes(*age)
    )]
    QueryTimeout {
        /// Id of the job.
        id: String,
        /// Salesforce's word for the state.
        state: &'static str,
        /// How long it was waited for.
        age: Duration,
    },
    /// A query job, or its results, are there no more.
    #[error(
        "query job {id} is gone: someone has deleted it, or it is older than the 7 days that \
         Salesforce keeps results; ask the query again"
    )]
    QueryGone {
        /// Id of the job.
        id: String,
    },
    /// The results of a query job cannot be read.
    #[error("the results of query job {id} cannot be read; ask the query again: {source}")]
    QueryUnread {
        /// Id of the job.
        id: String,
        /// Why they cannot be read.
        source: Box<BulkError>,
    },
    /// The results of a query job have more or fewer rows than it has found.
    #[error(
        "query job {id} has found {found} records, but its results have {read} rows; ask the query \
         again"
    )]
    QueryRows {
        /// Id of the job.
        id: String,
        /// Records, as the job says.
        found: u64,
        /// Rows of its results.
        read: u64,
    },
    /// A value that the describe of its field does not allow.
    #[error(
        "field {field}{}: a value such as {shape} is no {wanted}; ask the query for texts instead",
        record.as_ref().map_or_else(String::new, |id| format!(" of record {id}"))
    )]
    Value {
        /// The field, or the path to it.
        field: String,
        /// Id of the record, if it is known.
        record: Option<String>,
        /// The value with all its digits as 9 and its letters as a.
        shape: String,
        /// The type that its field has.
        wanted: arrow::datatypes::DataType,
    },
    /// The HTTP client could not be set up.
    #[error("the HTTP client could not be set up: {reason}")]
    Setup {
        /// What failed.
        reason: String,
    },
}

/// Status and code, where the answer had one.
fn status_and_code(status: &u16, code: &str) -> String {
    format!("HTTP {status} {code}").trim_end().to_owned()
}

/// A length of time as `2 h 5 min`.
fn hours_and_minutes(length: Duration) -> String {
    let minutes = length.as_secs() / 60;
    match minutes / 60 {
        0 => format!("{minutes} min"),
        hours => format!("{hours} h {} min", minutes % 60),
    }
}

/// The token endpoint's refusal, in OAuth's terms.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the login at {host} was refused ({error}: {description}); {cure}")]
pub struct LoginRefused {
    /// Host of the login URL.
    pub host: String,
    /// OAuth's error code.
    pub error: String,
    /// Salesforce's words.
    pub description: String,
    /// What to do.
    pub cure: String,
    /// Whose fault it is.
    pub kind: ErrorKind,
}

#[cfg(test)]
mod tests;
