//! `schema.json` describes what `run` writes.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use serde_json::Value;

/// The schema.
pub(crate) fn schema() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/schema.json");
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// What of a value is not as a schema of it says. Knows the few words that `schema.json` uses.
fn problems(schema: &Value, root: &Value, value: &Value, at: &str) -> Vec<String> {
    if let Some(name) = schema["$ref"].as_str() {
        let target = root.pointer(name.trim_start_matches('#')).unwrap();
        return problems(target, root, value, at);
    }
    if let Some(choices) = schema["anyOf"].as_array() {
        let wrong = choices
            .iter()
            .map(|choice| problems(choice, root, value, at));
        return wrong.min_by_key(Vec::len).unwrap_or_default();
    }
    let types = match &schema["type"] {
        Value::Array(types) => types.clone(),
        one => vec![one.clone()],
    };
    let is = |name: &str| match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        other => panic!("the test does not know type {other}"),
    };
    let mut wrong = Vec::new();
    if !types.iter().any(|name| is(name.as_str().unwrap())) {
        return vec![format!("{at}: {value} is no {types:?}")];
    }
    if let Some(choices) = schema["enum"].as_array()
        && !choices.contains(value)
    {
        wrong.push(format!("{at}: {value} is not one of {choices:?}"));
    }
    if let Some(fixed) = schema.get("const")
        && fixed != value
    {
        wrong.push(format!("{at}: {value} is not {fixed}"));
    }
    for (number, item) in value.as_array().into_iter().flatten().enumerate() {
        wrong.extend(problems(
            &schema["items"],
            root,
            item,
            &format!("{at}[{number}]"),
        ));
    }
    if let (Some(fields), Some(known)) = (value.as_object(), schema["properties"].as_object()) {
        let names = |map: &serde_json::Map<String, Value>| map.keys().cloned().collect();
        let (known_names, found): (BTreeSet<String>, BTreeSet<String>) =
            (names(known), names(fields));
        if known_names != found {
            let differ: Vec<&String> = known_names.symmetric_difference(&found).collect();
            wrong.push(format!("{at}: {differ:?} in one of the two alone"));
        }
        for (name, value) in fields {
            if let Some(of_field) = known.get(name) {
                wrong.extend(problems(of_field, root, value, &format!("{at}.{name}")));
            }
        }
    }
    wrong
}

#[test]
fn results_are_as_the_schema_says() {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_salesforce-bench"))
        .args([
            "run",
            "--workload",
            "narrow",
            "--scale",
            "20",
            "--profile",
            "quiet",
            "--out",
        ])
        .arg(folder.path())
        .args(["--", "sh", "-c", "exit 0"])
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    let path = printed.lines().last().unwrap();
    let result: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    let schema = schema();
    let wrong = problems(&schema, &schema, &result, "result");
    assert!(wrong.is_empty(), "{wrong:#?}");
    // Every field has a description.
    for (name, part) in schema["$defs"].as_object().unwrap() {
        for (field, described) in part["properties"].as_object().unwrap() {
            assert!(described["description"].is_string(), "{name}.{field}");
        }
    }
    // The test sees what is wrong.
    let mut spoiled = result.clone();
    spoiled["outcome"] = "fine".into();
    spoiled["cost"]["calls"] = "many".into();
    spoiled["more"] = 1.into();
    assert_eq!(problems(&schema, &schema, &spoiled, "result").len(), 3);
}
