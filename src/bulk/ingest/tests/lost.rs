//! Jobs left open by calls whose answers were lost.

use chrono::{DateTime, TimeDelta, Utc};

use crate::bulk::Client;
use crate::bulk::testing::*;

const LIST: &str = "GET /services/data/v62.0/jobs/ingest?jobType=V2Ingest";

fn listed(id: &str, created: DateTime<Utc>, changed: &[(&str, &str)]) -> serde_json::Value {
    let mut job = serde_json::json!({
        "id": id, "object": "Contact", "operation": "insert", "state": "Open",
        "createdById": USER, "createdDate": created.format("%Y-%m-%dT%H:%M:%S%.3f%z").to_string(),
    });
    for (key, value) in changed {
        job[key] = (*value).into();
    }
    job
}

fn list(jobs: &[serde_json::Value]) -> Reply {
    let page = serde_json::json!({"done": true, "records": jobs, "nextRecordsUrl": null});
    reply(200, page.to_string())
}

fn patch(id: &str) -> String {
    format!("PATCH /services/data/v62.0/jobs/ingest/{id}")
}

/// Who has made a job, by the answers to the creation that the server has, and closed it.
async fn closed(server: &Server) -> Client {
    server.on(UPLOAD, [reply(201, "")]);
    server.on(PATCH, [job_info("UploadComplete")]);
    let client = server.client().await;
    let job = client.stage(&target(), &few()).await.unwrap();
    let _running = job.close().await.unwrap();
    client
}

#[tokio::test]
async fn what_lost_calls_left_open_is_aborted_at_the_end() {
    let server = Server::start().await;
    server.on(
        CREATE,
        [Reply::Lost, reply(502, "<html>"), job_info("Open")],
    );
    let client = closed(&server).await;
    let now = Utc::now();
    server.on(
        LIST,
        [list(&[
            listed("750A", now, &[]),
            listed("750B", now, &[]),
            listed("750C", now, &[("createdById", "0055g0000000002AAA")]),
            listed("750D", now, &[("object", "Account")]),
            listed("750E", now, &[("operation", "update")]),
            listed("750F", now, &[("state", "UploadComplete")]),
            listed("750G", now - TimeDelta::minutes(9), &[]),
            listed("750H", now, &[]),
        ])],
    );
    let page = reply(403, "<html>");
    server.on(&patch("750B"), [page, job_info("Aborted")]);
    server.on(&patch("750H"), [job_info("Aborted")]);
    server.seen.lock().clear();
    client.abort_open_jobs().await;
    for (id, aborts) in [("750B", 2), ("750H", 1), ("750A", 0), ("750C", 0)] {
        assert_eq!(server.seen(&patch(id)).len(), aborts, "{id}");
    }
    assert_eq!(server.log().len(), 4, "{:?}", server.log());
    client.abort_open_jobs().await;
    assert_eq!(server.log().len(), 4, "once");
}

#[tokio::test]
async fn no_call_is_spent_where_no_answer_was_lost() {
    let server = Server::start().await;
    let refused = reply(429, "");
    server.on(
        CREATE,
        [refused, expired(), reply(302, ""), job_info("Open")],
    );
    let client = closed(&server).await;
    server.seen.lock().clear();
    client.abort_open_jobs().await;
    assert!(server.log().is_empty(), "{:?}", server.log());
}

#[tokio::test]
async fn more_jobs_than_lost_calls_are_left_alone() {
    let server = Server::start().await;
    server.on(CREATE, [Reply::Lost, job_info("Open")]);
    let client = closed(&server).await;
    let now = Utc::now();
    server.on(
        LIST,
        [list(&[listed("750B", now, &[]), listed("750C", now, &[])])],
    );
    server.seen.lock().clear();
    client.abort_open_jobs().await;
    assert_eq!(server.log().len(), 1, "{:?}", server.log());
}

#[tokio::test]
async fn the_list_is_asked_for_again() {
    let server = Server::start().await;
    server.on(CREATE, [Reply::Lost, job_info("Open")]);
    let client = closed(&server).await;
    let odd = [
        api_error(404, "NOT_FOUND", "The requested resource does not exist"),
        reply(403, "<html>"),
        reply(503, ""),
        list(&[listed("750B", Utc::now(), &[])]),
    ];
    server.on(LIST, odd);
    server.on(&patch("750B"), [job_info("Aborted")]);
    client.abort_open_jobs().await;
    assert_eq!(server.seen(&patch("750B")).len(), 1);
}

#[tokio::test]
async fn a_call_that_nobody_waits_for_any_more_may_be_lost() {
    let server = Server::start().await;
    let client = server.client().await;
    let (target, chunk) = (target(), few());
    let stage = client.stage(&target, &chunk);
    let dropped = async {
        while server.seen(CREATE).is_empty() {
            tokio::task::yield_now().await;
        }
    };
    server.on(CREATE, [Reply::Lost]);
    tokio::select! { _ = stage => {}, () = dropped => {} }
    server.on(LIST, [list(&[listed("750B", Utc::now(), &[])])]);
    server.on(&patch("750B"), [job_info("Aborted")]);
    client.abort_open_jobs().await;
    assert_eq!(server.seen(&patch("750B")).len(), 1);
}
