//! The library: RecordBatches of any Arrow types in, events and a report out.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow_salesforce::arrow::array::{
    ArrayRef, AsArray, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int64Array,
    RecordBatch, StringArray, StringViewArray, TimestampMicrosecondArray,
};
use arrow_salesforce::bulk::Credentials;
use arrow_salesforce::load::{Event, Events, LoadReport, Loader, Org};
use arrow_salesforce::options::{LoadOptions, OrgOptions};
use arrow_salesforce::{Error, ErrorKind};
use testkit::KEY;
use testkit::sim::{CLIENT_ID, CLIENT_SECRET, REFRESH_TOKEN, TestSim};

pub(crate) async fn org(sim: &TestSim, options: OrgOptions) -> Org {
    let url = sim.url().parse().unwrap();
    let credentials = Credentials::refresh_token(url, CLIENT_ID, CLIENT_SECRET, REFRESH_TOKEN);
    Org::connect(credentials, options).await.unwrap()
}

fn texts(values: impl IntoIterator<Item = Option<String>>) -> ArrayRef {
    Arc::new(values.into_iter().collect::<StringArray>())
}

/// Contacts `numbers`, of which each third lacks its required name.
fn batch(numbers: std::ops::Range<usize>) -> RecordBatch {
    let names = numbers
        .clone()
        .map(|n| (n % 3 != 2).then(|| format!("Ng {n}")));
    let keys = numbers.map(|n| Some(format!("C-{n}")));
    RecordBatch::try_from_iter_with_nullable([
        (KEY, texts(keys), true),
        ("LastName", texts(names), true),
    ])
    .unwrap()
}

async fn loader(org: &Org, object: &str, batch: &RecordBatch) -> Loader {
    Loader::builder(org)
        .object(object)
        .schema(batch.schema())
        .build()
        .await
        .unwrap()
}

/// A loader of contacts by jobs of few rows.
async fn loader_of(org: &Org, rows: u64) -> Loader {
    Loader::builder(org)
        .object("Contact")
        .schema(batch(0..1).schema())
        .options(LoadOptions::default().with_max_job_rows(rows))
        .build()
        .await
        .unwrap()
}

fn stream(
    batches: Vec<RecordBatch>,
) -> impl futures::Stream<Item = Result<RecordBatch, Error>> + Send {
    futures::stream::iter(batches.into_iter().map(Ok))
}

#[tokio::test]
async fn one_row() {
    let sim = TestSim::start().await;
    let batch = batch(0..1);
    let org = org(&sim, OrgOptions::default()).await;

    let loader = loader(&org, "Contact", &batch).await;
    let report = loader.load(stream(vec![batch])).await.unwrap().report;

    assert_eq!((report.read, report.accepted, report.rejected), (1, 1, 0));
    assert_eq!((report.jobs, report.batches), (1, 1));
    assert_eq!(sim.column("Contact", KEY).await, ["C-0"]);
}

#[tokio::test]
async fn no_rows_make_no_job() {
    let sim = TestSim::start().await;
    let org = org(&sim, OrgOptions::default()).await;
    let loader = loader(&org, "Contact", &batch(0..1)).await;

    let report = loader.load(stream(Vec::new())).await.unwrap().report;

    assert_eq!((report.read, report.jobs), (0, 0));
    assert!(sim.jobs().await.is_empty());
}

#[tokio::test]
async fn columns_of_many_types() {
    let sim = TestSim::start().await;
    let amounts = Decimal128Array::from(vec![Some(123_450), None])
        .with_precision_and_scale(18, 2)
        .unwrap();
    let moments =
        TimestampMicrosecondArray::from(vec![1_700_000_000_123_456, 0]).with_timezone("+02:00");
    let columns: [(&str, ArrayRef); 8] = [
        (KEY, Arc::new(StringViewArray::from(vec!["E-0", "E-1"]))),
        (
            "Name",
            Arc::new(StringArray::from(vec!["a \"b\",\nc", "😀"])),
        ),
        ("Currency__c", Arc::new(amounts)),
        (
            "Double__c",
            Arc::new(Float64Array::from(vec![0.1 + 0.2, -1e3])),
        ),
        ("Int__c", Arc::new(Int64Array::from(vec![Some(-7), None]))),
        ("Flag__c", Arc::new(BooleanArray::from(vec![true, false]))),
        ("Date__c", Arc::new(Date32Array::from(vec![20_000, -1]))),
        ("Date_Time__c", Arc::new(moments)),
    ];
    let batch = RecordBatch::try_from_iter_with_nullable(
        columns
            .into_iter()
            .map(|(name, column)| (name, column, true)),
    )
    .unwrap();
    let org = org(&sim, OrgOptions::default()).await;
    let loader = loader(&org, "Everything__c", &batch).await;

    let report = loader.load(stream(vec![batch])).await.unwrap().report;

    assert_eq!((report.accepted, report.rejected), (2, 0), "{report}");
    let mut rows = sim.rows("Everything__c").await;
    rows.sort_by_key(|row| row[KEY].to_string());
    let text = |row: usize, field: &str| {
        rows[row][field]
            .as_str()
            .map_or_else(|| rows[row][field].to_string(), str::to_owned)
    };
    assert_eq!(text(0, "Name"), "a \"b\",\nc");
    assert_eq!(text(1, "Name"), "😀");
    assert_eq!(text(0, "Int__c"), "-7");
    assert_eq!(text(0, "Flag__c"), "true");
    assert_eq!(text(0, "Date__c"), "2024-10-04");
    assert_eq!(text(1, "Date__c"), "1969-12-31");
    let number = |row: usize, field: &str| text(row, field).parse::<f64>().unwrap();
    assert!((number(0, "Currency__c") - 1234.5).abs() < 1e-9);
    assert!((number(1, "Double__c") + 1000.0).abs() < 1e-9);
    assert!(text(0, "Date_Time__c").starts_with("2023-11-14T22:13:20.123"));
}

#[tokio::test]
async fn checkpoints_are_emitted_in_order_with_their_rejects_before_them() {
    let sim = TestSim::start().await;
    let org = org(&sim, OrgOptions::default()).await;
    let loader = loader_of(&org, 10).await;
    let (mut feed, events) = loader.start();
    let feeding = tokio::spawn(async move {
        for checkpoint in 1..=5 {
            let first = usize::try_from(checkpoint - 1).unwrap() * 30;
            feed.send(batch(first..first + 30)).await.unwrap();
            feed.checkpoint(checkpoint).await.unwrap();
        }
        feed.finish().await.unwrap();
    });

    let (checkpoints, rejected, report) = hear(events).await;
    feeding.await.unwrap();

    assert_eq!(
        checkpoints.iter().map(|(id, _)| *id).collect::<Vec<_>>(),
        [1, 2, 3, 4, 5]
    );
    for (id, before) in &checkpoints {
        let due = (0..usize::try_from(*id).unwrap() * 30).filter(|n| n % 3 == 2);
        for n in due {
            assert!(
                before.contains(&format!("C-{n}")),
                "C-{n} is not emitted before {id}"
            );
        }
    }
    assert_eq!(rejected.len(), 50);
    assert_eq!(
        (report.read, report.accepted, report.rejected),
        (150, 100, 50)
    );
    assert_eq!(report.rejects[0].code, "REQUIRED_FIELD_MISSING");
    assert_eq!(sim.column("Contact", KEY).await.len(), 100);
}

/// Checkpoints, each with the keys that were rejected before it; all rejected keys; the report.
async fn hear(mut events: Events) -> (Vec<(u64, BTreeSet<String>)>, BTreeSet<String>, LoadReport) {
    let (mut checkpoints, mut rejected) = (Vec::new(), BTreeSet::new());
    while let Some(event) = events.next().await {
        match event.unwrap() {
            Event::Rejected(batch) => {
                let column = |name: &str| batch.column_by_name(name).unwrap();
                let (keys, names) = (column(KEY), column("LastName"));
                let ordinals = column("_reject_ordinal");
                let codes = column("_reject_code");
                for row in 0..batch.num_rows() {
                    let key = keys.as_string::<i32>().value(row).to_owned();
                    assert!(names.is_null(row), "{key} had a name");
                    assert_eq!(
                        codes.as_string::<i32>().value(row),
                        "REQUIRED_FIELD_MISSING"
                    );
                    let ordinals =
                        ordinals.as_primitive::<arrow_salesforce::arrow::datatypes::UInt64Type>();
                    assert_eq!(key, format!("C-{}", ordinals.value(row)));
                    assert!(rejected.insert(key), "emitted twice");
                }
            }
            Event::Durable { checkpoint, .. } => checkpoints.push((checkpoint, rejected.clone())),
            Event::Finished(report) => return (checkpoints, rejected, *report),
            other => panic!("{other:?}"),
        }
    }
    panic!("the events ended without a report");
}

#[tokio::test]
async fn columns_that_the_object_lacks_are_named() {
    let sim = TestSim::start().await;
    let batch = RecordBatch::try_from_iter([
        ("LastNme", texts([Some("Ng".into())])),
        ("Shoe_Size__c", texts([Some("43".into())])),
    ])
    .unwrap();
    let org = org(&sim, OrgOptions::default()).await;

    let building = Loader::builder(&org)
        .object("Contact")
        .schema(batch.schema())
        .build();
    let error = building.await.unwrap_err();

    assert_eq!(error.kind(), ErrorKind::Config);
    let message = error.to_string();
    for name in ["LastNme", "LastName", "Shoe_Size__c", "Contact"] {
        assert!(message.contains(name), "{name} is not named: {message}");
    }
    assert!(sim.jobs().await.is_empty());
}

#[tokio::test]
async fn batches_of_another_schema_are_refused() {
    let sim = TestSim::start().await;
    let org = org(&sim, OrgOptions::default()).await;
    let loader = loader(&org, "Contact", &batch(0..1)).await;
    let (mut feed, _events) = loader.start();
    let other = RecordBatch::try_from_iter([("LastName", texts([None]))]).unwrap();

    let error = feed.send(other).await.unwrap_err();

    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains(KEY), "{error}");
}

#[tokio::test]
async fn two_loads_share_an_org() {
    let sim = TestSim::start().await;
    let options = OrgOptions::default().with_max_jobs_in_flight(2);
    let org = org(&sim, options).await;
    let loader = loader_of(&org, 5).await;

    let (first, second) = tokio::join!(
        loader.load(stream(vec![batch(0..30)])),
        loader.load(stream(vec![batch(30..60)])),
    );

    assert_eq!(
        first.unwrap().report.accepted + second.unwrap().report.accepted,
        40
    );
    assert_eq!(sim.column("Contact", KEY).await.len(), 40);
    assert!(sim.most_jobs_at_once().await <= 2);
}
