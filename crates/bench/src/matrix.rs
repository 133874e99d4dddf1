//! Loaders by workload: who loses what.

use std::collections::{BTreeMap, BTreeSet};

use crate::result::{Outcome, Report};
use crate::task::task;

/// Faults of one result that are named.
const FAULTS: usize = 4;

/// A workload in an org of one profile, in all its sizes.
pub(crate) struct Row<'a> {
    pub(crate) name: String,
    /// What the workload is.
    pub(crate) about: &'a str,
    /// Its size, if there is but one.
    pub(crate) size: String,
    /// Results by loader, by size.
    pub(crate) cells: Vec<Vec<&'a Report>>,
}

/// The names of all loaders, in the order of their columns.
pub(crate) fn loaders(results: &[Report]) -> Vec<&str> {
    let names: BTreeSet<&str> = results
        .iter()
        .map(|result| result.loader.name.as_str())
        .collect();
    names.into_iter().collect()
}

/// The rows of all workloads that are there to show that a fault is survived, or of all others.
pub(crate) fn rows<'a>(results: &'a [Report], loaders: &[&str], faults: bool) -> Vec<Row<'a>> {
    let mut rows: BTreeMap<(usize, String), Vec<&Report>> = BTreeMap::new();
    for result in results
        .iter()
        .filter(|result| result.workload.fault == faults)
    {
        rows.entry(task(result).row()).or_default().push(result);
    }
    let row = |((_, name), mut of_row): ((usize, String), Vec<&'a Report>)| {
        of_row.sort_by_key(|result| task(result));
        let sizes: BTreeSet<String> = of_row.iter().map(|result| task(result).size()).collect();
        let one = (sizes.len() == 1).then(|| sizes.into_iter().next());
        let of_loader = |loader: &&str| {
            let results = of_row.iter().filter(|result| result.loader.name == *loader);
            results.copied().collect()
        };
        Row {
            name,
            about: of_row.first().map_or("", |result| &result.workload.about),
            size: one.flatten().unwrap_or_default(),
            cells: loaders.iter().map(of_loader).collect(),
        }
    };
    rows.into_iter().map(row).collect()
}

/// What became of a loader's runs of a row: the worst outcome, and what is to be said of it.
pub(crate) fn verdict(cell: &[&Report]) -> Option<(Outcome, Vec<String>)> {
    let bad: Vec<&&Report> = cell
        .iter()
        .filter(|result| result.outcome != Outcome::Passed)
        .collect();
    let worst = bad
        .iter()
        .map(|result| result.outcome)
        .max_by_key(|outcome| outcome.badness());
    let Some(worst) = worst else {
        let sizes = (cell.len() > 1).then(|| format!("{} sizes", cell.len()));
        return (!cell.is_empty()).then(|| (Outcome::Passed, sizes.into_iter().collect()));
    };
    let mut said = Vec::new();
    for result in &bad {
        let faults = faults(result);
        said.push(if cell.len() > 1 {
            let word = result.outcome.words().1;
            let faults = if faults.is_empty() {
                String::new()
            } else {
                format!(", {}", faults.join(", "))
            };
            format!("{}: {word}{faults}", task(result).size())
        } else {
            faults.join(", ")
        });
    }
    said.retain(|text| !text.is_empty());
    if bad.len() < cell.len() {
        said.push(format!("passed at {} other sizes", cell.len() - bad.len()));
    }
    Some((worst, said))
}

/// What is wrong with a result, in words; why, where nothing is counted.
fn faults(result: &Report) -> Vec<String> {
    let faults = result.judged.iter().flat_map(crate::result::Judged::faults);
    let mut words: Vec<String> = faults
        .map(|(what, count)| format!("{what} {}", grouped(count)))
        .collect();
    words.truncate(FAULTS);
    if words.is_empty() && result.outcome != Outcome::TimedOut {
        words.extend(result.reason.clone());
    }
    words
}

/// A count with a comma before each third digit.
pub(crate) fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_grouped() {
        let shown = [0, 12, 999, 1_000, 295_000, 30_000_000].map(grouped);
        assert_eq!(shown, ["0", "12", "999", "1,000", "295,000", "30,000,000"]);
    }
}
