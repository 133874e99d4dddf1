//! `limits`.

use arrow_salesforce::bulk::{Limit, Limits};
use comfy_table::CellAlignment;
use serde_json::{Value, json};

use crate::cli::orgs::{Form, LimitsArgs};
use crate::credentials;
use crate::error::Result;
use crate::watch::listing::{csv, json_lines};
use crate::watch::numbers::count;
use crate::watch::{Page, show};

/// Limits that loads and queries meet: Salesforce's name, and a person's.
const MET: [(&str, &str); 6] = [
    ("DailyApiRequests", "API calls"),
    ("DailyBulkApiBatches", "batches of bulk loads"),
    ("DailyBulkV2QueryJobs", "query jobs"),
    ("DailyBulkV2QueryFileStorageMB", "MB of query results"),
    ("DataStorageMB", "MB of records"),
    ("FileStorageMB", "MB of files"),
];

const NAMES: [&str; 6] = ["name", "label", "max", "used", "left", "returns"];

/// One limit, as it is shown.
struct Shown {
    name: String,
    label: Option<&'static str>,
    limit: Limit,
}

/// Shows what is left of an org's limits.
///
/// # Errors
/// Any of a login's, and of a call's.
pub(crate) async fn limits(args: LimitsArgs) -> Result<()> {
    let client = credentials::client(&args.org).await?;
    let limits = client.limits().await;
    let limits = limits.map_err(arrow_salesforce::Error::from)?;
    let shown = shown(&limits, args.all);
    match args.format {
        Form::Json => json_lines(&NAMES, shown.iter().map(Shown::values)),
        Form::Csv => csv(&NAMES, shown.iter().map(Shown::values)),
        Form::Table => table(&shown),
    }
    Ok(())
}

/// Those that are met first, then the others if all are wanted.
fn shown(limits: &Limits, all: bool) -> Vec<Shown> {
    let met = MET.iter().filter_map(|(name, label)| {
        Some(Shown {
            name: (*name).to_owned(),
            label: Some(label),
            limit: limits.get(name)?,
        })
    });
    let others = limits.iter().filter(|(name, _)| {
        let is_met = MET.iter().any(|(met, _)| met == name);
        all && !is_met
    });
    let others = others.map(|(name, limit)| Shown {
        name: name.to_owned(),
        label: None,
        limit,
    });
    met.chain(others).collect()
}

fn table(shown: &[Shown]) {
    let titles = ["Limit", "Used", "Left", "Of", "Comes back"];
    let mut table = Page::of_stdout().table(&titles);
    for column in [1, 2, 3] {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    for one in shown {
        let name = match one.label {
            Some(label) => format!("{label} ({})", one.name),
            None => one.name.clone(),
        };
        table.add_row([
            name,
            signed(one.used()),
            signed(one.limit.remaining),
            signed(one.limit.max),
            one.returns().to_owned(),
        ]);
    }
    show(&table.to_string());
}

impl Shown {
    fn used(&self) -> i64 {
        self.limit.max.saturating_sub(self.limit.remaining)
    }

    /// When what is used can be used again.
    fn returns(&self) -> &'static str {
        let begins = |word: &str| self.name.starts_with(word);
        match () {
            () if begins("Daily") => "24 hours after each use",
            () if begins("Hourly") => "an hour after each use",
            () if begins("Monthly") => "with the next month",
            () if self.name.ends_with("StorageMB") => "as records or files are deleted",
            () => "",
        }
    }

    fn values(&self) -> Vec<Value> {
        let Limit { max, remaining } = self.limit;
        vec![
            json!(self.name),
            json!(self.label),
            json!(max),
            json!(self.used()),
            json!(remaining),
            json!(self.returns()),
        ]
    }
}

/// A number that may be below zero: an org can use more than it has.
fn signed(number: i64) -> String {
    let sign = if number < 0 { "-" } else { "" };
    format!("{sign}{}", count(number.unsigned_abs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_that_are_met_come_first() {
        let limits: Limits = serde_json::from_str(
            r#"{"AnalyticsExternalDataSizeMB":{"Max":40960,"Remaining":40960},
                "DailyApiRequests":{"Max":15000,"Remaining":14998},
                "DailyBulkApiBatches":{"Max":15000,"Remaining":-1},
                "DataStorageMB":{"Max":5,"Remaining":3}}"#,
        )
        .unwrap();
        let names = |all| {
            let shown = shown(&limits, all);
            let lines = shown.iter().map(|one| {
                let (used, left) = (signed(one.used()), signed(one.limit.remaining));
                format!("{} {used} {left} {}", one.name, one.returns())
            });
            lines.collect::<Vec<_>>().join("\n")
        };
        insta::assert_snapshot!(names(true), @"
        DailyApiRequests 2 14,998 24 hours after each use
        DailyBulkApiBatches 15,001 -1 24 hours after each use
        DataStorageMB 2 3 as records or files are deleted
        AnalyticsExternalDataSizeMB 0 40,960
        ");
        assert_eq!(names(false).lines().count(), 3);
    }
}
