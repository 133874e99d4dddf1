//! Signals: what a stop lets end, what it never begins, and by when the process has ended.

use std::process::Stdio;
use std::time::{Duration, Instant};

use futures::StreamExt;
use serde_json::{Value, json};
use testkit::KEY;
use testkit::process::spawn;
use testkit::s3::S3Server;
use testkit::sim::{TestSim, jobs_in_state};
use tokio::io::AsyncWriteExt;

use crate::harness::lines::{Stream, catalog, contact, contacts};
use crate::harness::process::{BINARY, Job, Output, Running, storage};
use crate::kills::{Load, Progress, RECORDS_A_JOB, seeds};
use crate::storage::mixed;

/// Random moments of an ordinary run.
const STOPS: u64 = 8;

/// How much longer than its grace a process may take on a busy machine.
const BUSY: Duration = Duration::from_secs(8);

/// How long after a signal a job may be created: a call that was on its way.
const ON_ITS_WAY_MS: i64 = 1_000;

fn lines(stream: &Stream, records: usize, each: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for number in 0..records {
        lines.push(stream.record(&contact(number)));
        if (number + 1).is_multiple_of(each) {
            lines.push(stream.state(number as u64 + 1, each));
        }
    }
    lines.push(stream.complete());
    lines
}

/// Asks a process to end and waits until it has; fails if that is not within its grace, or if a job
/// was created after the signal.
async fn stopped(running: Running, sim: &TestSim, grace: Duration) -> Output {
    let asked = chrono::Utc::now().timestamp_millis();
    let began = Instant::now();
    running.terminate().await;
    let output = running.finish().await;
    let took = began.elapsed();
    assert!(took < grace + BUSY, "{took:?} of {grace:?}: {output:#?}");
    for job in sim.jobs().await {
        let created = job["created_ms"].as_i64().unwrap();
        assert!(
            created <= asked + ON_ITS_WAY_MS,
            "{job} after {asked}: {output:#?}"
        );
    }
    output
}

fn grace(seconds: u64) -> (u64, Duration) {
    (seconds, Duration::from_secs(seconds))
}

#[tokio::test]
async fn after_the_end_of_the_input_nothing_is_begun() {
    let (sim, stream) = (
        TestSim::with_job_time(Duration::from_secs(1)).await,
        contacts(),
    );
    let job = Job::new(&sim, &[&stream])
        .set("max_job_rows", 10)
        .set("max_jobs_in_flight", 2);
    let mut running = job.start_write();
    // 400 jobs, two a second.
    running.feed(lines(&stream, 4_000, 10));
    running.wait_for_states(2).await;

    let output = stopped(running, &sim, Duration::from_secs(20)).await;

    let message = output.failed("transient_error");
    insta::assert_snapshot!(message, @"the sync was stopped by a signal, and jobs in flight came to their end. Every state that became durable was printed, and the next sync starts at the last");
    let org = sim.state().await;
    let jobs = org["jobs"].as_array().unwrap().len();
    assert!(jobs < 200, "{jobs} jobs: {output:#?}");
    assert_eq!(
        jobs_in_state(&org, "JobComplete") + jobs_in_state(&org, "Aborted"),
        jobs
    );
    assert!(output.states().len() <= jobs_in_state(&org, "JobComplete"));
}

#[tokio::test]
async fn jobs_that_outlast_the_grace_are_named() {
    let (sim, stream) = (TestSim::start().await, contacts());
    let (seconds, time) = grace(2);
    let job = Job::new(&sim, &[&stream])
        .set("max_job_rows", 10)
        .set("stop_grace_seconds", seconds);
    sim.hold().await;
    let mut running = job.start_write();
    running.feed(lines(&stream, 400, 10));
    // Who polls a job knows that it is there.
    sim.wait_for("jobs in flight", |org| {
        let jobs = org["jobs"].as_array().unwrap();
        let polled = |job: &&Value| {
            job["requests"]["poll"]
                .as_u64()
                .is_some_and(|polls| polls > 0)
        };
        jobs.iter().filter(polled).count() == 4
    })
    .await;

    let output = stopped(running, &sim, time).await;

    let message = output.failed("transient_error");
    for job in sim.jobs().await {
        let id = job["id"].as_str().unwrap();
        assert!(message.contains(id), "{id}: {output:#?}");
        let logged = output.of("LOG").into_iter().any(|log| {
            let text = log["log"]["message"].as_str().unwrap();
            text.contains("a signal came") && text.contains(id)
        });
        assert!(logged, "what is waited for is logged: {output:#?}");
    }
    assert!(message.contains("go on in Salesforce"), "{message}");
    assert!(output.states().is_empty());
}

/// Whatever a load that was stopped ends by, its jobs go on.
#[tokio::test]
async fn jobs_that_cannot_be_watched_after_a_signal_are_named() {
    let (sim, stream) = (TestSim::start().await, contacts());
    let job = Job::new(&sim, &[&stream]).set("max_job_rows", 10);
    sim.hold().await;
    let mut running = job.start_write();
    running.feed(lines(&stream, 400, 10));
    sim.wait_for("jobs in flight", |org| {
        jobs_in_state(org, "InProgress") == 4
    })
    .await;
    running.terminate().await;
    running.wait_for_log("a signal came").await;
    let refused = json!({"api_error": {"status": 403, "code": "INSUFFICIENT_ACCESS"}});
    sim.fault(&json!({"calls": ["poll"], "times": 0, "do": refused}))
        .await;

    let output = running.finish().await;

    let message = output.failed("transient_error");
    for job in sim.jobs().await {
        let id = job["id"].as_str().unwrap();
        assert!(message.contains(id), "{id}: {message}");
    }
}

#[tokio::test]
async fn a_second_signal_ends_at_once() {
    let (sim, stream) = (TestSim::start().await, contacts());
    let job = Job::new(&sim, &[&stream])
        .set("max_job_rows", 10)
        .set("stop_grace_seconds", 3_600);
    sim.hold().await;
    let mut running = job.start_write();
    running.feed(lines(&stream, 20, 10));
    sim.wait_for("jobs in flight", |org| {
        jobs_in_state(org, "InProgress") == 2
    })
    .await;
    running.terminate().await;
    running.wait_for_log("a signal came").await;
    let output = stopped(running, &sim, Duration::ZERO).await;
    let message = output.failed("transient_error");
    assert!(message.starts_with("a second signal came"), "{message}");
}

/// A stdout that nobody reads must not make the process deaf.
#[tokio::test]
async fn nobody_reads_stdout() {
    let (sim, stream) = (TestSim::start().await, contacts());
    let (seconds, time) = grace(2);
    let job = Job::new(&sim, &[&stream])
        .set("max_job_rows", 10)
        .set("stop_grace_seconds", seconds);
    let mut child = spawn(BINARY, &job.write_args(), &[("LOG_LEVEL", "TRACE")]);
    let mut stdin = child.stdin.take().unwrap();
    // More states than a pipe holds.
    let mut text = String::new();
    for number in 0..100 {
        text += &stream.record(&contact(number));
        text += "\n";
        let mut state: Value = serde_json::from_str(&stream.state(number as u64, 1)).unwrap();
        state["state"]["stream"]["stream_state"]["padding"] = json!("x".repeat(10_000));
        text += &format!("{state}\n");
    }
    let feeding = tokio::spawn(async move {
        // It may end first.
        let _ = stdin.write_all(text.as_bytes()).await;
        stdin
    });
    sim.wait_for("a job that ended", |org| {
        jobs_in_state(org, "JobComplete") > 2
    })
    .await;
    let pid = child.id().unwrap().to_string();
    let mut kill = tokio::process::Command::new("kill");
    let asked = kill.args(["-TERM", &pid]).stdout(Stdio::null()).status();
    assert!(asked.await.unwrap().success());
    let status = tokio::time::timeout(time + BUSY, child.wait()).await;
    assert_eq!(status.expect("deaf").unwrap().code(), Some(1));
    drop(feeding);
}

#[tokio::test]
async fn uploads_are_cut_and_their_jobs_aborted() {
    let (sim, stream) = (TestSim::start().await, contacts());
    let job = Job::new(&sim, &[&stream]).set("max_job_rows", 10);
    sim.fault(&json!({"calls": ["upload"], "times": 0, "do": {"delay": {"ms": 600_000}}}))
        .await;
    let mut running = job.start_write();
    running.feed(lines(&stream, 50, 10));
    sim.wait_for("jobs", |org| jobs_in_state(org, "Open") == 2)
        .await;

    let output = stopped(running, &sim, Duration::from_secs(5)).await;

    output.failed("transient_error");
    let org = sim.state().await;
    let jobs = org["jobs"].as_array().unwrap().len();
    assert_eq!(jobs_in_state(&org, "Aborted"), jobs, "{org:#}");
}

/// No pause outlasts a signal but those of jobs that are closed.
#[tokio::test]
async fn patience_ends_with_a_signal() {
    for (call, mode) in [
        ("create", "append"),
        ("upload", "append"),
        ("create_multipart", "append_dedup"),
    ] {
        let (sim, stream) = (TestSim::start().await, contacts());
        let mut catalog = catalog(&[&stream]);
        catalog["streams"][0]["destination_sync_mode"] = json!(mode);
        catalog["streams"][0]["primary_key"] = json!([[KEY]]);
        let job = Job::with_catalog(&sim, catalog).set("max_job_rows", 10);
        sim.fault(&json!({"calls": [call], "times": 0, "do": {"status": {"code": 503}}}))
            .await;
        let mut running = job.start_write();
        running.feed(lines(&stream, 20, 10));
        let asked = format!("a call of {call}");
        sim.wait_for(&asked, |org| org["requests"][call].as_u64() > Some(1))
            .await;
        let output = stopped(running, &sim, Duration::from_secs(5)).await;
        output.failed("transient_error");
        assert_eq!(jobs_in_state(&sim.state().await, "Open"), 0, "{call}");
    }
}

#[tokio::test]
async fn a_busy_bucket_does_not_outlast_the_grace() {
    let (sim, s3, stream) = (TestSim::start().await, S3Server::start().await, contacts());
    let (seconds, time) = grace(2);
    let job = Job::new(&sim, &[&stream])
        .set("object_storage_config", storage(&s3))
        .set("stop_grace_seconds", seconds);
    let mut running = job.start_write();
    running.wait_for_log("the org is ready").await;
    s3.be_busy(usize::MAX);
    running.feed(mixed(&stream));
    running.wait_for_log("a request to the store failed").await;
    let output = stopped(running, &sim, time).await;
    output.failed("transient_error");
    assert!(
        output.states().is_empty(),
        "no state before what was rejected is stored"
    );
    assert!(s3.objects().is_empty());
}

#[tokio::test]
async fn every_command_ends_at_a_signal() {
    let slow = json!({"delay": {"ms": 600_000}});
    for (command, call) in [
        ("check", "token"),
        ("check", "sobjects"),
        ("discover", "composite"),
        ("write", "token"),
        ("write", "describe"),
    ] {
        let (sim, stream) = (TestSim::start().await, contacts());
        sim.fault(&json!({"calls": [call], "times": 0, "do": slow}))
            .await;
        let job = Job::new(&sim, &[&stream]);
        let args = match command {
            "check" => job.check_args(),
            "discover" => job.discover_args(),
            _ => job.write_args(),
        };
        let mut running = Running::start(&args);
        running.feed(Vec::new());
        let asked = format!("a call of {call}");
        sim.wait_for(&asked, |org| org["requests"][call].as_u64() > Some(0))
            .await;
        let output = stopped(running, &sim, Duration::from_secs(3)).await;
        let message = output.failed("transient_error");
        assert!(
            message.contains("stopped by a signal"),
            "{command}: {message}"
        );
        assert!(output.of("CONNECTION_STATUS").is_empty());
    }
}

/// A login that returns a new refresh token is not cut off by a signal.
#[tokio::test]
async fn a_rotated_token_is_passed_on_though_a_signal_comes() {
    let (sim, stream) = (TestSim::start().await, contacts());
    sim.set(&json!({"rotate_refresh_token": true})).await;
    sim.fault(&json!({"calls": ["token"], "do": {"delay": {"ms": 700}}}))
        .await;
    let job = Job::new(&sim, &[&stream]);
    let running = job.start_write();
    sim.wait_for("a login", |org| org["requests"]["token"].as_u64() > Some(0))
        .await;
    let output = stopped(running, &sim, Duration::from_secs(3)).await;
    output.failed("transient_error");
    assert_eq!(output.of("CONTROL").len(), 1, "{output:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signal_at_any_moment() {
    let seeds = seeds(STOPS);
    let stops = futures::stream::iter(0..seeds).map(|seed| tokio::spawn(stop_and_rerun(seed)));
    let ends: Vec<End> = stops
        .buffer_unordered(4)
        .map(Result::unwrap)
        .collect()
        .await;
    let of = |end: End| ends.iter().filter(|of| **of == end).count();
    let (early, ended, left) = (of(End::Through), of(End::Ended), of(End::JobsLeft));
    println!(
        "of {seeds} signals {ended} let all jobs end, {left} left some, {early} came too late"
    );
    assert!(ended + left > seeds as usize / 2);
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The load was through before the signal came.
    Through,
    /// Jobs in flight came to their end.
    Ended,
    /// Some did not.
    JobsLeft,
}

/// Stops a load at its seeded moment, compares, reruns it from the last states, compares.
async fn stop_and_rerun(seed: u64) -> End {
    let mut random = fastrand::Rng::with_seed(seed);
    let sim = TestSim::with_job_time(Duration::from_millis(random.u64(1..600))).await;
    let load = Load::new(seed);
    let (seconds, time) = grace(random.u64(2..6));
    let job = Job::new(&sim, &load.streams())
        .set("max_job_rows", RECORDS_A_JOB)
        .set("max_jobs_in_flight", random.u64(1..8))
        .set("stop_grace_seconds", seconds)
        .set("wait_permille", 50)
        .rejects_to_folder();
    let faults = [
        json!({"calls": ["create"], "chance": 0.2, "times": 0, "do": {"status": {"code": 503}}}),
        json!({"calls": ["create"], "chance": 0.2, "times": 3, "do": {"lose": {}}}),
        json!({"calls": ["create"], "chance": 0.3, "times": 0, "do": {"delay": {"ms": 200}}}),
        json!({"calls": ["upload"], "chance": 0.3, "times": 0, "do": {"delay": {"ms": 300}}}),
        json!({"calls": ["poll"], "chance": 0.3, "times": 0, "do": {"status": {"code": 503}}}),
        json!({"chance": 0.3, "times": 0, "do": {"lock_rows": {"share": 0.1, "attempts": 1}}}),
    ];
    for fault in &faults {
        if random.bool() {
            sim.fault(fault).await;
        }
    }
    let holds = random.u8(..) < 64;

    let mut running = job.start_write();
    running.feed(load.lines(Progress::default()));
    let jobs = random.usize(0..20);
    sim.wait_for("jobs", |org| {
        let created = org["jobs"].as_array().unwrap().len();
        let done = jobs_in_state(org, "JobComplete") == created;
        created >= jobs && (jobs == 0 || !done)
    })
    .await;
    tokio::time::sleep(Duration::from_millis(random.u64(0..400))).await;
    if holds {
        sim.hold().await;
    }
    let output = stopped(running, &sim, time).await;
    // What a printed state counts on is there already.
    sim.hold().await;
    let done = Progress::of(&output);
    let when = format!("seed {seed}, at the stop");
    load.compare(&when, &sim, &job, done).await;
    let org = sim.state().await;
    assert_eq!(
        jobs_in_state(&org, "Open"),
        0,
        "{when}: {org:#} {output:#?}"
    );
    sim.release().await;
    let end = match output.code {
        Some(0) => End::Through,
        _ if output
            .failed("transient_error")
            .contains("go on in Salesforce") =>
        {
            End::JobsLeft
        }
        _ => End::Ended,
    };

    sim.wait_for("the end of the closed jobs", |state| {
        jobs_in_state(state, "UploadComplete") + jobs_in_state(state, "InProgress") == 0
    })
    .await;
    sim.set(&json!({"job_time": {"secs": 0, "nanos": 0}})).await;
    job.write(&load.lines(done)).await.succeeded();
    let when = format!("seed {seed}, after the rerun");
    load.compare(&when, &sim, &job, Progress::ALL).await;
    end
}
