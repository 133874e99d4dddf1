use std::time::Duration;

use arrow::array::{ArrayRef, StringArray};
use futures::{FutureExt, StreamExt, TryStreamExt};
use salesforce_sim::{Sim, SimOptions};

use super::*;
use crate::bulk::Credentials;
use crate::error::{Error, ErrorKind};
use crate::load::{Event, Loader, LoaderBuilder, Rejects};
use crate::options::{LoadOptions, OrgOptions};

/// What any of these may take before it counts as hanging.
const SOON: Duration = Duration::from_secs(30);

async fn org(sim: &Sim, options: OrgOptions) -> Org {
    let ids = SimOptions::default();
    let credentials = Credentials::refresh_token(
        sim.url().parse().unwrap(),
        ids.client_id,
        ids.client_secret,
        ids.refresh_token,
    );
    Org::connect(credentials, options).await.unwrap()
}

async fn sim() -> Sim {
    Sim::start(SimOptions::default()).await.unwrap()
}

/// Contacts of these last names; one without a name is rejected.
fn contacts(names: &[&str]) -> RecordBatch {
    let names: StringArray = names
        .iter()
        .map(|name| (!name.is_empty()).then_some(*name))
        .collect();
    let column = Arc::new(names) as ArrayRef;
    RecordBatch::try_from_iter_with_nullable([("LastName", column, true)]).unwrap()
}

fn builder(org: &Org) -> LoaderBuilder {
    let schema = contacts(&[]).schema();
    Loader::builder(org).object("Contact").schema(schema)
}

async fn loader(org: &Org) -> Loader {
    builder(org).build().await.unwrap()
}

#[tokio::test]
async fn a_batch_holds_several_checkpoints_and_the_events_are_a_stream() {
    let sim = sim().await;
    let org = org(&sim, OrgOptions::default()).await;
    let (feed, events) = loader(&org).await.start();

    let permit = feed.ready(1 << 20).await.unwrap();
    let batch = FeedBatch::new(contacts(&["A", "", "C"]))
        .received(90)
        .checkpoint(0, 0, 7)
        .checkpoint(2, 60, 8)
        .checkpoint(3, 90, 9);
    permit.send(batch).unwrap();
    feed.finish().await.unwrap();

    let events: Vec<Event> = events.try_collect().await.unwrap();
    let durable: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            Event::Durable { checkpoint, counts } => {
                Some((*checkpoint, counts.accepted, counts.total_bytes))
            }
            _ => None,
        })
        .collect();
    assert_eq!(durable, [(7, 0, 0), (8, 1, 60), (9, 1, 90)]);
    assert!(matches!(events.last(), Some(Event::Finished(_))));
    assert_eq!(org.reserved_bytes(), 0);
}

#[tokio::test]
async fn checkpoints_out_of_order_are_refused_and_the_permit_is_given_back() {
    let sim = sim().await;
    let org = org(&sim, OrgOptions::default()).await;
    let (feed, _events) = loader(&org).await.start();
    let batch = || FeedBatch::new(contacts(&["A", "B"])).received(10);
    for wrong in [
        batch().checkpoint(3, 10, 1),
        batch().checkpoint(2, 11, 1),
        batch().checkpoint(2, 5, 1).checkpoint(1, 5, 2),
    ] {
        let permit = feed.ready(100).await.unwrap();
        let error = permit.send(wrong).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{error}");
    }
    assert_eq!(org.reserved_bytes(), 0);
}

#[tokio::test]
async fn a_cancelled_ready_takes_nothing() {
    let sim = sim().await;
    let limit = OrgOptions::default().with_memory_limit_bytes(128 << 20);
    let org = org(&sim, limit).await;
    let (feed, _events) = loader(&org).await.start();

    let all = (org.budget().reserve(128 << 20), org.admission().under_way());
    for _ in 0..2 * BATCHES {
        let waiting = tokio::time::timeout(Duration::from_millis(20), feed.ready(1 << 20));
        assert!(waiting.await.is_err(), "there is no memory");
    }
    assert_eq!(org.reserved_bytes(), 128 << 20);
    drop(all);
    let permit = feed.ready(1 << 20).await.unwrap();
    assert_eq!(org.reserved_bytes(), 2 << 20, "rows and their cells");
    drop(permit);
    assert_eq!(
        org.reserved_bytes(),
        0,
        "a permit dropped gives its memory back"
    );

    // Nor does it keep a slot: those of all that were cancelled are free.
    let permits: Vec<_> = (0..BATCHES)
        .map(|_| feed.ready(10).now_or_never().unwrap().unwrap())
        .collect();
    assert!(feed.ready(10).now_or_never().is_none(), "no slot is left");
    drop(permits);
    assert!(feed.ready(10).now_or_never().is_some());
}

#[tokio::test]
async fn a_checkpoint_alone_does_not_wait_for_memory() {
    let sim = sim().await;
    let org = org(&sim, OrgOptions::default()).await;
    let (mut feed, mut events) = loader(&org).await.start();
    let memory = usize::try_from(org.options().memory_limit_bytes).unwrap();
    let all = (org.budget().reserve(memory), org.admission().under_way());
    let sending = tokio::time::timeout(SOON, feed.checkpoint(1));
    sending.await.expect("it waits").unwrap();
    let event = events.next().await.unwrap().unwrap();
    assert!(matches!(event, Event::Durable { checkpoint: 1, .. }));
    drop(all);
}

#[tokio::test]
async fn a_batch_counts_with_what_it_takes() {
    let sim = sim().await;
    let org = org(&sim, OrgOptions::default()).await;
    let (feed, events) = loader(&org).await.start();
    let rows = contacts(&["A"]);
    let bytes = batch_bytes(&rows);
    let permit = feed.ready(1 << 20).await.unwrap();
    permit.send(rows.into()).unwrap();
    assert_eq!(org.reserved_bytes(), 2 * bytes);
    feed.stop();
    drop(feed);
    let end = events.collect::<Vec<_>>().await.pop().unwrap();
    assert!(end.unwrap_err().is_stopped());
    assert_eq!(org.reserved_bytes(), 0);
}

/// Its jobs may go on for hours; other loads need the memory.
#[tokio::test]
async fn a_load_that_stops_gives_back_what_is_in_no_job() {
    let long = SimOptions {
        job_time: Duration::from_secs(3_600),
        ..SimOptions::default()
    };
    let sim = Sim::start(long).await.unwrap();
    let org = org(&sim, OrgOptions::default()).await;
    let options = LoadOptions::default().with_max_job_rows(1_000);
    let loader = builder(&org).options(options).build().await.unwrap();
    let (mut feed, _events) = loader.start();
    feed.send(contacts(&["A"; 1_000])).await.unwrap();
    let text = "x".repeat(100_000);
    feed.send(contacts(&[text.as_str(); 100])).await.unwrap();
    let in_use = |wanted: fn(usize) -> bool| {
        let org = &org;
        async move {
            while !wanted(org.reserved_bytes()) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
    };
    let open = tokio::time::timeout(SOON, in_use(|bytes| bytes > 9 << 20));
    open.await.expect("nothing is open");

    feed.stop();

    let given_back = tokio::time::timeout(SOON, in_use(|bytes| bytes < 1 << 20));
    given_back.await.expect("it keeps what it held");
}

/// A closed chunk waits for the only job slot, so the load takes nothing from its channel.
#[tokio::test]
async fn a_feed_dropped_stops_its_load_though_it_is_crowded() {
    let sim = sim().await;
    let one = OrgOptions::default().with_max_jobs_in_flight(1);
    let org = org(&sim, one).await;
    let jobs = org.admission().jobs_into("Contact", false);
    let slot = org
        .admission()
        .job_slot(&jobs, &CancellationToken::new())
        .await;
    let options = LoadOptions::default().with_max_job_rows(1);
    let loader = builder(&org).options(options).build().await.unwrap();
    let (mut feed, events) = loader.start();
    for name in ["A", "B", "C"] {
        feed.send(contacts(&[name])).await.unwrap();
    }
    while !org.admission().is_crowded(&jobs) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }

    drop(feed);

    let end = tokio::time::timeout(SOON, events.collect::<Vec<_>>());
    let end = end.await.expect("the load goes on").pop().unwrap();
    assert!(end.unwrap_err().is_stopped());
    assert_eq!(org.reserved_bytes(), 0);
    drop(slot);
}

fn batches(names: &[&str]) -> impl futures::Stream<Item = Result<RecordBatch, Error>> + Send {
    futures::stream::iter([Ok(contacts(names))])
}

#[tokio::test]
async fn the_short_form_returns_the_rejected_rows() {
    let sim = sim().await;
    let org = org(&sim, OrgOptions::default()).await;
    let loaded = loader(&org).await.load(batches(&["A", "", "C"])).await;
    let loaded = loaded.unwrap();
    assert_eq!((loaded.report.accepted, loaded.report.rejected), (2, 1));
    let rows: usize = loaded.rejected.iter().map(RecordBatch::num_rows).sum();
    assert_eq!(rows, 1);
    assert!(loaded.rejected[0].column_by_name("LastName").is_some());
}

#[tokio::test]
async fn the_short_form_refuses_to_drop_rejected_rows() {
    let sim = sim().await;
    let org = org(&sim, OrgOptions::default()).await;
    let loader = builder(&org).rejects(Rejects::Count).build().await.unwrap();
    let error = loader.load(batches(&["A"])).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    let message = error.to_string();
    for cure in ["Rejects::Events", "Rejects::Store", "start()"] {
        assert!(message.contains(cure), "{message}");
    }
}
