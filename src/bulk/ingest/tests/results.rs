//! Result files as Salesforce writes them.

use arrow::array::{AsArray, RecordBatch};
use futures::TryStreamExt;

use crate::bulk::testing::*;
use crate::bulk::{BulkError, EndedJob};

async fn ended(server: &Server) -> EndedJob {
    server.on(JOB, [job_info("JobComplete")]);
    let client = server.client().await;
    client.job("750A").await.unwrap().finished().await.unwrap()
}

async fn failed_rows(
    replies: impl IntoIterator<Item = Reply>,
) -> Result<Vec<RecordBatch>, BulkError> {
    let server = Server::start().await;
    let job = ended(&server).await;
    server.on(FAILED, replies);
    job.failed_results().await?.try_collect().await
}

fn cells(batches: &[RecordBatch], column: &str) -> Vec<Option<String>> {
    let column = |batch: &RecordBatch| {
        let texts = batch
            .column_by_name(column)
            .unwrap()
            .as_string::<i32>()
            .clone();
        texts
            .iter()
            .map(|text| text.map(str::to_owned))
            .collect::<Vec<_>>()
    };
    batches.iter().flat_map(column).collect()
}

fn some(texts: &[&str]) -> Vec<Option<String>> {
    texts.iter().map(|text| Some((*text).to_owned())).collect()
}

#[tokio::test]
async fn quotes_commas_newlines_emoji_and_nulls() {
    let body = "\"sf__Id\",\"sf__Error\",LastName,Amount\n\
        \"\",\"REQUIRED_FIELD_MISSING:Required fields are missing: [A, B]:A --\",\
        \"O\"\"Neil, J\",\"\"\n\
        \n\
        \"\",\"X:--\",\"two\nlines\",\"9.12260031E8\"\n\
        \"\",\"X:--\",\"\u{1F600} Zoë\",\"1\"\n";
    let batches = failed_rows([reply(200, body)]).await.unwrap();
    assert_eq!(batches.len(), 1);
    assert_eq!(
        cells(&batches, "LastName"),
        some(&["O\"Neil, J", "two\nlines", "\u{1F600} Zoë"])
    );
    assert_eq!(
        cells(&batches, "Amount"),
        [None, Some("9.12260031E8".to_owned()), Some("1".to_owned())]
    );
    assert_eq!(cells(&batches, "sf__Id"), [None, None, None]);
    assert_eq!(
        cells(&batches, "sf__Error")[0].as_deref(),
        Some("REQUIRED_FIELD_MISSING:Required fields are missing: [A, B]:A --")
    );
}

#[tokio::test]
async fn nothing_to_report() {
    for body in ["", "\n", "\"sf__Id\",\"sf__Error\",LastName\n", "LastName"] {
        let batches = failed_rows([reply(200, body)]).await.unwrap();
        assert!(batches.is_empty(), "{body:?}");
    }
}

#[tokio::test]
async fn batches_of_8192_rows_from_a_file_on_disk() {
    let rows = 20_000;
    let mut body = "\"sf__Id\",\"sf__Error\",LastName\r\n".to_owned();
    for row in 0..rows {
        body += &format!("\"\",\"{}\",\"row {row}\"\r\n", "E".repeat(300));
    }
    let batches = failed_rows([reply(200, body)]).await.unwrap();
    let lengths: Vec<usize> = batches.iter().map(RecordBatch::num_rows).collect();
    assert_eq!(lengths, [8_192, 8_192, 3_616]);
    let names = cells(&batches, "LastName");
    assert_eq!(names[0].as_deref(), Some("row 0"));
    assert_eq!(names[19_999].as_deref(), Some("row 19999"));
}

#[tokio::test]
async fn a_file_that_breaks_off_is_read_again() {
    let body = "LastName\na\nb\n";
    let broken = [
        Reply::Cut("LastName\na\n".to_owned()),
        Reply::CutPieces("LastName\na\n".to_owned()),
        reply(503, "<html>"),
        reply(200, body),
    ];
    let batches = failed_rows(broken).await.unwrap();
    assert_eq!(cells(&batches, "LastName"), some(&["a", "b"]));
}

#[tokio::test]
async fn pages_follow_the_locator() {
    let server = Server::start().await;
    let job = ended(&server).await;
    let page = |locator: &str, row: &str| {
        with_header(
            200,
            "Sforce-Locator",
            locator,
            &format!("LastName\n{row}\n"),
        )
    };
    server.on(FAILED, [page("MTAw", "a")]);
    server.on(&format!("{FAILED}?locator=MTAw"), [page("x/y", "b")]);
    server.on(&format!("{FAILED}?locator=x%2Fy"), [page("null", "c")]);
    let batches: Vec<RecordBatch> = job
        .failed_results()
        .await
        .unwrap()
        .try_collect()
        .await
        .unwrap();
    assert_eq!(cells(&batches, "LastName"), some(&["a", "b", "c"]));

    server.on(&format!("{FAILED}?locator=MTAw"), [page("MTAw", "b")]);
    let read = job.failed_results().await.unwrap();
    let error = read.try_collect::<Vec<_>>().await.unwrap_err();
    assert!(error.to_string().contains("the same page"), "{error}");
}

#[tokio::test]
async fn ragged_rows_are_an_error_without_their_values() {
    let body = "LastName,Email\nsecret-name,secret-mail,surplus\n";
    let error = failed_rows([reply(200, body)]).await.unwrap_err();
    assert!(matches!(error, BulkError::Results { .. }), "{error}");
    assert!(!error.to_string().contains("secret"), "{error}");
}

#[tokio::test]
async fn each_file_has_its_address() {
    let server = Server::start().await;
    let job = ended(&server).await;
    let address = |name: &str| format!("{JOB}/{name}");
    server.on(
        &address("successfulResults"),
        [reply(
            200,
            "\"sf__Id\",\"sf__Created\",A\n\"003\",\"true\",\"1\"\n",
        )],
    );
    server.on(&address("unprocessedrecords"), [reply(200, "A\n2\n3\n")]);
    let successes: Vec<RecordBatch> = job
        .successful_results()
        .await
        .unwrap()
        .try_collect()
        .await
        .unwrap();
    assert_eq!(cells(&successes, "sf__Created"), some(&["true"]));
    let open = job.unprocessed().await.unwrap();
    let open: Vec<RecordBatch> = open.try_collect().await.unwrap();
    assert_eq!(cells(&open, "A"), some(&["2", "3"]));
}

#[tokio::test]
async fn a_page_that_breaks_off_is_read_again_alone() {
    let server = Server::start().await;
    let job = ended(&server).await;
    server.on(
        FAILED,
        [with_header(200, "Sforce-Locator", "p2", "LastName\na\n")],
    );
    let second = format!("{FAILED}?locator=p2");
    let broken = Reply::CutPieces("LastName\nb\n".to_owned());
    server.on(&second, [broken, reply(200, "LastName\nb\nc\n")]);
    let read = job.failed_results().await.unwrap();
    let batches: Vec<RecordBatch> = read.try_collect().await.unwrap();
    assert_eq!(cells(&batches, "LastName"), some(&["a", "b", "c"]));
    assert_eq!(
        (server.seen(FAILED).len(), server.seen(&second).len()),
        (1, 2)
    );
}

#[tokio::test]
async fn results_of_a_deleted_job() {
    let server = Server::start().await;
    let job = ended(&server).await;
    server.on(FAILED, [api_error(404, "NOT_FOUND", "gone")]);
    let error = job.failed_results().await.err().unwrap();
    assert!(matches!(error, BulkError::JobGone { .. }), "{error}");
}
