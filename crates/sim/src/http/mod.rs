//! The simulator over HTTP: routes, sessions, and the handlers of requests.

mod answer;
mod body;
mod composite;
mod exports;
mod gate;
mod home;
mod ingest;
mod inspect;
mod listener;
mod metadata;
mod oauth;
mod parameters;
mod query;
mod records;
mod session;
mod soap;

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use axum::Router;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware;
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, patch, post, put};
use parking_lot::Mutex;
use tokio::sync::watch;

use self::session::Sessions;
use crate::SimOptions;
use crate::contention::ContentionCounts;
use crate::error::ApiError;
use crate::exports::Exports;
use crate::faults::Call;
use crate::jobs::Jobs;
use crate::org::Org;
use crate::org::user::User;
use crate::usage::Usage;

use self::home::Moved;

pub(crate) use self::home::serve;
pub(crate) use self::listener::{Connection, CutListener, Door, bind};

/// What all requests share.
#[derive(Debug)]
pub(crate) struct App {
    /// The URL for clients, `http://127.0.0.1:<port>`.
    url: String,
    /// It listens on all addresses of the machine.
    is_everywhere: bool,
    jobs: Arc<Jobs>,
    exports: Arc<Exports>,
    sessions: Mutex<Sessions>,
    /// Logins that are under way.
    pending: Mutex<oauth::Pending>,
    /// API calls of the day.
    api_calls: Mutex<Usage>,
    /// The same by the kind of the call.
    charged: Mutex<BTreeMap<Call, u64>>,
    /// How many requests of each kind came, whatever became of them.
    requests: Mutex<BTreeMap<Call, u64>>,
    door: Door,
    /// Set when the simulator stops.
    stopped: watch::Receiver<bool>,
    moved: Mutex<Option<Moved>>,
    /// What queries found, for their further pages.
    cursors: Mutex<query::Cursors>,
}

impl App {
    pub(crate) fn new(
        options: SimOptions,
        url: String,
        door: Door,
        stopped: watch::Receiver<bool>,
    ) -> io::Result<App> {
        let is_everywhere = options.listen.ip().is_unspecified();
        let jobs = Arc::new(Jobs::new(options)?);
        Ok(App {
            url,
            is_everywhere,
            exports: Arc::new(Exports::new(Arc::clone(&jobs))),
            jobs,
            sessions: Mutex::default(),
            pending: Mutex::default(),
            api_calls: Mutex::default(),
            charged: Mutex::default(),
            requests: Mutex::default(),
            door,
            stopped,
            moved: Mutex::default(),
            cursors: Mutex::default(),
        })
    }

    fn options(&self) -> Arc<SimOptions> {
        self.jobs.options()
    }

    /// The user that the options log in as.
    fn first_user(&self) -> Arc<User> {
        Arc::clone(&self.org().users[0])
    }

    pub(crate) fn org(&self) -> &Org {
        &self.jobs.org
    }

    /// What happened so far under contention.
    pub(crate) fn contention(&self) -> ContentionCounts {
        self.jobs.clock.counts()
    }

    /// The URL by which a client found the org. One that listens on all addresses has many names,
    /// such as that of its container, so it takes the one that the client asked for.
    fn url_for(&self, headers: &HeaderMap) -> String {
        let host = body::header(headers, header::HOST).filter(|_| self.is_everywhere);
        host.map_or_else(|| self.url.clone(), |host| format!("http://{host}"))
    }

    /// The `instance_url` of logins.
    fn instance_url(&self, headers: &HeaderMap) -> String {
        if let Some(moved) = self.moved.lock().as_ref() {
            return moved.url.clone();
        }
        let named = self.options().instance_url.clone();
        named.unwrap_or_else(|| self.url_for(headers))
    }

    /// How many API calls count against the limit.
    fn used_calls(&self) -> u64 {
        let options = self.options();
        self.api_calls.lock().within(options.api_window) + options.other_api_calls
    }

    /// Counts API calls.
    ///
    /// # Errors
    /// If the org allows no more of them in this day.
    fn charge(&self, call: Call, calls: u64) -> Result<(), ApiError> {
        let options = self.options();
        let mut api_calls = self.api_calls.lock();
        let used = api_calls.within(options.api_window) + options.other_api_calls;
        if used + calls > options.max_api_calls {
            let message = "TotalRequests Limit exceeded.";
            return Err(ApiError::new(403, "REQUEST_LIMIT_EXCEEDED", message));
        }
        api_calls.add(calls);
        drop(api_calls);
        *self.charged.lock().entry(call).or_default() += calls;
        Ok(())
    }

    /// Forgets all jobs, records, faults and counters; sessions stay valid.
    fn reset(&self) -> io::Result<()> {
        self.sessions.lock().reset();
        *self.api_calls.lock() = Usage::default();
        self.charged.lock().clear();
        self.requests.lock().clear();
        self.cursors.lock().clear();
        self.exports.reset();
        self.jobs.reset()
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        (status(self.status), Json(self.body())).into_response()
    }
}

/// The answer to a method that a resource does not have.
async fn not_allowed(method: Method) -> ApiError {
    let message = format!("HTTP Method '{method}' not allowed");
    ApiError::new(405, "METHOD_NOT_ALLOWED", &message)
}

/// A status from its number.
fn status(code: u16) -> StatusCode {
    StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// All routes.
fn router(app: Arc<App>) -> Router {
    let job = get(ingest::info)
        .patch(ingest::patch)
        .delete(ingest::delete);
    let export = get(exports::info)
        .patch(exports::patch)
        .delete(exports::delete);
    let record = get(query::record)
        .patch(records::update)
        .delete(records::delete);
    let keyed = get(records::read_by_key)
        .patch(records::upsert)
        .delete(records::delete_by_key);
    let list = post(records::create_list)
        .patch(records::update_list)
        .delete(records::delete_list);
    let listed = get(records::read_list).post(records::read_list_by_body);
    let data = Router::new()
        .route("/", get(metadata::resources))
        .route("/limits", get(metadata::limits))
        .route("/sobjects", get(metadata::global))
        .route("/sobjects/{object}/describe", get(metadata::describe))
        .route("/sobjects/{object}", post(records::create))
        .route("/sobjects/{object}/{id}", record)
        .route("/sobjects/{object}/{field}/{value}", keyed)
        .route("/composite/sobjects", list)
        .route("/composite/sobjects/{object}", listed)
        .route(
            "/composite/sobjects/{object}/{field}",
            patch(records::upsert_list),
        )
        .route("/query", get(query::query))
        .route("/query/{locator}", get(query::more))
        .route("/queryAll", get(query::query_all))
        .route("/queryAll/{locator}", get(query::more))
        .route("/composite", post(composite::composite))
        .route("/composite/batch", post(composite::batch))
        .route("/jobs/ingest", post(ingest::create).get(ingest::list))
        .route("/jobs/ingest/{id}", job)
        .route("/jobs/ingest/{id}/batches", put(ingest::upload))
        .route("/jobs/ingest/{id}/{result}", get(ingest::result))
        .route("/jobs/query", post(exports::create).get(exports::list))
        .route("/jobs/query/{id}", export)
        .route("/jobs/query/{id}/results", get(exports::results))
        .route("/jobs/query/{id}/resultPages", get(exports::pages))
        .method_not_allowed_fallback(not_allowed);
    let routes = Router::new()
        .route("/services/Soap/u/{version}", post(soap::login))
        .route("/services/data", get(metadata::versions))
        .nest("/services/data/{version}", data)
        .merge(oauth::routes())
        .merge(inspect::routes())
        .method_not_allowed_fallback(not_allowed)
        .fallback(|| async { ApiError::not_found() })
        .with_state(Arc::clone(&app));
    // Around all routes, so that the path is changed before its route is chosen.
    Router::new()
        .fallback_service(routes)
        .layer(middleware::from_fn_with_state(app, gate::gate))
}
