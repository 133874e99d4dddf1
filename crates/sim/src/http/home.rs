//! The host where the org is, and the one where it was.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;

use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use tokio::sync::watch;

use super::{App, Connection, CutListener, bind, body, router, status};
use crate::error::ApiError;
use crate::faults::{Call, Move};

/// Where the org is, if it moved.
#[derive(Debug)]
pub(super) struct Moved {
    pub(super) url: String,
    how: Move,
}

/// Serves an org at a listener until it stops.
pub(crate) fn serve(
    app: Arc<App>,
    listener: CutListener,
    mut stopped: watch::Receiver<bool>,
) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    let service = router(app).into_make_service_with_connect_info::<Connection>();
    Box::pin(async move {
        let serving = axum::serve(listener, service).with_graceful_shutdown(async move {
            // Also ends when the `Sim` is dropped and its sender with it.
            let _ = stopped.wait_for(|stop| *stop).await;
        });
        if let Err(error) = serving.await {
            tracing::error!(%error, "the simulator stopped serving");
        }
    })
}

/// Moves the org to another host: a new port of this machine.
pub(super) async fn move_org(app: &Arc<App>, how: Move) -> io::Result<()> {
    let address = (std::net::Ipv4Addr::LOCALHOST, 0).into();
    let (listener, address) = bind(address, &app.door).await?;
    tokio::spawn(serve(Arc::clone(app), listener, app.stopped.clone()));
    let url = format!("http://{address}");
    *app.moved.lock() = Some(Moved { url, how });
    Ok(())
}

/// The answer of the old host, if a request came to it.
pub(super) fn of_old_host(
    app: &App,
    headers: &HeaderMap,
    call: Call,
    path: &str,
) -> Option<Response> {
    let moved = app.moved.lock();
    let Moved { url, how } = moved.as_ref()?;
    let is_login = path.starts_with("/services/oauth2/") || path.starts_with("/setup/");
    let host = body::header(headers, header::HOST).unwrap_or_default();
    if url.ends_with(&format!("//{host}")) || (is_login && !(how.login && call == Call::Token)) {
        return None;
    }
    if !(300..400).contains(&how.code) {
        let message = "Session expired or invalid";
        let error = ApiError::new(how.code, "INVALID_SESSION_ID", message);
        return Some(error.into_response());
    }
    let mut response = status(how.code).into_response();
    if let Ok(location) = HeaderValue::from_str(&format!("{url}{path}")) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Some(response)
}
