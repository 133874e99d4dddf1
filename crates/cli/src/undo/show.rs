//! What taking a run back comes to, in words.

use std::collections::BTreeMap;

use crate::watch::numbers::{count, counted};

/// How many records are of which kind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Get former values back.
    pub(crate) restores: u64,
    /// Were created by the run, and are deleted.
    pub(crate) deletes: u64,
    /// Of these, those that their receipts call updated, since the run was gone on with.
    pub(crate) resumed: u64,
    /// Of these, those that were changed since, in other fields.
    pub(crate) touched: u64,
    /// Have their former values already.
    pub(crate) same: u64,
    /// Are not there any more.
    pub(crate) gone: u64,
    /// Have fields that are left alone.
    pub(crate) kept: u64,
    /// Were changed, and not there when former values were read.
    pub(crate) unknown: u64,
    /// Whether the run ended before all that it had sent had its receipt.
    pub(crate) unsettled: bool,
    /// Have a receipt without an Id.
    pub(crate) without_id: u64,
    /// Records by the field that has changed since.
    conflicts: BTreeMap<String, u64>,
    /// Records by the field in which the org itself has put another value than the run's.
    automation: BTreeMap<String, u64>,
}

impl Counts {
    pub(super) fn conflict(&mut self, field: &str) {
        *self.conflicts.entry(field.to_owned()).or_default() += 1;
    }

    pub(super) fn automation(&mut self, field: &str) {
        *self.automation.entry(field.to_owned()).or_default() += 1;
    }

    /// Records that are not taken back, or not in all fields, as far as it is known.
    pub(crate) fn left(&self) -> u64 {
        self.kept + self.unknown + self.without_id + u64::from(self.unsettled)
    }

    /// Records that something is done with.
    pub(crate) fn changes(&self) -> u64 {
        self.restores + self.deletes
    }

    /// What will be done, as half a sentence.
    pub(crate) fn what(&self, object: &str, place: &str) -> String {
        let deletes = format!("delete {}", counted(self.deletes, "record"));
        let restores = format!("restore {}", counted(self.restores, "record"));
        let what = match (self.deletes, self.restores) {
            (_, 0) => deletes,
            (0, _) => restores,
            _ => format!("{restores} and {deletes}"),
        };
        format!("this will {what} of {object} in {place}")
    }

    /// What else was found, in sentences.
    pub(crate) fn found(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut say = |number: u64, one: &str, many: &str| {
            if number > 0 {
                let verb = if number == 1 { one } else { many };
                found.push(format!("{} {verb}", counted(number, "record")));
            }
        };
        say(self.same, "is as it was before", "are as they were before");
        say(self.gone, "is not there any more", "are not there any more");
        say(
            self.without_id,
            "has a receipt without an Id, and is left alone",
            "have receipts without an Id, and are left alone",
        );
        say(
            self.unknown,
            "was changed by the run, and not there when the former values were read: it is left alone",
            "were changed by the run, and not there when the former values were read: they are left alone",
        );
        say(
            self.resumed,
            "was created by the user of the run since it began, and sent again when the run went on: it is \
             taken for the run's own",
            "were created by the user of the run since it began, and sent again when the run went on: they \
             are taken for the run's own",
        );
        say(
            self.touched,
            "that will be deleted was changed since the run, in fields that the run did not write",
            "that will be deleted were changed since the run, in fields that the run did not write",
        );
        say(
            self.kept,
            "has changed since the run: these fields are left alone",
            "have changed since the run: these fields are left alone",
        );
        if self.unsettled {
            found.push(
                "the run ended before it knew what became of all that it had sent, so there may be \
                 records of it without a receipt, which are left alone: go on with it by `resume`, \
                 and take it back again"
                    .to_owned(),
            );
        }
        let fields = |of: &BTreeMap<String, u64>| {
            let fields = of
                .iter()
                .map(|(field, number)| format!("{field} ({})", count(*number)));
            fields.collect::<Vec<_>>().join(", ")
        };
        if !self.conflicts.is_empty() {
            found.push(format!("changed since: {}", fields(&self.conflicts)));
        }
        if !self.automation.is_empty() {
            found.push(format!(
                "the org itself has put other values than the run's: {}",
                fields(&self.automation)
            ));
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_done_is_said() {
        let mut counts = Counts {
            restores: 1_000,
            deletes: 1,
            same: 1,
            kept: 2,
            ..Counts::default()
        };
        counts.conflict("Title");
        counts.conflict("Title");
        counts.automation("Phone");
        let what = counts.what("Contact", "the sandbox acme");
        insta::assert_snapshot!(what, @"this will restore 1,000 records and delete 1 record of Contact in the sandbox acme");
        insta::assert_snapshot!(counts.found().join("\n"), @r"
        1 record is as it was before
        2 records have changed since the run: these fields are left alone
        changed since: Title (2)
        the org itself has put other values than the run's: Phone (1)
        ");
    }
}
