//! A STATE is printed when what it promises has happened, and not before.

use testkit::KEY;
use testkit::sim::{TestSim, jobs_in_state};

use crate::harness::lines::{Stream, account, accounts, contact, contacts};
use crate::harness::process::Job;

#[tokio::test]
async fn no_state_while_the_org_holds_its_jobs() {
    let (sim, contacts, accounts) = (TestSim::start().await, contacts(), accounts());
    sim.hold().await;
    let mut lines = Vec::new();
    for i in 0..20 {
        lines.push(contacts.record(&contact(i)));
        lines.push(accounts.record(&account(i)));
        if i % 5 == 4 {
            lines.push(contacts.state(i as u64, 5));
            lines.push(accounts.state(100 + i as u64, 5));
        }
    }
    lines.extend([&contacts, &accounts].map(Stream::complete));
    let job = Job::new(&sim, &[&contacts, &accounts]).set("max_job_rows", 10);
    let mut running = job.start_write();
    running.feed(lines);

    // The jobs together hold every record, so every line was read.
    sim.wait_for("four jobs in progress", |state| {
        jobs_in_state(state, "InProgress") == 4
    })
    .await;
    assert_eq!(running.states(), 0);

    sim.release().await;
    let output = running.finish().await.succeeded();
    let mut ids = output.state_ids();
    ids.sort_unstable();
    assert_eq!(ids, [4, 9, 14, 19, 104, 109, 114, 119]);
    assert_eq!(sim.column("Contact", KEY).await.len(), 20);
    assert_eq!(sim.column("Account", KEY).await.len(), 20);
}

#[tokio::test]
async fn a_state_waits_only_for_the_jobs_before_it() {
    let (sim, contacts) = (TestSim::start().await, contacts());
    let job = Job::new(&sim, &[&contacts]).set("max_job_rows", 10);
    let mut running = job.start_write();
    // The record behind a full job closes it.
    running.send(&records(&contacts, 0..10)).await;
    running.send(&[contacts.state(1, 10)]).await;
    running.send(&records(&contacts, 10..11)).await;
    running.wait_for_states(1).await;

    sim.hold().await;
    running.send(&records(&contacts, 11..20)).await;
    running.send(&[contacts.state(2, 10)]).await;
    running.send(&records(&contacts, 20..21)).await;
    sim.wait_for("a job in progress", |state| {
        jobs_in_state(state, "InProgress") == 1
    })
    .await;
    assert_eq!(running.states(), 1);
    running.send(&[contacts.complete()]).await;

    sim.release().await;
    let output = running.finish().await.succeeded();
    assert_eq!(output.state_ids(), [1, 2]);
}

#[tokio::test]
async fn the_flush_interval_closes_a_job_while_input_pauses() {
    let (sim, contacts) = (TestSim::start().await, contacts());
    let job = Job::new(&sim, &[&contacts]).set("flush_interval_seconds", 1);
    let mut running = job.start_write();
    running.send(&records(&contacts, 0..5)).await;
    running.send(&[contacts.state(1, 5)]).await;

    running.wait_for_states(1).await;
    assert_eq!(sim.column("Contact", KEY).await.len(), 5);

    running.send(&[contacts.complete()]).await;
    let output = running.finish().await.succeeded();
    assert_eq!(output.state_ids(), [1]);
}

#[tokio::test]
async fn a_stop_signal_ends_what_is_in_flight() {
    let (sim, contacts) = (TestSim::start().await, contacts());
    let job = Job::new(&sim, &[&contacts]).set("max_job_rows", 10);
    let mut running = job.start_write();
    sim.hold().await;
    running.send(&records(&contacts, 0..10)).await;
    running.send(&[contacts.state(1, 10)]).await;
    // These stay in an open chunk.
    running.send(&records(&contacts, 10..15)).await;
    running.send(&[contacts.state(2, 5)]).await;
    sim.wait_for("a job in progress", |state| {
        jobs_in_state(state, "InProgress") == 1
    })
    .await;

    running.terminate().await;
    sim.release().await;
    let output = running.finish().await;

    output.failed("transient_error");
    assert_eq!(output.state_ids(), [1]);
    assert_eq!(sim.column("Contact", KEY).await.len(), 10);
    assert_eq!(jobs_in_state(&sim.state().await, "Open"), 0);
}

#[tokio::test]
async fn input_that_ends_early_is_a_transient_error() {
    let (sim, contacts) = (TestSim::start().await, contacts());
    let job = Job::new(&sim, &[&contacts]).set("max_job_rows", 10);
    let mut lines = records(&contacts, 0..10);
    lines.push(contacts.state(1, 10));
    lines.extend(records(&contacts, 10..12));

    let output = job.write(&lines).await;

    let message = output.failed("transient_error");
    assert!(message.contains("contacts"), "{message}");
    assert_eq!(output.state_ids(), [1]);
}

fn records(stream: &Stream, numbers: std::ops::Range<usize>) -> Vec<String> {
    numbers
        .map(|number| stream.record(&contact(number)))
        .collect()
}
