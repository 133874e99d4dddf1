//! Reading the file of a job.

use super::job::{Operation, Settings};
use crate::csv::{self, File, Refused};
use crate::org::Schema;
use crate::org::columns::{self, Column};
use crate::org::table::Upload;

/// Reads a file, and finds what its columns write.
///
/// # Errors
/// If Salesforce would fail the whole job.
pub(super) fn upload(
    schema: &Schema,
    settings: &Settings,
    raw: Vec<u8>,
) -> Result<Upload, Refused> {
    let text = String::from_utf8(raw).map_err(|error| Refused {
        reason: "InvalidBatch : Failed to parse CSV. Not UTF-8".to_owned(),
        text: String::from_utf8_lossy(error.as_bytes()).into_owned(),
    })?;
    if text.is_empty() {
        // Such a job completes, as a test of jsforce's own suite shows of real orgs ("should bulk
        // update with empty input and not raise client input error").
        return Ok(Upload {
            file: File::empty(settings.delimiter),
            columns: Vec::new(),
        });
    }
    let file = File::parse(text, settings.delimiter, settings.crlf)?;
    let mut header = Vec::new();
    csv::split(file.header(), settings.delimiter, &mut header);
    let columns = columns::columns(schema, &settings.object, &header)
        .and_then(|columns| check_needs(settings, columns));
    match columns {
        Ok(columns) => Ok(Upload { file, columns }),
        Err(reason) => Err(Refused {
            reason,
            text: file.into_text(),
        }),
    }
}

/// Checks that an operation has the columns that it needs.
fn check_needs(settings: &Settings, columns: Vec<Column>) -> Result<Vec<Column>, String> {
    let fields = &settings.object.fields;
    let has = |name: &str| {
        columns
            .iter()
            .any(|column| fields[column.field()].name == name)
    };
    match (settings.operation, settings.external_id) {
        (Operation::Upsert, Some(field))
            if fields[field].name != "Id" && !has(&fields[field].name) =>
        {
            let name = &fields[field].name;
            return Err(format!("InvalidBatch : Field name not found : {name}"));
        }
        (Operation::Delete | Operation::HardDelete, _) if columns.len() != 1 || !has("Id") => {
            return Err("InvalidBatch : delete batch must contain only ids".to_owned());
        }
        _ => {}
    }
    Ok(columns)
}
