//! The answer of the REST API to a query that no bulk job runs -> records.

use std::sync::Arc;

use arrow_salesforce::arrow::array::{
    ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, RecordBatchOptions, StringArray,
};
use arrow_salesforce::arrow::datatypes::Schema;
use arrow_salesforce::arrow::error::ArrowError;
use arrow_salesforce::bulk::{Row, Rows};

/// Name of the column for a query that only counts.
const COUNT: &str = "count";

/// The records of an answer, with the types that all values of a column have.
///
/// # Errors
/// If two columns have the same name, and the like.
pub(super) fn records(answer: &Rows) -> Result<RecordBatch, ArrowError> {
    let names = names(&answer.rows);
    if names.is_empty() && answer.rows.is_empty() {
        let total = i64::try_from(answer.total).unwrap_or(i64::MAX);
        let total: ArrayRef = Arc::new(Int64Array::from(vec![total]));
        return RecordBatch::try_from_iter([(COUNT, total)]);
    }
    let columns = names.iter().map(|name| {
        let values = answer.rows.iter().map(|row| value(row, name));
        (name.as_str(), column(&values.collect::<Vec<_>>()))
    });
    let columns: Vec<_> = columns.collect();
    if columns.is_empty() {
        let options = RecordBatchOptions::new().with_row_count(Some(answer.rows.len()));
        return RecordBatch::try_new_with_options(Arc::new(Schema::empty()), Vec::new(), &options);
    }
    RecordBatch::try_from_iter_with_nullable(
        columns
            .into_iter()
            .map(|(name, column)| (name, column, true)),
    )
}

/// Names of all columns, as they come. A parent that is missing is null by its own name, beside rows
/// that have its fields.
fn names(rows: &[Row]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for row in rows {
        for (nth, (name, _)) in row.0.iter().enumerate() {
            if names.get(nth) == Some(name) || names.contains(name) {
                continue;
            }
            // Before those that come later in this row too, so that the order is that of the query.
            let later = row.0[nth + 1..].iter();
            let at = later.filter_map(|(later, _)| names.iter().position(|known| known == later));
            names.insert(at.min().unwrap_or(names.len()), name.clone());
        }
    }
    let all = names.clone();
    names.retain(|name| {
        let below = format!("{name}.");
        !all.iter().any(|other| other.starts_with(&below))
    });
    names
}

/// A value in JSON; none for null.
fn value<'a>(row: &'a Row, name: &str) -> Option<&'a str> {
    let (_, value) = row.0.iter().find(|(found, _)| found == name)?;
    Some(value.get()).filter(|value| *value != "null")
}

fn column(values: &[Option<&str>]) -> ArrayRef {
    if let Some(column) = typed::<i64>(values) {
        return Arc::new(Int64Array::from(column));
    }
    if let Some(column) = typed::<f64>(values) {
        return Arc::new(Float64Array::from(column));
    }
    if let Some(column) = typed::<bool>(values) {
        return Arc::new(BooleanArray::from(column));
    }
    let text = |json: &str| serde_json::from_str(json).unwrap_or_else(|_| json.to_owned());
    let texts = values.iter().map(|value| value.map(text));
    Arc::new(texts.collect::<StringArray>())
}

/// The values, if each is of this type, and there are some.
fn typed<T: serde::de::DeserializeOwned>(values: &[Option<&str>]) -> Option<Vec<Option<T>>> {
    values.iter().flatten().next()?;
    let typed = values.iter().map(|value| match value {
        Some(json) => serde_json::from_str(json).ok().map(Some),
        None => Some(None),
    });
    typed.collect()
}

#[cfg(test)]
mod tests {
    use arrow_salesforce::arrow::util::pretty::pretty_format_batches;
    use serde_json::value::RawValue;

    use super::*;

    fn row(values: &[(&str, &str)]) -> Row {
        let value = |(name, json): &(&str, &str)| {
            let json = RawValue::from_string((*json).to_owned()).unwrap();
            ((*name).to_owned(), json)
        };
        Row(values.iter().map(value).collect())
    }

    fn table(total: u64, rows: Vec<Row>) -> String {
        let batch = records(&Rows { total, rows }).unwrap();
        pretty_format_batches(&[batch]).unwrap().to_string()
    }

    #[test]
    fn a_count_is_a_record() {
        insta::assert_snapshot!(table(12, Vec::new()), @r"
        +-------+
        | count |
        +-------+
        | 12    |
        +-------+
        ");
    }

    #[test]
    fn columns_have_the_type_of_their_values() {
        let rows = vec![
            row(&[
                ("Account", "null"),
                ("Kind", r#""a""#),
                ("expr0", "3"),
                ("sum", "1"),
            ]),
            row(&[
                ("Account.Name", r#""x""#),
                ("Kind", "null"),
                ("expr0", "4"),
                ("sum", "2.5"),
            ]),
        ];
        insta::assert_snapshot!(table(2, rows), @r"
        +--------------+------+-------+-----+
        | Account.Name | Kind | expr0 | sum |
        +--------------+------+-------+-----+
        |              | a    | 3     | 1.0 |
        | x            |      | 4     | 2.5 |
        +--------------+------+-------+-----+
        ");
    }
}
