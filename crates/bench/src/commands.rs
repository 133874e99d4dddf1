//! The commands that make results again.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde_json::Value;

use crate::cli::TIMEOUT;
use crate::curves::Curve;
use crate::loaders;
use crate::org::PROFILES;
use crate::plot::{put, short};
use crate::result::Report;
use crate::task::{Task, task};

/// What is given besides workloads, sizes and the loader.
fn options(result: &Report) -> String {
    let mut text = String::new();
    match result.profile.as_str() {
        "null" => {}
        name if PROFILES.contains(&name) => {
            put!(text, " --profile {name}");
        }
        // A file of that name.
        name => {
            put!(text, " --profile {name}.json");
        }
    }
    if result.seed != 1 {
        put!(text, " --seed {}", result.seed);
    }
    if result.runs.len() > 1 {
        put!(text, " --repeat {}", result.runs.len());
    }
    let timeout = result.timeout_seconds.map(|seconds| seconds.to_string());
    if let Some(seconds) = timeout.filter(|seconds| seconds != TIMEOUT) {
        put!(text, " --timeout {seconds}");
    }
    text
}

/// How the loader is named: one that is known can stand beside others; another comes with what
/// makes it so.
fn loader(result: &Report) -> (Option<String>, String) {
    let loader = &result.loader;
    let mut known = loaders::known().unwrap_or_default().into_iter();
    let is_known = known.any(|known| known.name == loader.name);
    if is_known && loader.settings.is_empty() {
        return (Some(loader.name.clone()), String::new());
    }
    let mut text = String::new();
    if let Some(known) = &loader.known {
        put!(text, " --loader {known}");
    }
    put!(text, " --name '{}'", loader.name);
    if !loader.settings.is_empty() {
        let settings = Value::Object(loader.settings.clone());
        put!(text, " --config '{settings}'");
    }
    if loader.known.is_none() {
        put!(text, " -- {}", loader.command.join(" "));
    }
    (None, text)
}

fn scale(records: u64) -> String {
    short(records as f64).replace(' ', "").to_lowercase()
}

/// Values of an option with commas between.
fn list(values: impl Iterator<Item = String>) -> String {
    values.collect::<Vec<_>>().join(",")
}

/// Workloads by their place among all.
type Workloads = BTreeSet<(usize, String)>;

/// The commands of results of any tasks. Workloads that share all else go into one command.
pub(crate) fn of_tasks(results: &[&Report]) -> Vec<String> {
    let mut of_task: BTreeMap<(Task, String), BTreeSet<String>> = BTreeMap::new();
    for result in results {
        let task = task(result);
        let mut given = format!(" --scale {}", scale(task.scale));
        for (option, value) in task.given() {
            put!(given, " --{option} {value}");
        }
        given.push_str(&options(result));
        let (known, own) = loader(result);
        given.push_str(&own);
        of_task.entry((task, given)).or_default().extend(known);
    }
    let mut lines: BTreeMap<(String, BTreeSet<String>), Workloads> = BTreeMap::new();
    for ((task, given), loaders) in of_task {
        let workload = (task.row().0, task.workload);
        lines.entry((given, loaders)).or_default().insert(workload);
    }
    let line = |((given, loaders), workloads): ((String, BTreeSet<String>), Workloads)| {
        let workloads = list(workloads.into_iter().map(|(_, name)| name));
        format!("$bench run --workload {workloads}{given}{}", named(loaders))
    };
    lines.into_iter().map(line).collect()
}

/// The loaders of a command; nothing where it has its own.
fn named(loaders: BTreeSet<String>) -> String {
    if loaders.is_empty() {
        return String::new();
    }
    format!(" --loader {}", list(loaders.into_iter()))
}

/// The commands of a curve: its sizes as a list.
pub(crate) fn of_curve(curve: &Curve) -> Vec<String> {
    let mut lines: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (_, spots) in &curve.loaders {
        let Some(first) = spots.first() else { continue };
        let option = curve.growth.option;
        let value = |task: &Task| match option {
            "scale" => scale(task.scale),
            "bad" => (task.bad as f64 / 1e6).to_string(),
            "streams" => task.streams.to_string(),
            _ => task.columns.to_string(),
        };
        let of_first = task(first.result);
        let mut text = String::new();
        if option != "scale" {
            put!(text, " --scale {}", scale(of_first.scale));
        }
        for (given, value) in of_first.given() {
            if given != option {
                put!(text, " --{given} {value}");
            }
        }
        put!(
            text,
            " --{option} {}",
            list(spots.iter().map(|spot| value(&task(spot.result))))
        );
        text.push_str(&options(first.result));
        let (known, own) = loader(first.result);
        text.push_str(&own);
        lines.entry(text).or_default().extend(known);
    }
    let workload = &curve.group.workload;
    let line =
        |(text, loaders)| format!("$bench run --workload {workload}{text}{}", named(loaders));
    lines.into_iter().map(line).collect()
}
