//! Which of the rows sent can have a result, by one column: then the other columns of most rows need
//! not be coerced once more.

use std::collections::HashSet;

use arrow::array::{Array as _, AsArray as _, RecordBatch, StringArray};
use xxhash_rust::xxh3::xxh3_64;

use crate::coerce::Coercion;
use crate::error::Result;
use crate::rows::RowSet;

/// Most bits of a filter, 1 MiB: 30,000 values set 0.4 % of them.
const MOST_BITS: usize = 1 << 23;

/// Bits for each of the results that are noted first: a job of few has no more of them.
const BITS_OF_RESULT: usize = 1 << 10;

/// Rows sent that are probed before it shows whether the column distinguishes many of them.
const TRIAL: u64 = 16_384;

/// The values of one column in all results, as a filter: a row sent that has none of them has no
/// result. One that has one of them may have a result.
#[derive(Debug, Default)]
pub(super) enum Probe {
    /// No result was noted yet.
    #[default]
    Empty,
    Filter(Filter),
    /// No column distinguishes rows.
    Off,
}

#[derive(Debug)]
pub(super) struct Filter {
    /// The number of the column among those of the cells, and its name.
    column: usize,
    name: String,
    bits: Vec<u64>,
    /// Rows sent that were probed, and those of them that may have a result.
    probed: u64,
    found: u64,
}

impl Probe {
    /// Notes the canonical cells of results. Those noted first choose the column: of those `compared` that
    /// have values, the one of most.
    pub(super) fn note<'a>(
        &mut self,
        coercion: &Coercion,
        compared: impl Iterator<Item = &'a str>,
        results: &RecordBatch,
    ) {
        if results.num_rows() == 0 {
            return;
        }
        if matches!(self, Self::Empty) {
            let filter = Filter::of(coercion, compared, results);
            *self = filter.map_or(Self::Off, Self::Filter);
        }
        if let Self::Filter(filter) = self {
            match texts(results, &filter.name) {
                Some(texts) => filter.note(texts),
                None => *self = Self::Off,
            }
        }
    }

    /// Those of `sent` that may have a result. They are rows of `source`, whose first row has the
    /// ordinal `first`.
    ///
    /// # Errors
    /// A system error if the source has other columns than it was planned for.
    pub(super) fn candidates(
        &mut self,
        coercion: &Coercion,
        first: u64,
        source: &RecordBatch,
        sent: &RowSet,
    ) -> Result<RowSet> {
        let Self::Filter(filter) = self else {
            return Ok(sent.clone());
        };
        let cells = coercion.canonical_column(filter.column, source)?;
        let Some(texts) = cells.as_string_opt::<i32>() else {
            return Ok(sent.clone());
        };
        let may = |row: &u64| filter.has(texts, (row - first) as usize);
        let found: RowSet = sent.iter().filter(may).collect();
        filter.probed += sent.len();
        filter.found += found.len();
        if filter.probed >= TRIAL && filter.found * 2 > filter.probed {
            *self = Self::Off;
        }
        Ok(found)
    }
}

impl Filter {
    /// Of the column that has most values in these results; none if half of its values are repeated.
    fn of<'a>(
        coercion: &Coercion,
        compared: impl Iterator<Item = &'a str>,
        results: &RecordBatch,
    ) -> Option<Self> {
        let values = |name: &'a str| {
            let texts = texts(results, name);
            let values: Option<HashSet<&str>> = texts.map(|texts| texts.iter().flatten().collect());
            (values.map_or(0, |values| values.len()), name)
        };
        let of_columns = compared.map(values);
        let (values, name) = of_columns.reduce(|a, b| if b.0 > a.0 { b } else { a })?;
        let rows = results.num_rows();
        let bits = (rows * BITS_OF_RESULT).next_power_of_two().min(MOST_BITS);
        (values * 2 > rows).then_some(Self {
            column: coercion.cells_schema().index_of(name).ok()?,
            name: name.to_owned(),
            bits: vec![0; bits / 64],
            probed: 0,
            found: 0,
        })
    }

    fn note(&mut self, texts: &StringArray) {
        for row in 0..texts.len() {
            let (word, bit) = self.place(texts, row);
            self.bits[word] |= bit;
        }
    }

    fn has(&self, texts: &StringArray, row: usize) -> bool {
        let (word, bit) = self.place(texts, row);
        self.bits[word] & bit != 0
    }

    /// The word of a value, and its bit there. All nulls have the same.
    fn place(&self, texts: &StringArray, row: usize) -> (usize, u64) {
        let hash = if texts.is_valid(row) {
            xxh3_64(texts.value(row).as_bytes()) as usize
        } else {
            0
        };
        (hash / 64 % self.bits.len(), 1 << (hash % 64))
    }
}

fn texts<'a>(rows: &'a RecordBatch, name: &str) -> Option<&'a StringArray> {
    rows.column_by_name(name)?.as_string_opt()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::ArrayRef;

    use super::*;
    use crate::object::{ObjectSchema, Operation, RelatedObjects};
    use crate::options::ValueOptions;

    type Cells<'a> = &'a [Option<&'a str>];

    fn batch(names: Cells, amounts: Cells) -> RecordBatch {
        let column =
            |cells: Cells| Arc::new(cells.iter().copied().collect::<StringArray>()) as ArrayRef;
        let columns = [
            ("Name", column(names), true),
            ("Amount", column(amounts), true),
        ];
        RecordBatch::try_from_iter_with_nullable(columns).unwrap()
    }

    fn coercion() -> Coercion {
        let describe = r#"{"name":"Thing__c","fields":[
            {"name":"Name","type":"string","length":80,"nillable":true,"createable":true},
            {"name":"Amount","type":"double","precision":18,"scale":2,"nillable":true,"createable":true}]}"#;
        let object = ObjectSchema::from_describe(describe.as_bytes()).unwrap();
        let (insert, related) = (Operation::Insert, RelatedObjects::default());
        let source = batch(&[], &[]).schema();
        Coercion::plan(&source, &object, &insert, &related, ValueOptions::default()).unwrap()
    }

    fn probe(results: &RecordBatch) -> Probe {
        let coercion = coercion();
        let mut probe = Probe::default();
        let results = coercion.canonical(results).unwrap();
        probe.note(&coercion, ["Name", "Amount"].into_iter(), &results);
        probe
    }

    fn candidates(probe: &mut Probe, source: &RecordBatch, sent: &RowSet) -> Vec<u64> {
        let found = probe.candidates(&coercion(), 100, source, sent).unwrap();
        found.iter().collect()
    }

    #[test]
    fn the_column_of_most_values_distinguishes_rows_sent() {
        let name = [Some("a"); 3];
        let mut probe = probe(&batch(&name, &[Some("9.1E2"), Some("1.50"), None]));
        assert!(matches!(&probe, Probe::Filter(filter) if filter.name == "Amount"));
        let sent = [Some("1.5"), Some("2"), None, Some("910"), Some("910")];
        let source = batch(&[Some("b"); 5], &sent);
        let all = RowSet::from_iter([100..103, 104..105]);
        assert_eq!(candidates(&mut probe, &source, &all), [100, 102, 104]);
    }

    #[test]
    fn values_that_repeat_distinguish_nothing() {
        let mut same = probe(&batch(&[Some("a"); 4], &[Some("1"), Some("1"), None, None]));
        assert!(matches!(same, Probe::Off));
        let source = batch(&[Some("b")], &[None]);
        assert_eq!(
            candidates(&mut same, &source, &RowSet::from(100..101)),
            [100]
        );
    }

    #[test]
    fn a_column_that_many_rows_share_is_not_looked_at_for_long() {
        let mut probe = probe(&batch(&[Some("a")], &[None]));
        let rows = TRIAL as usize;
        let source = batch(&vec![Some("a"); rows], &vec![None; rows]);
        let all = RowSet::from(100..100 + TRIAL);
        assert_eq!(candidates(&mut probe, &source, &all).len(), rows);
        assert!(matches!(probe, Probe::Off));
    }
}
