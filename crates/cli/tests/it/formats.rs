//! The same records come out of every format, place and way to read them.

use std::io::Write as _;
use std::sync::Arc;

use arrow_salesforce::arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, RecordBatch, StringArray,
};
use flate2::Compression;
use flate2::write::GzEncoder;
use object_store::ObjectStoreExt as _;
use object_store::aws::AmazonS3Builder;
use parquet::arrow::ArrowWriter;
use testkit::s3::{ACCESS_KEY, BUCKET, S3Server, SECRET_KEY};

use super::desk::Desk;

const FIELDS: [&str; 6] = [
    "Ext_Id__c",
    "LastName",
    "Email",
    "Birthdate",
    "Revenue_Share__c",
    "HasOptedOutOfEmail",
];

/// Days from 1970 to 2000-01-01.
const DAY: i32 = 10_957;

/// Records whose columns have the names of fields, with the types of Arrow.
pub(crate) fn records(rows: usize) -> RecordBatch {
    let rows = || 0..rows;
    let ids = rows().map(|n| format!("C-{n:04}"));
    let names = rows().map(|n| format!("Núñez \"{n}\",\nthe second"));
    let emails = rows().map(|n| (n % 3 > 0).then(|| format!("c{n}@example.com")));
    let days = rows().map(|n| DAY + i32::try_from(n).unwrap());
    let shares = rows().map(|n| i128::try_from(n).unwrap() * 10 + 5);
    let shares = Decimal128Array::from_iter_values(shares);
    let columns: [(&str, ArrayRef); 6] = [
        (FIELDS[0], Arc::new(StringArray::from_iter_values(ids))),
        (FIELDS[1], Arc::new(StringArray::from_iter_values(names))),
        (FIELDS[2], Arc::new(StringArray::from_iter(emails))),
        (FIELDS[3], Arc::new(Date32Array::from_iter_values(days))),
        (
            FIELDS[4],
            Arc::new(shares.with_precision_and_scale(9, 2).unwrap()),
        ),
        (
            FIELDS[5],
            Arc::new(BooleanArray::from_iter(rows().map(|n| Some(n % 2 == 0)))),
        ),
    ];
    RecordBatch::try_from_iter(columns).unwrap()
}

pub(crate) fn parquet(batch: &RecordBatch) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), None).unwrap();
    writer.write(batch).unwrap();
    writer.close().unwrap();
    bytes
}

fn ipc_file(batch: &RecordBatch) -> Vec<u8> {
    let mut writer = arrow_ipc::writer::FileWriter::try_new(Vec::new(), &batch.schema()).unwrap();
    writer.write(batch).unwrap();
    writer.into_inner().unwrap()
}

fn ipc_stream(batch: &RecordBatch) -> Vec<u8> {
    let mut writer = arrow_ipc::writer::StreamWriter::try_new(Vec::new(), &batch.schema()).unwrap();
    writer.write(batch).unwrap();
    writer.into_inner().unwrap()
}

/// Each row as texts, null as none.
fn texts(batch: &RecordBatch) -> Vec<Vec<Option<String>>> {
    let cell = |column: &ArrayRef, row| {
        let text =
            || arrow_salesforce::arrow::util::display::array_value_to_string(column, row).unwrap();
        arrow_salesforce::arrow::array::Array::is_valid(column, row).then(text)
    };
    let row = |row| {
        batch
            .columns()
            .iter()
            .map(|column| cell(column, row))
            .collect()
    };
    (0..batch.num_rows()).map(row).collect()
}

fn csv(batch: &RecordBatch) -> Vec<u8> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(FIELDS).unwrap();
    for row in texts(batch) {
        let cells = row.iter().map(|cell| cell.as_deref().unwrap_or_default());
        writer.write_record(cells).unwrap();
    }
    writer.into_inner().unwrap()
}

/// Numbers and booleans stand bare, and nulls are left out.
fn jsonl(batch: &RecordBatch) -> Vec<u8> {
    let mut lines = Vec::new();
    for row in texts(batch) {
        let members = FIELDS.iter().zip(row).filter_map(|(field, cell)| {
            let cell = cell?;
            let bare = ["Revenue_Share__c", "HasOptedOutOfEmail"].contains(field);
            let cell = if bare {
                cell
            } else {
                serde_json::to_string(&cell).unwrap()
            };
            Some(format!("\"{field}\": {cell}"))
        });
        writeln!(lines, "{{{}}}", members.collect::<Vec<_>>().join(", ")).unwrap();
    }
    lines
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(bytes).unwrap();
    packed.finish().unwrap()
}

/// What the org must hold.
fn expected(batch: &RecordBatch) -> Vec<Vec<String>> {
    let rows = texts(batch).into_iter();
    rows.map(|row| row.into_iter().map(Option::unwrap_or_default).collect())
        .collect()
}

/// Fails unless the org holds the records, numbers compared as numbers.
async fn holds(desk: &Desk, batch: &RecordBatch, what: &str) {
    let canonical = |mut rows: Vec<Vec<String>>| {
        for row in &mut rows {
            let share: f64 = row[4].parse().unwrap();
            row[4] = share.to_string();
        }
        rows
    };
    let rows = desk.rows("Contact", &FIELDS).await;
    assert_eq!(canonical(rows), canonical(expected(batch)), "{what}");
}

#[tokio::test]
async fn every_format_gives_the_same_records() {
    let batch = records(60);
    let files: [(&str, Vec<u8>); 9] = [
        ("contacts.parquet", parquet(&batch)),
        ("contacts.csv", csv(&batch)),
        ("contacts.jsonl", jsonl(&batch)),
        ("contacts.arrow", ipc_file(&batch)),
        ("contacts.arrows", ipc_stream(&batch)),
        ("contacts.csv.gz", gzip(&csv(&batch))),
        ("contacts.jsonl.gz", gzip(&jsonl(&batch))),
        ("no-extension", parquet(&batch)),
        ("feather.feather", ipc_file(&batch)),
    ];
    for (name, bytes) in files {
        let desk = Desk::new().await;
        desk.write(name, bytes);
        let load = format!("load {name} --object Contact");
        desk.run(&load).await.with_code(0);
        holds(&desk, &batch, name).await;
    }
}

#[tokio::test]
async fn a_query_gives_the_same_records() {
    let batch = records(60);
    for (name, bytes) in [
        ("contacts.parquet", parquet(&batch)),
        ("contacts.csv", csv(&batch)),
        ("contacts.jsonl", jsonl(&batch)),
        ("contacts.arrow", ipc_file(&batch)),
    ] {
        let desk = Desk::new().await;
        desk.write(name, bytes);
        let sql = "select * from people where Ext_Id__c <> ''";
        let input = format!("people={name}");
        let args = ["load", &input, "--object", "Contact", "--sql", sql];
        desk.run_args(&args).await.with_code(0);
        holds(&desk, &batch, name).await;
    }
}

#[tokio::test]
async fn stdin_globs_and_several_files_are_inputs() {
    let batch = records(60);
    let desk = Desk::new().await;
    let args = ["load", "-", "--format", "csv", "--object", "Contact"];
    desk.feed(&args, &csv(&batch)).await.with_code(0);
    holds(&desk, &batch, "stdin").await;

    let desk = Desk::new().await;
    desk.write("in/1.csv", csv(&batch.slice(0, 20)));
    desk.write("in/2.csv", csv(&batch.slice(20, 20)));
    desk.write("in/3.csv", csv(&batch.slice(40, 20)));
    desk.run_args(&["load", "in/[12].csv", "in/3.csv", "--object", "Contact"])
        .await
        .with_code(0);
    holds(&desk, &batch, "glob and file").await;
}

#[tokio::test]
async fn folders_of_a_directory_are_columns() {
    let desk = Desk::new().await;
    desk.write("in/Department=Sales/1.csv", "Ext_Id__c,LastName\nA,Ng\n");
    desk.write("in/Department=Legal/1.csv", "Ext_Id__c,LastName\nB,Li\n");
    desk.run("load in --object Contact").await.with_code(0);
    let rows = desk
        .rows("Contact", &["Ext_Id__c", "LastName", "Department"])
        .await;
    assert_eq!(rows, [["A", "Ng", "Sales"], ["B", "Li", "Legal"]]);
}

#[tokio::test]
async fn s3_is_read_and_joined() {
    let batch = records(60);
    let s3 = S3Server::start().await;
    let desk = Desk::new().await;
    let desk = desk
        .with("AWS_ACCESS_KEY_ID", ACCESS_KEY)
        .with("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
        .with("AWS_REGION", "us-east-1")
        .with("AWS_ENDPOINT_URL", s3.endpoint())
        .with("AWS_ALLOW_HTTP", "true");
    let bucket = AmazonS3Builder::new()
        .with_bucket_name(BUCKET)
        .with_region("us-east-1")
        .with_endpoint(s3.endpoint())
        .with_allow_http(true)
        .with_access_key_id(ACCESS_KEY)
        .with_secret_access_key(SECRET_KEY)
        .build()
        .unwrap();
    let put = async |name: &str, bytes: Vec<u8>| {
        bucket.put(&name.into(), bytes.into()).await.unwrap();
    };
    put("in/1.parquet", parquet(&batch.slice(0, 30))).await;
    put("in/2.parquet", parquet(&batch.slice(30, 30))).await;
    put("names.csv", b"id,title\nC-0001,Dr\nC-0002,Prof\n".to_vec()).await;
    let input = format!("s3://{BUCKET}/in/*.parquet");
    desk.run_args(&["load", &input, "--object", "Contact"])
        .await
        .with_code(0);
    holds(&desk, &batch, "s3").await;

    let sql = format!(
        "select i.Ext_Id__c, n.title as Title from input i join 's3://{BUCKET}/names.csv' n on n.id = i.Ext_Id__c"
    );
    let args = [
        "load",
        &input,
        "--object",
        "Contact",
        "--upsert",
        "Ext_Id__c",
        "--sql",
        &sql,
    ];
    desk.run_args(&args).await.with_code(0);
    let titles = desk.rows("Contact", &["Ext_Id__c", "Title"]).await;
    let titled: Vec<_> = titles.iter().filter(|row| !row[1].is_empty()).collect();
    assert_eq!(titled, [&["C-0001", "Dr"], &["C-0002", "Prof"]]);
}
