//! Parents and children in one sync, in any order: records that name a parent which comes later are held.

mod any_order;
mod memory;

use serde_json::{Value, json};
use testkit::KEY;
use testkit::rejected::{self, codes};
use testkit::sim::TestSim;

use crate::harness::lines::{Stream, catalog};
use crate::harness::process::{Job, Output};

/// The code of a record whose parent is not there.
const NO_PARENT: &str = "INVALID_FIELD";

/// Accounts, each of which may name the one above it.
fn accounts() -> Stream {
    Stream::new("accounts", "Account", &[KEY, "Name", "Parent.Ext_Id__c"])
}

fn account(number: usize, above: Option<usize>) -> Value {
    let above = above.map(|above| format!("A-{above}"));
    json!({KEY: format!("A-{number}"), "Name": "Acme", "Parent.Ext_Id__c": above})
}

fn contacts() -> Stream {
    Stream::new(
        "contacts",
        "Contact",
        &[KEY, "LastName", "Account.Ext_Id__c"],
    )
}

fn contact(number: usize, account: usize) -> Value {
    json!({
        KEY: format!("C-{number}"),
        "LastName": format!("Ng {number}"),
        "Account.Ext_Id__c": format!("A-{account}"),
    })
}

fn cases() -> Stream {
    Stream::new("cases", "Case", &[KEY, "Subject", "Contact.Ext_Id__c"])
}

fn case(number: usize, contact: usize) -> Value {
    json!({
        KEY: format!("T-{number}"),
        "Subject": "Help",
        "Contact.Ext_Id__c": format!("C-{contact}"),
    })
}

/// The lines of a stream: its records with a state behind every few, and its end.
fn lines(stream: &Stream, records: impl IntoIterator<Item = Value>) -> Vec<String> {
    let mut lines = Vec::new();
    let records: Vec<Value> = records.into_iter().collect();
    for (number, chunk) in records.chunks(10).enumerate() {
        lines.extend(chunk.iter().map(|data| stream.record(data)));
        lines.push(stream.state(number as u64 + 1, chunk.len()));
    }
    lines.push(stream.complete());
    lines
}

/// The streams with records upserted by their key, if asked.
fn configured(streams: &[&Stream], upsert: bool) -> Value {
    let mut catalog = catalog(streams);
    for stream in catalog["streams"].as_array_mut().unwrap() {
        if upsert {
            stream["destination_sync_mode"] = json!("append_dedup");
            stream["primary_key"] = json!([[KEY]]);
        }
    }
    catalog
}

fn rejects(job: &Job) -> Vec<rejected::Rejected> {
    let files = job.reject_files();
    rejected::read_all(files.iter().map(|(name, content)| (name, content)))
}

/// How many records of an object name another in this field.
async fn naming(sim: &TestSim, object: &str, field: &str) -> usize {
    let rows = sim.rows(object).await;
    let named = rows.iter().filter(|row| row[field].is_string());
    named.count()
}

/// What the log says of the load of a stream.
fn report(output: &Output, stream: &str) -> Value {
    let logs = output.of("LOG");
    let texts = logs.iter().filter_map(|log| log["log"]["message"].as_str());
    let reports =
        texts.filter_map(|text| serde_json::from_str::<Value>(text.get(text.find('{')?..)?).ok());
    let mut reports = reports.filter(|report| report["event"] == "load_report");
    reports
        .find(|report| report["stream"]["name"] == stream)
        .unwrap_or_else(|| panic!("no report of {stream}: {output:#?}"))
}

#[tokio::test]
async fn streams_come_in_any_order() {
    let streams = [accounts(), contacts(), cases()];
    let orders = [
        [0, 1, 2],
        [0, 2, 1],
        [1, 0, 2],
        [1, 2, 0],
        [2, 0, 1],
        [2, 1, 0],
    ];
    for (number, order) in orders.into_iter().enumerate() {
        let sim = TestSim::start().await;
        let order = order.map(|stream| &streams[stream]);
        let upsert = number % 2 == 1;
        let job = Job::with_catalog(&sim, configured(&order, upsert))
            .set("max_job_rows", 15)
            .rejects_to_folder();
        let all = order.map(|stream| match stream.name.as_str() {
            "accounts" => lines(stream, (0..30).map(|number| account(number, None))),
            "contacts" => lines(stream, (0..40).map(|number| contact(number, number % 30))),
            _ => lines(stream, (0..50).map(|number| case(number, number % 40))),
        });

        let output = job.write(&all.concat()).await.succeeded();

        assert_eq!(rejects(&job).len(), 0, "{order:?}: {output:#?}");
        assert_eq!(output.states().len(), 3 + 4 + 5);
        assert_eq!(sim.rows("Account").await.len(), 30);
        assert_eq!(naming(&sim, "Contact", "AccountId").await, 40, "{order:?}");
        assert_eq!(naming(&sim, "Case", "ContactId").await, 50, "{order:?}");
    }
}

#[tokio::test]
async fn a_chain_within_one_stream_comes_in_whole() {
    for streams in [1, 2] {
        let sim = TestSim::start().await;
        let named = |name: &str| Stream {
            name: name.into(),
            ..accounts()
        };
        let all = [named("one"), named("two")];
        let all: Vec<&Stream> = all.iter().take(streams).collect();
        let job = Job::with_catalog(&sim, configured(&all, false)).rejects_to_folder();
        // The deepest come first, and of two streams each has the parents of the other.
        let mut of_streams = vec![Vec::new(); streams];
        for number in (0..12).rev() {
            of_streams[number % streams].push(account(number, number.checked_sub(1)));
        }
        of_streams[0].push(account(100, Some(101)));
        let streams = all.iter().zip(of_streams);
        let lines: Vec<String> = streams
            .flat_map(|(stream, records)| lines(stream, records))
            .collect();

        let output = job.write(&lines).await.succeeded();

        let rejects = rejects(&job);
        assert_eq!(codes(&rejects), [(NO_PARENT, 1)].into(), "{output:#?}");
        assert_eq!(rejects[0].record()[KEY], "A-100");
        assert_eq!(naming(&sim, "Account", "ParentId").await, 11);
        assert_eq!(sim.rows("Account").await.len(), 12);
        let report = report(&output, all[0].name.as_str());
        assert!(
            report["held"].as_u64() > report["held_accepted"].as_u64(),
            "{report}"
        );
    }
}

#[tokio::test]
async fn a_record_whose_parent_never_comes_is_sent_once_more() {
    let sim = TestSim::start().await;
    let (contacts, accounts) = (contacts(), accounts());
    let catalog = configured(&[&contacts, &accounts], false);
    let job = Job::with_catalog(&sim, catalog).rejects_to_folder();
    let mut running = job.start_write();
    let children = (0..20).map(|number| contact(number, number));
    running.send(&lines(&contacts, children)).await;
    running.wait_for_log("they are held").await;
    let parents = (5..30).map(|number| account(number, None));
    running.feed(lines(&accounts, parents));

    let output = running.finish().await.succeeded();

    let rejects = rejects(&job);
    assert_eq!(codes(&rejects), [(NO_PARENT, 5)].into());
    assert!(
        rejects[0]
            .sf_error()
            .contains("not found for field Ext_Id__c")
    );
    assert_eq!(sim.jobs().await.len(), 3, "{output:#?}");
    let report = report(&output, "contacts");
    assert_eq!(
        (&report["held"], &report["held_accepted"]),
        (&json!(20), &json!(15))
    );
    let rejected = output.states().into_iter();
    let rejected = rejected.filter_map(|state| state["rejectedRecordsCount"].as_u64());
    assert_eq!(rejected.max(), Some(5), "{output:#?}");
}

#[tokio::test]
async fn what_is_beyond_the_bound_is_rejected() {
    for (held_rows, rejected) in [(10, 15), (0, 25), (25, 0)] {
        let sim = TestSim::start().await;
        let (contacts, accounts) = (contacts(), accounts());
        let catalog = configured(&[&contacts, &accounts], false);
        let job = Job::with_catalog(&sim, catalog)
            .set("held_rows", held_rows)
            .rejects_to_folder();
        let mut all = lines(&contacts, (0..25).map(|number| contact(number, number)));
        let mut running = job.start_write();
        running.send(&all).await;
        sim.wait_for("a job of contacts", |state| {
            testkit::sim::jobs_in_state(state, "JobComplete") == 1
        })
        .await;
        all = lines(&accounts, (0..25).map(|number| account(number, None)));
        running.feed(all);

        let output = running.finish().await.succeeded();

        let rejects = rejects(&job);
        assert_eq!(rejects.len(), rejected, "{output:#?}");
        assert_eq!(naming(&sim, "Contact", "AccountId").await, 25 - rejected);
    }
}

#[tokio::test]
async fn children_come_in_while_their_stream_goes_on() {
    let sim = TestSim::start().await;
    let (contacts, accounts) = (contacts(), accounts());
    let catalog = configured(&[&contacts, &accounts], true);
    let job = Job::with_catalog(&sim, catalog)
        .set("flush_interval_seconds", 1)
        .rejects_to_folder();
    let mut running = job.start_write();
    let mut first = lines(&contacts, (0..10).map(|number| contact(number, number)));
    let complete = first.pop().unwrap();
    running.send(&first).await;
    running.wait_for_log("they are held").await;
    assert_eq!(running.states(), 0);
    // It names no account, and is the last word on its contact.
    let later = json!({KEY: "C-3", "LastName": "Later"});
    running
        .send(&[contacts.record(&later), contacts.state(2, 1)])
        .await;
    running
        .send(&lines(
            &accounts,
            (0..10).map(|number| account(number, None)),
        ))
        .await;
    running.wait_for_states(3).await;
    assert_eq!(naming(&sim, "Contact", "AccountId").await, 10);
    running.feed(vec![complete]);

    let output = running.finish().await.succeeded();

    assert_eq!(rejects(&job).len(), 0, "{output:#?}");
    let rows = sim.rows("Contact").await;
    let row = rows.iter().find(|row| row[KEY] == "C-3").unwrap();
    assert_eq!(row["LastName"], "Later");
}

#[tokio::test]
async fn a_stream_of_parents_that_fails_ends_the_sync() {
    let sim = TestSim::start().await;
    let fault = json!({"object": "Account", "times": 0, "do": {"end_job": {
        "state": "failed", "message": "InvalidBatch : Field name not found : Name", "after_rows": 0,
    }}});
    sim.fault(&fault).await;
    let (contacts, accounts) = (contacts(), accounts());
    let catalog = configured(&[&contacts, &accounts], false);
    let job = Job::with_catalog(&sim, catalog).rejects_to_folder();
    let mut all = lines(&contacts, (0..10).map(|number| contact(number, number)));
    let mut running = job.start_write();
    running.send(&all).await;
    running.wait_for_log("they are held").await;
    all = lines(&accounts, (0..10).map(|number| account(number, None)));
    running.feed(all);

    let output = running.finish().await;

    output.failed("config_error");
    assert_eq!(output.states().len(), 0);
    assert_eq!(rejects(&job).len(), 0);
}

#[tokio::test]
async fn a_stop_leaves_what_is_held_to_the_next_sync() {
    let sim = TestSim::start().await;
    let (contacts, accounts) = (contacts(), accounts());
    let catalog = configured(&[&contacts, &accounts], false);
    let job = Job::with_catalog(&sim, catalog).rejects_to_folder();
    let all = lines(&contacts, (0..10).map(|number| contact(number, number)));
    let mut running = job.start_write();
    running.send(&all).await;
    running.wait_for_log("they are held").await;
    running.terminate().await;

    let output = running.finish().await;

    output.failed("transient_error");
    assert_eq!(output.states().len(), 0);
    assert_eq!(rejects(&job).len(), 0);
    // Repeated, each contact is there once.
    let mut all = all;
    all.extend(lines(
        &accounts,
        (0..10).map(|number| account(number, None)),
    ));
    job.write(&all).await.succeeded();
    assert_eq!(naming(&sim, "Contact", "AccountId").await, 10);
    assert_eq!(sim.rows("Contact").await.len(), 10);
}

/// The ledger knows of each job that held records were in.
#[tokio::test]
async fn a_killed_sync_is_repeated_and_doubles_nothing() {
    let sim = TestSim::start().await;
    let (contacts, accounts) = (contacts(), accounts());
    let catalog = configured(&[&contacts, &accounts], false);
    let job = Job::with_catalog(&sim, catalog)
        .set("flush_interval_seconds", 1)
        .rejects_to_folder();
    // Without states, so that all of them come again.
    let children = (0..20).map(|number| contacts.record(&contact(number, number)));
    let parents = (0..20).map(|number| accounts.record(&account(number, None)));
    let mut all: Vec<String> = children.collect();
    let mut running = job.start_write();
    running.send(&all).await;
    running.wait_for_log("they are held").await;
    let parents: Vec<String> = parents.chain([accounts.complete()]).collect();
    running.send(&parents).await;
    running.wait_for_log("held are sent again").await;
    sim.wait_for("the second job of contacts", |state| {
        state["jobs"].as_array().unwrap().len() == 3
    })
    .await;
    running.kill().await;

    all.extend(parents);
    all.push(contacts.complete());
    let output = job.write(&all).await.succeeded();

    assert_eq!(rejects(&job).len(), 0, "{output:#?}");
    assert_eq!(sim.rows("Account").await.len(), 20);
    let mut keys = sim.column("Contact", KEY).await;
    keys.sort_unstable();
    keys.dedup();
    assert_eq!((keys.len(), sim.rows("Contact").await.len()), (20, 20));
}

/// Of one stream, whose records could name each other, those that find no parent go twice.
#[tokio::test]
async fn a_turn_that_gets_no_record_in_is_the_last() {
    let sim = TestSim::start().await;
    let accounts = accounts();
    let job = Job::with_catalog(&sim, configured(&[&accounts], false)).rejects_to_folder();
    let records = (0..20).map(|number| account(number, Some(number + 100)));

    let output = job.write(&lines(&accounts, records)).await.succeeded();

    assert_eq!(codes(&rejects(&job)), [(NO_PARENT, 20)].into());
    assert_eq!(sim.jobs().await.len(), 2, "{output:#?}");
    let report = report(&output, "accounts");
    assert_eq!(
        (&report["held"], &report["held_accepted"]),
        (&json!(20), &json!(0))
    );
}

/// A chain as long as all that may be held.
#[tokio::test]
async fn records_that_are_held_again_keep_their_room() {
    let sim = TestSim::start().await;
    let accounts = accounts();
    let job = Job::with_catalog(&sim, configured(&[&accounts], false))
        .set("held_rows", 9)
        .set("max_job_rows", 4)
        .rejects_to_folder();
    let records = (0..10)
        .rev()
        .map(|number| account(number, number.checked_sub(1)));

    let output = job.write(&lines(&accounts, records)).await.succeeded();

    assert_eq!(rejects(&job).len(), 0, "{output:#?}");
    assert_eq!(naming(&sim, "Account", "ParentId").await, 9);
}
