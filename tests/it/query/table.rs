//! The fault table of queries: each fault of each call of a query, once so that it passes and once so
//! that it lasts. A query ends as the table says, with all its rows and each once, and its calls are
//! bounded.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arrow_salesforce::ErrorKind;
use arrow_salesforce::bulk::{BulkError, QueryOptions};
use arrow_salesforce::options::Waits;
use testkit::faults::{Course, FAULTS, fault, hold_table};
use testkit::sim::TestSim;
use tokio::task::JoinSet;

use super::{KEYS, ask, client_with, contacts, expected, keys, sorted};

/// The table: a line of columns, then a line for each fault.
const CELLS: &str = include_str!("cells.tsv");

/// The calls of the columns, in the words of the simulator.
const CALLS: [(&str, &str); 3] = [
    ("create", "query_create"),
    ("poll", "query_poll"),
    ("results", "query_results"),
];

/// Around the table in ARCHITECTURE.md.
const MARKERS: [&str; 2] = [
    "<!-- fault table of queries -->\n",
    "<!-- end of the fault table of queries -->",
];

/// Queries that are asked at once, each of an org of its own.
const AT_ONCE: usize = 8;

/// More calls of one kind than a patient query makes.
const MOST_CALLS: u64 = 150;

/// Ends a query that would hang.
const LONGEST: Duration = Duration::from_secs(100);

/// Faults that are taken for what another one is, and those that take their time whatever the scale of
/// the waits: they are walked only as passing ones.
const ALIKE: [&str; 7] = [
    "no_answer",
    "301",
    "308",
    "408",
    "429_wait",
    "502_page",
    "504_page",
];

/// A query of the walk.
#[derive(Debug, Clone, Copy)]
struct Step {
    column: &'static str,
    call: &'static str,
    fault: &'static str,
    course: Course,
}

fn walk() -> VecDeque<Step> {
    let mut steps = Vec::new();
    for (column, call) in CALLS {
        for (fault, _) in FAULTS {
            for course in [Course::Lasts, Course::Passes] {
                if course == Course::Passes || !ALIKE.contains(&fault) {
                    steps.push(Step {
                        column,
                        call,
                        fault,
                        course,
                    });
                }
            }
        }
    }
    // Those that wait longest come first.
    steps.sort_by_key(|step| !matches!(step.fault, "no_answer" | "403_daily"));
    steps.into()
}

fn lines() -> impl Iterator<Item = Vec<&'static str>> {
    CELLS.lines().map(|line| line.split('\t').collect())
}

impl Step {
    /// How the query ends: `0`, or the kind of its error.
    fn expected(self) -> &'static str {
        let columns = lines().next().unwrap();
        let at = columns.iter().position(|column| *column == self.column);
        let line = lines().find(|line| line[0] == self.fault).unwrap();
        let cell = line[at.unwrap()];
        let (action, kind) = cell.split_once(':').unwrap_or((cell, "transient"));
        match (action, self.course) {
            ("end", _) | (_, Course::Lasts) => kind,
            (_, Course::Passes) => "0",
        }
    }

    /// What is wrong about the query.
    async fn wrong(self, sim: &TestSim, client: &super::Client) -> Vec<String> {
        let before = requests(sim).await;
        sim.fault(&fault(self.fault, &[self.call], 0, self.course))
            .await;
        let asked = ask(client, KEYS, QueryOptions::default());
        let Ok(found) = tokio::time::timeout(LONGEST, asked).await else {
            return vec![format!("{self:?}: it does not end")];
        };
        wait_until_open(sim).await;
        let mut wrong = Vec::new();
        let (end, message) = match &found {
            Ok(found) if sorted(keys(found)) == expected(0..3) => ("0", String::new()),
            Ok(found) => ("rows", format!("{:?}", keys(found))),
            Err(error) => (kind(error), error.to_string()),
        };
        if end != self.expected() {
            wrong.push(format!(
                "{self:?}: ends with {end}, not {}: {message}",
                self.expected()
            ));
        }
        if !sim.fault_hits().await.iter().any(|(_, hits)| *hits > 0) {
            wrong.push(format!("{self:?}: the fault never happened"));
        }
        for (call, count) in requests(sim).await {
            let count = count - before.get(&call).copied().unwrap_or(0);
            if count > MOST_CALLS {
                wrong.push(format!("{self:?}: {count} calls of {call}"));
            }
        }
        sim.clear_faults().await;
        wrong
    }
}

fn kind(error: &BulkError) -> &'static str {
    match error.kind() {
        ErrorKind::Config => "config",
        ErrorKind::Transient => "transient",
        _ => "system",
    }
}

async fn requests(sim: &TestSim) -> BTreeMap<String, u64> {
    serde_json::from_value(sim.state().await["requests"].clone()).unwrap()
}

/// Waits until the org accepts connections.
async fn wait_until_open(sim: &TestSim) {
    let address = sim.url().trim_start_matches("http://").to_owned();
    while tokio::net::TcpStream::connect(&address).await.is_err() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_fault_of_each_call_is_met_as_the_table_says() {
    let steps = Arc::new(Mutex::new(walk()));
    let mut workers = JoinSet::new();
    for _ in 0..AT_ONCE {
        let steps = Arc::clone(&steps);
        workers.spawn(async move {
            let sim = TestSim::start().await;
            contacts(&sim, 3).await;
            let mut waits = Waits::default().with_patience(Duration::from_secs(100));
            waits.wait_permille = 5;
            let client = client_with(&sim, waits).await;
            let mut wrong = Vec::new();
            let next = || steps.lock().unwrap().pop_front();
            while let Some(step) = next() {
                wrong.extend(step.wrong(&sim, &client).await);
            }
            wrong
        });
    }
    let mut wrong = workers.join_all().await.concat();
    wrong.sort();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The table as ARCHITECTURE.md has it.
fn page() -> String {
    let mut page = String::new();
    for (number, line) in lines().enumerate() {
        let first = FAULTS.iter().find(|(fault, _)| *fault == line[0]);
        let first = first.map_or("fault", |(_, text)| text);
        let cells: Vec<&str> = line[1..]
            .iter()
            .map(|cell| cell.split(':').next().unwrap())
            .collect();
        let gap = if number == 0 { "\n" } else { "" };
        writeln!(page, "{gap}| {first} | {} |", cells.join(" | ")).unwrap();
        if number == 0 {
            writeln!(page, "{}|", "|---".repeat(line.len())).unwrap();
        }
    }
    page.push('\n');
    page
}

#[test]
fn each_fault_has_a_line_of_cells() {
    let names: Vec<&str> = lines().skip(1).map(|line| line[0]).collect();
    assert_eq!(names, FAULTS.map(|(fault, _)| fault));
    assert!(lines().all(|line| line.len() == CALLS.len() + 1));
}

/// `UPDATE_DOCS=1` writes the table anew.
#[test]
fn architecture_has_the_table() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("ARCHITECTURE.md");
    hold_table(&path, MARKERS, &page());
}
