//! Rows of several types, in results of any shape: what is said of a row was true of it.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::{ArrayRef, RecordBatch, StringArray, UInt64Array};
use proptest::prelude::*;

use super::tests::begin;
use super::*;
use crate::coerce::{Coercion, Stage};
use crate::load::settle::identity::{Identity, row_digests};
use crate::object::{ObjectSchema, Operation, RelatedObjects};
use crate::options::ValueOptions;

/// Values of each column, as they are sent and as they may come back.
const COLUMNS: [(&str, &str, [&[&str]; 2]); 5] = [
    ("Name", "string", [&["a", " a "], &["b"]]),
    (
        "Amount",
        "double",
        [
            &["912260031", "9.12260031E8", "912260031.0"],
            &["0.5", "5E-1"],
        ],
    ),
    (
        "Day",
        "date",
        [&["2026-03-01", "2026-03-01T00:00:00.000Z"], &["2026-03-02"]],
    ),
    (
        "At",
        "datetime",
        [
            &["2026-03-01T10:00:00.000Z", "2026-03-01T10:00:00.000+0000"],
            &["2026-03-01T11:00:00.000Z"],
        ],
    ),
    ("Flag", "boolean", [&["true", "TRUE", "1"], &["false", "0"]]),
];

/// For each column one of its values, or null.
type Row = [Option<usize>; COLUMNS.len()];

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fate {
    Failed,
    Unprocessed,
    Accepted,
}

/// A row of a result file: what it says, and of which row; of nobody's where that is unknown.
type Line = (Fate, Option<usize>);

/// How results differ from what Salesforce should return.
#[derive(Debug, Clone)]
struct Shape {
    dropped: [bool; COLUMNS.len()],
    blank: [bool; COLUMNS.len()],
    /// Which echo of each value comes back.
    echo: usize,
    counted: bool,
    /// The digests of the rows sent were kept.
    entered: bool,
    disturbance: Disturbance,
}

#[derive(Debug, Clone)]
enum Disturbance {
    None,
    /// Lines that come twice.
    Repeated(Vec<prop::sample::Index>),
    /// Lines that are not there, and lines of nobody's rows, with a name of their own.
    Exchanged(Vec<prop::sample::Index>, Vec<Fate>),
}

fn coercion() -> Coercion {
    let fields = COLUMNS.map(|(name, kind, _)| {
        format!(
            r#"{{"name":"{name}","type":"{kind}","scale":2,"precision":18,"length":80,
                "nillable":true,"createable":true,"updateable":true}}"#
        )
    });
    let describe = format!(r#"{{"name":"Thing__c","fields":[{}]}}"#, fields.join(","));
    let object = ObjectSchema::from_describe(describe.as_bytes()).unwrap();
    let source = batch(&[], |(): &(), _| None, |_| true).schema();
    let (insert, related) = (Operation::Insert, RelatedObjects::default());
    Coercion::plan(&source, &object, &insert, &related, ValueOptions::default()).unwrap()
}

/// A batch of the columns that are `kept`.
fn batch<T>(
    rows: &[T],
    cell: impl Fn(&T, usize) -> Option<String>,
    kept: impl Fn(usize) -> bool,
) -> RecordBatch {
    let written = |column: usize| -> ArrayRef {
        let cells = rows.iter().map(|row| cell(row, column));
        Arc::new(cells.collect::<StringArray>())
    };
    let columns = (0..COLUMNS.len()).filter(|column| kept(*column));
    let mut columns: Vec<_> = columns
        .map(|column| (COLUMNS[column].0, written(column), true))
        .collect();
    if columns.len() < COLUMNS.len() {
        columns.push(("sf__Error", written(0), true));
    }
    RecordBatch::try_from_iter_with_nullable(columns).unwrap()
}

fn reason(row: Option<&Row>) -> Arc<Reason> {
    Arc::new(Reason {
        stage: Stage::Salesforce,
        code: "CODE".into(),
        message: format!("{row:?}"),
        fields: Vec::new(),
    })
}

/// Reads results and joins them to the rows sent, of which the first has ordinal 100.
fn settle(sent: &[Row], lines: &[Line], shape: &Shape, successes: bool) -> Settled {
    let coercion = coercion();
    let echoed = |line: &Line, column: usize| match line.1 {
        _ if shape.blank[column] => None,
        None => Some("z".to_owned()),
        Some(row) => sent[row][column].map(|value| {
            let echoes = COLUMNS[column].2[value];
            echoes[(shape.echo + row) % echoes.len()].to_owned()
        }),
    };
    let file = |fate: Fate| {
        let lines: Vec<Line> = lines
            .iter()
            .copied()
            .filter(|line| line.0 == fate)
            .collect();
        let rows = batch(&lines, echoed, |column| !shape.dropped[column]);
        (lines, rows)
    };
    let (failed, unprocessed) = (file(Fate::Failed), file(Fate::Unprocessed));
    let mut files = vec![&failed, &unprocessed];
    let succeeded = file(Fate::Accepted);
    if successes {
        files.push(&succeeded);
    }
    files.retain(|(lines, _)| !lines.is_empty());
    let firsts: Vec<RecordBatch> = files.iter().map(|(_, rows)| rows.clone()).collect();
    let mut identity = Identity::of(&coercion, &firsts).unwrap();
    let mut settlement = begin(sent.len() + lines.len());
    let mut digests = |rows: &RecordBatch| identity.of_results(&coercion, rows).unwrap();
    let reasons = failed
        .0
        .iter()
        .map(|(_, row)| reason(row.map(|row| &sent[row])));
    settlement
        .failed(&digests(&failed.1), reasons.collect())
        .unwrap();
    settlement.unprocessed(&digests(&unprocessed.1));
    if successes {
        // The last bit of the number of an Id says whether the record was created.
        let records = succeeded
            .0
            .iter()
            .map(|(_, row)| row.map_or(0, |row| (row as u64 + 1) << 1));
        let records: Vec<u64> = records.collect();
        settlement.succeeded(&digests(&succeeded.1), &records);
    }
    let cell =
        |row: &Row, column: usize| row[column].map(|value| COLUMNS[column].2[value][0].to_owned());
    let all = RowSet::from(100..100 + sent.len() as u64);
    let mut without_result = RowSet::new();
    let sent = sent.chunks(4).zip((100..).step_by(4)).map(|(rows, first)| {
        let source = batch(rows, cell, |_| true);
        if shape.entered && identity.has_all_cells(&coercion) {
            let cells = coercion.cells(&source).unwrap();
            return Ok(SentRows {
                ordinals: UInt64Array::from_iter_values(first..first + rows.len() as u64),
                digests: row_digests(&coercion, &cells).unwrap().unwrap(),
                wholes: None,
            });
        }
        let sent = identity.sent_rows(&coercion, first, &source, &all);
        let (rows, others) = sent.unwrap();
        without_result.insert_all(&others);
        Ok(rows)
    });
    let mut settled = settlement.join(sent.collect::<Vec<_>>()).unwrap();
    settled.add_without_result(&without_result);
    settled
}

/// What a job says of its rows.
fn ends(sent: &[(Row, Fate)], lines: &[Line], shape: &Shape) -> Ends {
    let rows: Vec<Row> = sent.iter().map(|(row, _)| *row).collect();
    let met = |fate: Fate| sent.iter().filter(|(_, met)| *met == fate).count() as u64;
    let found = |fate: Fate| lines.iter().filter(|(found, _)| *found == fate).count() as u64;
    let counts = shape.counted.then(|| JobCounts {
        accepted: met(Fate::Accepted),
        failed: met(Fate::Failed),
    });
    let agree = [Fate::Failed, Fate::Unprocessed]
        .iter()
        .all(|fate| met(*fate) == found(*fate));
    let first =
        (agree && shape.counted).then(|| settle(&rows, lines, shape, false).ends(counts).unwrap());
    let second = || {
        settle(&rows, lines, shape, true)
            .ends(counts)
            .unwrap()
            .unwrap()
    };
    first.flatten().unwrap_or_else(second)
}

fn shuffled_lines() -> impl Strategy<Value = (Vec<(Row, Fate)>, Vec<Line>)> {
    let value = || prop_oneof![1 => Just(None), 3 => Just(Some(0)), 1 => Just(Some(1))];
    let fate = prop_oneof![
        2 => Just(Fate::Failed),
        1 => Just(Fate::Unprocessed),
        3 => Just(Fate::Accepted),
    ];
    let row = prop::array::uniform5(value());
    prop::collection::vec((row, fate), 1..24).prop_flat_map(|sent| {
        let lines: Vec<Line> = sent
            .iter()
            .zip(0..)
            .map(|((_, fate), row)| (*fate, Some(row)))
            .collect();
        (Just(sent), Just(lines).prop_shuffle())
    })
}

fn shape() -> impl Strategy<Value = Shape> {
    let some = || prop::array::uniform5(prop::bool::weighted(0.3));
    let indexes = || prop::collection::vec(any::<prop::sample::Index>(), 1..4);
    let fates = prop_oneof![
        Just(Fate::Failed),
        Just(Fate::Unprocessed),
        Just(Fate::Accepted)
    ];
    let disturbance = prop_oneof![
        Just(Disturbance::None),
        indexes().prop_map(Disturbance::Repeated),
        (indexes(), prop::collection::vec(fates, 0..4))
            .prop_map(|(lost, foreign)| Disturbance::Exchanged(lost, foreign)),
    ];
    (some(), some(), 0..6_usize, any::<[bool; 2]>(), disturbance).prop_map(
        |(mut dropped, mut blank, echo, [counted, entered], disturbance)| {
            if entered {
                dropped.fill(false);
            }
            if matches!(disturbance, Disturbance::Exchanged(..)) {
                (dropped[0], blank[0]) = (false, false);
            }
            Shape {
                dropped,
                blank,
                echo,
                counted,
                entered,
                disturbance,
            }
        },
    )
}

fn disturb(lines: &mut Vec<Line>, disturbance: &Disturbance) {
    match disturbance {
        Disturbance::None => {}
        Disturbance::Repeated(indexes) => {
            let repeated: Vec<Line> = indexes.iter().map(|index| *index.get(lines)).collect();
            lines.extend(repeated);
        }
        Disturbance::Exchanged(lost, foreign) => {
            for index in lost {
                if !lines.is_empty() {
                    lines.remove(index.index(lines.len()));
                }
            }
            lines.extend(foreign.iter().map(|fate| (*fate, None)));
        }
    }
}

/// The fate given to each row, none where it is unknown; fails if one was given two ends or none.
fn given(rows: usize, ends: &Ends) -> Vec<Option<Fate>> {
    let mut given = BTreeMap::new();
    let rejected = ends
        .rejected
        .iter()
        .map(|(row, _)| (*row, Some(Fate::Failed)));
    let unprocessed = ends
        .unprocessed
        .iter()
        .map(|row| (row, Some(Fate::Unprocessed)));
    let accepted = ends.accepted.iter().map(|row| (row, Some(Fate::Accepted)));
    let unknown = ends.unknown.iter().map(|row| (row, None));
    let all = rejected.chain(unprocessed).chain(accepted).chain(unknown);
    for (ordinal, fate) in all {
        assert!((100..100 + rows as u64).contains(&ordinal));
        assert_eq!(
            given.insert(ordinal, fate),
            None,
            "row {ordinal} has two ends"
        );
    }
    assert_eq!(given.len(), rows, "a row has no end");
    given.into_values().collect()
}

/// No row has an end that no row like it met, and no end is given more often than it was met.
fn each_end_was_met(
    sent: &[(Row, Fate)],
    given: &[Option<Fate>],
    ends: &Ends,
) -> Result<(), TestCaseError> {
    let mut left: BTreeMap<(Row, Fate), usize> = BTreeMap::new();
    for met in sent {
        *left.entry(*met).or_default() += 1;
    }
    for ((row, _), fate) in sent.iter().zip(given) {
        let Some(fate) = fate else { continue };
        let met = left.get_mut(&(*row, *fate)).filter(|left| **left > 0);
        prop_assert!(met.is_some(), "{row:?} did not meet {fate:?}: {ends:?}");
        *met.unwrap() -= 1;
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn no_row_gets_the_end_of_another((sent, mut lines) in shuffled_lines(), shape in shape()) {
        disturb(&mut lines, &shape.disturbance);

        let ends = ends(&sent, &lines, &shape);

        let given = given(sent.len(), &ends);
        each_end_was_met(&sent, &given, &ends)?;
        for (ordinal, found) in &ends.rejected {
            let own = reason(Some(&sent[*ordinal as usize - 100].0));
            let remarked = found.message.ends_with(BY_ELIMINATION);
            prop_assert!(remarked || *found == own, "{ordinal}: {found:?}");
        }
        let whole = !shape.dropped.iter().zip(shape.blank).any(|(dropped, blank)| *dropped || blank);
        let closes = match shape.disturbance {
            Disturbance::None => true,
            // Of identical rows that failed and that were not processed, nobody can say which
            // result came twice.
            Disturbance::Repeated(_) => {
                let met: BTreeSet<&(Row, Fate)> = sent.iter().collect();
                let both = |row: &Row| {
                    met.contains(&(*row, Fate::Failed)) && met.contains(&(*row, Fate::Unprocessed))
                };
                shape.counted && !sent.iter().any(|(row, _)| both(row))
            }
            Disturbance::Exchanged(..) => false,
        };
        prop_assert!(ends.unknown.is_empty() || !(whole && closes), "{ends:?}");
    }

    /// Of each file and each count only the first part is there, as of a job that has just ended.
    #[test]
    fn files_and_counts_that_lag_give_no_row_an_end_it_did_not_meet(
        (sent, lines) in shuffled_lines(),
        shape in shape(),
        there in 0.0_f64..1.0,
        counted in 0.0_f64..1.0,
    ) {
        let shape = Shape { disturbance: Disturbance::None, ..shape };
        let rows: Vec<Row> = sent.iter().map(|(row, _)| *row).collect();
        let met = |fate: Fate| sent.iter().filter(|(_, met)| *met == fate).count();
        let part = |all: usize, share: f64| (all as f64 * share) as usize;
        let mut lagging = Vec::new();
        for fate in [Fate::Failed, Fate::Unprocessed, Fate::Accepted] {
            let of_file = lines.iter().filter(|line| line.0 == fate);
            lagging.extend(of_file.take(part(met(fate), there)).copied());
        }
        let counts = shape.counted.then(|| JobCounts {
            accepted: part(met(Fate::Accepted), counted) as u64,
            failed: part(met(Fate::Failed), counted) as u64,
        });

        let ends = settle(&rows, &lagging, &shape, true).ends(counts).unwrap().unwrap();

        let given = given(sent.len(), &ends);
        let known = given.iter().flatten().count();
        prop_assert!(known <= lagging.len(), "{ends:?}");
        each_end_was_met(&sent, &given, &ends)?;
    }
}
