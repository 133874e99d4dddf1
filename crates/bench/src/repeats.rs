//! Several runs of one loader on one task as one result: the median of each figure, and what went
//! worst.

use serde_json::{Map, Value, json};

use crate::result::{Cost, Figures, Outcome, Report};

impl Outcome {
    /// The worse it is, the more.
    pub(crate) fn badness(self) -> u8 {
        match self {
            Self::Passed => 0,
            Self::NotRun => 1,
            Self::Wrong => 2,
            Self::TimedOut => 3,
            Self::Failed => 4,
        }
    }
}

/// One result of all runs; nothing of none.
pub(crate) fn merged(runs: &[Report]) -> Option<Report> {
    let worst = runs.iter().map(|run| run.outcome.badness()).max()?;
    let mut of_worst: Vec<&Report> = runs
        .iter()
        .filter(|run| run.outcome.badness() == worst)
        .collect();
    let cpu = |run: &Report| run.cost.as_ref().map_or(0.0, |cost| cost.cpu_seconds);
    of_worst.sort_by(|one, other| cpu(one).total_cmp(&cpu(other)));
    // Memory and jobs over time are those of one run, the one in the middle.
    let mut report = (*of_worst.get(middle(of_worst.len()))?).clone();
    if of_worst.len() < runs.len() {
        let reason = report.reason.unwrap_or_default();
        let (count, all) = (of_worst.len(), runs.len());
        report.reason = Some(format!("{count} of {all} runs: {reason}"));
    }
    let costs: Vec<&Cost> = runs.iter().filter_map(|run| run.cost.as_ref()).collect();
    report.cost = medians(&costs);
    report.runs = runs.iter().filter_map(figures).collect();
    Some(report)
}

fn figures(run: &Report) -> Option<Figures> {
    let cost = run.cost.as_ref()?;
    Some(Figures {
        outcome: run.outcome,
        wall_seconds: cost.wall_seconds,
        cpu_seconds: cost.cpu_seconds,
        peak_memory_bytes: cost.peak_memory_bytes,
        calls: cost.calls,
    })
}

/// The place in the middle; of an even number the lower one.
fn middle(count: usize) -> usize {
    count.saturating_sub(1) / 2
}

/// The median of each figure by itself.
fn medians(costs: &[&Cost]) -> Option<Cost> {
    let all: Vec<Value> = costs.iter().map(|cost| json!(cost)).collect();
    let mut medians = Map::new();
    for name in all.first()?.as_object()?.keys() {
        let mut values: Vec<&Value> = all.iter().map(|cost| &cost[name]).collect();
        let number = |value: &Value| value.as_f64().unwrap_or_default();
        values.sort_by(|one, other| number(one).total_cmp(&number(other)));
        medians.insert(name.clone(), values[middle(values.len())].clone());
    }
    serde_json::from_value(Value::Object(medians)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::result::{Loader, Name, VERSION};

    fn run(outcome: Outcome, cpu_seconds: f64, calls: u64) -> Report {
        Report {
            version: VERSION,
            loader: Loader {
                name: "a".to_owned(),
                known: None,
                version: None,
                command: Vec::new(),
                settings: Map::new(),
            },
            workload: Name {
                name: "insert".to_owned(),
                about: String::new(),
                fault: false,
                streams: 1,
                columns: 13,
                bad: 0.0,
            },
            scale: 10,
            seed: 1,
            profile: "null".to_owned(),
            timeout_seconds: None,
            outcome,
            reason: (outcome != Outcome::Passed).then(|| "lost: 1".to_owned()),
            exit_code: Some(0),
            judged: None,
            cost: Some(Cost {
                cpu_seconds,
                calls,
                ..Cost::default()
            }),
            runs: Vec::new(),
            memory: Vec::new(),
            jobs: Vec::new(),
        }
    }

    /// Three runs, of which the second went so and the others passed.
    fn three_runs(second: Outcome) -> [Report; 3] {
        [
            run(Outcome::Passed, 3.0, 7),
            run(second, 1.0, 9),
            run(Outcome::Passed, 2.0, 8),
        ]
    }

    #[test]
    fn each_figure_has_its_own_median() {
        let runs = three_runs(Outcome::Passed);
        let report = merged(&runs).unwrap();
        let cost = report.cost.unwrap();
        assert_eq!((cost.cpu_seconds, cost.calls), (2.0, 8));
        let each: Vec<f64> = report.runs.iter().map(|run| run.cpu_seconds).collect();
        assert_eq!(each, [3.0, 1.0, 2.0]);
        // Of two the lower one.
        assert_eq!(merged(&runs[..2]).unwrap().cost.unwrap().calls, 7);
        assert!(merged(&[]).is_none());
    }

    #[test]
    fn the_worst_run_is_the_outcome() {
        let runs = three_runs(Outcome::Wrong);
        let report = merged(&runs).unwrap();
        assert_eq!(report.outcome, Outcome::Wrong);
        assert_eq!(report.reason.as_deref(), Some("1 of 3 runs: lost: 1"));
    }
}
