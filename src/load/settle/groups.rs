//! Rows that compare as equal: what was sent of them, and what the results say of them.

use std::collections::HashSet;
use std::mem::size_of;

use arrow::array::UInt64Array;
use datafusion::error::DataFusionError;
use datafusion::execution::TaskContext;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};

use crate::rows::{KeyDigest, KeyMap, RowSet};

/// Rows that were sent, in their order: an ordinal and a digest each.
#[derive(Debug)]
pub(super) struct SentRows {
    pub(super) ordinals: UInt64Array,
    pub(super) digests: Vec<KeyDigest>,
    /// Digests of all their cells, where the others are of some.
    pub(super) wholes: Option<Vec<KeyDigest>>,
}

/// What a row of a result file says of the row that was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ResultRow {
    /// With the index of its reason.
    Failed(u32),
    Unprocessed,
    /// With a digest of the record's Id; 0 if it has none.
    Succeeded(u64),
}

impl ResultRow {
    /// Whether both say the same of their rows, reasons aside.
    pub(super) fn is_like(self, other: Self) -> bool {
        std::mem::discriminant(&self) == std::mem::discriminant(&other)
    }

    pub(super) fn is_success(self) -> bool {
        matches!(self, Self::Succeeded(_))
    }
}

/// One group, when all its rows are known.
#[derive(Debug)]
pub(super) struct Group<'a> {
    /// Ordinals of the rows that were sent, ascending.
    pub(super) sent: &'a [u64],
    /// What the results say, the same success once.
    pub(super) results: &'a [ResultRow],
    /// Its rows differ in columns that could not be compared.
    pub(super) differs: bool,
}

impl Group<'_> {
    /// Whether all results say the same.
    pub(super) fn is_alike(&self) -> bool {
        let first = self.results.first();
        first.is_none_or(|first| self.results.iter().all(|result| result.is_like(*first)))
    }

    /// How many results say that their row was written.
    pub(super) fn successes(&self) -> usize {
        let results = self.results.iter();
        results.filter(|result| result.is_success()).count()
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    /// Of the first row that was sent, digest of all its cells.
    first: Option<u64>,
    differs: bool,
}

/// The groups of a job, by digest, within the memory pool.
#[derive(Debug)]
pub(super) struct Groups {
    numbers: KeyMap<u32>,
    seen: Vec<Seen>,
    results: Vec<(u32, ResultRow)>,
    sent: Vec<(u32, u64)>,
    /// Rows that no result has.
    without_result: RowSet,
    memory: MemoryReservation,
}

impl Groups {
    pub(super) fn new(context: &TaskContext) -> Self {
        Self {
            numbers: KeyMap::default(),
            seen: Vec::new(),
            results: Vec::new(),
            sent: Vec::new(),
            without_result: RowSet::new(),
            memory: MemoryConsumer::new("settle").register(context.memory_pool()),
        }
    }

    /// Adds result rows.
    pub(super) fn add_results(
        &mut self,
        rows: impl Iterator<Item = (KeyDigest, ResultRow)>,
    ) -> Result<(), DataFusionError> {
        for (digest, result) in rows {
            let next = self.seen.len() as u32;
            let number = *self.numbers.entry(digest).or_insert(next);
            if number == next {
                self.seen.push(Seen::default());
            }
            self.results.push((number, result));
        }
        self.account()
    }

    /// Adds rows that were sent, after all result rows.
    pub(super) fn add_sent(&mut self, rows: &SentRows) -> Result<(), DataFusionError> {
        let ordinals = rows.ordinals.values();
        let mut without_result = Vec::new();
        for (index, (digest, ordinal)) in rows.digests.iter().zip(ordinals).enumerate() {
            let Some(number) = self.numbers.get(digest) else {
                without_result.push(*ordinal);
                continue;
            };
            self.sent.push((*number, *ordinal));
            if let Some(wholes) = &rows.wholes {
                let seen = &mut self.seen[*number as usize];
                let whole = wholes[index].low();
                seen.differs |= *seen.first.get_or_insert(whole) != whole;
            }
        }
        self.without_result.extend(without_result);
        self.account()
    }

    /// Takes the rows that no result has.
    pub(super) fn take_without_result(&mut self) -> RowSet {
        std::mem::take(&mut self.without_result)
    }

    /// Shows each group.
    pub(super) fn for_each(&mut self, mut show: impl FnMut(&Group<'_>)) {
        // Stable, so that results stay in the order of their files.
        self.results.sort_by_key(|(number, _)| *number);
        self.sent.sort_unstable();
        let (mut all, mut all_sent) = (self.results.as_slice(), self.sent.as_slice());
        let (mut results, mut sent) = (Vec::new(), Vec::new());
        for (number, seen) in self.seen.iter().enumerate() {
            take(&mut all, number, &mut results);
            take(&mut all_sent, number, &mut sent);
            drop_repeated(&mut results);
            show(&Group {
                sent: &sent,
                results: &results,
                differs: seen.differs,
            });
        }
    }

    fn account(&mut self) -> Result<(), DataFusionError> {
        // A table holds an entry and a byte of its own in 8 of 7 places.
        let numbers = self.numbers.capacity() * (size_of::<(KeyDigest, u32)>() + 1) * 8 / 7;
        let seen = self.seen.capacity() * size_of::<Seen>();
        // Sorting takes half as much again.
        let results = self.results.capacity() * size_of::<(u32, ResultRow)>() * 3 / 2;
        let sent = self.sent.capacity() * size_of::<(u32, u64)>();
        let without_result = self.without_result.memory();
        let all = numbers + seen + results + sent + without_result;
        self.memory.try_resize(all)
    }
}

/// Moves the values of one group, which are the first, to `out`.
fn take<T: Copy>(rest: &mut &[(u32, T)], number: usize, out: &mut Vec<T>) {
    out.clear();
    let own = rest.iter().take_while(|(own, _)| *own as usize == number);
    out.extend(own.map(|(_, value)| *value));
    *rest = &rest[out.len()..];
}

/// Of successes with one Id, leaves the first: a record is written once.
fn drop_repeated(results: &mut Vec<ResultRow>) {
    if results.len() < 2 {
        return;
    }
    let mut ids = HashSet::new();
    results.retain(|result| match result {
        ResultRow::Succeeded(id) if *id != 0 => ids.insert(*id),
        _ => true,
    });
}
