//! What must hold after a process, whatever happened: asked from the org, the rejected records and
//! what was printed, never from the loader.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use testkit::rejected::Rejected;
use testkit::s3::SECRET_KEY;
use testkit::sim::CLIENT_SECRET;

use super::faults::Fate;
use super::input::{End, Input, What};
use super::model;
use super::plan::{Ending, Plan};
use super::records::MARK;
use crate::harness::process::Output;

/// What was found at one moment.
#[derive(Debug, Clone)]
pub(super) struct Found {
    /// Records of the org by object.
    pub(super) held: BTreeMap<&'static str, Vec<Value>>,
    /// Rejected records by stream; none if they were only counted.
    pub(super) rejects: Option<Vec<Vec<Rejected>>>,
    pub(super) jobs: Vec<Value>,
    /// Whether stdout ends within a line: where nobody reads, there may be no last word.
    pub(super) within_a_line: bool,
}

/// Checks an attempt. `first` is what was found at its end, `last` what was when the jobs that went
/// on had ended. Returns how many records of each stream the printed states cover.
pub(super) fn attempt(
    plan: &Plan,
    input: &Input,
    output: &Output,
    first: &Found,
    last: &Found,
    violations: &mut Vec<String>,
) -> Vec<usize> {
    let fed = fed(plan, input);
    exit(plan, output, first.within_a_line, violations);
    words(output, violations);
    let covered = states(plan, input, output, &fed, violations);
    for (stream, rejects) in last.rejects.iter().flatten().enumerate() {
        rejected_records(plan, input, stream, fed[stream], rejects, violations);
    }
    statistics(plan, input, output, last, violations);
    jobs(plan, output, &first.jobs, violations);
    let done = output.code == Some(0);
    for stream in 0..plan.streams.len() {
        let view = |found| model::View {
            plan,
            input,
            stream,
            found,
        };
        // What a printed state covers is there at once, not only when all jobs have ended.
        let least = if done { fed[stream] } else { covered[stream] };
        view(first).holds_at_least(least, violations);
        view(last).holds_at_most(fed[stream], violations);
        view(last).is_as_modelled(least, fed[stream], violations);
    }
    model::holds_nothing_else(plan, input, &last.held, violations);
    covered
}

/// Checks what is there after the last attempt. Returns how many inserted records are doubled.
pub(super) fn repeated(
    plan: &Plan,
    input: &Input,
    found: &Found,
    violations: &mut Vec<String>,
) -> Vec<String> {
    let (mut missing, mut doubled) = (Vec::new(), Vec::new());
    for stream in 0..plan.streams.len() {
        let view = model::View {
            plan,
            input,
            stream,
            found,
        };
        let all = input.streams[stream].records.len();
        view.holds_at_least(all, &mut missing);
        if plan.streams[stream].operation.is_keyed() {
            view.is_as_modelled(all, all, &mut missing);
        }
        doubled.extend(view.doubled());
    }
    violations.extend(
        missing
            .into_iter()
            .map(|text| format!("after the last attempt: {text}")),
    );
    doubled
}

/// The rejected records that count after one more attempt, by their numbers in the whole input: those
/// before `covered`, where it began, and all that it has stored. Of inserts, older ones count as well
/// that were not stored again: they were not sent again.
pub(super) fn kept(
    plan: &Plan,
    kept: Vec<Vec<Rejected>>,
    stored: Vec<Vec<Rejected>>,
    covered: &[usize],
) -> Vec<Vec<Rejected>> {
    let streams = kept.into_iter().zip(stored).zip(covered);
    let streams = streams.zip(&plan.streams);
    let counting = streams.map(|(((mut earlier, mut stored), covered), stream)| {
        for reject in &mut stored {
            let number = ordinal(reject) + covered;
            reject.envelope["_airbyte_meta"]["rejected"]["ordinal"] = number.into();
        }
        let again: BTreeSet<usize> = stored.iter().map(ordinal).collect();
        let inserts = !stream.operation.is_keyed();
        earlier.retain(|reject| {
            let number = ordinal(reject);
            number < *covered || inserts && !again.contains(&number)
        });
        earlier.extend(stored);
        earlier
    });
    counting.collect()
}

/// Whether a job may still write.
pub(super) fn is_running(job: &Value) -> bool {
    job["state"] == "UploadComplete" || job["state"] == "InProgress"
}

/// Kind and message of the error that a process ended with.
pub(super) fn error_of(output: &Output) -> String {
    let traces = output.of("TRACE");
    let errors = traces.iter().map(|trace| &trace["trace"]["error"]);
    let texts: Vec<String> = errors
        .map(|error| format!("{}: {}", error["failure_type"], error["message"]))
        .collect();
    format!("exit {:?}: {}", output.code, texts.join(" | "))
}

/// Numbers of the states that were printed, in their order.
pub(super) fn printed(output: &Output) -> Vec<usize> {
    let states = output.states().into_iter();
    let ids = states.filter_map(|state| state["id"].as_u64());
    ids.filter_map(|id| id.try_into().ok()).collect()
}

/// How many whole records of each stream were fed.
fn fed(plan: &Plan, input: &Input) -> Vec<usize> {
    let lines = match plan.ending {
        Ending::Cut { permille, .. } => input.lines.len() * permille / 1000,
        _ => input.lines.len(),
    };
    let mut fed = vec![0; plan.streams.len()];
    for line in &input.lines[..lines] {
        if let What::Record(stream, _) = line.what {
            fed[stream] += 1;
        }
    }
    fed
}

fn exit(plan: &Plan, output: &Output, within_a_line: bool, violations: &mut Vec<String>) {
    let errors: Vec<&str> = output
        .of("TRACE")
        .iter()
        .filter(|trace| trace["trace"]["type"] == "ERROR")
        .filter_map(|trace| trace["trace"]["error"]["failure_type"].as_str())
        .collect();
    let expected = match output.code {
        Some(1) => 1,
        _ => 0,
    };
    let unsaid = within_a_line && errors.is_empty();
    if output.code.is_some() && errors.len() != expected && !unsaid {
        violations.push(format!(
            "{} error traces: {}",
            errors.len(),
            error_of(output)
        ));
    }
    let killed = matches!(plan.ending, Ending::Kill(_));
    let terminated = matches!(plan.ending, Ending::Terminate(_));
    let may = match output.code {
        Some(0 | 1) => true,
        // A signal that comes before the process can hear it ends it.
        None => killed || (terminated && output.lines.is_empty()),
        Some(_) => false,
    };
    if !may {
        violations.push(format!("exit code {:?}: {}", output.code, output.stderr));
    }
    let within = matches!(
        plan.ending,
        Ending::Cut {
            within_a_line: true,
            ..
        }
    );
    let kinds: &[&str] = match plan.fate {
        Fate::Passes if within => &["transient_error", "system_error"],
        Fate::Passes => &["transient_error"],
        Fate::Fails(kinds) if plan.ending == Ending::Itself => kinds,
        Fate::Fails(_) => &["transient_error", "config_error", "system_error"],
        Fate::Open => &["transient_error", "system_error"],
    };
    if !errors.iter().all(|kind| kinds.contains(kind)) {
        violations.push(format!("wrong kind: {}", error_of(output)));
    }
}

/// No secret and no value in anything but states and the config that a platform keeps; no panic.
fn words(output: &Output, violations: &mut Vec<String>) {
    let values = ["-", " ", "."].map(|next| format!("{MARK}{next}"));
    for (line, message) in output.lines.iter().zip(&output.messages) {
        if message["type"] == "STATE" || message["type"] == "CONTROL" {
            continue;
        }
        let secrets = [CLIENT_SECRET, "5Aep861", SECRET_KEY];
        if secrets.iter().any(|secret| line.contains(secret)) || has_token(line) {
            violations.push(format!("a secret is printed: {line}"));
        }
        if values.iter().any(|value| line.contains(value.as_str())) {
            violations.push(format!("a value is printed: {line}"));
        }
    }
    let printed = output.lines.iter().any(|line| line.contains("panicked at"));
    if printed || output.stderr.contains("panicked at") {
        violations.push(format!("a panic: {}", output.stderr));
    }
}

/// Access tokens are an org's Id, an exclamation mark, and more.
fn has_token(line: &str) -> bool {
    let mut starts = line.match_indices("00D");
    starts.any(|(at, _)| line[at..].chars().take(20).any(|c| c == '!'))
}

/// The states in their order, each once, as they came. Returns how many records they cover.
fn states(
    plan: &Plan,
    input: &Input,
    output: &Output,
    fed: &[usize],
    violations: &mut Vec<String>,
) -> Vec<usize> {
    let mut covered = vec![0; plan.streams.len()];
    let mut next: BTreeMap<Option<usize>, usize> = BTreeMap::new();
    let lines = output.lines.iter().zip(&output.messages);
    let lines = lines.filter(|(_, message)| message["type"] == "STATE");
    for (line, message) in lines {
        let id = message["state"]["id"]
            .as_u64()
            .and_then(|id| usize::try_from(id).ok());
        let Some((number, state)) = id.and_then(|id| Some((id, input.states.get(id)?))) else {
            violations.push(format!("a state that never came: {message}"));
            continue;
        };
        let after = next.get(&state.stream).map_or(0, |last| last + 1);
        let own = |other: usize| input.states[other].stream == state.stream;
        let expected = (after..input.states.len()).find(|other| own(*other));
        if expected != Some(number) {
            violations.push(format!("state {number} in place of {expected:?}"));
        }
        next.insert(state.stream, number);
        if !line.contains(&state.blob) {
            violations.push(format!("state {number} is not what came"));
        }
        let streams = 0..plan.streams.len();
        for stream in streams.filter(|at| state.stream.is_none_or(|own| own == *at)) {
            covered[stream] = covered[stream].max(state.before[stream]);
        }
    }
    if covered.iter().zip(fed).any(|(covered, fed)| covered > fed) {
        violations.push("a state that had not come yet".to_owned());
    }
    let all = plan.ending == Ending::Itself;
    let count = printed(output).len();
    if all && output.code == Some(0) && count != input.states.len() {
        let of = input.states.len();
        violations.push(format!("exit 0 with {count} of {of} states"));
    }
    covered
}

/// Each rejected record once, as it came, and none that is good.
fn rejected_records(
    plan: &Plan,
    input: &Input,
    stream: usize,
    fed: usize,
    rejects: &[Rejected],
    violations: &mut Vec<String>,
) {
    let records = &input.streams[stream].records;
    let mut seen = BTreeSet::new();
    let mut good = Vec::new();
    for reject in rejects {
        let number = ordinal(reject);
        let cut = number == fed
            && matches!(
                plan.ending,
                Ending::Cut {
                    within_a_line: true,
                    ..
                }
            );
        if cut && reject.stage() == "decode" {
            continue;
        }
        let Some(record) = records.get(number).filter(|_| number < fed) else {
            violations.push(format!("stream {stream}: record {number} never came"));
            continue;
        };
        if !seen.insert(number) {
            violations.push(format!(
                "stream {stream}: record {number} is rejected twice"
            ));
        }
        let reason = reject.reason();
        if record.end == End::Accepted && !plan.may_refuse_good_rows(stream) {
            good.push(format!("good record {number} is rejected: {reason}"));
        }
        let found = reject.record();
        let same = match &record.data {
            None => found["_raw"].as_str() == Some(&record.line),
            Some(data) => {
                let columns = &input.streams[stream].lines.columns;
                let mut columns = columns.iter().map(|(name, _)| name.as_str());
                columns.all(|name| text(data.get(name)) == text(found.get(name)))
            }
        };
        if !same {
            violations.push(format!(
                "stream {stream}: record {number} is stored as {found}"
            ));
        }
    }
    if let Some(first) = good.first() {
        violations.push(format!("stream {stream}, {}×: {first}", good.len()));
    }
}

/// The text of a value; none where there is none.
fn text(value: Option<&Value>) -> Option<String> {
    match value? {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

/// The number of a rejected record in its stream.
pub(super) fn ordinal(reject: &Rejected) -> usize {
    let number = reject.reason()["ordinal"].as_u64();
    number
        .and_then(|number| number.try_into().ok())
        .unwrap_or(usize::MAX)
}

/// The numbers in each state are those of the records between it and the state before.
fn statistics(
    plan: &Plan,
    input: &Input,
    output: &Output,
    found: &Found,
    violations: &mut Vec<String>,
) {
    let mut before = vec![0; plan.streams.len()];
    let mut total = BTreeMap::<Option<usize>, [u64; 2]>::new();
    for (number, message) in printed(output).into_iter().zip(output.states()) {
        let Some(state) = input.states.get(number) else {
            return;
        };
        let (mut rows, mut least, mut most) = (0, 0, 0);
        for stream in 0..plan.streams.len() {
            if state.stream.is_some_and(|own| own != stream) {
                continue;
            }
            let interval = before[stream]..state.before[stream].max(before[stream]);
            before[stream] = interval.end;
            rows += interval.len();
            if let Some(rejects) = &found.rejects {
                let inside = rejects[stream].iter();
                let inside = inside.filter(|reject| interval.contains(&ordinal(reject)));
                let inside = inside.count();
                (least, most) = (least + inside, most + inside);
                continue;
            }
            for record in &input.streams[stream].records[interval] {
                let either = plan.may_refuse_good_rows(stream) || record.end == End::Either;
                least += usize::from(record.end == End::Rejected);
                most += usize::from(record.end == End::Rejected || either);
            }
        }
        let number_of = |value: &Value| value.as_f64().unwrap_or(0.0);
        let stats = &message["destinationStats"];
        let (accepted, rejected) = (
            number_of(&stats["recordCount"]),
            number_of(&stats["rejectedRecordCount"]),
        );
        let right = accepted + rejected == rows as f64
            && rejected >= least as f64
            && rejected <= most as f64;
        if !right {
            violations.push(format!(
                "state {number} counts {accepted} and {rejected} of {rows} records, {least} to {most} rejected"
            ));
        }
        let totals = total.entry(state.stream).or_default();
        totals[0] += accepted as u64;
        totals[1] += rejected as u64;
        let said = [
            &message["committedRecordsCount"],
            &message["rejectedRecordsCount"],
        ]
        .map(|value| value.as_u64().unwrap_or_default());
        if said != *totals {
            violations.push(format!(
                "state {number} has the totals {said:?}, not {totals:?}"
            ));
        }
    }
}

/// No job is left behind.
fn jobs(plan: &Plan, output: &Output, jobs: &[Value], violations: &mut Vec<String>) {
    let count = |state: &str| jobs.iter().filter(|job| job["state"] == state).count();
    // Without a grace there is no time to abort them.
    let grace = plan.settings["stop_grace_seconds"].as_u64() > Some(1);
    let terminated =
        matches!(plan.ending, Ending::Terminate(_)) && plan.fate == Fate::Passes && grace;
    let orderly = output.code == Some(0) || (terminated && output.code.is_some());
    if orderly && count("Open") > 0 {
        violations.push(format!("{} jobs are left open", count("Open")));
    }
    if output.code == Some(0) && jobs.iter().any(is_running) {
        violations.push("exit 0 while jobs run".to_owned());
    }
}
