//! How long is waited, and where pauses are spent.

use std::time::Duration;

use crate::options::Waits;

/// Longest time without a byte in either direction. Salesforce stores an upload of 100 MB before
/// it answers.
pub(super) const IDLE_TIMEOUT: Duration = Duration::from_secs(120);

/// Shortest [`IDLE_TIMEOUT`] that waits may be scaled to: a busy machine needs as long to answer.
const SHORTEST_IDLE: Duration = Duration::from_secs(20);

/// The waits of a client, and where they are spent: in tokio's time, or in a list that a test reads.
#[derive(Debug, Default)]
pub(in crate::bulk) struct Clock {
    waits: Waits,
    unattended: bool,
    /// Where it is there, no pause is spent, and each is noted.
    #[cfg(test)]
    recorded: Option<parking_lot::Mutex<Vec<Duration>>>,
}

impl Clock {
    /// Real pauses.
    pub(in crate::bulk) fn new(waits: Waits) -> Self {
        Self {
            waits,
            ..Self::default()
        }
    }

    /// Notes pauses and spends none.
    #[cfg(test)]
    pub(in crate::bulk) fn recorded(waits: Waits) -> Self {
        Self {
            waits,
            recorded: Some(parking_lot::Mutex::default()),
            ..Self::default()
        }
    }

    /// Says whether nobody waits for the start.
    pub(in crate::bulk) fn unattended(mut self, unattended: bool) -> Self {
        self.unattended = unattended;
        self
    }

    /// Whether nobody waits for the start.
    pub(super) fn is_unattended(&self) -> bool {
        self.unattended
    }

    /// The pauses that were noted.
    #[cfg(test)]
    pub(in crate::bulk) fn pauses(&self) -> Vec<Duration> {
        let recorded = self.recorded.as_ref();
        recorded.map_or_else(Vec::new, |pauses| pauses.lock().clone())
    }

    /// How long is waited for what passes, before it is scaled.
    pub(in crate::bulk) fn waits(&self) -> &Waits {
        &self.waits
    }

    /// [`IDLE_TIMEOUT`] in the scale of the waits.
    pub(super) fn idle_timeout(&self) -> Duration {
        self.waits.scaled(IDLE_TIMEOUT).max(SHORTEST_IDLE)
    }

    /// Waits, in the scale of the waits.
    pub(in crate::bulk) async fn pause(&self, length: Duration) {
        #[cfg(test)]
        if let Some(pauses) = &self.recorded {
            pauses.lock().push(length);
            return tokio::task::yield_now().await;
        }
        tokio::time::sleep(self.waits.scaled(length)).await;
    }
}
