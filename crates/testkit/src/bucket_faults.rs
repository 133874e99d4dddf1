//! Faults of the [S3 server](crate::s3::S3Server): which calls they hit, how often, and what
//! happens to these.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::http::Request;
use axum::http::StatusCode;
use s3s::service::S3Service;
use s3s::{Body, HttpError, HttpResponse};

/// What a request to a bucket asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BucketCall {
    /// One object in one piece.
    Put,
    /// The start of a multipart upload.
    Begin,
    /// A part of one.
    Part,
    /// The end of one.
    Complete,
    /// A list of keys.
    List,
    /// An object, or its head.
    Get,
    /// One object less, or several, or a multipart upload given up.
    Delete,
}

impl BucketCall {
    fn of(method: &str, query: &str) -> Self {
        match method {
            "PUT" if query.contains("partNumber=") => Self::Part,
            "PUT" => Self::Put,
            "POST" if query.contains("uploadId=") => Self::Complete,
            "POST" if query.contains("uploads") => Self::Begin,
            "GET" if query.contains("list-type=") => Self::List,
            "GET" | "HEAD" => Self::Get,
            _ => Self::Delete,
        }
    }
}

/// What happens to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Harm {
    /// The answer is this status with an error of this code.
    Error(u16, &'static str),
    /// The connection breaks before the work.
    Cut,
    /// The connection breaks after the work.
    Lose,
    /// Nothing is answered for this long; then the connection breaks.
    Hang(Duration),
}

/// A fault of the server.
#[derive(Debug, Clone)]
pub struct BucketFault {
    /// By which its hits are found.
    pub name: String,
    /// What it hits; any call when absent.
    pub call: Option<BucketCall>,
    /// How many matches pass untouched before the first hit.
    pub skip: u32,
    /// How many matches are hit; all when absent.
    pub times: Option<u32>,
    /// How long after its first hit it hits nothing more.
    pub span: Option<Duration>,
    /// What happens.
    pub harm: Harm,
}

#[derive(Debug)]
struct Armed {
    fault: BucketFault,
    seen: u32,
    hits: u32,
    first: Option<Instant>,
}

impl Armed {
    /// Whether it hits a call now.
    fn hit(&mut self, call: BucketCall) -> Option<Harm> {
        let BucketFault {
            call: wanted,
            skip,
            times,
            span,
            harm,
            ..
        } = &self.fault;
        let over = times.is_some_and(|times| self.hits >= times)
            || (span.zip(self.first)).is_some_and(|(span, first)| first.elapsed() > span);
        if over || wanted.is_some_and(|wanted| wanted != call) {
            return None;
        }
        self.seen += 1;
        if self.seen <= *skip {
            return None;
        }
        self.hits += 1;
        self.first.get_or_insert_with(Instant::now);
        Some(*harm)
    }
}

/// The faults of a server, none at first.
#[derive(Debug, Clone, Default)]
pub(crate) struct BucketFaults(Arc<Mutex<Vec<Armed>>>);

impl BucketFaults {
    pub(crate) fn set(&self, faults: Vec<BucketFault>) {
        let armed = |fault| Armed {
            fault,
            seen: 0,
            hits: 0,
            first: None,
        };
        *self.0.lock().unwrap() = faults.into_iter().map(armed).collect();
    }

    pub(crate) fn hits(&self) -> Vec<(String, u32)> {
        let armed = self.0.lock().unwrap();
        let hits = armed
            .iter()
            .map(|armed| (armed.fault.name.clone(), armed.hits));
        hits.collect()
    }

    /// What happens to a call, by the first fault that hits it.
    fn of(&self, call: BucketCall) -> Option<Harm> {
        let mut armed = self.0.lock().unwrap();
        armed.iter_mut().find_map(|armed| armed.hit(call))
    }

    /// Responds to a request, or does not: an error breaks the connection.
    pub(crate) async fn answer(
        self,
        service: S3Service,
        request: Request<hyper::body::Incoming>,
    ) -> Result<HttpResponse, HttpError> {
        let call = BucketCall::of(
            request.method().as_str(),
            request.uri().query().unwrap_or_default(),
        );
        let broken = || HttpError::new(Box::new(std::io::Error::other("cut on purpose")));
        match self.of(call) {
            None => service.call(request.map(Body::from)).await,
            Some(Harm::Error(status, code)) => {
                let body = format!(
                    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code>\
                     <Message>on purpose</Message></Error>"
                );
                let mut response = HttpResponse::new(Body::from(body));
                *response.status_mut() = StatusCode::from_u16(status).unwrap();
                Ok(response)
            }
            Some(Harm::Cut) => Err(broken()),
            Some(Harm::Lose) => {
                service.call(request.map(Body::from)).await?;
                Err(broken())
            }
            Some(Harm::Hang(time)) => {
                tokio::time::sleep(time).await;
                Err(broken())
            }
        }
    }
}
