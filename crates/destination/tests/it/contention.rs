//! An org whose jobs fight over the parents of their rows: what is refused for that is sent again.

use std::time::Duration;

use salesforce_sim::Contention;
use serde_json::{Value, json};
use testkit::KEY;
use testkit::rejected::{self, codes};
use testkit::sim::TestSim;

use crate::harness::lines::Stream;
use crate::harness::process::{Job, Output};

/// An org with accounts, in which children of one account fight.
async fn org(accounts: usize, change: impl FnOnce(&mut Contention)) -> TestSim {
    let sim = TestSim::start().await;
    let rows = (0..accounts).map(|number| format!("A-{number},Acme\n"));
    let csv = format!("{KEY},Name\n{}", rows.collect::<String>());
    sim.insert("Account", &csv).await;
    let mut contention = Contention {
        quiet: Duration::from_millis(200),
        ..Contention::default()
    };
    change(&mut contention);
    sim.set(&json!({"contention": contention, "refuse_duplicates": false}))
        .await;
    sim
}

fn contacts() -> Stream {
    Stream::new(
        "contacts",
        "Contact",
        &[KEY, "LastName", "Account.Ext_Id__c"],
    )
}

/// Loads contacts; a function says the last name and the account of each.
async fn load(
    sim: &TestSim,
    records: usize,
    of: impl Fn(usize) -> (Option<&'static str>, usize),
    settings: &Value,
) -> (Job, Output) {
    let stream = contacts();
    let record = |number| {
        let (name, account) = of(number);
        let account = format!("A-{account}");
        let key = format!("C-{number}");
        stream.record(&json!({KEY: key, "LastName": name, "Account.Ext_Id__c": account}))
    };
    let mut lines: Vec<String> = (0..records).map(record).collect();
    lines.push(stream.state(1, records));
    lines.push(stream.complete());
    let mut job = Job::new(sim, &[&stream]).rejects_to_folder();
    for (key, value) in settings.as_object().into_iter().flatten() {
        job = job.set(key, value.clone());
    }
    let output = job.write(&lines).await;
    (job, output)
}

fn rejects(job: &Job) -> Vec<rejected::Rejected> {
    let files = job.reject_files();
    rejected::read_all(files.iter().map(|(name, content)| (name, content)))
}

/// The keys in the org, each of which must be there once.
async fn keys(sim: &TestSim) -> usize {
    let mut keys = sim.column("Contact", KEY).await;
    let all = keys.len();
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), all, "no record is doubled");
    all
}

#[tokio::test]
async fn rows_that_lost_a_fight_over_their_parent_are_sent_again() {
    // Four jobs take 6 s a transaction: the third in a row for one account has waited too long.
    let sim = org(4, |contention| {
        contention.chunk_time = Duration::from_secs(5);
    })
    .await;
    let settings = json!({"max_job_rows": 600, "max_jobs_in_flight": 4, "group_by": "none"});

    let (job, output) = load(&sim, 3_000, |number| (Some("Ng"), number % 4), &settings).await;

    output.succeeded();
    let contention = &sim.state().await["contention"];
    assert!(
        contention["lock_failures"].as_u64() > Some(0),
        "{contention}"
    );
    assert_eq!(codes(&rejects(&job)), [].into());
    assert_eq!(keys(&sim).await, 3_000);
}

#[tokio::test]
async fn good_rows_that_failed_with_bad_ones_are_sent_again() {
    let sim = org(1, |contention| {
        contention.triggers = vec!["Contact".to_owned()];
    })
    .await;
    // A transaction has 40 bad rows, more than it is saved again without.
    let bad = |number: usize| (Some("Ng").filter(|_| !number.is_multiple_of(5)), 0);

    let (job, output) = load(&sim, 400, bad, &json!({})).await;

    output.succeeded();
    assert_eq!(
        codes(&rejects(&job)),
        [("REQUIRED_FIELD_MISSING", 80)].into()
    );
    assert_eq!(keys(&sim).await, 320);
    // That of the accounts, and more than one of contacts.
    assert!(sim.jobs().await.len() > 2);
}
