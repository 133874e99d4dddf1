//! What the threads of the input share with the printing side.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio_util::sync::CancellationToken;

use super::pending::PendingStates;

/// What is read so far, and whether to go on.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    /// Reading must end.
    pub(super) stop: CancellationToken,
    /// Records read so far, of all streams.
    records: AtomicU64,
    /// Bytes of their messages.
    bytes: AtomicU64,
    /// States whose records do not all have their end.
    pub(crate) states: PendingStates,
}

impl Shared {
    /// One more record, of a message of so many bytes.
    pub(super) fn count(&self, bytes: u64) {
        self.records.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
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
