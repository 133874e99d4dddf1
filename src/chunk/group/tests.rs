use std::collections::{BTreeMap, BTreeSet};

use arrow::buffer::BooleanBuffer;
use proptest::prelude::*;

use super::*;
use crate::chunk::order::gather;
use crate::chunk::testing::{bytes, cells, read, rows_of};
use crate::chunk::{Chunker, RowOrdinals};
use crate::coerce::KeyForm;

const BATCH: usize = BATCH_RECORDS as usize;
const TRANSACTION: usize = TRANSACTION_RECORDS as usize;

fn grouping() -> Grouping {
    let key = |column| Key {
        column,
        form: KeyForm::Text { ignore_case: false },
    };
    Grouping {
        by: key(0),
        then: vec![key(1)],
    }
}

/// A chunk of rows that have a parent, something else to be ordered by, and their own number, in parts of
/// so many rows.
fn chunk(parents: &[Option<u32>], part: usize) -> Chunk {
    let rows: Vec<usize> = (0..parents.len()).collect();
    let mut chunker = None;
    for rows in rows.chunks(part) {
        let parent = rows
            .iter()
            .map(|row| parents[*row].map(|p| format!("P{p}")));
        let other = rows.iter().map(|row| Some(format!("O{}", row % 3)));
        let number = rows.iter().map(|row| Some(row.to_string()));
        let batch = cells(&[parent.collect(), other.collect(), number.collect()]);
        let chunker =
            chunker.get_or_insert_with(|| Chunker::new(&batch.schema(), u64::MAX, None).unwrap());
        let first = RowOrdinals::From(rows[0] as u64);
        assert!(chunker.push(&batch, first, None).unwrap().closed.is_empty());
    }
    chunker.unwrap().close().unwrap()
}

/// The rows as they are sent: parent, other, number.
fn sent(chunk: &Chunk) -> Vec<(Option<String>, String, usize)> {
    let rows = read(&bytes(chunk), chunk.schema());
    let rows = rows.into_iter().map(|mut row| {
        let number = row.pop().unwrap().unwrap().parse().unwrap();
        let other = row.pop().unwrap().unwrap();
        (row.pop().unwrap(), other, number)
    });
    rows.collect()
}

/// In how many blocks of so many rows each parent stands.
fn blocks(rows: &[(Option<String>, String, usize)], block: usize) -> BTreeMap<&str, usize> {
    let mut blocks = BTreeMap::new();
    for rows in rows.chunks(block) {
        let parents: BTreeSet<&str> = rows.iter().filter_map(|row| row.0.as_deref()).collect();
        for parent in parents {
            *blocks.entry(parent).or_default() += 1;
        }
    }
    blocks
}

#[test]
fn few_rows_and_rows_without_a_parent_stay_as_they_came() {
    let few: Vec<Option<u32>> = (0..200).map(|row| Some(row % 2)).collect();
    let none = vec![None; 300];
    let in_order: Vec<Option<u32>> = vec![Some(4); 300];
    for parents in [few, none, in_order] {
        let grouped = chunk(&parents, 100).grouped(&Grouping {
            then: Vec::new(),
            ..grouping()
        });
        assert!(grouped.unwrap().order.is_none());
    }
}

#[test]
fn parents_of_a_batch_each_share_no_batch() {
    // As many rows as a batch has, all mixed.
    let parents: Vec<Option<u32>> = (0..3 * BATCH as u32).map(|row| Some(row * 7 % 3)).collect();
    let grouped = chunk(&parents, 8_192).grouped(&grouping()).unwrap();
    let rows = sent(&grouped);
    assert!(blocks(&rows, BATCH).values().all(|blocks| *blocks == 1));
}

#[test]
fn small_parents_share_no_transaction() {
    let parents: Vec<Option<u32>> = (0..4_000).map(|row| Some(row % 40)).collect();
    let rows = sent(&chunk(&parents, 1_000).grouped(&grouping()).unwrap());
    assert!(
        blocks(&rows, TRANSACTION)
            .values()
            .all(|blocks| *blocks == 1)
    );
}

#[test]
fn rows_that_are_not_sent_stay_behind() {
    let batch = cells(&[
        (0..400).map(|row| Some(format!("P{}", row % 3))).collect(),
        vec![Some("x".to_owned()); 400],
        (0..400)
            .map(|row| Some(row.to_string()))
            .collect::<Vec<_>>(),
    ]);
    let skip = BooleanBuffer::from_iter((0..400).map(|row| row % 4 == 0));
    let mut chunker = Chunker::new(&batch.schema(), u64::MAX, None).unwrap();
    chunker
        .push(&batch, RowOrdinals::From(10), Some(skip))
        .unwrap();
    let plain = chunker.close().unwrap();
    let grouped = plain.clone().grouped(&grouping()).unwrap();
    assert_eq!(grouped.order_memory(), 300 * 8);
    assert_eq!(
        (grouped.sent(), grouped.span()),
        (plain.sent(), plain.span())
    );
    assert_eq!(bytes(&grouped).len() as u64, grouped.bytes());
    let mut rows = sent(&grouped);
    rows.sort_by_key(|row| row.2);
    assert_eq!(rows, sent(&plain));
}

#[test]
fn long_rows_are_written_in_pieces() {
    let text = "x".repeat(50_000);
    let batch = cells(&[
        (0..300).map(|row| Some(format!("P{}", row % 7))).collect(),
        vec![Some("x".to_owned()); 300],
        (0..300)
            .map(|row| Some(format!("{row}{text}")))
            .collect::<Vec<_>>(),
    ]);
    let mut chunker = Chunker::new(&batch.schema(), u64::MAX, None).unwrap();
    chunker.push(&batch, RowOrdinals::From(0), None).unwrap();
    let grouped = chunker.close().unwrap().grouped(&grouping()).unwrap();
    let pieces: Vec<usize> = grouped.csv().map(|piece| piece.unwrap().len()).collect();
    assert!(pieces.iter().all(|piece| *piece < 3 << 20), "{pieces:?}");
    assert_eq!(pieces.iter().sum::<usize>() as u64, grouped.bytes());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn the_order_is_the_same_rows_by_parent_each_in_its_order(
        parents in prop::collection::vec(prop::option::weighted(0.9, 0_u32..60), 201..2_500),
        part in 1_usize..900,
    ) {
        let plain = chunk(&parents, part);
        let grouped = plain.clone().grouped(&grouping()).unwrap();
        prop_assert_eq!(bytes(&grouped).len() as u64, grouped.bytes());
        let rows = sent(&grouped);
        let mut sorted = rows.clone();
        sorted.sort_by_key(|row| row.2);
        prop_assert_eq!(&sorted, &sent(&plain), "the same rows");
        // In less than a batch a parent stands once, in the order of the other column, then as it came.
        let mut seen = BTreeSet::new();
        for same in rows.chunk_by(|a, b| a.0 == b.0) {
            let Some(parent) = &same[0].0 else { continue };
            prop_assert!(seen.insert(parent.clone()), "{} stands twice", parent);
            for same in same.chunk_by(|a, b| a.1 == b.1) {
                prop_assert!(same.is_sorted_by_key(|row| row.2));
            }
            let others: Vec<&String> = same.chunk_by(|a, b| a.1 == b.1).map(|rows| &rows[0].1).collect();
            let distinct: BTreeSet<&&String> = others.iter().collect();
            prop_assert_eq!(distinct.len(), others.len());
        }
    }

    #[test]
    fn rows_are_gathered_from_any_part(picked in prop::collection::vec((0_u32..4, 0_u32..50), 1..80)) {
        let chunk = chunk(&[Some(1); 200], 50);
        let places: Vec<Place> = picked.iter().map(|(part, row)| Place { part: *part, row: *row }).collect();
        let rows = rows_of(&gather(chunk.parts(), &places).unwrap());
        for (row, (part, at)) in rows.iter().zip(&picked) {
            let expected = rows_of(&chunk.parts()[*part as usize].cells);
            prop_assert_eq!(row, &expected[*at as usize]);
        }
    }
}
