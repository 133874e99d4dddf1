//! One cell of the table: a load against an org with one fault.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use salesforce_sim::SimOptions;
use tempfile::NamedTempFile;
use testkit::faults::{Course, fault};
use testkit::rejected;
use testkit::sim::{TestSim, jobs_in_state};

use super::scenario::{RECORDS, Scenario};
use crate::harness::process::{Job, Output};

/// Length of every pause of a load, in thousandths.
const PERMILLE: u32 = 5;
/// The patience of a load before it is scaled, in seconds.
const PATIENCE: u64 = 100;
/// Ends a load that would hang.
const LONGEST: Duration = Duration::from_secs(100);
/// More calls of one kind than a patient load makes.
const MOST_CALLS: u64 = 150;

/// What came of a load.
#[derive(Debug)]
pub(super) struct Found {
    /// `0`, or the kind of the error.
    pub(super) end: String,
    pub(super) message: String,
    /// What must not be, whatever the table says.
    pub(super) wrong: Vec<String>,
}

/// Runs a load against an org with a fault.
pub(super) async fn run(scenario: Scenario, name: &str, course: Course) -> Found {
    let sim = TestSim::with_options(SimOptions {
        org: Some(org()),
        ..TestSim::options(Duration::ZERO)
    })
    .await;
    let (stream, catalog) = scenario.stream();
    for condition in scenario.conditions() {
        sim.fault(&condition).await;
    }
    let (calls, skip) = scenario.target();
    sim.fault(&fault(name, calls, skip, course)).await;
    let job = Job::with_catalog(&sim, catalog)
        .rejects_to_folder()
        .set("patience_seconds", PATIENCE)
        .set("wait_permille", PERMILLE);
    let mut lines: Vec<String> = (0..RECORDS)
        .map(|number| stream.record(&scenario.record(number)))
        .collect();
    lines.push(stream.state(1, RECORDS));
    lines.push(stream.complete());
    let Ok(output) = tokio::time::timeout(LONGEST, job.write(&lines)).await else {
        return Found {
            end: "never".to_owned(),
            message: String::new(),
            wrong: vec!["the load does not end".to_owned()],
        };
    };
    wait_until_open(&sim).await;
    let (end, message) = match output.code {
        Some(0) => ("0".to_owned(), String::new()),
        _ => output.error(),
    };
    let wrong = wrong(scenario, name, course, &sim, &job, &output).await;
    Found {
        end,
        message,
        wrong,
    }
}

/// The file of an org that has what these loads need and nothing else, which makes it fast.
fn org() -> PathBuf {
    static FILE: OnceLock<NamedTempFile> = OnceLock::new();
    let file = FILE.get_or_init(|| {
        let file = NamedTempFile::new().unwrap();
        std::fs::write(file.path(), include_str!("org.json")).unwrap();
        file
    });
    file.path().to_owned()
}

/// Waits until the org accepts connections.
async fn wait_until_open(sim: &TestSim) {
    let address = sim.url().trim_start_matches("http://").to_owned();
    while tokio::net::TcpStream::connect(&address).await.is_err() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// What is wrong about a load, as seen from outside.
async fn wrong(
    scenario: Scenario,
    name: &str,
    course: Course,
    sim: &TestSim,
    job: &Job,
    output: &Output,
) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut check = |holds: bool, what: String| {
        if !holds {
            wrong.push(what);
        }
    };
    let good = RECORDS - scenario.bad();
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for key in sim.column(scenario.object(), scenario.key()).await {
        *counts.entry(key).or_default() += 1;
    }
    check(
        counts.values().all(|count| *count == 1),
        format!("rows are doubled: {counts:?}"),
    );
    let files = job.reject_files();
    let files = files.iter().map(|(name, content)| (name, content));
    let rejected = rejected::read_all(files).len();
    let all_ended = counts.len() == good && rejected == scenario.bad();
    let ended = format!(
        "{} of {good} rows accepted, {rejected} rejected",
        counts.len()
    );
    if output.code == Some(0) {
        check(all_ended, ended);
        check(
            output.state_ids() == [1],
            format!("states {:?}", output.state_ids()),
        );
    } else {
        check(
            output.code == Some(1),
            format!("exit code {:?}", output.code),
        );
        check(
            output.states().is_empty() || all_ended,
            format!("a state is ahead: {ended}"),
        );
    }
    let state = sim.state().await;
    // Salesforce's word is believed: an abort is a courtesy, and it ends open jobs itself.
    let is_believed = name.contains("lasting") || matches!(name, "403_daily" | "404" | "refused");
    let cannot_abort = match scenario.column() {
        "abort" => course == Course::Lasts || is_believed,
        "later_login" => course == Course::Lasts,
        _ => course == Course::Lasts && name == "refused",
    };
    let open = jobs_in_state(&state, "Open");
    check(
        open == 0 || cannot_abort,
        format!("{open} jobs are left open"),
    );
    let requests: BTreeMap<String, u64> =
        serde_json::from_value(state["requests"].clone()).unwrap();
    let most = requests.iter().max_by_key(|(_, count)| **count);
    check(
        most.is_none_or(|(_, count)| *count <= MOST_CALLS),
        format!("calls: {requests:?}"),
    );
    let hits = sim.fault_hits().await;
    check(
        hits.iter().any(|(_, hits)| *hits > 0),
        "the fault never happened".to_owned(),
    );
    wrong
}
