//! A source that begins again at the last printed states, and what of its records must be where.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use testkit::rejected::{self, Rejected};
use testkit::sim::TestSim;

use crate::harness::lines::Stream;
use crate::harness::process::Output;

/// Streams of append: two into one object, with equal records.
pub(super) const STREAMS: usize = 3;

/// Field that distinguishes records, by stream.
const FIELDS: [&str; STREAMS] = ["LastName", "LastName", "Name"];
const OBJECTS: [&str; STREAMS] = ["Contact", "Contact", "Account"];

/// Longer than a first name may be.
const TOO_LONG: usize = 60;

/// How many records of each stream are done, by the states that were printed.
pub(super) type Done = [usize; STREAMS];

/// Streams, and how their states come.
pub(super) struct Source {
    pub(super) streams: [Stream; STREAMS],
    /// Whether states are of all streams.
    pub(super) of_all: bool,
    /// Records of each stream.
    pub(super) records: usize,
    /// Those between two states.
    pub(super) a_state: usize,
}

/// What was found wrong after the last attempt.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Judged {
    pub(super) lost: usize,
    pub(super) doubled: usize,
}

impl Source {
    pub(super) fn new(of_all: bool, records: usize, a_state: usize) -> Self {
        let streams = [
            Stream::new("people", "Contact", &["LastName", "FirstName"]),
            Stream::new("others", "Contact", &["LastName", "FirstName"]),
            Stream::new("firms", "Account", &["Name", "AccountNumber"]),
        ];
        Self {
            streams,
            of_all,
            records,
            a_state,
        }
    }

    pub(super) fn streams(&self) -> Vec<&Stream> {
        self.streams.iter().collect()
    }

    /// Some are equal to the one before, or to one before the last state; some are bad, and equal to
    /// others that are.
    fn data(&self, stream: usize, number: usize) -> Value {
        let name = match number {
            _ if number % 5 == 4 => number - 1,
            _ if number % 9 == 8 && number > self.a_state => number - self.a_state,
            _ => number,
        };
        let second = ["FirstName", "FirstName", "AccountNumber"][stream];
        let (name, other) = match number % 20 {
            7 => (None, format!("Bad {}", number / (2 * self.a_state))),
            13 => (Some("Long".to_owned()), "x".repeat(TOO_LONG)),
            _ => (Some(format!("Ng {name}")), format!("F {}", name / 2)),
        };
        json!({FIELDS[stream]: name, second: other})
    }

    fn is_bad(number: usize) -> bool {
        [7, 13].contains(&(number % 20))
    }

    /// What comes after `done`, in another order inside of each interval of a state.
    pub(super) fn lines(&self, done: Done, random: &mut fastrand::Rng) -> Vec<String> {
        let mut lines = Vec::new();
        for first in (0..self.records).step_by(self.a_state) {
            let end = first + self.a_state;
            let mut interval = Vec::new();
            for (index, stream) in self.streams.iter().enumerate() {
                let records = (first..end).filter(|number| *number >= done[index]);
                interval.extend(records.map(|number| stream.record(&self.data(index, number))));
            }
            random.shuffle(&mut interval);
            lines.extend(interval);
            if self.of_all && end > done[0] {
                let state = json!({"type": "STATE", "state": {"type": "GLOBAL", "global": {
                    "shared_state": {"cursor": end}, "stream_states": []}}});
                lines.push(state.to_string());
            } else if !self.of_all {
                let streams = self.streams.iter().zip(done);
                let states = streams.filter(|(_, done)| end > *done);
                lines.extend(states.map(|(stream, _)| stream.state(end as u64, self.a_state)));
            }
        }
        lines.extend(self.streams.iter().map(Stream::complete));
        lines
    }

    /// What the last printed states promise, of what came after `done`.
    pub(super) fn done(&self, output: &Output, mut done: Done) -> Done {
        let cursor = |value: &Value| value["cursor"].as_u64().map(|count| count as usize);
        for state in output.states() {
            if self.of_all {
                done = [cursor(&state["global"]["shared_state"]).unwrap(); STREAMS];
                continue;
            }
            let stream = &state["stream"];
            let name = &stream["stream_descriptor"]["name"];
            let index = self.streams.iter().position(|stream| *name == *stream.name);
            done[index.unwrap()] = cursor(&stream["stream_state"]).unwrap();
        }
        done
    }

    /// Compares the org with what came.
    pub(super) async fn judge(&self, sim: &TestSim) -> Judged {
        let mut wanted = BTreeMap::<(&str, String), usize>::new();
        for stream in 0..STREAMS {
            for number in (0..self.records).filter(|number| !Self::is_bad(*number)) {
                let data = self.data(stream, number);
                let name = data[FIELDS[stream]].as_str().unwrap().to_owned();
                *wanted.entry((OBJECTS[stream], name)).or_default() += 1;
            }
        }
        let mut judged = Judged::default();
        for index in [0, 2] {
            for name in sim.column(OBJECTS[index], FIELDS[index]).await {
                match wanted.get_mut(&(OBJECTS[index], name)) {
                    Some(count @ 1..) => *count -= 1,
                    _ => judged.doubled += 1,
                }
            }
        }
        judged.lost = wanted.into_values().sum();
        judged
    }

    /// Compares the rejected records with the bad ones: all that are stored, and those that the rule for
    /// readers keeps.
    pub(super) fn judge_rejects(
        &self,
        files: &BTreeMap<String, String>,
        attempts: &[Output],
    ) -> (Judged, Judged) {
        let (mut all, mut by_rule) = (Judged::default(), Judged::default());
        for (index, stream) in self.streams.iter().enumerate() {
            let mut wanted = BTreeMap::<String, usize>::new();
            for number in (0..self.records).filter(|number| Self::is_bad(*number)) {
                let data = self.data(index, number);
                *wanted.entry(data.to_string()).or_default() += 1;
            }
            let path = format!("/{}/", stream.name);
            let files = files.iter().filter(|(name, _)| name.contains(&path));
            let stored = rejected::read_all(files);
            let earlier = Earlier::of(&stream.name, attempts);
            let kept = stored
                .iter()
                .filter(|rejected| earlier.keeps(rejected, &stored));
            compare(&wanted, kept, &mut by_rule);
            compare(&wanted, stored.iter(), &mut all);
        }
        (all, by_rule)
    }
}

fn compare<'a>(
    wanted: &BTreeMap<String, usize>,
    stored: impl Iterator<Item = &'a Rejected>,
    judged: &mut Judged,
) {
    let mut wanted = wanted.clone();
    for rejected in stored {
        match wanted.get_mut(&rejected.record().to_string()) {
            Some(count @ 1..) => *count -= 1,
            _ => judged.doubled += 1,
        }
    }
    judged.lost += wanted.into_values().sum::<usize>();
}

/// What the logs say of a stream's earlier attempts.
#[derive(Default)]
struct Earlier {
    /// How far each has covered the stream.
    covered: BTreeMap<String, u64>,
    /// Jobs whose rejected records are not marked: they come again.
    again: BTreeSet<String>,
}

impl Earlier {
    fn of(stream: &str, attempts: &[Output]) -> Self {
        let mut earlier = Self::default();
        let logs = attempts.iter().flat_map(|attempt| attempt.of("LOG"));
        let texts = logs.filter_map(|log| log["log"]["message"].as_str());
        for text in texts.filter(|text| field(text, "stream") == Some(stream)) {
            if text.starts_with("an earlier attempt ended early") {
                let attempt = field(text, "attempt").unwrap().to_owned();
                let covered = field(text, "covered").unwrap().parse().unwrap();
                earlier.covered.insert(attempt, covered);
            } else if text.starts_with("rejected records of a job of an earlier attempt") {
                earlier.again.insert(field(text, "job").unwrap().to_owned());
            }
        }
        earlier
    }

    /// The rule of docs/rejected-records.md.
    fn keeps(&self, rejected: &Rejected, all: &[Rejected]) -> bool {
        let attempt =
            |rejected: &Rejected| rejected.reason()["attempt"].as_str().unwrap().to_owned();
        let own = attempt(rejected);
        if let Some(covered) = self.covered.get(&own) {
            let is_covered = rejected.reason()["ordinal"].as_u64().unwrap() < *covered;
            let job = rejected.reason()["job_id"].as_str().unwrap_or_default();
            let is_marked = rejected.stage() == "salesforce" && !self.again.contains(job);
            if is_covered || is_marked {
                return true;
            }
        }
        let mut later = all.iter().filter(|other| attempt(other) > own);
        !later.any(|other| other.record() == rejected.record())
    }
}

/// A field of a line of the log.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(&format!(" {name}="))?;
    let value = rest.split(' ').next().unwrap_or_default();
    Some(value.trim_matches('"'))
}
