//! Jobs: stage, close, poll, abort, with each way an answer can go missing.

use std::time::Duration;

use crate::bulk::testing::*;
use crate::bulk::{BulkError, Client, JobState, StagedJob};
use crate::error::ErrorKind;

pub(super) async fn staged(server: &Server) -> (Client, StagedJob) {
    staged_by(server, server.client().await).await
}

async fn staged_by(server: &Server, client: Client) -> (Client, StagedJob) {
    server.on(CREATE, [job_info("Open")]);
    server.on(UPLOAD, [reply(201, "")]);
    let job = client.stage(&target(), &chunk()).await.unwrap();
    server.seen.lock().clear();
    (client, job)
}

#[tokio::test]
async fn a_chunk_is_uploaded_with_its_length() {
    let server = Server::start().await;
    server.on(CREATE, [job_info("Open")]);
    server.on(UPLOAD, [reply(201, "")]);
    let client = server.client().await;
    let chunk = chunk();
    let job = client.stage(&target(), &chunk).await.unwrap();
    assert_eq!(job.id(), "750A");
    let create: serde_json::Value = serde_json::from_slice(&server.seen(CREATE)[0].body).unwrap();
    assert_eq!(
        create,
        serde_json::json!({"object": "Contact", "operation": "insert", "contentType": "CSV",
            "lineEnding": "LF", "columnDelimiter": "COMMA"})
    );
    let upload = &server.seen(UPLOAD)[0];
    assert_eq!(upload.body, csv(&chunk));
    assert_eq!(upload.headers["content-length"], chunk.bytes().to_string());
    assert_eq!(upload.headers["content-type"], "text/csv; charset=UTF-8");
    assert!(!upload.headers.contains_key("transfer-encoding"));
    let usage = client.usage();
    assert_eq!(usage.uploaded_bytes, chunk.bytes());
    assert_eq!(usage.api_calls, 2);
}

#[tokio::test]
async fn an_unclear_upload_goes_into_a_new_job() {
    for unclear in [reply(503, "<html>"), reply(200, "<html>"), Reply::Lost] {
        let server = Server::start().await;
        let second = "PUT /services/data/v62.0/jobs/ingest/750B/batches";
        let other = r#"{"id":"750B","object":"Contact","operation":"insert","state":"Open"}"#;
        server.on(CREATE, [job_info("Open"), reply(200, other)]);
        server.on(UPLOAD, [unclear]);
        server.on(second, [reply(201, "")]);
        server.on(PATCH, [job_info("Aborted")]);
        let client = server.client().await;
        let chunk = chunk();
        let job = client.stage(&target(), &chunk).await.unwrap();
        assert_eq!(job.id(), "750B");
        assert_eq!(server.seen(UPLOAD)[0].body, server.seen(second)[0].body);
        assert_eq!(server.seen(PATCH)[0].text(), r#"{"state":"Aborted"}"#);
        assert_eq!(client.open_jobs(), ["750B"]);
        assert_eq!(client.usage().uploaded_bytes, 2 * chunk.bytes());
    }
}

#[tokio::test]
async fn a_throttled_upload_is_repeated_in_its_job() {
    let server = Server::start().await;
    server.on(CREATE, [job_info("Open")]);
    server.on(
        UPLOAD,
        [with_header(429, "Retry-After", "9", ""), reply(201, "")],
    );
    let client = server.client().await;
    let _job = client.stage(&target(), &chunk()).await.unwrap();
    assert_eq!(
        server.log(),
        ["POST ", "PUT /750A/batches", "PUT /750A/batches"]
    );
    assert_eq!(pauses(&client), [Duration::from_secs(9)]);
}

#[tokio::test]
async fn a_failed_stage_leaves_no_job_open() {
    let server = Server::start().await;
    server.on(CREATE, [job_info("Open")]);
    server.on(UPLOAD, [reply(500, "oops")]);
    server.on(PATCH, [job_info("Aborted")]);
    let client = server.patient(5).await;
    let error = client.stage(&target(), &chunk()).await.unwrap_err();
    assert!(matches!(error, BulkError::Unavailable { .. }), "{error}");
    assert!(server.seen(UPLOAD).len() >= 3);
    assert_eq!(server.seen(PATCH).len(), server.seen(CREATE).len());
    assert!(client.open_jobs().is_empty());

    server.on(UPLOAD, [api_error(403, "INSUFFICIENT_ACCESS", "no")]);
    server.seen.lock().clear();
    let error = client.stage(&target(), &chunk()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert_eq!(
        server.log(),
        ["POST ", "PUT /750A/batches", r#"{"state":"Aborted"}"#]
    );
    assert!(client.open_jobs().is_empty());
}

#[tokio::test]
async fn a_refused_creation_ends_at_once() {
    let server = Server::start().await;
    let text = "Entity 'X' is not supported by the Bulk API.";
    server.on(CREATE, [api_error(400, "INVALIDENTITY", text)]);
    let client = server.client().await;
    let error = client.stage(&target(), &chunk()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert_eq!(server.log(), ["POST "]);
}

#[tokio::test]
async fn a_lost_creation_is_repeated() {
    let server = Server::start().await;
    server.on(CREATE, [Reply::Lost, job_info("Open")]);
    server.on(UPLOAD, [reply(201, "")]);
    let client = server.client().await;
    let _job = client.stage(&target(), &chunk()).await.unwrap();
    assert_eq!(server.log(), ["POST ", "POST ", "PUT /750A/batches"]);
}

#[tokio::test]
async fn an_expired_session_during_the_upload() {
    let server = Server::start().await;
    server.on(CREATE, [job_info("Open")]);
    server.on(UPLOAD, [expired(), reply(201, "")]);
    let client = server.client().await;
    let chunk = chunk();
    let _job = client.stage(&target(), &chunk).await.unwrap();
    let uploads = server.seen(UPLOAD);
    assert_eq!(uploads[1].body, csv(&chunk));
    assert_eq!(uploads[1].headers["authorization"], "Bearer T2");
}

#[tokio::test]
async fn an_answer_before_the_end_of_the_upload() {
    for early in [401, 503] {
        let server = Server::start().await;
        server.on(CREATE, [job_info("Open")]);
        server.on(UPLOAD, [Reply::Early(early), reply(201, "")]);
        server.on(PATCH, [job_info("Aborted")]);
        let client = server.client().await;
        let chunk = chunk();
        let _job = client.stage(&target(), &chunk).await.unwrap();
        let uploads = server.seen(UPLOAD);
        assert_eq!(uploads.len(), 2);
        assert_eq!(uploads[1].body, csv(&chunk));
    }
}

#[tokio::test]
async fn a_close_is_one_call() {
    let server = Server::start().await;
    let (client, job) = staged(&server).await;
    server.on(PATCH, [job_info("UploadComplete")]);
    let job = job.close().await.unwrap();
    assert_eq!(job.id(), "750A");
    assert_eq!(server.log(), [r#"{"state":"UploadComplete"}"#]);
    assert!(client.open_jobs().is_empty());
}

#[tokio::test]
async fn an_unclear_close_is_resolved_by_reading() {
    const CLOSE: &str = r#"{"state":"UploadComplete"}"#;
    let done = api_error(
        400,
        "INVALIDJOBSTATE",
        "Closing already Completed Job not allowed",
    );
    let unclear = [
        Reply::Lost,
        reply(502, "<html>"),
        reply(409, "[]"),
        done,
        Reply::Cut("{".to_owned()),
        reply(200, ""),
        reply(204, ""),
        reply(200, "{}"),
        reply(200, "[]"),
        job_info("Open"),
        reply(501, "<html>"),
        reply(403, "<html>"),
    ];
    let states = ["UploadComplete", "InProgress", "JobComplete", "Failed"];
    for (reply, state) in unclear.into_iter().zip(states.into_iter().cycle()) {
        let server = Server::start().await;
        let (_, job) = staged(&server).await;
        server.on(PATCH, [reply.clone()]);
        server.on(JOB, [job_info(state)]);
        let _running = job.close().await.unwrap();
        assert_eq!(server.log(), [CLOSE, "GET /750A"], "{reply:?}");
    }
}

#[tokio::test]
async fn a_job_still_open_is_closed_again() {
    const CLOSE: &str = r#"{"state":"UploadComplete"}"#;
    let server = Server::start().await;
    let (client, job) = staged(&server).await;
    server.on(PATCH, [Reply::Lost, job_info("UploadComplete")]);
    server.on(JOB, [reply(503, ""), job_info("Open")]);
    let _running = job.close().await.unwrap();
    assert_eq!(server.log(), [CLOSE, "GET /750A", "GET /750A", CLOSE]);
    assert_eq!(pauses(&client).len(), 2);
}

#[tokio::test]
async fn a_job_that_cannot_be_closed_is_aborted() {
    let server = Server::start().await;
    let (client, job) = staged(&server).await;
    let no = api_error(403, "INSUFFICIENT_ACCESS", "no");
    server.on(PATCH, [no.clone(), job_info("Aborted")]);
    server.on(JOB, [job_info("Open"), job_info("Aborted")]);
    let error = job.close().await.unwrap_err();
    assert!(matches!(error, BulkError::Refused { .. }), "{error}");
    assert_eq!(
        server.seen(PATCH).pop().unwrap().text(),
        r#"{"state":"Aborted"}"#
    );
    assert!(client.open_jobs().is_empty());
}

#[tokio::test]
async fn a_refused_close_is_clear_even_if_the_job_stays_open() {
    let server = Server::start().await;
    let (_, job) = staged(&server).await;
    let used_up = "TotalRequests Limit exceeded.";
    server.on(PATCH, [api_error(403, "REQUEST_LIMIT_EXCEEDED", used_up)]);
    server.on(JOB, [job_info("Open")]);
    let error = job.close().await.unwrap_err();
    assert!(matches!(error, BulkError::DailyLimit { .. }), "{error}");
}

#[tokio::test]
async fn a_close_that_stays_unclear_says_so() {
    let server = Server::start().await;
    let (client, job) = staged(&server).await;
    server.on(PATCH, [Reply::Lost]);
    server.on(JOB, [reply(503, "")]);
    let error = job.close().await.unwrap_err();
    assert!(matches!(error, BulkError::CloseUnclear { .. }), "{error}");
    assert_eq!(error.kind(), ErrorKind::Transient);
    let waited: Duration = pauses(&client).iter().sum();
    assert!(waited > Duration::from_secs(500), "{waited:?}");
    assert_eq!(server.seen(PATCH).len(), 1);
}

#[tokio::test]
async fn rows_that_a_late_close_let_through_make_it_unclear() {
    let server = Server::start().await;
    let (_, job) = staged_by(&server, server.patient(1).await).await;
    let aborted = r#"{"id":"750A","object":"Contact","operation":"insert","state":"Aborted",
        "numberRecordsProcessed":200,"numberRecordsFailed":0}"#;
    // The first pause takes the whole patience, so that the second attempt is the last.
    let unclear = with_header(503, "Retry-After", "1", "");
    server.on(PATCH, [unclear.clone(), unclear, job_info("Aborted")]);
    let open = job_info("Open");
    server.on(JOB, [open.clone(), open, reply(200, aborted)]);
    let error = job.close().await.unwrap_err();
    assert!(matches!(error, BulkError::CloseUnclear { .. }), "{error}");
}

#[tokio::test]
async fn an_aborted_job_cannot_be_closed() {
    let server = Server::start().await;
    let (_, job) = staged(&server).await;
    server.on(PATCH, [api_error(400, "INVALIDJOBSTATE", "x")]);
    server.on(JOB, [job_info("Aborted")]);
    let error = job.close().await.unwrap_err();
    assert!(matches!(error, BulkError::WrongState { .. }), "{error}");
}

#[tokio::test]
async fn polls_grow_and_outages_are_sat_out() {
    let server = Server::start().await;
    let (client, job) = staged(&server).await;
    server.on(PATCH, [job_info("UploadComplete")]);
    let job = job.close().await.unwrap();
    let mut reads = vec![job_info("UploadComplete")];
    reads.extend(vec![job_info("InProgress"); 60]);
    reads.push(reply(
        200,
        r#"{"id":"750A","object":"Contact","operation":"insert","state":"JobComplete",
        "numberRecordsProcessed":40,"numberRecordsFailed":3,"apiVersion":62.0,"retries":0,
        "totalProcessingTime":805,"apexProcessingTime":3,"unknown":{"a":[]}}"#,
    ));
    server.on(JOB, reads);
    let ended = job.finished().await.unwrap();
    assert_eq!(ended.state, JobState::JobComplete);
    assert_eq!((ended.processed, ended.failed), (Some(40), Some(3)));
    assert_eq!(ended.total_processing_ms, Some(805));
    assert_eq!(ended.message, None);
    let pauses = pauses(&client);
    assert_eq!(pauses.len(), 62);
    assert_eq!(client.usage().polls, 62);
    assert!(pauses[0] <= Duration::from_millis(250));
    assert!(
        pauses
            .iter()
            .all(|pause| *pause <= Duration::from_millis(37_500))
    );
    assert!(pauses[61] >= Duration::from_secs(30), "{:?}", pauses[61]);
}

#[tokio::test]
async fn a_failed_job_tells_why() {
    let server = Server::start().await;
    let client = server.client().await;
    let failed = r#"{"id":"750A","object":"Contact","operation":"insert","state":"Failed",
        "errorMessage":"InvalidBatch : Field name not found : X"}"#;
    server.on(
        JOB,
        [job_info("InProgress"), Reply::Lost, reply(200, failed)],
    );
    let ended = client.job("750A").await.unwrap().finished().await.unwrap();
    assert_eq!(ended.state, JobState::Failed);
    assert_eq!((ended.processed, ended.failed), (None, None));
    let message = ended.message.as_deref();
    assert_eq!(message, Some("InvalidBatch : Field name not found : X"));
}

#[tokio::test]
async fn a_job_in_flight_is_not_given_up_quickly() {
    let server = Server::start().await;
    let client = server.client().await;
    let mut reads = vec![job_info("InProgress")];
    reads.extend(vec![reply(503, "<html>"); 14]);
    reads.push(reply(200, "<html>maintenance</html>"));
    reads.push(job_info("JobComplete"));
    server.on(JOB, reads);
    let ended = client.job("750A").await.unwrap().finished().await.unwrap();
    assert_eq!(ended.state, JobState::JobComplete);
}

#[tokio::test]
async fn states_that_make_no_sense() {
    let server = Server::start().await;
    let client = server.client().await;
    server.on(JOB, [job_info("Paused")]);
    let error = client.job("750A").await.unwrap_err();
    assert!(error.to_string().contains("in the state Paused"), "{error}");
    assert_eq!(error.kind(), ErrorKind::System);
    server.on(JOB, [job_info("Open")]);
    let error = client.job("750A").await.unwrap_err();
    assert!(matches!(error, BulkError::WrongState { .. }), "{error}");
    server.on(JOB, [reply(200, "[]")]);
    let error = client.job("750A").await.unwrap_err();
    assert!(matches!(error, BulkError::Answer { .. }), "{error}");
}

#[tokio::test]
async fn a_job_that_is_deleted_while_it_is_waited_for() {
    let server = Server::start().await;
    let (client, job) = staged(&server).await;
    server.on(PATCH, [job_info("UploadComplete")]);
    let job = job.close().await.unwrap();
    let gone = api_error(404, "NOT_FOUND", "The requested resource does not exist");
    server.on(JOB, [job_info("InProgress"), gone]);
    let error = job.finished().await.unwrap_err();
    insta::assert_snapshot!(error, @"job 750A is gone: someone has deleted it, or it is older than the 7 days that Salesforce keeps jobs; which of its rows were loaded is not known, so check the org before they are sent again");
    assert_eq!(error.kind(), ErrorKind::Transient);
    let asked = server.seen(JOB).len();
    assert!((6..15).contains(&asked), "believed after a while: {asked}");
    assert!(client.job("750A").await.is_err());
}

#[tokio::test]
async fn aborts_are_repeated_and_a_lost_one_is_read() {
    let server = Server::start().await;
    let (client, job) = staged(&server).await;
    let done = api_error(
        400,
        "INVALIDJOBSTATE",
        "Aborting already Completed Job not allowed",
    );
    server.on(PATCH, [Reply::Lost, done]);
    server.on(JOB, [job_info("Aborted")]);
    job.abort().await.unwrap();
    assert_eq!(server.seen(PATCH).len(), 2);
    assert!(client.open_jobs().is_empty());
}

#[tokio::test]
async fn a_stop_aborts_what_was_never_closed() {
    let server = Server::start().await;
    let (client, job) = staged(&server).await;
    server.on(PATCH, [job_info("Aborted")]);
    client.abort_open_jobs().await;
    assert_eq!(server.log(), [r#"{"state":"Aborted"}"#]);
    client.abort_open_jobs().await;
    let error = job.close().await.unwrap_err();
    assert!(matches!(error, BulkError::WrongState { .. }), "{error}");
    assert_eq!(server.log().len(), 1, "nothing was asked again");
}

#[tokio::test]
async fn a_whole_life_in_a_task() {
    let server = Server::start().await;
    server.on(CREATE, [job_info("Open")]);
    server.on(UPLOAD, [reply(201, "")]);
    server.on(PATCH, [job_info("UploadComplete")]);
    server.on(JOB, [job_info("InProgress"), job_info("JobComplete")]);
    let client = server.client().await;
    let task = tokio::spawn(async move {
        let job = client.stage(&target(), &chunk()).await?;
        job.close().await?.finished().await
    });
    assert_eq!(task.await.unwrap().unwrap().state, JobState::JobComplete);
    let get = "GET /750A";
    let close = r#"{"state":"UploadComplete"}"#;
    assert_eq!(
        server.log(),
        ["POST ", "PUT /750A/batches", close, get, get]
    );
}
