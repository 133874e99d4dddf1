//! Records that are held while memory is short.

use std::time::Duration;

use serde_json::json;
use testkit::sim::TestSim;

use super::{account, accounts, configured, contact, contacts, lines, naming, rejects, report};
use crate::harness::process::Job;

/// States that wait for records which are held take all memory, and no parent can be read.
#[tokio::test]
async fn held_records_give_way_where_reading_would_stand_still() {
    let sim = TestSim::start().await;
    let (contacts, accounts) = (contacts(), accounts());
    let catalog = configured(&[&contacts, &accounts], false);
    let job = Job::with_catalog(&sim, catalog)
        .set("memory_limit_bytes", 128 << 20)
        .rejects_to_folder();
    let blob = json!({"cursor": "x".repeat(1 << 20)}).to_string();
    let states = 32;
    let mut all: Vec<String> = (0..states)
        .flat_map(|number| {
            let record = contacts.record(&contact(number, number));
            [record, contacts.state_text(number as u64 + 1, 1, &blob)]
        })
        .collect();
    all.push(contacts.complete());
    all.extend(lines(
        &accounts,
        (0..states).map(|number| account(number, None)),
    ));
    let mut running = job.start_write();
    running.feed(all);

    let output = tokio::time::timeout(Duration::from_secs(120), running.finish()).await;

    let output = output.expect("it stands still").succeeded();
    let rejected = rejects(&job).len();
    assert!((1..states).contains(&rejected), "{rejected} rejected");
    assert_eq!(
        naming(&sim, "Contact", "AccountId").await,
        states - rejected
    );
    assert_eq!(output.states().len(), states + states.div_ceil(10));
    let warned = |line: &&String| line.contains("WARN") && line.contains("for the last time");
    assert_eq!(output.lines.iter().filter(warned).count(), 1);
}

/// Children that take more memory than rows may.
#[tokio::test]
async fn what_is_held_goes_to_disk() {
    const CHILDREN: usize = 2_500;
    const TEXT: usize = 20_000;
    let mut random = fastrand::Rng::with_seed(5);
    let texts: String = (0..50 * TEXT).map(|_| random.alphanumeric()).collect();
    let sim = TestSim::start().await;
    let mut contacts = contacts();
    let kind = json!({"type": ["null", "string"]});
    contacts.columns.push(("Description".into(), kind));
    let accounts = accounts();
    let catalog = configured(&[&contacts, &accounts], false);
    let job = Job::with_catalog(&sim, catalog)
        .set("memory_limit_bytes", 128 << 20)
        .set("max_job_bytes", 6_000_000)
        .rejects_to_folder();
    let children = (0..CHILDREN).map(|number| {
        let from = number * (TEXT + 7) % (texts.len() - TEXT);
        let mut contact = contact(number, number % 100);
        contact["Description"] = json!(texts[from..from + TEXT]);
        contact
    });
    let children = lines(&contacts, children);
    let mut running = job.start_write();
    running.send(&children).await;
    running.wait_for_log("they are held").await;
    running.feed(lines(
        &accounts,
        (0..100).map(|number| account(number, None)),
    ));

    let output = running.finish().await.succeeded();

    assert_eq!(rejects(&job).len(), 0);
    assert_eq!(naming(&sim, "Contact", "AccountId").await, CHILDREN);
    let report = report(&output, "contacts");
    assert_eq!(report["held"], report["held_accepted"]);
    assert!(report["spilled"].as_u64() > Some(0), "{report}");
}
