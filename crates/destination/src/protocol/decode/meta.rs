//! What a RECORD says of its record beside the data.

use arrow_salesforce_decode::{Undecodable, Value};

/// Below this a number of `emitted_at` is taken as seconds: as milliseconds it would be 1973.
const SECONDS_BELOW: i64 = 100_000_000_000;

/// `emitted_at` in milliseconds, whether it was given so or in seconds, whole or not.
pub(super) fn milliseconds(raw: &str) -> Option<i64> {
    if let Ok(whole) = raw.parse::<i64>() {
        return if whole < SECONDS_BELOW {
            whole.checked_mul(1000)
        } else {
            Some(whole)
        };
    }
    let number: f64 = raw.parse().ok()?;
    let milliseconds = if number < SECONDS_BELOW as f64 {
        number * 1000.0
    } else {
        number
    };
    let in_range = milliseconds.abs() < i64::MAX as f64;
    in_range.then(|| milliseconds.round() as i64)
}

/// `changes` of a record's `meta` as compact JSON, if it is a list with something in it.
pub(super) fn changes(meta: &str) -> Result<Option<String>, Undecodable> {
    #[derive(serde::Deserialize)]
    struct Meta<'a> {
        #[serde(borrow)]
        changes: Option<&'a serde_json::value::RawValue>,
    }
    if !meta.starts_with('{') {
        return Ok(None);
    }
    let meta: Meta<'_> = serde_json::from_str(meta)
        .map_err(|_| Undecodable::new("the record's meta could not be read"))?;
    let Some(changes) = meta.changes.map(serde_json::value::RawValue::get) else {
        return Ok(None);
    };
    let changes = Value::Nested(changes).exact_text()?.unwrap_or_default();
    let some = changes.starts_with('[') && changes != "[]";
    Ok(some.then(|| changes.into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn emitted_at_in_any_unit() {
        for (raw, expected) in [
            ("1700000000000", Some(1_700_000_000_000)),
            ("1700000000000.6", Some(1_700_000_000_001)),
            ("1700000000", Some(1_700_000_000_000)),
            ("1700000000.25", Some(1_700_000_000_250)),
            ("1.7e12", Some(1_700_000_000_000)),
            ("1e400", None),
            ("null", None),
            ("\"1\"", None),
        ] {
            assert_eq!(milliseconds(raw), expected, "{raw}");
        }
    }

    #[test]
    fn changes_of_meta() {
        let found = |meta| changes(meta).unwrap();
        assert_eq!(found("null"), None);
        assert_eq!(found("{}"), None);
        assert_eq!(found(r#"{"changes":null}"#), None);
        assert_eq!(found(r#"{"changes":[ ]}"#), None);
        assert_eq!(found(r#"{"changes":{"a":1}}"#), None);
        assert_eq!(
            found(r#"{"x":1,"changes":[ {"field": "Bio"} ]}"#).unwrap(),
            r#"[{"field":"Bio"}]"#
        );
    }
}
