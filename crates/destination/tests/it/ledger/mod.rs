//! Append that ends early and is repeated: no row is lost, none is doubled.

mod attempts;
mod blocked;
mod kills;
mod leftovers;
mod points;
mod refusals;
mod source;
mod world;

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use testkit::sim::TestSim;

use crate::harness::lines::Stream;
use crate::harness::process::Job;

/// An org that takes equal rows, as far as nothing forbids them.
async fn org(job_time: Duration) -> TestSim {
    let sim = TestSim::with_job_time(job_time).await;
    sim.set(&json!({"refuse_duplicates": false})).await;
    sim
}

/// An append of people, of whom two jobs have half each.
struct People {
    sim: TestSim,
    stream: Stream,
    job: Job,
}

impl People {
    async fn new(people: usize) -> Self {
        let sim = org(Duration::ZERO).await;
        let stream = people_stream();
        let job = Job::new(&sim, &[&stream])
            .set("max_job_rows", people / 2)
            .rejects_to_folder();
        Self { sim, stream, job }
    }

    /// An attempt was killed once all people were in the org, before a state came.
    async fn interrupted(people: usize) -> Self {
        let new = Self::new(people).await;
        interrupted(&new.sim, &new.job, &new.stream, people).await;
        new
    }
}

/// Contacts that nothing distinguishes but their names, of which some are equal.
fn people_stream() -> Stream {
    Stream::new("people", "Contact", &["LastName", "FirstName"])
}

fn person(number: usize) -> Value {
    // Each third is equal to the one before.
    let name = number - usize::from(number % 3 == 2);
    json!({"LastName": format!("Ng {name}"), "FirstName": "Ada"})
}

/// How often each name is in the org.
async fn names(sim: &TestSim, object: &str, field: &str) -> BTreeMap<String, usize> {
    let mut names = BTreeMap::new();
    for name in sim.column(object, field).await {
        *names.entry(name).or_default() += 1;
    }
    names
}

/// Records of some people, without a state.
fn records(stream: &Stream, people: std::ops::Range<usize>) -> Vec<String> {
    people
        .map(|number| stream.record(&person(number)))
        .collect()
}

/// Each name that these people have, so many times.
fn expected(people: std::ops::Range<usize>, times: usize) -> BTreeMap<String, usize> {
    let mut names = BTreeMap::new();
    for number in people {
        let name = person(number)["LastName"].as_str().unwrap().to_owned();
        *names.entry(name).or_default() += times;
    }
    names
}

/// Loads people whose states never come, and kills the process once all are in the org.
async fn interrupted(sim: &TestSim, job: &Job, stream: &Stream, people: usize) {
    let mut running = job.start_write();
    running.send(&records(stream, 0..people)).await;
    let waiting = async {
        while sim.column("Contact", "LastName").await.len() < people {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(60), waiting).await;
    let killed = running.kill().await;
    assert!(waited.is_ok(), "{killed:#?}");
    assert_eq!(killed.code, None, "{killed:#?}");
    assert!(!job.ledger().is_empty());
}

/// All people, as a source sends them that begins anew.
fn anew(stream: &Stream, people: usize) -> Vec<String> {
    let mut lines = records(stream, 0..people);
    lines.push(stream.state(people as u64, people));
    lines.push(stream.complete());
    lines
}
