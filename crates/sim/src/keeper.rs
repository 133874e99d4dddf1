//! Keeps the records of an org in a directory, from one run to the next.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::watch;

use crate::http::App;
use crate::org::state::{self, Written};

/// How often records are saved, if they changed.
const EVERY: Duration = Duration::from_secs(1);
/// A save that took long is followed by a pause of this many times as long.
const PAUSES: u32 = 10;

/// Keeps the records of an org.
#[derive(Debug)]
pub(crate) struct Keeper {
    app: Arc<App>,
    directory: PathBuf,
    written: Mutex<Written>,
}

impl Keeper {
    /// Reads what was kept.
    ///
    /// # Errors
    /// If it cannot be read, or is not of this org.
    pub(crate) fn new(app: Arc<App>, directory: PathBuf) -> io::Result<Keeper> {
        let written = state::load(app.org(), &directory)?;
        Ok(Keeper {
            app,
            directory,
            written: Mutex::new(written),
        })
    }

    /// Saves what changed.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub(crate) fn save(&self) -> io::Result<()> {
        state::save(self.app.org(), &self.directory, &mut self.written.lock())
    }

    /// Saves again and again until the simulator stops.
    pub(crate) async fn run(self: Arc<Keeper>, mut stopped: watch::Receiver<bool>) {
        let mut pause = EVERY;
        loop {
            tokio::select! {
                // Also ends when the `Sim` is dropped and its sender with it.
                _ = stopped.wait_for(|stop| *stop) => return,
                () = tokio::time::sleep(pause) => {}
            }
            let keeper = Arc::clone(&self);
            let begun = Instant::now();
            match tokio::task::spawn_blocking(move || keeper.save()).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::error!(%error, "the records cannot be saved"),
                Err(error) => tracing::error!(%error, "saving the records broke"),
            }
            pause = EVERY.max(begun.elapsed() * PAUSES);
        }
    }
}
