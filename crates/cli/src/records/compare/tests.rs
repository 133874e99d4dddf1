use arrow_salesforce::arrow::array::{
    Array as _, AsArray as _, StringArray, TimestampMillisecondArray,
};
use arrow_salesforce::arrow::datatypes::TimeUnit;

use super::*;
use crate::records::sent::sent_column;
use crate::sql;

const COLUMNS: usize = 10;

/// Files of what was sent and what there is now, of so many records with so many bytes in each field.
async fn files(directory: &Path, records: usize, bytes: usize) -> (Sent, PathBuf) {
    let texts = |of: &mut dyn Iterator<Item = String>| -> ArrayRef {
        Arc::new(of.map(Some).collect::<StringArray>())
    };
    let at = DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()));
    let text = |name: &str| Field::new(name, DataType::Utf8, true);
    let mut fields = vec![
        text("id"),
        text("action"),
        text("mark"),
        Field::new("at", at, true),
    ];
    fields.extend((0..COLUMNS).map(|field| text(&sent_column(field))));
    let sent_schema = Arc::new(Schema::new(fields));
    let sent = Sent {
        path: directory.join("sent.parquet"),
        records: records as u64,
        without_id: 0,
    };
    let now = directory.join("now.parquet");
    let mut sent_file = ParquetFile::create(&sent.path, Arc::clone(&sent_schema)).unwrap();
    let mut now_file = ParquetFile::create(&now, schema(COLUMNS)).unwrap();
    let id = |row: usize| format!("003{row:012}AAA");
    for first in (0..records).step_by(1_000) {
        let rows = first..(first + 1_000).min(records);
        // In another order, and every tenth is gone.
        let there: Vec<usize> = rows.clone().rev().filter(|row| row % 10 != 0).collect();
        let value = |row: usize| format!("{row:0bytes$}");
        let ids = texts(&mut rows.clone().map(id));
        let at = TimestampMillisecondArray::from_value(0, rows.len()).with_timezone("UTC");
        let none = new_null_array(&DataType::Utf8, rows.len());
        let mut columns: Vec<ArrayRef> = vec![ids, Arc::clone(&none), none, Arc::new(at)];
        columns.extend((0..COLUMNS).map(|_| texts(&mut rows.clone().map(value))));
        let batch = RecordBatch::try_new(Arc::clone(&sent_schema), columns).unwrap();
        sent_file = sent_file.write(batch).await.unwrap();
        let ids = texts(&mut there.iter().map(|row| id(*row)));
        let none = new_null_array(&DataType::Utf8, there.len());
        let mut columns: Vec<ArrayRef> = vec![ids, Arc::clone(&none), none];
        let values = (0..COLUMNS).map(|_| texts(&mut there.iter().map(|row| value(*row))));
        columns.extend(values);
        let batch = RecordBatch::try_new(schema(COLUMNS), columns).unwrap();
        now_file = now_file.write(batch).await.unwrap();
    }
    sent_file.finish().await.unwrap();
    now_file.finish().await.unwrap();
    (sent, now)
}

#[tokio::test]
async fn more_than_the_memory_holds_is_joined() {
    // Some 30 MB a side.
    let (records, bytes, memory) = (1_500, 2_000, 24 << 20);
    let directory = tempfile::tempdir().unwrap();
    let (sent, now) = files(directory.path(), records, bytes).await;
    let session = sql::session(memory, true).unwrap();
    let mut rows = joined(&session, &sent, &now).await.unwrap();
    let (mut ids, mut gone) = (Vec::new(), 0);
    while let Some(batch) = rows.try_next().await.unwrap() {
        assert!(batch.num_rows() < 200, "{} wide rows", batch.num_rows());
        let known = batch.column(0).as_string::<i32>().iter().flatten();
        ids.extend(known.map(str::to_owned));
        gone += batch.column_by_name(NOW_ID).unwrap().null_count();
    }
    assert_eq!((ids.len(), gone), (records, records / 10));
    assert!(ids.is_sorted());
}
