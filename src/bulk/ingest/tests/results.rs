//! Result files as Salesforce writes them.

use arrow::array::{AsArray, RecordBatch};
use futures::TryStreamExt;

use crate::bulk::testing::*;
use crate::bulk::{BulkError, EndedJob};
use crate::error::ErrorKind;

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
    for body in [
        "",
        "\n",
        "\"sf__Id\",\"sf__Error\",LastName\n",
        "sf__Error,LastName,sf__Id",
    ] {
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

const HEADER: &str = "\"sf__Id\",\"sf__Error\",LastName\n";

/// A file of failed rows with these names.
fn file(names: &[&str]) -> String {
    let rows = names
        .iter()
        .map(|name| format!("\"\",\"X:--\",\"{name}\"\n"));
    HEADER.to_owned() + &rows.collect::<String>()
}

#[tokio::test]
async fn a_file_that_breaks_off_is_read_again() {
    let whole = file(&["a", "b"]);
    let broken = [
        Reply::Cut(file(&["a"])),
        Reply::CutPieces(file(&["a"])),
        reply(503, "<html>"),
        reply(200, &whole[..whole.len() - 3]),
        reply(200, &whole[..whole.len() - 6]),
        reply(200, &whole),
    ];
    let batches = failed_rows(broken).await.unwrap();
    assert_eq!(cells(&batches, "LastName"), some(&["a", "b"]));
}

#[tokio::test]
async fn what_is_no_result_file_is_asked_for_again() {
    let others = [
        reply(
            200,
            "<html>\n<body>\n<h1>Maintenance</h1>\n</body>\n</html>",
        ),
        reply(200, "<html><p>sorry, later, please</p>\n</html>"),
        reply(200, "sorry, later, please\n1,2,3\n"),
        reply(200, r#"[{"errorCode":"X","message":"later"}]"#),
        with_header(200, "Content-Type", "text/html", ""),
        reply(200, "LastName\na\n"),
        reply(403, "<html>"),
        api_error(400, "UNKNOWN_EXCEPTION", "An unexpected error occurred"),
        api_error(404, "NOT_FOUND", "The requested resource does not exist"),
        with_header(302, "Location", "/maintenance", ""),
    ];
    for other in others {
        let again = vec![other.clone(), other.clone(), reply(200, file(&["a"]))];
        let batches = failed_rows(again).await.unwrap();
        assert_eq!(cells(&batches, "LastName"), some(&["a"]), "{other:?}");
    }
}

#[tokio::test]
async fn a_file_that_never_comes_names_the_job() {
    let error = failed_rows([reply(200, "<html>")]).await.unwrap_err();
    insta::assert_snapshot!(error, @"job 750A has ended, but what became of its rows cannot be read, so they may be loaded; look at Setup > Bulk Data Load Jobs before they are sent again: reading failedResults of job 750A: the answer is no result file: it has another header");
    assert_eq!(error.kind(), ErrorKind::Transient);
}

#[tokio::test]
async fn unprocessed_rows_come_under_the_header_of_the_upload() {
    let server = Server::start().await;
    server.on(CREATE, [job_info("Open")]);
    server.on(UPLOAD, [reply(201, "")]);
    server.on(PATCH, [job_info("UploadComplete")]);
    server.on(JOB, [job_info("Aborted")]);
    let client = server.client().await;
    let job = client.stage(&target(), &chunk()).await.unwrap();
    let job = job.close().await.unwrap().finished().await.unwrap();
    let route = format!("{JOB}/unprocessedrecords");
    let others = [
        reply(200, "Page,Not,Found\n"),
        reply(200, "lastname,EMAIL\na,b\n"),
    ];
    server.on(&route, others);
    let rows = job.unprocessed().await.unwrap();
    let rows: Vec<RecordBatch> = rows.try_collect().await.unwrap();
    assert_eq!(cells(&rows, "lastname"), some(&["a"]));
    assert_eq!(server.seen(&route).len(), 2);
    server.on(&route, [reply(200, "Email\n")]);
    let rows = job.unprocessed().await.unwrap();
    let rows: Vec<RecordBatch> = rows.try_collect().await.unwrap();
    assert!(rows.is_empty());
}

#[tokio::test]
async fn pages_follow_the_locator() {
    let server = Server::start().await;
    let job = ended(&server).await;
    let page =
        |locator: &str, row: &str| with_header(200, "Sforce-Locator", locator, &file(&[row]));
    server.on(FAILED, [page("MTAw", "a")]);
    server.on(&format!("{FAILED}?locator=MTAw"), [page("x/y", "b")]);
    server.on(&format!("{FAILED}?locator=x%2Fy"), [page("null", "c")]);
    let read = job.failed_results().await.unwrap();
    let batches: Vec<RecordBatch> = read.try_collect().await.unwrap();
    assert_eq!(cells(&batches, "LastName"), some(&["a", "b", "c"]));

    for circle in ["MTAw", "x/y"] {
        server.on(&format!("{FAILED}?locator=x%2Fy"), [page(circle, "c")]);
        let read = job.failed_results().await.unwrap();
        let error = read.try_collect::<Vec<_>>().await.unwrap_err();
        assert!(error.to_string().contains("go in a circle"), "{error}");
    }
}

#[tokio::test]
async fn ragged_rows_are_an_error_without_their_values() {
    let body = format!("{HEADER}secret-name,secret-mail\n");
    let error = failed_rows([reply(200, body)]).await.unwrap_err();
    assert!(matches!(error, BulkError::ResultsUnread { .. }), "{error}");
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
        [with_header(200, "Sforce-Locator", "p2", &file(&["a"]))],
    );
    let second = format!("{FAILED}?locator=p2");
    let broken = Reply::CutPieces(file(&["b"]));
    server.on(&second, [broken, reply(200, file(&["b", "c"]))]);
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

#[tokio::test]
async fn a_file_that_is_missing_is_believed_after_a_while_and_then_asked_for_once() {
    let server = Server::start().await;
    let job = ended(&server).await;
    server.on(FAILED, [api_error(404, "NOT_FOUND", "gone")]);
    job.failed_results().await.err().unwrap();
    let first = server.seen(FAILED).len();
    assert!((5..15).contains(&first), "{first}");
    let job = job.read_again().await.unwrap();
    for more in 1..4 {
        let error = job.failed_results().await.err().unwrap();
        assert!(matches!(error, BulkError::JobGone { .. }), "{error}");
        assert_eq!(server.seen(FAILED).len(), first + more);
    }
    // An outage is waited for, and the file may come.
    server.on(FAILED, [reply(503, ""), reply(200, file(&["a"]))]);
    let rows = job.failed_results().await.unwrap();
    let rows: Vec<RecordBatch> = rows.try_collect().await.unwrap();
    assert_eq!(cells(&rows, "LastName"), some(&["a"]));
}

#[tokio::test]
async fn jobs_do_not_wait_for_one_outage_one_after_the_other() {
    let server = Server::start().await;
    let job = ended(&server).await;
    server.on(FAILED, [reply(503, "")]);
    let mut attempts = Vec::new();
    for _ in 0..3 {
        let before = server.seen(FAILED).len();
        let error = job.failed_results().await.err().unwrap();
        assert!(matches!(error, BulkError::ResultsUnread { .. }), "{error}");
        attempts.push(server.seen(FAILED).len() - before);
    }
    assert!(attempts[0] > 20, "{attempts:?}");
    assert_eq!(attempts[1..], [6, 6]);
    // Once a file is read, the next one is waited for again.
    server.on(FAILED, [reply(200, file(&["a"])), reply(503, "")]);
    drop(job.failed_results().await.unwrap());
    let before = server.seen(FAILED).len();
    job.failed_results().await.err().unwrap();
    assert!(server.seen(FAILED).len() - before > 20);
}

#[tokio::test]
async fn pages_without_end_are_an_error() {
    for rows in [&["a"][..], &[]] {
        let server = Server::start().await;
        server.on(CREATE, [job_info("Open")]);
        server.on(UPLOAD, [reply(201, "")]);
        server.on(PATCH, [job_info("UploadComplete")]);
        server.on(JOB, [job_info("JobComplete")]);
        let client = server.client().await;
        let job = client.stage(&target(), &few()).await.unwrap();
        let job = job.close().await.unwrap().finished().await.unwrap();
        let page = |next: u32| {
            let next = next.to_string();
            [with_header(200, "Sforce-Locator", &next, &file(rows))]
        };
        server.on(FAILED, page(0));
        for locator in 0..1_000 {
            server.on(&format!("{FAILED}?locator={locator}"), page(locator + 1));
        }
        let read = job.failed_results().await.unwrap();
        let error = read.try_collect::<Vec<_>>().await.unwrap_err();
        assert!(matches!(error, BulkError::ResultsUnread { .. }), "{error}");
        let text = error.to_string();
        assert!(text.starts_with("job 750A "), "{text}");
        assert!(text.ends_with("its pages have no end"), "{text}");
    }
}
