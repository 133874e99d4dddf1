//! The app's callback on this machine, which the browser is sent to.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{self, Receiver, Sender};
use url::{Host, Url};

use super::page;
use crate::error::{CliError, Result};

/// Longest head of a request, in bytes.
const MOST_BYTES: u64 = 32 << 10;

/// A browser opens connections that it may never use.
const SILENCE: Duration = Duration::from_secs(30);

/// Listens on the address of the callback.
pub(crate) struct Callback {
    url: Url,
    answers: Receiver<Answered>,
}

/// Where the browser was sent to, and the browser, which waits for a page.
pub(crate) struct Answered {
    pub(crate) address: Url,
    /// None if the person typed the address.
    browser: Option<TcpStream>,
}

impl Callback {
    /// Begins to listen.
    ///
    /// # Errors
    /// A usage error if it is no callback of this machine, or something else has its port.
    pub(crate) async fn listen(mut url: Url) -> Result<Self> {
        let wrong = |reason: &str| CliError::usage(format!("--callback {url}: {reason}"));
        if url.scheme() != "http" {
            return Err(wrong(
                "it must begin with http://, since this machine has no certificate",
            ));
        }
        let addresses: &[IpAddr] = match url.host() {
            // Which of them a browser takes first is its own choice.
            Some(Host::Domain("localhost")) => &[
                IpAddr::V4(Ipv4Addr::LOCALHOST),
                IpAddr::V6(Ipv6Addr::LOCALHOST),
            ],
            Some(Host::Ipv4(address)) if address.is_loopback() => {
                &[IpAddr::V4(Ipv4Addr::LOCALHOST)]
            }
            Some(Host::Ipv6(address)) if address.is_loopback() => {
                &[IpAddr::V6(Ipv6Addr::LOCALHOST)]
            }
            _ => return Err(wrong("it must be of this machine: localhost or 127.0.0.1")),
        };
        let mut port = url.port_or_known_default().unwrap_or(80);
        let (sender, answers) = mpsc::channel(1);
        for (index, address) in addresses.iter().enumerate() {
            let listener = match TcpListener::bind((*address, port)).await {
                Ok(listener) => listener,
                // A machine may have one of the two alone.
                Err(error) if index > 0 && error.kind() != io::ErrorKind::AddrInUse => continue,
                Err(error) => return Err(taken(port, &error)),
            };
            if let Ok(bound) = listener.local_addr() {
                port = bound.port();
            }
            tokio::spawn(accept(listener, url.path().to_owned(), sender.clone()));
        }
        // It differs where any free port was asked for. An address with a host has a place for it.
        let _ = url.set_port(Some(port));
        Ok(Self { url, answers })
    }

    /// The callback, as the app must know it.
    pub(crate) fn url(&self) -> &Url {
        &self.url
    }

    /// Waits until a browser was sent to it.
    pub(crate) async fn answered(&mut self) -> Answered {
        match self.answers.recv().await {
            Some(mut answered) => {
                let query = answered.address.query().map(str::to_owned);
                answered.address = self.url.clone();
                answered.address.set_query(query.as_deref());
                answered
            }
            None => std::future::pending().await,
        }
    }
}

impl Answered {
    /// The person typed the address that the browser ended at.
    pub(crate) fn typed(address: Url) -> Self {
        Self {
            address,
            browser: None,
        }
    }

    /// Shows the end in the browser.
    pub(crate) async fn show(self, title: &str, sentence: &str) {
        if let Some(browser) = self.browser {
            page::answer(browser, "200 OK", title, sentence).await;
        }
    }
}

fn taken(port: u16, error: &io::Error) -> CliError {
    CliError::usage(match error.kind() {
        io::ErrorKind::AddrInUse => format!(
            "port {port} of this machine is taken, perhaps by another login that waits: end that, or give \
             --port with that of another callback of the app"
        ),
        io::ErrorKind::PermissionDenied => format!(
            "port {port} of this machine may not be listened on: give --port with that of another callback \
             of the app, above 1023"
        ),
        _ => format!("port {port} of this machine cannot be listened on: {error}"),
    })
}

async fn accept(listener: TcpListener, path: String, sender: Sender<Answered>) {
    while let Ok((stream, _)) = listener.accept().await {
        let (path, sender) = (path.clone(), sender.clone());
        tokio::spawn(async move {
            let reading = tokio::time::timeout(SILENCE, read(stream));
            let Ok(Some((stream, target))) = reading.await else {
                return;
            };
            let base = Url::parse("http://localhost").ok();
            match base.and_then(|base| base.join(&target).ok()) {
                Some(address) if address.path() == path => {
                    let browser = Some(stream);
                    // Nobody waits once a login has ended.
                    let _ = sender.send(Answered { address, browser }).await;
                }
                _ => {
                    let sentence = "This address is for the end of a login only.";
                    page::answer(stream, "404 Not Found", "Not here", sentence).await;
                }
            }
        });
    }
}

/// The target of a request: what stands between GET and HTTP/1.1.
async fn read(stream: TcpStream) -> Option<(TcpStream, String)> {
    let mut lines = BufReader::new(stream.take(MOST_BYTES)).lines();
    let first = lines.next_line().await.ok()??;
    // The connection may be closed only after all of it is read.
    while lines
        .next_line()
        .await
        .ok()?
        .is_some_and(|line| !line.is_empty())
    {}
    let mut words = first.split(' ');
    let target = (words.next() == Some("GET")).then(|| words.next())??;
    let target = target.to_owned();
    Some((lines.into_inner().into_inner().into_inner(), target))
}

/// The address that a person has typed: whole, or what follows the question mark.
pub(crate) fn typed(line: &str, callback: &Url) -> Option<Url> {
    let line = line.trim();
    let mut url = match Url::parse(line) {
        Ok(url) => url,
        Err(_) => {
            let mut url = callback.clone();
            url.set_query(Some(line.trim_start_matches('?')));
            url
        }
    };
    let answers = url
        .query_pairs()
        .any(|(name, _)| matches!(&*name, "code" | "error"));
    url.set_fragment(None);
    answers.then_some(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_person_may_type() {
        let callback = Url::parse("http://localhost:1717/OauthRedirect").unwrap();
        let typed = |line: &str| typed(line, &callback).map(String::from);
        let whole = "http://localhost:1717/OauthRedirect?code=a&state=b";
        assert_eq!(typed(&format!(" {whole}\n")).as_deref(), Some(whole));
        assert_eq!(typed("?code=a&state=b").as_deref(), Some(whole));
        assert_eq!(typed("code=a&state=b").as_deref(), Some(whole));
        for none in [
            "",
            "yes",
            "https://acme.my.salesforce.com/authorize?state=b",
        ] {
            assert_eq!(typed(none), None, "{none}");
        }
    }

    #[tokio::test]
    async fn callbacks_that_cannot_be() {
        let wrong = |url: &'static str| async move {
            let listening = Callback::listen(Url::parse(url).unwrap()).await;
            listening.err().unwrap().to_string()
        };
        let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = taken.local_addr().unwrap().port();
        let free = Url::parse(&format!("http://localhost:{port}/x")).unwrap();
        let taken = Callback::listen(free).await.err().unwrap().to_string();
        let texts = [
            wrong("https://localhost:1717/x").await,
            wrong("http://example.com/x").await,
            taken.replace(&port.to_string(), "PORT"),
        ];
        insta::assert_snapshot!(texts.join("\n"), @"
        --callback https://localhost:1717/x: it must begin with http://, since this machine has no certificate
        --callback http://example.com/x: it must be of this machine: localhost or 127.0.0.1
        port PORT of this machine is taken, perhaps by another login that waits: end that, or give --port with that of another callback of the app
        ");
    }
}
