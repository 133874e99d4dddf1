//! How a person ends a load.

use std::process::ExitCode;
use std::sync::Arc;

use tokio::sync::Notify;

use crate::error::{CliError, FAILED, Result};
use crate::orgs::tokens_at_rest;

/// Ctrl-C, and the polite signal of the system: the first asks for an end, the second is one.
pub(super) struct Interrupt(Arc<Notify>);

impl Interrupt {
    /// Hears signals from now on.
    pub(super) fn listen() -> Result<Self> {
        let mut signals = Signals::listen()
            .map_err(|error| CliError::failed(format!("signals cannot be heard: {error}")))?;
        let asked = Arc::new(Notify::new());
        let of_task = Arc::clone(&asked);
        tokio::spawn(async move {
            signals.next().await;
            of_task.notify_one();
            signals.next().await;
            std::process::exit(i32::from(FAILED));
        });
        Ok(Self(asked))
    }

    /// What `work` comes to, unless an end is asked for before: then it is dropped, as soon as it holds no
    /// token of a login.
    ///
    /// # Errors
    /// That of the work, or one that says so.
    pub(super) async fn before<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let asked = async {
            self.asked().await;
            tokens_at_rest().await;
        };
        tokio::select! {
            done = work => done,
            () = asked => Err(CliError::failed("stopped before anything was done")),
        }
    }

    /// Waits until an end is asked for; once.
    pub(super) async fn asked(&self) {
        self.0.notified().await;
    }
}

/// What a command that only looks comes to, unless an end is asked for before.
///
/// # Errors
/// Those of [`Interrupt::before`].
pub(super) async fn unless_asked(work: impl Future<Output = Result<()>>) -> Result<ExitCode> {
    let done = Interrupt::listen()?.before(work).await;
    done.map(|()| ExitCode::SUCCESS)
}

/// The signals that end a process politely.
struct Signals {
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    #[cfg(unix)]
    fn listen() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    #[cfg(not(unix))]
    fn listen() -> std::io::Result<Self> {
        Ok(Self {})
    }

    #[cfg(unix)]
    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    #[cfg(not(unix))]
    async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
