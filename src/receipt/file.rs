//! A Parquet file that is sent while it is written.

use arrow::array::{RecordBatch, new_null_array};
use arrow::datatypes::{DataType, Field, SchemaRef};
use bytes::Bytes;
use chrono::Utc;
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::schema::types::ColumnPath;

use super::rows::{Mark, RECEIPT_ID, RECEIPT_ORDINAL, ReceiptRows};
use super::{ReceiptColumns, ReceiptError};

/// Rows of a row group at most.
const GROUP_ROWS: usize = 1 << 17;

/// Bytes of a row group, encoded, beyond which it is written: it is in memory until then.
const GROUP_BYTES: usize = 4 << 20;

/// Memory that a file takes while it is written, beside the batch that is added, in bytes: its row
/// group, and what was encoded and not taken.
pub(crate) const FILE_BYTES: usize = 3 * GROUP_BYTES;

/// Receipts on their way into one object.
#[derive(Debug)]
pub(crate) struct ReceiptFile {
    writer: ArrowWriter<Vec<u8>>,
}

impl ReceiptFile {
    /// Begins a file of receipts with these columns.
    ///
    /// # Errors
    /// [`ReceiptError::Type`] if Parquet has no such type as a column.
    pub(crate) fn new(columns: &ReceiptColumns) -> Result<Self, ReceiptError> {
        let schema = columns.schema();
        if let Some(field) = schema.fields().iter().find(|field| has_union(field)) {
            let reason = format!("{} has a union", field.name());
            return Err(ReceiptError::Type { reason });
        }
        let version = env!("CARGO_PKG_VERSION");
        let properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .set_created_by(format!("arrow-salesforce {version}"))
            .set_max_row_group_row_count(Some(GROUP_ROWS))
            // Each value is there once: a dictionary would be built in vain.
            .set_column_dictionary_enabled(ColumnPath::from(RECEIPT_ID), false)
            .set_column_dictionary_enabled(ColumnPath::from(RECEIPT_ORDINAL), false)
            .build();
        let writer = ArrowWriter::try_new(Vec::new(), SchemaRef::clone(schema), Some(properties));
        let writer = writer.map_err(|error| refused(&error))?;
        Ok(Self { writer })
    }

    /// Tries whether Parquet takes these columns, with a row of nulls.
    ///
    /// # Errors
    /// As [`ReceiptFile::new`].
    pub(crate) fn try_columns(columns: &ReceiptColumns) -> Result<(), ReceiptError> {
        let mut file = Self::new(columns)?;
        let mut row = ReceiptRows::default();
        row.push(0, Err(Mark::NoResult), None);
        let fields = columns.source_fields();
        let nulls = fields.map(|field| new_null_array(field.data_type(), 1));
        let row = row.finish(columns.schema(), nulls.collect(), "", None, Utc::now())?;
        let written = file.writer.write(&row);
        written.map_err(|error| refused(&error))
    }

    /// Adds receipts; returns what is to be sent next, perhaps nothing.
    ///
    /// # Errors
    /// [`ReceiptError::Parquet`].
    pub(crate) fn write(&mut self, receipts: &RecordBatch) -> Result<Bytes, ReceiptError> {
        self.writer.write(receipts)?;
        if self.writer.in_progress_size() > GROUP_BYTES {
            self.writer.flush()?;
        }
        Ok(self.take())
    }

    /// The end of the file.
    ///
    /// # Errors
    /// [`ReceiptError::Parquet`].
    pub(crate) fn finish(mut self) -> Result<Bytes, ReceiptError> {
        self.writer.finish()?;
        Ok(self.take())
    }

    fn take(&mut self) -> Bytes {
        std::mem::take(self.writer.inner_mut()).into()
    }
}

fn refused(error: &ParquetError) -> ReceiptError {
    ReceiptError::Type {
        reason: error.to_string(),
    }
}

/// Whether a column has a union in it, for which Parquet has no form at all.
fn has_union(field: &Field) -> bool {
    match field.data_type() {
        DataType::Union(..) => true,
        DataType::Struct(fields) => fields.iter().any(|field| has_union(field)),
        DataType::List(field)
        | DataType::LargeList(field)
        | DataType::ListView(field)
        | DataType::LargeListView(field)
        | DataType::FixedSizeList(field, _)
        | DataType::Map(field, _) => has_union(field),
        DataType::RunEndEncoded(_, values) => has_union(values),
        DataType::Dictionary(_, values) => matches!(**values, DataType::Union(..)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, AsArray as _};
    use arrow::datatypes::{Int64Type, IntervalUnit, Schema, UnionFields, UnionMode};
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
    use std::sync::Arc;

    use super::*;
    use crate::receipt::Action;

    #[test]
    fn many_rows_go_out_in_pieces_and_come_back() {
        let source = Schema::new(vec![Field::new("Key", DataType::Utf8, true)]);
        let columns = ReceiptColumns::of(&source, &[], Some(0)).unwrap();
        let mut file = ReceiptFile::new(&columns).unwrap();
        let (mut all, mut pieces) = (Vec::new(), 0);
        for first in (0..150_000_u64).step_by(8_000) {
            let mut rows = ReceiptRows::default();
            let mut keys = Vec::new();
            for row in first..(first + 8_000).min(150_000) {
                let id = format!("00300000000{row:07}");
                rows.push(row, Ok(&id), Some(Action::Updated));
                keys.push(format!("{row}-{}", "k".repeat((row % 50) as usize)));
            }
            let keys: ArrayRef = Arc::new(arrow::array::StringArray::from(keys));
            let batch = rows.finish(
                columns.schema(),
                vec![keys],
                "750",
                Some("a"),
                chrono::Utc::now(),
            );
            let piece = file.write(&batch.unwrap()).unwrap();
            pieces += usize::from(!piece.is_empty());
            all.extend_from_slice(&piece);
        }
        all.extend_from_slice(&file.finish().unwrap());
        assert!(pieces > 0, "nothing was sent before the end");
        let reader = ParquetRecordBatchReaderBuilder::try_new(Bytes::from(all)).unwrap();
        let mut next = 0;
        for batch in reader.build().unwrap() {
            let batch = batch.unwrap();
            let ordinals = batch.column(0).as_primitive::<Int64Type>();
            let keys = batch.column(1).as_string::<i32>();
            let ids = batch.column(2).as_string::<i32>();
            for row in 0..batch.num_rows() {
                assert_eq!(ordinals.value(row), next);
                assert_eq!(ids.value(row), format!("00300000000{next:07}"));
                assert!(keys.value(row).starts_with(&format!("{next}-")));
                next += 1;
            }
        }
        assert_eq!(next, 150_000);
    }

    #[test]
    fn a_type_that_parquet_has_not_is_named() {
        let of = |data_type: DataType| {
            let source = Schema::new(vec![Field::new("Any", data_type, true)]);
            let columns = ReceiptColumns::of(&source, &[], Some(0)).unwrap();
            ReceiptFile::try_columns(&columns)
        };
        let union = DataType::Union(UnionFields::empty(), UnionMode::Sparse);
        let list = DataType::new_list(union.clone(), true);
        let interval = DataType::Interval(IntervalUnit::MonthDayNano);
        for data_type in [union, list, interval] {
            let error = of(data_type).unwrap_err();
            assert_eq!(error.kind(), crate::error::ErrorKind::Config, "{error}");
        }
        for data_type in [
            DataType::Utf8View,
            DataType::Decimal128(20, 2),
            DataType::Date32,
            DataType::new_list(DataType::Utf8, true),
            DataType::Dictionary(DataType::Int32.into(), DataType::Utf8.into()),
            DataType::Null,
        ] {
            of(data_type).unwrap();
        }
    }
}
