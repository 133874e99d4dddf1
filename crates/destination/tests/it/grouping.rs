//! Records of one parent stand together, and are never in two jobs at once.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use salesforce_sim::{Contention, SimOptions};
use serde_json::{Value, json};
use testkit::KEY;
use testkit::sim::TestSim;

use crate::harness::lines::Stream;
use crate::harness::process::{Job, Output};

const PARENT: &str = "Account.Ext_Id__c";

/// An org whose jobs fight over their parents, with so many accounts.
async fn org(accounts: usize) -> TestSim {
    let contention = Contention {
        slots: 50,
        quiet: Duration::from_millis(60),
        ..Contention::default()
    };
    let sim = TestSim::with_options(SimOptions {
        contention: Some(contention),
        ..TestSim::options(Duration::ZERO)
    })
    .await;
    add_accounts(&sim, accounts).await;
    sim
}

async fn add_accounts(sim: &TestSim, accounts: usize) {
    let mut csv = format!("Name,{KEY}\n");
    for account in 0..accounts {
        writeln!(csv, "Acme,A-{account}").unwrap();
    }
    sim.insert("Account", &csv).await;
}

fn children() -> Stream {
    Stream::new("children", "Contact", &[KEY, "LastName", PARENT])
}

/// Loads children of these accounts, in jobs of 200 records.
async fn load(sim: &TestSim, accounts: &[Option<usize>], settings: &[(&str, Value)]) -> Output {
    let stream = children();
    let mut lines = Vec::new();
    for (row, account) in accounts.iter().enumerate() {
        let account = account.map(|account| format!("A-{account}"));
        lines.push(
            stream.record(&json!({KEY: format!("C-{row}"), "LastName": "Ng", PARENT: account})),
        );
    }
    lines.push(stream.state(1, accounts.len()));
    lines.push(stream.complete());
    let mut job = Job::new(sim, &[&stream])
        .set("max_job_rows", 200)
        .rejects_to_folder();
    for (key, value) in settings {
        job = job.set(key, value.clone());
    }
    job.write(&lines).await
}

/// Chunks of jobs that waited for a parent which another one had locked.
async fn waits(sim: &TestSim) -> Value {
    sim.state().await["contention"]["lock_waits"].clone()
}

async fn assert_loaded(sim: &TestSim, accounts: &[Option<usize>]) {
    let (contacts, parents) = (sim.rows("Contact").await, sim.rows("Account").await);
    assert_eq!(contacts.len(), accounts.len());
    let ids: BTreeMap<&str, &Value> = parents
        .iter()
        .map(|account| (account[KEY].as_str().unwrap(), &account["Id"]))
        .collect();
    for contact in &contacts {
        let row: usize = contact[KEY].as_str().unwrap()[2..].parse().unwrap();
        let expected = accounts[row].map(|account| ids[format!("A-{account}").as_str()]);
        assert_eq!(
            &contact["AccountId"],
            expected.unwrap_or(&Value::Null),
            "{row}"
        );
    }
}

fn report(output: &Output) -> Value {
    let log = output.of("LOG").into_iter();
    let mut reports = log.filter_map(|line| {
        let text = line["log"]["message"].as_str()?;
        let report: Value = serde_json::from_str(text).ok()?;
        (report["event"] == "load_report").then_some(report)
    });
    reports.next().unwrap()
}

/// Each job is one batch, so that no job waits for itself.
#[tokio::test]
async fn no_parent_is_in_two_jobs_at_once_also_when_rows_are_sent_again() {
    let sim = org(60).await;
    sim.fault(&json!({"object": "Contact", "times": 6, "do": {"lock_rows": {"share": 0.3}}}))
        .await;
    let mut random = fastrand::Rng::with_seed(5);
    let accounts: Vec<Option<usize>> = (0..3_000)
        .map(|row| (row % 17 > 0).then(|| random.usize(..60)))
        .collect();

    let output = load(&sim, &accounts, &[("max_jobs_in_flight", json!(6))]).await;

    let output = output.succeeded();
    assert_eq!(output.state_ids(), [1]);
    assert_loaded(&sim, &accounts).await;
    assert_eq!(waits(&sim).await, 0, "a parent was in two jobs at once");
    assert!(sim.most_jobs_at_once().await > 1, "lanes go side by side");
    let report = report(&output);
    assert_eq!(report["grouped_by"], PARENT);
    assert_ne!(report["lock_errors"], 0);
    assert_ne!(report["jobs_at_once_lowered"], 0);
    assert!(report["fewest_jobs_at_once"].as_u64().unwrap() < 6);
}

#[tokio::test]
async fn without_grouping_parents_are_in_many_jobs_at_once() {
    let sim = org(20).await;
    let accounts: Vec<Option<usize>> = (0..1_000).map(|row| Some(row * 7 % 20)).collect();

    let output = load(&sim, &accounts, &[("group_by", json!("none"))]).await;

    let report = report(&output.succeeded());
    assert_eq!(report["grouped_by"], Value::Null);
    assert_loaded(&sim, &accounts).await;
    assert_ne!(waits(&sim).await, 0);
}

#[tokio::test]
async fn the_jobs_of_a_parent_larger_than_a_job_follow_each_other() {
    let sim = org(2).await;
    let accounts: Vec<Option<usize>> = (0..2_000)
        .map(|row| Some(usize::from(row > 1_800)))
        .collect();

    load(&sim, &accounts, &[]).await.succeeded();

    assert_loaded(&sim, &accounts).await;
    assert_eq!(waits(&sim).await, 0);
    let jobs = sim.jobs().await.len() - 1;
    assert!((10..=12).contains(&jobs), "{jobs} jobs");
}

#[tokio::test]
async fn serial_is_one_job_at_a_time() {
    let sim = TestSim::with_job_time(Duration::from_millis(20)).await;
    add_accounts(&sim, 3).await;
    let accounts: Vec<Option<usize>> = (0..1_000).map(|row| Some(row % 3)).collect();

    load(&sim, &accounts, &[("concurrency", json!("serial"))])
        .await
        .succeeded();

    assert_loaded(&sim, &accounts).await;
    assert_eq!(sim.most_jobs_at_once().await, 1);
    assert_eq!(sim.jobs().await.len(), 6);
}

#[tokio::test]
async fn a_load_of_one_job_has_one_job() {
    let sim = TestSim::start().await;
    add_accounts(&sim, 5).await;
    let accounts: Vec<Option<usize>> = (0..200).map(|row| Some(row % 5)).collect();

    load(&sim, &accounts, &[]).await.succeeded();

    assert_eq!(sim.jobs().await.len(), 2);
    let accounts: Vec<Option<usize>> = (0..201).map(|row| Some(row % 5)).collect();
    let stream = Stream::new("others", "Contact", &["LastName", PARENT]);
    let lines = accounts
        .iter()
        .flatten()
        .map(|account| stream.record(&json!({"LastName": "Ng", PARENT: format!("A-{account}")})));
    let lines: Vec<String> = lines.chain([stream.complete()]).collect();
    let job = Job::new(&sim, &[&stream]).set("max_job_rows", 200);
    job.write(&lines).await.succeeded();
    assert_eq!(sim.jobs().await.len(), 4, "as many as without lanes");
}

/// Versions of a record that change its parent, or name none, go into the lane of the first.
#[tokio::test]
async fn versions_of_a_record_keep_their_order_when_its_parent_changes() {
    const KEYS: usize = 400;
    let sim = TestSim::with_job_time(Duration::from_millis(5)).await;
    add_accounts(&sim, 30).await;
    let stream = Stream::new("children", "Contact", &[KEY, "LastName", PARENT]);
    let mut configured = crate::harness::lines::catalog(&[&stream]);
    configured["streams"][0]["destination_sync_mode"] = json!("append_dedup");
    configured["streams"][0]["primary_key"] = json!([[KEY]]);
    let mut random = fastrand::Rng::with_seed(3);
    let mut last: BTreeMap<String, (String, Option<String>)> = BTreeMap::new();
    let mut lines = Vec::new();
    for row in 0..3_000 {
        let key = format!("C-{}", random.usize(..KEYS));
        let parent = (random.u8(..4) > 0).then(|| format!("A-{}", random.usize(..30)));
        let name = format!("N-{row}");
        lines.push(stream.record(&json!({KEY: key, "LastName": name, PARENT: parent})));
        let version = last.entry(key).or_default();
        version.0 = name;
        // A null leaves the field as it is.
        version.1 = parent.or(version.1.take());
    }
    lines.push(stream.state(1, 3_000));
    lines.push(stream.complete());
    let job = Job::with_catalog(&sim, configured)
        .set("max_job_rows", 60)
        .set("max_jobs_in_flight", 5);

    let output = job.write(&lines).await.succeeded();

    assert_eq!(output.state_ids(), [1]);
    let parents = sim.rows("Account").await;
    let names: BTreeMap<&str, &str> = parents
        .iter()
        .map(|account| {
            (
                account["Id"].as_str().unwrap(),
                account[KEY].as_str().unwrap(),
            )
        })
        .collect();
    for contact in sim.rows("Contact").await {
        let (name, parent) = &last[contact[KEY].as_str().unwrap()];
        assert_eq!(contact["LastName"], *name);
        let found = contact["AccountId"].as_str().map(|id| names[id]);
        assert_eq!(found, parent.as_deref(), "{name}");
    }
}

/// Random text, which no compression makes small, into many parents, with rows that are sent again:
/// memory is used up all the time.
#[tokio::test]
async fn many_parents_go_through_little_memory() {
    const RECORDS: usize = 1_600;
    const TEXT: usize = 25_000;
    let sim = TestSim::start().await;
    add_accounts(&sim, 40).await;
    sim.fault(&json!({"object": "Contact", "times": 20, "do": {"lock_rows": {"share": 0.2}}}))
        .await;
    let mut random = fastrand::Rng::with_seed(11);
    let text: String = (0..50 * TEXT).map(|_| random.alphanumeric()).collect();
    let stream = Stream::new(
        "children",
        "Contact",
        &[KEY, "LastName", PARENT, "Description"],
    );
    let mut lines: Vec<String> = (0..RECORDS)
        .map(|row| {
            let from = row * (TEXT + 7) % (text.len() - TEXT);
            let parent = format!("A-{}", random.usize(..40));
            stream.record(
                &json!({KEY: format!("C-{row}"), "LastName": "Ng", PARENT: parent,
                "Description": &text[from..from + TEXT]}),
            )
        })
        .collect();
    lines.push(stream.state(1, RECORDS));
    lines.push(stream.complete());
    let job = Job::new(&sim, &[&stream])
        .set("memory_limit_bytes", 128 << 20)
        .set("max_jobs_in_flight", 8)
        .rejects_to_folder();

    let output = job.write(&lines).await.succeeded();

    assert_eq!(output.state_ids(), [1]);
    assert_eq!(sim.column("Contact", KEY).await.len(), RECORDS);
    assert!(sim.jobs().await.len() > 3, "memory was never short");
}

#[tokio::test]
async fn a_field_that_the_stream_lacks_is_a_config_error() {
    let sim = TestSim::start().await;
    let stream = children();
    let lines = [stream.record(&json!({"LastName": "Ng"})), stream.complete()];

    let job = Job::new(&sim, &[&stream]).set("group_by", "ReportsToId");

    let message = job.write(&lines).await.failed("config_error");
    for text in ["group_by names ReportsToId", "AccountId, none"] {
        assert!(message.contains(text), "{message}");
    }
    let job = Job::new(&sim, &[&stream]).set("group_by", "Task.WhoId, contact.accountid");
    job.write(&lines).await.succeeded();
}
