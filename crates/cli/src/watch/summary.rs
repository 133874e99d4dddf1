//! The end of a load: what became of the rows, where they lie, and what to type next.

use std::fmt::Write as _;

use arrow_salesforce::LoadReport;
use arrow_salesforce::load::RejectCount;
use comfy_table::presets::{ASCII_HORIZONTAL_ONLY, UTF8_HORIZONTAL_ONLY};
use comfy_table::{CellAlignment, ContentArrangement, Table};
use serde::Serialize;

use super::numbers::{count, counted, time};
use super::screen;

/// Longest message in a table, in characters.
const MAX_MESSAGE: usize = 200;

/// Width of a table where there is no terminal, in columns.
const WIDTH: u16 = 120;

/// How a load ended whose rows all have their end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    /// All records are in Salesforce.
    Accepted,
    /// Some records were rejected.
    SomeRejected,
    /// The sample is loaded, and there may be more.
    Sampled,
    /// More records were rejected than `--max-rejected` allows.
    TooManyRejected,
    /// It was asked to stop.
    Interrupted,
}

/// The end of a load.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Finished<'a> {
    /// Id of the run.
    pub(crate) run: &'a str,
    pub(crate) outcome: Outcome,
    pub(crate) report: &'a LoadReport,
    /// Where rejected records lie, if there are any.
    pub(crate) rejects: Option<&'a str>,
    /// Where receipts lie, if there are any.
    pub(crate) receipts: Option<&'a str>,
    /// Commands to type next.
    pub(crate) next: &'a [String],
}

#[derive(Serialize)]
struct Line<'a> {
    event: &'static str,
    run: &'a str,
    status: Outcome,
    object: &'a str,
    read: u64,
    accepted: u64,
    merged: u64,
    rejected: u64,
    jobs: u64,
    batches: u64,
    api_calls: u64,
    seconds: f64,
    reasons: Vec<ReasonLine<'a>>,
    rejects: Option<&'a str>,
    receipts: Option<&'a str>,
    next: &'a [String],
}

#[derive(Serialize)]
struct ReasonLine<'a> {
    stage: &'static str,
    code: &'a str,
    fields: &'a [String],
    count: u64,
    message: Option<&'a str>,
}

impl Finished<'_> {
    /// One JSON object.
    pub(super) fn json(&self) -> serde_json::Result<String> {
        let report = self.report;
        let reasons = report.rejects.iter().map(|reason| ReasonLine {
            stage: reason.stage.as_str(),
            code: &reason.code,
            fields: &reason.fields,
            count: reason.count,
            message: reason.message.as_deref(),
        });
        serde_json::to_string(&Line {
            event: "finished",
            run: self.run,
            status: self.outcome,
            object: &report.object,
            read: report.read,
            accepted: report.accepted,
            merged: report.merged,
            rejected: report.rejected,
            jobs: report.jobs,
            batches: report.batches,
            api_calls: report.api_calls,
            seconds: report.elapsed.as_secs_f64(),
            reasons: reasons.collect(),
            rejects: self.rejects,
            receipts: self.receipts,
            next: self.next,
        })
    }

    /// Lines for a person.
    pub(super) fn text(&self) -> String {
        let mut text = self.counts();
        if !self.report.rejects.is_empty() {
            let _ = write!(text, "\n{}\n", reasons(&self.report.rejects));
        }
        let places = [("Rejected records", self.rejects), ("Receipts", self.receipts)];
        for (what, place) in places {
            if let Some(place) = place {
                let _ = writeln!(text, "{what}: {place}");
            }
        }
        for (index, command) in self.next.iter().enumerate() {
            let _ = writeln!(text, "{}{command}", if index == 0 { "Next: " } else { "      " });
        }
        text
    }

    fn counts(&self) -> String {
        let report = self.report;
        let mut text = format!("{}: {} read", report.object, count(report.read));
        let _ = write!(text, ", {} accepted", count(report.accepted));
        if report.merged > 0 {
            let _ = write!(text, ", {} merged into later rows of their key", count(report.merged));
        }
        let _ = writeln!(
            text,
            ", {} rejected; {}, {}, {}",
            count(report.rejected),
            counted(report.jobs, "job"),
            counted(report.api_calls, "API call"),
            time(report.elapsed)
        );
        let said = match self.outcome {
            Outcome::Accepted | Outcome::SomeRejected => None,
            Outcome::Sampled => Some("The sample is loaded; there may be more rows."),
            Outcome::TooManyRejected => Some("Stopped: more rows are rejected than --max-rejected allows."),
            Outcome::Interrupted => Some("Stopped before the end, as asked."),
        };
        if let Some(said) = said {
            text.push_str(said);
            text.push('\n');
        }
        text
    }
}

/// A table of the reasons, as wide as the terminal.
pub(crate) fn reasons(rejects: &[RejectCount]) -> Table {
    let mut table = table(&["Stage", "Code", "Fields", "Rows", "Message"]);
    if let Some(rows) = table.column_mut(3) {
        rows.set_cell_alignment(CellAlignment::Right);
    }
    for reject in rejects {
        let message = reject.message.as_deref().unwrap_or_default();
        table.add_row([
            reject.stage.as_str().to_owned(),
            reject.code.clone(),
            reject.fields.join(", "),
            count(reject.count),
            short(message),
        ]);
    }
    table
}

/// A table that fits the terminal.
pub(crate) fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table
        .load_preset(match screen::is_unicode() {
            true => UTF8_HORIZONTAL_ONLY,
            false => ASCII_HORIZONTAL_ONLY,
        })
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(header.to_vec());
    table.set_width(screen::width().unwrap_or(WIDTH));
    table
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
