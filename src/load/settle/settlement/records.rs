//! Which record each row became.

use std::collections::BTreeMap;

use arrow::array::UInt64Array;
use proptest::prelude::*;

use super::tests::begin;
use super::*;

/// A row that was written: what was compared of it, and all of it.
type Row = (u8, u8);

fn digest(value: u8) -> KeyDigest {
    KeyDigest::of(&[b'v', value])
}

/// The records of rows from the ordinal 100 on; results are what was compared, with an Id each.
fn records(sent: &[Row], results: &[(u8, u64)], room: usize) -> BTreeMap<u64, RowRecord> {
    let mut settlement = begin(room);
    settlement.expect_successes();
    for results in results.chunks(3) {
        let digests: Vec<_> = results.iter().map(|(value, _)| digest(*value)).collect();
        let ids: Vec<_> = results.iter().map(|(_, id)| *id).collect();
        settlement.succeeded(&digests, &ids);
    }
    let all = RowSet::from(100..100 + sent.len() as u64);
    let mut ordinals = all.iter();
    let parts = sent.chunks(2).map(|rows| {
        let ordinals: Vec<u64> = ordinals.by_ref().take(rows.len()).collect();
        Ok(SentRows {
            ordinals: UInt64Array::from(ordinals),
            digests: rows.iter().map(|row| digest(row.0)).collect(),
            wholes: Some(rows.iter().map(|row| digest(row.1)).collect()),
        })
    });
    let log = settlement.join(parts).unwrap().records(&all).unwrap();
    let part = log.part_of(100).unwrap();
    let found = all.iter().map(|row| {
        let record = part.as_ref().and_then(|part| part.of(row));
        (row, record.unwrap())
    });
    found.collect()
}

#[test]
fn equal_rows_have_an_id_each_and_others_none_that_is_guessed() {
    use RowRecord::{Indistinct, Known, NoResult};
    for room in 0..3 {
        let of = |sent: &[Row], results: &[(u8, u64)]| -> Vec<RowRecord> {
            records(sent, results, room).into_values().collect()
        };
        // In another order than they were sent.
        let sent = [(1, 1), (2, 2), (3, 3)];
        let results = [(3, 30), (1, 10), (2, 20)];
        assert_eq!(of(&sent, &results), [Known(10), Known(20), Known(30)]);
        // Equal rows: each Id once, a repeated result counts once, created or not.
        let results = [(1, 10), (1, 10), (1, 11), (1, 12)];
        assert_eq!(of(&[(1, 1); 2], &results), [Known(10), Known(12)]);
        // One result too few, or without an Id.
        assert_eq!(of(&[(1, 1); 2], &results[..2]), [Known(10), NoResult]);
        assert_eq!(of(&[(1, 1)], &[(1, 0)]), [NoResult]);
        assert_eq!(of(&[(1, 1)], &[(2, 20)]), [NoResult]);
        // Alike as far as they came back, and yet different.
        assert_eq!(of(&[(1, 1), (1, 2)], &[(1, 10), (1, 20)]), [Indistinct; 2]);
        // Records of nobody's row.
        assert_eq!(of(&[(1, 1)], &[(1, 10), (1, 20)]), [Indistinct]);
    }
}

proptest! {
    #[test]
    fn no_row_has_an_id_that_is_not_its_own(
        sent in prop::collection::vec((0_u8..6, 0_u8..2), 1..40),
        lost in prop::collection::vec(any::<prop::sample::Index>(), 0..4),
        seed in any::<u64>(),
    ) {
        // The record of each row, by an even number.
        let mut results: Vec<(u8, u64)> = sent
            .iter()
            .zip(1_u64..)
            .map(|(row, id)| (row.0, id * 2))
            .collect();
        fastrand::Rng::with_seed(seed).shuffle(&mut results);
        for index in lost {
            if !results.is_empty() {
                results.swap_remove(index.index(results.len()));
            }
        }
        let mut ids = std::collections::BTreeSet::new();
        for (row, record) in records(&sent, &results, sent.len()) {
            let RowRecord::Known(id) = record else { continue };
            prop_assert!(ids.insert(id));
            let own = sent[(row - 100) as usize];
            prop_assert_eq!(sent[(id / 2 - 1) as usize], own, "an equal row's at least");
        }
    }
}
