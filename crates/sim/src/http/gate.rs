//! What every request passes before its handler: faults, the check of its session, and the count
//! of an API call.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::{App, Connection, answer, body, home};
use crate::error::ApiError;
use crate::faults::{Answer, Asked, Call, Content};
use crate::org::user::User;
use crate::soql;

/// The longest path with its query, and the longest of it with all headers, [in
/// bytes](https://developer.salesforce.com/docs/atlas.en-us.salesforce_app_limits_cheatsheet.meta/salesforce_app_limits_cheatsheet/salesforce_app_limits_platform_api.htm).
const MAX_URI: usize = 16_384;

/// The same request with one slash before its path and none after it. Salesforce accepts others,
/// and clients send them (`…/limits/`, `//services/data/v62.0`).
fn plain(mut request: Request) -> Request {
    let uri = request.uri();
    let query = uri.query().map(|query| format!("?{query}"));
    let path = uri.path().trim_matches('/');
    if let Ok(plain) = format!("/{path}{}", query.unwrap_or_default()).parse() {
        *request.uri_mut() = plain;
    }
    request
}

/// Passes a request on to its handler, unless a fault prevents it or it has no session.
pub(super) async fn gate(
    State(app): State<Arc<App>>,
    ConnectInfo(connection): ConnectInfo<Connection>,
    request: Request,
    next: Next,
) -> Response {
    let request = plain(request);
    if request.uri().path().starts_with("/sim/") {
        let key = body::header(request.headers(), "sim-key");
        return match &app.options().inspection_key {
            Some(wanted) if key != Some(wanted) => ApiError::not_found().into_response(),
            _ => next.run(request).await,
        };
    }
    let (request, asked) = match read(&app, request).await {
        Ok(read) => read,
        Err(error) => return error.into_response(),
    };
    let _acting = asked.call.acts_on_jobs().then(|| app.jobs.clock.act());
    *app.requests.lock().entry(asked.call).or_default() += 1;
    if app.door.is_closed() {
        connection.cut();
        return StatusCode::OK.into_response();
    }
    let verdict = app.jobs.faults.of_request(&asked);
    tokio::time::sleep(verdict.delay).await;
    if verdict.expire_tokens {
        app.sessions.lock().clear();
    }
    if let Some(time) = verdict.refuse {
        app.door.close(time);
    }
    if let Some(how) = verdict.moves
        && let Err(error) = home::move_org(&app, how).await
    {
        return ApiError::new(500, "UNKNOWN_EXCEPTION", &error.to_string()).into_response();
    }
    if let Some(moved) = home::of_old_host(&app, request.headers(), asked.call, &asked.path) {
        body::drain(request.into_body()).await;
        return moved;
    }
    let mut request = request;
    if let Some(fault) = verdict.page {
        request.extensions_mut().insert(fault);
    }
    let data_call = asked.path.starts_with("/services/data/");
    let response = match verdict.before {
        Some(answer) => {
            if !matches!(answer, Answer::Cut) {
                body::drain(request.into_body()).await;
            }
            answer::given(answer, StatusCode::OK.into_response(), &connection).await
        }
        None => worked(&app, request, next, data_call.then_some(asked.call)).await,
    };
    let response = match verdict.after {
        Some(answer) => answer::given(answer, response, &connection).await,
        None => response,
    };
    if data_call {
        with_usage(&app, response)
    } else {
        response
    }
}

/// The response of a handler, if the request has a session and the org allows one more.
async fn worked(app: &App, request: Request, next: Next, data_call: Option<Call>) -> Response {
    let checked = if let Some(call) = data_call {
        let session = session(app, request.headers());
        session.and_then(|user| app.charge(call, 1).map(|()| Some(user)))
    } else {
        Ok(None)
    };
    match checked {
        Ok(user) => {
            let mut request = request;
            if let Some(user) = user {
                request.extensions_mut().insert(user);
            }
            next.run(request).await
        }
        Err(refusal) => {
            body::drain(request.into_body()).await;
            refusal.into_response()
        }
    }
}

/// What a request asks for. Its body is read where that decides it.
async fn read(app: &App, request: Request) -> Result<(Request, Asked), ApiError> {
    let (head, body) = request.into_parts();
    let path = head.uri.path();
    let uri = path.len() + head.uri.query().map_or(0, str::len);
    if uri > MAX_URI {
        return Err(ApiError::new(414, "URI_TOO_LONG", "The URI is too long"));
    }
    let headers = head.headers.iter();
    let headers: usize = headers
        .map(|(name, value)| name.as_str().len() + value.len())
        .sum();
    if uri + headers > MAX_URI {
        let message = "The URI and the headers are too long together";
        return Err(ApiError::new(
            431,
            "REQUEST_HEADER_FIELDS_TOO_LARGE",
            message,
        ));
    }
    let for_jobs = path.contains("/jobs/ingest") || path.contains("/jobs/query");
    let (content, named, body) = if for_jobs && ["POST", "PATCH"].contains(&head.method.as_str()) {
        let bytes = body::read(body).await?;
        let content_type = body::header(&head.headers, header::CONTENT_TYPE).unwrap_or_default();
        let (content, named) = body::content(content_type, &bytes);
        (content, named, Body::from(bytes))
    } else {
        (Content::default(), None, body)
    };
    let mut parts = path.split('/').skip_while(|part| *part != "jobs");
    let job = parts.nth(2).filter(|_| for_jobs);
    let mut parts = path.split('/').skip_while(|part| *part != "sobjects");
    let described = parts.nth(1).map(str::to_owned);
    let queried = || queried(head.uri.query()?);
    let whole = head.uri.path_and_query();
    let call = Call::of(head.method.as_str(), path, &content);
    let asked = Asked {
        method: head.method.to_string(),
        path: whole.map_or("/", |path| path.as_str()).to_owned(),
        call,
        object: named
            .or(described)
            .or_else(queried)
            .or_else(|| app.jobs.asked(job?, call))
            .or_else(|| app.exports.object_of(job?)),
        job: job.map(str::to_owned),
    };
    Ok((Request::from_parts(head, body), asked))
}

/// The object that a query is about.
fn queried(parameters: &str) -> Option<String> {
    let mut parameters = url::form_urlencoded::parse(parameters.as_bytes());
    let (_, soql) = parameters.find(|(name, _)| name == "q")?;
    soql::object_of(&soql)
}

/// The user of the session of a request.
pub(super) fn session(app: &App, headers: &HeaderMap) -> Result<Arc<User>, ApiError> {
    let value = body::header(headers, header::AUTHORIZATION);
    let token = value.and_then(|value| {
        let (scheme, token) = value.split_once(' ')?;
        ["Bearer", "OAuth"]
            .iter()
            .any(|known| known.eq_ignore_ascii_case(scheme))
            .then_some(token)
    });
    let lifetime = app.options().token_lifetime;
    let user = token.and_then(|token| app.sessions.lock().user(token, lifetime));
    user.ok_or_else(|| {
        let message = "Session expired or invalid";
        ApiError::new(401, "INVALID_SESSION_ID", message)
    })
}

/// Adds how many API calls were used.
fn with_usage(app: &App, mut response: Response) -> Response {
    let used = app.used_calls();
    let usage = format!("api-usage={used}/{}", app.options().max_api_calls);
    if let Ok(usage) = HeaderValue::from_str(&usage) {
        response
            .headers_mut()
            .insert(HeaderName::from_static("sforce-limit-info"), usage);
    }
    response
}
