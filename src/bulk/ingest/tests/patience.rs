//! Closed jobs: what is waited for, how long, and what is said when patience runs out.

use std::time::Duration;

use futures::future::join_all;

use crate::bulk::testing::*;
use crate::bulk::{BulkError, Client, EndedJob, JobState, RunningJob};
use crate::error::ErrorKind;
use crate::options::Waits;

const MINUTE: Duration = Duration::from_secs(60);

async fn with(server: &Server, waits: Waits) -> Client {
    connect_with(server.credentials(), waits).await.unwrap()
}

/// A job that has just been closed.
async fn closed(server: &Server, client: &Client) -> RunningJob {
    server.on(CREATE, [job_info("Open")]);
    server.on(UPLOAD, [reply(201, "")]);
    server.on(PATCH, [job_info("UploadComplete")]);
    let job = client.stage(&target(), &few()).await.unwrap();
    job.close().await.unwrap()
}

async fn finished(server: &Server, client: &Client) -> Result<EndedJob, BulkError> {
    closed(server, client).await.finished().await
}

fn waited(client: &Client) -> Duration {
    pauses(client).iter().sum()
}

fn used_up() -> Reply {
    let text = "TotalRequests Limit exceeded.";
    api_error(403, "REQUEST_LIMIT_EXCEEDED", text)
}

#[tokio::test]
async fn odd_answers_to_polls_are_asked_again() {
    let gone = api_error(404, "NOT_FOUND", "The requested resource does not exist");
    let unknown = api_error(400, "UNKNOWN_EXCEPTION", "An unexpected error occurred");
    for odd in [
        gone,
        reply(404, "<html>"),
        reply(403, "<html>"),
        reply(400, "<html>"),
        reply(405, ""),
        reply(413, "<html>"),
        reply(501, "<html>"),
        api_error(400, "QUERY_TIMEOUT", "?"),
        api_error(400, "TXN_SECURITY_METERING_ERROR", "?"),
        with_header(302, "Location", "https://elsewhere.example/x", ""),
        reply(307, ""),
        reply(420, ""),
        reply(429, ""),
        reply(503, ""),
        reply(408, ""),
        reply(409, "[]"),
        unknown,
        api_error(400, "SOMETHING_NEW", "?"),
        api_error(400, "INVALIDJOBSTATE", "?"),
        expired(),
        reply(200, "<html>"),
        reply(200, ""),
        reply(200, "[]"),
        job_info("Paused"),
        Reply::Lost,
        Reply::Cut("{".to_owned()),
    ] {
        let server = Server::start().await;
        let client = server.client().await;
        let outage = reply(503, "");
        let odds = [odd.clone(), odd.clone(), outage, odd.clone(), odd.clone()];
        server.on(JOB, odds.into_iter().chain([job_info("JobComplete")]));
        let ended = finished(&server, &client).await.unwrap();
        assert_eq!(ended.state, JobState::JobComplete, "{odd:?}");
    }
}

#[tokio::test]
async fn lasting_words_of_salesforce_end_the_wait_and_name_the_job() {
    for (code, kind) in [
        ("API_DISABLED_FOR_ORG", ErrorKind::Config),
        ("INSUFFICIENT_ACCESS", ErrorKind::Config),
        ("INVALIDJOB", ErrorKind::Config),
    ] {
        let server = Server::start().await;
        let client = server.client().await;
        server.on(JOB, [api_error(403, code, "no")]);
        let error = finished(&server, &client).await.unwrap_err();
        assert!(matches!(error, BulkError::JobGoesOn { .. }), "{error}");
        assert_eq!(error.kind(), kind, "{error}");
        assert_eq!(server.seen(JOB).len(), 1);
    }
}

#[tokio::test]
async fn when_patience_runs_out_the_job_goes_on() {
    for odd in [
        reply(503, "<html>"),
        reply(403, "<html>"),
        reply(302, ""),
        expired(),
    ] {
        let server = Server::start().await;
        let client = server.client().await;
        server.on(JOB, [odd.clone()]);
        let error = finished(&server, &client).await.unwrap_err();
        assert!(matches!(error, BulkError::JobGoesOn { .. }), "{error}");
        assert_eq!(error.kind(), ErrorKind::Transient, "{error}");
        let least = if matches!(odd, Reply::Answer { status: 401, .. }) {
            MINUTE / 2
        } else {
            10 * MINUTE
        };
        assert!(
            waited(&client) + MINUTE / 4 >= least,
            "{odd:?}: {:?}",
            waited(&client)
        );
    }
    let server = Server::start().await;
    let client = server.patient(1).await;
    server.on(JOB, [reply(503, "<html>")]);
    let error = finished(&server, &client).await.unwrap_err();
    insta::assert_snapshot!(error, @"job 750A was closed and goes on, but it cannot be watched any longer, so its rows may be loaded; look at Setup > Bulk Data Load Jobs before they are sent again: reading job 750A: Salesforce is unavailable (HTTP 503: an HTML or XML page); start again later");
}

#[tokio::test]
async fn a_daily_limit_is_waited_for_while_a_job_is_in_flight() {
    let server = Server::start().await;
    let client = server.client().await;
    let mut answers = vec![used_up(); 10];
    answers.push(job_info("JobComplete"));
    server.on(JOB, answers);
    finished(&server, &client).await.unwrap();
    assert!(waited(&client) > 15 * MINUTE, "{:?}", waited(&client));

    let server = Server::start().await;
    let client = server.client().await;
    server.on(JOB, [used_up()]);
    let error = finished(&server, &client).await.unwrap_err();
    assert!(error.to_string().contains("DailyApiRequests"), "{error}");
    assert!(matches!(error, BulkError::JobGoesOn { .. }), "{error}");
    assert_eq!(error.kind(), ErrorKind::Transient);
    let hour = 60 * MINUTE;
    assert!(
        (hour - MINUTE..hour * 2).contains(&waited(&client)),
        "{:?}",
        waited(&client)
    );
}

#[tokio::test]
async fn a_daily_limit_ends_a_creation_at_once_unless_it_is_to_be_waited_for() {
    let quota = api_error(400, "ExceededQuota", "ApiBatchItems Limit exceeded");
    for (limit, name) in [
        (used_up(), "DailyApiRequests"),
        (quota, "DailyBulkApiBatches"),
    ] {
        let server = Server::start().await;
        let client = server.client().await;
        server.on(CREATE, [limit.clone()]);
        let error = client.stage(&target(), &few()).await.unwrap_err();
        assert!(error.to_string().contains(name), "{error}");
        assert_eq!(server.seen(CREATE).len(), 1);

        let server = Server::start().await;
        let waits = Waits::default().with_limit_wait(120 * MINUTE);
        let client = with(&server, waits).await;
        let mut answers = vec![limit; 8];
        answers.push(job_info("Open"));
        server.on(CREATE, answers);
        server.on(UPLOAD, [reply(201, "")]);
        let _staged = client.stage(&target(), &few()).await.unwrap();
        assert!(waited(&client) > 10 * MINUTE);
    }
}

#[tokio::test]
async fn a_job_that_never_ends_is_an_error_after_its_time() {
    let server = Server::start().await;
    let hours = 180 * MINUTE;
    let client = with(&server, Waits::default().with_job_timeout(hours)).await;
    server.on(JOB, [job_info("InProgress")]);
    let error = finished(&server, &client).await.unwrap_err();
    let range = hours - MINUTE..hours + MINUTE;
    assert!(range.contains(&waited(&client)), "{:?}", waited(&client));
    insta::assert_snapshot!(error, @"job 750A is still InProgress 3 h 0 min after it was closed; it goes on, so its rows may be loaded: look at Setup > Bulk Data Load Jobs before they are sent again, and raise job_timeout_seconds if jobs of this org take as long");
    assert_eq!(error.kind(), ErrorKind::Transient);

    let server = Server::start().await;
    let waits = Waits::default().with_job_timeout(2 * MINUTE);
    let client = with(&server, waits).await;
    server.on(JOB, [job_info("InProgress")]);
    let error = finished(&server, &client).await.unwrap_err();
    assert!(
        error.to_string().contains("InProgress 2 min after"),
        "{error}"
    );
}

#[tokio::test]
async fn a_close_that_was_confirmed_and_not_done_is_repeated() {
    let server = Server::start().await;
    let client = server.client().await;
    let job = closed(&server, &client).await;
    let mut states = vec![job_info("Open"); 30];
    states.push(job_info("JobComplete"));
    server.on(JOB, states);
    // Whatever the answer is, the state of the job decides.
    let refused = api_error(400, "INVALIDJOBSTATE", "it is closed");
    server.on(PATCH, [reply(503, ""), refused, job_info("UploadComplete")]);
    let ended = job.finished().await.unwrap();
    assert_eq!(ended.state, JobState::JobComplete);
    let closes = server.seen(PATCH);
    assert!((5..30).contains(&closes.len()), "{}", closes.len());
    for close in closes {
        assert_eq!(close.text(), r#"{"state":"UploadComplete"}"#);
    }
}

#[tokio::test]
async fn a_job_that_stays_open_whatever_is_confirmed_is_aborted() {
    let server = Server::start().await;
    let client = server.client().await;
    let job = closed(&server, &client).await;
    server.on(JOB, [job_info("Open")]);
    let error = job.finished().await.unwrap_err();
    assert!(waited(&client) >= 10 * MINUTE, "{:?}", waited(&client));
    let last = server.seen(PATCH).pop().unwrap();
    assert_eq!(last.text(), r#"{"state":"Aborted"}"#);
    // The server does not do that either.
    assert!(error.leaves_rows_in_doubt());
    assert_eq!(error.kind(), ErrorKind::Transient);
    insta::assert_snapshot!(error, @"job 750A was still Open 10 min after Salesforce had confirmed its close, more than once; its rows may be loaded yet: look at Setup > Bulk Data Load Jobs before they are sent again");
}

#[tokio::test]
async fn a_login_that_fails_for_good_answers_all_who_wait_for_it() {
    let server = Server::start().await;
    let client = server.client().await;
    server.on(TOKEN, [reply(503, "<html>")]);
    server.on(JOB, [expired()]);
    let calls = join_all((0..8).map(|_| client.job("750A"))).await;
    for call in calls {
        let error = call.unwrap_err();
        assert!(matches!(error, BulkError::NoSession { .. }), "{error}");
    }
    let logins = server.seen(TOKEN).len();
    assert!((20..80).contains(&logins), "one patience: {logins}");
    // Who comes later tries again.
    server.on(TOKEN, [server.token("T2")]);
    server.on(JOB, [job_info("InProgress")]);
    *server.dead.lock() = "Bearer T1".to_owned();
    let _job = client.job("750A").await.unwrap();
}

#[tokio::test]
async fn each_step_before_the_close_is_as_patient() {
    let server = Server::start().await;
    let client = server.client().await;
    let mut creations = vec![reply(503, "<html>"); 12];
    creations.extend([
        reply(302, ""),
        reply(404, "<html>"),
        reply(420, ""),
        expired(),
    ]);
    creations.push(job_info("Open"));
    server.on(CREATE, creations);
    let mut uploads = vec![reply(429, ""); 12];
    uploads.extend([reply(302, ""), expired(), reply(201, "")]);
    server.on(UPLOAD, uploads);
    let staged = client.stage(&target(), &few()).await.unwrap();
    assert!(server.seen(PATCH).is_empty(), "no upload may have arrived");
    let mut closes = vec![reply(429, ""); 12];
    closes.extend([reply(302, ""), expired()]);
    closes.push(job_info("UploadComplete"));
    server.on(PATCH, closes);
    let _running = staged.close().await.unwrap();
    assert!(server.seen(JOB).is_empty(), "no close may have arrived");
}

#[tokio::test]
async fn a_job_that_is_changed_before_its_upload_is_made_anew() {
    let gone = api_error(404, "NOT_FOUND", "The requested resource does not exist");
    let closed = api_error(400, "INVALIDJOBSTATE", "it is closed");
    for changed in [gone, closed] {
        let server = Server::start().await;
        let client = server.client().await;
        server.on(CREATE, [job_info("Open")]);
        server.on(PATCH, [job_info("Aborted")]);
        server.on(UPLOAD, [changed, reply(201, "")]);
        let _staged = client.stage(&target(), &few()).await.unwrap();
        assert_eq!(server.seen(CREATE).len(), 2);
    }
}

#[tokio::test]
async fn a_login_in_mid_load_is_as_patient() {
    let server = Server::start().await;
    let client = server.client().await;
    let job = closed(&server, &client).await;
    let mut logins = vec![reply(503, "<html>"); 12];
    logins.extend([
        reply(302, ""),
        reply(404, "<html>"),
        reply(200, "<html>"),
        Reply::Lost,
    ]);
    logins.push(server.token("T2"));
    server.on(TOKEN, logins);
    server.on(JOB, [expired(), job_info("JobComplete")]);
    job.finished().await.unwrap();
    assert!(waited(&client) > 2 * MINUTE);
}

#[tokio::test]
async fn an_org_that_moves_is_followed_by_a_new_login() {
    for status in [301, 302, 307, 308] {
        let (server, there) = (Server::start().await, Server::start().await);
        let client = server.client().await;
        let job = closed(&server, &client).await;
        server.on(TOKEN, [there.token("T2")]);
        server.on(
            JOB,
            [with_header(status, "Location", there.url.as_str(), "")],
        );
        there.on(JOB, [job_info("JobComplete")]);
        job.finished().await.unwrap();
        let asked = &there.seen(JOB)[0];
        assert_eq!(asked.headers["authorization"], "Bearer T2");
        assert_eq!(server.seen(JOB).len(), 1, "{status}");
    }
}
