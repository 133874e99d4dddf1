use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema};
use proptest::prelude::*;

use super::testing::{Column, bytes, cells, columns, read, rows_of};
use super::*;

fn chunker(batch: &RecordBatch, max_bytes: u64, max_rows: Option<u64>) -> Chunker {
    Chunker::new(&batch.schema(), max_bytes, max_rows).unwrap()
}

fn long(length: usize, text: &str) -> Option<String> {
    Some(text.repeat(length))
}

#[test]
fn one_chunk() {
    let batch = cells(&[
        vec![Some("a"), None, Some("c,d")],
        vec![Some("1"), Some("2"), None],
    ]);
    let mut chunker = chunker(&batch, 1_000, None);
    let pushed = chunker.push(&batch, RowOrdinals::From(7), None).unwrap();
    assert!(pushed.closed.is_empty() && pushed.oversized.is_empty());
    assert_eq!(chunker.open_rows(), 3);
    let chunk = chunker.close().unwrap();
    assert_eq!(bytes(&chunk), b"F0,F1\na,1\n,2\n\"c,d\",\n");
    assert_eq!(bytes(&chunk), bytes(&chunk));
    assert_eq!(chunk.bytes(), bytes(&chunk).len() as u64);
    assert_eq!(chunk.header(), ["F0", "F1"]);
    assert_eq!(chunk.sent(), RowSet::from(7..10));
    assert!(chunker.is_empty() && chunker.close().is_none());
}

#[test]
fn skipped_rows_belong_to_a_chunk_and_are_not_sent() {
    let batch = cells(&[vec![Some("a"), Some("b"), Some("c"), Some("d")]]);
    let skip = BooleanBuffer::from(vec![true, false, true, false]);
    let mut chunker = chunker(&batch, 1_000, Some(1));
    let pushed = chunker
        .push(&batch, RowOrdinals::From(0), Some(skip))
        .unwrap();
    assert_eq!(pushed.closed.len(), 1);
    assert_eq!(bytes(&pushed.closed[0]), b"F0\nb\n");
    assert_eq!(pushed.closed[0].span(), 0..3);
    assert_eq!(pushed.closed[0].sent(), RowSet::from(1..2));
    let last = chunker.close().unwrap();
    assert_eq!((last.rows(), last.span()), (1, 3..4));
}

#[test]
fn a_chunk_of_skipped_rows_only() {
    let batch = cells(&[vec![Some("a"), Some("b")]]);
    let mut chunker = chunker(&batch, 1_000, None);
    chunker
        .push(
            &batch,
            RowOrdinals::From(5),
            Some(BooleanBuffer::new_set(2)),
        )
        .unwrap();
    let chunk = chunker.close().unwrap();
    assert_eq!((chunk.rows(), chunk.span()), (0, 5..7));
    assert!(chunk.sent().is_empty());
}

#[test]
fn listed_ordinals_follow_their_rows() {
    let batch = cells(&[vec![Some("a"), Some("b"), Some("c"), Some("d"), Some("e")]]);
    let listed = RowOrdinals::Listed(vec![9, 4, 3, 7, 5].into());
    let skip = BooleanBuffer::from(vec![false, false, false, true, false]);
    let mut chunker = chunker(&batch, 1_000, Some(3));
    let pushed = chunker.push(&batch, listed, Some(skip)).unwrap();
    let [full] = pushed.closed.as_slice() else {
        panic!("{pushed:?}");
    };
    assert_eq!(full.sent(), RowSet::from_iter([3..5, 9..10]));
    assert_eq!(full.span(), 3..10);
    chunker
        .push(&batch.slice(0, 2), RowOrdinals::From(0), None)
        .unwrap();
    let last = chunker.close().unwrap();
    assert_eq!(bytes(&last), b"F0\ne\na\nb\n");
    assert_eq!(last.sent(), RowSet::from_iter([0..2, 5..6]));
    assert_eq!(last.span(), 0..6);
}

#[test]
fn ordinals_are_as_many_as_rows() {
    let batch = cells(&[vec![Some("a"), Some("b")]]);
    let listed = RowOrdinals::Listed(vec![1].into());
    let error = chunker(&batch, 1_000, None).push(&batch, listed, None);
    assert!(matches!(error, Err(ChunkError::Schema)));
}

#[test]
fn limits_are_characters() {
    let batch = cells(&[vec![
        long(MAX_FIELD_CHARS, "é"),
        long(MAX_FIELD_CHARS + 1, "é"),
        long(MAX_FIELD_CHARS, "\""),
    ]]);
    let mut chunker = chunker(&batch, 10_000_000, None);
    let pushed = chunker.push(&batch, RowOrdinals::From(0), None).unwrap();
    assert_eq!(pushed.oversized.len(), 1);
    let (row, reason) = &pushed.oversized[0];
    assert_eq!((*row, reason.code.as_ref()), (1, Reason::VALUE_TOO_LONG));
    assert_eq!(reason.fields, ["F0"]);
    assert_eq!(
        reason.message,
        "F0: longer than the 131072 characters that a job takes in a field"
    );
    let chunk = chunker.close().unwrap();
    assert_eq!(chunk.rows(), 2);
    assert_eq!(chunk.bytes(), bytes(&chunk).len() as u64);
}

#[test]
fn an_emoji_is_two_characters() {
    let most = MAX_FIELD_CHARS / 2;
    let batch = cells(&[vec![long(most, "😀"), long(most + 1, "😀")]]);
    let mut open = chunker(&batch, 10_000_000, None);
    let pushed = open.push(&batch, RowOrdinals::From(0), None).unwrap();
    let [(1, reason)] = pushed.oversized.as_slice() else {
        panic!("{pushed:?}");
    };
    assert_eq!(
        reason.message,
        "F0: longer than the 131072 characters that a job takes in a field (an emoji is two)"
    );
    let batch = cells(&vec![vec![long(50_000, "😀")]; 4]);
    let mut open = chunker(&batch, 10_000_000, None);
    let pushed = open.push(&batch, RowOrdinals::From(0), None).unwrap();
    assert_eq!(
        pushed.oversized[0].1.message,
        "the record has 400003 characters (an emoji is two); a job takes 400000"
    );
}

#[test]
fn a_record_too_long_as_a_whole() {
    let column = |text: &str| vec![long(99_998, text), Some("x".to_owned())];
    let batch = cells(&vec![column("é"); 4]);
    let mut open = chunker(&batch, 10_000_000, None);
    assert!(
        open.push(&batch, RowOrdinals::From(0), None)
            .unwrap()
            .oversized
            .is_empty()
    );
    let batch = cells(&vec![column("é"); 5]);
    let mut open = chunker(&batch, 10_000_000, None);
    let pushed = open.push(&batch, RowOrdinals::From(0), None).unwrap();
    assert_eq!(pushed.oversized[0].1.code, Reason::RECORD_TOO_LONG);
    assert_eq!(
        pushed.oversized[0].1.message,
        "the record has 499994 characters; a job takes 400000"
    );
}

#[test]
fn a_record_larger_than_the_bound() {
    let batch = cells(&[vec![long(97, "x"), long(96, "x")]]);
    let mut chunker = chunker(&batch, 100, None);
    let pushed = chunker.push(&batch, RowOrdinals::From(0), None).unwrap();
    assert_eq!(
        pushed.oversized[0].1.message,
        "the record has 98 bytes of CSV; max_job_bytes leaves 97 beside the header"
    );
    assert_eq!(chunker.close().unwrap().bytes(), 100);
}

#[test]
fn a_header_that_leaves_no_room() {
    let fields = (0..4_000).map(|i| Field::new(format!("Field{i}__c"), DataType::Utf8, true));
    let wide = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let error = Chunker::new(&wide, 1_000_000, None).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("characters and may have 32000; load fewer")
    );
    let narrow = cells::<&str>(&[vec![None]]).schema();
    let error = Chunker::new(&narrow, 3, None).unwrap_err();
    assert!(error.to_string().contains("3 bytes and may have 2"));
}

#[test]
fn columns_are_text_and_stay_the_same() {
    let numbers = Arc::new(Schema::new(vec![Field::new("N", DataType::Int32, true)]));
    let error = Chunker::new(&numbers, 1_000, None).unwrap_err();
    assert!(matches!(error, ChunkError::NotText { .. }));
    let one = cells(&[vec![Some("a")]]);
    let two = cells(&[vec![Some("a")], vec![Some("b")]]);
    let error = chunker(&one, 1_000, None)
        .push(&two, RowOrdinals::From(0), None)
        .unwrap_err();
    assert!(matches!(error, ChunkError::Schema));
}

#[test]
fn pieces_are_about_one_mebibyte() {
    let batch = cells(&[vec![long(100_000, "x"); 100]]);
    let mut chunker = chunker(&batch, 100_000_000, None);
    chunker.push(&batch, RowOrdinals::From(0), None).unwrap();
    let chunk = chunker.close().unwrap();
    let lengths: Vec<usize> = chunk.csv().map(|piece| piece.unwrap().len()).collect();
    assert_eq!(lengths.iter().sum::<usize>() as u64, chunk.bytes());
    assert!(
        lengths.iter().all(|length| *length <= 2 << 20),
        "{lengths:?}"
    );
    assert!(lengths.len() <= 11, "{lengths:?}");
    assert!(chunk.memory() >= 10_000_000);
}

/// Batches with a skip mask each.
fn batches() -> impl Strategy<Value = Vec<(Vec<Column>, Option<Vec<bool>>)>> {
    (1..=4_usize).prop_flat_map(|width| {
        let one = columns(4, 30).prop_flat_map(move |mut columns| {
            columns.resize(width, columns[0].clone());
            let rows = columns[0].len();
            let skip = prop::option::of(prop::collection::vec(any::<bool>(), rows));
            (Just(columns), skip)
        });
        prop::collection::vec(one, 1..4)
    })
}

proptest! {
    #[test]
    fn chunks_are_the_rows_in_order(
        batches in batches(),
        max_bytes in 40_u64..2_000,
        max_rows in prop::option::of(1_u64..40),
    ) {
        let schema = cells(&batches[0].0).schema();
        let mut chunker = Chunker::new(&schema, max_bytes, max_rows).unwrap();
        let (mut chunks, mut expected, mut ordinals, mut first) = (vec![], vec![], vec![], 0);
        for (columns, skip) in &batches {
            let batch = cells(columns);
            let mask = skip.clone().map(BooleanBuffer::from);
            let pushed = chunker.push(&batch, RowOrdinals::From(first), mask).unwrap();
            chunks.extend(pushed.closed);
            for (row, values) in rows_of(&batch).into_iter().enumerate() {
                let skipped = skip.as_ref().is_some_and(|skip| skip[row]);
                let oversized = pushed.oversized.iter().any(|(r, _)| *r == row);
                prop_assert!(!(skipped && oversized));
                if !skipped && !oversized {
                    expected.push(values);
                    ordinals.push(first + row as u64);
                }
            }
            first += batch.num_rows() as u64;
        }
        let closed_by_size = chunks.len();
        chunks.extend(chunker.close());
        let (mut found, mut sent, mut next) = (vec![], vec![], 0);
        for (index, chunk) in chunks.iter().enumerate() {
            let csv = bytes(chunk);
            prop_assert_eq!(csv.len() as u64, chunk.bytes());
            prop_assert!(chunk.bytes() <= max_bytes);
            prop_assert!(chunk.rows() <= max_rows.unwrap_or(u64::MAX));
            prop_assert!(chunk.rows() > 0 || index == closed_by_size);
            let rows = read(&csv, &schema);
            prop_assert_eq!(rows.len() as u64, chunk.rows());
            found.extend(rows);
            sent.extend(chunk.sent().iter());
            prop_assert_eq!(chunk.span().start, next);
            next = chunk.span().end;
        }
        prop_assert_eq!(next, first);
        prop_assert_eq!(sent, ordinals);
        prop_assert_eq!(found, expected);
    }
}
