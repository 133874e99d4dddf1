//! The fault table: each fault of each call of a write, once so that it passes and once so that it
//! lasts, for inserts and for upserts. A load ends as the table says, no row is lost or doubled, no
//! state is ahead, no job stays open, and its calls are bounded.

mod cell;
mod cells;
mod scenario;

use std::sync::Arc;

use testkit::faults::{Course, FAULTS};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use self::scenario::Scenario;

/// Loads that run at once, and those among them that wait for an answer that never comes.
const AT_ONCE: [usize; 2] = [12, 64];

/// A load of the walk.
#[derive(Debug, Clone, Copy)]
struct Step {
    scenario: Scenario,
    fault: &'static str,
    course: Course,
}

/// Faults that are taken for what another one is, and those that take their time whatever the scale
/// of the waits: they are walked for one operation of each call, and only as passing ones.
const ALIKE: [&str; 7] = [
    "no_answer",
    "301",
    "308",
    "408",
    "429_wait",
    "502_page",
    "504_page",
];

/// All loads. A fault that lasts is met once for each call: it ends the load whatever the operation.
fn walk() -> Vec<Step> {
    let mut steps = Vec::new();
    for scenario in scenario::all() {
        let is_first = !scenario.keyed || matches!(scenario.call, "create_multipart" | "list");
        for (fault, _) in FAULTS {
            for course in [Course::Lasts, Course::Passes] {
                let passes = course == Course::Passes;
                let is_walked = match ALIKE.contains(&fault) {
                    true => passes && is_first,
                    false => passes || is_first,
                };
                if is_walked {
                    steps.push(Step {
                        scenario,
                        fault,
                        course,
                    });
                }
            }
        }
    }
    // Those that wait longest come first.
    steps.sort_by_key(|step| step.fault != "no_answer");
    steps
}

impl Step {
    /// What is wrong about the load.
    async fn wrong(self) -> Vec<String> {
        let found = cell::run(self.scenario, self.fault, self.course).await;
        let expected = cells::cell(self.scenario.column(), self.fault).end(self.course);
        let mut wrong = found.wrong;
        if found.end != expected {
            wrong.push(format!(
                "ends with {}, not {expected}: {}",
                found.end, found.message
            ));
        }
        let Scenario { call, keyed } = self.scenario;
        let operation = if keyed { "upsert" } else { "insert" };
        let about = format!("{call} ({operation}), {} {:?}", self.fault, self.course);
        wrong
            .iter()
            .map(|wrong| format!("{about}: {wrong}"))
            .collect()
    }
}

/// `CELLS` names parts of the cells that are to be walked, separated by commas; all without it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_fault_of_each_call_is_met_as_the_table_says() {
    let only = std::env::var("CELLS").unwrap_or_default();
    let [working, waiting] = AT_ONCE.map(|slots| Arc::new(Semaphore::new(slots)));
    let mut loads = JoinSet::new();
    for step in walk() {
        let name = format!("{step:?}");
        if !only.split(',').all(|part| name.contains(part)) {
            continue;
        }
        let slots = if step.fault == "no_answer" {
            &waiting
        } else {
            &working
        };
        let slots = Arc::clone(slots);
        loads.spawn(async move {
            let _slot = slots.acquire_owned().await.unwrap();
            step.wrong().await
        });
    }
    let count = loads.len();
    let mut wrong: Vec<String> = Vec::new();
    while let Some(done) = loads.join_next().await {
        wrong.extend(done.unwrap_or_else(|error| vec![error.to_string()]));
    }
    wrong.sort();
    let loads = format!("{} faults in {count} loads", wrong.len());
    assert!(wrong.is_empty(), "{loads}:\n{}", wrong.join("\n"));
}
