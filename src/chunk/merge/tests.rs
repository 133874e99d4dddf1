use std::collections::BTreeMap;

use arrow::array::BooleanArray;
use arrow::buffer::BooleanBuffer;
use arrow::compute::filter_record_batch;
use proptest::prelude::*;

use super::*;
use crate::chunk::Chunker;
use crate::chunk::testing::{bytes, cells, read, rows_of};
use crate::coerce::KeyForm;
use crate::rows::RowSet;

fn chunk(parts: &[(RecordBatch, RowOrdinals)]) -> Chunk {
    let mut chunker = Chunker::new(&parts[0].0.schema(), 1_000_000, None).unwrap();
    for (cells, ordinals) in parts {
        chunker.push(cells, ordinals.clone(), None).unwrap();
    }
    chunker.close().unwrap()
}

fn key(column: usize, form: KeyForm) -> Key {
    Key { column, form }
}

/// Merges with these keys blocked.
fn merge(chunk: Chunk, key: &Key, is_blocked: impl Fn(KeyDigest) -> bool) -> Merged {
    let keyed = chunk.by_key(key).unwrap();
    let blocked = keyed.blocked(is_blocked);
    keyed.merge(&blocked).unwrap()
}

fn pairs(merged: &Merged) -> Vec<(u64, u64)> {
    let rows = merged.merged.iter();
    rows.map(|row| (row.row, row.into)).collect()
}

fn waiting(merged: &Merged) -> Vec<(KeyDigest, u64)> {
    let rows = merged.waiting.iter();
    rows.map(|row| (row.key, row.row)).collect()
}

fn text(chunk: &Chunk) -> String {
    String::from_utf8(bytes(chunk)).unwrap()
}

#[test]
fn the_last_value_of_each_column_stands() {
    let rows = cells(&[
        vec![
            Some("00130000000xyzA"),
            Some("00130000000zzzA"),
            Some("00130000000XYZAAAQ"),
        ],
        vec![Some("5"), Some("7"), None],
        vec![Some("4"), None, Some("6")],
        vec![Some("x"), Some("y"), Some("#N/A")],
    ]);
    let chunk = chunk(&[(rows, RowOrdinals::From(10))]);
    let merged = merge(chunk, &key(0, KeyForm::Id), |_| false);
    insta::assert_snapshot!(text(&merged.chunk), @r"
    F0,F1,F2,F3
    00130000000zzzA,7,,y
    00130000000XYZAAAQ,5,6,#N/A
    ");
    assert_eq!(pairs(&merged), [(10, 12)]);
    assert_eq!(merged.keys.len(), 2);
    assert_eq!(merged.chunk.sent(), RowSet::from(11..13));
}

#[test]
fn the_last_row_is_the_last_received() {
    let early = cells(&[vec![Some("A")], vec![Some("early")]]);
    let late = cells(&[vec![Some("A")], vec![Some("late")]]);
    let waited = RowOrdinals::Listed(vec![3].into());
    let chunk = chunk(&[(late, RowOrdinals::From(8)), (early, waited)]);
    let form = KeyForm::Text { ignore_case: false };
    let merged = merge(chunk, &key(0, form), |_| false);
    assert_eq!(text(&merged.chunk), "F0,F1\nA,late\n");
    assert_eq!(pairs(&merged), [(3, 8)]);
}

#[test]
fn a_last_row_that_has_every_value_is_not_rebuilt() {
    let rows = cells(&[vec![Some("A"), Some("B"), Some("a"), Some("A")]]);
    let chunk = chunk(&[(rows, RowOrdinals::From(0))]);
    let form = KeyForm::Text { ignore_case: true };
    let merged = merge(chunk, &key(0, form), |_| false);
    assert_eq!(text(&merged.chunk), "F0\nB\nA\n");
    assert_eq!(merged.chunk.parts().len(), 1);
    assert_eq!(pairs(&merged), [(0, 3), (2, 3)]);
}

#[test]
fn rows_of_blocked_keys_wait() {
    let form = KeyForm::Number { scale: 0 };
    let blocked = form.digest("1", &mut String::new());
    let rows = cells(&[vec![Some("1"), Some("2"), Some("1.0"), None]]);
    let chunk = chunk(&[(rows, RowOrdinals::From(5))]);
    let merged = merge(chunk, &key(0, form), |key| key == blocked);
    assert_eq!(text(&merged.chunk), "F0\n2\n\"\"\n");
    assert_eq!(waiting(&merged), [(blocked, 5), (blocked, 7)]);
    assert!(merged.merged.is_empty());
    assert_eq!(merged.keys.len(), 1);
    let nothing = merge(merged.chunk, &key(0, KeyForm::Id), |_| true);
    assert_eq!((nothing.chunk.rows(), nothing.chunk.span()), (1, 5..9));
}

#[test]
fn a_merged_row_is_not_longer_than_a_job_takes() {
    let long = |letter: &str| Some(letter.repeat(120_000));
    let rows = cells(&[
        vec![
            Some("1".to_owned()),
            Some("1".to_owned()),
            Some("1".to_owned()),
        ],
        vec![long("a"), None, None],
        vec![None, long("b"), None],
        vec![None, None, Some("c".to_owned())],
    ]);
    let chunk = chunk(&[(rows, RowOrdinals::From(0))]);
    let key = key(0, KeyForm::Number { scale: 0 });
    let first = merge(chunk, &key, |_| false);
    assert_eq!(first.chunk.sent(), RowSet::from(0..1));
    assert!(first.merged.is_empty());
    let digest = first.keys[0];
    assert_eq!(waiting(&first), [(digest, 1), (digest, 2)]);
    assert_eq!(first.chunk.bytes(), bytes(&first.chunk).len() as u64);
}

#[test]
fn the_key_is_a_column_of_the_cells() {
    let chunk = chunk(&[(cells(&[vec![Some("1")]]), RowOrdinals::From(0))]);
    let error = chunk.by_key(&key(1, KeyForm::Id)).unwrap_err();
    assert!(matches!(error, ChunkError::Schema));
}

/// One row as it was received.
#[derive(Debug, Clone)]
struct Received {
    /// The number that the key cell writes.
    key: Option<u32>,
    skipped: bool,
    cells: Vec<Option<String>>,
}

fn received() -> impl Strategy<Value = Received> {
    const WRITINGS: [&str; 5] = ["{}", "0{}", "{}.0", "{}e0", " {} "];
    let key = prop::option::weighted(0.95, (0..8_u32, prop::sample::select(&WRITINGS[..])));
    let cell = || prop::option::of("[a-c,\"\n]{1,4}|#N/A");
    (key, prop::bool::weighted(0.1), [cell(), cell(), cell()]).prop_map(|(key, skipped, cells)| {
        let written = key.map(|(key, writing)| writing.replace("{}", &key.to_string()));
        let mut cells = cells.to_vec();
        cells.insert(1, written);
        Received {
            key: key.map(|(key, _)| key),
            skipped,
            cells,
        }
    })
}

/// A batch, and the order in which its rows were received if they are not consecutive.
type Batch = (Vec<Received>, Option<Vec<u64>>);

fn batches() -> impl Strategy<Value = Vec<Batch>> {
    let batch = prop::collection::vec(received(), 1..20).prop_flat_map(|rows| {
        let order: Vec<u64> = (0..rows.len() as u64).collect();
        (Just(rows), prop::option::of(Just(order).prop_shuffle()))
    });
    prop::collection::vec(batch, 1..5)
}

/// Ordinals of a batch: blocks of consecutive ones apart from each other, listed ones interleaved.
fn ordinals(batch: &Batch, index: usize, block: u64) -> RowOrdinals {
    match &batch.1 {
        None => RowOrdinals::From(block * 1_000),
        Some(order) => RowOrdinals::Listed(
            order
                .iter()
                .map(|order| 1_500 + order * 10 + index as u64)
                .collect(),
        ),
    }
}

fn batch_cells(rows: &[Received]) -> RecordBatch {
    let column = |index: usize| rows.iter().map(|row| row.cells[index].clone()).collect();
    cells(&(0..4).map(column).collect::<Vec<Vec<_>>>())
}

/// The rows that are sent, by ordinal.
fn sent(chunk: &Chunk) -> BTreeMap<u64, Vec<Option<String>>> {
    let parts = chunk.parts().iter();
    parts
        .flat_map(|part| {
            let rows: Vec<usize> = part.runs().into_iter().flatten().collect();
            let ordinals = rows.into_iter().map(|row| part.ordinals.of(row));
            let kept = part.kept().map(|kept| BooleanArray::new(kept, None));
            let cells = kept.map(|kept| filter_record_batch(&part.cells, &kept).unwrap());
            let cells = rows_of(cells.as_ref().unwrap_or(&part.cells));
            ordinals.zip(cells).collect::<Vec<_>>()
        })
        .collect()
}

/// What a chunk must become, by applying its rows one after the other.
#[derive(Debug, Default)]
struct Model {
    sent: BTreeMap<u64, Vec<Option<String>>>,
    merged: Vec<(u64, u64)>,
    waiting: Vec<(u32, u64)>,
}

fn model(rows: &BTreeMap<u64, Received>, is_blocked: impl Fn(u32) -> bool) -> Model {
    let mut model = Model::default();
    let mut records: BTreeMap<u32, (Vec<u64>, Vec<Option<String>>)> = BTreeMap::new();
    for (ordinal, row) in rows.iter().filter(|(_, row)| !row.skipped) {
        match row.key {
            None => drop(model.sent.insert(*ordinal, row.cells.clone())),
            Some(key) if is_blocked(key) => model.waiting.push((key, *ordinal)),
            Some(key) => {
                let record = records.entry(key);
                let (ordinals, record) = record.or_insert((vec![], vec![None; row.cells.len()]));
                ordinals.push(*ordinal);
                for (cell, new) in record.iter_mut().zip(&row.cells) {
                    *cell = new.clone().or(cell.take());
                }
            }
        }
    }
    for (ordinals, record) in records.into_values() {
        let (last, earlier) = ordinals.split_last().unwrap();
        model
            .merged
            .extend(earlier.iter().map(|ordinal| (*ordinal, *last)));
        model.sent.insert(*last, record);
    }
    model.merged.sort_unstable();
    model
}

proptest! {
    #[test]
    fn merging_is_applying_one_after_the_other(
        batches in batches(),
        blocks in Just([0_u64, 1, 2, 3]).prop_shuffle(),
        blocked in prop::collection::vec(prop::bool::weighted(0.2), 8),
    ) {
        let schema = batch_cells(&batches[0].0).schema();
        let mut chunker = Chunker::new(&schema, 1_000_000, None).unwrap();
        let mut rows = BTreeMap::new();
        for (index, batch) in batches.iter().enumerate() {
            let ordinals = ordinals(batch, index, blocks[index]);
            let skip = BooleanBuffer::from_iter(batch.0.iter().map(|row| row.skipped));
            rows.extend(batch.0.iter().enumerate().map(|(i, row)| (ordinals.of(i), row.clone())));
            chunker.push(&batch_cells(&batch.0), ordinals, Some(skip)).unwrap();
        }
        let chunk = chunker.close().unwrap();
        let (bytes_before, span) = (chunk.bytes(), chunk.span());
        let all = rows.iter().filter(|(_, row)| !row.skipped).map(|(ordinal, _)| *ordinal);
        prop_assert!(chunk.sent().iter().eq(all));

        let key = key(1, KeyForm::Number { scale: 0 });
        let digest = |number: u32| key.form.digest(&number.to_string(), &mut String::new());
        let blocked_digests: Vec<KeyDigest> =
            (0..8).filter(|key| blocked[*key as usize]).map(digest).collect();
        let expected = model(&rows, |key| blocked[key as usize]);
        let merged = merge(chunk, &key, |digest| blocked_digests.contains(&digest));

        prop_assert_eq!(sent(&merged.chunk), expected.sent.clone());
        prop_assert_eq!(pairs(&merged), expected.merged);
        let mut wait: Vec<_> =
            expected.waiting.iter().map(|(key, ordinal)| (digest(*key), *ordinal)).collect();
        wait.sort_unstable();
        prop_assert_eq!(waiting(&merged), wait);
        let sent_keys = expected.sent.keys().filter_map(|ordinal| rows[ordinal].key);
        let keys: Vec<KeyDigest> = sent_keys.map(digest).collect();
        prop_assert_eq!(merged.keys, keys, "in the order of the rows");

        let csv = bytes(&merged.chunk);
        prop_assert_eq!(csv.len() as u64, merged.chunk.bytes());
        prop_assert!(merged.chunk.bytes() <= bytes_before);
        let mut written = read(&csv, &schema);
        prop_assert_eq!(written.len() as u64, merged.chunk.rows());
        written.sort_unstable();
        let mut cells: Vec<_> = expected.sent.values().cloned().collect();
        cells.sort_unstable();
        prop_assert_eq!(written, cells);
        prop_assert!(merged.chunk.sent().iter().eq(expected.sent.into_keys()));
        prop_assert_eq!(merged.chunk.span(), span);
    }
}
