//! Rejected records summed up by reason.

use std::collections::BTreeMap;

use arrow_salesforce::coerce::Stage;
use arrow_salesforce::load::RejectCount;
use comfy_table::{ColumnConstraint, Table};
use serde_json::json;

use super::Rejected;
use crate::watch::Page;
use crate::watch::numbers::count;

/// Most examples of a reason.
const EXAMPLES: usize = 3;
/// Pages of at least so many columns show codes and names of fields whole.
const WIDE: u16 = 100;
/// Most characters of a value that is shown.
const SHOWN: usize = 60;

/// Rejected records by stage, code and fields.
#[derive(Debug, Default)]
pub(crate) struct Reasons {
    counts: BTreeMap<(String, String, Vec<String>), Reason>,
    /// All records that were added.
    pub(crate) total: u64,
}

/// One reason.
#[derive(Debug, Default)]
struct Reason {
    count: u64,
    /// Of the first record.
    message: String,
    examples: Vec<String>,
}

/// A line of the table.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Line<'a> {
    pub(crate) stage: &'a str,
    pub(crate) code: &'a str,
    pub(crate) fields: &'a [String],
    pub(crate) count: u64,
    pub(crate) message: &'a str,
    /// What some of the records hold in the fields at fault.
    pub(crate) examples: &'a [String],
}

impl Reasons {
    /// Adds a record.
    pub(crate) fn add(&mut self, record: &Rejected) {
        self.total += 1;
        let key = (
            record.stage.clone(),
            record.code.clone(),
            record.fields.clone(),
        );
        let reason = self.counts.entry(key).or_default();
        if reason.count == 0 {
            reason.message.clone_from(&record.message);
        }
        reason.count += 1;
        if reason.examples.len() < EXAMPLES {
            let example = example(record);
            if !reason.examples.contains(&example) {
                reason.examples.push(example);
            }
        }
    }

    /// All reasons, the most frequent first.
    pub(crate) fn lines(&self) -> Vec<Line<'_>> {
        let lines = self
            .counts
            .iter()
            .map(|((stage, code, fields), reason)| Line {
                stage,
                code,
                fields,
                count: reason.count,
                message: &reason.message,
                examples: &reason.examples,
            });
        let mut lines: Vec<_> = lines.collect();
        lines.sort_by_key(|line| std::cmp::Reverse(line.count));
        lines
    }
}

impl Line<'_> {
    /// As a load counts it; its message may hold values, and is left out unless it is asked for.
    pub(crate) fn count(&self, message: bool) -> RejectCount {
        RejectCount {
            stage: match self.stage {
                "decode" => Stage::Decode,
                "coerce" => Stage::Coerce,
                _ => Stage::Salesforce,
            },
            code: self.code.to_owned(),
            fields: self.fields.to_vec(),
            count: self.count,
            message: message.then(|| self.message.to_owned()),
        }
    }

    /// One JSON object.
    pub(crate) fn json(&self) -> serde_json::Value {
        json!({
            "stage": self.stage,
            "code": self.code,
            "fields": self.fields,
            "count": self.count,
            "message": self.message,
            "examples": self.examples,
        })
    }
}

/// A table of the reasons.
pub(crate) fn table(reasons: &Reasons, page: Page) -> Table {
    let mut table = page.table(&["Stage", "Code", "Fields", "Rows", "Message", "Examples"]);
    let whole = [1, 2].into_iter().filter(|_| page.width >= WIDE);
    for column in whole {
        if let Some(column) = table.column_mut(column) {
            column.set_constraint(ColumnConstraint::ContentWidth);
        }
    }
    for line in reasons.lines() {
        table.add_row([
            line.stage.to_owned(),
            line.code.to_owned(),
            line.fields.join("\n"),
            count(line.count),
            line.message.to_owned(),
            line.examples.join("\n"),
        ]);
    }
    table
}

/// What the record holds in the fields at fault, or in its first columns where none is named.
fn example(record: &Rejected) -> String {
    if let Some(text) = &record.text {
        return shortened(text);
    }
    let at_fault = |name: &String| {
        let column = record
            .values
            .iter()
            .find(|(column, _)| column.eq_ignore_ascii_case(name));
        column.map(|(column, value)| shown(column, value.as_deref()))
    };
    let mut parts: Vec<String> = record.fields.iter().filter_map(at_fault).collect();
    if parts.is_empty() {
        let present = record.values.iter().filter(|(_, value)| value.is_some());
        let first = present.map(|(column, value)| shown(column, value.as_deref()));
        parts = first.take(2).collect();
    }
    parts.join(", ")
}

fn shown(column: &str, value: Option<&str>) -> String {
    match value {
        Some(value) => format!("{column}={}", shortened(value)),
        None => format!("{column} is empty"),
    }
}

/// On one line, and not too long for it.
fn shortened(text: &str) -> String {
    let mut shown: String = text.chars().take(SHOWN).map(printable).collect();
    if text.chars().nth(SHOWN).is_some() {
        shown.push('…');
    }
    shown
}

/// A value must not move the cursor or change colors.
fn printable(c: char) -> char {
    if c.is_control() { ' ' } else { c }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(code: &str, fields: &[&str], values: &[(&str, &str)]) -> Rejected {
        Rejected {
            id: "r".to_owned(),
            attempt: None,
            ordinal: None,
            stage: "coerce".to_owned(),
            code: code.to_owned(),
            message: format!("{code} of a record"),
            fields: fields.iter().map(|&field| field.to_owned()).collect(),
            values: values
                .iter()
                .map(|&(n, v)| (n.to_owned(), Some(v.to_owned())))
                .collect(),
            text: None,
        }
    }

    #[test]
    fn the_most_frequent_reason_comes_first_with_its_values() {
        let mut reasons = Reasons::default();
        reasons.add(&record("A", &["X"], &[("X", "1"), ("Y", "2")]));
        for value in ["p", "q", "q", "r", "s"] {
            reasons.add(&record("B", &["y"], &[("X", "1"), ("Y", value)]));
        }
        let lines = reasons.lines();
        assert_eq!((lines[0].code, lines[0].count), ("B", 5));
        assert_eq!(lines[0].examples, ["Y=p", "Y=q", "Y=r"]);
        assert_eq!(lines[1].examples, ["X=1"]);
        assert_eq!(reasons.total, 6);
    }

    #[test]
    fn examples_do_not_reach_the_terminal_raw() {
        let long = "\u{1b}[31m".to_owned() + &"x".repeat(100);
        let example = example(&record("A", &[], &[("X", &long)]));
        assert!(
            !example.contains('\u{1b}') && example.ends_with('…'),
            "{example}"
        );
    }
}
