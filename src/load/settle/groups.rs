//! Rows that compare as equal: what was sent of them, and what the results say of them.

use std::collections::HashSet;
use std::mem::size_of;

use arrow::array::UInt64Array;
use datafusion::execution::memory_pool::MemoryReservation;

use super::record_log::RowRecord;
use crate::object::RecordIds;
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
    /// With the number of the record's Id; 0 if it has none.
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

    /// The record that was written.
    pub(super) fn record(self) -> RowRecord {
        match self {
            Self::Succeeded(number) if RecordIds::without_created(number) > 0 => {
                RowRecord::Known(number)
            }
            _ => RowRecord::NoResult,
        }
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

/// Results of one group that say the same, next to each other in their file.
#[derive(Debug, Clone, Copy)]
struct Results {
    number: u32,
    count: u32,
    result: ResultRow,
}

/// Rows of one group that were sent next to each other.
#[derive(Debug, Clone, Copy)]
struct Sent {
    number: u32,
    count: u32,
    first: u64,
}

/// A row that was sent and has results, apart from its group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SentRow {
    pub(super) digest: KeyDigest,
    pub(super) ordinal: u64,
    /// Digest of all its cells, or of those of another row of its group; none where all are
    /// compared.
    pub(super) whole: Option<u64>,
    /// Its group is known to differ.
    pub(super) differs: bool,
}

/// The groups of a job, or of a part of its rows, by digest. Equal rows next to each other take the
/// memory of one.
#[derive(Debug)]
pub(super) struct Groups {
    numbers: KeyMap<u32>,
    seen: Vec<Seen>,
    results: Vec<Results>,
    sent: Vec<Sent>,
    without_result: RowSet,
    memory: MemoryReservation,
}

impl Groups {
    /// No groups yet; they will take `memory`, which is empty.
    pub(super) fn new(memory: MemoryReservation) -> Self {
        Self {
            numbers: KeyMap::default(),
            seen: Vec::new(),
            results: Vec::new(),
            sent: Vec::new(),
            without_result: RowSet::new(),
            memory,
        }
    }

    /// Adds result rows.
    pub(super) fn add_results(&mut self, rows: impl Iterator<Item = (KeyDigest, ResultRow)>) {
        for (digest, result) in rows {
            let next = self.seen.len() as u32;
            let number = *self.numbers.entry(digest).or_insert(next);
            if number == next {
                self.seen.push(Seen::default());
            }
            match self.results.last_mut() {
                Some(last) if last.number == number && last.result == result => last.count += 1,
                _ => self.results.push(Results {
                    number,
                    count: 1,
                    result,
                }),
            }
        }
    }

    /// Adds rows that were sent, after all result rows.
    pub(super) fn add_sent(&mut self, rows: &SentRows) {
        let ordinals = rows.ordinals.values();
        let mut without_result = Vec::new();
        for (index, (digest, ordinal)) in rows.digests.iter().zip(ordinals).enumerate() {
            let row = SentRow {
                digest: *digest,
                ordinal: *ordinal,
                whole: rows.wholes.as_ref().map(|wholes| wholes[index].low()),
                differs: false,
            };
            if !self.add_row(row) {
                without_result.push(*ordinal);
            }
        }
        self.without_result.extend(without_result);
    }

    /// Adds a row that was sent, after all result rows; false if no result has it.
    pub(super) fn add_row(&mut self, row: SentRow) -> bool {
        let SentRow {
            digest, ordinal, ..
        } = row;
        let Some(number) = self.numbers.get(&digest).copied() else {
            return false;
        };
        match self.sent.last_mut() {
            Some(last)
                if last.number == number && last.first + u64::from(last.count) == ordinal =>
            {
                last.count += 1;
            }
            _ => self.sent.push(Sent {
                number,
                count: 1,
                first: ordinal,
            }),
        }
        let seen = &mut self.seen[number as usize];
        seen.differs |= row.differs;
        if let Some(whole) = row.whole {
            seen.differs |= *seen.first.get_or_insert(whole) != whole;
        }
        true
    }

    /// Adds rows that no result has.
    pub(super) fn add_without_result(&mut self, rows: &RowSet) {
        self.without_result.insert_all(rows);
    }

    /// Takes the rows that no result has.
    pub(super) fn take_without_result(&mut self) -> RowSet {
        std::mem::take(&mut self.without_result)
    }

    /// Shows each group.
    pub(super) fn for_each(&mut self, mut show: impl FnMut(&Group<'_>)) {
        // Stable, so that results stay in the order of their files.
        self.results.sort_by_key(|results| results.number);
        self.sent
            .sort_unstable_by_key(|sent| (sent.number, sent.first));
        let (mut all, mut all_sent) = (self.results.iter().peekable(), self.sent.iter().peekable());
        let (mut results, mut sent) = (Vec::new(), Vec::new());
        for (seen, number) in self.seen.iter().zip(0_u32..) {
            results.clear();
            sent.clear();
            while let Some(next) = all.next_if(|next| next.number == number) {
                results.extend(std::iter::repeat_n(next.result, next.count as usize));
            }
            while let Some(next) = all_sent.next_if(|next| next.number == number) {
                sent.extend(next.first..next.first + u64::from(next.count));
            }
            drop_repeated(&mut results);
            show(&Group {
                sent: &sent,
                results: &results,
                differs: seen.differs,
            });
        }
    }

    /// The rows that were added, to be joined in parts: the results, and the rows that were sent.
    pub(super) fn into_rows(
        self,
    ) -> (
        impl Iterator<Item = (KeyDigest, ResultRow)>,
        impl Iterator<Item = SentRow>,
    ) {
        let Self {
            numbers,
            seen,
            results,
            sent,
            ..
        } = self;
        let mut digests = vec![KeyDigest::NONE; seen.len()];
        for (digest, number) in numbers {
            digests[number as usize] = digest;
        }
        let of_results = digests.clone();
        let results = results.into_iter().flat_map(move |results| {
            let row = (of_results[results.number as usize], results.result);
            std::iter::repeat_n(row, results.count as usize)
        });
        let sent = sent.into_iter().flat_map(move |sent| {
            let (digest, seen) = (digests[sent.number as usize], seen[sent.number as usize]);
            let ordinals = sent.first..sent.first + u64::from(sent.count);
            ordinals.map(move |ordinal| SentRow {
                digest,
                ordinal,
                whole: seen.first,
                differs: seen.differs,
            })
        });
        (results, sent)
    }

    /// Reserves what they take; false if the pool has no room for that.
    pub(super) fn fit(&mut self) -> bool {
        let bytes = self.bytes();
        self.memory.try_resize(bytes).is_ok()
    }

    /// Reserves what they take, whether or not there is room.
    pub(super) fn account(&mut self) {
        let bytes = self.bytes();
        self.memory.resize(bytes);
    }

    fn bytes(&self) -> usize {
        // A table holds an entry and a byte of its own in 8 of 7 places.
        let numbers = self.numbers.capacity() * (size_of::<(KeyDigest, u32)>() + 1) * 8 / 7;
        let seen = self.seen.capacity() * size_of::<Seen>();
        // Sorting takes half as much again.
        let results = self.results.capacity() * size_of::<Results>() * 3 / 2;
        let sent = self.sent.capacity() * size_of::<Sent>();
        numbers + seen + results + sent + self.without_result.memory()
    }
}

/// Of successes with one Id, leaves the first: a record is written once.
fn drop_repeated(results: &mut Vec<ResultRow>) {
    if results.len() < 2 {
        return;
    }
    let mut ids = HashSet::new();
    results.retain(|result| match result {
        ResultRow::Succeeded(number) => {
            let id = RecordIds::without_created(*number);
            id == 0 || ids.insert(id)
        }
        _ => true,
    });
}
