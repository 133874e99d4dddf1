//! The signals that end a process.

use arrow_salesforce::error::Result;

/// The signals that end a process politely, heard from the moment this is made.
pub(super) struct Signals {
    #[cfg(unix)]
    heard: Vec<tokio::signal::unix::Signal>,
}

impl Signals {
    #[cfg(unix)]
    pub(super) fn listen() -> Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let kinds = [SignalKind::terminate(), SignalKind::interrupt()];
        let heard: std::io::Result<_> = kinds.into_iter().map(signal).collect();
        let heard = heard.map_err(|error| {
            arrow_salesforce::Error::system("signals cannot be listened to").with_source(error)
        })?;
        Ok(Self { heard })
    }

    #[cfg(not(unix))]
    pub(super) fn listen() -> Result<Self> {
        Ok(Self {})
    }

    /// Waits for the next one.
    #[cfg(unix)]
    pub(super) async fn next(&mut self) {
        let signals = self.heard.iter_mut().map(|signal| Box::pin(signal.recv()));
        futures::future::select_all(signals).await;
    }

    #[cfg(not(unix))]
    pub(super) async fn next(&mut self) {
        // Without the signal there is nothing to hear.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
