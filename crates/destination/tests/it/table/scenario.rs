//! What a load must be like to make each call of a write.

use serde_json::{Value, json};
use testkit::KEY;

use crate::harness::lines::{Stream, catalog};

/// Records of a load.
pub(super) const RECORDS: usize = 6;

/// A call of a write as the table names it, and the operation that makes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Scenario {
    pub(super) call: &'static str,
    /// An upsert; otherwise an insert.
    pub(super) keyed: bool,
}

/// The calls of a write.
const CALLS: [&str; 14] = [
    "login",
    "relogin",
    "describe",
    "create",
    "create_multipart",
    "upload",
    "close",
    "poll",
    "failed_results",
    "successful_results",
    "unprocessed_records",
    "list",
    "abort",
    "query",
];

/// All pairs of call and operation that there are.
pub(super) fn all() -> Vec<Scenario> {
    let pairs = CALLS
        .into_iter()
        .flat_map(|call| [false, true].map(|keyed| Scenario { call, keyed }));
    let exists = |scenario: &Scenario| match scenario.call {
        // What is before the first job does not depend on the operation.
        "login" | "describe" => !scenario.keyed,
        // Inserts have no such call: nothing in the org says whether it was done.
        "create_multipart" => scenario.keyed,
        // Rows of an upsert without a result are sent once more.
        "query" => !scenario.keyed,
        _ => true,
    };
    pairs.filter(exists).collect()
}

impl Scenario {
    /// The column of the table.
    pub(super) fn column(&self) -> &'static str {
        match self.call {
            "failed_results" | "unprocessed_records" => "results",
            "successful_results" => "successes",
            "create_multipart" => "create_with_rows",
            "login" => "first_login",
            "relogin" => "later_login",
            // That of jobs which lost calls have left open.
            "list" if !self.keyed => "abort",
            call => call,
        }
    }

    /// The calls that the fault hits, as the simulator names them, and how many pass before.
    pub(super) fn target(&self) -> (&'static [&'static str], u32) {
        match self.call {
            "login" => (&["token"], 0),
            "relogin" => (&["token"], 1),
            "describe" => (&["describe", "composite"], 0),
            "create" => (&["create"], 0),
            "create_multipart" => (&["create_multipart"], 0),
            "upload" => (&["upload"], 0),
            "close" => (&["close"], 0),
            "poll" => (&["poll"], 0),
            "failed_results" => (&["failed_results"], 0),
            "successful_results" => (&["successful_results"], 0),
            "unprocessed_records" => (&["unprocessed_records"], 0),
            "list" => (&["list"], 0),
            "abort" => (&["abort"], 0),
            _ => (&["query"], 0),
        }
    }

    /// What else the org does, so that the call is made.
    pub(super) fn conditions(&self) -> Vec<Value> {
        let lost = if self.keyed {
            "create_multipart"
        } else {
            "create"
        };
        match self.call {
            "relogin" => vec![json!({"calls": ["poll"], "do": {"expire_tokens": {}}})],
            "successful_results" => vec![json!({"do": {"no_counts": {}}})],
            "unprocessed_records" => vec![json!({"do": {"end_job": {"after_rows": 2}}})],
            "list" => vec![json!({"calls": [lost], "do": {"lose": {}}})],
            "abort" => vec![json!({"calls": ["create"], "do": {"lose": {}}})],
            "query" => vec![
                json!({"do": {"no_counts": {}}}),
                json!({"do": {"withhold_rows": {"count": 1, "result": "successful"}}}),
            ],
            _ => Vec::new(),
        }
    }

    /// How many of the records the org refuses.
    pub(super) fn bad(&self) -> usize {
        usize::from(matches!(self.call, "failed_results" | "successful_results"))
    }

    /// More rows than go into the call that creates a job with them.
    fn is_large(&self) -> bool {
        self.keyed && matches!(self.call, "create" | "upload" | "close" | "abort")
    }

    /// The object that is loaded.
    pub(super) fn object(&self) -> &'static str {
        if self.keyed { "Contact" } else { "Account" }
    }

    /// The field by which a record is known again, and its value in a record. The org does not
    /// refuse two inserts with the same value.
    pub(super) fn key(&self) -> &'static str {
        if self.keyed { KEY } else { "Legacy_Id__c" }
    }

    /// The stream of the load, and its catalog.
    pub(super) fn stream(&self) -> (Stream, Value) {
        let name = if self.keyed { "LastName" } else { "Name" };
        let columns = [self.key(), name, "Description"];
        let stream = Stream::new("rows", self.object(), &columns);
        let mut configured = catalog(&[&stream]);
        if self.keyed {
            configured["streams"][0]["destination_sync_mode"] = json!("append_dedup");
            configured["streams"][0]["primary_key"] = json!([[KEY]]);
        }
        (stream, configured)
    }

    /// A record. Those refused are the last ones.
    pub(super) fn record(&self, number: usize) -> Value {
        let name = if self.keyed { "LastName" } else { "Name" };
        let is_bad = number >= RECORDS - self.bad();
        let description = if self.is_large() {
            "d".repeat(30_000)
        } else {
            format!("d{number}")
        };
        let text = (!is_bad).then(|| format!("Ng {number}"));
        json!({self.key(): format!("K-{number}"), name: text, "Description": description})
    }
}
