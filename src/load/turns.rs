//! No parent stands in two jobs at once: chunks of a load whose rows may share one go one after the
//! other.
//!
//! A chunk takes its place in the line when it is closed and leaves it when all its rows have their
//! end. It goes once no chunk before it may share a parent with it, so the first of the line always
//! goes. While it waits it holds no slot, and gives no memory back by itself.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

use super::org::Signal;

/// Parts that the parents of a load are divided into, as bits: those that rows of a chunk may have.
pub(super) type Parents = u64;

/// Any parent.
pub(super) const ANY: Parents = u64::MAX;

/// The line of one load.
#[derive(Debug)]
pub(super) struct Turns {
    line: Mutex<BTreeMap<u64, Parents>>,
    next: AtomicUsize,
    waiting: AtomicUsize,
    changed: Signal,
}

/// The place of a chunk in the line, until it is dropped.
#[derive(Debug)]
pub(super) struct Turn {
    turns: Arc<Turns>,
    number: u64,
    parents: Parents,
}

impl Turns {
    /// A line without chunks; what changes in it is a change.
    pub(super) fn new(changed: Signal) -> Self {
        Self {
            line: Mutex::default(),
            next: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
            changed,
        }
    }

    /// A place behind all others.
    pub(super) fn take(self: &Arc<Self>, parents: Parents) -> Turn {
        let mut line = self.line.lock();
        let number = self.next.fetch_add(1, Ordering::Relaxed) as u64;
        line.insert(number, parents);
        drop(line);
        Turn {
            turns: Arc::clone(self),
            number,
            parents,
        }
    }

    /// Whether a chunk waits: reading further would only fill memory.
    pub(super) fn is_crowded(&self) -> bool {
        self.waiting.load(Ordering::SeqCst) > 0
    }
}

impl Turn {
    /// Whether no chunk before this one may share a parent with it.
    pub(super) fn has_come(&self) -> bool {
        let line = self.turns.line.lock();
        let mut before = line.range(..self.number);
        before.all(|(_, parents)| parents & self.parents == 0)
    }

    /// Waits until it has come.
    pub(super) async fn come(&self) {
        let _waiting = Waiting::new(&self.turns);
        loop {
            let changed = self.turns.changed.changed();
            if self.has_come() {
                return;
            }
            changed.await;
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.turns.line.lock().remove(&self.number);
        self.turns.changed.notify();
    }
}

/// While it lives, a chunk waits for its turn.
struct Waiting<'a>(&'a Turns);

impl<'a> Waiting<'a> {
    fn new(turns: &'a Turns) -> Self {
        turns.waiting.fetch_add(1, Ordering::SeqCst);
        Self(turns)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::SeqCst);
        self.0.changed.notify();
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn chunks_that_may_share_a_parent_go_one_after_the_other() {
        let turns = Arc::new(Turns::new(Signal::default()));
        let [all, one, other, both] = [ANY, 1, 2, 3].map(|parents| turns.take(parents));
        assert!(all.has_come() && !one.has_come() && !other.has_come());
        let mut waiting = Box::pin(one.come());
        assert!(waiting.as_mut().now_or_never().is_none() && turns.is_crowded());
        drop(all);
        waiting.await;
        assert!(!turns.is_crowded());
        assert!(one.has_come() && other.has_come() && !both.has_come());
        let next = turns.take(4);
        assert!(next.has_come(), "nobody before it has its parents");
        drop(other);
        assert!(!both.has_come());
        drop(one);
        both.come().await;
    }

    #[tokio::test]
    async fn who_waits_in_vain_crowds_no_longer() {
        let turns = Arc::new(Turns::new(Signal::default()));
        let [first, second] = [1, 1].map(|parents| turns.take(parents));
        let mut waiting = Box::pin(second.come());
        assert!(waiting.as_mut().now_or_never().is_none() && turns.is_crowded());
        drop(waiting);
        assert!(!turns.is_crowded());
        drop((first, second));
        assert!(turns.line.lock().is_empty());
    }
}
