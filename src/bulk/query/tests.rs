//! Queries against canned answers: what a page or a job may be like.

use arrow::array::{AsArray, RecordBatch};
use futures::TryStreamExt;

use super::{QueryOptions, Types};
use crate::bulk::BulkError;
use crate::bulk::testing::*;
use crate::error::ErrorKind;

const QUERY: &str = "POST /services/data/v62.0/jobs/query";
const QUERY_JOB: &str = "GET /services/data/v62.0/jobs/query/750A";
const DELETE: &str = "DELETE /services/data/v62.0/jobs/query/750A";
const RESULTS: &str = "GET /services/data/v62.0/jobs/query/750A/results";
const PAGES: &str = "GET /services/data/v62.0/jobs/query/750A/resultPages";

const CONTACT: &str = r#"{"name":"Contact","fields":[{"name":"Id","type":"id"},
    {"name":"Name","type":"string"},{"name":"OwnerId","type":"reference",
    "referenceTo":["Group","User"],"relationshipName":"Owner"},{"name":"AccountId",
    "type":"reference","referenceTo":["Account"],"relationshipName":"Account"}]}"#;
const ACCOUNT: &str = r#"{"name":"Account","fields":[{"name":"Id","type":"id"},
    {"name":"AnnualRevenue","type":"currency","precision":18,"scale":0},{"name":"ParentId",
    "type":"reference","referenceTo":["Account"],"relationshipName":"Parent"}]}"#;

fn job(state: &str, more: &str) -> Reply {
    reply(
        200,
        format!(
            r#"{{"id":"750A","object":"Contact","operation":"query","state":"{state}"{more}}}"#
        ),
    )
}

/// A page of the rows of these names, and the locator of the next.
fn page(names: &[&str], next: &str) -> Reply {
    let rows: Vec<String> = names
        .iter()
        .map(|name| format!("\"{name}\",\"003{name}\"\n"))
        .collect();
    Reply::Answer {
        status: 200,
        headers: vec![
            ("Sforce-Locator", next.to_owned()),
            ("Sforce-NumberOfRecords", names.len().to_string()),
        ],
        body: format!("\"Name\",\"Id\"\n{}", rows.concat()),
    }
}

fn at(locator: &str) -> String {
    format!("{RESULTS}?locator={locator}")
}

/// An org with a job that is complete, and has found so many records.
async fn complete(found: Option<u64>) -> std::sync::Arc<Server> {
    let server = Server::start().await;
    let describe = |object: &str| format!("GET /services/data/v62.0/sobjects/{object}/describe");
    server.on(&describe("Contact"), [reply(200, CONTACT)]);
    server.on(&describe("Account"), [reply(200, ACCOUNT)]);
    server.on(QUERY, [job("UploadComplete", "")]);
    let found = found.map_or(String::new(), |found| {
        format!(r#","numberRecordsProcessed":{found}"#)
    });
    server.on(
        QUERY_JOB,
        [job("InProgress", ""), job("JobComplete", &found)],
    );
    server.on(DELETE, [reply(204, "")]);
    server
}

async fn ask(server: &Server, soql: &str) -> Result<Vec<String>, BulkError> {
    let client = server.client().await;
    let query = client.query(soql, QueryOptions::default()).await?;
    let batches: Vec<RecordBatch> = query.stream().try_collect().await?;
    let names = batches.iter().flat_map(|batch| {
        let names = batch.column(0).as_string::<i32>();
        names.iter().map(|name| name.unwrap().to_owned())
    });
    Ok(names.collect())
}

const NAMES: &str = "SELECT Name FROM Contact";

#[tokio::test]
async fn pages_that_are_known_are_received_at_once_and_given_in_their_order() {
    let server = complete(None).await;
    let address = |locator: &str| {
        format!(
            r#"{{"resultUrl":"/services/data/v62.0/jobs/query/750A/results?locator={locator}"}}"#
        )
    };
    let list = |locators: &[&str], next: &str| {
        let pages: Vec<String> = locators.iter().map(|locator| address(locator)).collect();
        let pages = pages.join(",");
        reply(
            200,
            format!(r#"{{"resultPages":[{pages}],"nextRecordsUrl":{next},"done":true}}"#),
        )
    };
    let next = r#""/services/data/v62.0/jobs/query/750A/resultPages?locator=P5""#;
    server.on(&at("P2"), [Reply::Lost, page(&["c"], "P3")]);
    server.on(&at("P3"), [page(&["d", "e"], "P4")]);
    server.on(&at("P4"), [page(&["f"], "null")]);
    // Whether the list begins with the first page is not documented.
    for pages in [&["P1", "P2", "P3"][..], &["P2", "P3"]] {
        server.on(RESULTS, [reply(503, ""), page(&["a", "b"], "P2")]);
        server.on(PAGES, [reply(503, ""), list(pages, next)]);
        server.on(&format!("{PAGES}?locator=P5"), [list(&["P4"], "null")]);
        let found = ask(&server, NAMES).await.unwrap();
        assert_eq!(found, ["a", "b", "c", "d", "e", "f"]);
    }
    // A list of other pages, or one that names a page twice, is not used.
    for pages in [&["X2", "X3"][..], &["P2", "P2"]] {
        server.on(PAGES, [list(pages, "null")]);
        let found = ask(&server, NAMES).await.unwrap();
        assert_eq!(found, ["a", "b", "c", "d", "e", "f"]);
    }
    assert_eq!(server.seen(DELETE).len(), 4);
    let asked = server.seen(QUERY)[0].text().to_owned();
    assert!(asked.contains("SELECT Name, Id FROM Contact"), "{asked}");
}

#[tokio::test]
async fn what_is_no_whole_page_is_asked_for_again() {
    let server = complete(Some(3)).await;
    let short = with_header(
        200,
        "Sforce-NumberOfRecords",
        "2",
        "\"Name\",\"Id\"\n\"a\",\"003a\"\n",
    );
    let other = reply(200, "\"Name\",\"Phone\"\n\"a\",\"1\"\n");
    let broken = reply(200, "\"Name\",\"Id\"\n\"a\",\"003");
    server.on(
        RESULTS,
        [
            short,
            other,
            broken,
            reply(204, ""),
            reply(200, "<html>a,b</html>"),
            page(&["a", "b"], "P2"),
        ],
    );
    // A page comes twice, and then one that leads in a circle.
    server.on(
        &at("P2"),
        [
            page(&["a", "b"], "null"),
            page(&["c"], "P2"),
            page(&["c"], "null"),
        ],
    );
    assert_eq!(ask(&server, NAMES).await.unwrap(), ["a", "b", "c"]);
}

#[tokio::test]
async fn what_stays_no_page_is_an_error_that_names_the_job() {
    let server = complete(Some(4)).await;
    server.on(RESULTS, [page(&["a", "b"], "P2")]);
    for (second, expected) in [
        (page(&["a", "b"], "null"), "a page came twice"),
        (page(&["c"], "P2"), "its pages go in a circle"),
        (reply(200, "\"Name\"\n\"c\"\n"), "it has another header"),
    ] {
        server.on(
            QUERY_JOB,
            [job("JobComplete", r#","numberRecordsProcessed":4"#)],
        );
        server.on(&at("P2"), [second]);
        let error = ask(&server, NAMES).await.unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains("query job 750A") && text.contains(expected),
            "{text}"
        );
        assert_eq!(error.kind(), ErrorKind::Transient);
    }
    assert!(server.seen(DELETE).is_empty());
}

#[tokio::test]
async fn rows_are_counted_against_the_job() {
    let server = complete(Some(3)).await;
    server.on(RESULTS, [page(&["a"], "null")]);
    let error = ask(&server, NAMES).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "query job 750A has found 3 records, but its results have 1 rows; ask the query again"
    );
    // The count of a job may lag.
    let late = [0, 0, 1].map(|found| {
        let found = format!(r#","numberRecordsProcessed":{found}"#);
        job("JobComplete", &found)
    });
    server.on(QUERY_JOB, late);
    assert_eq!(ask(&server, NAMES).await.unwrap(), ["a"]);
}

#[tokio::test]
async fn a_job_that_is_gone() {
    let server = complete(Some(1)).await;
    server.on(RESULTS, [api_error(404, "NOT_FOUND", "It does not exist")]);
    let error = ask(&server, NAMES).await.unwrap_err();
    assert!(
        matches!(&error, BulkError::QueryGone { id } if id == "750A"),
        "{error}"
    );
}

#[tokio::test]
async fn a_job_that_failed() {
    for (message, attempts, kind) in [
        ("InternalServerError : x", 5, ErrorKind::Transient),
        ("INVALID_FIELD: No such column", 1, ErrorKind::Config),
    ] {
        let server = complete(None).await;
        let failed = format!(r#","errorMessage":"{message}""#);
        server.on(QUERY_JOB, [job("Failed", &failed)]);
        let error = ask(&server, NAMES).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(message), "{error}");
        assert_eq!(server.seen(QUERY).len(), attempts);
    }
}

#[tokio::test]
async fn fields_of_parents_have_their_types() {
    let server = complete(Some(1)).await;
    server.on(
        "POST /services/data/v62.0/composite",
        [reply(
            200,
            format!(
                r#"{{"compositeResponse":[
                {{"body":{ACCOUNT},"httpStatusCode":200,"referenceId":"describe0"}},
                {{"body":{{"name":"Group","fields":[{{"name":"Name","type":"string"}}]}},
                "httpStatusCode":200,"referenceId":"describe1"}},
                {{"body":{{"name":"User","fields":[{{"name":"Name","type":"string"}},
                {{"name":"IsActive","type":"boolean"}}]}},
                "httpStatusCode":200,"referenceId":"describe2"}}]}}"#
            ),
        )],
    );
    let body = "\"Account.AnnualRevenue\",\"Account.Parent.AnnualRevenue\",\"Owner.IsActive\",\
        \"What\",\"Other.X\",\"Id\"\n\"9.1226E8\",\"\",\"true\",\"w\",\"x\",\"003A\"\n";
    server.on(RESULTS, [reply(200, body)]);
    let soql = "SELECT c.account.annualrevenue, Account.Parent.AnnualRevenue, Contact.Owner.IsActive, \
        FORMAT(Name) What, Other.X FROM Contact c";
    let client = server.client().await;
    let query = client.query(soql, QueryOptions::default()).await.unwrap();
    let columns: Vec<String> = query
        .schema()
        .fields()
        .iter()
        .map(|field| format!("{} {}", field.name(), field.data_type()))
        .collect();
    assert_eq!(
        columns,
        [
            "Account.AnnualRevenue Decimal128(18, 0)",
            "Account.Parent.AnnualRevenue Decimal128(18, 0)",
            "Owner.IsActive Boolean",
            "What Utf8",
            "Other.X Utf8"
        ]
    );
    let batches: Vec<RecordBatch> = query.stream().try_collect().await.unwrap();
    assert_eq!(batches[0].num_rows(), 1);
    let texts = QueryOptions::default().with_types(Types::Text);
    let texts = client.query(soql, texts).await.unwrap();
    assert_eq!(texts.schema().field(0).name(), "Account.annualrevenue");
}
