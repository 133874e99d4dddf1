//! Jobs that fight over the same parents.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use super::{Client, SimOptions, counts, ended};
use crate::Contention;

/// An org in which a lock is waited for in vain whenever another holds it.
async fn start(change: impl FnOnce(&mut Contention)) -> Client {
    let mut contention = Contention {
        chunk_time: Duration::from_secs(20),
        job_time: Duration::ZERO,
        quiet: Duration::from_millis(20),
        ..Contention::default()
    };
    change(&mut contention);
    let options = SimOptions {
        contention: Some(contention),
        refuse_duplicates: false,
        shuffle_processing: false,
        ..SimOptions::default()
    };
    let client = Client::start(options).await;
    let accounts = "Name,Ext_Id__c\nAcme,A\nBolt,B\n";
    let url = format!("{}/sim/objects/Account/rows", client.sim.url());
    let added = client.http.post(url).body(accounts).send().await.unwrap();
    assert!(added.status().is_success());
    client
}

impl Client {
    async fn account(&self, key: &str) -> String {
        let rows = self.inspect("objects/Account/rows").await;
        let rows = rows.as_array().unwrap().iter();
        let mut found = rows.filter(|row| row["Ext_Id__c"] == key);
        found.next().unwrap()["Id"].as_str().unwrap().to_owned()
    }

    /// Closes jobs at the same moment and waits until they have ended.
    async fn together(&self, jobs: &[(Value, String)]) -> Vec<Value> {
        self.post("hold", &json!({"hold": true})).await;
        let mut ids = Vec::new();
        for (settings, csv) in jobs {
            let id = self.create(settings).await;
            self.upload(&id, csv).await;
            self.enter(&id, "UploadComplete").await;
            ids.push(id);
        }
        self.post("hold", &json!({"hold": false})).await;
        // All are polled in turn: the clock waits for the poll of each job that ended.
        let waits = ids.iter().map(|id| self.ended(id));
        futures::future::join_all(waits).await
    }

    async fn contention(&self) -> Value {
        self.inspect("state").await["contention"].clone()
    }
}

fn insert(object: &str) -> Value {
    json!({"object": object, "operation": "insert", "lineEnding": "LF"})
}

fn contacts(header: &str, parent: &str, rows: usize) -> String {
    (0..rows).fold(format!("LastName,{header}\n"), |csv, row| {
        format!("{csv}N{row},{parent}\n")
    })
}

#[tokio::test]
async fn jobs_in_flight_fight_over_a_parent() {
    let client = start(|_| {}).await;
    let account = client.account("A").await;
    // By Id in one job, by external ID in the other.
    let jobs = client
        .together(&[
            (
                insert("Contact"),
                contacts("AccountId", &account[..15], 200),
            ),
            (insert("Contact"), contacts("Account.Ext_Id__c", "A", 3)),
            (insert("Contact"), contacts("Account.Ext_Id__c", "B", 2)),
        ])
        .await;
    assert_eq!(counts(&jobs[0]), ended("JobComplete", 200, 0));
    assert_eq!(counts(&jobs[1]), ended("JobComplete", 3, 3));
    assert_eq!(counts(&jobs[2]), ended("JobComplete", 2, 0));
    assert_eq!(
        client.errors(&jobs[1]).await["A"],
        format!(
            "UNABLE_TO_LOCK_ROW:unable to obtain exclusive access to this record or 1 records: \
             {account}:--"
        )
    );
    assert_eq!(jobs[0]["totalProcessingTime"], 21_000);
    let found = client.contention().await;
    let expected = json!({
        "seconds": 21.0, "slot_seconds": 21.0 + 10.0 + 20.01, "chunks": 3, "lock_waits": 1,
        "lock_wait_seconds": 10.0, "lock_failures": 3, "put_back": 0, "failed_jobs": 0,
    });
    assert_eq!(found, expected);
    assert_eq!(client.sim.contention().lock_failures, 3);
    // One job after another fights with none.
    let job = client
        .run(&insert("Contact"), &contacts("Account.Ext_Id__c", "A", 3))
        .await;
    assert_eq!(counts(&job), ended("JobComplete", 3, 0));
    assert!((client.sim.contention().seconds - 41.015).abs() < 1e-6);
}

#[tokio::test]
async fn updates_and_deletes_lock_their_record_and_its_parents() {
    let client = start(|_| {}).await;
    client
        .run(
            &insert("Contact"),
            "LastName,Account.Ext_Id__c\nA,A\nB,B\nC,\nD,\n",
        )
        .await;
    let rows = client.inspect("objects/Contact/rows").await;
    let id = |row: usize| rows[row]["Id"].as_str().unwrap();
    let change = |operation: &str| json!({"object": "Contact", "operation": operation});
    let account = json!({"object": "Account", "operation": "update"});
    let jobs = client
        .together(&[
            (
                account,
                format!("Id,Site\n{},X\n", client.account("A").await),
            ),
            (
                change("update"),
                format!("Id,Title\n{},T\n{},T\n", id(0), id(1)),
            ),
            (change("delete"), format!("Id\n{}\n{}\n", id(2), id(1))),
            (
                change("update"),
                format!("Id,Title\n{},T\n{},T\n", id(2), id(3)),
            ),
        ])
        .await;
    // The update of the account locks it, and so does that of its contact.
    assert_eq!(counts(&jobs[0]), ended("JobComplete", 1, 0));
    assert_eq!(counts(&jobs[1]), ended("JobComplete", 2, 1));
    // The second contact and its account are locked, then the third by this job.
    assert_eq!(counts(&jobs[2]), ended("JobComplete", 2, 1));
    assert_eq!(counts(&jobs[3]), ended("JobComplete", 2, 1));
    let errors = client.errors(&jobs[2]).await;
    let error = &errors[id(1)];
    assert!(
        error.contains("or 2 records: 001") && error.contains(id(1)),
        "{error}"
    );
}

#[tokio::test]
async fn masters_and_lookups_of_the_setting_lock() {
    let more = "child__c.account__c".to_owned();
    let client = start(|settings| settings.locking_lookups = vec![more]).await;
    client
        .insert("Everything__c", "Name,Ext_Id__c\nE,e\n")
        .await;
    let header = "Parent__r.Ext_Id__c,Account__r.Ext_Id__c\n";
    let child = |text: &str| (insert("Child__c"), format!("{header}{text}\n"));
    let lookup = |parent: &str| {
        (
            insert("Everything__c"),
            format!("Name,Parent__c\nX,{parent}\n"),
        )
    };
    let account = client.account("B").await;
    let jobs = [child("e,"), child("e,"), lookup(&account), lookup(&account)];
    let jobs = client.together(&jobs).await;
    assert_eq!(counts(&jobs[1]), ended("JobComplete", 1, 1));
    // A plain lookup does not lock.
    assert_eq!(counts(&jobs[3]), ended("JobComplete", 1, 0));
    client
        .insert("Everything__c", "Name,Ext_Id__c\nF,f\n")
        .await;
    let jobs = client.together(&[child("e,A"), child("f,A")]).await;
    assert_eq!(counts(&jobs[1]), ended("JobComplete", 1, 1));
}

#[tokio::test]
async fn a_batch_that_is_put_back_too_often_fails_its_job() {
    let client = start(|settings| {
        settings.chunk_time = Duration::from_secs(100);
        settings.batch_limit = Duration::from_secs(3_000);
        settings.tries = 2;
    })
    .await;
    let jobs = client
        .together(&[
            (insert("Contact"), contacts("Account.Ext_Id__c", "A", 2_000)),
            (insert("Contact"), contacts("Account.Ext_Id__c", "A", 1_000)),
        ])
        .await;
    assert_eq!(counts(&jobs[0]), ended("JobComplete", 2_000, 0));
    assert_eq!(counts(&jobs[1]), ended("Failed", 400, 400));
    assert_eq!(jobs[1]["retries"], 2);
    assert_eq!(
        jobs[1]["errorMessage"],
        "TooManyLockFailure : Too many lock failure 200 Trying again later"
    );
    let unprocessed = client.result(&jobs[1], "unprocessedrecords").await;
    assert_eq!(unprocessed.len(), 1 + 600);
    let state = client.inspect("state").await;
    assert_eq!(
        (&state["jobs"][1]["put_back"], &state["batches"]),
        (&json!(2), &json!(2))
    );
}

#[tokio::test]
async fn with_a_trigger_bad_rows_make_good_ones_fail() {
    let client = start(|settings| settings.triggers = vec!["contact".to_owned()]).await;
    let bad = |count: usize| {
        (0..200).fold("LastName,Ext_Id__c\n".to_owned(), |csv, row| {
            let name = if row < count { "" } else { "N" };
            format!("{csv}{name},{count}-{row}\n")
        })
    };
    let job = client.insert("Contact", &bad(30)).await;
    assert_eq!(counts(&job), ended("JobComplete", 200, 30));
    assert_eq!(job["totalProcessingTime"], 84_000);
    let job = client.insert("Contact", &bad(31)).await;
    assert_eq!(counts(&job), ended("JobComplete", 200, 200));
    let error = &client.errors(&job).await["31-199"];
    assert!(error.contains("Too many retries of batch save"), "{error}");
}

#[tokio::test]
async fn an_aborted_job_lets_others_go_on() {
    let client = start(|settings| settings.speed = Some(50.0)).await;
    let jobs = [20_000, 200].map(|rows| contacts("Account.Ext_Id__c", "A", rows));
    let mut ids = Vec::new();
    for csv in &jobs {
        let id = client.create(&insert("Contact")).await;
        client.upload(&id, csv).await;
        client.enter(&id, "UploadComplete").await;
        ids.push(id);
    }
    // At 50 s a second, the first needs more than twenty.
    let (_, job) = client.enter(&ids[0], "Aborted").await;
    assert_eq!(job["state"], "Aborted");
    assert_eq!(client.ended(&ids[1]).await["state"], "JobComplete");
    client
        .call(Method::DELETE, &format!("/jobs/ingest/{}", ids[0]))
        .send()
        .await
        .unwrap();
    let job = client
        .run(&insert("Contact"), &contacts("Account.Ext_Id__c", "A", 2))
        .await;
    assert_eq!(counts(&job), ended("JobComplete", 2, 0));
}

#[tokio::test]
async fn the_clock_stands_still_while_jobs_are_held_and_after_a_reset() {
    let client = start(|_| {}).await;
    client.post("hold", &json!({"hold": true})).await;
    let id = client.create(&insert("Contact")).await;
    client.upload(&id, "LastName\nA\n").await;
    client.enter(&id, "UploadComplete").await;
    assert_eq!(client.contention().await["seconds"], 0.0);
    client.post("hold", &json!({"hold": false})).await;
    client.ended(&id).await;
    assert!(client.sim.contention().seconds > 20.0);
    client.post("reset", &json!({})).await;
    assert_eq!(client.contention().await["seconds"], 0.0);
    assert_eq!(
        client.insert("Contact", "LastName\nA\n").await["state"],
        "JobComplete"
    );
}

#[tokio::test]
async fn faults_that_end_jobs_early_go_first() {
    let client = start(|_| {}).await;
    let fault = json!([{"do": {"end_job": {"state": "failed", "after_rows": 1, "message": "M"}}}]);
    client.post("faults", &fault).await;
    let job = client.insert("Contact", "LastName\nA\nB\n").await;
    assert_eq!(counts(&job), ended("Failed", 1, 0));
    assert_eq!(client.contention().await["chunks"], 0);
}

#[tokio::test]
async fn without_the_setting_nothing_is_locked() {
    let client = Client::start(SimOptions::default()).await;
    client.insert("Contact", "LastName\nA\n").await;
    assert_eq!(client.sim.contention(), crate::ContentionCounts::default());
}
