use arrow::array::{ArrayRef, RecordBatch, StringArray};
use chrono::Utc;

use super::*;
use crate::bulk::testing::*;
use crate::chunk::{Chunker, RowOrdinals};
use crate::object::{ObjectSchema, Operation, RelatedObjects};
use crate::options::ValueOptions;

const LIST: &str = "GET /services/data/v62.0/jobs/ingest?jobType=V2Ingest";

/// What Salesforce echoes of [`few`]: in another order, values through the types of their fields.
const SUCCESSES: &str = "\"sf__Id\",\"sf__Created\",\"EXT__C\",\"LastName\",\"Amount\",\"Day\"\n\
    \"003B\",\"false\",\"b-2\",\"\",\"1.0\",\"2024-02-29T00:00:00.000Z\"\n";
const FAILURES: &str = "\"sf__Id\",\"sf__Error\",\"Ext__c\",\"LastName\",\"Amount\",\"Day\"\n\
    \"\",\"X:--\",\"A-1\",\"Ng, \"\"Ada\"\"\",\"9.12260031E8\",\"\"\n";

fn upsert() -> JobTarget {
    let external_id = "Ext__c".to_owned();
    JobTarget {
        operation: Operation::Upsert { external_id },
        ..target()
    }
}

fn rows(columns: &[(&str, &[Option<&str>])]) -> RecordBatch {
    let columns = columns.iter().map(|(name, cells)| {
        let cells: StringArray = cells.iter().copied().collect();
        (*name, Arc::new(cells) as ArrayRef, true)
    });
    RecordBatch::try_from_iter_with_nullable(columns).unwrap()
}

/// Two rows, and one that is not sent.
fn few() -> (Coercion, Arc<Chunk>) {
    let cells = rows(&[
        ("Ext__c", &[Some("A-1"), Some("no"), Some("b-2")]),
        ("LastName", &[Some("Ng, \"Ada\""), None, Some("#N/A")]),
        ("Amount", &[Some("912260031"), None, Some("1")]),
        ("Day", &[None, None, Some("2024-02-29")]),
    ]);
    let object = ObjectSchema::from_describe(
        br#"{"name":"Contact","fields":[
        {"name":"Ext__c","type":"string","externalId":true,"length":80,"createable":true,
         "updateable":true},
        {"name":"LastName","type":"string","length":80,"createable":true,"updateable":true},
        {"name":"Amount","type":"double","scale":2,"precision":18,"createable":true,
         "updateable":true},
        {"name":"Day","type":"date","createable":true,"updateable":true}]}"#,
    );
    let coercion = Coercion::plan(
        &cells.schema(),
        &object.unwrap(),
        &upsert().operation,
        &RelatedObjects::default(),
        ValueOptions::default(),
    );
    let mut chunker = Chunker::new(&cells.schema(), 100_000, None).unwrap();
    let skip = [false, true, false].into_iter().collect();
    chunker
        .push(&cells, RowOrdinals::From(0), Some(skip))
        .unwrap();
    (coercion.unwrap(), Arc::new(chunker.close().unwrap()))
}

fn listed(id: &str, state: &str) -> String {
    let created = Utc::now().format("%Y-%m-%dT%H:%M:%S%.3f%z").to_string();
    serde_json::json!({
        "id": id, "object": "Contact", "operation": "upsert", "state": state,
        "createdById": USER, "createdDate": created, "numberRecordsProcessed": 2,
        "numberRecordsFailed": 1,
    })
    .to_string()
}

fn list(jobs: &[String]) -> Reply {
    let records = jobs.join(",");
    reply(200, format!(r#"{{"done":true,"records":[{records}]}}"#))
}

fn route(id: &str, file: &str) -> String {
    format!("GET /services/data/v62.0/jobs/ingest/{id}{file}")
}

/// A job that ended with these results.
fn with_results(server: &Server, id: &str, successes: &str, failures: &str) {
    server.on(&route(id, "/successfulResults"), [reply(200, successes)]);
    server.on(&route(id, "/failedResults"), [reply(200, failures)]);
    server.on(&route(id, "/unprocessedrecords"), [reply(200, "")]);
}

async fn submit(client: &Client) -> Result<RunningJob> {
    let (coercion, chunk) = few();
    let running = submit_small(client, &upsert(), &coercion, &chunk, &mut false).await?;
    Ok(running)
}

/// The job that a lost call is taken for, if the only one in the list has these results.
async fn found(successes: &str, failures: &str) -> (Arc<Server>, RunningJob) {
    let server = Server::start().await;
    server.on(CREATE, [Reply::Lost, job_info("UploadComplete")]);
    server.on(LIST, [list(&[listed("750B", "UploadComplete")])]);
    let running = reply(200, listed("750B", "InProgress"));
    let ended = reply(200, listed("750B", "JobComplete"));
    server.on(&route("750B", ""), [running, ended]);
    with_results(&server, "750B", successes, failures);
    let job = submit(&server.client().await).await.unwrap();
    (server, job)
}

#[tokio::test]
async fn the_job_with_the_rows_is_taken_and_its_end_is_known() {
    let (server, job) = found(SUCCESSES, FAILURES).await;
    assert_eq!(job.id(), "750B");
    let calls = server.log().len();
    let ended = job.finished().await.unwrap();
    assert_eq!((ended.processed, ended.failed), (Some(2), Some(1)));
    assert_eq!(server.log().len(), calls, "nothing is asked for");
    assert_eq!(server.seen(CREATE).len(), 1);
}

#[tokio::test]
async fn jobs_of_other_rows_end_before_another_is_made() {
    let other_key = SUCCESSES.replace("b-2", "b-3");
    let other_value = SUCCESSES.replace("1.0", "2.0");
    let other_columns = SUCCESSES.replace("Amount", "Betrag");
    let more_columns = SUCCESSES
        .replace("\"Day\"", "\"Day\",\"City\"")
        .replace("00Z\"", "00Z\",\"\"");
    let fewer_columns = "\"sf__Id\",\"sf__Created\",\"Ext__c\"\n\"003B\",\"false\",\"b-2\"\n";
    let a_row_more = format!("{SUCCESSES}\"003C\",\"true\",\"b-2\",\"\",\"1\",\"2024-02-29\"\n");
    for successes in [
        &*other_key,
        &*other_value,
        &*other_columns,
        &*more_columns,
        fewer_columns,
        &*a_row_more,
        "",
    ] {
        let (server, job) = found(successes, FAILURES).await;
        assert_eq!(job.id(), "750A", "{successes}");
        let log = server.log();
        let waited = log.iter().rposition(|line| line == "GET /750B").unwrap();
        let second = log.iter().rposition(|line| line == "POST ").unwrap();
        assert!(waited < second, "{log:?}");
        assert_eq!(
            server.seen(&route("750B", "")).len(),
            2,
            "read until its end"
        );
    }
}

/// Values compare as they do when results are joined back: neither looser nor stricter.
#[tokio::test]
async fn one_canonical_form_decides() {
    let case = SUCCESSES.replace("b-2", "B-2");
    assert_eq!(found(&case, FAILURES).await.1.id(), "750A", "texts differ");
    let blanks = SUCCESSES.replace("\"b-2\"", "\" b-2 \"");
    assert_eq!(found(&blanks, FAILURES).await.1.id(), "750B");
    let other_day = SUCCESSES.replace("02-29T", "02-28T");
    assert_eq!(found(&other_day, FAILURES).await.1.id(), "750A");
    let rounded = SUCCESSES.replace("1.0", "1.004");
    assert_eq!(found(&rounded, FAILURES).await.1.id(), "750B", "two digits");
}

#[tokio::test]
async fn of_several_jobs_the_one_with_the_rows_is_taken() {
    let server = Server::start().await;
    server.on(CREATE, [Reply::Lost]);
    let jobs = ["750C", "750D", "750B"].map(|id| listed(id, "JobComplete"));
    server.on(LIST, [list(&jobs)]);
    with_results(&server, "750C", &SUCCESSES.replace("b-2", "b-9"), FAILURES);
    server.on(&route("750D", "/successfulResults"), [reply(403, "")]);
    with_results(&server, "750B", SUCCESSES, FAILURES);
    let job = submit(&server.client().await).await.unwrap();
    assert_eq!((job.id(), server.seen(CREATE).len()), ("750B", 1));
}

#[tokio::test]
async fn a_list_that_cannot_be_read_makes_no_second_job() {
    let server = Server::start().await;
    server.on(CREATE, [Reply::Lost]);
    server.on(LIST, [api_error(403, "INSUFFICIENT_ACCESS", "no")]);
    let error = submit(&server.client().await).await.unwrap_err();
    assert!(
        error.to_string().contains("may have been loaded"),
        "{error}"
    );
    assert_eq!(server.seen(CREATE).len(), 1);
}
