//! What a platform does after an attempt that failed: it repeats the sync from the printed states,
//! until it ends.

use std::collections::BTreeSet;

use serde_json::json;
use testkit::rejected::Rejected;

use super::check::{self, Found};
use super::faults::Fate;
use super::input::{Input, What};
use super::plan::{Ending, Plan, Reader, RejectsTo};
use super::run::{Ran, Storm};
use crate::harness::process::Output;

/// How far the printed states go.
struct Printed {
    /// Records of each stream that they cover.
    covered: Vec<usize>,
    states: BTreeSet<usize>,
}

impl Printed {
    fn add(&mut self, input: &Input, output: &Output) {
        for number in check::printed(output) {
            self.states.insert(number);
            let Some(state) = input.states.get(number) else {
                continue;
            };
            for (stream, covered) in self.covered.iter_mut().enumerate() {
                if state.stream.is_none_or(|own| own == stream) {
                    *covered = state.before[stream].max(*covered);
                }
            }
        }
    }

    /// What a source sends that begins there.
    fn lines(&self, input: &Input) -> Vec<String> {
        let lines = input.lines.iter().filter(|line| match line.what {
            What::Record(stream, number) => number >= self.covered[stream],
            What::State(number) => !self.states.contains(&number),
            What::Status => true,
        });
        lines.map(|line| line.text.clone()).collect()
    }
}

impl Storm {
    /// Repeats the sync: where its faults pass, some seeds once under the same faults; at last nothing
    /// fails.
    pub(super) async fn repeat(
        &mut self,
        plan: &Plan,
        first: &Output,
        covered: Vec<usize>,
        ran: &mut Ran,
    ) {
        let states = BTreeSet::new();
        let mut printed = Printed { covered, states };
        printed.add(&self.input, first);
        self.sim
            .set(&json!({"rotate_refresh_token": false, "token_lifetime": null, "job_time": {"secs": 0, "nanos": 0}}))
            .await;
        self.sim
            .set(&json!({"refresh_token": "5Aep861another!token"}))
            .await;
        self.job.change("refresh_token", "5Aep861another!token");
        let mut known = BTreeSet::new();
        let kept = self.rejects(plan, &mut ran.violations);
        let mut kept = kept.map(|kept| new(&mut known, kept));
        let mut faults_left = usize::from(plan.fate == Fate::Passes && plan.seed.is_multiple_of(2));
        loop {
            let fails = faults_left > 0;
            if fails {
                faults_left -= 1;
                self.sim.faults(&plan.org_faults()).await;
                if let Some(bucket) = &self.bucket {
                    bucket.set_faults(plan.bucket_faults.clone());
                }
            }
            let Some(output) = self.attempt(plan, &printed).await else {
                ran.violations.push("a repetition hangs".to_owned());
                return;
            };
            ran.repeated += 1;
            self.calm(plan).await;
            let stored = self.rejects(plan, &mut ran.violations);
            kept = kept.zip(stored).map(|(kept, stored)| {
                check::kept(plan, kept, new(&mut known, stored), &printed.covered)
            });
            printed.add(&self.input, &output);
            if output.code == Some(0) {
                break;
            }
            if !fails {
                ran.violations
                    .push(format!("a repetition fails: {}", check::error_of(&output)));
                return;
            }
        }
        let found = Found {
            held: self.held(plan).await,
            rejects: kept,
            jobs: self.sim.jobs().await,
            within_a_line: false,
        };
        let doubled = check::repeated(plan, &self.input, &found, &mut ran.violations);
        // Without a ledger, or with what it says forgotten, rows are inserted twice.
        let knows = plan.rejects != RejectsTo::Nowhere && self.job.config()["ledger"].is_null();
        // A process that needs more than its grace is stopped as hard as by a kill; while states are on
        // their way to stdout, without a word.
        let is_cut = matches!(plan.ending, Ending::Kill(_))
            || first.of("TRACE").is_empty()
            || check::error_of(first).contains("not all had ended within");
        match doubled.first() {
            Some(record) if knows && !is_cut => ran
                .violations
                .push(format!("{} records are doubled: {record}", doubled.len())),
            Some(_) if knows => ran.doubled = doubled.len(),
            _ => {}
        }
    }

    /// One more attempt, from the printed states; `None` if it hangs. Where results do not say which
    /// rows were inserted, the user decides: all is sent again.
    async fn attempt(&mut self, plan: &Plan, printed: &Printed) -> Option<Output> {
        let calm = Plan {
            ending: Ending::Itself,
            reader: Reader::Fast,
            ..Plan::new(plan.seed)
        };
        loop {
            let mut running = self.job.start_write();
            running.feed(printed.lines(&self.input));
            self.follow(&calm, &mut running).await;
            if !running.has_ended() {
                self.keep(plan, &running.kill().await);
                return None;
            }
            let output = running.finish().await;
            let blocked = check::error_of(&output).contains("ledger: forget");
            if !blocked || self.job.config()["ledger"] == "forget" {
                return Some(output);
            }
            self.job.change("ledger", "forget");
        }
    }
}

/// The rejected records that were not known before.
fn new(known: &mut BTreeSet<String>, mut stored: Vec<Vec<Rejected>>) -> Vec<Vec<Rejected>> {
    for rejects in &mut stored {
        rejects.retain(|reject| known.insert(reject.envelope["_airbyte_raw_id"].to_string()));
    }
    stored
}
