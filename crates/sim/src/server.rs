//! The running simulator.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::http::{self, App, Door};
use crate::keeper::Keeper;
use crate::{ContentionCounts, SimOptions};

/// A running simulator. It stops when dropped.
#[derive(Debug)]
pub struct Sim {
    address: SocketAddr,
    app: Arc<App>,
    stop: watch::Sender<bool>,
    server: JoinHandle<()>,
    /// Keeps the records, if they are to be kept.
    keeper: Option<Arc<Keeper>>,
}

impl Sim {
    /// Starts a simulator. It accepts requests as soon as this returns.
    ///
    /// # Errors
    /// If the address cannot be bound, or a file of the org cannot be read.
    pub async fn start(options: SimOptions) -> io::Result<Sim> {
        let door = Door::default();
        let (listener, address) = http::bind(options.listen, &door).await?;
        let (stop, stopped) = watch::channel(false);
        let url = local_url(address);
        let directory = options.state.clone();
        if directory.is_some() && options.forget {
            let message =
                "records that are forgotten cannot be kept: state and forget exclude each other";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        let app = Arc::new(App::new(options, url, door, stopped.clone())?);
        let keeper = match directory {
            Some(directory) => Some(Arc::new(Keeper::new(Arc::clone(&app), directory)?)),
            None => None,
        };
        if let Some(keeper) = &keeper {
            tokio::spawn(Arc::clone(keeper).run(stopped.clone()));
        }
        let server = tokio::spawn(http::serve(Arc::clone(&app), listener, stopped));
        Ok(Sim {
            address,
            app,
            stop,
            server,
            keeper,
        })
    }

    /// The address it listens on.
    pub fn addr(&self) -> SocketAddr {
        self.address
    }

    /// The login URL for clients on this machine: `http://127.0.0.1:<port>`.
    pub fn url(&self) -> String {
        local_url(self.address)
    }

    /// What happened so far in an org with [`SimOptions::contention`]; nothing but zeros in another.
    pub fn contention(&self) -> ContentionCounts {
        self.app.contention()
    }

    /// Waits until it stops by itself, which happens only on an error.
    pub async fn stopped(&mut self) {
        if let Err(error) = (&mut self.server).await {
            tracing::error!(%error, "the simulator broke");
        }
    }

    /// Stops it, once the requests in flight have their responses, and saves the records that it
    /// keeps.
    pub async fn shutdown(mut self) {
        self.stop.send_replace(true);
        self.stopped().await;
        self.save();
    }

    /// Saves the records, if they are to be kept.
    pub(crate) fn save(&self) {
        if let Some(Err(error)) = self.keeper.as_ref().map(|keeper| keeper.save()) {
            tracing::error!(%error, "the records cannot be saved");
        }
    }
}

/// The URL of an address for clients on this machine.
fn local_url(mut address: SocketAddr) -> String {
    if address.ip().is_unspecified() {
        address.set_ip(Ipv4Addr::LOCALHOST.into());
    }
    format!("http://{address}")
}
