//! Closes and aborts whose answers are no Salesforce's, and those that a stop cuts short.

use tokio_util::sync::CancellationToken;

use super::jobs::staged;
use crate::bulk::BulkError;
use crate::bulk::testing::*;

#[tokio::test]
async fn a_page_of_any_status_is_waited_out_before_the_close() {
    for status in [400, 403, 404, 405, 413, 414, 415, 431, 499, 501, 511] {
        let server = Server::start().await;
        let page = reply(status, "<html>");
        let twice = || [page.clone(), page.clone()].into_iter();
        server.on(CREATE, twice().chain([job_info("Open")]));
        server.on(UPLOAD, twice().chain([reply(201, "")]));
        server.on(PATCH, [job_info("Aborted")]);
        let client = server.client().await;
        let job = client.stage(&target(), &chunk()).await.unwrap();
        server.on(PATCH, twice().chain([job_info("UploadComplete")]));
        server.on(JOB, [job_info("Open")]);
        let _running = job.close().await.unwrap();
        assert_eq!(server.seen(UPLOAD).len(), 3, "{status}");
    }
}

#[tokio::test]
async fn an_abort_that_was_not_done_is_repeated() {
    let server = Server::start().await;
    let (client, job) = staged(&server).await;
    server.on(
        PATCH,
        [reply(204, ""), reply(200, "{}"), job_info("Aborted")],
    );
    job.abort().await.unwrap();
    assert_eq!(server.seen(PATCH).len(), 3);
    assert!(client.open_jobs().is_empty());
}

#[tokio::test]
async fn a_stop_aborts_what_could_not_be_closed() {
    for refused in [
        reply(503, ""),
        reply(403, "<html>"),
        reply(420, ""),
        Reply::Lost,
    ] {
        let server = Server::start().await;
        let (client, _job) = staged(&server).await;
        let stop = CancellationToken::new();
        let client = client.scoped_until(stop.clone());
        server.on(CREATE, [job_info("Open")]);
        let job = client.stage(&target(), &chunk()).await.unwrap();
        server.on(PATCH, [refused.clone(), job_info("Aborted")]);
        server.on(JOB, [job_info("Open"), job_info("Aborted")]);
        stop.cancel();
        let error = job.close().await.unwrap_err();
        assert!(matches!(error, BulkError::Stopped { .. }), "{error}");
        let last = server.seen(PATCH).pop().unwrap();
        assert_eq!(last.text(), r#"{"state":"Aborted"}"#, "{refused:?}");
        assert!(client.open_jobs().is_empty());
    }
}

#[tokio::test]
async fn a_close_that_is_given_up_leaves_the_job_to_be_aborted() {
    let server = Server::start().await;
    let (client, job) = staged(&server).await;
    server.on(PATCH, [job_info("Aborted")]);
    let mut closing = Box::pin(job.close());
    assert!(futures::poll!(&mut closing).is_pending());
    assert!(client.open_jobs().is_empty());
    drop(closing);
    assert_eq!(client.open_jobs(), ["750A"]);
    client.abort_open_jobs().await;
    assert!(client.open_jobs().is_empty());
}
