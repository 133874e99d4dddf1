//! Which column of a source is written where.

use arrow::datatypes::{DataType, FieldRef};

use super::Flattening;
use crate::source::{CHANGES, EMITTED_AT, EXPLICIT_NULL_OF, RAW, RAW_ERROR};

/// First four columns of every line.
pub(super) const ENVELOPE: [&str; 4] = [
    "_airbyte_raw_id",
    "_airbyte_extracted_at",
    "_airbyte_meta",
    "_airbyte_generation_id",
];
/// The fifth, unless the source columns stand beside it.
pub(super) const DATA: &str = "_airbyte_data";
/// Salesforce's Id of the record: empty, as the record was not written.
pub(super) const SF_ID: &str = "sf__Id";
/// Reason in the form of Salesforce's own result files.
pub(super) const SF_ERROR: &str = "sf__Error";
/// The line of a record that could not be decoded.
pub(super) const RAW_LINE: &str = "_raw";

/// Put before the name of a source column that is one of the names above.
const SOURCE_PREFIX: &str = "_source_";

/// The source columns of a schema by their use.
#[derive(Debug, Default)]
pub(super) struct SourceColumns {
    /// Columns of the record, with the names that they have in the file.
    pub(super) data: Vec<(usize, String)>,
    pub(super) emitted_at: Option<usize>,
    pub(super) changes: Option<usize>,
    pub(super) raw: Option<usize>,
    pub(super) raw_error: Option<usize>,
    /// Boolean columns, each with the name in the file of the column that it is about.
    pub(super) explicit_nulls: Vec<(usize, String)>,
}

impl SourceColumns {
    pub(super) fn of(fields: &[FieldRef], flattening: Flattening) -> Self {
        let mut columns = Self::default();
        for (index, field) in fields.iter().enumerate() {
            let about = field.metadata().get(EXPLICIT_NULL_OF);
            match (field.name().as_str(), field.data_type(), about) {
                (EMITTED_AT, DataType::Int64, _) => columns.emitted_at = Some(index),
                (CHANGES, DataType::Utf8, _) => columns.changes = Some(index),
                (RAW, DataType::Utf8, _) => columns.raw = Some(index),
                (RAW_ERROR, DataType::Utf8, _) => columns.raw_error = Some(index),
                (_, DataType::Boolean, Some(about)) => {
                    columns
                        .explicit_nulls
                        .push((index, file_name(about, flattening)));
                }
                (name, ..) => columns.data.push((index, file_name(name, flattening))),
            }
        }
        columns
    }

    /// Names of a CSV file's columns, in order.
    pub(super) fn csv_header(&self, flattening: Flattening) -> Vec<&str> {
        let mut names = ENVELOPE.to_vec();
        match flattening {
            Flattening::No => names.push(DATA),
            Flattening::RootLevel => {
                names.extend([SF_ID, SF_ERROR]);
                names.extend(self.data.iter().map(|(_, name)| name.as_str()));
                names.push(RAW_LINE);
            }
        }
        names
    }
}

/// The column's own name, or one that differs from the names that the file has already. No two
/// columns get the same.
fn file_name(name: &str, flattening: Flattening) -> String {
    let mut bare = name;
    while let Some(rest) = bare.strip_prefix(SOURCE_PREFIX) {
        bare = rest;
    }
    let beside = [SF_ID, SF_ERROR, RAW_LINE].contains(&bare);
    let envelope = flattening == Flattening::RootLevel && ENVELOPE.contains(&bare);
    if beside || envelope {
        format!("{SOURCE_PREFIX}{name}")
    } else {
        name.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_file_are_not_taken_twice() {
        for (name, nested, flat) in [
            ("LastName", "LastName", "LastName"),
            ("_raw", "_source__raw", "_source__raw"),
            (
                "_source__raw",
                "_source__source__raw",
                "_source__source__raw",
            ),
            ("_airbyte_meta", "_airbyte_meta", "_source__airbyte_meta"),
        ] {
            assert_eq!(file_name(name, Flattening::No), nested);
            assert_eq!(file_name(name, Flattening::RootLevel), flat);
        }
    }
}
