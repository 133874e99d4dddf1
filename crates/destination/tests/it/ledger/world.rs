//! An org and a bucket, each behind a gate that halts a process at a chosen request.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize as _;
use serde_json::Value;
use testkit::PATIENCE;
use testkit::gate::{Gate, Halts, Seen};
use testkit::s3::{BUCKET, S3Server, names};
use testkit::sim::TestSim;

use super::org;
use super::source::Source;
use crate::harness::lines::Stream;
use crate::harness::process::{Job, Running, storage};

/// An org and a bucket, each behind a gate.
pub(super) struct World {
    pub(super) sim: TestSim,
    pub(super) s3: S3Server,
    pub(super) halts: Halts,
    /// Of the org and of the bucket, as a process sees them.
    urls: [String; 2],
    _gates: [Gate; 2],
}

impl World {
    pub(super) async fn start() -> Self {
        let sim = org(Duration::from_millis(100)).await;
        let s3 = S3Server::start().await;
        let halts = Halts::default();
        let gates = [
            Gate::before(sim.url(), &halts).await,
            Gate::before(s3.endpoint(), &halts).await,
        ];
        sim.set(&serde_json::json!({"instance_url": gates[0].url()}))
            .await;
        Self {
            sim,
            s3,
            halts,
            urls: gates.each_ref().map(|gate| gate.url().to_owned()),
            _gates: gates,
        }
    }

    /// The same with nothing before org and bucket: what they answer comes as soon as it can.
    pub(super) async fn start_open() -> Self {
        let mut world = Self::start().await;
        let instance = serde_json::json!({"instance_url": world.sim.url()});
        world.sim.set(&instance).await;
        world.urls = [world.sim.url().to_owned(), world.s3.endpoint().to_owned()];
        world
    }

    pub(super) fn job(&self, source: &Source) -> Job {
        self.job_of(&source.streams())
    }

    pub(super) fn job_of(&self, streams: &[&Stream]) -> Job {
        let mut store = storage(&self.s3);
        store["s3_endpoint"] = self.urls[1].as_str().into();
        Job::new(&self.sim, streams)
            .set("login_url", self.urls[0].as_str())
            .set("object_storage_config", store)
            .set("max_jobs_in_flight", 4)
    }

    /// How many records each attempt that has a cursor has covered, of all streams together.
    pub(super) fn covered(&self) -> BTreeMap<String, u64> {
        let ledger = self.s3.directory(BUCKET).join("rejected_records_ledger");
        let cursors = names(&ledger.join("cursors")).into_iter();
        let read = cursors.filter_map(|name| {
            let bytes = std::fs::read(ledger.join("cursors").join(&name)).ok()?;
            // Behind its length stands a head in JSON.
            let begin = bytes.iter().position(|byte| *byte == b'{')?;
            let mut head = serde_json::Deserializer::from_slice(&bytes[begin..]);
            let head = Value::deserialize(&mut head).ok()?;
            let covered = head["covered"].as_object()?.values();
            // At its end an attempt covers all there may be: by then its states are printed.
            let covered = covered.filter_map(Value::as_u64);
            Some((name, covered.filter(|rows| *rows < u64::MAX).sum()))
        });
        read.collect()
    }

    /// Whether no attempt is at work.
    pub(super) fn is_released(&self) -> bool {
        let bucket = self.s3.directory(BUCKET);
        names(&bucket.join("rejected_records_ledger/attempts")).is_empty()
    }

    /// Names of the objects of the ledger, but for signs of life: that of an attempt which was killed
    /// before it claimed anything stays for a week.
    pub(super) fn ledger(&self) -> Vec<String> {
        let bucket = self.s3.directory(BUCKET);
        let mut names = names(&bucket.join("rejected_records_ledger"));
        names.retain(|name| !name.starts_with("attempts/") && !name.contains(".tmp."));
        names
    }
}

/// Jobs of another size.
pub(super) fn other_jobs(job: Job, random: &mut fastrand::Rng) -> Job {
    let rows = if random.bool() {
        1_000
    } else {
        random.u32(8..60)
    };
    let bytes = if random.bool() { 100_000_000 } else { 10_000 };
    job.set("max_job_rows", rows).set("max_job_bytes", bytes)
}

/// Whether the path of a request ends so.
pub(super) fn is_named(seen: &Seen<'_>, end: &str) -> bool {
    let path = seen.path.split('?').next().unwrap_or_default();
    path.ends_with(end)
}

/// Whether a body holds a text.
pub(super) fn has(body: &[u8], text: &str) -> bool {
    body.windows(text.len()).any(|part| part == text.as_bytes())
}

/// Waits until something holds.
pub(super) async fn until(what: &str, holds: impl AsyncFn() -> bool) {
    let waiting = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let waited = tokio::time::timeout(PATIENCE, waiting).await;
    assert!(waited.is_ok(), "waited in vain for {what}");
}

/// Waits for the end of a process.
pub(super) async fn ended(running: &Running) {
    while !running.has_ended() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Waits until so many states are printed.
pub(super) async fn printed(running: &Running, states: usize) {
    while running.states() < states {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
