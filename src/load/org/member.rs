//! What a load has of the memory, as all loads see it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use tokio::sync::Notify;

use super::rows::RowStore;
use super::signal::Signal;

/// Why a load should give memory back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pressure {
    /// Others wait for memory of rows.
    Memory,
    /// States wait for rows to have their end.
    States,
    /// As these, and nothing moves any more but rows that are held.
    Held,
}

/// A load among those that share the memory: what it could give, and whether it will by itself.
#[derive(Debug)]
pub(crate) struct Member {
    rows: Arc<RowStore>,
    /// Bytes of CSV of its largest open chunk.
    open: AtomicU64,
    /// Memory of its rows that are set aside, as they came.
    aside: AtomicUsize,
    close: Notify,
    /// Those rows should be sent too.
    send: AtomicBool,
    /// Rows that are held until their parents are there.
    held: AtomicUsize,
    /// Those rows should be let go.
    let_go: AtomicBool,
    /// They are let go, and are in no chunk yet.
    letting_go: AtomicBool,
    /// Batches that were let in and are in no chunk yet.
    let_in: AtomicUsize,
    /// Its intake waits for memory or for chunks that may, and those batches with it.
    waiting: AtomicUsize,
    changed: Signal,
}

impl Member {
    pub(super) fn new(rows: Arc<RowStore>, changed: Signal) -> Self {
        Self {
            rows,
            open: AtomicU64::new(0),
            aside: AtomicUsize::new(0),
            close: Notify::new(),
            send: AtomicBool::new(false),
            held: AtomicUsize::new(0),
            let_go: AtomicBool::new(false),
            letting_go: AtomicBool::new(false),
            let_in: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
            changed,
        }
    }

    /// Its largest open chunk has so many bytes of CSV now; none if nothing is open.
    pub(crate) fn set_open_bytes(&self, bytes: u64) {
        self.open.store(bytes, Ordering::SeqCst);
        // Who waits for memory may have found nothing to close before.
        self.changed.notify();
    }

    /// Its rows that are set aside took so many bytes of memory when they came.
    pub(crate) fn set_aside_bytes(&self, bytes: usize) {
        self.aside.store(bytes, Ordering::SeqCst);
    }

    /// It holds so many rows now.
    pub(crate) fn set_held(&self, rows: usize) {
        self.held.store(rows, Ordering::SeqCst);
        self.changed.notify();
    }

    /// Rows that it let go are in chunks now, if they are not in one that left.
    pub(crate) fn has_let_go(&self) {
        if self.letting_go.swap(false, Ordering::SeqCst) {
            self.changed.notify();
        }
    }

    /// How many rows it holds.
    pub(super) fn held(&self) -> usize {
        self.held.load(Ordering::SeqCst)
    }

    /// Waits until memory should be given back, and why.
    pub(crate) async fn pressure(&self) -> Pressure {
        self.close.notified().await;
        if self.let_go.load(Ordering::SeqCst) {
            self.letting_go.store(true, Ordering::SeqCst);
            self.let_go.store(false, Ordering::SeqCst);
            Pressure::Held
        } else if self.send.swap(false, Ordering::SeqCst) {
            Pressure::States
        } else {
            Pressure::Memory
        }
    }

    pub(super) fn press(&self, pressure: Pressure) {
        match pressure {
            Pressure::Memory => {}
            Pressure::States => self.send.store(true, Ordering::SeqCst),
            Pressure::Held => self.let_go.store(true, Ordering::SeqCst),
        }
        self.close.notify_one();
    }

    /// What giving way to this pressure would be about.
    pub(super) fn pressed_bytes(&self, pressure: Pressure) -> u64 {
        match pressure {
            Pressure::Memory => self.open_bytes(),
            Pressure::States => self.open_bytes() + self.aside.load(Ordering::SeqCst) as u64,
            Pressure::Held => self.held() as u64,
        }
    }

    pub(super) fn open_bytes(&self) -> u64 {
        self.open.load(Ordering::SeqCst)
    }

    pub(super) fn rows(&self) -> &Arc<RowStore> {
        &self.rows
    }

    /// Whether it gives memory back by itself, or once its open chunk is closed.
    pub(super) fn moves(&self) -> bool {
        let taken_in = || self.waiting.load(Ordering::SeqCst) == 0;
        let goes = |flag: &AtomicBool| flag.load(Ordering::SeqCst);
        let let_in = || self.let_in.load(Ordering::SeqCst) > 0;
        let comes = || let_in() || goes(&self.let_go) || goes(&self.letting_go);
        self.open_bytes() > 0 || (comes() && taken_in())
    }

    /// A batch is let in.
    pub(super) fn let_in(self: &Arc<Self>) -> LetIn {
        self.let_in.fetch_add(1, Ordering::SeqCst);
        LetIn(Arc::clone(self))
    }

    /// The intake waits for memory, or for chunks that may, while the guard lives.
    pub(crate) fn wait(self: &Arc<Self>) -> IntakeWaits {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        self.changed.notify();
        IntakeWaits(Arc::clone(self))
    }
}

/// A batch that was let in and is in no chunk yet.
#[derive(Debug)]
pub(crate) struct LetIn(Arc<Member>);

impl Drop for LetIn {
    fn drop(&mut self) {
        self.0.let_in.fetch_sub(1, Ordering::SeqCst);
        self.0.changed.notify();
    }
}

/// While it lives, the intake of a load waits for memory, or for chunks that may.
#[derive(Debug)]
pub(crate) struct IntakeWaits(Arc<Member>);

impl Drop for IntakeWaits {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::SeqCst);
    }
}
