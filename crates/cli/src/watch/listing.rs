//! Lists for programs: JSON lines and CSV, with the same names in the same order.

use std::io;

use serde_json::Value;

use super::show;

/// Prints records as JSON, an object a line.
pub(crate) fn json_lines(names: &[&str], records: impl Iterator<Item = Vec<Value>>) {
    for record in records {
        let pairs = names.iter().zip(&record);
        let pairs: Vec<String> = pairs
            .map(|(name, value)| format!("\"{name}\":{value}"))
            .collect();
        show(&format!("{{{}}}", pairs.join(",")));
    }
}

/// Prints records as CSV. Several values of a cell stand with semicolons between them.
pub(crate) fn csv(names: &[&str], records: impl Iterator<Item = Vec<Value>>) {
    let mut writer = csv::Writer::from_writer(io::stdout());
    // Where stdout is closed nobody reads the result.
    let _ = writer.write_record(names);
    for record in records {
        let _ = writer.write_record(record.iter().map(text));
    }
    let _ = writer.flush();
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(values) => values.iter().map(text).collect::<Vec<_>>().join(";"),
        other => other.to_string(),
    }
}
