//! Rows that differ only in what does not come back with the results.

use serde_json::{Value, json};
use testkit::sim::TestSim;
use testkit::{KEY, rejected};

use crate::harness::lines::{Stream, catalog};
use crate::harness::process::{Job, Output};

const OBJECT: &str = "Everything__c";

/// Rows that differ only in columns that do not come back.
struct Alike {
    sim: TestSim,
    job: Job,
    output: Output,
}

impl Alike {
    /// Loads a row for each of the addresses, with names alike.
    async fn run(key: Option<&str>, fault: Value, addresses: &[&str]) -> Self {
        let sim = TestSim::start().await;
        let mut columns = vec![("Name", "string"), ("Email__c", "string")];
        columns.extend(key.map(|key| (key, "string")));
        let stream = Stream::typed("alike", OBJECT, columns);
        let mut configured = catalog(&[&stream]);
        if let Some(key) = key {
            configured["streams"][0]["destination_sync_mode"] = json!("append_dedup");
            configured["streams"][0]["primary_key"] = json!([[key]]);
        }
        sim.fault(&json!({"object": OBJECT, "do": fault})).await;
        let records = addresses.iter().zip(0..).map(|(address, number)| {
            let mut record = json!({"Name": "same", "Email__c": address});
            if let Some(key) = key {
                record[key] = json!(format!("key {number}"));
            }
            stream.record(&record)
        });
        let mut lines: Vec<String> = records.collect();
        lines.push(stream.state(1, addresses.len()));
        lines.push(stream.complete());
        let job = Job::with_catalog(&sim, configured).rejects_to_folder();
        let output = job.write(&lines).await;
        Self { sim, job, output }
    }

    /// Addresses of rejected records, sorted.
    fn rejected(&self) -> Vec<String> {
        let files = self.job.reject_files();
        let rejected = rejected::read_all(files.iter().map(|(name, content)| (name, content)));
        let addresses = rejected.iter().map(|rejected| rejected.text("Email__c"));
        let mut addresses: Vec<String> = addresses.map(str::to_owned).collect();
        addresses.sort();
        addresses
    }
}

#[tokio::test]
async fn rows_that_look_alike_in_the_results() {
    let addresses = ["a@example.com", "bad 1", "b@example.com", "bad 2"];
    let names = ["Email__c", KEY];
    for fault in [
        json!({"drop_columns": {"names": names}}),
        json!({"blank_columns": {"names": names}}),
    ] {
        // Some were written and some not: nobody can say which.
        let ran = Alike::run(None, fault.clone(), &addresses).await;
        let message = ran.output.failed("transient_error");
        assert!(
            message.contains("no values of Email__c, so what became of 4 inserted rows"),
            "{message}"
        );
        assert!(ran.output.states().is_empty() && ran.rejected().is_empty());
        assert_eq!(ran.sim.jobs().await.len(), 1);
        assert_eq!(ran.sim.column(OBJECT, "Email__c").await.len(), 2);

        // Those without a value look like the results of all.
        let ran = Alike::run(None, fault.clone(), &["", "bad 1", "", "bad 2"]).await;
        let message = ran.output.failed("transient_error");
        assert!(message.contains("no values of Email__c"), "{message}");
        assert!(ran.output.states().is_empty() && ran.rejected().is_empty());

        // With a key they are retried.
        let ran = Alike::run(Some(KEY), fault.clone(), &addresses).await;
        assert_eq!(ran.output.code, Some(0), "{:#?}", ran.output);
        assert_eq!(ran.rejected(), ["bad 1", "bad 2"]);
        assert_eq!(ran.sim.jobs().await.len(), 2);
        assert_eq!(ran.sim.column(OBJECT, "Email__c").await.len(), 2);

        // None was written: each is rejected, whichever reason is whose.
        for key in [None, Some(KEY)] {
            let ran = Alike::run(key, fault.clone(), &["bad 1", "bad 2"]).await;
            assert_eq!(ran.output.code, Some(0), "{:#?}", ran.output);
            assert_eq!(ran.rejected(), ["bad 1", "bad 2"]);
            assert_eq!(ran.sim.jobs().await.len(), 1);
        }
    }
}
