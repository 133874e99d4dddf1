use serde_json::{Value, json};

use super::*;
use crate::config::tests::{config_keys, parse, s3_keys, valid};
use crate::protocol::output::testing::Buffer;
use arrow_salesforce::options::{
    LoadOptions, MAX_JOB_BYTES_LIMIT, MIN_JOB_BYTES_LIMIT, MIN_MEMORY, OrgOptions,
};

fn spec() -> Value {
    serde_json::from_str(SPEC).unwrap()
}

fn properties() -> Value {
    spec()["connectionSpecification"]["properties"].take()
}

fn storages() -> Value {
    properties()["object_storage_config"]["oneOf"].take()
}

fn keys(object: &Value) -> Vec<&str> {
    object
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect()
}

fn sorted<'a>(keys: &[&'a str]) -> Vec<&'a str> {
    let mut keys = keys.to_vec();
    keys.sort_unstable();
    keys
}

#[test]
fn is_one_line() {
    let buffer = Buffer::default();
    let output = Output::to(buffer.clone()).unwrap();
    run(&output).unwrap();
    let text = buffer.text(&output);
    assert_eq!(text.lines().count(), 1);
    let message: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(message["type"], "SPEC");
    assert_eq!(message["spec"], spec());
}

#[test]
fn has_the_settings_that_the_config_reads_and_no_other() {
    assert_eq!(keys(&properties()), sorted(config_keys()));
    let s3 = storages()[1]["properties"].take();
    let read: Vec<&str> = s3_keys().iter().copied().chain(["storage_type"]).collect();
    assert_eq!(keys(&s3), sorted(&read));
}

#[test]
fn requires_what_airbyte_requires() {
    assert_eq!(
        spec()["connectionSpecification"]["required"],
        json!([
            "client_id",
            "client_secret",
            "refresh_token",
            "is_sandbox",
            "auth_type"
        ])
    );
    assert_eq!(
        storages()[1]["required"],
        json!([
            "storage_type",
            "s3_bucket_name",
            "s3_bucket_region",
            "bucket_path",
            "format"
        ])
    );
}

#[test]
fn ranges_and_defaults_are_those_of_the_settings() {
    let properties = properties();
    let (org, load) = (OrgOptions::default(), LoadOptions::default());
    let bytes = &properties["max_job_bytes"];
    assert_eq!(bytes["default"], load.max_job_bytes);
    assert_eq!(bytes["minimum"], MIN_JOB_BYTES_LIMIT);
    assert_eq!(bytes["maximum"], MAX_JOB_BYTES_LIMIT);
    assert_eq!(
        properties["max_jobs_in_flight"]["default"],
        org.max_jobs_in_flight
    );
    assert_eq!(properties["memory_limit_bytes"]["minimum"], MIN_MEMORY);
    let flush = &properties["flush_interval_seconds"];
    assert_eq!(flush["default"], load.flush_interval.as_secs());
}

#[test]
fn a_config_accepts_exactly_the_bounds_that_the_spec_states() {
    for (key, property) in properties().as_object().unwrap() {
        for (bound, outside) in [("minimum", -1), ("maximum", 1)] {
            let Some(bound) = property[bound].as_i64() else {
                continue;
            };
            let mut config = valid();
            config[key] = json!(bound);
            parse(&config).unwrap();
            config[key] = json!(bound + outside);
            let error = parse(&config).unwrap_err().to_string();
            assert!(error.starts_with(key.as_str()), "{key}: {error}");
        }
    }
}

#[test]
fn a_config_accepts_every_default_of_the_spec() {
    let mut config = valid();
    for (key, property) in properties().as_object().unwrap() {
        if let Some(default) = property.get("default") {
            config[key] = default.clone();
        }
    }
    parse(&config).unwrap();
}

#[test]
fn every_setting_of_ours_is_explained() {
    let properties = properties();
    for key in config_keys().iter().skip(6) {
        let property = &properties[key];
        for word in ["title", "description", "order"] {
            assert!(property.get(word).is_some(), "{key} has no {word}");
        }
    }
}

#[test]
fn every_title_is_in_the_docs() {
    fn titles(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(members) => {
                if let Some(Value::String(title)) = members.get("title") {
                    found.push(title.clone());
                }
                members.values().for_each(|value| titles(value, found));
            }
            Value::Array(items) => items.iter().for_each(|item| titles(item, found)),
            _ => {}
        }
    }
    let docs = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/airbyte.md");
    let docs = std::fs::read_to_string(docs).unwrap().replace('\n', " ");
    let mut found = Vec::new();
    titles(&properties(), &mut found);
    assert!(found.len() > 30);
    for title in found {
        assert!(docs.contains(&title), "docs/airbyte.md lacks {title}");
    }
}

#[test]
fn secrets_are_marked() {
    let (properties, s3) = (properties(), storages()[1]["properties"].take());
    for secret in [
        &properties["client_secret"],
        &properties["refresh_token"],
        &properties["private_key"],
        &s3["access_key_id"],
        &s3["secret_access_key"],
    ] {
        assert_eq!(secret["airbyte_secret"], true);
    }
}
