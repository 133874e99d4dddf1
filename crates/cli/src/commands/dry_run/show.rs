//! A plan, for a person or a program.

use std::fmt::Write as _;
use std::io::{self, Write as _};

use arrow_salesforce::bulk::{Limit, Limits};
use arrow_salesforce::object::Field;
use serde_json::{Value, json};

use super::{Column, From, Plan};
use crate::commands::prepare::Prepared;
use crate::guard::place;
use crate::rejects::{Line, table};
use crate::watch::numbers::{count, counted};
use crate::watch::{Page, print};

/// Most characters of a value that is shown.
const SHOWN: usize = 30;

/// A field's type as a table shows it.
pub(super) fn kind(field: &Field) -> String {
    let kind = format!("{:?}", field.field_type).to_lowercase();
    match field.length {
        0 => kind,
        length => format!("{kind}({length})"),
    }
}

/// Shows it on stdout.
pub(super) fn show(plan: &Plan, prepared: &Prepared, limits: Option<&Limits>, json: bool) {
    if json {
        print(&as_json(plan, prepared, limits));
        return;
    }
    let text = as_text(plan, prepared, limits).unwrap_or_default();
    // Where stdout is closed nobody reads the result.
    let _ = io::stdout().write_all(text.as_bytes());
}

fn as_text(
    plan: &Plan,
    prepared: &Prepared,
    limits: Option<&Limits>,
) -> Result<String, std::fmt::Error> {
    let page = Page::of_stdout();
    let mut text = String::new();
    let mut columns = page.table(&["Column", "Field", "Type", "Value", "Written as", "Empty"]);
    for column in &plan.columns {
        columns.add_row(cells(column));
    }
    writeln!(text, "{columns}\n")?;
    let (refused, rows) = (plan.reasons.total, plan.rows);
    let object = &prepared.object.name;
    let host = place(&prepared.organization);
    let operation = prepared.spec.operation();
    let what = operation.as_str();
    writeln!(
        text,
        "dry run: {what} into {object} in {host}; nothing was written"
    )?;
    writeln!(
        text,
        "{} read, {} would be refused here",
        counted(rows, "row"),
        count(refused)
    )?;
    if refused > 0 {
        writeln!(text, "\n{}\n", table(&plan.reasons, page))?;
    }
    for column in plan.columns.iter().filter(|column| column.required) {
        if column.empty > 0 {
            let rows = counted(column.empty, "row");
            writeln!(
                text,
                "{} is required, and empty in {rows}: the org refuses that",
                column.field
            )?;
        }
    }
    if let Some(found) = plan.found {
        writeln!(
            text,
            "of the others {} would create a record, {} change one, {} are ambiguous (several records have their key)",
            count(found.creates),
            count(found.updates),
            count(found.ambiguous)
        )?;
    }
    let jobs = counted(plan.jobs, "job");
    let batches = match plan.batches {
        1 => "1 batch".to_owned(),
        batches => format!("{} batches", count(batches)),
    };
    let calls = counted(plan.api_calls(), "API call");
    writeln!(text, "it takes {jobs}, {batches} and about {calls}")?;
    let left =
        |limit: Option<Limit>| limit.map(|limit| count(limit.remaining.max(0).unsigned_abs()));
    if let Some(limits) = limits
        && let (Some(calls), Some(batches)) = (
            left(limits.daily_api_requests()),
            left(limits.daily_bulk_batches()),
        )
    {
        writeln!(
            text,
            "the org has {calls} API calls and {batches} batches left for these 24 hours"
        )?;
    }
    Ok(text)
}

fn cells(column: &Column) -> [String; 6] {
    let from = match &column.from {
        From::Column(name) => name.clone(),
        From::Constant => "(--set)".to_owned(),
    };
    let (value, written) = column.example.clone().unwrap_or_default();
    [
        from,
        column.field.clone(),
        column.kind.clone(),
        short(&value),
        short(&written),
        count(column.empty),
    ]
}

fn short(value: &str) -> String {
    let mut short: String = value.chars().take(SHOWN).collect();
    short = short.replace(char::is_control, " ");
    if value.chars().nth(SHOWN).is_some() {
        short.push_str("...");
    }
    short
}

fn as_json(plan: &Plan, prepared: &Prepared, limits: Option<&Limits>) -> Value {
    let columns = plan.columns.iter().map(|column| {
        let from = match &column.from {
            From::Column(name) => Some(name),
            From::Constant => None,
        };
        let (value, written) = column.example.clone().unzip();
        json!({
            "column": from, "field": column.field, "type": column.kind,
            "value": value, "written_as": written, "empty": column.empty, "required": column.required,
        })
    });
    let columns: Vec<Value> = columns.collect();
    let lines = plan.reasons.lines();
    let reasons: Vec<Value> = lines.iter().map(Line::json).collect();
    let left = |limit: Option<Limit>| limit.map(|limit| limit.remaining);
    json!({
        "type": "dry_run",
        "object": prepared.object.name,
        "operation": prepared.spec.operation().as_str(),
        "columns": columns,
        "rows": plan.rows,
        "refused": plan.reasons.total,
        "reasons": reasons,
        "creates": plan.found.map(|found| found.creates),
        "updates": plan.found.map(|found| found.updates),
        "ambiguous": plan.found.map(|found| found.ambiguous),
        "jobs": plan.jobs,
        "batches": plan.batches,
        "api_calls": plan.api_calls(),
        "api_calls_left": limits.and_then(|limits| left(limits.daily_api_requests())),
        "batches_left": limits.and_then(|limits| left(limits.daily_bulk_batches())),
    })
}
