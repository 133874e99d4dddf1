//! Rejected records -> rows that can be loaded again.

use std::sync::Arc;

use arrow_salesforce::arrow::array::{
    ArrayRef, BooleanArray, RecordBatch, StringArray, StringBuilder,
};
use arrow_salesforce::arrow::compute::filter_record_batch;
use arrow_salesforce::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow_salesforce::reject::airbyte::{Envelope, FileType};
use arrow_salesforce::reject::{Compression, RejectFormat, read_rejected};
use arrow_salesforce::source::{RAW, RAW_ERROR};

use super::file::{Records, RejectFile};
use super::{ID_COLUMN, Rejected, RejectsError};

/// Rows of a batch of texts, at most.
const BATCH_ROWS: usize = 4_096;

/// What rows are made of.
#[derive(Debug, Clone)]
pub(crate) enum Rows {
    /// The columns that the records had when they were loaded, with their types.
    Typed(SchemaRef),
    /// Columns of these names, all texts.
    Texts(Vec<String>),
}

impl Rows {
    /// The columns of all batches: those of the records, then their ids.
    pub(crate) fn schema(&self) -> SchemaRef {
        let mut fields: Vec<Arc<Field>> = match self {
            Self::Typed(schema) => schema.fields().iter().map(Arc::clone).collect(),
            Self::Texts(columns) => {
                let columns = columns.iter().map(String::as_str).chain([RAW, RAW_ERROR]);
                columns.map(|name| Arc::new(text(name))).collect()
            }
        };
        fields.push(Arc::new(text(ID_COLUMN)));
        Arc::new(Schema::new(fields))
    }

    /// Hands on the rows of a file that are to be kept, in batches.
    pub(crate) fn each(
        &self,
        file: &RejectFile,
        records: Records,
        keep: impl FnMut(&Rejected) -> bool,
        take: impl FnMut(RecordBatch) -> Result<(), RejectsError>,
    ) -> Result<(), RejectsError> {
        match self {
            Self::Typed(source) => self.typed(source, file, records, keep, take),
            Self::Texts(columns) => self.texts(columns, records, keep, take),
        }
    }

    fn typed(
        &self,
        source: &SchemaRef,
        file: &RejectFile,
        mut records: Records,
        mut keep: impl FnMut(&Rejected) -> bool,
        mut take: impl FnMut(RecordBatch) -> Result<(), RejectsError>,
    ) -> Result<(), RejectsError> {
        let format = RejectFormat::Airbyte(Envelope {
            file_type: if file.is_csv() {
                FileType::Csv
            } else {
                FileType::Jsonl
            },
            compression: Compression::No,
            ..Envelope::default()
        });
        let types = |source| RejectsError::Types {
            file: file.name.clone(),
            source,
        };
        let batches = read_rejected(file.reader()?, format, Arc::clone(source)).map_err(types)?;
        for batch in batches {
            let batch = batch.map_err(types)?;
            // The same file, read twice: its records are in the same order.
            let of_batch = records.by_ref().take(batch.num_rows());
            let of_batch = of_batch.collect::<Result<Vec<_>, _>>()?;
            let kept: BooleanArray = of_batch.iter().map(|record| Some(keep(record))).collect();
            let ids = StringArray::from_iter_values(of_batch.iter().map(|record| &record.id));
            let columns = batch.columns().iter().take(source.fields().len());
            let mut columns: Vec<ArrayRef> = columns.map(Arc::clone).collect();
            columns.push(Arc::new(ids));
            let rows = RecordBatch::try_new(self.schema(), columns)?;
            let rows = filter_record_batch(&rows, &kept)?;
            if rows.num_rows() > 0 {
                take(rows)?;
            }
        }
        Ok(())
    }

    fn texts(
        &self,
        columns: &[String],
        records: Records,
        mut keep: impl FnMut(&Rejected) -> bool,
        mut take: impl FnMut(RecordBatch) -> Result<(), RejectsError>,
    ) -> Result<(), RejectsError> {
        let mut waiting = Vec::new();
        for record in records {
            let record = record?;
            if keep(&record) {
                waiting.push(record);
            }
            if waiting.len() == BATCH_ROWS {
                take(self.batch(columns, &std::mem::take(&mut waiting))?)?;
            }
        }
        if !waiting.is_empty() {
            take(self.batch(columns, &waiting)?)?;
        }
        Ok(())
    }

    fn batch(&self, columns: &[String], records: &[Rejected]) -> Result<RecordBatch, RejectsError> {
        let values = columns.iter().map(|name| -> ArrayRef {
            let mut texts = StringBuilder::new();
            for record in records {
                texts.append_option(record.value(name));
            }
            Arc::new(texts.finish())
        });
        let mut arrays: Vec<ArrayRef> = values.collect();
        let texts: StringArray = records
            .iter()
            .map(|record| record.text.as_deref())
            .collect();
        let errors = records.iter().map(|record| {
            let text = record.text.as_ref();
            text.map(|_| record.message.as_str())
        });
        let errors: StringArray = errors.collect();
        let ids = StringArray::from_iter_values(records.iter().map(|record| &record.id));
        arrays.extend([Arc::new(texts) as ArrayRef, Arc::new(errors), Arc::new(ids)]);
        Ok(RecordBatch::try_new(self.schema(), arrays)?)
    }
}

fn text(name: &str) -> Field {
    Field::new(name, DataType::Utf8, true)
}

#[cfg(test)]
mod tests {
    use arrow_salesforce::arrow::array::{Array as _, AsArray as _, Int64Array};
    use arrow_salesforce::arrow::datatypes::Int64Type;
    use arrow_salesforce::coerce::{Reason, Stage};
    use arrow_salesforce::reject::{RejectStream, RejectedRow, airbyte, rejected};

    use super::*;

    /// A file of three records as the engine writes it.
    fn file() -> (RejectFile, SchemaRef) {
        let numbers: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None, Some(3)]));
        let names: ArrayRef = Arc::new(StringArray::from(vec![Some("a"), Some(""), None]));
        let source = RecordBatch::try_from_iter_with_nullable([
            ("Size__c", numbers, true),
            ("Name", names, true),
        ]);
        let source = source.unwrap();
        let schema = source.schema();
        let row = |ordinal| RejectedRow {
            ordinal,
            reason: Arc::new(Reason {
                stage: Stage::Coerce,
                code: "INVALID_VALUE".into(),
                message: "no".to_owned(),
                fields: vec!["Name".to_owned()],
            }),
            job_id: None,
        };
        let batch = rejected(source, &[row(0), row(1), row(2)], chrono::Utc::now()).unwrap();
        let stream = RejectStream {
            name: "Contact".to_owned(),
            namespace: None,
            labels: airbyte::labels(0, 0),
            attempt: None,
        };
        let format = RejectFormat::Airbyte(Envelope {
            file_type: FileType::Jsonl,
            ..Envelope::default()
        });
        let mut content = Vec::new();
        format.write(&stream, &batch, &mut content).unwrap();
        let mut file = RejectFile::new("rejects/1.jsonl".to_owned())
            .unwrap()
            .unwrap();
        file.push(&content).unwrap();
        (file, schema)
    }

    fn rows(rows: &Rows, file: &RejectFile) -> RecordBatch {
        let records = file.records().unwrap().unwrap();
        let mut batches = Vec::new();
        let keep = |record: &Rejected| record.ordinal != Some(1);
        rows.each(file, records, keep, |batch| {
            batches.push(batch);
            Ok(())
        })
        .unwrap();
        assert_eq!(batches.len(), 1);
        batches.remove(0)
    }

    #[test]
    fn types_come_back_with_the_ids_of_the_records() {
        let (file, schema) = file();
        let batch = rows(&Rows::Typed(schema), &file);
        let numbers = batch
            .column_by_name("Size__c")
            .unwrap()
            .as_primitive::<Int64Type>();
        assert_eq!(numbers.values(), &[1, 3]);
        let all: Vec<_> = file
            .records()
            .unwrap()
            .unwrap()
            .map(|r| r.unwrap().id)
            .collect();
        let ids = batch.column_by_name(ID_COLUMN).unwrap().as_string::<i32>();
        assert_eq!(
            [ids.value(0), ids.value(1)],
            [all[0].as_str(), all[2].as_str()]
        );
    }

    #[test]
    fn without_types_all_columns_are_texts() {
        let (file, _) = file();
        let columns = ["Size__c", "Name"].map(str::to_owned).to_vec();
        let batch = rows(&Rows::Texts(columns), &file);
        assert_eq!(batch.column(0).as_string::<i32>().value(1), "3");
        assert!(batch.column(1).is_null(1));
        assert!(batch.column_by_name(RAW).unwrap().is_null(0));
    }
}
