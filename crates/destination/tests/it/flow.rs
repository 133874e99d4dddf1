//! Records in, records in the org: streams, states and their counts, and the shapes of configs.

use serde_json::{Value, json};
use testkit::KEY;
use testkit::s3::S3Server;
use testkit::sim::TestSim;

use crate::harness::lines::{Stream, account, accounts, contact, contacts};
use crate::harness::process::{Job, storage};

#[tokio::test]
async fn one_stream_in_one_job() {
    let (sim, contacts) = (TestSim::start().await, contacts());
    let mut lines: Vec<String> = (0..10).map(|i| contacts.record(&contact(i))).collect();
    lines.push(contacts.state(1, 10));
    lines.extend((10..25).map(|i| contacts.record(&contact(i))));
    lines.push(contacts.state(2, 15));
    lines.push(contacts.complete());

    let output = Job::new(&sim, &[&contacts]).write(&lines).await.succeeded();

    assert_eq!(output.state_ids(), [1, 2]);
    let expected: Vec<Value> = (0..25).map(contact).collect();
    assert_same_rows(&sim.rows("Contact").await, &expected);
    assert_eq!(sim.jobs().await.len(), 1, "states never close a job");
}

#[tokio::test]
async fn states_have_the_counts_of_their_interval_and_running_totals() {
    let (sim, contacts) = (TestSim::start().await, contacts());
    // Of every five records one is refused by the org: it lacks the required LastName.
    let records: Vec<String> = (0..50)
        .map(|i| {
            let mut data = contact(i);
            if i % 5 == 4 {
                data["LastName"] = Value::Null;
            }
            contacts.record(&data)
        })
        .collect();
    let mut lines = Vec::new();
    for (interval, records) in records.chunks(20).enumerate() {
        lines.extend_from_slice(records);
        lines.push(contacts.state(interval as u64 + 1, records.len()));
    }
    lines.push(contacts.complete());

    let output = Job::new(&sim, &[&contacts])
        .set("max_job_rows", 7)
        .write(&lines)
        .await
        .succeeded();

    assert_eq!(output.state_ids(), [1, 2, 3]);
    let bytes = |count: usize| {
        records[..count]
            .iter()
            .map(|line| line.len() as u64)
            .sum::<u64>()
    };
    for (state, interval, total) in [
        (0, (16, 4), (16, 4)),
        (1, (16, 4), (32, 8)),
        (2, (8, 2), (40, 10)),
    ] {
        let state = output.states()[state];
        let stats = &state["destinationStats"];
        assert_eq!(
            stats["recordCount"].to_string(),
            format!("{}.0", interval.0)
        );
        assert_eq!(
            stats["rejectedRecordCount"].to_string(),
            format!("{}.0", interval.1)
        );
        assert_eq!(state["committedRecordsCount"], total.0);
        assert_eq!(state["rejectedRecordsCount"], total.1);
        let read = usize::try_from(total.0 + total.1).unwrap();
        assert_eq!(state["committedBytesCount"], bytes(read));
    }
    assert_eq!(sim.column("Contact", KEY).await.len(), 40);
}

#[tokio::test]
async fn a_state_comes_back_as_it_was_sent() {
    let (sim, contacts) = (TestSim::start().await, contacts());
    let blob =
        r#"{"b": 1.10,  "a":[1,2 ,3],"a":"twice","n":12345678901234567890123,"u":"\u00e9\/é"}"#;
    let state = contacts.state_text(7, 1, blob).replace(
        r#","id":7"#,
        r#","id":7,"partition_id":"p-1","unknown" : {"k":[1.0]}"#,
    );
    let lines = [contacts.record(&contact(1)), state, contacts.complete()];

    let output = Job::new(&sim, &[&contacts]).write(&lines).await.succeeded();

    let line = output
        .lines
        .iter()
        .find(|line| line.contains(r#""type":"STATE""#))
        .unwrap();
    assert!(
        line.contains(&format!(r#""stream_state":{blob}"#)),
        "{line}"
    );
    let state = output.states()[0];
    assert_eq!(state["partition_id"], "p-1");
    assert_eq!(state["unknown"], json!({"k": [1.0]}));
    assert_eq!(state["sourceStats"], json!({"recordCount": 1.0}));
    assert_eq!(state["destinationStats"], json!({"recordCount": 1.0}));
    assert_eq!(state["committedRecordsCount"], 1);
    assert_eq!(state.get("rejectedRecordsCount"), None, "left out at 0");
}

#[tokio::test]
async fn three_streams_interleaved() {
    let sim = TestSim::start().await;
    let contacts = contacts().in_namespace("crm");
    let accounts = accounts().in_namespace("erp");
    let everything = Stream::new("everything", "Everything__c", &[KEY, "Name"]);
    let other = |i: usize| json!({KEY: format!("E-{i}"), "Name": format!("Thing {i}")});
    let mut lines = Vec::new();
    for i in 0..300 {
        lines.push(contacts.record(&contact(i)));
        if i % 2 == 0 {
            lines.push(accounts.record(&account(i)));
        }
        if i % 3 == 0 {
            lines.push(everything.record(&other(i)));
        }
        if i % 60 == 59 {
            let id = u64::try_from(i).unwrap();
            lines.push(contacts.state(1000 + id, 60));
            lines.push(accounts.state(2000 + id, 30));
            lines.push(everything.state(3000 + id, 20));
        }
    }
    lines.extend([&everything, &contacts, &accounts].map(Stream::complete));

    let job = Job::new(&sim, &[&contacts, &accounts, &everything]).set("max_job_rows", 40);
    let output = job.write(&lines).await.succeeded();

    let rows = |keep: usize, make: &dyn Fn(usize) -> Value| -> Vec<Value> {
        (0..300).filter(|i| i % keep == 0).map(make).collect()
    };
    assert_same_rows(&sim.rows("Contact").await, &rows(1, &contact));
    assert_same_rows(&sim.rows("Account").await, &rows(2, &account));
    assert_same_rows(&sim.rows("Everything__c").await, &rows(3, &other));
    for (thousands, name, count) in [
        (1, "contacts", 60_u64),
        (2, "accounts", 30),
        (3, "everything", 20),
    ] {
        let states: Vec<&Value> = output
            .states()
            .into_iter()
            .filter(|state| state["stream"]["stream_descriptor"]["name"] == name)
            .collect();
        let ids: Vec<u64> = states
            .iter()
            .map(|state| state["id"].as_u64().unwrap())
            .collect();
        let sent: Vec<u64> = (1..=5).map(|n| thousands * 1000 + n * 60 - 1).collect();
        assert_eq!(ids, sent, "{name}");
        for (n, state) in states.iter().enumerate() {
            let stats = &state["destinationStats"];
            assert_eq!(
                stats["recordCount"].to_string(),
                format!("{count}.0"),
                "{name}"
            );
            assert_eq!(
                state["committedRecordsCount"],
                count * (n as u64 + 1),
                "{name}"
            );
        }
    }
}

#[tokio::test]
async fn a_state_without_records_makes_no_job() {
    let (sim, contacts) = (TestSim::start().await, contacts());
    let lines = [contacts.state(1, 0), contacts.complete()];

    let output = Job::new(&sim, &[&contacts]).write(&lines).await.succeeded();

    let state = output.states()[0];
    assert_eq!(state["destinationStats"], json!({"recordCount": 0.0}));
    assert_eq!(state["committedRecordsCount"], 0);
    assert!(sim.jobs().await.is_empty());
}

#[tokio::test]
async fn the_config_of_the_docs_page_runs_as_it_stands() {
    let (sim, s3) = (TestSim::start().await, S3Server::start().await);
    let contacts = contacts();
    let job = Job::new(&sim, &[&contacts]).set("object_storage_config", storage(&s3));
    let lines = [
        contacts.record(&contact(1)),
        contacts.state(1, 1),
        contacts.complete(),
    ];

    let output = job.write(&lines).await.succeeded();

    assert_eq!(output.state_ids(), [1]);
    assert_eq!(sim.column("Contact", KEY).await, ["C-1"]);
    assert!(
        s3.objects().is_empty(),
        "nothing was rejected, nothing is left"
    );
}

#[tokio::test]
async fn a_config_may_leave_out_storage_and_a_stream_its_object() {
    let sim = TestSim::start().await;
    let mut contacts = contacts();
    contacts.name = "Contact".into();
    contacts.object = None;
    let job = Job::new(&sim, &[&contacts])
        .unset("object_storage_config")
        .set("auth_type", "Client");
    let lines = [contacts.record(&contact(1)), contacts.complete()];

    job.write(&lines).await.succeeded();

    assert_eq!(sim.column("Contact", KEY).await, ["C-1"]);
}

#[tokio::test]
async fn lines_of_every_kind_are_survived() {
    let (sim, contacts) = (TestSim::start().await, contacts());
    let lower_case = json!({"ext_id__c": "C-2", "lastname": "Lower", "email": "l@example.com",
        "_airbyte_raw_id": "x", "_airbyte_extracted_at": "2026-01-01T00:00:00"});
    let lines = [
        "not json at all".to_owned(),
        String::new(),
        r#"{"type":"LOG","log":{"level":"INFO","message":"hello"}}"#.to_owned(),
        r#"{"type":"SOMETHING_NEW","thing":1}"#.to_owned(),
        contacts.status("STARTED"),
        contacts.record(&contact(1)).replace(
            r#""record":{"#,
            r#""log":null,"state":null,"record":{"namespace":null,"meta":null,"#,
        ),
        contacts.record(&lower_case),
        contacts.state(1, 2) + "\r",
        contacts.complete(),
    ];

    let output = Job::new(&sim, &[&contacts]).write(&lines).await.succeeded();

    assert_eq!(output.state_ids(), [1]);
    let mut keys = sim.column("Contact", KEY).await;
    keys.sort();
    assert_eq!(keys, ["C-1", "C-2"]);
}

#[tokio::test]
async fn jobs_stay_within_their_bounds() {
    let (sim, contacts) = (TestSim::start().await, contacts());
    let mut lines: Vec<String> = (0..1000).map(|i| contacts.record(&contact(i))).collect();
    lines.push(contacts.complete());
    let job = Job::new(&sim, &[&contacts])
        .set("max_job_bytes", 10_000)
        .set("max_jobs_in_flight", 3);

    job.write(&lines).await.succeeded();

    let jobs = sim.jobs().await;
    let number = |job: &Value, key: &str| job[key].as_u64().unwrap();
    for job in &jobs {
        assert!(number(job, "bytes") <= 10_000, "{job}");
        assert!(number(job, "rows") > 0, "{job}");
    }
    assert_eq!(
        jobs.iter().map(|job| number(job, "rows")).sum::<u64>(),
        1000
    );
    assert_eq!(sim.column("Contact", KEY).await.len(), 1000);
    assert!(sim.most_jobs_at_once().await <= 3);
}

#[tokio::test]
async fn one_name_in_two_namespaces_is_two_streams() {
    let sim = TestSim::start().await;
    let (here, there) = (contacts().in_namespace("here"), contacts());
    let lines = [
        here.record(&contact(1)),
        there.record(&contact(2)),
        there.record(&contact(3)),
        there.state(1, 2),
        here.state(2, 1),
        here.complete(),
        there.complete(),
    ];

    let output = Job::new(&sim, &[&here, &there])
        .write(&lines)
        .await
        .succeeded();

    for state in output.states() {
        let namespace = &state["stream"]["stream_descriptor"]["namespace"];
        let expected = if namespace == "here" { 1 } else { 2 };
        assert_eq!(state["committedRecordsCount"], expected, "{state}");
    }
    assert_eq!(sim.column("Contact", KEY).await.len(), 3);
}

#[tokio::test]
async fn a_state_behind_the_end_of_its_stream_is_given_back() {
    let (sim, contacts) = (TestSim::start().await, contacts());
    let lines = [
        contacts.record(&contact(1)),
        contacts.state(1, 1),
        contacts.complete(),
        contacts.state(2, 0),
    ];

    let output = Job::new(&sim, &[&contacts]).write(&lines).await.succeeded();

    assert_eq!(output.state_ids(), [1, 2]);
    let state = output.states()[1];
    assert_eq!(state["destinationStats"], json!({"recordCount": 0.0}));
    assert_eq!(state["committedRecordsCount"], 1);
}

#[tokio::test]
async fn an_incomplete_stream_is_loaded_as_far_as_it_came() {
    let (sim, contacts) = (TestSim::start().await, contacts());
    let lines = [
        contacts.record(&contact(1)),
        contacts.state(1, 1),
        contacts.status("INCOMPLETE"),
    ];

    let output = Job::new(&sim, &[&contacts]).write(&lines).await.succeeded();

    assert_eq!(output.state_ids(), [1]);
    assert_eq!(sim.column("Contact", KEY).await, ["C-1"]);
}

#[tokio::test]
async fn relationship_columns_find_the_related_records() {
    let sim = TestSim::start().await;
    let account = Stream::new("accounts", "Account", &["Name", KEY]);
    let parent = [
        account.record(&json!({"Name": "Acme", KEY: "A-1"})),
        account.complete(),
    ];
    Job::new(&sim, &[&account]).write(&parent).await.succeeded();
    let stream = Stream::new("contacts", "Contact", &["LastName", "Account.Ext_Id__c"]);
    let lines = [
        stream.record(&json!({"LastName": "Ng", "Account.Ext_Id__c": "A-1"})),
        stream.state(1, 1),
        stream.complete(),
    ];

    let output = Job::new(&sim, &[&stream]).write(&lines).await;

    assert_eq!(output.states().len(), 1);
    let (contact, account) = (sim.rows("Contact").await, sim.rows("Account").await);
    assert_eq!((contact.len(), account.len()), (1, 1));
    assert_eq!(contact[0]["LastName"], "Ng");
    assert_eq!(account[0]["Name"], "Acme");
    assert_eq!(contact[0]["AccountId"], account[0]["Id"]);
}

/// Every record is in the org once, with the values that were sent, and nothing else is.
fn assert_same_rows(rows: &[Value], expected: &[Value]) {
    let text = |value: &Value| {
        value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned)
    };
    let mut expected: Vec<&Value> = expected.iter().collect();
    let mut rows: Vec<&Value> = rows.iter().collect();
    assert_eq!(rows.len(), expected.len());
    rows.sort_by_key(|row| text(&row[KEY]));
    expected.sort_by_key(|record| text(&record[KEY]));
    for (row, record) in rows.iter().zip(expected) {
        for (field, value) in record.as_object().unwrap() {
            assert_eq!(text(&row[field]), text(value), "{field} of {record}");
        }
    }
}
