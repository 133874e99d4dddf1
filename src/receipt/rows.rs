//! A batch of receipts: the ordinal, columns of the source, the record.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, Int64Builder, RecordBatch, RecordBatchOptions, StringArray, StringBuilder,
    TimestampMillisecondArray,
};
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef, TimeUnit};
use chrono::{DateTime, Utc};

use super::ReceiptError;

/// Ordinal of the row in its load, from 0.
pub const RECEIPT_ORDINAL: &str = "ordinal";
/// Id of the record; null where it is not known ([`RECEIPT_MARK`] says why).
pub const RECEIPT_ID: &str = "sf__Id";
/// What became of the record: `created`, `updated` or `deleted`; null where it is not known.
pub const RECEIPT_ACTION: &str = "action";
/// Why there is no Id: `indistinct` where the results of the job do not distinguish the row from others,
/// `no_result` where they do not have it. Null where there is an Id.
pub const RECEIPT_MARK: &str = "mark";
/// Id of the ingest job that wrote the record.
pub const RECEIPT_JOB_ID: &str = "job_id";
/// Id of the attempt; null if it has none.
pub const RECEIPT_ATTEMPT: &str = "attempt";
/// When that was known, by Salesforce's clock: milliseconds, UTC.
pub const RECEIPT_AT: &str = "written_at";

/// All of them.
const OWN: [&str; 7] = [
    RECEIPT_ORDINAL,
    RECEIPT_ID,
    RECEIPT_ACTION,
    RECEIPT_MARK,
    RECEIPT_JOB_ID,
    RECEIPT_ATTEMPT,
    RECEIPT_AT,
];

/// Put before the name of a column of the source that is one of ours.
const SOURCE_PREFIX: &str = "_source_";

/// What became of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    Created,
    Updated,
    Deleted,
}

impl Action {
    fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Deleted => "deleted",
        }
    }
}

/// Why there is no Id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mark {
    /// The results do not distinguish the row from others.
    Indistinct,
    /// The results do not have the row.
    NoResult,
}

impl Mark {
    fn as_str(self) -> &'static str {
        match self {
            Self::Indistinct => "indistinct",
            Self::NoResult => "no_result",
        }
    }
}

/// The columns of the receipts of a load.
#[derive(Debug, Clone)]
pub(crate) struct ReceiptColumns {
    /// Columns of the source, by index.
    source: Vec<usize>,
    schema: SchemaRef,
}

impl ReceiptColumns {
    /// The columns asked for by name, whatever the letter case, or else the one with the index `key`.
    ///
    /// # Errors
    /// [`ReceiptError::Columns`] naming those that the source has not.
    pub(crate) fn of(
        source: &Schema,
        asked: &[String],
        key: Option<usize>,
    ) -> Result<Self, ReceiptError> {
        let fields = source.fields();
        let mut columns = Vec::new();
        let mut unknown = Vec::new();
        for name in asked {
            let found = fields.iter().position(|field| field.name() == name);
            let alike = || {
                fields
                    .iter()
                    .position(|f| f.name().eq_ignore_ascii_case(name))
            };
            match found.or_else(alike) {
                Some(index) if columns.contains(&index) => {}
                Some(index) => columns.push(index),
                None => unknown.push(name.as_str()),
            }
        }
        if !unknown.is_empty() {
            let known: Vec<_> = fields.iter().map(|field| field.name().as_str()).collect();
            return Err(ReceiptError::Columns {
                columns: unknown.join(", "),
                known: known.join(", "),
            });
        }
        if asked.is_empty() {
            columns.extend(key);
        }
        let schema = schema(columns.iter().map(|index| source.field(*index)));
        Ok(Self {
            source: columns,
            schema: Arc::new(schema),
        })
    }

    /// Those of the source, by index.
    pub(crate) fn source(&self) -> &[usize] {
        &self.source
    }

    /// The same, as the receipts show them.
    pub(crate) fn source_fields(&self) -> impl Iterator<Item = &FieldRef> {
        self.schema.fields().iter().skip(1).take(self.source.len())
    }

    /// The schema of the receipts.
    pub(crate) fn schema(&self) -> &SchemaRef {
        &self.schema
    }
}

fn schema<'a>(source: impl Iterator<Item = &'a Field>) -> Schema {
    let text = |name: &str, nullable| Field::new(name, DataType::Utf8, nullable);
    let at = DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()));
    let mut fields = vec![Field::new(RECEIPT_ORDINAL, DataType::Int64, false)];
    fields.extend(source.map(|field| {
        let name = field.name();
        let name = match OWN.iter().any(|own| own.eq_ignore_ascii_case(name)) {
            true => format!("{SOURCE_PREFIX}{name}"),
            false => name.clone(),
        };
        Field::new(name, field.data_type().clone(), true)
    }));
    fields.extend([
        text(RECEIPT_ID, true),
        text(RECEIPT_ACTION, true),
        text(RECEIPT_MARK, true),
        text(RECEIPT_JOB_ID, false),
        text(RECEIPT_ATTEMPT, true),
        Field::new(RECEIPT_AT, at, false),
    ]);
    Schema::new(fields)
}

/// Receipts of one job that become a batch.
#[derive(Debug, Default)]
pub(crate) struct ReceiptRows {
    ordinals: Int64Builder,
    ids: StringBuilder,
    actions: StringBuilder,
    marks: StringBuilder,
    rows: usize,
    without_id: u64,
}

impl ReceiptRows {
    /// Adds the row `ordinal`, which became the record `id`, or else why that is not known.
    pub(crate) fn push(&mut self, ordinal: u64, id: Result<&str, Mark>, action: Option<Action>) {
        self.rows += 1;
        self.without_id += u64::from(id.is_err());
        // An ordinal counts rows, of which there are fewer.
        self.ordinals.append_value(ordinal as i64);
        self.ids.append_option(id.ok());
        self.actions.append_option(action.map(Action::as_str));
        self.marks.append_option(id.err().map(Mark::as_str));
    }

    /// How many of them have no Id.
    pub(crate) fn without_id(&self) -> u64 {
        self.without_id
    }

    /// The batch, of rows with these `columns` of the source, which were written by this job.
    ///
    /// # Errors
    /// [`ReceiptError::Arrow`] if they do not fit.
    pub(crate) fn finish(
        mut self,
        schema: &SchemaRef,
        columns: Vec<ArrayRef>,
        job: &str,
        attempt: Option<&str>,
        at: DateTime<Utc>,
    ) -> Result<RecordBatch, ReceiptError> {
        let rows = self.rows;
        let all = |text: Option<&str>| -> ArrayRef {
            match text {
                Some(text) => {
                    let texts = std::iter::repeat_n(text, rows);
                    Arc::new(StringArray::from_iter_values(texts))
                }
                None => Arc::new(StringArray::new_null(rows)),
            }
        };
        let at = TimestampMillisecondArray::from_value(at.timestamp_millis(), rows);
        let mut arrays: Vec<ArrayRef> = vec![Arc::new(self.ordinals.finish())];
        arrays.extend(columns);
        arrays.extend([
            Arc::new(self.ids.finish()) as ArrayRef,
            Arc::new(self.actions.finish()),
            Arc::new(self.marks.finish()),
            all(Some(job)),
            all(attempt),
            Arc::new(at.with_timezone("UTC")),
        ]);
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        Ok(RecordBatch::try_new_with_options(
            Arc::clone(schema),
            arrays,
            &options,
        )?)
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::AsArray;

    use super::*;

    fn source() -> Schema {
        Schema::new(vec![
            Field::new("Ext__c", DataType::Utf8, true),
            Field::new("Mark", DataType::Int64, false),
        ])
    }

    fn names(columns: &ReceiptColumns) -> Vec<&str> {
        let fields = columns.schema().fields().iter();
        fields.map(|field| field.name().as_str()).collect()
    }

    #[test]
    fn the_key_or_the_columns_asked_for() {
        let of = |asked: &[&str], key| {
            let asked: Vec<String> = asked.iter().map(|&name| name.to_owned()).collect();
            ReceiptColumns::of(&source(), &asked, key)
        };
        let key = of(&[], Some(0)).unwrap();
        let [first, column, id, ..] = names(&key)[..] else {
            panic!("{key:?}");
        };
        assert_eq!([first, column, id], ["ordinal", "Ext__c", "sf__Id"]);
        assert_eq!(names(&of(&[], None).unwrap()), OWN);
        let asked = of(&["mark", "Mark", "ext__C"], Some(0)).unwrap();
        assert_eq!(names(&asked)[1..3], ["_source_Mark", "Ext__c"]);
        assert_eq!(asked.source(), [1, 0]);
        let error = of(&["Nmae", "Ext__c", "x"], None).unwrap_err();
        insta::assert_snapshot!(error, @"receipt_columns names columns that the source has not: Nmae, x; it has Ext__c, Mark. Correct the names, or leave receipt_columns out to have the key");
        assert_eq!(error.kind(), ErrorKind::Config);
    }

    #[test]
    fn a_batch_of_receipts() {
        let columns = ReceiptColumns::of(&source(), &[], Some(0)).unwrap();
        let mut rows = ReceiptRows::default();
        rows.push(4, Ok("003000000000001AAA"), Some(Action::Created));
        rows.push(7, Err(Mark::Indistinct), None);
        let keys: ArrayRef = Arc::new(StringArray::from(vec!["a", "b"]));
        let at = DateTime::from_timestamp_millis(1_772_323_209_000).unwrap();
        let batch = rows
            .finish(columns.schema(), vec![keys], "750A", None, at)
            .unwrap();
        let text = |name: &str| batch.column_by_name(name).unwrap().as_string::<i32>();
        let all = |name: &str| text(name).iter().collect::<Vec<_>>();
        assert_eq!(all("sf__Id"), [Some("003000000000001AAA"), None]);
        assert_eq!(all("action"), [Some("created"), None]);
        assert_eq!(all("mark"), [None, Some("indistinct")]);
        assert_eq!(all("job_id"), [Some("750A"); 2]);
        assert_eq!(all("attempt"), [None; 2]);
        assert_eq!(all("Ext__c"), [Some("a"), Some("b")]);
    }

    use crate::error::ErrorKind;
}
