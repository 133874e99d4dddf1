//! How long open chunks wait for more rows, so that the org's batches suffice for the day.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const DAY: Duration = Duration::from_secs(24 * 3_600);

/// What of the day's batches is used as the setting says, before anything is projected: a
/// twentieth. A sync that ends soon is not slowed down.
const UNHURT: u64 = 20;

/// What of the batches that are left the closing by time may use in a day: a half.
const SHARE: u64 = 2;

/// The interval at which `open` chunks, all closed by time, use at most their share of the `left`
/// batches in a day, but at least `set`; `used` is what the process has used of them so far.
pub(super) fn flush_interval(set: Duration, open: u64, used: u64, left: u64) -> Duration {
    if used.saturating_mul(UNHURT) <= left.saturating_add(used) {
        return set;
    }
    // Each close is a job of a batch at least.
    let closes = (left / SHARE).max(1);
    let open = u32::try_from(open).unwrap_or(u32::MAX);
    let closes = u32::try_from(closes).unwrap_or(u32::MAX);
    let needed = DAY.saturating_mul(open) / closes;
    needed.min(DAY).max(set)
}

/// Chunks of all loads that are open.
#[derive(Debug, Default)]
pub(crate) struct OpenChunks(AtomicU64);

/// While it lives, a chunk is open.
#[derive(Debug)]
pub(crate) struct OpenChunk(Arc<OpenChunks>);

impl OpenChunks {
    /// One more is open.
    pub(crate) fn open(self: &Arc<Self>) -> OpenChunk {
        self.0.fetch_add(1, Ordering::Relaxed);
        OpenChunk(Arc::clone(self))
    }

    pub(super) fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for OpenChunk {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(set: u64, open: u64, used: u64, left: u64) -> u64 {
        flush_interval(Duration::from_secs(set), open, used, left).as_secs()
    }

    #[test]
    fn the_setting_holds_while_little_is_used() {
        assert_eq!(seconds(60, 200, 0, 15_000), 60);
        assert_eq!(seconds(1, 200, 700, 14_300), 1);
        assert_eq!(seconds(60, 200, 0, 0), 60);
    }

    #[test]
    fn many_slow_streams_share_half_of_what_is_left() {
        // 288,000 jobs a day at 60 s.
        let interval = seconds(60, 200, 800, 14_200);
        assert_eq!(interval, 2_433);
        assert!(200 * 86_400 / interval <= 7_102);
        assert_eq!(seconds(3_600, 200, 800, 14_200), 3_600);
    }

    #[test]
    fn few_streams_keep_their_setting() {
        assert_eq!(seconds(60, 3, 5_000, 10_000), 60);
        assert_eq!(seconds(300, 20, 5_000, 12_000), 300);
    }

    #[test]
    fn nothing_left_is_a_day() {
        assert_eq!(seconds(60, 1, 100, 0), 86_400);
        assert_eq!(seconds(60, 1_000, 15_000, 3), 86_400);
    }

    #[test]
    fn the_interval_never_ends_the_batches() {
        let (set, open) = (Duration::from_secs(1), 200);
        let (mut used, mut left) = (0, 15_000_u64);
        let mut time = Duration::ZERO;
        while time < DAY {
            time += flush_interval(set, open, used, left);
            used += open;
            left = left.saturating_sub(open);
        }
        assert!(left > 5_000, "{left}");
    }

    #[test]
    fn open_chunks_are_counted() {
        let chunks = Arc::<OpenChunks>::default();
        let (one, two) = (chunks.open(), chunks.open());
        assert_eq!(chunks.count(), 2);
        drop((one, two));
        assert_eq!(chunks.count(), 0);
    }
}
