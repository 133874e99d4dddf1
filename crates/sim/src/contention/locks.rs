//! Locks on records: who holds each, and who waits for it.

use std::collections::{HashMap, VecDeque};

/// A record that is or was locked.
pub(super) type Lock = u32;

/// The locks of an org. Each is held by one at a time; who waits comes in the order of asking.
#[derive(Debug)]
pub(super) struct Locks<Holder> {
    numbers: HashMap<String, Lock>,
    ids: Vec<String>,
    held: HashMap<Lock, Held<Holder>>,
}

#[derive(Debug)]
struct Held<Holder> {
    by: Holder,
    waiting: VecDeque<Holder>,
}

impl<Holder> Default for Locks<Holder> {
    fn default() -> Locks<Holder> {
        Locks {
            numbers: HashMap::new(),
            ids: Vec::new(),
            held: HashMap::new(),
        }
    }
}

impl<Holder: Copy + PartialEq> Locks<Holder> {
    /// The lock of a record, by the record's Id.
    pub(super) fn of(&mut self, id: String) -> Lock {
        let next = u32::try_from(self.ids.len()).unwrap_or(u32::MAX);
        match self.numbers.get(&id) {
            Some(&known) => known,
            None => {
                self.ids.push(id.clone());
                self.numbers.insert(id, next);
                next
            }
        }
    }

    /// The Id of the record of a lock.
    pub(super) fn id(&self, lock: Lock) -> &str {
        &self.ids[lock as usize]
    }

    /// Takes a lock, or waits for it. Returns whether it was free.
    pub(super) fn take(&mut self, lock: Lock, holder: Holder) -> bool {
        if let Some(held) = self.held.get_mut(&lock) {
            held.waiting.push_back(holder);
            return false;
        }
        let waiting = VecDeque::new();
        self.held.insert(
            lock,
            Held {
                by: holder,
                waiting,
            },
        );
        true
    }

    /// Waits no longer for a lock.
    pub(super) fn give_up(&mut self, lock: Lock, holder: Holder) {
        if let Some(held) = self.held.get_mut(&lock) {
            held.waiting.retain(|waiting| *waiting != holder);
        }
    }

    /// Releases a lock. Returns who holds it now.
    pub(super) fn release(&mut self, lock: Lock) -> Option<Holder> {
        let held = self.held.get_mut(&lock)?;
        if let Some(next) = held.waiting.pop_front() {
            held.by = next;
            return Some(next);
        }
        self.held.remove(&lock);
        None
    }
}
