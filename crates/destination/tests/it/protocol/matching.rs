//! Whether what was printed holds what a case says, and where it does not.

use serde_json::Value;

/// Adds to `found` where `actual` is not what `expected` says. Objects may have more keys; lists
/// have the same length; numbers with and without a decimal point differ. Of texts, `<any>`,
/// `<number>`, `<integer>`, `<float>`, `<text>`, `<absent>` and `<contains …>` stand for values.
pub(super) fn compare(path: &str, expected: &Value, actual: &Value, found: &mut Vec<String>) {
    match (expected, actual) {
        (Value::Object(expected), Value::Object(actual)) => {
            for (key, wanted) in expected {
                match (wanted.as_str(), actual.get(key)) {
                    (Some("<absent>"), None) => {}
                    (Some("<absent>"), Some(value)) => {
                        found.push(format!("{path}.{key} should be absent, is {value}"));
                    }
                    (_, Some(value)) => compare(&format!("{path}.{key}"), wanted, value, found),
                    (_, None) => found.push(format!("{path}.{key} is absent, should be {wanted}")),
                }
            }
        }
        (Value::Array(expected), Value::Array(actual)) => {
            in_order(path, expected, &actual.iter().collect::<Vec<_>>(), found);
        }
        _ if holds(expected, actual) => {}
        _ => found.push(format!("{path} should be {expected}, is {actual}")),
    }
}

fn holds(expected: &Value, actual: &Value) -> bool {
    let Some(wanted) = expected.as_str() else {
        return expected == actual;
    };
    match wanted {
        "<any>" => true,
        "<number>" => actual.is_number(),
        "<integer>" => actual.is_u64() || actual.is_i64(),
        "<float>" => actual.is_f64(),
        "<text>" => actual.is_string(),
        _ => {
            let part = wanted.strip_prefix("<contains ");
            match (part.and_then(|part| part.strip_suffix('>')), actual) {
                (Some(part), Value::String(text)) => text.contains(part),
                _ => expected == actual,
            }
        }
    }
}

/// Compares item by item.
pub(super) fn in_order(path: &str, expected: &[Value], actual: &[&Value], found: &mut Vec<String>) {
    if expected.len() != actual.len() {
        found.push(format!(
            "{path} should have {} items, has {}:{}",
            expected.len(),
            actual.len(),
            list(actual)
        ));
        return;
    }
    for (index, (expected, actual)) in expected.iter().zip(actual).enumerate() {
        compare(&format!("{path}[{index}]"), expected, actual, found);
    }
}

/// Compares whatever the order: each expected item with an actual one of its own.
pub(super) fn in_any_order(
    path: &str,
    expected: &[Value],
    actual: &[Value],
    found: &mut Vec<String>,
) {
    let mut left: Vec<&Value> = actual.iter().collect();
    for wanted in expected {
        let found_at = left.iter().position(|actual| {
            let mut differences = Vec::new();
            compare("", wanted, actual, &mut differences);
            differences.is_empty()
        });
        match found_at {
            Some(index) => drop(left.remove(index)),
            None => found.push(format!("{path} lacks {wanted}")),
        }
    }
    if !left.is_empty() {
        found.push(format!("{path} has what was not expected:{}", list(&left)));
    }
}

fn list(values: &[&Value]) -> String {
    values.iter().map(|value| format!("\n  {value}")).collect()
}

/// Whether a text fits a pattern in which `*` stands for any text.
pub(super) fn fits(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((start, rest)) => text.strip_prefix(start).is_some_and(|text| {
            let mut ends = (0..=text.len()).filter(|end| text.is_char_boundary(*end));
            ends.any(|end| fits(rest, &text[end..]))
        }),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn differences(expected: &Value, actual: &Value) -> Vec<String> {
        let mut found = Vec::new();
        compare("m", expected, actual, &mut found);
        found
    }

    #[test]
    fn what_is_expected_must_be_there() {
        let actual = json!({"a": [1, {"b": 2.0, "c": "text of it"}], "d": null});
        for expected in [
            json!({}),
            json!({"a": [1, {"b": 2.0}], "d": null, "e": "<absent>"}),
            json!({"a": ["<integer>", {"b": "<float>", "c": "<contains of>"}]}),
            json!({"a": "<any>"}),
        ] {
            assert_eq!(differences(&expected, &actual), [""; 0], "{expected}");
        }
        for expected in [
            json!({"a": [1]}),
            json!({"a": [1, {"b": 2}]}),
            json!({"a": [1, {"c": "<contains off>"}]}),
            json!({"a": "<absent>"}),
            json!({"e": null}),
            json!({"a": ["<float>", {}]}),
        ] {
            assert_eq!(differences(&expected, &actual).len(), 1, "{expected}");
        }
    }

    #[test]
    fn items_in_any_order() {
        let actual = [json!({"a": 1}), json!({"a": 2})];
        let mut found = Vec::new();
        in_any_order("m", &[json!({"a": 2}), json!({})], &actual, &mut found);
        assert_eq!(found, [""; 0]);
        in_any_order("m", &[json!({"a": 2})], &actual, &mut found);
        assert_eq!(found, ["m has what was not expected:\n  {\"a\":1}"]);
    }

    #[test]
    fn patterns() {
        assert!(fits("a/*/b_*.csv", "a/x/y/b_1.csv"));
        assert!(!fits("a/*.csv", "a/x.csv.gz"));
        assert!(fits("a", "a") && !fits("a", "ab"));
    }
}
