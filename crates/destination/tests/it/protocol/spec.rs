//! The spec, key by key.

use std::fs;

use serde_json::{Map, Value};

use super::case;
use crate::harness::process::run;

/// Takes descriptions away: they are worded freely.
fn without_descriptions(value: &mut Value) {
    match value {
        Value::Object(object) => {
            if object.get("description").is_some_and(Value::is_string) {
                object.remove("description");
            }
            object.values_mut().for_each(without_descriptions);
        }
        Value::Array(items) => items.iter_mut().for_each(without_descriptions),
        _ => {}
    }
}

/// Keys of the object under `path`, in the order of the text.
fn keys_in_order(text: &str, path: &[&str]) -> Vec<String> {
    let mut text: &serde_json::value::RawValue = serde_json::from_str(text).unwrap();
    for key in path {
        let object: std::collections::BTreeMap<&str, &serde_json::value::RawValue> =
            serde_json::from_str(text.get()).unwrap();
        text = object[key];
    }
    struct Keys(Vec<String>);
    impl<'de> serde::Deserialize<'de> for Keys {
        fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            struct Visitor;
            impl<'de> serde::de::Visitor<'de> for Visitor {
                type Value = Keys;
                fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    f.write_str("an object")
                }
                fn visit_map<A: serde::de::MapAccess<'de>>(
                    self,
                    mut map: A,
                ) -> Result<Keys, A::Error> {
                    let mut keys = Vec::new();
                    while let Some((key, _)) = map.next_entry::<String, serde::de::IgnoredAny>()? {
                        keys.push(key);
                    }
                    Ok(Keys(keys))
                }
            }
            deserializer.deserialize_map(Visitor)
        }
    }
    serde_json::from_str::<Keys>(text.get()).unwrap().0
}

#[tokio::test]
async fn the_spec_is_airbytes_and_then_our_own_settings() {
    let output = run(&["spec"]).await.succeeded();
    let line = output.lines.iter().find(|line| line.contains("\"SPEC\""));
    let line = line.unwrap();
    let mut printed = output.of("SPEC")[0]["spec"].clone();
    let expected_text = fs::read_to_string(case::data("spec_expected.json")).unwrap();
    let expected: Value = serde_json::from_str(&expected_text).unwrap();

    for path in [
        &[][..],
        &["connectionSpecification"],
        &["connectionSpecification", "properties"],
    ] {
        let spec_path = [&["spec"], path].concat();
        let printed = keys_in_order(line, &spec_path);
        let expected = keys_in_order(&expected_text, path);
        assert_eq!(
            printed[..expected.len()],
            expected,
            "keys in order under {path:?}"
        );
    }
    // Settings of our own come after Airbyte's.
    let properties = &mut printed["connectionSpecification"]["properties"];
    let ours: Map<String, Value> = {
        let all = properties.as_object_mut().unwrap();
        let airbytes = &expected["connectionSpecification"]["properties"];
        let ours: Vec<String> = all
            .keys()
            .filter(|key| airbytes.get(key).is_none())
            .cloned()
            .collect();
        ours.into_iter()
            .map(|key| {
                let value = all.remove(&key).unwrap();
                (key, value)
            })
            .collect()
    };
    for (key, setting) in &ours {
        for word in ["title", "description", "order"] {
            assert!(setting.get(word).is_some(), "{key} has no {word}");
        }
        assert!(
            setting["order"].as_u64().unwrap() > 3,
            "{key} stands before Airbyte's"
        );
    }
    without_descriptions(&mut printed);
    let pretty = |value: &Value| serde_json::to_string_pretty(value).unwrap();
    assert_eq!(pretty(&printed), pretty(&expected));
}
