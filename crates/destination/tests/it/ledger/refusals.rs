//! What the user has to decide.

use std::time::Duration;

use insta::assert_snapshot;
use serde_json::json;
use testkit::s3::{S3Server, UNREADABLE_BUCKET};

use super::{People, anew, expected, names, org, people_stream};
use crate::harness::lines::{Stream, catalog};
use crate::harness::process::{BINARY, Job, run, storage};

const PEOPLE: usize = 40;

/// The id of a job stands for those that are random.
fn without_job(message: &str) -> String {
    let words = message.split(' ');
    let shown = words.map(|word| {
        if word.starts_with("750") {
            "750…"
        } else {
            word
        }
    });
    shown.collect::<Vec<_>>().join(" ")
}

/// What `ledger` prints for people, which no line of the log parts.
async fn ledger(job: &Job, task: &str) -> Vec<String> {
    let config = job.check_args().pop().unwrap();
    let mut command = tokio::process::Command::new(BINARY);
    let output = command
        .args(["ledger", task, "--config", &config])
        .output()
        .await
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let is_log = |line: &&str| line.starts_with('{');
    let lines: Vec<&str> = text.lines().skip_while(is_log).collect();
    assert!(!lines.iter().any(is_log), "{text}");
    lines.into_iter().map(str::to_owned).collect()
}

#[tokio::test]
async fn another_mapping_is_refused_until_all_is_sent_again() {
    let People {
        sim,
        stream,
        mut job,
    } = People::interrupted(PEOPLE).await;
    job.change("on_too_long", "truncate");
    let message = job
        .write(&anew(&stream, PEOPLE))
        .await
        .failed("config_error");
    assert_snapshot!(without_job(&message), @"people into Contact: an earlier attempt that ended early has sent FirstName, LastName in another way, and rows of its job 750… may be in Salesforce: going on would insert them twice. Set the mapping and the settings of values back to what they were, or set ledger: forget to send all again. If that was another connection with a stream of this name, give each of them a ledger_id");
    assert_eq!(
        names(&sim, "Contact", "LastName").await,
        expected(0..PEOPLE, 1)
    );

    job.change("ledger", "forget");
    job.write(&anew(&stream, PEOPLE)).await.succeeded();
    assert_eq!(
        names(&sim, "Contact", "LastName").await,
        expected(0..PEOPLE, 2)
    );
    assert!(job.ledger().is_empty(), "{:?}", job.ledger());
}

#[tokio::test]
async fn records_that_were_deleted_are_the_users_choice() {
    let People {
        sim,
        stream,
        job: mut repeated,
    } = People::interrupted(PEOPLE).await;
    // The user cleans up half of them.
    let rows = sim.rows("Contact").await;
    let gone = Stream::new("gone", "Contact", &["Id"]);
    let mut deletes = catalog(&[&gone]);
    deletes["streams"][0]["destination_sync_mode"] = json!("soft_delete");
    let mut lines: Vec<String> = rows
        .iter()
        .take(PEOPLE / 2)
        .map(|row| gone.record(&json!({"Id": row["Id"]})))
        .collect();
    lines.push(gone.complete());
    Job::with_catalog(&sim, deletes)
        .write(&lines)
        .await
        .succeeded();

    let lines = anew(&stream, PEOPLE);
    let message = repeated.write(&lines).await.failed("config_error");
    assert_snapshot!(message, @"of 40 records of Contact that an earlier attempt inserted, 20 are not in the org any more. If they were deleted to start over, set ledger: forget to send all again; if the others are to stay and not to be sent again, set ledger: trust");
    repeated.change("ledger", "trust");
    repeated.write(&lines).await.succeeded();
    assert_eq!(sim.column("Contact", "LastName").await.len(), PEOPLE / 2);
}

#[tokio::test]
async fn a_job_that_is_gone_is_the_users_choice() {
    let People {
        sim,
        stream,
        mut job,
    } = People::interrupted(PEOPLE).await;
    let gone = json!({"api_error": {"status": 404, "code": "NOT_FOUND"}});
    sim.fault(&json!({"calls": ["poll"], "times": 0, "do": gone}))
        .await;
    let message = job
        .write(&anew(&stream, PEOPLE))
        .await
        .failed("config_error");
    assert_snapshot!(without_job(&message), @"people into Contact: Salesforce has no results of job 750… of an earlier attempt any more, which it keeps for 7 days, so it is not known which of 20 rows were inserted. Compare the org with the source, and then set ledger: forget to send all again");
    for line in ledger(&job, "explain").await {
        assert!(line.contains("Salesforce has no results of it"), "{line}");
    }
    sim.clear_faults().await;
    job.change("ledger", "forget");
    job.write(&anew(&stream, PEOPLE)).await.succeeded();
    assert_eq!(
        names(&sim, "Contact", "LastName").await,
        expected(0..PEOPLE, 2)
    );
}

#[tokio::test]
async fn two_attempts_at_once_are_refused() {
    let People { sim, stream, job } = People::new(PEOPLE).await;
    let job = job.set("wait_permille", 100);
    let mut first = job.start_write();
    first.send(&super::records(&stream, 0..PEOPLE / 2)).await;
    first.wait_for_log("the org is ready").await;
    let message = job
        .write(&anew(&stream, PEOPLE))
        .await
        .failed("transient_error");
    assert!(
        message.starts_with("another attempt of this sync is at work ("),
        "{message}"
    );
    let mut lines = super::records(&stream, PEOPLE / 2..PEOPLE);
    lines.push(stream.complete());
    first.feed(lines);
    first.finish().await.succeeded();
    assert_eq!(
        names(&sim, "Contact", "LastName").await,
        expected(0..PEOPLE, 1)
    );
}

#[tokio::test]
async fn what_is_entered_can_be_read_explained_and_forgotten() {
    let People { sim, stream, job } = People::interrupted(PEOPLE).await;
    let listed = ledger(&job, "list").await;
    assert_eq!(listed.len(), 2, "{listed:?}");
    for line in &listed {
        assert!(line.starts_with("people into Contact (org "), "{line}");
        assert!(line.contains("20 rows, 20 of them not covered"), "{line}");
        assert!(!line.contains("Ng"), "{line}");
    }
    let explained = ledger(&job, "explain").await;
    assert!(
        explained[1].contains("has not said that it ended"),
        "{explained:?}"
    );
    // As if it had.
    for sign in super::blocked::objects(&job, "") {
        if sign.to_str().unwrap().contains("/attempts/") {
            std::fs::remove_file(sign).unwrap();
        }
    }
    let explained = ledger(&job, "explain").await;
    assert!(
        explained[1].contains("it ended, with 20 rows inserted and 0 refused: "),
        "{explained:?}"
    );
    let forgotten = ledger(&job, "forget").await;
    assert_snapshot!(forgotten.join("\n"), @"2 entries of 1 loads are forgotten: the next syncs send all of their records");
    assert!(job.ledger().is_empty(), "{:?}", job.ledger());
    assert_eq!(ledger(&job, "list").await, ["the ledger has no entries"]);
    job.write(&anew(&stream, PEOPLE)).await.succeeded();
    assert_eq!(
        names(&sim, "Contact", "LastName").await,
        expected(0..PEOPLE, 2)
    );
}

#[tokio::test]
async fn what_cannot_be_read_is_named_and_forgotten() {
    let People { sim, stream, job } = People::interrupted(PEOPLE).await;
    let entry = &super::blocked::objects(&job, ".entry")[0];
    let bytes = std::fs::read(entry).unwrap();
    std::fs::write(entry, &bytes[..bytes.len() - 5]).unwrap();
    for task in ["list", "explain"] {
        let lines = ledger(&job, task).await;
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(lines[0].starts_with("people into Contact"), "{lines:?}");
        assert!(lines[1].contains("cannot be read"), "{lines:?}");
    }
    let forgotten = ledger(&job, "forget").await;
    assert!(forgotten[0].starts_with("2 entries"), "{forgotten:?}");
    assert!(job.ledger().is_empty(), "{:?}", job.ledger());
    job.write(&anew(&stream, PEOPLE)).await.succeeded();
    assert_eq!(
        names(&sim, "Contact", "LastName").await,
        expected(0..PEOPLE, 2)
    );
}

/// Where objects can be written and not be read, nothing of an earlier attempt could be found out.
#[tokio::test]
async fn a_place_that_cannot_be_read_is_a_warning_at_the_start() {
    let sim = org(Duration::ZERO).await;
    let s3 = S3Server::start().await;
    let stream = people_stream();
    let mut bucket = storage(&s3);
    bucket["s3_bucket_name"] = json!(UNREADABLE_BUCKET);
    let job = Job::new(&sim, &[&stream]).set("object_storage_config", bucket);
    let output = job.write(&anew(&stream, PEOPLE)).await.succeeded();
    let warned = |line: &&String| {
        line.contains("WARN")
            && line.contains("cannot read s3://")
            && line.contains("may put, get, list and delete")
    };
    assert_eq!(output.lines.iter().filter(warned).count(), 1, "{output:#?}");
    assert_eq!(
        names(&sim, "Contact", "LastName").await,
        expected(0..PEOPLE, 1)
    );
}

#[tokio::test]
async fn a_place_that_refuses_is_a_warning_unless_it_was_named() {
    let People {
        sim,
        stream,
        mut job,
    } = People::new(PEOPLE).await;
    job.block_ledger();
    let output = job.write(&anew(&stream, PEOPLE)).await.succeeded();
    let warned = |line: &&String| line.contains("the place of the ledger") && line.contains("WARN");
    assert_eq!(output.lines.iter().filter(warned).count(), 1, "{output:#?}");
    assert_eq!(
        names(&sim, "Contact", "LastName").await,
        expected(0..PEOPLE, 1)
    );

    let url = format!(
        "{}/_ledger",
        job.config()["rejected_records_url"].as_str().unwrap()
    );
    job.change("ledger_url", url);
    job.write(&anew(&stream, PEOPLE))
        .await
        .failed("config_error");
    let checked = run(&job.check_args()).await;
    let status = checked.of("CONNECTION_STATUS")[0]["connectionStatus"].clone();
    assert_eq!(status["status"], "FAILED");
    job.change("ledger", "off");
    job.write(&anew(&stream, PEOPLE)).await.succeeded();
}
