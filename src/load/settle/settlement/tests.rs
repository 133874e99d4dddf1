use std::collections::BTreeMap;

use arrow::array::{ArrayRef, RecordBatch, StringArray, UInt64Array};
use datafusion::execution::memory_pool::GreedyMemoryPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use proptest::prelude::*;

use super::*;
use crate::coerce::Stage;
use crate::error::{Error, ErrorKind};
use crate::load::settle::identity::{Compared, cell_digests};

type Row = [Option<String>; 2];

fn row(a: &str, b: &str) -> Row {
    [a, b].map(|cell| (!cell.is_empty()).then(|| cell.to_owned()))
}

fn digests(rows: &[Row]) -> Vec<KeyDigest> {
    let column = |index: usize| -> ArrayRef {
        Arc::new(
            rows.iter()
                .map(|row| row[index].clone())
                .collect::<StringArray>(),
        )
    };
    let cells = [("A", column(0), true), ("B", column(1), true)];
    let cells = RecordBatch::try_from_iter_with_nullable(cells).unwrap();
    cell_digests(&Compared::all(&cells.schema()), &cells).unwrap()
}

/// A reason that says which row it is of.
fn reason(row: &Row) -> Arc<Reason> {
    Arc::new(Reason {
        stage: Stage::Salesforce,
        code: "CODE".into(),
        message: format!("{row:?}"),
        fields: Vec::new(),
    })
}

#[derive(Debug, Default, Clone)]
struct Files {
    failed: Vec<Row>,
    unprocessed: Vec<Row>,
    succeeded: Option<Vec<Row>>,
}

/// A settlement with room for everything, for some of it or for nothing.
pub(super) fn begin(size: usize) -> Settlement {
    let room = [usize::MAX, 0, 2_000][size % 3];
    let pool = Arc::new(GreedyMemoryPool::new(room));
    let runtime = RuntimeEnvBuilder::new().with_memory_pool(pool).build_arc();
    Settlement::new(&TaskContext::default().with_runtime(runtime.unwrap()))
}

/// Joins, with small batches on both sides; the first row sent has ordinal 100.
fn settle(sent: &[Row], files: &Files) -> Settled {
    let mut settlement = begin(sent.len());
    for rows in files.failed.chunks(3) {
        let reasons = rows.iter().map(reason).collect();
        settlement.failed(&digests(rows), reasons).unwrap();
    }
    for rows in files.unprocessed.chunks(2) {
        settlement.unprocessed(&digests(rows));
    }
    if let Some(succeeded) = &files.succeeded {
        settlement.expect_successes();
        for rows in succeeded.chunks(4) {
            let unknown = vec![0; rows.len()];
            settlement.succeeded(&digests(rows), &unknown);
        }
    }
    let mut ordinal = 100;
    let sent: Vec<_> = sent
        .chunks(5)
        .map(|rows| {
            let ordinals = UInt64Array::from_iter_values(ordinal..ordinal + rows.len() as u64);
            ordinal += rows.len() as u64;
            Ok(SentRows {
                ordinals,
                digests: digests(rows),
                wholes: None,
            })
        })
        .collect();
    settlement.join(sent).unwrap()
}

/// The ends of rows in a job that counts `accepted` and `failed` ones.
fn counted(sent: &[Row], files: &Files, accepted: u64, failed: u64) -> Ends {
    let counts = JobCounts { accepted, failed };
    settle(sent, files).ends(Some(counts)).unwrap().unwrap()
}

fn rows<const N: usize>(rows: [u64; N]) -> RowSet {
    rows.into_iter().collect()
}

fn rejected_ordinals(ends: &Ends) -> Vec<u64> {
    ends.rejected.iter().map(|(ordinal, _)| *ordinal).collect()
}

#[test]
fn rows_are_found_in_any_order() {
    let sent = [
        row("1", "x"),
        row("2", ""),
        row("", "2"),
        row("4", "\"q\","),
    ];
    let files = Files {
        failed: vec![row("4", "\"q\","), row("", "2")],
        unprocessed: vec![row("1", "x")],
        succeeded: None,
    };
    let settled = settle(&sent, &files);
    let ends = settled.ends(None).unwrap().unwrap();
    assert_eq!(rejected_ordinals(&ends), [102, 103]);
    assert_eq!(ends.rejected[0].1, reason(&row("", "2")));
    assert_eq!(ends.unprocessed, rows([100]));
    assert!(ends.unknown.is_empty());
}

#[test]
fn identical_rows_pair_one_to_one() {
    let same = || row("same", "same");
    let sent = [same(), row("other", ""), same(), same(), same()];
    let files = Files {
        failed: vec![same(), same()],
        unprocessed: vec![same()],
        succeeded: None,
    };
    let ends = settle(&sent, &files).ends(None).unwrap().unwrap();
    assert_eq!(rejected_ordinals(&ends), [100, 102]);
    assert_eq!(ends.unprocessed, rows([103]));
    assert!(ends.unknown.is_empty());
}

#[test]
fn a_result_that_matches_nothing_takes_the_successes() {
    let sent = [row("1", "a"), row("2", "b"), row("3", "c")];
    let mut files = Files {
        failed: vec![row("2.000001", "b")],
        ..Files::default()
    };
    let settled = settle(&sent, &files);
    assert_eq!(settled.ends(None).unwrap(), None);
    files.succeeded = Some(vec![row("3", "c"), row("1", "a")]);
    let ends = counted(&sent, &files, 2, 1);
    assert_eq!(rejected_ordinals(&ends), [101]);
    let message = &ends.rejected[0].1.message;
    assert!(message.ends_with("(matched by elimination)"), "{message}");
    assert!(ends.unknown.is_empty());
    // The job did not refuse a row: the result is of another job.
    assert_eq!(counted(&sent, &files, 3, 0).unknown, rows([101]));
    let uncounted = settle(&sent, &files).ends(None).unwrap().unwrap();
    assert_eq!(uncounted.unknown, rows([101]));
}

#[test]
fn numbers_that_do_not_agree_leave_rows_unknown() {
    let sent = [row("1", "a"), row("2", "b"), row("3", "c")];
    // Two rows open, one failed row unmatched.
    let files = Files {
        failed: vec![row("?", "b")],
        unprocessed: Vec::new(),
        succeeded: Some(vec![row("1", "a")]),
    };
    let ends = settle(&sent, &files).ends(None).unwrap().unwrap();
    assert_eq!(ends.unknown, rows([101, 102]));
    assert!(ends.rejected.is_empty());
    // As many, but nobody can say which of them failed.
    let files = Files {
        failed: vec![row("?", "b")],
        unprocessed: vec![row("?", "c")],
        succeeded: Some(vec![row("1", "a")]),
    };
    let ends = settle(&sent, &files).ends(None).unwrap().unwrap();
    assert_eq!(ends.unknown, rows([101, 102]));
    assert!(ends.rejected.is_empty() && ends.unprocessed.is_empty());
}

#[test]
fn a_failed_row_that_comes_back_twice_takes_no_other_with_it() {
    let same = || row("same", "");
    let (sent, mut files) = ([same(), same()], Files::default());
    files.failed = vec![same(), same()];
    files.succeeded = Some(vec![same()]);
    let ends = counted(&sent, &files, 1, 1);
    assert_eq!(rejected_ordinals(&ends), [100]);
    assert!(ends.unknown.is_empty());
    // Without counts, two may have failed as well.
    let ends = settle(&sent, &files).ends(None).unwrap().unwrap();
    assert_eq!(ends.unknown, rows([100, 101]));
    assert!(ends.rejected.is_empty());
}

#[test]
fn a_row_that_failed_and_succeeded_did_what_the_job_counted() {
    let sent = [row("1", ""), row("2", "")];
    let files = Files {
        failed: vec![row("1", "")],
        unprocessed: Vec::new(),
        succeeded: Some(vec![row("1", ""), row("2", "")]),
    };
    let accepted = Ends {
        accepted: rows([100, 101]),
        ..Ends::default()
    };
    assert_eq!(counted(&sent, &files, 2, 0), accepted);
    assert_eq!(counted(&sent, &files, 1, 1).unknown, rows([100]));
    let ends = settle(&sent, &files).ends(None).unwrap().unwrap();
    assert_eq!(ends.unknown, rows([100]));
}

/// Two rows that look alike in what came back, of which one was accepted; a third whose result is
/// lost; and a success of nobody's row.
#[test]
fn beside_unknown_rows_the_counts_prove_nothing() {
    let mut settlement = Settlement::new(&TaskContext::default());
    settlement.unprocessed(&digests(&[row("1", "")]));
    let succeeded = digests(&[row("1", ""), row("9", "")]);
    settlement.succeeded(&succeeded, &[0, 0]);
    let sent = SentRows {
        ordinals: UInt64Array::from_iter_values(100..103),
        digests: digests(&[row("1", ""), row("1", ""), row("3", "")]),
        wholes: Some(digests(&[row("1", "a"), row("1", "b"), row("3", "c")])),
    };
    let settled = settlement.join([Ok(sent)]).unwrap();
    let counts = JobCounts {
        accepted: 1,
        failed: 0,
    };
    let ends = settled.ends(Some(counts)).unwrap().unwrap();
    assert_eq!(ends.unknown, rows([100, 101, 102]));
}

#[test]
fn rows_found_in_no_file_are_unknown() {
    let sent = [row("1", "a"), row("2", "b")];
    let files = Files {
        succeeded: Some(Vec::new()),
        ..Files::default()
    };
    let ends = settle(&sent, &files).ends(None).unwrap().unwrap();
    assert_eq!(ends.unknown, rows([100, 101]));
}

#[test]
fn an_error_of_the_rows_sent_comes_back_as_it_was() {
    let mut settlement = Settlement::new(&TaskContext::default());
    settlement.unprocessed(&digests(&[row("1", "")]));
    let sent = [Err(Error::transient("the spill file is gone"))];
    let error = settlement.join(sent).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Transient);
    assert_eq!(error.to_string(), "the spill file is gone");
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fate {
    Accepted,
    Rejected,
    Unprocessed,
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        3 => Just(Fate::Accepted),
        2 => Just(Fate::Rejected),
        1 => Just(Fate::Unprocessed),
    ]
}

fn cells() -> impl Strategy<Value = Row> {
    let cell = || proptest::option::of("[ab\",]{1,2}");
    (cell(), cell()).prop_map(|(a, b)| [a, b])
}

type Fates = Vec<(Row, Fate)>;

/// Sent rows with what becomes of each, and the same in another order.
fn job() -> impl Strategy<Value = (Fates, Fates)> {
    proptest::collection::vec((cells(), fate()), 1..60)
        .prop_flat_map(|rows| (Just(rows.clone()), Just(rows).prop_shuffle()))
}

fn files(rows: &[(Row, Fate)]) -> Files {
    let with = |wanted: Fate| {
        let rows = rows.iter().filter(|(_, fate)| *fate == wanted);
        rows.map(|(row, _)| row.clone()).collect::<Vec<_>>()
    };
    Files {
        failed: with(Fate::Rejected),
        unprocessed: with(Fate::Unprocessed),
        succeeded: Some(with(Fate::Accepted)),
    }
}

/// The fate that each sent row was given; panics if one was given two or none.
fn fates(sent: usize, ends: &Ends) -> BTreeMap<u64, Option<Fate>> {
    let mut fates = BTreeMap::new();
    let given = rejected_ordinals(ends)
        .into_iter()
        .map(|ordinal| (ordinal, Some(Fate::Rejected)))
        .chain(
            ends.unprocessed
                .iter()
                .map(|ordinal| (ordinal, Some(Fate::Unprocessed))),
        )
        .chain(
            ends.accepted
                .iter()
                .map(|ordinal| (ordinal, Some(Fate::Accepted))),
        )
        .chain(ends.unknown.iter().map(|ordinal| (ordinal, None)));
    for (ordinal, fate) in given {
        assert!((100..100 + sent as u64).contains(&ordinal));
        assert_eq!(
            fates.insert(ordinal, fate),
            None,
            "row {ordinal} has two ends"
        );
    }
    assert_eq!(fates.len(), sent, "a row has no end");
    fates
}

/// How often each row met each fate.
fn tally<'a>(rows: impl IntoIterator<Item = (&'a Row, Fate)>) -> BTreeMap<(Row, Fate), usize> {
    let mut tally = BTreeMap::new();
    for (row, fate) in rows {
        *tally.entry((row.clone(), fate)).or_default() += 1;
    }
    tally
}

proptest! {
    #[test]
    fn every_row_gets_the_one_end_it_met((sent, shuffled) in job(), successes in any::<bool>()) {
        let rows: Vec<Row> = sent.iter().map(|(row, _)| row.clone()).collect();
        let mut files = files(&shuffled);
        if !successes {
            files.succeeded = None;
        }
        let settled = settle(&rows, &files);
        let ends = settled.ends(None).unwrap().unwrap();
        prop_assert!(ends.unknown.is_empty());
        for (ordinal, found) in &ends.rejected {
            prop_assert_eq!(found, &reason(&rows[*ordinal as usize - 100]));
        }
        let fates = fates(rows.len(), &ends);
        let got = tally(rows.iter().zip(fates.values().map(|fate| fate.unwrap())));
        prop_assert_eq!(got, tally(sent.iter().map(|(row, fate)| (row, *fate))));
    }

    #[test]
    fn failed_rows_that_no_longer_look_like_their_own_are_found_by_elimination(
        (sent, mut shuffled) in job(),
        distorted in 0_usize..10,
    ) {
        let rows: Vec<Row> = sent.iter().map(|(row, _)| row.clone()).collect();
        let failed = shuffled.iter_mut().filter(|(_, fate)| *fate == Fate::Rejected);
        for (row, _) in failed.take(distorted) {
            *row = self::row("distorted", "");
        }
        let met = |wanted: Fate| sent.iter().filter(|(_, fate)| *fate == wanted).count() as u64;
        let counts = (met(Fate::Accepted), met(Fate::Rejected));
        let ends = counted(&rows, &files(&shuffled), counts.0, counts.1);
        prop_assert!(ends.unknown.is_empty());
        let fates = fates(rows.len(), &ends);
        let got = tally(rows.iter().zip(fates.values().map(|fate| fate.unwrap())));
        prop_assert_eq!(got, tally(sent.iter().map(|(row, fate)| (row, *fate))));
    }

    #[test]
    fn no_row_gets_an_end_it_did_not_meet(
        (sent, mut shuffled) in job(),
        lost in 0_usize..5,
        distorted in 0_usize..5,
    ) {
        let rows: Vec<Row> = sent.iter().map(|(row, _)| row.clone()).collect();
        shuffled.drain(..lost.min(shuffled.len()));
        for (row, _) in shuffled.iter_mut().take(distorted) {
            *row = self::row("distorted", "");
        }
        let ends = settle(&rows, &files(&shuffled)).ends(None).unwrap().unwrap();
        let fates = fates(rows.len(), &ends);
        let known = fates.values().filter(|fate| fate.is_some()).count();
        let distorted = distorted.min(shuffled.len());
        prop_assert!(known >= shuffled.len() - distorted);
        let met = tally(sent.iter().map(|(row, fate)| (row, *fate)));
        let given = rows.iter().zip(fates.values()).filter_map(|(row, fate)| Some((row, (*fate)?)));
        for (key, count) in tally(given) {
            prop_assert!(met.get(&key).is_some_and(|met| *met >= count), "{:?}", key);
        }
    }
}
