//! What a new attempt does about jobs, objects and places that are not as they should be.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use insta::assert_snapshot;
use serde_json::json;
use testkit::s3::{OLD_BUCKET, S3Server};
use testkit::sim::{TestSim, jobs_in_state};

use super::{People, anew, expected, names, org, people_stream, person, records};
use crate::harness::lines::{Stream, catalog};
use crate::harness::process::{Job, Running, storage};

const PEOPLE: usize = 40;

/// The first words of the ids of jobs and attempts, and of paths, stand for all of them.
fn shown(message: &str) -> String {
    let words = message.split(' ').map(|word| {
        if word.starts_with("750") {
            "750…"
        } else if word.starts_with("file://") {
            "file://…"
        } else {
            word
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

fn place(job: &Job) -> PathBuf {
    let url = job.config()["rejected_records_url"].as_str().unwrap();
    Path::new(url.strip_prefix("file://").unwrap()).join("_ledger")
}

/// Objects of the ledger that end with a text.
pub(super) fn objects(job: &Job, end: &str) -> Vec<PathBuf> {
    let names = job.ledger().into_iter().filter(|name| name.ends_with(end));
    let mut paths: Vec<_> = names.map(|name| place(job).join(name)).collect();
    paths.sort();
    paths
}

/// Waits until jobs of the org are in a state, with their entries written.
async fn wait_for_jobs(sim: &TestSim, job: &Job, state: &str, jobs: usize) {
    let all = format!("{jobs} jobs in state {state}, with entries");
    sim.wait_for(&all, |org| {
        jobs_in_state(org, state) >= jobs && objects(job, ".entry").len() >= jobs
    })
    .await;
}

/// An attempt that has sent half of the people, which are in the org.
async fn at_work(sim: &TestSim, job: &Job, stream: &Stream) -> Running {
    let mut running = job.start_write();
    running.send(&records(stream, 0..PEOPLE / 2)).await;
    wait_for_jobs(sim, job, "JobComplete", 1).await;
    running
}

fn with_titles() -> (Stream, Vec<String>) {
    let stream = Stream::new("people", "Contact", &["LastName", "Title"]);
    let titled = |number| json!({"LastName": person(number)["LastName"], "Title": "Dr."});
    let mut lines: Vec<String> = (0..PEOPLE).map(|n| stream.record(&titled(n))).collect();
    lines.push(stream.complete());
    (stream, lines)
}

#[tokio::test]
async fn a_catalog_with_other_columns_is_another_mapping() {
    let People {
        sim,
        stream,
        mut job,
    } = People::interrupted(PEOPLE).await;
    let (other, lines) = with_titles();
    job.set_catalog(catalog(&[&other]));
    let message = job.write(&lines).await.failed("config_error");
    assert_snapshot!(shown(&message), @"people into Contact: an earlier attempt that ended early has sent FirstName, Title in another way, and rows of its job 750… may be in Salesforce: going on would insert them twice. Set the mapping and the settings of values back to what they were, or set ledger: forget to send all again. If that was another connection with a stream of this name, give each of them a ledger_id");

    // Set back, nothing is sent twice.
    job.set_catalog(catalog(&[&stream]));
    let half = records(&stream, 0..PEOPLE);
    job.write(&half).await;
    assert_eq!(
        names(&sim, "Contact", "LastName").await,
        expected(0..PEOPLE, 1)
    );

    job.set_catalog(catalog(&[&other]));
    job.change("ledger", "forget");
    job.write(&lines).await.succeeded();
    assert_eq!(
        names(&sim, "Contact", "LastName").await,
        expected(0..PEOPLE, 2)
    );
    assert!(objects(&job, ".entry").is_empty(), "{:?}", job.ledger());
}

#[tokio::test]
async fn a_connection_at_work_with_other_columns_disturbs_nobody() {
    let People { sim, stream, job } = People::new(PEOPLE).await;
    let mut job = job.set("wait_permille", 100);
    let mut first = at_work(&sim, &job, &stream).await;
    let (other, lines) = with_titles();
    job.set_catalog(catalog(&[&other]));
    job.write(&lines).await.succeeded();
    let mut rest = records(&stream, PEOPLE / 2..PEOPLE);
    rest.push(stream.complete());
    first.feed(rest);
    first.finish().await.succeeded();
    assert_eq!(
        names(&sim, "Contact", "LastName").await,
        expected(0..PEOPLE, 2)
    );
    assert!(job.ledger().is_empty(), "{:?}", job.ledger());
}

#[tokio::test]
async fn an_entry_that_was_changed_is_the_users_choice() {
    let People {
        sim,
        stream,
        mut job,
    } = People::interrupted(PEOPLE).await;
    let entry = &objects(&job, ".entry")[0];
    let mut bytes = fs::read(entry).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(entry, &bytes).unwrap();
    let message = job
        .write(&anew(&stream, PEOPLE))
        .await
        .failed("config_error");
    assert_snapshot!(shown(&message), @"the ledger's object file://… cannot be read: it is damaged: its checksum. Rows that it names may be in Salesforce; check them, and then set ledger: forget");
    assert_eq!(
        names(&sim, "Contact", "LastName").await,
        expected(0..PEOPLE, 1)
    );

    // As a later version writes it.
    bytes[4] = 9;
    fs::write(entry, &bytes).unwrap();
    let message = job
        .write(&anew(&stream, PEOPLE))
        .await
        .failed("config_error");
    assert_snapshot!(shown(&message), @"the ledger's object file://… cannot be read: it has version 9, and this software reads version 2: use the software that wrote it. Rows that it names may be in Salesforce; check them, and then set ledger: forget");

    job.change("ledger", "forget");
    job.write(&anew(&stream, PEOPLE)).await.succeeded();
    assert_eq!(
        names(&sim, "Contact", "LastName").await,
        expected(0..PEOPLE, 2)
    );
}

#[tokio::test]
async fn results_that_do_not_say_what_became_of_rows_are_the_users_choice() {
    let People {
        sim,
        stream,
        mut job,
    } = People::new(PEOPLE).await;
    let ends = json!({"end_job": {"state": "aborted", "after_rows": 5, "unrecorded": true}});
    let slow = json!({"slow_job": {"ms": 2_000}});
    sim.faults(&[json!({"do": ends}), json!({"do": slow})])
        .await;
    let mut running = job.start_write();
    running.send(&records(&stream, 0..PEOPLE / 2)).await;
    wait_for_jobs(&sim, &job, "InProgress", 1).await;
    running.kill().await;
    let lines = anew(&stream, PEOPLE);
    let message = job.write(&lines).await.failed("config_error");
    assert_snapshot!(shown(&message), @"people into Contact: the results of job 750… of an earlier attempt do not say what became of 15 rows, so they may or may not be in Salesforce. Compare the org with the source for this job, and then set ledger: forget to send all again");
    job.change("ledger", "forget");
    job.write(&lines).await.succeeded();
}

#[tokio::test]
async fn columns_that_results_lack_are_named() {
    let People { sim, stream, job } = People::new(PEOPLE).await;
    let refused = json!({"share": 0.4, "error": "FIELD_CUSTOM_VALIDATION_EXCEPTION:no:--"});
    for action in [
        json!({"fail_rows": refused}),
        json!({"drop_columns": {"names": ["FirstName"]}}),
    ] {
        sim.fault(&json!({"times": 0, "do": action})).await;
    }
    let mut running = job.start_write();
    running.send(&records(&stream, 0..PEOPLE)).await;
    sim.wait_for("markers of both jobs", |_| {
        objects(&job, ".rejected").len() == 2
    })
    .await;
    running.kill().await;
    let lines = anew(&stream, PEOPLE);
    let message = job.write(&lines).await.failed("config_error");
    assert_snapshot!(shown(&message), @"people into Contact: the results of job 750… of an earlier attempt have no column FirstName, so it is not known which of 20 rows are in Salesforce. Let the user of the connection read these fields; or compare the org with the source for this job, and then set ledger: forget to send all again");
}

#[tokio::test]
async fn a_job_that_is_open_is_aborted_and_holds_nothing() {
    let People { sim, stream, job } = People::new(PEOPLE).await;
    let hang = json!({"calls": ["close"], "do": {"hang": {"ms": 60_000}}});
    sim.fault(&hang).await;
    let mut running = job.start_write();
    running.send(&records(&stream, 0..PEOPLE / 2)).await;
    sim.wait_for("a close that hangs", |org| {
        jobs_in_state(org, "Open") == 1 && !objects(&job, ".entry").is_empty()
    })
    .await;
    running.kill().await;
    sim.clear_faults().await;
    let output = job.write(&anew(&stream, PEOPLE)).await.succeeded();
    let said = |line: &&String| line.contains("was open, and is aborted: it holds nothing");
    assert_eq!(output.lines.iter().filter(said).count(), 1, "{output:#?}");
    assert_eq!(jobs_in_state(&sim.state().await, "Aborted"), 1);
    assert_eq!(
        names(&sim, "Contact", "LastName").await,
        expected(0..PEOPLE, 1)
    );
}

#[tokio::test]
async fn an_attempt_that_another_has_replaced_closes_no_job() {
    let People { sim, stream, job } = People::new(PEOPLE).await;
    let mut running = at_work(&sim, &job, &stream).await;
    let claims = fs::read_dir(place(&job).join("owners")).unwrap();
    let load = claims.map(|load| load.unwrap().path()).next().unwrap();
    fs::remove_file(load.join(format!("{:020}", 0))).unwrap();
    fs::write(load.join(format!("{:020}", 1)), "another").unwrap();
    running.feed(records(&stream, PEOPLE / 2..PEOPLE));
    let message = running.finish().await.failed("transient_error");
    assert_snapshot!(message, @"a later attempt of this sync has taken over, since this one showed no sign of life for a minute; it sends what this one has not");
    let state = sim.state().await;
    assert_eq!(jobs_in_state(&state, "Aborted"), 1);
    assert_eq!(
        names(&sim, "Contact", "LastName").await,
        expected(0..PEOPLE / 2, 1)
    );
}

#[tokio::test]
async fn a_bucket_without_conditions_is_a_warning() {
    let sim = org(Duration::ZERO).await;
    let s3 = S3Server::start().await;
    let stream = people_stream();
    let mut bucket = storage(&s3);
    bucket["s3_bucket_name"] = json!(OLD_BUCKET);
    let job = Job::new(&sim, &[&stream]).set("object_storage_config", bucket);
    let output = job.write(&anew(&stream, PEOPLE)).await.succeeded();
    let warned = |line: &&String| {
        line.contains("WARN")
            && line.contains("two attempts of a sync that begin in the same moment")
    };
    assert_eq!(output.lines.iter().filter(warned).count(), 1, "{output:#?}");
}

/// Of equal rows of a job some were refused: which of them is settled by their order alone, so that a
/// later attempt finds the same ones stored as rejected, and the others accepted.
#[tokio::test]
async fn equal_rows_of_a_job_are_paired_as_they_were() {
    let People { sim, stream, job } = People::new(PEOPLE).await;
    let refused = json!({"share": 0.4, "error": "FIELD_CUSTOM_VALIDATION_EXCEPTION:no:--"});
    sim.fault(&json!({"times": 0, "do": {"fail_rows": refused}}))
        .await;
    let mut lines = vec![stream.record(&person(0)); PEOPLE];
    let mut running = job.start_write();
    running.send(&lines).await;
    sim.wait_for("markers of both jobs", |_| {
        objects(&job, ".rejected").len() == 2
    })
    .await;
    running.kill().await;
    sim.clear_faults().await;
    let (jobs, stored) = (sim.jobs().await.len(), job.reject_files());
    let loaded = sim.column("Contact", "LastName").await.len();
    assert!((1..PEOPLE).contains(&loaded), "{loaded} of the equal rows");

    lines.push(stream.state(1, PEOPLE));
    lines.push(stream.complete());
    let output = job.write(&lines).await.succeeded();
    assert_eq!(sim.jobs().await.len(), jobs, "no job was made");
    assert_eq!(job.reject_files(), stored, "nothing is stored twice");
    assert_eq!(sim.column("Contact", "LastName").await.len(), loaded);
    let counts = &output.states()[0]["destinationStats"];
    assert_eq!(counts["recordCount"].as_f64(), Some(loaded as f64));
    let rejected = (PEOPLE - loaded) as f64;
    assert_eq!(counts["rejectedRecordCount"].as_f64(), Some(rejected));
}
