//! How far the input is read, as the threads of the input and the printing side see it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio_util::sync::CancellationToken;

use super::pending::PendingStates;
use crate::failure::Failure;
use arrow_salesforce::error::Result;

/// What is read so far, and whether to go on.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    /// Reading must end.
    pub(super) stop: CancellationToken,
    /// Records read so far, of all streams.
    records: AtomicU64,
    /// Bytes of their messages.
    bytes: AtomicU64,
    /// The source could not read all of a stream.
    incomplete: AtomicBool,
    /// States whose records do not all have their end.
    pub(crate) states: PendingStates,
}

impl Reading {
    /// What is asked of a load, unless reading must end first.
    pub(super) async fn unless_stopped(
        &self,
        asked: impl Future<Output = Result<()>>,
    ) -> Result<(), Stop> {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Err(Stop::Asked),
            done = asked => done.map_err(|error| match error.is_stopped() {
                true => Stop::Asked,
                false => Failure::from(error).into(),
            }),
        }
    }

    /// One more record, of a message of so many bytes.
    pub(super) fn count(&self, bytes: u64) {
        self.records.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// The source could not read all of a stream.
    pub(super) fn lacks_records(&self) {
        self.incomplete.store(true, Ordering::Relaxed);
    }

    /// Whether the source could read all of each stream, as far as it said.
    pub(crate) fn is_complete(&self) -> bool {
        !self.incomplete.load(Ordering::Relaxed)
    }

    /// Records read so far, of all streams.
    pub(crate) fn records(&self) -> u64 {
        self.records.load(Ordering::Relaxed)
    }

    /// Bytes of the messages of those records.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}

/// Why the input ends early.
pub(super) enum Stop {
    /// A line cannot be.
    Failure(Failure),
    /// A signal came, or a load has ended: its events say why.
    Asked,
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}
