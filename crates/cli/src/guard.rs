//! Asks before a load that deletes records, or changes many of those that are there.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

use arrow_salesforce::bulk::Organization;
use arrow_salesforce::{Operation, Org};

use crate::cli::OutputArgs;
use crate::error::{CliError, Result};
use crate::watch::numbers::{count, counted};

/// Percent of an object's records that may be changed without a question.
const SHARE: u64 = 10;

/// So many records may be changed without a question, whatever their share.
const FEW: u64 = 100;

/// What a load is about to do.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Guarded<'a> {
    pub(crate) operation: &'a Operation,
    pub(crate) object: &'a str,
    /// How many rows there are, if that is known.
    pub(crate) rows: Option<u64>,
    pub(crate) organization: &'a Organization,
}

/// Shows what a load will do and asks whether it may, unless it is harmless or `--yes` was typed.
///
/// # Errors
/// [`CliError::Usage`] where there is nobody to ask, [`CliError::Declined`] if the answer is no.
pub(crate) async fn ask(guarded: &Guarded<'_>, org: &Org, output: &OutputArgs) -> Result<()> {
    if output.yes || !guarded.may_matter() {
        return Ok(());
    }
    let existing = org.client().record_count(guarded.object).await;
    let existing = existing
        .inspect_err(|error| tracing::debug!(%error, "the records cannot be counted"))
        .ok();
    if !guarded.matters(existing) {
        return Ok(());
    }
    let what = guarded.what(existing);
    confirm(&what).await
}

/// Asks whether `what` may be done.
///
/// # Errors
/// As [`ask`].
pub(crate) async fn confirm(what: &str) -> Result<()> {
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Err(CliError::usage(format!(
            "{what}, and there is no terminal to ask on: --yes confirms it"
        )));
    }
    eprint!("{what}.\nGo on? [y/N] ");
    let _ = io::stderr().flush();
    let typed = tokio::task::spawn_blocking(|| {
        let mut answer = String::new();
        let read = io::stdin().lock().read_line(&mut answer);
        read.is_ok() && matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes")
    });
    let is_yes = tokio::select! {
        typed = typed => typed.unwrap_or(false),
        // The thread that reads is left behind: the process ends.
        _ = tokio::signal::ctrl_c() => {
            eprintln!();
            false
        }
    };
    if is_yes {
        return Ok(());
    }
    Err(CliError::Declined(
        "stopped, as answered; nothing was done".to_owned(),
    ))
}

impl Guarded<'_> {
    fn deletes(&self) -> bool {
        matches!(self.operation, Operation::Delete | Operation::HardDelete)
    }

    /// Whether it is worth a look at how many records there are.
    fn may_matter(&self) -> bool {
        let many = self.rows.is_none_or(|rows| rows > FEW);
        self.deletes() || (*self.operation != Operation::Insert && many)
    }

    /// Whether to ask, where so many records are there.
    fn matters(&self, existing: Option<u64>) -> bool {
        let changed = self.changed(existing);
        let share = match (changed, existing) {
            (Some(changed), Some(existing)) => changed * 100 > existing * SHARE,
            _ => true,
        };
        self.deletes() || (share && changed.is_none_or(|changed| changed > FEW))
    }

    /// Most records that it can change, if that is known.
    fn changed(&self, existing: Option<u64>) -> Option<u64> {
        match (self.rows, existing) {
            (Some(rows), Some(existing)) => Some(rows.min(existing)),
            (known, None) | (None, known) => known,
        }
    }

    /// What will be done, as half a sentence.
    fn what(&self, existing: Option<u64>) -> String {
        let verb = match self.operation {
            Operation::Delete => "delete",
            Operation::HardDelete => "delete for good, past the recycle bin,",
            _ => "change",
        };
        let changed = match self.changed(existing) {
            Some(changed) => format!("up to {}", count(changed)),
            None => "an unknown number".to_owned(),
        };
        let of = match existing {
            Some(existing) => format!(" of {}", counted(existing, "record")),
            None => " of the records".to_owned(),
        };
        let object = self.object;
        let lasting = match self.deletes() {
            true => ", which `undo` cannot take back",
            false => "",
        };
        format!(
            "this will {verb} {changed}{of} of {object} in {}{lasting}",
            place(self.organization)
        )
    }
}

/// `the production org acme.my.salesforce.com`.
pub(crate) fn place(organization: &Organization) -> String {
    let Organization {
        host,
        is_sandbox,
        edition,
    } = organization;
    match (is_sandbox, edition.as_deref()) {
        (Some(true), _) => format!("the sandbox {host}"),
        (_, Some("Developer Edition")) => format!("the Developer Edition org {host}"),
        (Some(false), _) => format!("the production org {host}"),
        (None, _) => format!("the org {host}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn organization() -> Organization {
        Organization {
            host: "acme.my.salesforce.com".to_owned(),
            is_sandbox: Some(false),
            edition: Some("Enterprise Edition".to_owned()),
        }
    }

    fn asks(operation: &Operation, rows: Option<u64>, existing: Option<u64>) -> bool {
        let organization = organization();
        let guarded = Guarded {
            operation,
            object: "Contact",
            rows,
            organization: &organization,
        };
        guarded.may_matter() && guarded.matters(existing)
    }

    #[test]
    fn deletes_always_ask_and_inserts_never() {
        assert!(asks(&Operation::Delete, Some(1), Some(1_000_000)));
        assert!(asks(&Operation::HardDelete, Some(1), None));
        assert!(!asks(&Operation::Insert, Some(1_000_000), Some(1_000_000)));
    }

    #[test]
    fn changes_ask_beyond_a_share() {
        for (rows, existing, expected) in [
            (Some(100), Some(100), false),
            (Some(101), Some(101), true),
            (Some(1_000), Some(10_000), false),
            (Some(1_001), Some(10_000), true),
            (Some(1_000_000), Some(0), false),
            (Some(1_000_000), Some(100), false),
            (None, Some(100), false),
            (None, Some(101), true),
            (Some(101), None, true),
            (None, None, true),
        ] {
            let asks = asks(&Operation::Update, rows, existing);
            assert_eq!(asks, expected, "{rows:?} of {existing:?}");
        }
    }

    #[test]
    fn what_will_be_done_is_said() {
        let organization = organization();
        let what = |operation: Operation, rows, existing| {
            let guarded = Guarded {
                operation: &operation,
                object: "Contact",
                rows,
                organization: &organization,
            };
            guarded.what(existing)
        };
        insta::assert_snapshot!(what(Operation::Delete, Some(1_200), Some(45_000)), @"this will delete up to 1,200 of 45,000 records of Contact in the production org acme.my.salesforce.com, which `undo` cannot take back");
        insta::assert_snapshot!(what(Operation::HardDelete, None, None), @"this will delete for good, past the recycle bin, an unknown number of the records of Contact in the production org acme.my.salesforce.com, which `undo` cannot take back");
        insta::assert_snapshot!(what(Operation::Update, Some(5_000), Some(2_000)), @"this will change up to 2,000 of 2,000 records of Contact in the production org acme.my.salesforce.com");
    }
}
