//! What an attempt leaves behind is expected of its own repetition, and of no other load.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::json;

use super::{People, anew, expected, names, org, people_stream};
use crate::harness::lines::{Stream, catalog};
use crate::harness::process::Job;

const PEOPLE: usize = 60;
/// As a CSV of rejected records has it.
const JOB_ID: &str = r#"""job_id"":"""#;

#[tokio::test]
async fn a_repetition_sends_nothing_again_whatever_its_jobs_and_its_order() {
    let People {
        sim,
        stream,
        mut job,
    } = People::interrupted(PEOPLE).await;
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
    let People {
        sim,
        stream,
        mut job,
    } = People::interrupted(PEOPLE).await;

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

/// Of two streams into one object, what one has left takes the place of no row of the other.
#[tokio::test]
async fn equal_rows_of_another_stream_are_other_rows() {
    let sim = org(Duration::ZERO).await;
    let streams = [
        people_stream(),
        Stream::new("others", "Contact", &["LastName", "FirstName"]),
    ];
    let job = Job::new(&sim, &[&streams[0], &streams[1]])
        .set("max_job_rows", PEOPLE / 2)
        .rejects_to_folder();
    super::interrupted(&sim, &job, &streams[0], PEOPLE).await;
    // The other one sends its equal rows first.
    let mut lines = super::records(&streams[1], 0..PEOPLE);
    lines.extend(super::records(&streams[0], 0..PEOPLE));
    lines.extend(streams.iter().map(Stream::complete));
    job.write(&lines).await.succeeded();
    assert_eq!(
        names(&sim, "Contact", "LastName").await,
        expected(0..PEOPLE, 2)
    );
    assert!(job.ledger().is_empty(), "{:?}", job.ledger());
}

#[tokio::test]
async fn two_equal_rows_are_two_rows() {
    let People { sim, stream, job } = People::interrupted(PEOPLE).await;
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
    let People { sim, stream, job } = People::new(PEOPLE).await;
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
async fn what_is_left_takes_no_row_behind_a_sync_without_a_ledger() {
    let People {
        sim,
        stream,
        mut job,
    } = People::interrupted(PEOPLE).await;
    let lines = anew(&stream, PEOPLE);
    // One that ends before its state says nothing of the rows: what was entered stays.
    job.change("ledger", "off");
    let mut ended_early = super::records(&stream, 0..1);
    ended_early.push(stream.status("INCOMPLETE"));
    let output = job.write(&ended_early).await;
    let warned = |line: &String| line.contains("WARN") && line.contains("is not looked at");
    assert!(output.lines.iter().any(warned), "{output:#?}");
    assert!(!entries(&job).is_empty());

    // One that goes on behind a state, or completes, does.
    job.write(&lines).await.succeeded();
    assert!(entries(&job).is_empty(), "{:?}", job.ledger());
    job.change("ledger", "on");
    job.write(&lines).await.succeeded();
    let mut all = expected(0..PEOPLE, 3);
    *all.get_mut("Ng 0").unwrap() += 1;
    assert_eq!(names(&sim, "Contact", "LastName").await, all);
}

fn entries(job: &Job) -> Vec<String> {
    let mut names = job.ledger();
    names.retain(|name| name.starts_with("entries/"));
    names
}

#[tokio::test]
async fn of_what_goes_on_after_an_incomplete_sync_only_repetitions_are_known_again() {
    let People { sim, stream, job } = People::new(PEOPLE).await;
    let mut lines = super::records(&stream, 0..PEOPLE);
    lines.insert(20, stream.state(20, 20));
    lines.push(stream.status("INCOMPLETE"));
    job.write(&lines).await.succeeded();

    // Those before the state come again as others, and those behind it once as themselves.
    let mut lines = super::records(&stream, 0..20);
    lines.extend(super::records(&stream, 20..PEOPLE));
    lines.extend(super::records(&stream, 40..PEOPLE));
    lines.push(stream.complete());
    job.write(&lines).await.succeeded();
    let mut all = expected(0..PEOPLE, 1);
    for range in [0..20, 40..PEOPLE] {
        for (name, times) in expected(range, 1) {
            *all.entry(name).or_default() += times;
        }
    }
    assert_eq!(names(&sim, "Contact", "LastName").await, all);
    assert!(job.ledger().is_empty(), "{:?}", job.ledger());
}

/// A connection whose catalog loses a stream and gets it back: what was covered of it stays so.
#[tokio::test]
async fn what_was_covered_of_a_stream_that_is_left_out_stays_so() {
    let sim = org(Duration::ZERO).await;
    let streams = [
        people_stream(),
        Stream::new("others", "Contact", &["LastName"]),
    ];
    let other = |number| streams[1].record(&json!({"LastName": format!("Other {number}")}));
    let mut job = Job::new(&sim, &[&streams[0], &streams[1]])
        .set("max_job_rows", 10)
        .rejects_to_folder();
    let mut running = job.start_write();
    let mut lines: Vec<String> = (0..20).map(other).collect();
    lines.push(streams[1].state(1, 20));
    lines.extend((20..40).map(other));
    lines.extend(super::records(&streams[0], 0..PEOPLE));
    running.send(&lines).await;
    let loaded = async {
        while sim.column("Contact", "LastName").await.len() < PEOPLE + 40 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), loaded)
        .await
        .unwrap();
    running.wait_for_states(1).await;
    running.kill().await;

    job.set_catalog(catalog(&[&streams[0]]));
    job.write(&anew(&streams[0], PEOPLE)).await.succeeded();
    job.set_catalog(catalog(&[&streams[0], &streams[1]]));
    // Equal to those that were covered: they are others.
    let mut lines: Vec<String> = (0..40).map(other).collect();
    lines.extend(streams.iter().map(Stream::complete));
    job.write(&lines).await.succeeded();
    let names = names(&sim, "Contact", "LastName").await;
    for number in 0..40 {
        let times = if number < 20 { 2 } else { 1 };
        assert_eq!(names[&format!("Other {number}")], times, "{number}");
    }
    assert!(job.ledger().is_empty(), "{:?}", job.ledger());
}

#[tokio::test]
async fn rejected_rows_are_neither_sent_nor_stored_again() {
    let People { sim, stream, job } = People::new(PEOPLE).await;
    // Others of the first job find a lock, and go into another one.
    sim.fault(&json!({"object": "Contact", "do": {"lock_rows": {"share": 0.3}}}))
        .await;
    let lines: Vec<String> = (0..PEOPLE)
        .map(|number| match number % 4 {
            0 => stream.record(&json!({"LastName": null, "FirstName": format!("Bad {number}")})),
            _ => stream.record(&super::person(number)),
        })
        .collect();
    let mut running = job.start_write();
    running.send(&lines).await;
    let marked = async {
        // Every row has its end, and each job that rejected some has its marker.
        while sim.column("Contact", "LastName").await.len() < 45
            || stored_of(&job) != (15, marked_jobs(&job))
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
    let unmarked = |line: &&String| line.contains("without a mark");
    assert_eq!(output.lines.iter().find(unmarked), None);
    let state = output.states()[0];
    assert_eq!(
        state["destinationStats"]["rejectedRecordCount"],
        json!(15.0)
    );
    assert_eq!(state["destinationStats"]["recordCount"], json!(45.0));
    let attempt = &stored[0].1;
    assert!(attempt.contains("attempt"), "{attempt}");
}

/// How many rejected records are stored, and of how many jobs.
fn stored_of(job: &Job) -> (usize, usize) {
    let files = job.reject_files();
    let text: String = files.into_iter().map(|(_, text)| text).collect();
    let jobs: Vec<&str> = text.split(JOB_ID).skip(1).map(|rest| &rest[..18]).collect();
    (jobs.len(), jobs.iter().collect::<BTreeSet<_>>().len())
}

/// Of how many jobs the ledger says that their rejected records are stored.
fn marked_jobs(job: &Job) -> usize {
    let is_marker = |name: &&String| name.ends_with(".rejected");
    job.ledger().iter().filter(is_marker).count()
}
