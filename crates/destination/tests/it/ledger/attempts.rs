//! Two attempts at once, attempts that are asked to stop, and stores that do not help.

use std::time::Duration;

use serde_json::json;
use testkit::bucket_faults::{BucketCall, BucketFault, Harm};
use testkit::gate::{Halt, Seen, Side};
use testkit::s3::{OLD_BUCKET, S3Server};

use super::source::{Done, Judged, STREAMS, Source};
use super::world::{World, ended, has, is_named, other_jobs, until};
use super::{anew, expected, names, org, people_stream, records};
use crate::harness::process::{Job, Output, storage};
use crate::kills::seeds;

const RECORDS: usize = 120;
const RECORDS_A_STATE: usize = 40;

/// A moment in the life of a process: a side of a request.
type Moment = (&'static str, Side, fn(&Seen<'_>) -> bool);

/// Those at which one stands still for longer than its lease.
const STANDS: [Moment; 6] = [
    ("before its entry is stored", Side::Before, is_entry),
    (
        "before it knows that its entry is stored",
        Side::After,
        is_entry,
    ),
    (
        "before it knows that the load is its own",
        Side::After,
        is_claim_read,
    ),
    (
        "before it knows that its job is closed",
        Side::After,
        |seen| seen.method == "PATCH" && has(seen.body, "UploadComplete"),
    ),
    ("before its cursor is stored", Side::Before, is_cursor),
    (
        "before it knows that its cursor is stored",
        Side::After,
        is_cursor,
    ),
];

fn is_entry(seen: &Seen<'_>) -> bool {
    seen.method == "PUT" && is_named(seen, ".entry")
}

fn is_claim_read(seen: &Seen<'_>) -> bool {
    // Of a start, nothing is read by its name but after a list.
    seen.method == "GET" && seen.path.contains("_ledger/owners/")
}

fn is_cursor(seen: &Seen<'_>) -> bool {
    seen.method == "PUT" && seen.path.contains("_ledger/cursors/")
}

/// A process that goes on after another attempt has taken over closes no job and covers nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_stood_still_for_longer_than_its_lease_does_no_harm() {
    for (seed, (moment, side, at)) in (0..).zip(STANDS) {
        // Cursors have long pauses between them: there may be few.
        let skip = if moment.contains("cursor") { 0 } else { 4 };
        stand_still(seed, moment, Halt { at, skip, side }).await;
    }
}

async fn stand_still(seed: u64, moment: &str, halt: Halt) {
    let random = &mut fastrand::Rng::with_seed(seed);
    let world = World::start().await;
    let source = Source::new(false, RECORDS, RECORDS_A_STATE);
    let mut job = world.job(&source).set("max_job_rows", 10);
    let mut done: Done = [0; STREAMS];
    world.halts.arm(Some(halt));
    let mut first = job.start_write();
    first.feed(source.lines(done, random));
    tokio::select! {
        () = world.halts.hit() => {}
        () = ended(&first) => panic!("{moment}: {:#?}", first.finish().await),
    }
    first.signal("STOP").await;
    world.halts.go_on();
    let printed: Output = Output::printed(first.lines());
    done = source.done(&printed, done);

    job = other_jobs(job, random);
    let second = job.write(&source.lines(done, random)).await;
    assert_eq!(second.code, Some(0), "{moment}: {second:#?}");
    let jobs = world.sim.jobs().await;
    let closed = |jobs: &[serde_json::Value]| {
        let closed = |job: &&serde_json::Value| job["state"] == "JobComplete";
        jobs.iter().filter(closed).count()
    };
    first.signal("CONT").await;
    let first = first.finish().await;
    // What it was about to write may be written already, or the load is no longer its own.
    let message = first.failed("transient_error");
    let ends = [
        "a later attempt of this sync has taken over",
        "is there already",
    ];
    assert!(
        ends.iter().any(|end| message.contains(end)),
        "{moment}: {message}"
    );
    assert_eq!(
        source.done(&first, [0; STREAMS]),
        done,
        "{moment}: states were printed"
    );
    assert_eq!(closed(&world.sim.jobs().await), closed(&jobs), "{moment}");
    let judged = source.judge(&world.sim).await;
    // What was covered and not printed is doubled.
    let most = if moment.contains("cursor") {
        STREAMS * RECORDS
    } else {
        0
    };
    assert!(
        judged.lost == 0 && judged.doubled <= most,
        "{moment}: {judged:?}"
    );
    // What it has written since, the next sync finds: no entry is of a job that was closed.
    let nothing = source.lines([RECORDS; STREAMS], random);
    job.write(&nothing).await.succeeded();
    let mut left = world.ledger();
    left.retain(|name| !name.ends_with(".rejected"));
    assert!(left.is_empty(), "{moment}: {left:?}");
}

/// A process that is asked to stop and has the time to: the next attempt begins at once, and sends
/// exactly what is missing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_stop_the_next_attempt_begins_at_once_and_doubles_nothing() {
    for seed in 0..seeds(3) {
        let random = &mut fastrand::Rng::with_seed(seed);
        let world = World::start().await;
        let source = Source::new(seed % 2 == 1, RECORDS, RECORDS_A_STATE);
        let mut job = world.job(&source).set("stop_grace_seconds", 30);
        let mut done: Done = [0; STREAMS];
        let mut outputs = Vec::new();
        let moment = random.u64(0..900);
        for _ in 0..8 {
            job = other_jobs(job, random).set("max_job_rows", random.u32(5..20));
            let mut running = job.start_write();
            running.feed(source.lines(done, random));
            running.wait_for_log("the org is ready").await;
            tokio::select! {
                () = tokio::time::sleep(Duration::from_millis(moment)), if outputs.len() < 2 => {
                    running.terminate().await;
                }
                () = ended(&running) => {}
            }
            let output = running.finish().await;
            done = source.done(&output, done);
            let ended = output.code == Some(0);
            let waits = output
                .lines
                .iter()
                .any(|line| line.contains("has not said that it ended"));
            assert!(!waits, "seed {seed}: {output:#?}");
            outputs.push(output);
            if ended {
                break;
            }
        }
        assert_eq!(outputs.last().unwrap().code, Some(0), "seed {seed}");
        assert_eq!(
            source.judge(&world.sim).await,
            Judged::default(),
            "seed {seed}"
        );
        let (all, by_rule) = source.judge_rejects(&world.s3.objects(), &outputs);
        assert_eq!(all.lost, 0, "seed {seed}");
        assert_eq!(by_rule, Judged::default(), "seed {seed}");
        assert!(
            world.ledger().is_empty(),
            "seed {seed}: {:?}",
            world.ledger()
        );
    }
}

const PEOPLE: usize = 40;

/// A bucket of a server that creates nothing on condition, and deletes objects one by one.
#[tokio::test]
async fn an_old_store_takes_a_ledger() {
    let sim = org(Duration::ZERO).await;
    let s3 = S3Server::start().await;
    let stream = people_stream();
    let mut store = storage(&s3);
    store["s3_bucket_name"] = json!(OLD_BUCKET);
    let job = Job::new(&sim, &[&stream])
        .set("max_job_rows", PEOPLE / 2)
        .set("object_storage_config", store);
    let mut running = job.start_write();
    running.send(&records(&stream, 0..PEOPLE)).await;
    let waiting = async {
        while sim.column("Contact", "LastName").await.len() < PEOPLE {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), waiting)
        .await
        .unwrap();
    running.kill().await;
    let output = job.write(&anew(&stream, PEOPLE)).await.succeeded();
    let warned = |line: &&String| line.contains("cannot create objects on condition");
    assert_eq!(output.lines.iter().filter(warned).count(), 1, "{output:#?}");
    assert_eq!(
        names(&sim, "Contact", "LastName").await,
        expected(0..PEOPLE, 1)
    );
    let left = testkit::s3::names(&s3.directory(OLD_BUCKET).join("rejected_records_ledger"));
    assert!(left.is_empty(), "{left:?}");
}

/// An attempt that cannot reach the ledger does not go on without: an earlier one may have.
#[tokio::test]
async fn a_ledger_that_cannot_be_reached_is_waited_for() {
    let sim = org(Duration::ZERO).await;
    let s3 = S3Server::start().await;
    let stream = people_stream();
    let job = Job::new(&sim, &[&stream])
        .set("patience_seconds", 5)
        .set("object_storage_config", storage(&s3));
    // The first object is that of the proof for rejected records.
    let busy = |skip, times| BucketFault {
        name: "busy".to_owned(),
        call: Some(BucketCall::Put),
        skip,
        times,
        span: None,
        harm: Harm::Error(503, "SlowDown"),
    };
    s3.set_faults(vec![busy(1, None)]);
    let message = job
        .write(&anew(&stream, PEOPLE))
        .await
        .failed("transient_error");
    assert!(message.contains("SlowDown"), "{message}");
    assert!(sim.column("Contact", "LastName").await.is_empty());
    // Neither is a job closed whose entry cannot be stored: after the proofs come the sign of life and
    // the claim.
    s3.set_faults(vec![busy(4, None)]);
    let message = job
        .write(&anew(&stream, PEOPLE))
        .await
        .failed("transient_error");
    assert!(message.contains("rejected_records_ledger/"), "{message}");
    assert!(sim.column("Contact", "LastName").await.is_empty());
    // What passes is waited for.
    s3.set_faults(vec![busy(4, Some(3))]);
    job.write(&anew(&stream, PEOPLE)).await.succeeded();
    assert_eq!(
        names(&sim, "Contact", "LastName").await,
        expected(0..PEOPLE, 1)
    );
}

/// While nobody reads the states of one cursor, no other is written: a kill then doubles no more than the
/// rows of one, and a stop none at all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn states_that_nobody_reads_hold_up_the_next_cursor() {
    const ROWS: usize = 10;
    let world = World::start().await;
    let stream = people_stream();
    let job = world
        .job_of(&[&stream])
        .set("max_job_rows", ROWS)
        .set("stop_grace_seconds", 5);
    // Longer than what a pipe holds.
    let state = |cursor: usize| {
        let long = "x".repeat(200_000);
        let state = json!({"type": "STATE", "state": {"type": "STREAM", "stream": {
            "stream_descriptor": {"name": "people"},
            "stream_state": {"cursor": cursor, "long": long}}}});
        state.to_string()
    };
    let interval = |end: usize| {
        let mut lines = records(&stream, end - ROWS..end);
        lines.push(state(end));
        lines
    };
    let mut running = job.start_write();
    running.read_output(false);
    running.send(&interval(ROWS)).await;
    let covered = || world.covered().into_values().sum::<u64>();
    until("the first cursor", async || covered() == ROWS as u64).await;
    running.send(&interval(2 * ROWS)).await;
    until("all rows in the org", async || {
        world.sim.column("Contact", "LastName").await.len() == 2 * ROWS
    })
    .await;
    running.terminate().await;
    until("the end of the attempt", async || world.is_released()).await;
    assert_eq!(covered(), ROWS as u64);
    let stopped = running.finish().await;
    stopped.failed("transient_error");
    assert_eq!(stopped.states().len(), 1);

    let mut lines = interval(2 * ROWS);
    lines.push(stream.complete());
    job.write(&lines).await.succeeded();
    let names = names(&world.sim, "Contact", "LastName").await;
    assert_eq!(names, expected(0..2 * ROWS, 1));
}
