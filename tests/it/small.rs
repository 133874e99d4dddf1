//! Small chunks of keyed operations, in one call: also when its response is lost.

use std::sync::Arc;

use arrow_salesforce::arrow::array::{ArrayRef, AsArray, RecordBatch, StringArray};
use arrow_salesforce::bulk::{
    Client, Credentials, EndedJob, JobState, JobTarget, RunningJob, Search, Submitted,
};
use arrow_salesforce::chunk::{Chunk, Chunker, RowOrdinals};
use arrow_salesforce::load::Loader;
use arrow_salesforce::object::Operation;
use arrow_salesforce::options::OrgOptions;
use futures::TryStreamExt;
use serde_json::json;
use testkit::KEY;
use testkit::sim::{CLIENT_ID, CLIENT_SECRET, REFRESH_TOKEN, TestSim};

async fn client(sim: &TestSim) -> Client {
    let url = sim.url().parse().unwrap();
    let login = Credentials::refresh_token(url, CLIENT_ID, CLIENT_SECRET, REFRESH_TOKEN);
    Client::connect(login).await.unwrap()
}

fn upsert() -> JobTarget {
    JobTarget {
        object: "Contact".to_owned(),
        operation: Operation::Upsert {
            external_id: KEY.to_owned(),
        },
        assignment_rule_id: None,
    }
}

/// Contacts of a group, with quotes and line breaks in their names.
fn chunk(group: &str) -> Arc<Chunk> {
    let column = |make: fn(&str, usize) -> String| {
        let texts = (0..50).map(|number| Some(make(group, number)));
        Arc::new(texts.collect::<StringArray>()) as ArrayRef
    };
    let cells = RecordBatch::try_from_iter_with_nullable([
        (
            KEY,
            column(|group, number| format!("{group}-{number}")),
            true,
        ),
        (
            "LastName",
            column(|_, number| format!("Ng, \"{number}\"\nJr.")),
            true,
        ),
    ])
    .unwrap();
    let mut chunker = Chunker::new(&cells.schema(), 100_000, None).unwrap();
    let pushed = chunker.push(&cells, RowOrdinals::From(0), None).unwrap();
    assert!(pushed.closed.is_empty());
    Arc::new(chunker.close().unwrap())
}

/// Makes a job of a group, also where the answer to the call is lost.
async fn submit(client: &Client, group: &str) -> RunningJob {
    let mut submitted = client.submit_small(&upsert(), &chunk(group)).await;
    loop {
        let unanswered = match submitted.unwrap() {
            Submitted::Running(job) => return job,
            Submitted::Unanswered(unanswered) => unanswered,
        };
        submitted = match unanswered.next_candidate().await.unwrap() {
            Search::Candidate(candidate) if is_of(candidate.job(), group).await => {
                return candidate.take();
            }
            Search::Candidate(candidate) => Ok(Submitted::Unanswered(candidate.pass_over())),
            Search::NotMade(not_made) => not_made.submit().await,
        };
    }
}

/// Whether all rows of an ended job are of this group.
async fn is_of(job: &EndedJob, group: &str) -> bool {
    let rows: Vec<RecordBatch> = job
        .successful_results()
        .await
        .unwrap()
        .try_collect()
        .await
        .unwrap();
    let start = format!("{group}-");
    rows.iter().all(|rows| {
        let keys = rows.column_by_name(KEY).unwrap().as_string::<i32>();
        keys.iter().all(|key| key.unwrap().starts_with(&start))
    })
}

async fn faults(sim: &TestSim, action: &str, times: u32) {
    let fault =
        json!({"method": "POST", "path": "*/jobs/ingest", "times": times, "do": {action: {}}});
    sim.fault(&fault).await;
}

#[tokio::test]
async fn one_call_and_a_job() {
    let sim = TestSim::start().await;
    let client = client(&sim).await;
    let job = submit(&client, "A").await;
    assert_eq!(client.usage().api_calls, 1);
    let ended = job.finished().await.unwrap();
    assert_eq!(ended.state, JobState::JobComplete);
    assert_eq!((ended.processed, ended.failed), (Some(50), Some(0)));
    assert_eq!(sim.rows("Contact").await.len(), 50);
}

#[tokio::test]
async fn lost_responses_of_several_calls_at_once_make_no_job_twice() {
    let sim = TestSim::start().await;
    sim.set(&json!({"job_time": {"secs": 1, "nanos": 0}})).await;
    let client = client(&sim).await;
    faults(&sim, "lose", 3).await;
    let groups = ["A", "B", "C"].map(|group| {
        let client = client.clone();
        async move {
            let job = submit(&client, group).await;
            job.finished().await.unwrap()
        }
    });
    let ended = futures::future::join_all(groups).await;
    let mut ids: Vec<_> = ended.iter().map(|job| job.id.as_str()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 3, "each has its own job");
    assert_eq!(sim.jobs().await.len(), 3, "and there is no other");
    assert_eq!(sim.rows("Contact").await.len(), 150);
}

#[tokio::test]
async fn a_call_that_never_arrived_is_repeated() {
    let sim = TestSim::start().await;
    let client = client(&sim).await;
    faults(&sim, "close", 1).await;
    let job = submit(&client, "A").await;
    assert_eq!(job.finished().await.unwrap().processed, Some(50));
    assert_eq!(sim.jobs().await.len(), 1);
}

#[tokio::test]
async fn another_process_with_a_job_of_the_same_kind() {
    let sim = TestSim::start().await;
    let (ours, theirs) = (client(&sim).await, client(&sim).await);
    let _theirs = submit(&theirs, "B").await;
    faults(&sim, "close", 1).await;
    let job = submit(&ours, "A").await;
    assert_eq!(job.finished().await.unwrap().processed, Some(50));
    assert_eq!(
        sim.rows("Contact").await.len(),
        100,
        "theirs is not taken for ours"
    );
}

/// The loader decides by all values in their canonical form, as the org's fields echo them.
#[tokio::test]
async fn loads_whose_calls_lose_their_answers_make_no_job_twice() {
    let sim = TestSim::start().await;
    sim.set(&json!({"job_time": {"secs": 1, "nanos": 0}})).await;
    let org = crate::library::org(&sim, OrgOptions::default()).await;
    faults(&sim, "lose", 3).await;
    let loads = ["A", "B", "C"].map(|group| {
        let org = org.clone();
        async move {
            let rows = chunk(group).parts()[0].cells.clone();
            let loader = Loader::builder(&org)
                .object("Contact")
                .operation(upsert().operation)
                .schema(rows.schema())
                .build()
                .await
                .unwrap();
            let rows = futures::stream::iter([Ok::<_, arrow_salesforce::Error>(rows)]);
            loader.load(rows).await.unwrap().report
        }
    });
    for report in futures::future::join_all(loads).await {
        assert_eq!((report.read, report.accepted, report.jobs), (50, 50, 1));
    }
    assert_eq!(sim.jobs().await.len(), 3, "each load made one");
    assert_eq!(sim.rows("Contact").await.len(), 150);
}
