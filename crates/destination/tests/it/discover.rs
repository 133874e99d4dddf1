//! `discover` against a large org, and against describes that fail.

use std::time::Duration;

use salesforce_sim::SimOptions;
use serde_json::{Value, json};
use testkit::sim::TestSim;

use crate::harness::lines::contacts;
use crate::harness::process::{Job, Output, run};

fn operations(output: &Output) -> &[Value] {
    let [catalog] = output.of("DESTINATION_CATALOG")[..] else {
        panic!("one catalog expected: {output:#?}");
    };
    let operations = &catalog["destination_catalog"]["operations"];
    operations.as_array().unwrap()
}

fn of<'a>(operations: &'a [Value], object: &str, mode: &str) -> Option<&'a Value> {
    operations
        .iter()
        .find(|operation| operation["object_name"] == object && operation["sync_mode"] == mode)
}

async fn org_of(extra_objects: usize) -> TestSim {
    TestSim::with_options(SimOptions {
        extra_objects,
        ..TestSim::options(Duration::ZERO)
    })
    .await
}

async fn discover(sim: &TestSim) -> Output {
    run(&Job::new(sim, &[&contacts()]).discover_args()).await
}

#[tokio::test]
async fn each_operation_with_its_fields_and_keys() {
    let sim = TestSim::start().await;
    let output = discover(&sim).await.succeeded();
    let operations = operations(&output);
    let modes: Vec<&str> = operations
        .iter()
        .filter(|operation| operation["object_name"] == "Contact")
        .map(|operation| operation["sync_mode"].as_str().unwrap())
        .collect();
    assert_eq!(modes, ["append", "update", "append_dedup", "soft_delete"]);

    let insert = of(operations, "Contact", "append").unwrap();
    assert_eq!(insert["matching_keys"], json!([]));
    let schema = &insert["json_schema"];
    assert_eq!(schema["type"], "object");
    assert_eq!(schema["additionalProperties"], false);
    assert_eq!(schema.get("required"), None);
    assert_eq!(schema["properties"]["LastName"], json!({"type": "string"}));
    let date = json!({"type": "string", "format": "date"});
    assert_eq!(schema["properties"]["Birthdate"], date);
    assert_eq!(schema["properties"].get("Id"), None);

    let upsert = of(operations, "Contact", "append_dedup").unwrap();
    let keys = json!([["Ext_Id__c"], ["Id"]]);
    assert_eq!(upsert["matching_keys"], keys);
    let delete = of(operations, "Contact", "soft_delete").unwrap();
    let only_id = json!({"Id": {"type": "string"}});
    assert_eq!(delete["json_schema"]["properties"], only_id);
}

#[tokio::test]
async fn a_large_org_in_few_calls() {
    let sim = org_of(1_200).await;
    let output = discover(&sim).await.succeeded();
    let calls = sim.state().await["api_calls"].as_u64().unwrap();
    assert!(calls <= 60, "{calls} charged calls");
    let operations = operations(&output);
    let objects: std::collections::BTreeSet<&str> = operations
        .iter()
        .map(|operation| operation["object_name"].as_str().unwrap())
        .collect();
    assert!(objects.len() > 600, "{} objects", objects.len());
    let systems = ["History", "Share", "Feed", "ChangeEvent"];
    let offered = objects
        .iter()
        .find(|name| systems.iter().any(|end| name.ends_with(end)));
    assert_eq!(offered, None);
}

#[tokio::test]
async fn system_objects_are_offered_if_asked_for() {
    let sim = org_of(100).await;
    let job = Job::new(&sim, &[&contacts()]).set("discover_system_objects", true);
    let output = run(&job.discover_args()).await.succeeded();
    let all = output.of("DESTINATION_CATALOG")[0]["destination_catalog"]["operations"].to_string();
    assert!(all.contains("__Share\""));
}

#[tokio::test]
async fn an_object_without_a_describe_is_left_out_with_a_warning() {
    let sim = TestSim::start().await;
    let refuse = json!({"path": "*/sobjects/Contact/describe", "times": 0,
        "do": {"api_error": {"status": 403, "code": "INSUFFICIENT_ACCESS", "message": "no"}}});
    sim.fault(&refuse).await;
    let output = discover(&sim).await.succeeded();
    let operations = operations(&output);
    assert_eq!(of(operations, "Contact", "append"), None);
    assert!(of(operations, "Account", "append").is_some());
    let warned = output.of("LOG").into_iter().any(|log| {
        let text = log["log"]["message"].as_str().unwrap();
        log["log"]["level"] == "WARN" && text.contains("Contact") && text.contains("INSUFFICIENT")
    });
    assert!(warned, "{output:#?}");
}

#[tokio::test]
async fn an_org_without_composite_requests_is_described_one_by_one() {
    for status in [404, 501] {
        let sim = TestSim::start().await;
        let refuse = json!({"path": "*/composite", "times": 0,
            "do": {"api_error": {"status": status, "code": "NOT_FOUND", "message": "no"}}});
        sim.fault(&refuse).await;
        let output = discover(&sim).await.succeeded();
        assert!(of(operations(&output), "Contact", "append").is_some());
    }
}
