//! Results as tables of Markdown, between two marks of a page.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use crate::error::{At, Error, Result};
use crate::plot::put;
use crate::result::{Outcome, Report};
use crate::task::{Task, task};

const BEGIN: &str = "<!-- results -->\n";
const END: &str = "<!-- end of results -->\n";

/// Puts the tables of `results` between the marks of a page, in place of what is there.
pub(crate) fn write(results: &[Report], page: &Path) -> Result<()> {
    let text = fs::read_to_string(page).at(page)?;
    let parts = text.split_once(BEGIN);
    let parts = parts.and_then(|(before, rest)| Some((before, rest.split_once(END)?.1)));
    let (before, after) = parts.ok_or_else(|| {
        let marks = format!("{} and {}", BEGIN.trim(), END.trim());
        Error::Input(format!(
            "{} has no place for results: {marks}",
            page.display()
        ))
    })?;
    let tables = tables(results);
    fs::write(page, format!("{before}{BEGIN}{tables}{END}{after}")).at(page)
}

fn tables(results: &[Report]) -> String {
    let tasks: BTreeSet<Task> = results.iter().map(task).collect();
    let mut out = String::new();
    for wanted in tasks {
        put!(out, "\n**{}**\n\n", wanted.title());
        out.push_str("| loader | outcome | wall s | CPU s | CPU s a million | peak MB | calls | jobs | batches | lock errors |\n");
        out.push_str("|---|---|---|---|---|---|---|---|---|---|\n");
        let mut shown: Vec<&Report> = results
            .iter()
            .filter(|result| task(result) == wanted)
            .collect();
        shown.sort_by_key(|result| {
            (
                result.outcome != Outcome::Passed,
                result.loader.name.clone(),
            )
        });
        for result in shown {
            row(&mut out, result);
        }
    }
    out.push('\n');
    out
}

#[allow(clippy::cast_precision_loss, reason = "figures for people")]
fn row(out: &mut String, result: &Report) {
    let faults = result.judged.iter().flat_map(crate::result::Judged::faults);
    let mut outcome = vec![result.outcome.words().1.to_owned()];
    outcome.extend(faults.map(|(what, count)| format!("{what}: {count}")));
    let version = result.loader.version.as_deref().unwrap_or_default();
    let name = format!("{} {version}", result.loader.name);
    put!(out, "| {} | {} |", name.trim(), outcome.join(", "));
    let Some(cost) = &result.cost else {
        out.push_str(" | | | | | | | |\n");
        return;
    };
    let million = cost.cpu_seconds * 1e6 / result.scale as f64;
    put!(
        out,
        " {:.1} | {:.2} | {million:.2} | {:.0} | {} | {} | {} | {} |\n",
        cost.wall_seconds,
        cost.cpu_seconds,
        cost.peak_memory_bytes as f64 / 1e6,
        cost.calls,
        cost.jobs,
        cost.batches,
        cost.lock_errors
    );
}
