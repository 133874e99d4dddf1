//! The storm: random input under random faults, and what must hold afterwards whatever happened.
//!
//! A seed decides all of it: `STORM_SEED=17 cargo nextest run --test it storm --no-capture` repeats one, and
//! `STORM_SEEDS=1000` runs so many, from `STORM_FIRST` on.

mod again;
mod cells;
mod check;
mod faults;
mod input;
mod model;
mod plan;
mod records;
mod report;
mod run;
mod shapes;

use std::ops::Range;
use std::str::FromStr;

use futures::StreamExt as _;

use plan::{Ending, Plan};
use report::Report;
use run::Ran;

/// The first of the seeds that the suite runs.
const FIRST: u64 = 100;
/// How many it runs.
const SEEDS: u64 = 60;
/// How many it stops, each by SIGKILL and by SIGTERM.
const STOPS: u64 = 16;
/// Seeds that run at once.
const AT_ONCE: usize = 8;
/// From so many seeds on each cell must have been hit.
const FULL: u64 = 1_000;
/// The share of runs whose faults all pass that end in exit 0, at least.
const SHARE: f64 = 0.99;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_whatever_fails() {
    let seeds = seeds(SEEDS);
    let full = seeds.end - seeds.start >= FULL;
    let report = run_all(seeds.map(Plan::new)).await;
    assert!(report.violations.is_empty(), "see the report above");
    assert!(report.share() >= SHARE, "see the report above");
    assert!(
        !full || report.never_hit().is_empty(),
        "see the report above"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_state_is_ahead_of_a_stop_at_any_moment() {
    let stopped = seeds(STOPS).flat_map(|seed| {
        let signals = [Ending::Kill, Ending::Terminate];
        signals.map(|signal| Plan::stopped(seed, signal))
    });
    let report = run_all(stopped).await;
    assert!(report.violations.is_empty(), "see the report above");
    let stops = report.runs;
    assert!(
        report.doubled.len() <= 1 + stops / 30,
        "see the report above"
    );
}

/// The seeds that the environment asks for, or the suite's.
fn seeds(usual: u64) -> Range<u64> {
    match variable("STORM_SEED") {
        Some(seed) => seed..seed + 1,
        None => {
            let first = variable("STORM_FIRST").unwrap_or(FIRST);
            first..first + variable("STORM_SEEDS").unwrap_or(usual)
        }
    }
}

/// Runs plans, several at once, and says what they come to.
async fn run_all(plans: impl Iterator<Item = Plan>) -> Report {
    let at_once = variable("STORM_AT_ONCE").unwrap_or(AT_ONCE);
    let mut runs = futures::stream::iter(plans)
        .map(|plan| async move { (plan.seed, tokio::spawn(run::run(plan)).await) })
        .buffer_unordered(at_once);
    let mut report = Report::default();
    while let Some((seed, ran)) = runs.next().await {
        report.add(ran.unwrap_or_else(|error| Ran {
            seed,
            violations: vec![format!("the run broke: {error}")],
            ..Ran::default()
        }));
    }
    println!("{report}");
    report
}

fn variable<T: FromStr>(name: &str) -> Option<T> {
    std::env::var(name).ok()?.parse().ok()
}
