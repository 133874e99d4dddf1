//! What an attempt leaves behind is expected of its own repetition, and of no other load.

use std::time::Duration;

use serde_json::json;

use super::{anew, expected, interrupted, job, names, org, people};
use crate::harness::lines::catalog;

const PEOPLE: usize = 60;

#[tokio::test]
async fn a_repetition_sends_nothing_again_whatever_its_jobs_and_its_order() {
    let sim = org(Duration::ZERO).await;
    let stream = people();
    let mut job = job(&sim, &stream, PEOPLE);
    interrupted(&sim, &job, &stream, PEOPLE).await;
    let before = sim.jobs().await.len();

    job.change("max_job_rows", 7);
    let mut lines = anew(&stream, PEOPLE);
    lines[..PEOPLE].reverse();
    let output = job.write(&lines).await.succeeded();
    assert_eq!(
        names(&sim, "Contact", "LastName").await,
        expected(0..PEOPLE, 1)
    );
    assert_eq!(sim.jobs().await.len(), before, "no job was made");
    assert_eq!(output.states().len(), 1);
    let state = output.states()[0];
    assert_eq!(state["destinationStats"]["recordCount"], json!(60.0));
    assert!(job.ledger().is_empty(), "{:?}", job.ledger());

    // Equal rows of a later sync are other rows.
    job.write(&anew(&stream, PEOPLE)).await.succeeded();
    assert_eq!(
        names(&sim, "Contact", "LastName").await,
        expected(0..PEOPLE, 2)
    );
}

#[tokio::test]
async fn a_later_append_of_equal_rows_is_sent() {
    let sim = org(Duration::ZERO).await;
    let stream = people();
    let mut job = job(&sim, &stream, PEOPLE);
    interrupted(&sim, &job, &stream, PEOPLE).await;

    let mut other = catalog(&[&stream]);
    other["streams"][0]["generation_id"] = json!(4);
    job.set_catalog(other);
    job.write(&anew(&stream, PEOPLE)).await.succeeded();
    assert_eq!(
        names(&sim, "Contact", "LastName").await,
        expected(0..PEOPLE, 2)
    );

    let mut other = catalog(&[&stream]);
    other["streams"][0]["stream"]["source_defined_cursor"] = json!(true);
    job.set_catalog(other);
    job.write(&anew(&stream, PEOPLE)).await.succeeded();
    assert_eq!(
        names(&sim, "Contact", "LastName").await,
        expected(0..PEOPLE, 3)
    );

    job.set_catalog(catalog(&[&stream]));
    job.change("ledger_id", "another connection");
    job.write(&anew(&stream, PEOPLE)).await.succeeded();
    assert_eq!(
        names(&sim, "Contact", "LastName").await,
        expected(0..PEOPLE, 4)
    );

    // Another sync of the same connection is a repetition.
    job.change("ledger_id", "");
    let mut later = catalog(&[&stream]);
    later["streams"][0]["sync_id"] = json!(43);
    job.set_catalog(later);
    job.write(&anew(&stream, PEOPLE)).await.succeeded();
    assert_eq!(
        names(&sim, "Contact", "LastName").await,
        expected(0..PEOPLE, 4)
    );
    assert!(job.ledger().is_empty(), "{:?}", job.ledger());
}

#[tokio::test]
async fn two_equal_rows_are_two_rows() {
    let sim = org(Duration::ZERO).await;
    let stream = people();
    let job = job(&sim, &stream, PEOPLE);
    interrupted(&sim, &job, &stream, PEOPLE).await;
    let mut lines = super::records(&stream, 0..PEOPLE);
    lines.extend(super::records(&stream, 0..10));
    lines.push(stream.complete());
    job.write(&lines).await.succeeded();
    let mut names_expected = expected(0..PEOPLE, 1);
    for (name, times) in expected(0..10, 1) {
        *names_expected.entry(name).or_default() += times;
    }
    assert_eq!(names(&sim, "Contact", "LastName").await, names_expected);
}

#[tokio::test]
async fn a_stream_that_is_not_complete_keeps_what_no_state_covers() {
    let sim = org(Duration::ZERO).await;
    let stream = people();
    let job = job(&sim, &stream, PEOPLE);
    let mut lines = super::records(&stream, 0..PEOPLE);
    lines.insert(20, stream.state(20, 20));
    lines.push(stream.status("INCOMPLETE"));
    let output = job.write(&lines).await.succeeded();
    assert_eq!(output.state_ids(), [20]);
    assert!(!job.ledger().is_empty());

    let mut lines = super::records(&stream, 20..PEOPLE);
    lines.push(stream.complete());
    job.write(&lines).await.succeeded();
    assert_eq!(
        names(&sim, "Contact", "LastName").await,
        expected(0..PEOPLE, 1)
    );
    assert!(job.ledger().is_empty(), "{:?}", job.ledger());
}

#[tokio::test]
async fn rejected_rows_are_neither_sent_nor_stored_again() {
    let sim = org(Duration::ZERO).await;
    let stream = people();
    let job = job(&sim, &stream, PEOPLE);
    let lines: Vec<String> = (0..PEOPLE)
        .map(|number| match number % 4 {
            0 => stream.record(&json!({"LastName": null, "FirstName": format!("Bad {number}")})),
            _ => stream.record(&super::person(number)),
        })
        .collect();
    let mut running = job.start_write();
    running.send(&lines).await;
    let marked = async {
        // The markers of both jobs are there.
        while job
            .ledger()
            .iter()
            .filter(|name| name.ends_with(".rejected"))
            .count()
            < 2
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let marked = tokio::time::timeout(Duration::from_secs(120), marked).await;
    marked.unwrap();
    running.kill().await;
    let stored = job.reject_files();
    let before = sim.jobs().await.len();

    let mut lines = lines;
    lines.push(stream.state(1, PEOPLE));
    lines.push(stream.complete());
    let output = job.write(&lines).await.succeeded();
    assert_eq!(sim.jobs().await.len(), before, "no job was made");
    assert_eq!(job.reject_files(), stored, "nothing is stored twice");
    let state = output.states()[0];
    assert_eq!(
        state["destinationStats"]["rejectedRecordCount"],
        json!(15.0)
    );
    assert_eq!(state["destinationStats"]["recordCount"], json!(45.0));
    let attempt = &stored[0].1;
    assert!(attempt.contains("attempt"), "{attempt}");
}
