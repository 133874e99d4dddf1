//! The table of values, from Arrow values to the cell of a job and what the org holds; and the tables
//! of `docs/values.md`, which are made from the same file. JSON values go through the destination.

mod arrays;
mod docs;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrow_salesforce::arrow::array::{ArrayRef, AsArray, RecordBatch, StringArray};
use arrow_salesforce::arrow::datatypes::DataType;
use arrow_salesforce::load::{Event, Loader, Org};
use arrow_salesforce::object::Operation;
use arrow_salesforce::options::{OrgOptions, ValueOptions};
use arrow_salesforce::reject::REJECT_MESSAGE;
use futures::stream::{self, StreamExt as _};
use testkit::KEY;
use testkit::sim::TestSim;
use testkit::values::{
    Case, Coerced, FIELDS, Source, options, read, wrongly_coerced, wrongly_held,
};

/// They mostly wait for their jobs.
const LOADS_AT_ONCE: usize = 8;

#[test]
fn the_file_covers_every_field_type_from_json_and_from_arrow() {
    let cases = read();
    assert!(cases.len() >= 150);
    for field in FIELDS {
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
    let cases = read();
    let mut groups: BTreeMap<_, Vec<&Case>> = BTreeMap::new();
    for case in &cases {
        if let Source::Arrow(kind) = &case.source {
            let group = (&case.settings, case.object(), case.api_name(), kind);
            groups.entry(group).or_default().push(case);
        }
    }
    let mut loads = Vec::new();
    for ((settings, _, _, kind), cases) in groups {
        loads.push(arrow_failures(&org, options(settings), kind, cases));
    }
    let failures = stream::iter(loads).buffer_unordered(LOADS_AT_ONCE);
    let mut failures: Vec<String> = failures.concat().await;
    let arrow = |case: &&Case| matches!(case.source, Source::Arrow(_));
    failures.extend(wrongly_held(&sim, cases.iter().filter(arrow)).await);
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Loads the values of one type into one field; returns what went wrong.
async fn arrow_failures(
    org: &Org,
    values: ValueOptions,
    kind: &str,
    cases: Vec<&Case>,
) -> Vec<String> {
    let batch = arrow_batch(kind, &cases);
    let loader = Loader::builder(org)
        .object(cases[0].object())
        .operation(operation(cases[0]))
        .schema(batch.schema())
        .values(values)
        .build()
        .await;
    let wrong = |expected: &Option<String>, messages: &[String]| match expected {
        Some(expected) => !messages.iter().any(|message| message.contains(expected)),
        None => false,
    };
    let (mut failures, messages) = match loader {
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
        if wrong(&expect.reject, &messages) || wrong(&expect.config, &messages) {
            failures.push(format!("{case}: messages {messages:?}"));
        }
    }
    failures
}

fn operation(case: &Case) -> Operation {
    if case.is_key() {
        Operation::Upsert {
            external_id: KEY.into(),
        }
    } else {
        Operation::Insert
    }
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

/// Loads a batch; returns why rows were rejected.
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
