//! Files as they are given -> the rows of `input`.

mod formats;
mod places;
mod queries;
mod stores;

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_salesforce::arrow::array::{
    ArrayRef, AsArray as _, Int64Array, RecordBatch, StringArray,
};
use arrow_salesforce::arrow::compute::{cast, concat_batches};
use arrow_salesforce::arrow::datatypes::{DataType, SchemaRef};
use arrow_salesforce::source::is_explicit_null_flag;
use datafusion::error::DataFusionError;
use datafusion::execution::context::{SessionConfig, SessionContext};
use parquet::arrow::ArrowWriter;

use super::environment::Environment;
use super::{InputError, Inputs};
use crate::spec::ReadSpec;

/// A directory with inputs.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::TempDir::new().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a file, and returns how it is typed.
    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        write(&self.path(name), content.as_ref());
        self.typed(name)
    }

    fn typed(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    async fn open(&self, typed: &[&str]) -> Result<Inputs, InputError> {
        self.open_as(typed, &ReadSpec::default()).await
    }

    async fn open_as(&self, typed: &[&str], read: &ReadSpec) -> Result<Inputs, InputError> {
        let typed: Vec<String> = typed.iter().map(|typed| (*typed).to_owned()).collect();
        let spool = self.path("spool/stdin");
        Inputs::open_in(&typed, read, &spool, Environment::default()).await
    }

    /// The rows of all files in order, a text each; nulls are empty.
    async fn rows(&self, typed: &[&str]) -> Vec<String> {
        let inputs = self.open(typed).await.unwrap();
        rows_of(&inputs, "select * from input").await.unwrap()
    }

    async fn refusal(&self, typed: &[&str]) -> String {
        self.open(typed).await.unwrap_err().to_string()
    }
}

fn write(path: &Path, content: &[u8]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

fn context() -> SessionContext {
    SessionContext::new_with_config(SessionConfig::new().with_target_partitions(1))
}

async fn batch_of(inputs: &Inputs, sql: &str) -> Result<RecordBatch, DataFusionError> {
    let context = context();
    inputs.register(&context).unwrap();
    let frame = context.sql(sql).await?;
    let schema: SchemaRef = Arc::new(frame.schema().as_arrow().clone());
    Ok(concat_batches(&schema, &frame.collect().await?)?)
}

async fn rows_of(inputs: &Inputs, sql: &str) -> Result<Vec<String>, DataFusionError> {
    Ok(texts(&batch_of(inputs, sql).await?))
}

/// `name=value` of each value that is not null, and of each null that is stated.
fn texts(batch: &RecordBatch) -> Vec<String> {
    let columns = batch
        .columns()
        .iter()
        .map(|column| cast(column, &DataType::Utf8).unwrap());
    let columns: Vec<ArrayRef> = columns.collect();
    let row = |row: usize| {
        let schema = batch.schema();
        let cells = columns
            .iter()
            .zip(schema.fields())
            .filter_map(|(column, field)| {
                let column = column.as_string::<i32>();
                let value = column.iter().nth(row).flatten()?;
                let unstated = is_explicit_null_flag(field.name()) && value == "false";
                (!unstated).then(|| format!("{}={value}", field.name()))
            });
        cells.collect::<Vec<_>>().join(" ")
    };
    (0..batch.num_rows()).map(row).collect()
}

/// Rows with these ids, and names of them.
fn people(ids: std::ops::Range<i64>) -> RecordBatch {
    let names: StringArray = ids.clone().map(|id| Some(format!("n{id}"))).collect();
    let ids: Int64Array = ids.collect();
    let columns: [(&str, ArrayRef); 2] = [("id", Arc::new(ids)), ("name", Arc::new(names))];
    RecordBatch::try_from_iter(columns).unwrap()
}

fn expected(ids: std::ops::Range<i64>) -> Vec<String> {
    ids.map(|id| format!("id={id} name=n{id}")).collect()
}

fn parquet(batch: &RecordBatch) -> Vec<u8> {
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap();
    writer.write(batch).unwrap();
    writer.into_inner().unwrap()
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

fn json_lines(batch: &RecordBatch) -> Vec<u8> {
    let rows = texts(batch).into_iter().map(|row| {
        let (id, name) = row.split_once(' ').unwrap();
        let (id, name) = (
            id.trim_start_matches("id="),
            name.trim_start_matches("name="),
        );
        format!("{{\"id\":{id},\"name\":\"{name}\"}}\n")
    });
    rows.collect::<String>().into_bytes()
}

fn csv(batch: &RecordBatch) -> Vec<u8> {
    let rows = texts(batch).into_iter().map(|row| {
        let (id, name) = row.split_once(' ').unwrap();
        let (id, name) = (
            id.trim_start_matches("id="),
            name.trim_start_matches("name="),
        );
        format!("{id},{name}\n")
    });
    let rows: String = rows.collect();
    format!("id,name\n{rows}").into_bytes()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packer.write_all(bytes).unwrap();
    packer.finish().unwrap()
}

/// Compressed as the name says.
async fn packed(ending: &str, bytes: &[u8]) -> Vec<u8> {
    use datafusion::datasource::file_format::file_compression_type::FileCompressionType;
    use futures::{StreamExt as _, TryStreamExt as _, stream};

    let compression: FileCompressionType = ending.parse().unwrap();
    let bytes = bytes::Bytes::copy_from_slice(bytes);
    let packed = compression.convert_to_compress_stream(stream::iter([Ok(bytes)]).boxed());
    let packed: Vec<bytes::Bytes> = packed.unwrap().try_collect().await.unwrap();
    packed.concat()
}
