use std::fs::File;
use std::path::Path;

use arrow_ipc::writer::StreamWriter;
use arrow_salesforce::Operation;
use arrow_salesforce::arrow::array::{
    Int64Array, StringArray, TimestampMillisecondArray, new_null_array,
};
use arrow_salesforce::object::{ObjectSchema, RelatedObjects};
use arrow_salesforce::options::{NullHandling, ValueOptions};
use chrono::Utc;
use parquet::arrow::ArrowWriter;
use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::run::Runs;
use crate::sql;

const DESCRIBE: &[u8] = br#"{"name":"Contact","fields":[
    {"name":"Id","type":"id","createable":false,"updateable":false},
    {"name":"Key__c","type":"string","externalId":true},
    {"name":"Mark","type":"string"},
    {"name":"Rate__c","type":"double","scale":2}]}"#;

/// A row of a receipt: ordinal, key, Mark, Rate, Id, action, time.
type Row<'a> = (
    i64,
    &'a str,
    Option<&'a str>,
    Option<&'a str>,
    Option<&'a str>,
    Option<&'a str>,
    i64,
);

struct Given {
    directory: TempDir,
    folder: RunFolder,
    record: RunRecord,
}

fn rows_schema() -> Schema {
    let text = |name: &str| Field::new(name, DataType::Utf8, true);
    Schema::new(vec![
        text("Key__c"),
        text("Mark"),
        text("Rate__c"),
        text(RAW_ERROR),
    ])
}

impl Given {
    /// A run with a schema and no receipts.
    async fn new() -> Self {
        let directory = TempDir::new().unwrap();
        let runs = Runs::open(directory.path().to_str()).unwrap();
        let folder = runs.folder("20260301-1").unwrap();
        folder.local().unwrap();
        let mut schema = StreamWriter::try_new(Vec::new(), &rows_schema()).unwrap();
        schema.finish().unwrap();
        let kept = folder.keep_schema(schema.into_inner().unwrap());
        kept.await.unwrap();
        let record = serde_json::from_value(json!({
            "version": 1, "id": "20260301-1", "started": Utc::now(), "changed": Utc::now(),
            "state": "finished", "org": "00D", "host": "host", "files": [], "volatile": false,
            "spec": {"object": "Contact", "upsert": "Key__c"}, "rejects_of": null, "attempts": [],
            "counts": {"read": 5, "accepted": 5, "rejected": 0, "jobs": 1, "api_calls": 9},
            "error": null,
        }));
        Self {
            directory,
            folder,
            record: record.unwrap(),
        }
    }

    fn receipt(&self, job: &str, rows: &[Row<'_>]) {
        let folder = self.folder.local_path().join("receipts/20260301-1-1");
        std::fs::create_dir_all(&folder).unwrap();
        let texts = |of: &dyn Fn(&Row<'_>) -> Option<String>| -> ArrayRef {
            Arc::new(rows.iter().map(of).collect::<StringArray>())
        };
        let owned = |text: Option<&str>| text.map(str::to_owned);
        let at = rows.iter().map(|row| Some(row.6));
        let at = at
            .collect::<TimestampMillisecondArray>()
            .with_timezone("UTC");
        let columns: Vec<(&str, ArrayRef)> = vec![
            (
                "ordinal",
                Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.0))),
            ),
            ("Key__c", texts(&|row| Some(row.1.to_owned()))),
            ("_source_Mark", texts(&|row| owned(row.2))),
            ("Rate__c", texts(&|row| owned(row.3))),
            ("sf__Id", texts(&|row| owned(row.4))),
            ("action", texts(&|row| owned(row.5))),
            ("mark", new_null_array(&DataType::Utf8, rows.len())),
            ("job_id", texts(&|_| Some(job.to_owned()))),
            ("attempt", texts(&|_| Some("20260301-1-1".to_owned()))),
            ("written_at", Arc::new(at)),
        ];
        write(
            &folder.join(format!("{job}.parquet")),
            &RecordBatch::try_from_iter(columns).unwrap(),
        );
    }

    /// What was sent, a line a record.
    async fn sent(&self, nulls: NullHandling) -> Vec<String> {
        let receipts = Receipts::find(&self.folder, &self.record).await.unwrap();
        let object = ObjectSchema::from_describe(DESCRIBE).unwrap();
        let operation = Operation::Upsert {
            external_id: "Key__c".to_owned(),
        };
        let options = ValueOptions::default().with_null_handling(nulls);
        let related = RelatedObjects::default();
        let comparison =
            Comparison::plan(receipts.source(), &object, &operation, &related, options).unwrap();
        let session = sql::session(64 << 20, true).unwrap();
        let made = receipts
            .sent(&Arc::new(comparison), &session, self.directory.path())
            .await;
        let sent = made.unwrap();
        let reader = File::open(&sent.path).unwrap();
        let reader = ParquetRecordBatchReaderBuilder::try_new(reader).unwrap();
        let mut lines = Vec::new();
        for batch in reader.build().unwrap() {
            let batch = batch.unwrap();
            for row in 0..batch.num_rows() {
                let shown = [0, 1, 4, 5, 6].map(|column| {
                    let texts = batch.column(column).as_string::<i32>();
                    if texts.is_valid(row) {
                        texts.value(row)
                    } else {
                        "-"
                    }
                    .to_owned()
                });
                lines.push(shown.join(" "));
            }
        }
        assert_eq!(lines.len() as u64, sent.records);
        let without_id = lines.iter().filter(|line| line.starts_with("- "));
        assert_eq!(without_id.count() as u64, sent.without_id);
        lines
    }
}

fn write(path: &Path, batch: &RecordBatch) {
    let file = File::create(path).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), None).unwrap();
    writer.write(batch).unwrap();
    writer.close().unwrap();
}

const ID_1: &str = "003000000000001AAA";
const ID_2: &str = "003000000000002AAA";

#[tokio::test]
async fn the_last_value_of_each_field_counts() {
    let given = Given::new().await;
    let (created, updated) = (Some("created"), Some("updated"));
    given.receipt(
        "750B",
        &[
            (7, "b", Some("new"), None, Some(ID_2), updated, 2_000),
            (8, "a", None, Some("3"), Some(ID_1), updated, 2_000),
            (9, "c", Some("x"), None, None, None, 2_000),
            (10, "c", Some("x"), None, None, None, 2_000),
        ],
    );
    given.receipt(
        "750A",
        &[
            (1, "a", Some("m"), Some("1e0"), Some(ID_1), created, 1_000),
            (2, "b", Some("old"), Some("2"), Some(ID_2), updated, 1_000),
        ],
    );
    assert_eq!(
        given.sent(NullHandling::Leave).await,
        [
            format!("{ID_1} created a m 3"),
            format!("{ID_2} updated b new 2"),
            "- - c x -".to_owned(),
            "- - c x -".to_owned(),
        ]
    );
    assert_eq!(
        given.sent(NullHandling::Clear).await[..2],
        [
            format!("{ID_1} created a #N/A 3"),
            format!("{ID_2} updated b new #N/A"),
        ]
    );
}

#[tokio::test]
async fn records_of_many_batches_are_one_row_each() {
    let given = Given::new().await;
    let ids: Vec<String> = (0..10_000).map(|row| format!("003{row:012}AAA")).collect();
    for (job, at) in [("750A", 1_000), ("750B", 2_000)] {
        let rows: Vec<Row<'_>> = ids
            .iter()
            .enumerate()
            .map(|(row, id)| {
                (
                    row as i64,
                    "k",
                    Some(job),
                    None,
                    Some(id.as_str()),
                    None,
                    at,
                )
            })
            .collect();
        given.receipt(job, &rows);
    }
    let sent = given.sent(NullHandling::Leave).await;
    assert_eq!(sent.len(), ids.len());
    for (line, id) in sent.iter().zip(&ids) {
        assert_eq!(*line, format!("{id} - k 750B -"));
    }
}

#[tokio::test]
async fn receipts_that_do_not_say_what_was_sent_are_refused() {
    let mut given = Given::new().await;
    let find = async |given: &Given| match Receipts::find(&given.folder, &given.record).await {
        Ok(receipts) => format!("{} files", receipts.files.len()),
        Err(error) => error.to_string(),
    };
    insta::assert_snapshot!(find(&given).await, @"the run 20260301-1 has no receipts: it was loaded with --no-receipts, or they were deleted. What it has sent cannot be known");
    given.record.counts.accepted = 0;
    assert_eq!(find(&given).await, "0 files");
    given.record.spec.write.no_receipts = true;
    insta::assert_snapshot!(find(&given).await, @"the run 20260301-1 has no receipts: it was loaded with --no-receipts, or they were deleted. What it has sent cannot be known");
    let folder = given.folder.local_path().join("receipts/a");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("750A.parquet"), "PAR0").unwrap();
    let damaged = find(&given).await;
    assert!(
        damaged.contains("750A.parquet cannot be read as receipts: "),
        "{damaged}"
    );
    let key: ArrayRef = Arc::new(StringArray::from(vec!["a"]));
    let old = RecordBatch::try_from_iter([("ordinal", Arc::clone(&key)), ("Key__c", key)]);
    write(&folder.join("750A.parquet"), &old.unwrap());
    insta::assert_snapshot!(find(&given).await, @"the receipts of the run 20260301-1 do not have the values that were sent (Mark, Rate__c): an older version of arrow-salesforce has loaded it. What it has sent cannot be known");
}
