//! A listener whose connections can be cut by a request, so that nothing of its response is sent,
//! and which can refuse connections for a while.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::time::Instant;

/// Connections that wait to be accepted.
const BACKLOG: u32 = 1_024;

/// A handle to the connection of a request.
#[derive(Debug, Clone, Default)]
pub(crate) struct Connection(Arc<AtomicBool>);

impl Connection {
    /// Closes the connection. What is not sent yet never will be.
    pub(crate) fn cut(&self) {
        self.0.store(true, Ordering::Release);
    }

    fn check(&self) -> io::Result<()> {
        if self.0.load(Ordering::Acquire) {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        Ok(())
    }
}

impl Connected<IncomingStream<'_, CutListener>> for Connection {
    fn connect_info(stream: IncomingStream<'_, CutListener>) -> Connection {
        stream.remote_addr().clone()
    }
}

/// Whether connections are accepted.
#[derive(Debug, Default)]
pub(crate) struct Door(watch::Sender<Option<Instant>>);

impl Door {
    /// Refuses connections for some time, if they are not refused for longer already.
    pub(crate) fn close(&self, time: Duration) {
        let until = Some(Instant::now() + time);
        self.0.send_if_modified(|known| {
            let later = *known < until;
            *known = (*known).max(until);
            later
        });
    }

    /// Whether connections are refused.
    pub(crate) fn is_closed(&self) -> bool {
        self.0.borrow().is_some_and(|until| Instant::now() < until)
    }
}

/// A TCP listener of connections that can be cut.
#[derive(Debug)]
pub(crate) struct CutListener {
    address: SocketAddr,
    /// Absent while connections are refused.
    listener: Option<TcpListener>,
    /// Keeps the port meanwhile.
    _reserved: TcpSocket,
    closed: watch::Receiver<Option<Instant>>,
}

impl CutListener {
    /// The next connection.
    async fn next(&mut self) -> TcpStream {
        loop {
            let until = *self.closed.borrow_and_update();
            if let Some(until) = until.filter(|until| Instant::now() < *until) {
                self.listener = None;
                tokio::time::sleep_until(until).await;
                continue;
            }
            let Some(listener) = &mut self.listener else {
                let opened = socket(self.address).and_then(|socket| socket.listen(BACKLOG));
                match opened {
                    Ok(listener) => self.listener = Some(listener),
                    Err(error) => {
                        tracing::error!(%error, "the port cannot be opened again");
                        tokio::time::sleep(Duration::from_millis(10)).await;
                    }
                }
                continue;
            };
            tokio::select! {
                accepted = <TcpListener as Listener>::accept(listener) => return accepted.0,
                Ok(()) = self.closed.changed() => {}
            }
        }
    }
}

impl Listener for CutListener {
    type Io = CutStream;
    type Addr = Connection;

    async fn accept(&mut self) -> (CutStream, Connection) {
        let stream = self.next().await;
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "no nodelay");
        }
        let connection = Connection::default();
        (
            CutStream {
                stream,
                connection: connection.clone(),
            },
            connection,
        )
    }

    fn local_addr(&self) -> io::Result<Connection> {
        Ok(Connection::default())
    }
}

/// A TCP connection that can be cut.
#[derive(Debug)]
pub(crate) struct CutStream {
    stream: TcpStream,
    connection: Connection,
}

impl AsyncRead for CutStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.connection.check()?;
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for CutStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.connection.check()?;
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.connection.check()?;
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

/// A socket at an address that other sockets of this process may have too.
fn socket(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()
    } else {
        TcpSocket::new_v6()
    }?;
    socket.set_reuseaddr(true)?;
    socket.set_reuseport(true)?;
    socket.bind(address)?;
    Ok(socket)
}

/// Binds a listener, which a door closes. Returns it with its address.
pub(crate) async fn bind(
    address: SocketAddr,
    door: &Door,
) -> io::Result<(CutListener, SocketAddr)> {
    // Another simulator's port could be shared; this shows that nobody listens there.
    drop(TcpListener::bind(address).await?);
    let first = socket(address)?;
    let address = first.local_addr()?;
    let listener = CutListener {
        address,
        _reserved: socket(address)?,
        listener: Some(first.listen(BACKLOG)?),
        closed: door.0.subscribe(),
    };
    Ok((listener, address))
}
