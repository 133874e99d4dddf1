//! What a comparison has found, for a person or a program.

use std::fmt::Write as _;
use std::path::Path;

use comfy_table::CellAlignment;
use serde::Serialize;

use super::differences::Difference;
use super::differences::Kind;
use super::findings::{FieldFound, Found};
use crate::run::RunRecord;
use crate::watch::numbers::{count, counted};
use crate::watch::{Page, print, show};

/// Longest value that is shown, in characters.
const MAX_VALUE: usize = 40;

/// The end of a comparison.
#[derive(Debug)]
pub(super) struct Report {
    run: String,
    object: String,
    found: Found,
    /// The file of the differences.
    differences: String,
}

#[derive(Serialize)]
struct Line<'a> {
    r#type: &'static str,
    run: &'a str,
    object: &'a str,
    records: u64,
    equal: u64,
    different: u64,
    gone: u64,
    still_there: u64,
    not_compared: u64,
    fields: &'a [FieldFound],
    differences: &'a str,
}

impl Report {
    /// What was found of a run; the file of the differences is at this path.
    pub(super) fn new(record: &RunRecord, found: Found, differences: &Path) -> Self {
        Self {
            run: record.id.clone(),
            object: record.spec.object.clone(),
            found,
            differences: differences.display().to_string(),
        }
    }

    /// Whether each record is as it was sent.
    pub(super) fn is_equal(&self) -> bool {
        self.found.equal == self.found.records
    }

    /// Prints it.
    pub(super) fn show(&self, json: bool) {
        if json {
            print(&self.line());
        } else {
            show(self.text(Page::of_stdout()).trim_end());
        }
    }

    /// One JSON object.
    pub(super) fn line(&self) -> impl Serialize + '_ {
        let found = &self.found;
        Line {
            r#type: "verified",
            run: &self.run,
            object: &self.object,
            records: found.records,
            equal: found.equal,
            different: found.different,
            gone: found.gone,
            still_there: found.still_there,
            not_compared: found.not_compared,
            fields: &found.fields,
            differences: &self.differences,
        }
    }

    /// Lines for a person.
    pub(super) fn text(&self, page: Page) -> String {
        let found = &self.found;
        let mut text = format!(
            "{}: {}, {} as sent",
            self.object,
            counted(found.records, "record"),
            count(found.equal)
        );
        let kinds = [
            (found.different, "with other values"),
            (found.gone, "gone"),
            (found.still_there, "still there, though deleted"),
            (
                found.not_compared,
                "not compared, since the Id is not known",
            ),
        ];
        for (number, what) in kinds.into_iter().filter(|(number, _)| *number > 0) {
            let _ = write!(text, ", {} {what}", count(number));
        }
        text.push('\n');
        if !found.fields.is_empty() {
            let _ = writeln!(text, "\n{}", self.fields(page));
        }
        if !found.first.is_empty() {
            let _ = writeln!(text, "\n{}\n", self.first(page));
        }
        if !self.is_equal() {
            let _ = writeln!(text, "Differences: {}", self.differences);
        }
        let _ = writeln!(text, "Run: {}", self.run);
        text
    }

    fn fields(&self, page: Page) -> String {
        let mut table = page.table(&["Field", "Differences", "By the org itself"]);
        for column in [1, 2] {
            if let Some(column) = table.column_mut(column) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        for field in &self.found.fields {
            table.add_row([
                field.field.clone(),
                count(field.differences),
                count(field.by_org),
            ]);
        }
        table.trim_fmt()
    }

    fn first(&self, page: Page) -> String {
        let keyed = self.found.first.iter().any(|first| !first.key.is_empty());
        let mut titles = vec!["Id"];
        titles.extend(keyed.then_some("Key"));
        titles.extend(["What", "Sent", "Now"]);
        let mut table = page.table(&titles);
        for first in &self.found.first {
            let mut row = vec![first.id.clone()];
            row.extend(keyed.then(|| short(&first.key)));
            row.extend([what(first), short(&first.sent), short(&first.now)]);
            table.add_row(row);
        }
        table.trim_fmt()
    }
}

/// The field that differs, or what became of the record.
fn what(difference: &Difference) -> String {
    match difference.kind {
        Kind::Changed => difference.field.clone(),
        Kind::ByOrg => format!("{} (by the org)", difference.field),
        Kind::Gone => "gone".to_owned(),
        Kind::StillThere => "still there".to_owned(),
        Kind::NotCompared => "not compared".to_owned(),
    }
}

/// A value on one line, cut where it is long.
fn short(value: &str) -> String {
    let value = value.split_whitespace().collect::<Vec<_>>().join(" ");
    match value.char_indices().nth(MAX_VALUE) {
        Some((end, _)) => format!("{}...", &value[..end]),
        None => value,
    }
}
