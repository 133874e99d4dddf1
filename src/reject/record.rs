//! The rejected-records batch: source columns as they came, then why each row was rejected.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, ListBuilder, RecordBatch, StringArray, StringBuilder, TimestampMillisecondArray,
    UInt64Array,
};
use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use chrono::{DateTime, Utc};

use super::RejectError;
use crate::coerce::Reason;

/// Ordinal of the row in its stream, from 0.
pub const REJECT_ORDINAL: &str = "_reject_ordinal";
/// Who rejected the row: `decode`, `coerce` or `salesforce`.
pub const REJECT_STAGE: &str = "_reject_stage";
/// Code of the reason, such as `REQUIRED_FIELD_MISSING`.
pub const REJECT_CODE: &str = "_reject_code";
/// Text of the reason.
pub const REJECT_MESSAGE: &str = "_reject_message";
/// Names of the fields at fault: a list of texts.
pub const REJECT_FIELDS: &str = "_reject_fields";
/// Id of the ingest job, null if the row was never sent.
pub const REJECT_JOB_ID: &str = "_reject_job_id";
/// When the row was rejected: milliseconds, UTC.
pub const REJECT_AT: &str = "_reject_at";

/// How many columns follow the source's.
pub(crate) const REJECT_COLUMNS: usize = 7;

/// What is known of a rejected row beside its source columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RejectedRow {
    /// The row's number in its stream.
    pub ordinal: u64,
    /// Why it was rejected.
    pub reason: Arc<Reason>,
    /// Id of the job that refused it; `None` if it was never sent.
    pub job_id: Option<Arc<str>>,
}

/// Builds the batch: row `i` of `source` was rejected as `rows[i]` says.
///
/// # Errors
/// [`RejectError::Batch`] if the two lengths differ.
pub fn rejected(
    source: RecordBatch,
    rows: &[RejectedRow],
    at: DateTime<Utc>,
) -> Result<RecordBatch, RejectError> {
    let at = TimestampMillisecondArray::from_value(at.timestamp_millis(), rows.len());
    rejected_at(source, rows, at)
}

/// The same where each row was rejected at a time of its own.
pub(super) fn rejected_at(
    source: RecordBatch,
    rows: &[RejectedRow],
    at: TimestampMillisecondArray,
) -> Result<RecordBatch, RejectError> {
    if source.num_rows() != rows.len() {
        let (source, rows) = (source.num_rows(), rows.len());
        return Err(RejectError::Batch {
            reason: format!("{source} source rows, {rows} reasons"),
        });
    }
    let (schema, mut columns, _) = source.into_parts();
    let mut fields: Vec<_> = schema.fields().iter().map(Arc::clone).collect();
    for (field, column) in reject_columns(rows, at) {
        fields.push(Arc::new(field));
        columns.push(column);
    }
    let schema = Schema::new_with_metadata(fields, schema.metadata().clone());
    Ok(RecordBatch::try_new(Arc::new(schema), columns)?)
}

/// The schema of the rejected records of a source.
pub(super) fn schema_of(source: &Schema) -> Schema {
    let at = TimestampMillisecondArray::from(Vec::<i64>::new());
    let added = reject_columns(&[], at).map(|(field, _)| Arc::new(field));
    let fields = source.fields().iter().map(Arc::clone).chain(added);
    Schema::new_with_metadata(fields.collect::<Vec<_>>(), source.metadata().clone())
}

fn reject_columns(
    rows: &[RejectedRow],
    at: TimestampMillisecondArray,
) -> [(Field, ArrayRef); REJECT_COLUMNS] {
    let text = |of: fn(&Reason) -> &str| -> ArrayRef {
        let texts = rows.iter().map(|row| of(&row.reason));
        Arc::new(StringArray::from_iter_values(texts))
    };
    let required = |name: &str, column: ArrayRef| {
        let field = Field::new(name, column.data_type().clone(), false);
        (field, column)
    };
    let job_ids: StringArray = rows.iter().map(|row| row.job_id.as_deref()).collect();
    let ordinals = UInt64Array::from_iter_values(rows.iter().map(|row| row.ordinal));
    [
        required(REJECT_ORDINAL, Arc::new(ordinals)),
        required(REJECT_STAGE, text(|reason| reason.stage.as_str())),
        required(REJECT_CODE, text(|reason| &reason.code)),
        required(REJECT_MESSAGE, text(|reason| &reason.message)),
        required(REJECT_FIELDS, field_names(rows)),
        (
            Field::new(REJECT_JOB_ID, DataType::Utf8, true),
            Arc::new(job_ids),
        ),
        (
            Field::new(
                REJECT_AT,
                DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into())),
                false,
            ),
            Arc::new(at.with_timezone("UTC")),
        ),
    ]
}

fn field_names(rows: &[RejectedRow]) -> ArrayRef {
    let item = Field::new("item", DataType::Utf8, false);
    let mut list = ListBuilder::new(StringBuilder::new()).with_field(item);
    for row in rows {
        for field in &row.reason.fields {
            list.values().append_value(field);
        }
        list.append(true);
    }
    Arc::new(list.finish())
}

#[cfg(test)]
mod tests {
    use arrow::array::{Array as _, AsArray, Int64Array};

    use super::*;
    use crate::coerce::Stage;

    fn reason(fields: &[&str]) -> Reason {
        Reason {
            stage: Stage::Salesforce,
            code: "STRING_TOO_LONG".into(),
            message: "Last Name: data value too large".into(),
            fields: fields.iter().map(|&field| field.to_owned()).collect(),
        }
    }

    fn source() -> RecordBatch {
        let column: ArrayRef = Arc::new(Int64Array::from(vec![Some(5), None]));
        RecordBatch::try_from_iter([("n", column)]).unwrap()
    }

    #[test]
    fn reasons_follow_the_source_columns() {
        let row = |ordinal, fields: &[&str], job_id: Option<&str>| RejectedRow {
            ordinal,
            reason: Arc::new(reason(fields)),
            job_id: job_id.map(Arc::from),
        };
        let rows = [
            row(7, &["LastName", "Title"], None),
            row(9, &[], Some("750A")),
        ];
        let at = DateTime::from_timestamp_millis(1_772_323_209_000).unwrap();
        let batch = rejected(source(), &rows, at).unwrap();
        let schema = batch.schema();
        let names: Vec<_> = schema.fields().iter().map(|f| f.name().as_str()).collect();
        assert_eq!(
            names,
            [
                "n",
                REJECT_ORDINAL,
                REJECT_STAGE,
                REJECT_CODE,
                REJECT_MESSAGE,
                REJECT_FIELDS,
                REJECT_JOB_ID,
                REJECT_AT
            ]
        );
        let fields = batch.column(5).as_list::<i32>();
        assert_eq!(fields.value(0).as_string::<i32>().value(1), "Title");
        assert_eq!(fields.value(1).len(), 0);
        assert_eq!(batch.column(2).as_string::<i32>().value(0), "salesforce");
        let job_ids = batch.column(6).as_string::<i32>();
        assert!(job_ids.is_null(0), "a row that was never sent has no job");
        assert_eq!(job_ids.value(1), "750A");
    }

    #[test]
    fn lengths_that_differ_are_refused() {
        let error = rejected(source(), &[], Utc::now()).unwrap_err();
        assert!(error.to_string().contains("2 source rows, 0 reasons"));
    }
}
