//! A forward proxy, as networks of companies have: it connects clients with the hosts that they name.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A running proxy, which stops with the test.
#[derive(Debug)]
pub struct ForwardProxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Shared {
    /// Where hosts are that have no address of their own: `host:port`.
    routes: Mutex<HashMap<String, SocketAddr>>,
    /// What `Proxy-Authorization` must be.
    authorization: Mutex<Option<&'static str>>,
    /// The status that refuses everything.
    refusal: Mutex<Option<u16>>,
    seen: Mutex<Vec<String>>,
}

impl ForwardProxy {
    /// A proxy that connects anybody with any host.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::<Shared>::default();
        let serving = Arc::clone(&shared);
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let shared = Arc::clone(&serving);
                // Whoever goes away in the middle ends the connection.
                tokio::spawn(async move { shared.serve(client).await.ok() });
            }
        });
        Self {
            address,
            shared,
            accepting,
        }
    }

    /// Where it listens: `127.0.0.1:port`.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Connects clients that name `host:port` with this address.
    pub fn route(&self, host: &str, to: SocketAddr) {
        let mut routes = self.shared.routes.lock().unwrap();
        routes.insert(host.to_owned(), to);
    }

    /// From now on asks for this value of `Proxy-Authorization`.
    pub fn require(&self, authorization: &'static str) {
        *self.shared.authorization.lock().unwrap() = Some(authorization);
    }

    /// From now on refuses everything by this status, or nothing.
    pub fn refuse(&self, status: Option<u16>) {
        *self.shared.refusal.lock().unwrap() = status;
    }

    /// The hosts that were asked for since the last call, one for each connection: `host:port`, or
    /// the URL of a request over http.
    pub fn seen(&self) -> Vec<String> {
        std::mem::take(&mut self.shared.seen.lock().unwrap())
    }
}

impl Drop for ForwardProxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Shared {
    async fn serve(&self, mut client: TcpStream) -> std::io::Result<()> {
        let head = head(&mut client).await?;
        let text = String::from_utf8_lossy(&head).into_owned();
        let mut words = text.split(' ');
        let (method, target) = (words.next().unwrap(), words.next().unwrap_or_default());
        self.seen.lock().unwrap().push(target.to_owned());
        if let Some(status) = self.refusal_of(&text) {
            let answer =
                format!("HTTP/1.1 {status} No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            return client.write_all(answer.as_bytes()).await;
        }
        let tunnel = method == "CONNECT";
        let host = match target.strip_prefix("http://") {
            Some(rest) => rest.split('/').next().unwrap_or_default(),
            None => target,
        };
        let route = self.routes.lock().unwrap().get(host).copied();
        let connected = match route {
            Some(address) => TcpStream::connect(address).await,
            None => TcpStream::connect(host).await,
        };
        let Ok(mut server) = connected else {
            return client
                .write_all(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
                .await;
        };
        if tunnel {
            let established = b"HTTP/1.1 200 Connection established\r\n\r\n";
            client.write_all(established).await?;
        } else {
            server.write_all(&head).await?;
        }
        copy_bidirectional(&mut client, &mut server).await.map(drop)
    }

    /// The status that refuses a request.
    fn refusal_of(&self, head: &str) -> Option<u16> {
        let authorization = *self.authorization.lock().unwrap();
        let given = head.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case("proxy-authorization")
                .then_some(value)
        });
        if authorization.is_some() && authorization != given {
            return Some(407);
        }
        *self.refusal.lock().unwrap()
    }
}

/// The head of a request, and what came with it.
async fn head(client: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        if client.read_buf(&mut head).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(head)
}
