//! The table of values: each case of `tests/data/values.json`, from source value to the cell of a
//! job and what the org holds, through the library and through the binary; and the tables of
//! `docs/values.md`, which are made from the same file.

mod arrays;
mod cases;
mod docs;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrow_salesforce::arrow::array::{ArrayRef, AsArray, RecordBatch, StringArray};
use arrow_salesforce::arrow::datatypes::DataType;
use arrow_salesforce::load::{Event, Loader, Org};
use arrow_salesforce::object::Operation;
use arrow_salesforce::options::{OrgOptions, ValueOptions};
use arrow_salesforce::reject::REJECT_MESSAGE;
use destination_salesforce::protocol::{MessageDecoder, StreamSchema};
use futures::stream::{self, StreamExt as _};
use serde_json::Value;

use crate::harness::lines::{KEY, Stream};
use crate::harness::process::Job;
use crate::harness::rejected;
use crate::harness::sim::TestSim;
use cases::{Case, SettingsText, Source};

/// They mostly wait for their jobs.
const LOADS_AT_ONCE: usize = 8;

#[test]
fn the_file_covers_every_field_type_from_json_and_from_arrow() {
    let cases = cases::read();
    assert!(cases.len() >= 150);
    for field in cases::FIELDS {
        let of = |arrow: bool| {
            let mut sources = cases.iter().filter(|case| case.field == field.kind);
            sources.any(|case| matches!(case.source, Source::Arrow(_)) == arrow)
        };
        assert!(of(false) || field.kind == "key", "{} from JSON", field.kind);
        let plain_text = matches!(field.literal, "text");
        assert!(of(true) || plain_text, "{} from Arrow", field.kind);
    }
}

#[tokio::test]
async fn arrow_values_through_the_library() {
    let sim = TestSim::start().await;
    let org = crate::library::org(&sim, OrgOptions::default()).await;
    let cases = cases::read();
    let mut groups: BTreeMap<_, Vec<&Case>> = BTreeMap::new();
    for case in &cases {
        if let Source::Arrow(kind) = &case.source {
            let group = (&case.settings, case.object(), case.api_name(), kind);
            groups.entry(group).or_default().push(case);
        }
    }
    let mut loads = Vec::new();
    for ((settings, _, _, kind), cases) in groups {
        let values = cases::options(settings);
        loads.push(arrow_failures(&org, values, kind, cases));
    }
    let failures = stream::iter(loads).buffer_unordered(LOADS_AT_ONCE);
    let mut failures: Vec<String> = failures.concat().await;
    let arrow = |case: &&Case| matches!(case.source, Source::Arrow(_));
    failures.extend(wrongly_held(&sim, cases.iter().filter(arrow)).await);
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Loads the values of one type into one field; answers what went wrong.
async fn arrow_failures(
    org: &Org,
    values: ValueOptions,
    kind: &str,
    cases: Vec<&Case>,
) -> Vec<String> {
    let batch = arrow_batch(kind, &cases);
    let loader = Loader::builder(org)
        .object(cases[0].object())
        .operation(cases[0].operation())
        .schema(batch.schema())
        .values(values)
        .build()
        .await;
    let wrong = |expected: &Option<String>, told: &[String]| match expected {
        Some(expected) => !told.iter().any(|message| message.contains(expected)),
        None => false,
    };
    let (mut failures, told) = match loader {
        Ok(loader) => (
            wrong_cells(&loader, &batch, &cases),
            load(loader, batch).await,
        ),
        Err(error) => {
            let surprised = cases.iter().filter(|case| case.expect.config.is_none());
            let failures = surprised.map(|case| format!("{case}: {error}")).collect();
            (failures, vec![error.to_string()])
        }
    };
    for case in cases {
        let expect = &case.expect;
        if wrong(&expect.reject, &told) || wrong(&expect.config, &told) {
            failures.push(format!("{case}: told {told:?}"));
        }
    }
    failures
}

#[tokio::test]
async fn json_values_through_the_library() {
    let sim = TestSim::start().await;
    let org = crate::library::org(&sim, OrgOptions::default()).await;
    let cases = cases::read();
    let mut groups: BTreeMap<_, Vec<&Case>> = BTreeMap::new();
    for case in &cases {
        if let Source::Json(declared) = &case.source {
            let group = (&case.settings, case.object(), case.api_name(), declared);
            groups.entry(group).or_default().push(case);
        }
    }
    let mut failures = Vec::new();
    for ((settings, object, name, declared), cases) in groups {
        let stream = declared_stream(declared, object, [name]);
        let batch = decoded(&stream, settings, &cases);
        let loader = Loader::builder(&org)
            .object(object)
            .schema(batch.schema())
            .values(cases::options(settings))
            .build()
            .await
            .unwrap();
        failures.extend(wrong_cells(&loader, &batch, &cases));
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[tokio::test]
async fn json_values_through_the_binary() {
    let sim = TestSim::start().await;
    let cases = cases::read();
    let mut runs: BTreeMap<&SettingsText, Vec<&Case>> = BTreeMap::new();
    for case in &cases {
        if matches!(case.source, Source::Json(_)) {
            runs.entry(&case.settings).or_default().push(case);
        }
    }
    let mut failures = Vec::new();
    for (settings, cases) in &runs {
        let mut streams: BTreeMap<(&str, &str), Vec<&Case>> = BTreeMap::new();
        for case in cases {
            if let Source::Json(declared) = &case.source {
                streams
                    .entry((declared, case.object()))
                    .or_default()
                    .push(case);
            }
        }
        let streams: Vec<(Stream, Vec<&Case>)> = streams
            .into_iter()
            .map(|((declared, object), cases)| {
                let names = cases.iter().map(|case| case.api_name());
                (declared_stream(declared, object, names), cases)
            })
            .collect();
        let lines: Vec<String> = streams
            .iter()
            .flat_map(|(stream, cases)| cases.iter().map(|case| case.line(stream)))
            .chain(streams.iter().map(|(stream, _)| stream.complete()))
            .collect();
        let named: Vec<&Stream> = streams.iter().map(|(stream, _)| stream).collect();
        let mut job = Job::new(&sim, &named).rejects_to_folder();
        for (key, value) in *settings {
            job = job.set(key, value.as_str());
        }
        job.write(&lines).await.succeeded();
        let files = job.reject_files();
        let rejected = rejected::read_all(files.iter().map(|(name, text)| (name, text)));
        let messages: HashMap<&str, (&str, &str)> = rejected
            .iter()
            .map(|row| {
                let message = row.reason()["message"].as_str().unwrap();
                (row.text(KEY), (row.stage(), message))
            })
            .collect();
        failures.extend(cases.iter().filter_map(|case| {
            let found = messages.get(case.key().as_str()).copied();
            let right = match (&case.expect.reject, case.expect.is_refused()) {
                (Some(expected), _) => {
                    found.is_some_and(|(stage, text)| stage == "coerce" && text.contains(expected))
                }
                (None, true) => found.is_some_and(|(stage, _)| stage == "salesforce"),
                (None, false) => found.is_none(),
            };
            (!right).then(|| format!("{case}: {found:?}"))
        }));
    }
    failures.extend(wrongly_held(&sim, runs.values().flatten().copied()).await);
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// A stream of one object whose columns are declared alike, all but the key.
fn declared_stream<'a>(
    declared: &str,
    object: &str,
    names: impl IntoIterator<Item = &'a str>,
) -> Stream {
    let mut stream = Stream::new(&format!("{declared} of {object}"), object, &[KEY]);
    for name in names {
        if stream.columns.iter().all(|(known, _)| known != name) {
            let column = (name.to_owned(), cases::json_schema(declared));
            stream.columns.push(column);
        }
    }
    stream
}

fn decoded(stream: &Stream, settings: &SettingsText, cases: &[&Case]) -> RecordBatch {
    let schema = stream.configured()["stream"]["json_schema"].clone();
    let schema = StreamSchema::from_json_schema(&stream.name, None, &schema.to_string()).unwrap();
    let clears = settings.get("null_handling").is_some_and(|v| v == "clear");
    let schema = if clears {
        schema.with_explicit_nulls()
    } else {
        schema
    };
    let mut decoder = MessageDecoder::new(&[schema]).unwrap();
    for case in cases {
        decoder.line(case.line(stream).as_bytes());
    }
    decoder.flush(0).unwrap()
}

fn arrow_batch(kind: &str, cases: &[&Case]) -> RecordBatch {
    let name = cases[0].api_name();
    let kind: DataType = kind.parse().unwrap();
    let values: Vec<_> = cases.iter().map(|case| case.value.as_deref()).collect();
    let column = arrays::array(&kind, &values);
    let keys: StringArray = cases.iter().map(|case| Some(case.key())).collect();
    let mut columns = vec![(name, column, true)];
    if name != KEY {
        columns.push((KEY, Arc::new(keys) as ArrayRef, true));
    }
    RecordBatch::try_from_iter_with_nullable(columns).unwrap()
}

/// The cases whose cell or reason is another than expected.
fn wrong_cells(loader: &Loader, batch: &RecordBatch, cases: &[&Case]) -> Vec<String> {
    let cells = loader.coercion().apply(batch).unwrap();
    let column = |case: &Case| cells.batch.column_by_name(case.api_name()).unwrap();
    let rejects: HashMap<usize, &str> = cells
        .rejects
        .iter()
        .map(|(row, reason)| (*row, reason.message.as_str()))
        .collect();
    let found = cases.iter().enumerate().map(|(row, case)| {
        let texts = column(case).as_string::<i32>();
        let cell = texts.iter().nth(row).flatten().map(str::to_owned);
        (case, cell, rejects.get(&row).copied())
    });
    found
        .filter(|(case, cell, reject)| match (&case.expect.reject, reject) {
            (Some(expected), Some(message)) => !message.contains(expected.as_str()),
            (None, None) => Some(cell) != case.expect.cell.as_ref(),
            _ => true,
        })
        .map(|(case, cell, reject)| format!("{case}: cell {cell:?}, reject {reject:?}"))
        .collect()
}

/// Loads a batch; answers why rows were rejected.
async fn load(loader: Loader, batch: RecordBatch) -> Vec<String> {
    let (mut feed, mut events) = loader.start();
    let feeding = tokio::spawn(async move {
        feed.send(batch).await.unwrap();
        feed.finish().await.unwrap();
    });
    let mut messages = Vec::new();
    while let Some(event) = events.next().await {
        if let Event::Rejected(batch) = event.unwrap() {
            let texts = batch.column_by_name(REJECT_MESSAGE).unwrap();
            messages.extend(texts.as_string::<i32>().iter().flatten().map(str::to_owned));
        }
    }
    feeding.await.unwrap();
    messages
}

/// The cases of which the org holds something else than expected.
async fn wrongly_held<'a>(sim: &TestSim, cases: impl Iterator<Item = &'a Case>) -> Vec<String> {
    let mut rows: HashMap<String, Value> = HashMap::new();
    for object in ["Everything__c", "Contact"] {
        for row in sim.rows(object).await {
            rows.insert(row[KEY].as_str().unwrap_or_default().to_owned(), row);
        }
    }
    let keyed = |case: &&Case| case.operation() == Operation::Insert;
    cases
        .filter(keyed)
        .filter_map(|case| {
            let row = rows.get(&case.key());
            let held = row.and_then(|row| row[case.api_name()].as_str());
            let right = match case.expect.held() {
                None => row.is_none(),
                Some(None) => row.is_some(),
                Some(Some(expected)) => held.is_some_and(|held| is_same(held, expected)),
            };
            (!right).then(|| format!("{case}: the org holds {row:?}"))
        })
        .collect()
}

/// Numbers are the same whatever their zeros; texts lose their outer blanks.
fn is_same(held: &str, expected: &str) -> bool {
    let numbers = held.parse::<f64>().ok().zip(expected.parse::<f64>().ok());
    held == expected.trim()
        || numbers.is_some_and(|(held, expected)| held.to_bits() == expected.to_bits())
}
