//! The table of values, from JSON values to the cell of a job and what the org holds, through the
//! library and through the binary. Arrow values go through the library alone.

use std::collections::{BTreeMap, HashMap};

use arrow_salesforce::arrow::array::{AsArray, RecordBatch};
use arrow_salesforce::bulk::Credentials;
use arrow_salesforce::load::{Loader, Org};
use arrow_salesforce::options::OrgOptions;
use destination_salesforce::protocol::{MessageDecoder, StreamSchema};
use testkit::sim::{CLIENT_ID, CLIENT_SECRET, REFRESH_TOKEN, TestSim};
use testkit::values::{
    Case, Coerced, SettingsText, Source, json_schema, options, read, wrongly_coerced, wrongly_held,
};
use testkit::{KEY, rejected};

use crate::harness::lines::Stream;
use crate::harness::process::Job;

#[tokio::test]
async fn json_values_through_the_library() {
    let sim = TestSim::start().await;
    let url = sim.url().parse().unwrap();
    let login = Credentials::refresh_token(url, CLIENT_ID, CLIENT_SECRET, REFRESH_TOKEN);
    let org = Org::connect(login, OrgOptions::default()).await.unwrap();
    let cases = read();
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
            .values(options(settings))
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
    let cases = read();
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
            .flat_map(|(stream, cases)| cases.iter().map(|case| line(stream, case)))
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
            let column = (name.to_owned(), json_schema(declared));
            stream.columns.push(column);
        }
    }
    stream
}

/// The record of a case as a line.
fn line(stream: &Stream, case: &Case) -> String {
    stream.record_text(&case.record())
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
        decoder.line(line(stream, case).as_bytes());
    }
    decoder.flush(0).unwrap()
}

/// The cases whose cell or reason is another than expected.
fn wrong_cells(loader: &Loader, batch: &RecordBatch, cases: &[&Case]) -> Vec<String> {
    let cells = loader.coercion().apply(batch).unwrap();
    let rejects: HashMap<usize, &str> = cells
        .rejects
        .iter()
        .map(|(row, reason)| (*row, reason.message.as_str()))
        .collect();
    let coerced = cases.iter().enumerate().map(|(row, case)| {
        let column = cells.batch.column_by_name(case.api_name()).unwrap();
        let texts = column.as_string::<i32>();
        Coerced {
            cell: texts.iter().nth(row).flatten().map(str::to_owned),
            reject: rejects.get(&row).copied(),
        }
    });
    wrongly_coerced(cases, coerced)
}
