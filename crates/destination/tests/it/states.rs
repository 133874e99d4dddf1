//! States of all streams (GLOBAL and LEGACY), and states that come late.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::KEY;
use testkit::sim::TestSim;

use crate::harness::lines::{Stream, account, accounts, catalog, contact, contacts};
use crate::harness::process::Job;

/// A GLOBAL state under the key that its sender uses, with a shared blob of its own.
fn global(key: &str, id: u64) -> String {
    format!(
        r#"{{"type":"STATE","state":{{"type":"GLOBAL","stream":null,"{key}":{{"shared_state":{{"lsn": {id}.10}},"stream_states":[]}},"id":{id}}}}}"#
    )
}

#[tokio::test]
async fn a_global_state_waits_for_the_slowest_stream_and_counts_all() {
    let sim = TestSim::with_job_time(Duration::from_millis(20)).await;
    let (contacts, accounts) = (contacts(), accounts());
    let refused = json!({KEY: "C-x", "LastName": null});
    let mut lines = vec![global("global", 0)];
    lines.extend((0..30).map(|i| contacts.record(&contact(i))));
    lines.push(accounts.record(&account(0)));
    lines.push(global("global_", 1));
    lines.push(contacts.record(&refused));
    lines.push(contacts.complete());
    lines.extend((1..4).map(|i| accounts.record(&account(i))));
    lines.push(global("global", 2));
    lines.push(accounts.complete());
    lines.push(global("global", 3));

    let output = Job::new(&sim, &[&contacts, &accounts])
        .set("max_job_rows", 4)
        .write(&lines)
        .await
        .succeeded();

    assert_eq!(output.state_ids(), [0, 1, 2, 3]);
    let states = output.states();
    for (state, accepted, rejected, total) in
        [(0, 0, 0, 0), (1, 31, 0, 31), (2, 3, 1, 34), (3, 0, 0, 34)]
    {
        let state = states[state];
        let stats = &state["destinationStats"];
        assert_eq!(stats["recordCount"], f64::from(accepted), "{state}");
        let count = stats["rejectedRecordCount"].as_f64().unwrap_or(0.0);
        assert_eq!(count, f64::from(rejected), "{state}");
        assert_eq!(state["committedRecordsCount"], total, "{state}");
    }
    let printed = output.lines.iter().find(|line| line.contains(r#""id":1"#));
    assert!(
        printed
            .unwrap()
            .contains(r#""global_":{"shared_state":{"lsn": 1.10},"stream_states":[]}"#),
        "the state comes back as it was sent"
    );
}

#[tokio::test]
async fn a_legacy_state_is_given_back_in_order() {
    let (sim, contacts) = (TestSim::start().await, contacts());
    let legacy = |id: u64| {
        format!(r#"{{"type":"STATE","state":{{"type":null,"data":{{"n":{id}}},"id":{id}}}}}"#)
    };
    let mut lines = vec![contacts.record(&contact(0)), legacy(1)];
    lines.extend([contacts.record(&contact(1)), legacy(2), contacts.complete()]);
    let output = Job::new(&sim, &[&contacts]).write(&lines).await.succeeded();
    assert_eq!(output.state_ids(), [1, 2]);
    assert_eq!(output.states()[1]["data"], json!({"n": 2}));
    assert_eq!(output.states()[1]["committedRecordsCount"], 2);
}

#[tokio::test]
async fn states_after_the_end_of_their_stream_come_while_others_go_on() {
    let sim = TestSim::start().await;
    let (contacts, accounts) = (contacts(), accounts());
    let job = Job::new(&sim, &[&contacts, &accounts]);
    let mut running = job.start_write();
    let lines = [
        accounts.record(&account(0)),
        contacts.record(&contact(0)),
        contacts.state(1, 1),
        contacts.complete(),
        contacts.state(2, 0),
    ];
    running.send(&lines).await;
    running.wait_for_states(2).await;
    running
        .send(&[accounts.state(3, 1), accounts.complete()])
        .await;
    let output = running.finish().await.succeeded();
    assert_eq!(output.state_ids(), [1, 2, 3]);
}

#[tokio::test]
async fn states_that_cannot_be_put_in_order_end_the_sync_after_what_was_durable() {
    let (sim, contacts) = (TestSim::start().await, contacts());
    let lines = [
        contacts.record(&contact(0)),
        contacts.state(1, 1),
        global("global", 2),
    ];
    let output = Job::new(&sim, &[&contacts]).write(&lines).await;
    let message = output.failed("system_error");
    assert!(message.contains("cannot be put in order"), "{message}");
    assert_eq!(output.state_ids(), [1]);
    assert_eq!(sim.column("Contact", KEY).await.len(), 1);
}

#[tokio::test]
async fn states_count_merged_rows_as_accepted() {
    let (sim, stream) = (TestSim::start().await, contacts());
    let mut configured = catalog(&[&stream]);
    configured["streams"][0]["destination_sync_mode"] = json!("append_dedup");
    configured["streams"][0]["primary_key"] = json!([[KEY]]);
    let record = |stream: &Stream, number: usize, name: Value| {
        stream.record(&json!({KEY: format!("K-{}", number % 4), "LastName": name}))
    };
    let mut lines = Vec::new();
    for number in 0..10 {
        lines.push(record(&stream, number, json!(format!("Ng {number}"))));
    }
    lines.push(stream.state(1, 10));
    lines.push(stream.record(&json!({KEY: "K-9"})));
    lines.push(record(&stream, 1, json!("Last")));
    lines.push(stream.state(2, 2));
    lines.push(stream.complete());
    let job = Job::with_catalog(&sim, configured).set("max_job_rows", 3);

    let output = job.write(&lines).await.succeeded();

    assert_eq!(output.state_ids(), [1, 2]);
    let [first, second] = output.states()[..] else {
        panic!("{output:#?}");
    };
    assert_eq!(first["destinationStats"]["recordCount"], 10.0);
    assert_eq!(first["committedRecordsCount"], 10);
    assert_eq!(second["committedRecordsCount"], 11);
    assert_eq!(second["rejectedRecordsCount"], 1);
    let mut records: Vec<(String, String)> = Vec::new();
    for row in sim.rows("Contact").await {
        let text = |field: &str| row[field].as_str().unwrap().to_owned();
        records.push((text(KEY), text("LastName")));
    }
    records.sort();
    let records: Vec<(&str, &str)> = records
        .iter()
        .map(|(key, name)| (key.as_str(), name.as_str()))
        .collect();
    assert_eq!(
        records,
        [
            ("K-0", "Ng 8"),
            ("K-1", "Last"),
            ("K-2", "Ng 6"),
            ("K-3", "Ng 7")
        ]
    );
}
