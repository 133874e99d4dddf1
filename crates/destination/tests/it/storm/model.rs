//! What the org must hold: inserts by what distinguishes records, all else as if the records had been
//! applied one after the other.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::Value;
use testkit::KEY;

use super::check::{Found, ordinal};
use super::input::{End, Input, Record};
use super::plan::{Operation, Plan};
use super::records::{Cell, normal};
use super::shapes::Kind;

/// Violations of a kind that are worth reading.
const SHOWN: usize = 3;

/// One stream, and what was found.
pub(super) struct View<'a> {
    pub(super) plan: &'a Plan,
    pub(super) input: &'a Input,
    pub(super) stream: usize,
    pub(super) found: &'a Found,
}

/// A record of the org, as far as streams write it.
type Row = BTreeMap<&'static str, String>;

impl View<'_> {
    fn records(&self) -> &[Record] {
        &self.input.streams[self.stream].records
    }

    fn operation(&self) -> Operation {
        self.plan.streams[self.stream].operation
    }

    fn held(&self) -> &[Value] {
        &self.found.held[self.plan.streams[self.stream].shape.object]
    }

    /// What becomes of a record, with the faults of the plan in mind.
    fn end(&self, record: &Record) -> End {
        match record.end {
            End::Accepted if self.plan.may_refuse_good_rows(self.stream) => End::Either,
            end => end,
        }
    }

    /// How often each record was rejected; none if that was only counted.
    fn rejected(&self) -> Option<BTreeMap<usize, usize>> {
        let rejects = &self.found.rejects.as_ref()?[self.stream];
        let mut counts = BTreeMap::new();
        for reject in rejects {
            *counts.entry(ordinal(reject)).or_default() += 1;
        }
        Some(counts)
    }

    fn say(&self, violations: &mut Vec<String>, found: &[String]) {
        if let Some(first) = found.first() {
            let more = found.iter().take(SHOWN).skip(1);
            let more: String = more.map(|text| format!("; {text}")).collect();
            let (stream, operation) = (self.stream, self.operation());
            let count = found.len();
            violations.push(format!(
                "stream {stream} ({operation:?}), {count}×: {first}{more}"
            ));
        }
    }

    /// How often the org holds each identity of an insert, and how often it was rejected.
    fn places(&self) -> HashMap<&str, [usize; 2]> {
        let shape = self.plan.streams[self.stream].shape;
        let mut places: HashMap<&str, [usize; 2]> = HashMap::new();
        for row in self.held() {
            if let Some(identity) = row[shape.identity].as_str() {
                places.entry(identity).or_default()[0] += 1;
            }
        }
        let rejected = self.rejected().unwrap_or_default();
        for (number, count) in rejected {
            if let Some(record) = self.records().get(number) {
                places.entry(&record.identity).or_default()[1] += count;
            }
        }
        places
    }

    /// The first records are all where they belong: in the org or among the rejected ones.
    pub(super) fn holds_at_least(&self, count: usize, violations: &mut Vec<String>) {
        let records = &self.records()[..count];
        let mut lost = Vec::new();
        if let Some(rejected) = self.rejected() {
            for (number, record) in records.iter().enumerate() {
                if record.end == End::Rejected && !rejected.contains_key(&number) {
                    lost.push(format!("bad record {number} is lost"));
                }
            }
        }
        if self.operation() == Operation::Insert {
            let places = self.places();
            let stored = self.found.rejects.is_some();
            let mut wanted: BTreeMap<&str, (usize, End)> = BTreeMap::new();
            for record in records {
                let wanted = wanted
                    .entry(&record.identity)
                    .or_insert((0, self.end(record)));
                wanted.0 += 1;
            }
            for (identity, (count, end)) in wanted {
                let [held, rejected] = places.get(identity).copied().unwrap_or_default();
                let there = match end {
                    End::Accepted => held,
                    End::Rejected => continue,
                    End::Either if stored => held + rejected,
                    End::Either => count,
                };
                if there < count {
                    lost.push(format!("{identity} is lost: {there} of {count}"));
                }
            }
        }
        self.say(violations, &lost);
    }

    /// No record is in the org twice, nor there and among the rejected ones.
    pub(super) fn holds_at_most(&self, count: usize, violations: &mut Vec<String>) {
        if self.operation() != Operation::Insert {
            return;
        }
        let places = self.places();
        let mut wanted: BTreeMap<&str, (usize, End, usize)> = BTreeMap::new();
        for (number, record) in self.records()[..count].iter().enumerate() {
            let end = self.end(record);
            let wanted = wanted.entry(&record.identity).or_insert((0, end, number));
            wanted.0 += 1;
        }
        let mut doubled = Vec::new();
        for (identity, (count, end, number)) in wanted {
            let [held, rejected] = places.get(identity).copied().unwrap_or_default();
            if held + rejected > count {
                doubled.push(format!(
                    "{identity} is doubled: {held} in the org, {rejected} rejected, {count} came"
                ));
            }
            if end == End::Rejected && held > 0 {
                doubled.push(format!("bad record {number} is in the org"));
            }
        }
        self.say(violations, &doubled);
    }

    /// Inserted records that the org holds more often than they came.
    pub(super) fn doubled(&self) -> Vec<String> {
        if self.operation() != Operation::Insert {
            return Vec::new();
        }
        let mut came: BTreeMap<&str, usize> = BTreeMap::new();
        for record in self.records() {
            *came.entry(&record.identity).or_default() += 1;
        }
        let places = self.places();
        let held = |identity: &str| places.get(identity).map_or(0, |[held, _]| *held);
        let doubled = came
            .iter()
            .filter(|(identity, came)| held(identity) > **came);
        doubled
            .map(|(identity, came)| format!("{identity}: {} of {came}", held(identity)))
            .collect()
    }

    /// The org's records are what the records of the stream make of them: of the first `least` all,
    /// and of those up to `most` the first ones.
    pub(super) fn is_as_modelled(&self, least: usize, most: usize, violations: &mut Vec<String>) {
        let mut wrong = Vec::new();
        match self.operation() {
            Operation::Insert => self.inserted(&mut wrong),
            Operation::Delete => self.deleted(least, &mut wrong),
            Operation::Upsert | Operation::Update => self.applied(least, most, &mut wrong),
        }
        self.say(violations, &wrong);
    }

    fn inserted(&self, wrong: &mut Vec<String>) {
        let shape = self.plan.streams[self.stream].shape;
        let records = self.records().iter();
        let records: HashMap<&str, &Record> = records
            .map(|record| (record.identity.as_str(), record))
            .collect();
        for row in self.held() {
            let identity = row[shape.identity].as_str().unwrap_or_default();
            let Some(record) = records.get(identity) else {
                continue;
            };
            let mut expected = Row::new();
            apply(&mut expected, record);
            self.compare(identity, Some(&expected), Some(row), wrong);
        }
    }

    fn deleted(&self, least: usize, wrong: &mut Vec<String>) {
        let held = self.held().iter().filter_map(|row| row["Id"].as_str());
        let held: BTreeSet<&str> = held.map(|id| &id[..15]).collect();
        for (number, record) in self.records()[..least].iter().enumerate() {
            let key = record.key.as_deref();
            let gone = key.is_none_or(|key| !held.contains(key));
            if self.end(record) == End::Accepted && !gone {
                wrong.push(format!("record {number} is not deleted"));
            }
        }
    }

    fn applied(&self, least: usize, most: usize, wrong: &mut Vec<String>) {
        let rejected = self.rejected();
        // Nobody can say which records had an effect.
        let unsaid = rejected.is_none() && self.plan.may_refuse_good_rows(self.stream);
        let rejected = rejected.unwrap_or_default();
        let mut by_key: BTreeMap<&str, Vec<(usize, &Record)>> = BTreeMap::new();
        for (number, record) in self.records()[..most].iter().enumerate() {
            let Some(key) = &record.key else { continue };
            if !rejected.contains_key(&number) {
                by_key.entry(key).or_default().push((number, record));
            }
        }
        let field = if self.operation() == Operation::Update {
            "Id"
        } else {
            KEY
        };
        let mut rows: HashMap<String, &Value> = HashMap::new();
        for row in self.held() {
            let Some(key) = row[field].as_str() else {
                continue;
            };
            let key = normal(key, self.operation());
            if by_key.contains_key(key.as_str()) && rows.insert(key.clone(), row).is_some() {
                wrong.push(format!("two records of the key {key}"));
            }
        }
        for (key, records) in by_key {
            let row = rows.get(key).copied();
            if unsaid {
                self.applied_in_part(key, &records, row, wrong);
                continue;
            }
            let mut state = self.before(row);
            let needed = records.iter().filter(|(number, _)| *number < least).count();
            let mut first = Vec::new();
            for done in 0..=records.len() {
                if done > 0 {
                    apply(state.get_or_insert_with(Row::new), records[done - 1].1);
                }
                if done < needed {
                    continue;
                }
                let mut differs = Vec::new();
                self.compare(key, state.as_ref(), row, &mut differs);
                if differs.is_empty() {
                    first.clear();
                    break;
                }
                if first.is_empty() {
                    first = differs;
                }
            }
            wrong.extend(first);
        }
    }

    /// The org's record is what some of the `records` of its key make of it: it has all values of the
    /// last one, and where that one says nothing, the value of an earlier one or that of before.
    fn applied_in_part(
        &self,
        key: &str,
        records: &[(usize, &Record)],
        row: Option<&Value>,
        wrong: &mut Vec<String>,
    ) {
        let shape = self.plan.streams[self.stream].shape;
        let before = self.before(row);
        let Some(row) = row else {
            if before.is_some() {
                wrong.push(format!("{key}: gone"));
            }
            return;
        };
        let identity = row[shape.identity].as_str().unwrap_or_default();
        let last = records
            .iter()
            .rposition(|(_, record)| record.identity == identity);
        let Some(last) = last else {
            return match before {
                Some(before) => self.compare(key, Some(&before), Some(row), wrong),
                None => wrong.push(format!("{key}: a record of another key: {identity:?}")),
            };
        };
        let before = before.unwrap_or_default();
        let (earlier, last) = (&records[..last], records[last].1);
        for field in shape.fields() {
            let is = |cell: &Cell| self.is_as(field, row, cell.text());
            let right = match last.cells.get(field) {
                Some(cell) => is(cell),
                None => {
                    let before = before.get(field).map_or("", String::as_str);
                    let mut earlier = earlier.iter();
                    let cell = |record: &Record| record.cells.get(field).is_some_and(is);
                    self.is_as(field, row, before) || earlier.any(|(_, record)| cell(record))
                }
            };
            if !right {
                wrong.push(format!("{key}: {field} is {:.60} of no record", row[field]));
            }
        }
    }

    /// What the org holds before a stream, of a record that updates are for.
    fn before(&self, row: Option<&Value>) -> Option<Row> {
        let shape = self.plan.streams[self.stream].shape;
        if self.operation() != Operation::Update {
            return None;
        }
        let mut before = Row::new();
        for field in shape.required {
            before.insert(field, "Before".to_owned());
        }
        // Which of the records it is only the org knows, as long as nothing was applied.
        let identity = row.and_then(|row| row[shape.identity].as_str());
        let identity = identity.filter(|identity| identity.starts_with("before-"));
        before.insert(shape.identity, identity.unwrap_or("before").to_owned());
        Some(before)
    }

    fn compare(
        &self,
        key: &str,
        expected: Option<&Row>,
        row: Option<&Value>,
        wrong: &mut Vec<String>,
    ) {
        let (expected, row) = match (expected, row) {
            (None, None) => return,
            (Some(expected), Some(row)) => (expected, row),
            (expected, row) => {
                let (wanted, there) = (expected.is_some(), row.is_some());
                wrong.push(format!("{key}: wanted {wanted}, there {there}"));
                return;
            }
        };
        for field in self.plan.streams[self.stream].shape.fields() {
            let wanted = expected.get(field).map_or("", String::as_str);
            if !self.is_as(field, row, wanted) {
                let held = row[field].as_str().unwrap_or_default();
                wrong.push(format!("{key}: {field} is {held:.60?}, not {wanted:.60?}"));
            }
        }
    }

    /// Whether a field holds what it is to hold.
    fn is_as(&self, field: &str, row: &Value, wanted: &str) -> bool {
        let held = row[field].as_str().unwrap_or_default();
        let typed = self.plan.streams[self.stream].shape.typed.iter();
        let mut flags = typed.filter(|(_, _, kind)| *kind == Kind::Flag);
        // A flag that nothing was said about has a value nevertheless.
        let unsaid = wanted.is_empty() && flags.any(|(name, ..)| *name == field);
        unsaid || is_same(held, wanted)
    }
}

fn apply(row: &mut Row, record: &Record) {
    for (field, cell) in &record.cells {
        match cell {
            Cell::Set(text) => {
                row.insert(field, text.clone());
            }
            // Flags cannot be cleared.
            Cell::Clear if *field == "Flag__c" => {}
            Cell::Clear => {
                row.remove(field);
            }
        }
    }
}

/// Numbers are the same whatever their zeros.
fn is_same(held: &str, wanted: &str) -> bool {
    let numbers = held.parse::<f64>().ok().zip(wanted.parse::<f64>().ok());
    held == wanted || numbers.is_some_and(|(held, wanted)| held.to_bits() == wanted.to_bits())
}

/// Each record of the org is one that came, or that was there before.
pub(super) fn holds_nothing_else(
    plan: &Plan,
    input: &Input,
    held: &BTreeMap<&'static str, Vec<Value>>,
    violations: &mut Vec<String>,
) {
    let mut known: BTreeSet<(&str, &str)> = BTreeSet::new();
    for (stream, planned) in input.streams.iter().zip(&plan.streams) {
        let good = stream.records.iter();
        let good = good.filter(|record| record.end != End::Rejected);
        known.extend(good.map(|record| (planned.shape.object, record.identity.as_str())));
    }
    for planned in &plan.streams {
        let shape = planned.shape;
        for row in &held[shape.object] {
            let identity = row[shape.identity].as_str().unwrap_or_default();
            if !identity.starts_with("before-") && !known.contains(&(shape.object, identity)) {
                violations.push(format!(
                    "{}: a record that nobody sent: {row}",
                    shape.object
                ));
                return;
            }
        }
    }
}
