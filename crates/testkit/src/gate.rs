//! A proxy before a server that halts at a chosen request: for a process behind it the world ends
//! there, as it does when the process is killed at that moment.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, Method, Response, header};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::PATIENCE;

/// Headers of one connection, which the next one has of its own.
const OF_CONNECTION: [HeaderName; 3] = [
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
];

/// A request as it came.
#[derive(Debug)]
pub struct Seen<'a> {
    /// Its method.
    pub method: &'a str,
    /// Its path and query.
    pub path: &'a str,
    /// Its body.
    pub body: &'a [u8],
}

/// Which side of the work of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// The server does not see the request.
    Before,
    /// The server has done it, and the answer does not come back.
    After,
}

/// Where to halt.
#[derive(Debug, Clone, Copy)]
pub struct Halt {
    /// The requests that are counted.
    pub at: fn(&Seen<'_>) -> bool,
    /// How many of them pass.
    pub skip: usize,
    /// On which side of the next one.
    pub side: Side,
}

/// Halts that some gates share: once a request is hit, nothing passes any of them, forth or back.
#[derive(Debug, Clone)]
pub struct Halts(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    armed: Mutex<Option<Halt>>,
    passing: watch::Sender<Passage>,
}

/// Whether requests pass, since the last time that halts were armed.
#[derive(Debug, Clone, Copy)]
struct Passage {
    armed: u64,
    halted: bool,
}

impl Default for Halts {
    fn default() -> Self {
        let (armed, halted) = (0, false);
        Self(Arc::new(Shared {
            armed: Mutex::default(),
            passing: watch::Sender::new(Passage { armed, halted }),
        }))
    }
}

impl Halts {
    /// Everything passes until the next request that this is for. What was held never goes on: whoever
    /// asked for it is gone.
    pub fn arm(&self, halt: Option<Halt>) {
        *self.0.armed.lock().unwrap() = halt;
        self.0.passing.send_modify(|passage| {
            passage.armed += 1;
            passage.halted = false;
        });
    }

    /// What is held goes on.
    pub fn go_on(&self) {
        self.0.passing.send_modify(|passage| passage.halted = false);
    }

    /// Whether the request was hit.
    pub fn are_hit(&self) -> bool {
        self.0.passing.borrow().halted
    }

    /// Waits until the request is hit.
    pub async fn hit(&self) {
        let mut passing = self.0.passing.subscribe();
        // The sender is in `self`.
        let _ = passing.wait_for(|passage| passage.halted).await;
    }

    /// Waits while nothing passes.
    async fn pass(&self) {
        let mut passing = self.0.passing.subscribe();
        let armed = passing.borrow().armed;
        let over = passing.wait_for(|passage| !passage.halted || passage.armed != armed);
        let goes_on = over.await.is_ok_and(|passage| passage.armed == armed);
        if !goes_on {
            std::future::pending::<()>().await;
        }
    }

    /// The side on which this request is hit, if it is.
    fn side(&self, seen: &Seen<'_>) -> Option<Side> {
        let mut armed = self.0.armed.lock().unwrap();
        let halt = armed.as_mut().filter(|halt| (halt.at)(seen))?;
        if halt.skip > 0 {
            halt.skip -= 1;
            return None;
        }
        let side = halt.side;
        *armed = None;
        Some(side)
    }

    fn halt(&self) {
        self.0.passing.send_modify(|passage| passage.halted = true);
    }
}

/// A running proxy, which stops with the test.
#[derive(Debug)]
pub struct Gate {
    url: String,
    serving: JoinHandle<()>,
}

impl Gate {
    /// A proxy before the server at this URL.
    pub async fn before(server: &str, halts: &Halts) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let client = reqwest::Client::builder()
            .tls_built_in_root_certs(false)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy();
        let passing = Passing {
            server: server.trim_end_matches('/').to_owned(),
            client: client.build().unwrap(),
            halts: halts.clone(),
        };
        let routes = Router::new().fallback(move |request| passing.clone().pass(request));
        let serving = tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        Self { url, serving }
    }

    /// Its URL, without a trailing slash.
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

#[derive(Debug, Clone)]
struct Passing {
    server: String,
    client: reqwest::Client,
    halts: Halts,
}

impl Passing {
    /// Passes a request on, and its answer back.
    async fn pass(self, request: Request) -> Response<Body> {
        let (parts, body) = request.into_parts();
        let body = to_bytes(body, usize::MAX).await.unwrap_or_default();
        let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
        let seen = Seen {
            method: parts.method.as_str(),
            path,
            body: &body,
        };
        self.halts.pass().await;
        let side = self.halts.side(&seen);
        if side == Some(Side::Before) {
            self.halts.halt();
        }
        self.halts.pass().await;
        let answer = self.answer(&parts.method, path, parts.headers, body).await;
        if side == Some(Side::After) {
            self.halts.halt();
        }
        self.halts.pass().await;
        answer
    }

    async fn answer(
        &self,
        method: &Method,
        path: &str,
        mut headers: HeaderMap,
        body: Bytes,
    ) -> Response<Body> {
        for name in OF_CONNECTION {
            headers.remove(name);
        }
        let request = self
            .client
            .request(method.clone(), format!("{}{path}", self.server))
            .headers(headers)
            .timeout(PATIENCE);
        let has_body = !body.is_empty() || method == Method::POST || method == Method::PUT;
        let request = if has_body {
            request.body(body)
        } else {
            request
        };
        let answer = request.send().await.unwrap();
        let (status, mut headers) = (answer.status(), answer.headers().clone());
        let content = answer.bytes().await.unwrap();
        if method != Method::HEAD {
            headers.remove(header::CONTENT_LENGTH);
        }
        headers.remove(header::CONNECTION);
        headers.remove(header::TRANSFER_ENCODING);
        let mut passed = Response::new(Body::from(content));
        *passed.status_mut() = status;
        *passed.headers_mut() = headers;
        passed
    }
}
