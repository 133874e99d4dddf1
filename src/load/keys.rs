//! Rows of one key act as if sent one after the other, though jobs run side by side.
//!
//! A key is in flight from the closing of the chunk that holds it until all rows of that chunk have
//! their end. Rows of the key that come meanwhile wait, by ordinal only: the row store has them.
//! A key that rows wait for is in flight or ready.

use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::BuildHasherDefault;
use std::sync::Arc;

use crate::chunk::Unhashed;

use super::budget::Reservation;
use super::loader::Load;

/// Memory that a key in flight takes, in the set of all and in the list of its chunk.
const KEY_BYTES: usize = 56;

/// Memory that a waiting row takes.
const WAITING_BYTES: usize = 64;

/// The keys of one load that are in flight, and the rows that wait for them.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    in_flight: HashSet<u128, BuildHasherDefault<Unhashed>>,
    waiting: HashMap<u128, Vec<u64>, BuildHasherDefault<Unhashed>>,
    rows: usize,
    ready: VecDeque<u128>,
    memory: Option<Reservation>,
}

/// A waiting row: the digest of its key, and its ordinal.
pub(crate) type Waiting = (u128, u64);

impl Keys {
    /// Whether a row of this key must wait.
    pub(crate) fn is_blocked(&self, key: u128) -> bool {
        self.in_flight.contains(&key) || self.has_waiting(key)
    }

    /// Whether rows wait for this key.
    pub(crate) fn has_waiting(&self, key: u128) -> bool {
        self.waiting.contains_key(&key)
    }

    /// How many rows wait.
    pub(crate) fn waiting_rows(&self) -> usize {
        self.rows
    }

    /// These rows wait from now on.
    pub(crate) fn hold(&mut self, rows: impl IntoIterator<Item = Waiting>) {
        for (key, ordinal) in rows {
            let waiting = self.waiting.entry(key).or_default();
            if waiting.is_empty() && !self.in_flight.contains(&key) {
                self.ready.push_back(key);
            }
            waiting.push(ordinal);
            self.rows += 1;
        }
    }

    /// Rows whose key is free, those of at least one key and of no more keys than it takes for
    /// `rows` rows, in the order of their ordinals. They still wait.
    pub(crate) fn ready(&self, rows: usize) -> Vec<Waiting> {
        let mut ready = Vec::new();
        for key in &self.ready {
            let waiting = self.waiting.get(key).map_or(&[][..], Vec::as_slice);
            if !ready.is_empty() && ready.len() + waiting.len() > rows {
                break;
            }
            ready.extend(waiting.iter().map(|ordinal| (*key, *ordinal)));
        }
        ready.sort_unstable_by_key(|(_, ordinal)| *ordinal);
        ready
    }

    /// The rows that [`Keys::ready`] told wait no longer.
    pub(crate) fn take(&mut self, rows: &[Waiting]) {
        let mut left = rows.len();
        while left > 0
            && let Some(key) = self.ready.pop_front()
        {
            let taken = self.waiting.remove(&key).map_or(0, |rows| rows.len());
            left = left.saturating_sub(taken);
            self.rows -= taken;
        }
    }

    fn send(&mut self, keys: &[u128]) {
        self.in_flight.extend(keys);
    }

    fn free(&mut self, keys: &[u128]) {
        for key in keys {
            if self.in_flight.remove(key) && self.waiting.contains_key(key) {
                self.ready.push_back(*key);
            }
        }
    }
}

impl Load {
    /// Keeps these keys in flight until the answer is dropped.
    pub(super) fn send_keys(self: &Arc<Self>, keys: Vec<u128>) -> InFlight {
        self.keys().send(&keys);
        InFlight {
            memory: self.org.budget().reserve(keys.len() * KEY_BYTES),
            keys,
            load: Arc::clone(self),
        }
    }

    /// Tells the memory budget what waiting rows take.
    pub(super) fn account_waiting(&self) {
        let mut keys = self.keys();
        let bytes = keys.waiting_rows() * WAITING_BYTES;
        let memory = keys
            .memory
            .get_or_insert_with(|| self.org.budget().reserve(0));
        memory.resize(bytes);
    }
}

/// The keys of one chunk, in flight while this lives.
#[derive(Debug)]
pub(super) struct InFlight {
    load: Arc<Load>,
    keys: Vec<u128>,
    /// What they take.
    #[allow(dead_code, reason = "held for its drop")]
    memory: Reservation,
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.load.keys().free(&self.keys);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_wait_until_their_key_has_landed() {
        let mut keys = Keys::default();
        keys.send(&[1, 2]);
        assert!(keys.is_blocked(1) && !keys.is_blocked(3));
        keys.hold([(1, 10), (1, 12), (2, 11)]);
        assert_eq!(keys.ready(100), []);
        keys.free(&[1]);
        assert!(keys.is_blocked(1), "older rows of it wait");
        let ready = keys.ready(100);
        assert_eq!(ready, [(1, 10), (1, 12)]);
        keys.take(&ready);
        assert!(!keys.is_blocked(1));
        assert_eq!(keys.waiting_rows(), 1);
        keys.free(&[2]);
        let ready = keys.ready(100);
        assert_eq!(ready, [(2, 11)]);
        keys.take(&ready);
        assert_eq!((keys.waiting_rows(), keys.ready(100)), (0, Vec::new()));
    }

    #[test]
    fn rows_that_are_held_again_are_not_forgotten() {
        let mut keys = Keys::default();
        keys.hold([(1, 5)]);
        assert_eq!(keys.ready(100), [(1, 5)], "no job holds its key");
        keys.hold([(1, 3)]);
        assert_eq!(keys.ready(100), [(1, 3), (1, 5)]);
        keys.take(&keys.ready(100));
        assert_eq!(keys.ready(100), []);
    }

    #[test]
    fn a_key_is_released_whole_and_not_more_rows_than_asked_for() {
        let mut keys = Keys::default();
        keys.hold((0..10).map(|ordinal| (1, ordinal)));
        keys.hold((10..12).map(|ordinal| (2, ordinal)));
        keys.hold((12..15).map(|ordinal| (3, ordinal)));
        assert_eq!(keys.ready(5).len(), 10, "one key is never split");
        let ready = keys.ready(12);
        assert_eq!(ready.len(), 12);
        keys.take(&ready);
        assert_eq!(keys.ready(12).len(), 3);
        assert_eq!(keys.waiting_rows(), 3);
    }
}
