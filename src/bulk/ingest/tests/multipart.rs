//! Jobs created by one call, and each way its answer can go missing.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::bulk::testing::*;
use crate::bulk::{
    BulkError, Client, JobState, JobTarget, MULTIPART_CHARS, RunningJob, Search, Submitted,
};
use crate::error::ErrorKind;
use crate::object::Operation;

const LIST: &str = "GET /services/data/v62.0/jobs/ingest?jobType=V2Ingest";
const LOOK: &str = "GET ?jobType=V2Ingest";

fn upsert() -> JobTarget {
    let external_id = "Ext__c".to_owned();
    JobTarget {
        operation: Operation::Upsert { external_id },
        ..target()
    }
}

const PROCESSED: &str = "\"numberRecordsProcessed\":2";

/// An entry of the list of jobs.
fn listed(id: &str, state: &str, created: DateTime<Utc>, changed: &[(&str, &str)]) -> String {
    let mut job = serde_json::json!({
        "id": id, "object": "Contact", "operation": "upsert", "state": state,
        "createdById": USER, "createdDate": created.format("%Y-%m-%dT%H:%M:%S%.3f%z").to_string(),
        "jobType": "V2Ingest", "numberRecordsProcessed": 2, "numberRecordsFailed": 1,
    });
    for (key, value) in changed {
        job[key] = (*value).into();
    }
    job.to_string()
}

fn list(jobs: &[String]) -> Reply {
    let records = jobs.join(",");
    reply(
        200,
        format!(r#"{{"done":true,"records":[{records}],"nextRecordsUrl":null}}"#),
    )
}

fn route(id: &str) -> String {
    format!("GET /services/data/v62.0/jobs/ingest/{id}")
}

/// Submits [`few`], and takes the candidate with this id for its job.
async fn submit(client: &Client, wanted: &str) -> Result<RunningJob, BulkError> {
    let mut submitted = client.submit_small(&upsert(), &few()).await?;
    loop {
        let unanswered = match submitted {
            Submitted::Running(job) => return Ok(job),
            Submitted::Unanswered(unanswered) => unanswered,
        };
        submitted = match unanswered.next_candidate().await? {
            Search::Candidate(candidate) if candidate.job().id == wanted => {
                return Ok(candidate.take());
            }
            Search::Candidate(candidate) => Submitted::Unanswered(candidate.pass_over()),
            Search::NotMade(not_made) => not_made.submit().await?,
        };
    }
}

fn posts(server: &Server) -> usize {
    server.seen(CREATE).len()
}

#[tokio::test]
async fn one_call_brings_the_rows_along() {
    let server = Server::start().await;
    server.on(CREATE, [job_info("UploadComplete")]);
    server.on(JOB, [job_info("JobComplete")]);
    let client = server.client().await;
    let chunk = few();
    let job = submit(&client, "none").await.unwrap();
    assert_eq!(job.id(), "750A");
    let call = &server.seen(CREATE)[0];
    assert!(!call.headers.contains_key("transfer-encoding"));
    let (kind, boundary) = call.headers["content-type"]
        .split_once("; boundary=")
        .unwrap();
    assert_eq!(kind, "multipart/form-data");
    let csv = String::from_utf8(csv(&chunk)).unwrap();
    let text = call
        .text()
        .replace(boundary, "(boundary)")
        .replace(&csv, "(csv)");
    insta::assert_snapshot!(text, @r#"
    --(boundary)
    Content-Disposition: form-data; name="job"
    Content-Type: application/json

    {"columnDelimiter":"COMMA","contentType":"CSV","externalIdFieldName":"Ext__c","lineEnding":"LF","object":"Contact","operation":"upsert"}
    --(boundary)
    Content-Disposition: form-data; name="content"; filename="content"
    Content-Type: text/csv

    (csv)
    --(boundary)--
    "#);
    let usage = client.usage();
    assert_eq!((usage.api_calls, usage.uploaded_bytes), (1, chunk.bytes()));
    assert!(client.open_jobs().is_empty(), "it is not to be aborted");
    assert_eq!(job.finished().await.unwrap().state, JobState::JobComplete);
}

#[tokio::test]
async fn inserts_and_large_chunks_are_refused() {
    let server = Server::start().await;
    let client = server.client().await;
    let (small, large) = (few(), chunk());
    assert!(large.bytes() >= MULTIPART_CHARS);
    assert!(upsert().fits_one_call(&small));
    assert!(!upsert().fits_one_call(&large));
    assert!(!target().fits_one_call(&small));
    let large = client.submit_small(&upsert(), &large).await.unwrap_err();
    let insert = client.submit_small(&target(), &small).await.unwrap_err();
    assert_eq!(insert.kind(), ErrorKind::System);
    insta::assert_snapshot!(insert, @"insert of Contact: a chunk of 62 bytes does not go into the call that creates its job; keyed operations of fewer than 100,000 do");
    assert!(matches!(large, BulkError::NotSmall { .. }), "{large}");
    assert_eq!(posts(&server), 0);
}

#[tokio::test]
async fn what_salesforce_has_not_done_is_repeated_at_once() {
    let server = Server::start().await;
    let throttled = with_header(429, "Retry-After", "9", "");
    server.on(CREATE, [throttled, expired(), job_info("UploadComplete")]);
    let client = server.client().await;
    let _job = submit(&client, "750B").await.unwrap();
    assert_eq!(server.log(), ["POST ", "POST ", "POST "]);
    assert_eq!(pauses(&client), [Duration::from_secs(9)]);
    server.on(CREATE, [api_error(400, "INVALIDJOB", "no multipart here")]);
    let error = submit(&client, "750B").await.unwrap_err();
    assert!(matches!(error, BulkError::Refused { .. }), "{error}");
    assert_eq!(posts(&server), 4);
}

#[tokio::test]
async fn a_lost_answer_is_found_in_the_list() {
    let unclear = [
        Reply::Lost,
        reply(503, "<html>"),
        reply(200, "<html>"),
        Reply::Cut(r#"{"id":"#.to_owned()),
    ];
    for unclear in unclear {
        let server = Server::start().await;
        server.on(CREATE, [unclear.clone()]);
        server.on(
            LIST,
            [list(&[listed("750B", "InProgress", Utc::now(), &[])])],
        );
        let ended = listed("750B", "JobComplete", Utc::now(), &[]);
        server.on(&route("750B"), [reply(200, ended)]);
        let client = server.client().await;
        let job = submit(&client, "750B").await.unwrap();
        assert_eq!(job.id(), "750B", "{unclear:?}");
        let asked = server.log().len();
        let ended = job.finished().await.unwrap();
        assert_eq!((ended.processed, ended.failed), (Some(2), Some(1)));
        assert_eq!(server.log().len(), asked, "its end is known");
        assert_eq!(posts(&server), 1);
    }
}

#[tokio::test]
async fn a_call_that_never_arrived_is_repeated() {
    let server = Server::start().await;
    server.on(CREATE, [Reply::Lost, job_info("UploadComplete")]);
    server.on(LIST, [list(&[])]);
    let client = server.client().await;
    let job = submit(&client, "750B").await.unwrap();
    assert_eq!(job.id(), "750A");
    assert_eq!(server.log(), ["POST ", LOOK, LOOK, LOOK, "POST "]);
    let posts = server.seen(CREATE);
    assert!(posts[1].text().contains("Ext__c,LastName,Amount\nA-1,"));
}

#[tokio::test]
async fn a_job_that_appears_late_is_found() {
    let server = Server::start().await;
    server.on(CREATE, [reply(504, "")]);
    let job = listed("750B", "JobComplete", Utc::now(), &[]);
    server.on(LIST, [list(&[]), list(&[job])]);
    let client = server.client().await;
    let job = submit(&client, "750B").await.unwrap();
    assert_eq!((job.id(), posts(&server)), ("750B", 1));
}

#[tokio::test]
async fn jobs_of_others_end_before_another_is_made() {
    let server = Server::start().await;
    server.on(CREATE, [Reply::Lost, job_info("UploadComplete")]);
    server.on(
        LIST,
        [list(&[listed("750B", "UploadComplete", Utc::now(), &[])])],
    );
    let running = reply(200, listed("750B", "InProgress", Utc::now(), &[]));
    let ended = reply(200, listed("750B", "JobComplete", Utc::now(), &[]));
    server.on(&route("750B"), [running, ended]);
    let client = server.client().await;
    let job = submit(&client, "none").await.unwrap();
    assert_eq!(job.id(), "750A");
    let log = server.log();
    let waited = log.iter().rposition(|line| line == "GET /750B").unwrap();
    let again = log.iter().rposition(|line| line == "POST ").unwrap();
    assert!(waited < again, "{log:?}");
    assert_eq!(server.seen(&route("750B")).len(), 2, "looked at once");
}

#[tokio::test]
async fn of_several_jobs_each_is_a_candidate_until_one_is_taken() {
    let server = Server::start().await;
    server.on(CREATE, [Reply::Lost]);
    let jobs = ["750C", "750D", "750B", "750E"];
    server.on(
        LIST,
        [list(
            &jobs.map(|id| listed(id, "JobComplete", Utc::now(), &[])),
        )],
    );
    let client = server.client().await;
    let job = submit(&client, "750B").await.unwrap();
    assert_eq!((job.id(), posts(&server)), ("750B", 1));

    let taken = submit(&client, "750C").await.unwrap();
    assert_eq!(taken.id(), "750C");
    let Submitted::Unanswered(call) = client.submit_small(&upsert(), &few()).await.unwrap() else {
        panic!("it is answered")
    };
    let Search::Candidate(candidate) = call.next_candidate().await.unwrap() else {
        panic!("there is no candidate")
    };
    assert_eq!(candidate.job().id, "750D", "750B and 750C are taken");
}

#[tokio::test]
async fn a_job_of_other_rows_in_number_is_no_candidate() {
    for (state, processed, is_candidate) in [
        ("JobComplete", 2, true),
        ("JobComplete", 1, false),
        ("JobComplete", 3, false),
        ("Failed", 1, true),
        ("Failed", 0, false),
        ("Aborted", 3, false),
    ] {
        let server = Server::start().await;
        server.on(CREATE, [Reply::Lost, job_info("UploadComplete")]);
        let job = listed("750B", state, Utc::now(), &[]).replace(
            PROCESSED,
            &format!("\"numberRecordsProcessed\":{processed}"),
        );
        server.on(LIST, [list(&[job])]);
        let client = server.client().await;
        let job = submit(&client, "750B").await.unwrap();
        let expected = if is_candidate { "750B" } else { "750A" };
        assert_eq!(job.id(), expected, "{state} {processed}");
    }
}

#[tokio::test]
async fn what_cannot_be_the_job_is_not_waited_for() {
    let server = Server::start().await;
    let (now, client) = (Utc::now(), server.client().await);
    server.on(CREATE, [job_info("UploadComplete")]);
    let _known = submit(&client, "750B").await.unwrap();
    server.seen.lock().clear();
    server.on(CREATE, [Reply::Lost, job_info("UploadComplete")]);
    let others = [
        listed("750A", "InProgress", now, &[]),
        listed(
            "750C",
            "InProgress",
            now,
            &[("createdById", "0055g0000000002AAA")],
        ),
        listed("750D", "InProgress", now, &[("object", "Account")]),
        listed("750E", "InProgress", now, &[("operation", "update")]),
        listed("750F", "Open", now, &[]),
        listed("750G", "InProgress", now - TimeDelta::minutes(6), &[]),
    ];
    server.on(LIST, [list(&others)]);
    let _job = submit(&client, "750B").await.unwrap();
    assert_eq!(server.log(), ["POST ", LOOK, LOOK, LOOK, "POST "]);
}

#[tokio::test]
async fn salesforces_clock_counts() {
    let server = Server::start().await;
    let long_ago = Utc::now() - TimeDelta::days(400);
    let date = long_ago.to_rfc2822().replace("+0000", "GMT");
    server.on(
        "GET /services/data/v62.0/sobjects",
        [with_header(200, "Date", &date, "{}")],
    );
    server.on(CREATE, [Reply::Lost]);
    server.on(
        LIST,
        [list(&[listed("750B", "JobComplete", long_ago, &[])])],
    );
    let client = server.client().await;
    client.sobjects().await.unwrap();
    let job = submit(&client, "750B").await.unwrap();
    assert_eq!(job.id(), "750B");
}

#[tokio::test]
async fn jobs_that_wrote_nothing_or_are_gone_are_passed_over() {
    let server = Server::start().await;
    server.on(CREATE, [Reply::Lost, job_info("UploadComplete")]);
    let refused = listed("750B", "Failed", Utc::now(), &[])
        .replace(PROCESSED, "\"numberRecordsProcessed\":0");
    let jobs = [refused, listed("750C", "InProgress", Utc::now(), &[])];
    server.on(LIST, [list(&jobs)]);
    server.on(&route("750C"), [api_error(404, "NOT_FOUND", "gone")]);
    let client = server.client().await;
    let job = submit(&client, "750B").await.unwrap();
    assert_eq!((job.id(), posts(&server)), ("750A", 2));
}

#[tokio::test]
async fn all_pages_of_the_list_are_read() {
    let server = Server::start().await;
    server.on(CREATE, [Reply::Lost]);
    let next = "/services/data/v62.0/jobs/ingest?queryLocator=01g%2B-1000";
    let first = format!(r#"{{"done":false,"records":[],"nextRecordsUrl":"{next}"}}"#);
    server.on(LIST, [reply(503, ""), reply(200, first)]);
    let job = listed("750B", "JobComplete", Utc::now(), &[]);
    server.on(&format!("GET {next}"), [list(&[job])]);
    let client = server.client().await;
    let job = submit(&client, "750B").await.unwrap();
    assert_eq!((job.id(), posts(&server)), ("750B", 1));
}

#[tokio::test]
async fn a_list_that_cannot_be_read_leaves_it_unclear() {
    let server = Server::start().await;
    server.on(CREATE, [Reply::Lost]);
    server.on(LIST, [api_error(403, "INSUFFICIENT_ACCESS", "no")]);
    let client = server.client().await;
    let error = submit(&client, "750B").await.unwrap_err();
    insta::assert_snapshot!(error, @"whether Salesforce has taken the rows of a job for Contact is not known, so they may have been loaded; look at Setup > Bulk Data Load Jobs before they are sent again: listing jobs: Salesforce refused it (HTTP 403 INSUFFICIENT_ACCESS: no); grant the integration user API Enabled, and the object permissions of the load");
    assert_eq!(error.kind(), ErrorKind::Transient);
    assert_eq!(posts(&server), 1);
}

#[tokio::test]
async fn an_outage_ends_with_the_patience() {
    let server = Server::start().await;
    server.on(CREATE, [reply(503, "<html>")]);
    server.on(LIST, [list(&[])]);
    let client = server.patient(20).await;
    let error = submit(&client, "750B").await.unwrap_err();
    assert!(matches!(error, BulkError::Unavailable { .. }), "{error}");
    let posts = posts(&server);
    assert!((5..12).contains(&posts), "{posts}");
}
