//! States of all streams (GLOBAL and LEGACY), and states that come late.

use std::time::Duration;

use serde_json::json;

use crate::harness::lines::{KEY, account, accounts, contact, contacts};
use crate::harness::process::Job;
use crate::harness::sim::TestSim;

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
