//! Loads of one family: children that come before their parents wait for them.

use std::sync::Arc;

use arrow_salesforce::LoadOptions;
use arrow_salesforce::arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow_salesforce::error::Result;
use arrow_salesforce::load::{Event, Events, Family, LoadReport, Loader, Org};
use arrow_salesforce::options::OrgOptions;
use testkit::KEY;
use testkit::sim::TestSim;

use crate::library::org;

const ROWS: usize = 10;

fn batch<const N: usize>(columns: [(&str, &str); N]) -> RecordBatch {
    let columns = columns.map(|(name, begin)| {
        let values = (0..ROWS).map(|row| Some(format!("{begin}{row}")));
        let values: ArrayRef = Arc::new(values.collect::<StringArray>());
        (name, values)
    });
    RecordBatch::try_from_iter(columns).unwrap()
}

fn accounts() -> RecordBatch {
    batch([(KEY, "A-"), ("Name", "Acme ")])
}

fn contacts() -> RecordBatch {
    batch([
        (KEY, "C-"),
        ("LastName", "Ng "),
        ("Account.Ext_Id__c", "A-"),
    ])
}

async fn loader(org: &Org, object: &str, rows: &RecordBatch, family: Option<&Family>) -> Loader {
    let loader = Loader::builder(org).object(object).schema(rows.schema());
    let loader = loader.options(LoadOptions::default().with_held_rows(ROWS as u64));
    let loader = match family {
        Some(family) => loader.family(family),
        None => loader,
    };
    loader.build().await.unwrap()
}

/// The report of a load.
async fn end(mut events: Events) -> Result<LoadReport> {
    loop {
        if let Event::Finished(report) = events.next().await.unwrap()? {
            return Ok(*report);
        }
    }
}

async fn held(sim: &TestSim) {
    sim.wait_for("a job of contacts", |state| {
        testkit::sim::jobs_in_state(state, "JobComplete") == 1
    })
    .await;
}

#[tokio::test]
async fn children_come_in_after_their_parents() {
    let sim = TestSim::start().await;
    let (org, family) = (org(&sim, OrgOptions::default()).await, Family::new());
    let children = loader(&org, "Contact", &contacts(), Some(&family)).await;
    let parents = loader(&org, "Account", &accounts(), Some(&family)).await;
    let (mut feed, children) = children.start();
    let (mut feed_parents, parents) = parents.start();
    feed.send(contacts()).await.unwrap();
    feed.checkpoint(1).await.unwrap();
    feed.complete().await.unwrap();
    feed.finish().await.unwrap();
    held(&sim).await;
    feed_parents.send(accounts()).await.unwrap();
    feed_parents.complete().await.unwrap();

    let report = end(children).await.unwrap();

    assert_eq!((report.accepted, report.rejected), (ROWS as u64, 0));
    assert_eq!(
        (report.held, report.held_accepted),
        (ROWS as u64, ROWS as u64)
    );
    assert!(
        report
            .to_string()
            .contains("10 held for their parents, 10 of them accepted then")
    );
    feed_parents.finish().await.unwrap();
    let report = end(parents).await.unwrap();
    assert_eq!((report.accepted, report.held), (ROWS as u64, 0));
}

#[tokio::test]
async fn without_a_family_children_are_rejected_at_once() {
    let sim = TestSim::start().await;
    let org = org(&sim, OrgOptions::default()).await;
    let children = loader(&org, "Contact", &contacts(), None).await;
    let (mut feed, events) = children.start();
    feed.send(contacts()).await.unwrap();
    feed.finish().await.unwrap();
    let report = end(events).await.unwrap();
    assert_eq!((report.rejected, report.held), (ROWS as u64, 0));
    assert_eq!(sim.jobs().await.len(), 1);
}

#[tokio::test]
async fn a_load_whose_parents_fail_ends_as_stopped() {
    let sim = TestSim::start().await;
    let (org, family) = (org(&sim, OrgOptions::default()).await, Family::new());
    let children = loader(&org, "Contact", &contacts(), Some(&family)).await;
    let parents = loader(&org, "Account", &accounts(), Some(&family)).await;
    let (mut feed, children) = children.start();
    let (feed_parents, _parents) = parents.start();
    feed.send(contacts()).await.unwrap();
    feed.finish().await.unwrap();
    held(&sim).await;
    feed_parents.stop();

    let error = end(children).await.unwrap_err();

    assert!(error.is_stopped(), "{error}");
}
