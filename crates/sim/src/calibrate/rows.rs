//! Rows for calibration: values for what an object requires.

use std::fmt::Write as _;

use serde_json::Value;

use super::CalibrationError;

/// Rows of one object.
#[derive(Debug)]
pub(super) struct Rows {
    pub(super) object: String,
    /// Columns and their values; `{}` in one stands for a text that no other row has.
    columns: Vec<(String, String)>,
}

impl Rows {
    /// Rows with the values given, and with values for all other fields that the describe says
    /// are required.
    ///
    /// # Errors
    /// If a value is required that cannot be made up.
    pub(super) fn new(
        describe: &Value,
        given: &[(String, String)],
    ) -> Result<Rows, CalibrationError> {
        let object = describe["name"].as_str().unwrap_or_default().to_owned();
        let mut columns = given.to_vec();
        let fields = describe["fields"].as_array().map_or(&[][..], Vec::as_slice);
        for field in fields {
            let name = field["name"].as_str().unwrap_or_default();
            let is = |key: &str| field[key].as_bool().unwrap_or(false);
            let is_required = is("createable") && !is("nillable") && !is("defaultedOnCreate");
            if !is_required
                || given
                    .iter()
                    .any(|(known, _)| known.eq_ignore_ascii_case(name))
            {
                continue;
            }
            let value = value(field).ok_or_else(|| CalibrationError::Required {
                object: object.clone(),
                field: name.to_owned(),
                kind: field["type"].as_str().unwrap_or("unknown").to_owned(),
            })?;
            columns.push((name.to_owned(), value));
        }
        if columns.is_empty() {
            // A file needs a column.
            let is_text = |field: &&Value| {
                field["type"] == "string" && field["createable"] == Value::Bool(true)
            };
            let text = fields.iter().find(is_text);
            let name = text.and_then(|field| field["name"].as_str());
            columns.push((name.unwrap_or("Name").to_owned(), "calibrate {}".to_owned()));
        }
        Ok(Rows { object, columns })
    }

    /// A file of rows whose texts differ from those of any other label.
    pub(super) fn csv(&self, rows: u32, label: &str) -> String {
        let names: Vec<&str> = self.columns.iter().map(|(name, _)| name.as_str()).collect();
        let mut csv = names.join(",");
        csv.push('\n');
        for row in 0..rows {
            for (place, (_, value)) in self.columns.iter().enumerate() {
                let value = value.replace("{}", &format!("{label}-{row}"));
                let comma = if place > 0 { "," } else { "" };
                // Writing to a string cannot fail.
                let _ = write!(csv, "{comma}\"{}\"", value.replace('"', "\"\""));
            }
            csv.push('\n');
        }
        csv
    }
}

/// A value for a field, if its type has one that any org takes.
fn value(field: &Value) -> Option<String> {
    let text = match field["type"].as_str()? {
        "string" | "textarea" => {
            let length = field["length"].as_u64().unwrap_or(0);
            if length >= 40 { "calibrate {}" } else { "c" }
        }
        "email" => "calibrate.{}@example.com",
        "phone" => "1",
        "url" => "https://example.com/{}",
        "int" | "double" | "currency" | "percent" => "1",
        "boolean" => "false",
        "date" => "2030-01-01",
        "datetime" => "2030-01-01T00:00:00.000Z",
        "time" => "00:00:00.000Z",
        "picklist" | "multipicklist" | "combobox" => {
            let values = field["picklistValues"].as_array()?.iter();
            let mut active = values.filter(|value| value["active"] != Value::Bool(false));
            active.next()?["value"].as_str()?
        }
        _ => return None,
    };
    Some(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(object: &str, given: &[(String, String)]) -> Result<Rows, CalibrationError> {
        Rows::new(&crate::describe(object).unwrap(), given)
    }

    #[test]
    fn required_fields_have_values() {
        let csv = rows("Contact", &[]).unwrap().csv(2, "a");
        assert_eq!(csv, "LastName\n\"calibrate a-0\"\n\"calibrate a-1\"\n");
        let given = [("lastname".to_owned(), "O \"N\"".to_owned())];
        let csv = rows("Contact", &given).unwrap().csv(1, "a");
        assert_eq!(csv, "lastname\n\"O \"\"N\"\"\"\n");
        let csv = rows("Opportunity", &[]).unwrap().csv(1, "a");
        assert!(
            csv.contains("StageName") && csv.contains("2030-01-01"),
            "{csv}"
        );
    }

    #[test]
    fn a_parent_cannot_be_made_up() {
        let describe = serde_json::json!({"name": "Child__c", "fields": [
            {"name": "Name", "type": "string", "createable": true, "nillable": true},
            {"name": "Parent__c", "type": "reference", "createable": true, "nillable": false},
        ]});
        let error = Rows::new(&describe, &[]).unwrap_err().to_string();
        assert!(error.contains("--set Parent__c=VALUE"), "{error}");
        let given = [("Parent__c".to_owned(), "a01".to_owned())];
        let csv = Rows::new(&describe, &given).unwrap().csv(1, "a");
        assert_eq!(csv, "Parent__c\n\"a01\"\n");
    }
}
