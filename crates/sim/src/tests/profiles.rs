//! Profiles over HTTP, and the log of what was written.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{Client, SimOptions, counts, ended, many};
use crate::{Contention, Profile};

#[tokio::test]
async fn an_org_without_times_has_a_profile_too() {
    let null = Profile::load("null").unwrap();
    let client = Client::start(SimOptions::of(null)).await;
    assert_eq!(client.inspect("profile").await["name"], "null");
    let job = client.insert("Contact", &many(450)).await;
    assert_eq!(counts(&job), ended("JobComplete", 450, 0));
    let org = &client.inspect("state").await["org"];
    assert_eq!(org["busy_seconds"], 0.0);
    assert_eq!((&org["speed"], &org["slots"]), (&Value::Null, &Value::Null));
    let other = Client::start(SimOptions::default()).await;
    assert_eq!(other.inspect("profile").await, Value::Null);
}

/// The org's clock goes on while the client does something, at the speed of the profile.
#[tokio::test]
async fn the_clock_of_a_profile_runs_in_real_time() {
    let profile = Profile::parse(
        r#"{"speed":100,"slots":2,"job_seconds":0,"chunk_seconds":4,"row_seconds":0.005}"#,
    );
    let client = Client::start(SimOptions::of(profile.unwrap())).await;
    let begun = Instant::now();
    let job = client.insert("Contact", &many(450)).await;
    // 5 s, 5 s and 4.25 s of the org.
    assert!(begun.elapsed() >= Duration::from_millis(142));
    assert_eq!(counts(&job), ended("JobComplete", 450, 0));
    let org = &client.inspect("state").await["org"];
    assert_eq!((&org["speed"], &org["slots"]), (&json!(100.0), &json!(2)));
    assert!(org["busy_seconds"].as_f64().unwrap() >= 14.25, "{org}");
    assert!(org["seconds"].as_f64().unwrap() >= 14.25, "{org}");
    // An act of a client that does not end stops no clock.
    let acting = client.hanging_act().await;
    client.insert("Contact", "LastName\nX\n").await;
    acting.abort();
}

impl Client {
    /// Something that the client does, and does not end.
    async fn hanging_act(&self) -> tokio::task::JoinHandle<()> {
        let fault = json!([{"calls": ["query"], "do": {"hang": {"ms": 60_000}}}]);
        self.post("faults", &fault).await;
        let query = self.call(reqwest::Method::GET, "/query?q=SELECT+Id+FROM+Contact");
        let acting = tokio::spawn(async move {
            // It is cut off when the test ends.
            let _ = query.send().await;
        });
        while self.inspect("faults").await[0]["hit"] != 1 {
            tokio::task::yield_now().await;
        }
        acting
    }
}

#[tokio::test]
async fn the_log_says_when_rows_were_written() {
    for contention in [None, Some(Contention::default())] {
        let options = SimOptions {
            contention,
            refuse_duplicates: false,
            ..SimOptions::default()
        };
        let client = Client::start(options).await;
        let text = format!("{}{},bad\n", many(450), "x".repeat(81));
        client.insert("Contact", &text).await;
        tokio::time::sleep(Duration::from_millis(2)).await;
        let upsert = json!({"object": "Contact", "operation": "upsert", "lineEnding": "LF",
            "externalIdFieldName": "Ext_Id__c"});
        client
            .run(&upsert, "LastName,Ext_Id__c\nNew,7\nNew,n\n")
            .await;
        let log = client.lines("log").await;
        let sum = |key: &str| {
            log.iter()
                .map(|line| line[key].as_u64().unwrap())
                .sum::<u64>()
        };
        let sums = ["rows", "created", "changed", "deleted", "failed"].map(sum);
        assert_eq!(sums, [453, 451, 1, 0, 1]);
        let times: Vec<i64> = log
            .iter()
            .map(|line| line["ms"].as_i64().unwrap())
            .collect();
        assert!(
            times.is_sorted() && log[0]["object"] == "Contact",
            "{log:?}"
        );
        let mut firsts: Vec<_> = log[..3].iter().map(|line| line["first"].as_u64()).collect();
        firsts.sort_unstable();
        assert_eq!(firsts, [Some(0), Some(200), Some(400)]);
        assert_eq!(client.lines("log?from=3").await, log[3..]);
        // The same for each record.
        let records = client
            .lines("objects/Contact/column/Ext_Id__c?times=true")
            .await;
        assert_eq!(records.len(), 451);
        let last = times.last().unwrap();
        for record in records {
            let is_new = record[0] == "n";
            let is_changed = is_new || record[0] == "7";
            assert_eq!(record[1] == json!(last), is_new, "{record}");
            assert_eq!(record[2] == json!(last), is_changed, "{record}");
        }
        client.post("reset", &Value::Null).await;
        assert!(client.lines("log").await.is_empty());
    }
}

#[tokio::test]
async fn rows_that_failed_for_locks_are_counted() {
    let fault = r#"{"faults":[{"times":0,"do":{"lock_rows":{"share":1,"attempts":1}}}]}"#;
    let client = Client::start(SimOptions::of(Profile::parse(fault).unwrap())).await;
    client.insert("Contact", &many(30)).await;
    client.insert("Contact", &many(30)).await;
    let state = client.inspect("state").await;
    assert_eq!(state["org"]["lock_errors"], 30);
}

impl Client {
    /// The lines of an answer of the inspection API.
    async fn lines(&self, path: &str) -> Vec<Value> {
        let url = format!("{}/sim/{path}", self.sim.url());
        let text = self
            .http
            .get(url)
            .send()
            .await
            .unwrap()
            .text()
            .await
            .unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}
