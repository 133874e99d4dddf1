//! For tests of whole conversations: a tiny HTTP server with canned answers, and clients of it.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use url::Url;

use super::{BulkError, Client, Credentials, JobTarget};
use crate::chunk::{Chunk, Chunker, RowOrdinals};
use crate::object::Operation;
use crate::options::Waits;

pub(crate) const USER: &str = "0055g0000000001AAA";
pub(crate) const TOKEN: &str = "POST /services/oauth2/token";
pub(crate) const CREATE: &str = "POST /services/data/v62.0/jobs/ingest";
pub(crate) const UPLOAD: &str = "PUT /services/data/v62.0/jobs/ingest/750A/batches";
pub(crate) const PATCH: &str = "PATCH /services/data/v62.0/jobs/ingest/750A";
pub(crate) const JOB: &str = "GET /services/data/v62.0/jobs/ingest/750A";
pub(crate) const FAILED: &str = "GET /services/data/v62.0/jobs/ingest/750A/failedResults";

/// A request as the server saw it.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    /// Method and path with query.
    pub(crate) line: String,
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Seen {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

/// An answer, or none.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    Answer {
        status: u16,
        headers: Vec<(&'static str, String)>,
        body: String,
    },
    /// The request is read whole, then the connection closed.
    Lost,
    /// The answer breaks off in the middle of its body, whose length was announced.
    Cut(String),
    /// The answer breaks off between two pieces of its body, whose length was not announced.
    CutPieces(String),
    /// This status, before the body of the request is read.
    Early(u16),
}

pub(crate) fn reply(status: u16, body: impl Into<String>) -> Reply {
    Reply::Answer {
        status,
        headers: Vec::new(),
        body: body.into(),
    }
}

pub(crate) fn with_header(status: u16, name: &'static str, value: &str, body: &str) -> Reply {
    Reply::Answer {
        status,
        headers: vec![(name, value.to_owned())],
        body: body.to_owned(),
    }
}

pub(crate) fn api_error(status: u16, code: &str, message: &str) -> Reply {
    reply(
        status,
        format!(r#"[{{"message":"{message}","errorCode":"{code}"}}]"#),
    )
}

pub(crate) fn expired() -> Reply {
    api_error(401, "INVALID_SESSION_ID", "Session expired or invalid")
}

pub(crate) fn job_info(state: &str) -> Reply {
    reply(
        200,
        format!(r#"{{"id":"750A","object":"Contact","operation":"insert","state":"{state}"}}"#),
    )
}

/// Salesforce with canned answers: a queue for each route, whose last answer stays.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) url: Url,
    routes: Mutex<HashMap<String, VecDeque<Reply>>>,
    pub(crate) seen: Mutex<Vec<Seen>>,
    /// A bearer token whose session has expired.
    pub(crate) dead: Mutex<String>,
}

impl Server {
    /// A server whose logins return the tokens `T1`, `T2`, …
    pub(crate) async fn start() -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = Arc::new(Self {
            url: Url::parse(&format!("http://127.0.0.1:{port}")).unwrap(),
            routes: Mutex::default(),
            seen: Mutex::default(),
            dead: Mutex::default(),
        });
        let tokens: Vec<Reply> = (1..10).map(|n| server.token(&format!("T{n}"))).collect();
        server.on(TOKEN, tokens);
        let serving = Arc::clone(&server);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(Arc::clone(&serving).serve(stream));
            }
        });
        server
    }

    pub(crate) fn token(&self, token: &str) -> Reply {
        let instance = self.url.as_str().trim_end_matches('/');
        reply(
            200,
            format!(
                r#"{{"access_token":"{token}","instance_url":"{instance}",
                "id":"https://login.salesforce.com/id/00D5g0000000000EAA/{USER}"}}"#
            ),
        )
    }

    pub(crate) fn on(&self, route: &str, replies: impl IntoIterator<Item = Reply>) {
        let replies = replies.into_iter().collect();
        self.routes.lock().insert(route.to_owned(), replies);
    }

    pub(crate) fn seen(&self, route: &str) -> Vec<Seen> {
        let seen = self.seen.lock();
        seen.iter()
            .filter(|seen| seen.line == route)
            .cloned()
            .collect()
    }

    /// Method and last two words of the path of each request but the logins.
    pub(crate) fn log(&self) -> Vec<String> {
        let seen = self.seen.lock();
        let lines = seen.iter().filter(|seen| seen.line != TOKEN);
        lines
            .map(|seen| match seen.line.split_once(' ') {
                Some(("PATCH", _)) => seen.text().to_owned(),
                _ => seen.line.replace("/services/data/v62.0/jobs/ingest", ""),
            })
            .collect()
    }

    pub(crate) async fn client(&self) -> Client {
        connect(self.credentials()).await.unwrap()
    }

    /// A client of this patience.
    pub(crate) async fn patient(&self, seconds: u64) -> Client {
        let waits = Waits::default().with_patience(Duration::from_secs(seconds));
        connect_with(self.credentials(), waits).await.unwrap()
    }

    pub(crate) fn credentials(&self) -> Credentials {
        let url = self.url.clone();
        Credentials::refresh_token(url, "3MVG9.id", "sec&ret=1", "5Aep861+/x==")
    }

    async fn serve(self: Arc<Self>, mut stream: TcpStream) {
        let Some((mut seen, length)) = read_head(&mut stream).await else {
            return;
        };
        let reply = self.choose(&seen);
        if !matches!(reply, Reply::Early(_)) {
            while seen.body.len() < length {
                if stream.read_buf(&mut seen.body).await.unwrap_or(0) == 0 {
                    return;
                }
            }
        }
        // Seen only when it is about to be answered.
        self.seen.lock().push(seen);
        let bytes = match reply {
            Reply::Lost => return,
            Reply::Early(status) => format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\n\r\n"),
            Reply::Cut(body) => {
                let length = body.len() + 10;
                format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{body}")
            }
            Reply::CutPieces(body) => format!(
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n",
                body.len()
            ),
            Reply::Answer {
                status,
                headers,
                body,
            } => {
                let headers: String = headers
                    .iter()
                    .map(|(name, value)| format!("{name}: {value}\r\n"))
                    .collect();
                format!(
                    "HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n\
                     {headers}\r\n{body}",
                    body.len()
                )
            }
        };
        let _ = stream.write_all(bytes.as_bytes()).await;
        let _ = stream.shutdown().await;
    }

    fn choose(&self, seen: &Seen) -> Reply {
        let bearer = seen.headers.get("authorization");
        if bearer.is_some_and(|bearer| *bearer == *self.dead.lock()) {
            return expired();
        }
        let mut routes = self.routes.lock();
        let queue = routes.entry(seen.line.clone()).or_default();
        match queue.len() {
            0 => reply(404, format!("no answer for {}", seen.line)),
            1 => queue[0].clone(),
            _ => queue.pop_front().unwrap(),
        }
    }
}

/// Reads the head of a request, which must announce the length of its body.
async fn read_head(stream: &mut TcpStream) -> Option<(Seen, usize)> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let mut lines = head.lines();
    let line = lines.next()?.strip_suffix(" HTTP/1.1")?.to_owned();
    let headers: HashMap<String, String> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let length = headers
        .get("content-length")
        .map_or(0, |length| length.parse().unwrap());
    let body = bytes[end + 4..].to_vec();
    let seen = Seen {
        line,
        headers,
        body,
    };
    Some((seen, length))
}

/// Logs in without spending pauses.
pub(crate) async fn connect(credentials: Credentials) -> Result<Client, BulkError> {
    connect_with(credentials, Waits::default()).await
}

/// Logs in with these waits, without spending pauses.
pub(crate) async fn connect_with(
    credentials: Credentials,
    waits: Waits,
) -> Result<Client, BulkError> {
    let client = Client::builder(credentials).waits(waits).recorded();
    client.connect().await
}

/// The pauses that the client would have made.
pub(crate) fn pauses(client: &Client) -> Vec<Duration> {
    client.clock().pauses()
}

pub(crate) fn target() -> JobTarget {
    JobTarget {
        assignment_rule_id: None,
        object: "Contact".to_owned(),
        operation: Operation::Insert,
    }
}

/// A chunk of two rows.
pub(crate) fn few() -> Arc<Chunk> {
    let column = |texts: [&str; 2]| Arc::new(StringArray::from(texts.to_vec())) as ArrayRef;
    let cells = RecordBatch::try_from_iter_with_nullable([
        ("Ext__c", column(["A-1", "b-2"]), true),
        ("LastName", column(["Ng, \"Ada\"", "#N/A"]), true),
        ("Amount", column(["912260031", "1"]), true),
    ])
    .unwrap();
    let mut chunker = Chunker::new(&cells.schema(), 100_000, None).unwrap();
    chunker.push(&cells, RowOrdinals::From(0), None).unwrap();
    Arc::new(chunker.close().unwrap())
}

/// A chunk of more than one piece, larger than what sockets buffer.
pub(crate) fn chunk() -> Arc<Chunk> {
    let name = format!("Müller, \"{}\"", "é".repeat(80));
    let names = StringArray::from(vec![Some(name.as_str()); 30_000]);
    let mails = StringArray::from(vec![None::<&str>; 30_000]);
    let cells = RecordBatch::try_from_iter_with_nullable([
        ("LastName", Arc::new(names) as ArrayRef, true),
        ("Email", Arc::new(mails) as ArrayRef, true),
    ])
    .unwrap();
    let mut chunker = Chunker::new(&cells.schema(), 100_000_000, None).unwrap();
    let pushed = chunker.push(&cells, RowOrdinals::From(0), None).unwrap();
    assert!(pushed.closed.is_empty() && pushed.oversized.is_empty());
    Arc::new(chunker.close().unwrap())
}

pub(crate) fn csv(chunk: &Chunk) -> Vec<u8> {
    chunk.csv().flat_map(|piece| piece.unwrap()).collect()
}
