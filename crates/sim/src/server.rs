//! The running simulator.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::SimOptions;
use crate::http::{self, App, Connection, Door};

/// A running simulator. It stops when dropped.
#[derive(Debug)]
pub struct Sim {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    server: JoinHandle<()>,
}

impl Sim {
    /// Starts a simulator. It accepts requests as soon as this returns.
    ///
    /// # Errors
    /// If the address cannot be bound, or the org's file cannot be read.
    pub async fn start(options: SimOptions) -> io::Result<Sim> {
        let door = Door::default();
        let (listener, address) = http::bind(options.listen, &door).await?;
        let app = Arc::new(App::new(options, format!("http://{address}"), door)?);
        let (stop, mut stopped) = watch::channel(false);
        let service = http::router(app).into_make_service_with_connect_info::<Connection>();
        let server = tokio::spawn(async move {
            let serving = axum::serve(listener, service).with_graceful_shutdown(async move {
                // Also ends when the `Sim` is dropped and its sender with it.
                let _ = stopped.wait_for(|stop| *stop).await;
            });
            if let Err(error) = serving.await {
                tracing::error!(%error, "the simulator stopped serving");
            }
        });
        Ok(Sim {
            address,
            stop,
            server,
        })
    }

    /// The address it listens on.
    pub fn addr(&self) -> SocketAddr {
        self.address
    }

    /// The login URL for clients: `http://127.0.0.1:<port>`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Waits until it stops by itself, which happens only on an error.
    pub async fn stopped(&mut self) {
        if let Err(error) = (&mut self.server).await {
            tracing::error!(%error, "the simulator broke");
        }
    }

    /// Stops it, once the requests in flight have their responses.
    pub async fn shutdown(mut self) {
        self.stop.send_replace(true);
        self.stopped().await;
    }
}
