//! Memory that is used up: rows that wait for an answer go to disk, and come back as they were.

use std::sync::LazyLock;

use serde_json::{Value, json};
use testkit::sim::{TestSim, jobs_in_state};
use testkit::{KEY, rejected};

use crate::harness::lines::{Stream, catalog};
use crate::harness::process::{Job, Output, Running};

const RECORDS: usize = 3_000;
/// Every so many records lack what the org requires.
const BAD: usize = 10;
/// Characters of a record's text: with the records above, more than rows may take.
const TEXT: usize = 25_000;

/// Random text that records take theirs from, so that compressing it saves nothing: what comes again
/// is too far away.
static RANDOM: LazyLock<String> = LazyLock::new(|| {
    let mut random = fastrand::Rng::with_seed(11);
    (0..50 * TEXT).map(|_| random.alphanumeric()).collect()
});

fn record(number: usize) -> Value {
    let from = number * (TEXT + 7) % (RANDOM.len() - TEXT);
    let text = &RANDOM[from..from + TEXT];
    let name = (!number.is_multiple_of(BAD)).then_some("Ng");
    json!({KEY: format!("M-{number}"), "LastName": name, "Description": text})
}

#[tokio::test]
async fn rows_that_wait_go_to_disk_and_come_back() {
    let sim = TestSim::start().await;
    let stream = Stream::new("contacts", "Contact", &[KEY, "LastName", "Description"]);
    let job = Job::new(&sim, &[&stream])
        .set("memory_limit_bytes", 128 << 20)
        .set("max_job_bytes", 6_000_000)
        .set("max_jobs_in_flight", 8)
        .rejects_to_folder();
    let records: Vec<Value> = (0..RECORDS).map(record).collect();
    let mut lines: Vec<String> = records.iter().map(|data| stream.record(data)).collect();
    lines.push(stream.state(1, RECORDS));
    lines.push(stream.complete());

    // As long as the org holds its jobs, their rows can only wait.
    sim.hold().await;
    let mut running = job.start_write();
    running.feed(lines);
    sim.wait_for("eight jobs in progress", |state| {
        jobs_in_state(state, "InProgress") == 8
    })
    .await;
    assert_eq!(running.states(), 0);
    sim.release().await;
    let output = running.finish().await.succeeded();

    assert!(spilled(&output) > 0, "nothing went to disk");
    assert_eq!(output.state_ids(), [1]);
    let good = RECORDS - RECORDS / BAD;
    assert_eq!(sim.column("Contact", KEY).await.len(), good);
    let files = job.reject_files();
    let rejected = rejected::read_all(files.iter().map(|(name, content)| (name, content)));
    let mut numbers: Vec<usize> = rejected
        .iter()
        .map(|rejected| {
            let record = rejected.record();
            let key = record[KEY].as_str().unwrap();
            let number = key.trim_start_matches("M-").parse().unwrap();
            assert_eq!(record, records[number], "{key} came back as another record");
            number
        })
        .collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..RECORDS).step_by(BAD).collect::<Vec<_>>());
}

/// Many streams, each with a small part of the memory: their rows are set aside until they are worth
/// a job, and come to it as they came to the process.
#[tokio::test]
async fn many_streams_make_no_small_jobs_when_memory_is_short() {
    const STREAMS: usize = 30;
    const EACH: usize = 90;
    /// A later record of a key overwrites the one so many records before.
    const KEYS: usize = 70;
    let sim = TestSim::start().await;
    let columns = [KEY, "LastName", "FirstName", "Birthdate", "Description"];
    let streams: Vec<Stream> = (0..STREAMS)
        .map(|number| Stream::new(&format!("s{number}"), "Contact", &columns))
        .collect();
    let mut catalog = catalog(&streams.iter().collect::<Vec<_>>());
    for stream in catalog["streams"].as_array_mut().unwrap() {
        stream["destination_sync_mode"] = json!("append_dedup");
        stream["primary_key"] = json!([[KEY]]);
    }
    let job = Job::with_catalog(&sim, catalog)
        .set("memory_limit_bytes", 128 << 20)
        .rejects_to_folder();
    let text = "x".repeat(TEXT);
    let mut lines = Vec::new();
    for number in 0..EACH {
        for stream in &streams {
            let birthdate = if number == 7 { "no date" } else { "2001-02-03" };
            lines.push(stream.record(&json!({
                KEY: format!("{}-{}", stream.name, number % KEYS), "LastName": "Ng",
                "FirstName": number.to_string(), "Birthdate": birthdate, "Description": text,
            })));
        }
    }
    for (id, stream) in streams.iter().enumerate() {
        lines.push(stream.state(id as u64, EACH));
        lines.push(stream.complete());
    }

    let output = job.write(&lines).await.succeeded();

    assert!(spilled(&output) > 0, "nothing went to disk");
    assert_eq!(sim.jobs().await.len(), STREAMS);
    let mut names = sim.column("Contact", "FirstName").await;
    names.sort_unstable();
    let last: Vec<usize> = (EACH - KEYS..EACH).collect();
    let mut expected: Vec<String> = last
        .iter()
        .flat_map(|number| std::iter::repeat_n(number.to_string(), STREAMS))
        .collect();
    expected.sort_unstable();
    assert_eq!(names, expected);
    let files = job.reject_files();
    let rejected = rejected::read_all(files.iter().map(|(name, content)| (name, content)));
    assert_eq!(rejected.len(), STREAMS);
    let mut ids = output.state_ids();
    ids.sort_unstable();
    assert!(ids.into_iter().eq(0..STREAMS as u64));
}

/// A state after each record, each far larger than its record: states that wait are memory too.
#[tokio::test]
async fn states_that_wait_close_jobs_early() {
    const STATES: usize = 1_500;
    let sim = TestSim::start().await;
    let stream = Stream::new("contacts", "Contact", &[KEY, "LastName"]);
    let job = Job::new(&sim, &[&stream]).set("memory_limit_bytes", 128 << 20);
    let blob = json!({"cursor": "x".repeat(50_000)}).to_string();
    let mut lines = Vec::new();
    for id in 0..STATES {
        lines.push(stream.record(&json!({KEY: format!("S-{id}"), "LastName": "Ng"})));
        lines.push(stream.state_text(id as u64, 1, &blob));
    }
    lines.push(stream.complete());

    let output = job.write(&lines).await.succeeded();

    assert!(output.state_ids().into_iter().eq(0..STATES as u64));
    assert_eq!(sim.column("Contact", KEY).await.len(), STATES);
    let jobs = sim.jobs().await.len();
    assert!(jobs > 1, "75 MB of states waited for one job");
}

/// 60 MiB of states, more than rows and states may take together.
const BLOB: usize = 1 << 20;
const BLOBS: u64 = 60;

fn blob() -> String {
    json!({"cursor": "x".repeat(BLOB)}).to_string()
}

fn name(number: u64) -> Value {
    json!({KEY: format!("S-{number}"), "LastName": "Ng"})
}

#[tokio::test]
async fn states_that_take_more_than_the_memory_go_through() {
    let sim = TestSim::start().await;
    let streams = ["a", "b", "c"].map(|name| Stream::new(name, "Contact", &[KEY, "LastName"]));
    let blob = blob();
    let of_all = |kind: &str, id: u64| match kind {
        "LEGACY" => {
            format!(r#"{{"type":"STATE","state":{{"type":"LEGACY","data":{blob},"id":{id}}}}}"#)
        }
        _ => format!(
            r#"{{"type":"STATE","state":{{"type":"GLOBAL","global":{{"shared_state":{blob},"stream_states":[]}},"id":{id}}}}}"#
        ),
    };
    // Between the records, or all of them before the first.
    for (kind, first) in [
        ("STREAM", false),
        ("STREAM", true),
        ("GLOBAL", true),
        ("LEGACY", false),
    ] {
        let job = Job::new(&sim, &streams.each_ref()).set("memory_limit_bytes", 128 << 20);
        let (mut records, mut states) = (Vec::new(), Vec::new());
        for id in 0..BLOBS {
            let stream = &streams[id as usize % streams.len()];
            records.push(stream.record(&name(id)));
            states.push(match kind {
                "STREAM" => stream.state_text(id, 1, &blob),
                kind => of_all(kind, id),
            });
        }
        let mut lines: Vec<String> = if first {
            states.into_iter().chain(records).collect()
        } else {
            let both = records.into_iter().zip(states);
            both.flat_map(|(record, state)| [record, state]).collect()
        };
        lines.extend(streams.iter().map(Stream::complete));

        let output = job.write(&lines).await.succeeded();

        let mut ids = output.state_ids();
        if kind == "STREAM" {
            ids.sort_unstable();
        }
        assert!(ids.into_iter().eq(0..BLOBS), "{kind} {first}");
    }
}

#[tokio::test]
async fn a_record_longer_than_it_may_be_is_rejected_by_its_text() {
    let sim = TestSim::start().await;
    let stream = Stream::new("contacts", "Contact", &[KEY, "LastName", "Description"]);
    let job = Job::new(&sim, &[&stream])
        .set("memory_limit_bytes", 128 << 20)
        .rejects_to_folder();
    let long = |bytes: usize| stream.record(&json!({KEY: "L", "Description": "y".repeat(bytes)}));
    let blob = blob();
    let kept = long(8 << 20);
    let lines = [
        stream.record(&name(1)),
        kept.clone(),
        stream.state_text(1, 2, &blob),
        long(46 << 20),
        stream.record(&name(2)),
        stream.state_text(2, 2, &blob),
        stream.complete(),
    ];

    let output = job.write(&lines).await.succeeded();

    assert_eq!(output.state_ids(), [1, 2]);
    assert_eq!(sim.column("Contact", KEY).await.len(), 2);
    let files = job.reject_files();
    let rejected = rejected::read_all(files.iter().map(|(name, content)| (name, content)));
    let [whole, cut] = rejected.as_slice() else {
        panic!("{} records were rejected", rejected.len());
    };
    assert_eq!((whole.stage(), cut.stage()), ("decode", "decode"));
    assert!(whole.text("_raw") == kept, "its text is not whole");
    let length = long(46 << 20).len();
    let raw = cut.text("_raw");
    assert!(raw.len() >= 8 << 20 && long(46 << 20).starts_with(raw));
    let message = cut.reason()["message"].as_str().unwrap();
    let expected = format!("of its {length} bytes only the first {}", raw.len());
    assert!(message.contains(&expected), "{message}");
}

/// Without a disk rows wait in memory, and reading waits for them.
#[tokio::test]
async fn a_missing_directory_for_temporary_files_is_a_warning() {
    let sim = TestSim::start().await;
    let stream = Stream::new("contacts", "Contact", &[KEY, "LastName", "Description"]);
    let job = Job::new(&sim, &[&stream])
        .set("memory_limit_bytes", 128 << 20)
        .set("max_job_bytes", 6_000_000)
        .set("max_jobs_in_flight", 8)
        .rejects_to_folder();
    let mut lines: Vec<String> = (0..RECORDS)
        .map(|number| stream.record(&record(number)))
        .collect();
    lines.push(stream.state(1, RECORDS));
    lines.push(stream.complete());

    let nowhere = [("LOG_LEVEL", "INFO"), ("TMPDIR", "/nowhere/at/all")];
    // As long as the org holds its jobs, their rows can only wait.
    sim.hold().await;
    let mut running = Running::start_in(&job.write_args(), &nowhere);
    running.feed(lines);
    running
        .wait_for_log("a temporary file could not be written")
        .await;
    sim.release().await;
    let output = running.finish().await.succeeded();

    assert_eq!(spilled(&output), 0);
    assert_eq!(output.state_ids(), [1]);
    let good = RECORDS - RECORDS / BAD;
    assert_eq!(sim.column("Contact", KEY).await.len(), good);
    let warnings = output.of("LOG").into_iter().filter(|message| {
        let text = message["log"]["message"].as_str().unwrap();
        text.contains("a temporary file could not be written")
    });
    assert_eq!(warnings.count(), 1);
}

/// Bytes that went to disk, as the structured summary says.
fn spilled(output: &Output) -> u64 {
    output
        .of("LOG")
        .into_iter()
        .filter_map(|message| {
            let text = message["log"]["message"].as_str()?;
            let report: Value = serde_json::from_str(text).ok()?;
            report["spilled"].as_u64()
        })
        .sum()
}
