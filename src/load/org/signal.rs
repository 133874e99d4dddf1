//! One signal of change for all who wait for slots or memory.

use std::sync::Arc;

use tokio::sync::Notify;
use tokio::sync::futures::Notified;

/// Notified when memory or a slot was given back, a closed chunk went its way, or an open chunk
/// grew: whatever anybody may wait for. Who waits looks again at what it waits for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Signal(Arc<Notify>);

impl Signal {
    /// Wakes all who wait.
    pub(crate) fn notify(&self) {
        self.0.notify_waiters();
    }

    /// The next change after this call. To miss none, call it, then look at what is waited for,
    /// then await it: it hears of changes from the call on, not from its first poll.
    pub(crate) fn changed(&self) -> Notified<'_> {
        self.0.notified()
    }
}
