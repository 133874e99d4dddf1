//! Correctness: what the org and the files of rejects hold, beside what the workload says.

use std::collections::HashMap;

use serde_json::Value;

use crate::columns::Kind;
use crate::error::Result;
use crate::org::Org;
use crate::plan::{Fate, Line, Plan, is_same};
use crate::rejects::Rejects;
use crate::result::Judged;
use crate::watch::State;

/// Samples that are kept of each thing that is wrong.
const SAMPLES: u64 = 2;

/// What the org holds of a record of the input.
#[derive(Debug, Clone, Copy)]
struct Held {
    times: u8,
    /// Milliseconds since the start at which it was created, and written last; of several records
    /// the earliest.
    first: u32,
    last: u32,
}

const NOT_HELD: Held = Held {
    times: 0,
    first: u32::MAX,
    last: u32::MAX,
};

/// Judges one run.
pub(crate) struct Judge<'a> {
    plan: &'a Plan,
    rejects: &'a Rejects,
    held: Vec<Held>,
    /// Ids of parents by external ID.
    parents: HashMap<String, String>,
    judged: Judged,
    /// When the loader began.
    began: u64,
    /// Values of a record, and of the versions it is compared with.
    values: Vec<String>,
}

impl<'a> Judge<'a> {
    pub(crate) fn new(plan: &'a Plan, rejects: &'a Rejects, began: u64) -> Self {
        let records = usize::try_from(plan.scale).unwrap_or(usize::MAX);
        Self {
            plan,
            rejects,
            held: vec![NOT_HELD; records],
            parents: HashMap::new(),
            judged: Judged {
                records: plan.scale,
                bad: plan.bad(),
                ..Judged::default()
            },
            began,
            values: Vec::new(),
        }
    }

    /// Reads the org, and judges. With `wants_states` the last state of each stream must be among
    /// those that arrived.
    pub(crate) async fn judge(
        mut self,
        org: &Org,
        states: &[State],
        wants_states: bool,
    ) -> Result<Judged> {
        if self.plan.workload.parents(self.plan.scale) > 0 {
            let parents = &mut self.parents;
            org.records("Account", |row| {
                if let (Some(key), Some(id)) = (row["Ext_Id__c"].as_str(), row["Id"].as_str()) {
                    parents.insert(key.to_owned(), id.to_owned());
                }
            })
            .await?;
        }
        let object = self.plan.workload.object();
        org.records(object, |row| self.record(row)).await?;
        self.rest();
        if !states.is_empty() {
            let (plan, began, known) = (self.plan, self.began, &mut self.held);
            let since = |at: u64| u32::try_from(at.saturating_sub(began)).unwrap_or(u32::MAX);
            org.times(object, plan.workload.key(), |value, created, written| {
                let key = plan.key_of(value).and_then(|key| usize::try_from(key).ok());
                if let Some(held) = key.and_then(|key| known.get_mut(key)) {
                    held.first = held.first.min(since(created));
                    held.last = held.last.min(since(written));
                }
            })
            .await?;
        }
        if wants_states || !states.is_empty() {
            self.states(states, wants_states);
        }
        Ok(self.judged)
    }

    /// Keeps a sample of what has happened `count` times.
    fn sample(&mut self, count: u64, what: impl FnOnce() -> String) {
        if count <= SAMPLES {
            self.judged.samples.push(what());
        }
    }

    /// Judges a record of the org.
    fn record(&mut self, row: &Value) {
        let value = row[self.plan.workload.key()].as_str().unwrap_or_default();
        let Some(key) = self.plan.key_of(value) else {
            self.judged.foreign += 1;
            self.sample(self.judged.foreign, || {
                format!("a record that nobody sent: {row}")
            });
            return;
        };
        let Some(held) = usize::try_from(key)
            .ok()
            .and_then(|at| self.held.get_mut(at))
        else {
            return;
        };
        held.times = held.times.saturating_add(1);
        if held.times > 1 {
            self.judged.doubled += 1;
            self.sample(self.judged.doubled, || {
                format!("{value} is there once more")
            });
            return;
        }
        if self.plan.fate(key) == Fate::Rejected {
            self.judged.bad_held += 1;
            self.sample(self.judged.bad_held, || {
                format!("{value} is bad, and the org holds it: {row}")
            });
            return;
        }
        let version = self.plan.last_version(key);
        match self.difference(row, Line { key, version }) {
            None => {
                self.judged.right += 1;
                self.judged.rejects_held += u64::from(self.rejects.named.contains_key(&key));
            }
            Some(_) if version > 1 && self.difference(row, Line { key, version: 1 }).is_none() => {
                self.judged.stale += 1;
                self.sample(self.judged.stale, || {
                    format!("{value} has the values of version 1, not of {version}")
                });
            }
            Some(difference) => {
                self.judged.wrong_values += 1;
                self.sample(self.judged.wrong_values, || {
                    format!("{value}: {difference}")
                });
            }
        }
    }

    /// The first value that is not that of a line.
    fn difference(&mut self, row: &Value, line: Line) -> Option<String> {
        self.plan.values(line, &mut self.values);
        for (column, expected) in self.plan.columns.iter().zip(&self.values[1..]) {
            let (name, expected) = match column.kind {
                Kind::Parent => {
                    let id = self.parents.get(expected);
                    ("AccountId", id.map_or("", String::as_str))
                }
                _ => (column.name.as_str(), expected.as_str()),
            };
            let held = row[name].as_str().unwrap_or_default();
            if !is_same(column.kind, held, expected) {
                return Some(format!("{name} is {held:?}, not {expected:?}"));
            }
        }
        None
    }

    /// Judges the records that the org does not hold.
    fn rest(&mut self) {
        for key in 0..self.plan.scale {
            let held = usize::try_from(key).ok().and_then(|at| self.held.get(at));
            if held.is_some_and(|held| held.times > 0) {
                continue;
            }
            let named = self.rejects.named.get(&key);
            if let Some(named) = named {
                self.judged.rejects_without_reason += u64::from(!named.reason);
            }
            let (count, what) = match (self.plan.fate(key), named.is_some()) {
                (Fate::Held, false) => (&mut self.judged.lost, "is neither there nor rejected"),
                (Fate::Held, true) => (&mut self.judged.refused, "is good, and was rejected"),
                (Fate::Rejected, true) => {
                    self.judged.rejects_named += 1;
                    continue;
                }
                (Fate::Rejected, false) => {
                    (&mut self.judged.rejects_unnamed, "is bad, and not named")
                }
            };
            *count += 1;
            let (count, mut name) = (*count, String::new());
            self.plan.write_key(key, &mut name);
            self.sample(count, || format!("{name} {what}"));
        }
    }

    /// When a line was in the org or in a file of rejects, in milliseconds since the start.
    fn durable(&self, line: Line) -> Option<u32> {
        let held = usize::try_from(line.key)
            .ok()
            .and_then(|at| self.held.get(at));
        let named =
            self.rejects.named.get(&line.key).map(|named| {
                u32::try_from(named.at.saturating_sub(self.began)).unwrap_or(u32::MAX)
            });
        let written = held.filter(|held| held.times > 0).map(|held| {
            // The last version is written last; an older one may have been merged into it.
            if line.version == self.plan.last_version(line.key) {
                held.last
            } else {
                held.first
            }
        });
        match (written, named) {
            (Some(written), Some(named)) => Some(written.min(named)),
            (written, named) => written.or(named),
        }
    }

    /// Judges whether the state behind all records of each stream arrived.
    fn last_states<'n>(
        &mut self,
        streams: &HashMap<&str, Vec<(u64, u32, bool)>>,
        records: impl Iterator<Item = (&'n u64, &'n String)>,
    ) {
        for (records, name) in records.filter(|(records, _)| **records > 0) {
            let last = streams.get(name.as_str()).and_then(|states| states.last());
            if last.is_none_or(|(cursor, ..)| cursor < records) {
                self.judged.states_missing += 1;
                self.sample(self.judged.states_missing, || {
                    format!("the last state of {name} did not arrive: a source would send it again")
                });
            }
        }
    }

    /// Judges the states by the rows before them.
    fn states(&mut self, states: &[State], wants_last: bool) {
        self.judged.states = states.len() as u64;
        let mut streams: HashMap<&str, Vec<(u64, u32, bool)>> = HashMap::new();
        for state in states {
            let at = u32::try_from(state.at.saturating_sub(self.began)).unwrap_or(u32::MAX);
            let of_stream = streams.entry(&state.stream).or_default();
            of_stream.push((state.cursor, at, false));
        }
        for of_stream in streams.values_mut() {
            of_stream.sort_unstable();
        }
        let count = usize::try_from(self.plan.streams).unwrap_or_default();
        let mut records = vec![0_u64; count];
        let names: Vec<String> = (0..)
            .map(|stream| self.plan.stream_name(stream))
            .take(count)
            .collect();
        let mut rows_ahead = 0;
        for line in self.plan.lines() {
            let stream = usize::try_from(self.plan.stream(line.key)).unwrap_or_default();
            records[stream] += 1;
            let Some(of_stream) = streams.get_mut(names[stream].as_str()) else {
                continue;
            };
            let covering = of_stream.partition_point(|(cursor, ..)| *cursor < records[stream]);
            let durable = self.durable(line);
            let mut ahead = false;
            // Later states arrive later, but for those of a repeated run: few are looked at.
            for state in of_stream[covering..].iter_mut().take(8) {
                let there = durable.is_some_and(|durable| durable <= state.1);
                state.2 |= !there;
                ahead |= !there;
            }
            rows_ahead += u64::from(ahead);
        }
        if wants_last {
            self.last_states(&streams, records.iter().zip(&names));
        }
        self.judged.rows_ahead = rows_ahead;
        let ahead = streams.values().flatten().filter(|state| state.2);
        self.judged.states_ahead = ahead.count() as u64;
        if rows_ahead > 0 {
            self.sample(1, || {
                format!("{rows_ahead} rows were not there yet when their state came")
            });
        }
    }
}
