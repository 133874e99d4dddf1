//! An insert that ends early and is repeated: no row is inserted twice, and none is missing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arrow_salesforce::arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow_salesforce::ledger::Ledger;
use arrow_salesforce::load::{Event, Loader, Org};
use arrow_salesforce::options::{LoadOptions, Older, OrgOptions};
use arrow_salesforce::storage::{Encryption, Location, Storage};
use arrow_salesforce::{Error, ErrorKind, FeedBatch};
use futures::{StreamExt as _, stream};
use tempfile::TempDir;
use testkit::sim::{TestSim, jobs_in_state};

use super::library::org;

/// Rows of a load: each name stands in it twice, and the two are different records.
const ROWS: usize = 600;

fn rows(numbers: std::ops::Range<usize>) -> RecordBatch {
    let names: StringArray = numbers.map(|n| Some(format!("Ng {}", n / 2))).collect();
    RecordBatch::try_from_iter([("LastName", Arc::new(names) as ArrayRef)]).unwrap()
}

/// Batches of ten rows, from a row on.
fn batches(from: usize) -> Vec<RecordBatch> {
    (from..ROWS)
        .step_by(10)
        .map(|first| rows(first..first + 10))
        .collect()
}

/// How often each name is in the org, by how many names.
async fn counts(sim: &TestSim) -> BTreeMap<usize, usize> {
    let mut of_names = BTreeMap::<String, usize>::new();
    for name in sim.column("Contact", "LastName").await {
        *of_names.entry(name).or_default() += 1;
    }
    let mut counts = BTreeMap::new();
    for count in of_names.into_values() {
        *counts.entry(count).or_default() += 1;
    }
    counts
}

/// An org whose pauses are short: a process that has ended is waited for half a second.
async fn patient_org(sim: &TestSim) -> Org {
    let mut options = OrgOptions::default();
    options.waits.wait_permille = 10;
    org(sim, options).await
}

/// An org that takes equal records.
async fn sim() -> TestSim {
    let mut options = TestSim::options(Duration::ZERO);
    options.refuse_duplicates = false;
    TestSim::with_options(options).await
}

fn store(directory: &TempDir) -> Storage {
    let url = format!("file://{}/ledger", directory.path().display());
    Storage::open(&Location::Url(url.parse().unwrap()), &Encryption::default()).unwrap()
}

async fn loader(org: &Org, options: LoadOptions) -> Loader {
    let building = Loader::builder(org).object("Contact");
    let building = building.schema(rows(0..1).schema()).options(options);
    building.build().await.unwrap()
}

fn options(directory: &TempDir, rows: u64) -> LoadOptions {
    LoadOptions::default()
        .with_max_job_rows(rows)
        .with_ledger(store(directory), "nightly")
}

#[tokio::test]
async fn a_load_that_was_dropped_is_repeated_and_inserts_no_row_twice() {
    let sim = sim().await;
    let directory = TempDir::new().unwrap();
    let org = patient_org(&sim).await;
    let first = loader(&org, options(&directory, 50)).await;
    let half = stream::iter(batches(0).into_iter().take(35).map(Ok::<_, Error>));
    // A source that pauses: jobs of the rows before are done, and nobody hears of it.
    let loading = first.load(half.chain(stream::pending()));
    let in_org = sim.wait_for("jobs that ended", |state| {
        jobs_in_state(state, "JobComplete") >= 2
    });
    tokio::select! {
        loaded = loading => panic!("the source never ends: {loaded:?}"),
        () = in_org => {}
    }
    let left = sim.column("Contact", "LastName").await.len();

    let again = loader(&patient_org(&sim).await, options(&directory, 70)).await;
    let all = || stream::iter(batches(0).into_iter().rev().map(Ok::<_, Error>));
    let report = again.load(all()).await.unwrap().report;

    assert!(report.came_again >= left as u64, "{report:?}");
    assert_eq!((report.read, report.accepted), (600, 600));
    assert_eq!(counts(&sim).await, BTreeMap::from([(2, 300)]));

    // Nothing is left of a load that has ended: equal rows are another load.
    let later = again.load(all()).await.unwrap().report;
    assert_eq!((later.accepted, later.came_again), (600, 0));
    assert_eq!(counts(&sim).await, BTreeMap::from([(4, 300)]));
}

#[tokio::test]
async fn rows_behind_the_last_covered_checkpoint_come_again() {
    let sim = sim().await;
    let directory = TempDir::new().unwrap();
    let org = patient_org(&sim).await;
    let (mut feed, mut events, attempt) = loader(&org, options(&directory, 30))
        .await
        .begin()
        .await
        .unwrap();
    for (id, batch) in (1..).zip(batches(0)).take(40) {
        let rows = batch.num_rows();
        feed.send(FeedBatch::new(batch).checkpoint(rows, 0, id))
            .await
            .unwrap();
    }
    feed.flush().await.unwrap();
    // The source has heard of the rows before this one, and of no later ones.
    let acknowledged = loop {
        let event = tokio::time::timeout(Duration::from_secs(60), events.next()).await;
        if let Event::Durable { checkpoint, counts } = event.unwrap().unwrap().unwrap() {
            if checkpoint <= 20 {
                attempt.cover(&counts).await.unwrap();
            }
            if checkpoint == 40 {
                break 200;
            }
        }
    };
    drop((feed, events, attempt));

    Ledger::none_at_work(store(&directory)).await.unwrap();
    let again = loader(&patient_org(&sim).await, options(&directory, 45)).await;
    let (_, _, attempt) = again.begin().await.unwrap();
    assert_eq!(attempt.recovered().covered, acknowledged as u64);
    attempt.release().await;
    let rest = stream::iter(batches(acknowledged).into_iter().map(Ok::<_, Error>));
    let report = again.load(rest).await.unwrap().report;

    assert_eq!((report.read, report.came_again), (400, 200));
    assert_eq!(counts(&sim).await, BTreeMap::from([(2, 300)]));
}

#[tokio::test]
async fn what_was_forgotten_is_sent_again() {
    let sim = sim().await;
    let directory = TempDir::new().unwrap();
    let org = patient_org(&sim).await;
    let (mut feed, mut events, attempt) = loader(&org, options(&directory, 10))
        .await
        .begin()
        .await
        .unwrap();
    feed.send(FeedBatch::new(rows(0..10)).checkpoint(10, 0, 1))
        .await
        .unwrap();
    feed.flush().await.unwrap();
    events.next().await.unwrap().unwrap();
    attempt.release().await;
    drop((feed, events));

    let forgetting = options(&directory, 10).with_older(Older::Forget);
    let again = loader(&org, forgetting).await;
    let batch = stream::iter([Ok::<_, Error>(rows(0..10))]);
    let report = again.load(batch).await.unwrap().report;

    assert_eq!((report.accepted, report.came_again), (10, 0), "{report}");
    assert_eq!(counts(&sim).await, BTreeMap::from([(4, 5)]));
}

#[tokio::test]
async fn a_load_with_a_ledger_begins_before_it_starts() {
    let sim = sim().await;
    let directory = TempDir::new().unwrap();
    let org = patient_org(&sim).await;
    let (_feed, mut events) = loader(&org, options(&directory, 10)).await.start();
    let error = events.next().await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(
        error.to_string().contains("is started by begin()"),
        "{error}"
    );
    assert!(events.next().await.is_none());
}
