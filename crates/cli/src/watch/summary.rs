//! The end of a load: what became of the rows, where they lie, and what to type next.

use std::fmt::Write as _;
use std::time::Duration;

use arrow_salesforce::load::RejectCount;
use comfy_table::CellAlignment;
use serde::Serialize;

use super::numbers::{count, counted, time};
use super::table::Page;
use crate::run::{RunCounts, RunState};

/// Longest message in a table, in characters.
const MAX_MESSAGE: usize = 200;

/// Narrower pages, in columns, have no room for a table.
const NARROW: u16 = 80;

/// How an attempt of a run ended.
#[derive(Debug, Clone)]
pub(crate) struct Outcome {
    /// Id of the run.
    pub(crate) run: String,
    pub(crate) object: String,
    pub(crate) state: RunState,
    /// Of all attempts.
    pub(crate) counts: RunCounts,
    /// Of this attempt.
    pub(crate) elapsed: Duration,
    /// Why records were rejected, most frequent first.
    pub(crate) reasons: Vec<RejectCount>,
    /// Where rejected records lie, if there are any.
    pub(crate) rejects: Option<String>,
    /// Where receipts lie, if there are any.
    pub(crate) receipts: Option<String>,
    /// Commands to type next.
    pub(crate) next: Vec<String>,
    /// Why it ended early.
    pub(crate) error: Option<String>,
}

#[derive(Serialize)]
struct Line<'a> {
    r#type: &'static str,
    run: &'a str,
    object: &'a str,
    state: RunState,
    #[serde(flatten)]
    counts: &'a RunCounts,
    seconds: f64,
    reasons: Vec<Reason<'a>>,
    rejects: Option<&'a str>,
    receipts: Option<&'a str>,
    next: &'a [String],
    error: Option<&'a str>,
}

/// A reason, as `--json` prints it.
#[derive(Serialize)]
pub(crate) struct Reason<'a> {
    stage: &'static str,
    code: &'a str,
    fields: &'a [String],
    count: u64,
    message: Option<&'a str>,
}

impl<'a> From<&'a RejectCount> for Reason<'a> {
    fn from(reject: &'a RejectCount) -> Self {
        Self {
            stage: reject.stage.as_str(),
            code: &reject.code,
            fields: &reject.fields,
            count: reject.count,
            message: reject.message.as_deref(),
        }
    }
}

impl Outcome {
    /// One JSON object.
    pub(super) fn json(&self) -> impl Serialize + '_ {
        Line {
            r#type: "finished",
            run: &self.run,
            object: &self.object,
            state: self.state,
            counts: &self.counts,
            seconds: self.elapsed.as_secs_f64(),
            reasons: self.reasons.iter().map(Reason::from).collect(),
            rejects: self.rejects.as_deref(),
            receipts: self.receipts.as_deref(),
            next: &self.next,
            error: self.error.as_deref(),
        }
    }

    /// Lines for a person.
    pub(super) fn text(&self, page: Page) -> String {
        let counts = &self.counts;
        let mut text = format!(
            "{}: {} read, {} accepted, {} rejected; {}, {}, {}\n",
            self.object,
            count(counts.read),
            count(counts.accepted),
            count(counts.rejected),
            counted(counts.jobs, "job"),
            counted(counts.api_calls, "API call"),
            time(self.elapsed)
        );
        if !self.reasons.is_empty() {
            let _ = writeln!(text, "\n{}\n", reasons(&self.reasons, page));
        }
        let places = [
            ("Rejected records", &self.rejects),
            ("Receipts", &self.receipts),
        ];
        for (what, place) in places {
            if let Some(place) = place {
                let _ = writeln!(text, "{what}: {place}");
            }
        }
        let _ = writeln!(text, "Run: {}", self.run);
        for (index, command) in self.next.iter().enumerate() {
            let before = if index == 0 { "Next: " } else { "      " };
            let _ = writeln!(text, "{before}{command}");
        }
        text
    }
}

/// Reasons as a table, or as lines where a table has no room; with messages where they are kept.
pub(crate) fn reasons(rejects: &[RejectCount], page: Page) -> String {
    if page.width < NARROW {
        let lines = rejects.iter().map(ToString::to_string);
        return lines.collect::<Vec<_>>().join("\n");
    }
    let mut titles = vec!["Stage", "Code", "Fields", "Rows"];
    let messages = rejects.iter().any(|reject| reject.message.is_some());
    titles.extend(messages.then_some("For example"));
    let mut table = page.table(&titles);
    if let Some(rows) = table.column_mut(3) {
        rows.set_cell_alignment(CellAlignment::Right);
    }
    for reject in rejects {
        let mut row = vec![
            reject.stage.as_str().to_owned(),
            reject.code.clone(),
            reject.fields.join(", "),
            count(reject.count),
        ];
        row.extend(reject.message.as_deref().map(short));
        table.add_row(row);
    }
    table.to_string()
}

/// A message on one line, cut where it is long.
fn short(message: &str) -> String {
    let message = message.split_whitespace().collect::<Vec<_>>().join(" ");
    match message.char_indices().nth(MAX_MESSAGE) {
        Some((end, _)) => format!("{}...", &message[..end]),
        None => message,
    }
}

#[cfg(test)]
mod tests;
