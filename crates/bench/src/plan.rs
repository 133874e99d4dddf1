//! The input of a workload as a pure function: which record comes as which line, and what must
//! become of it.

use crate::columns::{Column, Draw, Kind, digits, scaled};
use crate::workload::Workload;

/// Lines between a record and the version of it that comes soon after.
const NEAR: u64 = 50;

/// What is drawn of a record, apart from its values.
const FATE: u64 = 1;
const VALUES: u64 = 2;

/// What must become of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Its last version is in the org.
    Held,
    /// It is named as rejected, and not in the org.
    Rejected,
}

/// A line of the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) key: u64,
    /// From 1.
    pub(crate) version: u32,
}

/// A workload of one size and seed.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) workload: Workload,
    pub(crate) scale: u64,
    pub(crate) seed: u64,
    /// Columns besides the key.
    pub(crate) columns: Vec<Column>,
    pub(crate) streams: u64,
    /// Share of bad records.
    pub(crate) bad_share: f64,
}

/// What is drawn of a record.
#[derive(Debug, Clone, Copy)]
struct Drawn {
    bad: bool,
    near: bool,
    far: bool,
    differs: bool,
}

impl Plan {
    pub(crate) fn new(workload: Workload, scale: u64, seed: u64) -> Self {
        Self {
            workload,
            scale,
            seed,
            columns: workload.columns(scale),
            streams: workload.streams(),
            bad_share: workload.bad(),
        }
    }

    fn drawn(&self, key: u64) -> Drawn {
        let mut draw = Draw::new(self.seed, key, FATE);
        let bad = draw.share() < self.bad_share;
        let (near, far) = self.workload.again();
        let again = draw.share();
        let differs = self.workload.differing();
        let differs = differs.is_some_and(|share| draw.share() < share);
        Drawn {
            bad,
            near: !bad && again < near,
            far: !bad && (near..near + far).contains(&again),
            differs,
        }
    }

    /// Workload and size, and what is not as usual, as the name of a folder.
    pub(crate) fn name(&self) -> String {
        let usual = Self::new(self.workload, self.scale, self.seed);
        let mut name = format!("{}-{}", self.workload.name(), self.scale);
        if self.streams != usual.streams {
            name.push_str(&format!("-{}streams", self.streams));
        }
        if self.columns.len() != usual.columns.len() {
            name.push_str(&format!("-{}columns", self.columns.len() + 1));
        }
        if (self.bad_share - usual.bad_share).abs() > f64::EPSILON {
            name.push_str(&format!("-{}bad", self.bad_share));
        }
        name
    }

    /// What must become of a record.
    pub(crate) fn fate(&self, key: u64) -> Fate {
        if self.drawn(key).bad {
            Fate::Rejected
        } else {
            Fate::Held
        }
    }

    /// The version of a record that must be in the org at the end.
    pub(crate) fn last_version(&self, key: u64) -> u32 {
        let Drawn {
            near, far, differs, ..
        } = self.drawn(key);
        if near || far || differs { 2 } else { 1 }
    }

    /// All lines in their order. Late lines come behind the other half of the records.
    pub(crate) fn lines(&self) -> impl Iterator<Item = Line> + '_ {
        let (near, far) = (NEAR.min(self.scale), self.scale / 2);
        (0..self.scale + near.max(far)).flat_map(move |at| {
            let first = (at < self.scale).then(|| {
                let differs = self.drawn(at).differs;
                Line {
                    key: at,
                    version: if differs { 2 } else { 1 },
                }
            });
            let again = |distance: u64, comes: fn(&Drawn) -> bool| {
                let key = at.checked_sub(distance).filter(|key| *key < self.scale)?;
                comes(&self.drawn(key)).then_some(Line { key, version: 2 })
            };
            let soon = again(near, |drawn| drawn.near);
            let late = again(far, |drawn| drawn.far);
            [first, soon, late].into_iter().flatten()
        })
    }

    /// The stream of a record.
    pub(crate) fn stream(&self, key: u64) -> u64 {
        key % self.streams
    }

    pub(crate) fn stream_name(&self, stream: u64) -> String {
        if self.streams == 1 {
            "records".to_owned()
        } else {
            format!("records_{stream:03}")
        }
    }

    /// The value of the key column.
    pub(crate) fn write_key(&self, key: u64, out: &mut String) {
        out.push_str("R-");
        digits(out, key, 10);
    }

    /// The record of a value of the key column, if it is one of this plan.
    pub(crate) fn key_of(&self, value: &str) -> Option<u64> {
        let key = value.strip_prefix("R-")?.parse().ok()?;
        (key < self.scale).then_some(key)
    }

    /// Writes the values of a line, the key first. An empty value is null.
    pub(crate) fn values(&self, line: Line, values: &mut Vec<String>) {
        values.resize_with(self.columns.len() + 1, String::new);
        values.iter_mut().for_each(String::clear);
        self.write_key(line.key, &mut values[0]);
        let mut draw = Draw::new(self.seed, line.key, VALUES);
        for (column, value) in self.columns.iter().zip(&mut values[1..]) {
            column.write(&mut draw, line.version, value);
        }
        if self.drawn(line.key).bad {
            let flaw = draw.below(u64::MAX);
            self.spoil(flaw, &mut values[1..]);
        }
    }

    /// Makes a record one that cannot be in the org.
    fn spoil(&self, flaw: u64, values: &mut [String]) {
        let at = |name: &str| self.columns.iter().position(|column| column.name == name);
        let (email, date) = (at("Email"), at("Birthdate"));
        let last_name = at("LastName").unwrap_or_default();
        match (flaw % 4, email, date) {
            (0, Some(email), _) => "nobody.example.com".clone_into(&mut values[email]),
            (1, _, Some(date)) => "2023-02-30".clone_into(&mut values[date]),
            (2, ..) => values[last_name] = "x".repeat(81),
            _ => values[last_name].clear(),
        }
    }

    /// Records that must be rejected, counted.
    pub(crate) fn bad(&self) -> u64 {
        if self.bad_share == 0.0 {
            return 0;
        }
        let bad = (0..self.scale).filter(|key| self.fate(*key) == Fate::Rejected);
        bad.count() as u64
    }

    /// Records between two states of a stream.
    pub(crate) fn states_every(&self) -> u64 {
        let of_stream = self.scale / self.streams;
        scaled(of_stream, 0.1).clamp(10, 100_000)
    }
}

/// Whether the org's value is the one expected, in canonical form: empty is null, numbers by their
/// value, booleans in any letter case.
pub(crate) fn is_same(kind: Kind, held: &str, expected: &str) -> bool {
    if held == expected {
        return true;
    }
    match kind {
        Kind::Number => match (held.parse::<f64>(), expected.parse::<f64>()) {
            (Ok(held), Ok(expected)) => (held - expected).abs() < 1e-9,
            _ => false,
        },
        // A box that was never ticked is false.
        Kind::Boolean if held.is_empty() => expected == "false",
        Kind::Boolean => held.eq_ignore_ascii_case(expected),
        Kind::Text | Kind::Date | Kind::Parent => false,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn the_last_line_of_a_key_has_its_last_version() {
        for workload in [
            Workload::Versions,
            Workload::Bad1,
            Workload::Updates,
            Workload::Streams,
        ] {
            let plan = Plan::new(workload, 4_000, 7);
            let mut last = HashMap::new();
            let mut lines = 0;
            for line in plan.lines() {
                let before = last.insert(line.key, line.version);
                assert!(before.is_none_or(|before| before < line.version));
                lines += 1;
            }
            assert_eq!(last.len(), 4_000);
            for (key, version) in last {
                assert_eq!(plan.last_version(key), version);
            }
            assert_eq!(lines > 4_000, workload.again().0 > 0.0);
        }
    }

    #[test]
    fn late_lines_come_half_of_the_input_later() {
        let plan = Plan::new(Workload::Versions, 2_000, 1);
        let lines: Vec<Line> = plan.lines().collect();
        let distance = |line: &Line| {
            let at = |wanted: Line| lines.iter().position(|line| *line == wanted).unwrap();
            at(*line)
                - at(Line {
                    version: 1,
                    ..*line
                })
        };
        let again: Vec<usize> = lines
            .iter()
            .filter(|line| line.version == 2)
            .map(distance)
            .collect();
        assert!(again.iter().any(|distance| *distance < 100), "{again:?}");
        assert!(again.iter().any(|distance| *distance > 900), "{again:?}");
    }

    #[test]
    fn the_same_seed_makes_the_same_values() {
        let (plan, other) = (
            Plan::new(Workload::Bad1, 500, 3),
            Plan::new(Workload::Bad1, 500, 4),
        );
        let (mut one, mut two, mut three) = (Vec::new(), Vec::new(), Vec::new());
        let line = Line {
            key: 17,
            version: 1,
        };
        plan.values(line, &mut one);
        plan.values(line, &mut two);
        other.values(line, &mut three);
        assert_eq!(one, two);
        assert_ne!(one, three);
        assert_eq!(plan.key_of(&one[0]), Some(17));
        assert_eq!(plan.key_of("R-0000000500"), None);
    }

    #[test]
    fn shares_are_kept() {
        assert_eq!(Plan::new(Workload::Bad100, 300, 1).bad(), 300);
        let bad = Plan::new(Workload::Bad1, 50_000, 1).bad();
        assert!((400..600).contains(&bad), "{bad}");
    }

    #[test]
    fn values_are_compared_by_what_they_mean() {
        assert!(is_same(Kind::Number, "1.5", "1.50"));
        assert!(is_same(Kind::Boolean, "True", "true"));
        assert!(is_same(Kind::Boolean, "", "false") && !is_same(Kind::Boolean, "", "true"));
        assert!(!is_same(Kind::Text, "1.5", "1.50"));
        assert!(!is_same(Kind::Number, "", "0"));
    }
}
