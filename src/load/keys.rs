//! Rows of one key act as if sent one after the other, though jobs run side by side.
//!
//! A key is in flight from the closing of the chunk that holds it until all rows of that chunk have
//! their end. Rows of the key that come meanwhile wait, by ordinal only: the row store has them.
//! A key that rows wait for is in flight or ready, or that of a row which is held until its parents
//! are there.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::chunk::KeyedChunk;
use crate::load::org::{Budget, Reservation};
use crate::rows::{KeyDigest, KeyMap, KeySet, RowSet, WaitingRow};

/// Memory that a key in flight takes, in the set of all and in the list of its chunk.
const KEY_BYTES: usize = 56;

/// Memory that a waiting row takes.
const WAITING_BYTES: usize = 64;

/// Memory that a held row takes, with its key.
pub(in crate::load) const HELD_BYTES: usize = 72;

/// The keys of one load that are in flight, and the rows that wait for them.
#[derive(Debug, Default)]
struct KeyTable {
    in_flight: KeySet,
    /// Rows that are held, and their keys.
    held: Vec<WaitingRow>,
    held_keys: KeySet,
    waiting: KeyMap<Vec<u64>>,
    /// How many rows wait.
    rows: usize,
    ready: VecDeque<KeyDigest>,
    memory: Option<Reservation>,
}

impl KeyTable {
    /// Whether a row of this key must wait.
    fn is_blocked(&self, key: KeyDigest) -> bool {
        self.is_taken(key) || self.has_waiting(key)
    }

    /// Whether rows that wait for this key cannot go.
    fn is_taken(&self, key: KeyDigest) -> bool {
        self.in_flight.contains(&key) || self.held_keys.contains(&key)
    }

    /// Whether rows wait for this key.
    fn has_waiting(&self, key: KeyDigest) -> bool {
        self.waiting.contains_key(&key)
    }

    /// These rows wait from now on.
    fn wait(&mut self, rows: impl IntoIterator<Item = WaitingRow>) {
        for WaitingRow { key, row } in rows {
            let taken = self.is_taken(key);
            let waiting = self.waiting.entry(key).or_default();
            if waiting.is_empty() && !taken {
                self.ready.push_back(key);
            }
            waiting.push(row);
            self.rows += 1;
        }
        self.account();
    }

    /// Rows whose key is free, those of at least one key and of no more keys than it takes for
    /// `rows` rows, in the order of their ordinals. They still wait.
    fn ready(&self, rows: usize) -> Vec<WaitingRow> {
        let mut ready = Vec::new();
        for key in &self.ready {
            let waiting = self.waiting.get(key).map_or(&[][..], Vec::as_slice);
            if !ready.is_empty() && ready.len() + waiting.len() > rows {
                break;
            }
            let rows = waiting.iter();
            ready.extend(rows.map(|row| WaitingRow {
                key: *key,
                row: *row,
            }));
        }
        ready.sort_unstable_by_key(|waiting| waiting.row);
        ready
    }

    /// The rows that [`KeyTable::ready`] returned wait no longer.
    fn take(&mut self, rows: &[WaitingRow]) {
        let mut left = rows.len();
        while left > 0
            && let Some(key) = self.ready.pop_front()
        {
            let taken = self.waiting.remove(&key).map_or(0, |rows| rows.len());
            left = left.saturating_sub(taken);
            self.rows -= taken;
        }
        self.account();
    }

    fn send(&mut self, keys: &[KeyDigest]) {
        self.in_flight.extend(keys);
        self.account();
    }

    fn free(&mut self, keys: &[KeyDigest]) {
        for key in keys {
            let is_free = self.in_flight.remove(key) && !self.held_keys.contains(key);
            if is_free && self.waiting.contains_key(key) {
                self.ready.push_back(*key);
            }
        }
        self.account();
    }

    /// These rows are held from now on.
    fn hold(&mut self, rows: Vec<WaitingRow>) {
        self.held_keys.extend(rows.iter().map(|held| held.key));
        self.held.extend(rows);
        self.account();
    }

    /// The rows that are held only wait for their keys from now on.
    fn let_go(&mut self) -> RowSet {
        let held = std::mem::take(&mut self.held);
        for key in std::mem::take(&mut self.held_keys) {
            if !self.in_flight.contains(&key) && self.has_waiting(key) {
                self.ready.push_back(key);
            }
        }
        let rows = held.iter().map(|held| held.row).collect();
        self.wait(held);
        rows
    }

    /// Reserves what keys in flight and waiting rows take.
    fn account(&mut self) {
        let bytes = self.in_flight.len() * KEY_BYTES
            + self.rows * WAITING_BYTES
            + self.held.len() * HELD_BYTES;
        if let Some(memory) = &mut self.memory {
            memory.resize(bytes);
        }
    }
}

/// The keys of one load, shared by its intake and its jobs.
#[derive(Debug, Clone)]
pub(in crate::load) struct Keys {
    table: Arc<Mutex<KeyTable>>,
}

impl Keys {
    /// No keys yet; they will take memory of `budget`.
    pub(in crate::load) fn new(budget: &Budget) -> Self {
        let table = KeyTable {
            memory: Some(budget.reserve(0)),
            ..KeyTable::default()
        };
        Self {
            table: Arc::new(Mutex::new(table)),
        }
    }

    /// Those keys of a chunk whose rows must wait.
    pub(in crate::load) fn blocked(&self, chunk: &KeyedChunk) -> KeySet {
        let table = self.table.lock();
        chunk.blocked(|key| table.is_blocked(key))
    }

    /// Those keys of a chunk that rows wait for.
    pub(in crate::load) fn awaited(&self, chunk: &KeyedChunk) -> KeySet {
        let table = self.table.lock();
        chunk.blocked(|key| table.has_waiting(key))
    }

    /// Keeps these keys in flight until what is returned is dropped.
    pub(in crate::load) fn send(&self, keys: Vec<KeyDigest>) -> KeysInFlight {
        let mut table = self.table.lock();
        table.send(&keys);
        KeysInFlight {
            keys: keys.into(),
            table: Arc::clone(&self.table),
        }
    }

    /// These rows wait for their keys from now on.
    pub(in crate::load) fn wait(&self, rows: impl IntoIterator<Item = WaitingRow>) {
        self.table.lock().wait(rows);
    }

    /// How many rows wait.
    pub(in crate::load) fn waiting_rows(&self) -> usize {
        self.table.lock().rows
    }

    /// These rows are held: they, and later rows of their keys, do not go before [`Keys::let_go`].
    pub(in crate::load) fn hold(&self, rows: Vec<WaitingRow>) {
        self.table.lock().hold(rows);
    }

    /// How many rows are held.
    pub(in crate::load) fn held_rows(&self) -> usize {
        self.table.lock().held.len()
    }

    /// The rows that are held, which are returned, only wait for their keys from now on.
    pub(in crate::load) fn let_go(&self) -> RowSet {
        self.table.lock().let_go()
    }

    /// Whether a row waits whose key is free.
    pub(in crate::load) fn has_ready(&self) -> bool {
        !self.table.lock().ready.is_empty()
    }

    /// Rows whose key is free, those of at least one key and of no more keys than it takes for
    /// `rows` rows, in the order of their ordinals. They still wait.
    pub(in crate::load) fn ready(&self, rows: usize) -> Vec<WaitingRow> {
        self.table.lock().ready(rows)
    }

    /// The rows that [`Keys::ready`] returned wait no longer.
    pub(in crate::load) fn take(&self, rows: &[WaitingRow]) {
        self.table.lock().take(rows);
    }
}

/// The keys of one chunk, in flight while this lives.
#[derive(Debug)]
pub(in crate::load) struct KeysInFlight {
    table: Arc<Mutex<KeyTable>>,
    keys: Arc<Vec<KeyDigest>>,
}

impl KeysInFlight {
    /// The keys, in the order in which they came.
    pub(in crate::load) fn keys(&self) -> Arc<Vec<KeyDigest>> {
        Arc::clone(&self.keys)
    }
}

impl Drop for KeysInFlight {
    fn drop(&mut self) {
        self.table.lock().free(&self.keys);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: u8) -> KeyDigest {
        KeyDigest::of(&[name])
    }

    fn rows<const N: usize>(rows: [(u8, u64); N]) -> [WaitingRow; N] {
        rows.map(|(name, row)| WaitingRow {
            key: key(name),
            row,
        })
    }

    #[test]
    fn rows_wait_until_their_key_has_landed() {
        let mut keys = KeyTable::default();
        keys.send(&[key(1), key(2)]);
        assert!(keys.is_blocked(key(1)) && !keys.is_blocked(key(3)));
        keys.wait(rows([(1, 10), (1, 12), (2, 11)]));
        assert_eq!(keys.ready(100), []);
        keys.free(&[key(1)]);
        assert!(keys.is_blocked(key(1)), "older rows of it wait");
        let ready = keys.ready(100);
        assert_eq!(ready, rows([(1, 10), (1, 12)]));
        keys.take(&ready);
        assert!(!keys.is_blocked(key(1)));
        assert_eq!(keys.rows, 1);
        keys.free(&[key(2)]);
        let ready = keys.ready(100);
        assert_eq!(ready, rows([(2, 11)]));
        keys.take(&ready);
        assert_eq!((keys.rows, keys.ready(100)), (0, Vec::new()));
    }

    #[test]
    fn rows_that_wait_once_more_are_not_forgotten() {
        let mut keys = KeyTable::default();
        keys.wait(rows([(1, 5)]));
        assert_eq!(keys.ready(100), rows([(1, 5)]), "no job holds its key");
        keys.wait(rows([(1, 3)]));
        assert_eq!(keys.ready(100), rows([(1, 3), (1, 5)]));
        keys.take(&keys.ready(100));
        assert_eq!(keys.ready(100), []);
    }

    #[test]
    fn a_later_row_does_not_overtake_one_that_is_held() {
        let mut keys = KeyTable::default();
        keys.send(&[key(1), key(2), key(3)]);
        keys.hold(rows([(1, 10), (2, 11)]).to_vec());
        keys.wait(rows([(1, 12)]));
        keys.free(&[key(1), key(2), key(3)]);
        keys.wait(rows([(2, 13), (3, 14)]));
        assert_eq!(keys.ready(100), rows([(3, 14)]));
        keys.take(&keys.ready(100));
        assert!(keys.is_blocked(key(1)) && keys.is_blocked(key(2)));
        assert_eq!(keys.let_go(), RowSet::from(10..12));
        let ready = rows([(1, 10), (2, 11), (1, 12), (2, 13)]);
        assert_eq!(keys.ready(100), ready);
        keys.take(&ready);
        assert_eq!((keys.rows, keys.ready(100)), (0, Vec::new()));
        assert!(!keys.is_blocked(key(1)));
    }

    #[test]
    fn a_held_row_that_is_let_go_waits_for_the_rest_of_its_job() {
        let mut keys = KeyTable::default();
        keys.send(&[key(1)]);
        keys.hold(rows([(1, 10)]).to_vec());
        keys.let_go();
        assert_eq!(keys.ready(100), []);
        keys.free(&[key(1)]);
        assert_eq!(keys.ready(100), rows([(1, 10)]));
    }

    #[test]
    fn a_key_is_released_whole_and_not_more_rows_than_asked_for() {
        let mut keys = KeyTable::default();
        keys.wait((0..10).map(|row| WaitingRow { key: key(1), row }));
        keys.wait((10..12).map(|row| WaitingRow { key: key(2), row }));
        keys.wait((12..15).map(|row| WaitingRow { key: key(3), row }));
        assert_eq!(keys.ready(5).len(), 10, "one key is never split");
        let ready = keys.ready(12);
        assert_eq!(ready.len(), 12);
        keys.take(&ready);
        assert_eq!(keys.ready(12).len(), 3);
        assert_eq!(keys.rows, 3);
    }
}
