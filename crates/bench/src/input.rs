//! The input of a workload as files: CSV, Parquet, and Airbyte's messages with their catalog.

use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanBuilder, Date32Builder, Float64Builder, StringBuilder};
use arrow::datatypes::{DataType, Date32Type, Field, Schema};
use arrow::record_batch::RecordBatch;
use clap::ValueEnum;
use parquet::arrow::ArrowWriter;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::columns::Kind;
use crate::error::{At, Error, Result};
use crate::plan::{Line, Plan};
use crate::workload::Operation;

/// `emitted_at` of the first message, in milliseconds.
const EMITTED_AT: u64 = 1_772_323_200_000;

/// Rows of a batch of the Parquet file.
const BATCH: usize = 8_192;

/// A form of the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Form {
    /// One CSV file with a header of field names
    Csv,
    /// One Parquet file
    Parquet,
    /// Airbyte's messages, one a line
    Messages,
}

impl Form {
    fn file(self) -> &'static str {
        match self {
            Self::Csv => "input.csv",
            Self::Parquet => "input.parquet",
            Self::Messages => "messages.jsonl",
        }
    }
}

/// The folder of the files of a workload.
#[derive(Debug, Clone)]
pub(crate) struct Input {
    folder: PathBuf,
}

impl Input {
    /// Makes the files that are not there yet, in a folder below `out`.
    pub(crate) fn make(plan: &Plan, forms: &[Form], out: &Path) -> Result<Self> {
        let name = format!("{}-{}", plan.name(), plan.seed);
        let folder = out.join("inputs").join(name);
        // Files of another build may hold other records.
        let (mark, own) = (folder.join("made-by"), build());
        if folder.exists() && fs::read_to_string(&mark).ok().as_ref() != Some(&own) {
            fs::remove_dir_all(&folder).at(&folder)?;
        }
        fs::create_dir_all(&folder).at(&folder)?;
        fs::write(&mark, own).at(&mark)?;
        let input = Self { folder };
        for form in forms {
            let path = input.path(*form);
            if path.exists() {
                continue;
            }
            // A file has its name once it is complete.
            let part = path.with_extension("part");
            let file = BufWriter::with_capacity(1 << 20, File::create(&part).at(&part)?);
            match form {
                Form::Csv => write_csv(plan, file),
                Form::Parquet => write_parquet(plan, file),
                Form::Messages => write_messages(plan, file),
            }
            .at(&part)?;
            fs::rename(&part, &path).at(&path)?;
        }
        let catalog = input.catalog();
        fs::write(&catalog, catalog_of(plan).to_string()).at(&catalog)?;
        Ok(input)
    }

    pub(crate) fn path(&self, form: Form) -> PathBuf {
        self.folder.join(form.file())
    }

    pub(crate) fn catalog(&self) -> PathBuf {
        self.folder.join("catalog.json")
    }

    /// The messages behind a state of the only stream, as a platform sends them again after a
    /// failure: into `path`.
    pub(crate) fn behind(&self, cursor: u64, path: &Path) -> Result<()> {
        let messages = self.path(Form::Messages);
        let lines = BufReader::new(File::open(&messages).at(&messages)?).lines();
        let mut out = BufWriter::new(File::create(path).at(path)?);
        let mut records = 0;
        for line in lines {
            let line = line.at(&messages)?;
            let is_record = line.starts_with(RECORD);
            records += u64::from(is_record);
            // The status that a stream begins with comes again.
            if records > cursor || (records == 0 && !is_record) {
                writeln!(out, "{line}").at(path)?;
            }
        }
        out.flush().at(path)
    }
}

/// What distinguishes this build of the program from others.
fn build() -> String {
    let program = std::env::current_exe().and_then(fs::metadata);
    let of = |file: fs::Metadata| format!("{} bytes, {:?}", file.len(), file.modified().ok());
    program.map_or_else(|error| error.to_string(), of)
}

const RECORD: &str = r#"{"type":"RECORD","#;

fn write_csv(plan: &Plan, out: impl Write) -> io::Result<()> {
    let mut csv = csv::Writer::from_writer(out);
    let names = plan.columns.iter().map(|column| column.name.as_str());
    csv.write_record(std::iter::once(plan.workload.key()).chain(names))?;
    let mut values = Vec::new();
    for line in plan.lines() {
        plan.values(line, &mut values);
        csv.write_record(&values)?;
    }
    csv.flush()
}

/// A column of a batch.
enum Builder {
    Text(StringBuilder),
    Number(Float64Builder),
    Boolean(BooleanBuilder),
    Date(Date32Builder),
}

impl Builder {
    fn new(kind: Kind) -> Self {
        match kind {
            Kind::Text | Kind::Parent => Self::Text(StringBuilder::new()),
            Kind::Number => Self::Number(Float64Builder::new()),
            Kind::Boolean => Self::Boolean(BooleanBuilder::new()),
            // A date that does not exist has no place in a column of dates.
            Kind::Date => Self::Date(Date32Builder::new()),
        }
    }

    fn append(&mut self, value: &str) {
        let value = (!value.is_empty()).then_some(value);
        match self {
            Self::Text(builder) => builder.append_option(value),
            Self::Number(builder) => {
                builder.append_option(value.and_then(|value| value.parse().ok()));
            }
            Self::Boolean(builder) => builder.append_option(value.map(|value| value == "true")),
            Self::Date(builder) => builder.append_option(value.and_then(days)),
        }
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Text(builder) => Arc::new(builder.finish()),
            Self::Number(builder) => Arc::new(builder.finish()),
            Self::Boolean(builder) => Arc::new(builder.finish()),
            Self::Date(builder) => Arc::new(builder.finish()),
        }
    }
}

fn days(date: &str) -> Option<i32> {
    use arrow::compute::kernels::cast_utils::Parser as _;
    Date32Type::parse(date)
}

fn write_parquet(plan: &Plan, out: impl Write + Send) -> io::Result<()> {
    let kinds = || std::iter::once(Kind::Text).chain(plan.columns.iter().map(column_kind(plan)));
    let names = plan.columns.iter().map(|column| column.name.as_str());
    let fields = std::iter::once(plan.workload.key())
        .chain(names)
        .zip(kinds());
    let fields: Vec<Field> = fields
        .map(|(name, kind)| {
            let data_type = match kind {
                Kind::Text | Kind::Parent => DataType::Utf8,
                Kind::Number => DataType::Float64,
                Kind::Boolean => DataType::Boolean,
                Kind::Date => DataType::Date32,
            };
            Field::new(name, data_type, true)
        })
        .collect();
    let schema = Arc::new(Schema::new(fields));
    let mut writer = ArrowWriter::try_new(out, Arc::clone(&schema), None)?;
    let mut builders: Vec<Builder> = kinds().map(Builder::new).collect();
    let mut lines = plan.lines().peekable();
    let mut values = Vec::new();
    while lines.peek().is_some() {
        for line in lines.by_ref().take(BATCH) {
            plan.values(line, &mut values);
            for (builder, value) in builders.iter_mut().zip(&values) {
                builder.append(value);
            }
        }
        let columns = builders.iter_mut().map(Builder::finish).collect();
        let batch = RecordBatch::try_new(Arc::clone(&schema), columns);
        writer.write(&batch.map_err(io::Error::other)?)?;
    }
    writer.close()?;
    Ok(())
}

/// The kind of a column in Parquet: dates are texts where some of them do not exist.
fn column_kind(plan: &Plan) -> impl Fn(&crate::columns::Column) -> Kind {
    let bad = plan.bad_share > 0.0;
    move |column| match column.kind {
        Kind::Date if bad => Kind::Text,
        kind => kind,
    }
}

/// Lines of one stream so far.
#[derive(Debug, Clone, Copy, Default)]
struct Progress {
    records: u64,
    stated: u64,
}

fn write_messages(plan: &Plan, mut out: impl Write) -> io::Result<()> {
    let streams = plan.streams;
    let every = plan.states_every();
    let mut progress = vec![Progress::default(); usize::try_from(streams).unwrap_or_default()];
    let mut states = 0;
    for stream in 0..streams {
        write_status(plan, stream, "STARTED", &mut out)?;
    }
    let mut values = Vec::new();
    for (number, line) in (0..).zip(plan.lines()) {
        let stream = plan.stream(line.key);
        write_record(plan, line, EMITTED_AT + number, &mut values, &mut out)?;
        let Some(progress) = usize::try_from(stream)
            .ok()
            .and_then(|at| progress.get_mut(at))
        else {
            continue;
        };
        progress.records += 1;
        if progress.records.is_multiple_of(every) {
            states += 1;
            write_state(plan, stream, progress, states, &mut out)?;
        }
    }
    for (stream, progress) in (0..).zip(&mut progress) {
        if progress.records > progress.stated {
            states += 1;
            write_state(plan, stream, progress, states, &mut out)?;
        }
        write_status(plan, stream, "COMPLETE", &mut out)?;
    }
    out.flush()
}

fn write_record(
    plan: &Plan,
    line: Line,
    emitted_at: u64,
    values: &mut Vec<String>,
    out: &mut impl Write,
) -> io::Result<()> {
    plan.values(line, values);
    let name = plan.stream_name(plan.stream(line.key));
    write!(
        out,
        r#"{RECORD}"record":{{"stream":"{name}","emitted_at":{emitted_at},"data":{{"#
    )?;
    write!(out, r#""{}":"{}""#, plan.workload.key(), values[0])?;
    for (column, value) in plan.columns.iter().zip(&values[1..]) {
        write!(out, r#","{}":"#, column.name)?;
        match column.kind {
            _ if value.is_empty() => out.write_all(b"null")?,
            Kind::Number | Kind::Boolean => out.write_all(value.as_bytes())?,
            Kind::Text | Kind::Date | Kind::Parent => serde_json::to_writer(&mut *out, value)?,
        }
    }
    out.write_all(b"}}}\n")
}

fn write_state(
    plan: &Plan,
    stream: u64,
    progress: &mut Progress,
    id: u64,
    out: &mut impl Write,
) -> io::Result<()> {
    let name = plan.stream_name(stream);
    let Progress { records, stated } = *progress;
    let count = records - stated;
    progress.stated = records;
    writeln!(
        out,
        r#"{{"type":"STATE","state":{{"type":"STREAM","stream":{{"stream_descriptor":{{"name":"{name}"}},"stream_state":{{"cursor":{records}}}}},"sourceStats":{{"recordCount":{count}.0}},"id":{id}}}}}"#
    )
}

fn write_status(plan: &Plan, stream: u64, status: &str, out: &mut impl Write) -> io::Result<()> {
    let name = plan.stream_name(stream);
    writeln!(
        out,
        r#"{{"type":"TRACE","trace":{{"type":"STREAM_STATUS","emitted_at":{EMITTED_AT}.0,"stream_status":{{"stream_descriptor":{{"name":"{name}"}},"status":"{status}"}}}}}}"#
    )
}

/// The configured catalog of Airbyte.
fn catalog_of(plan: &Plan) -> Value {
    let key = plan.workload.key();
    let mut properties: Map<String, Value> = Map::new();
    properties.insert(key.to_owned(), json!({"type": ["null", "string"]}));
    for column in &plan.columns {
        let schema = match column.kind {
            Kind::Text | Kind::Parent => json!({"type": ["null", "string"]}),
            Kind::Number => json!({"type": ["null", "number"]}),
            Kind::Boolean => json!({"type": ["null", "boolean"]}),
            Kind::Date => json!({"type": ["null", "string"], "format": "date"}),
        };
        properties.insert(column.name.clone(), schema);
    }
    let streams = (0..plan.streams).map(|stream| {
        let mut configured = json!({
            "stream": {
                "name": plan.stream_name(stream),
                "json_schema": {"type": "object", "properties": properties},
                "supported_sync_modes": ["full_refresh", "incremental"],
            },
            "sync_mode": "incremental",
            "destination_sync_mode": "append",
            "destination_object_name": plan.workload.object(),
            "generation_id": 1,
            "minimum_generation_id": 0,
            "sync_id": 1,
        });
        if plan.workload.operation() == Operation::Upsert {
            configured["destination_sync_mode"] = json!("append_dedup");
            configured["primary_key"] = json!([[key]]);
        }
        configured
    });
    json!({"streams": streams.collect::<Vec<_>>()})
}

/// Airbyte's config for the org at `url`, with rejected records in `rejects`, and `settings` in
/// place of its own.
pub(crate) fn write_config(
    url: &str,
    rejects: &Path,
    settings: &Map<String, Value>,
    path: &Path,
) -> Result<()> {
    let rejects = fs::canonicalize(rejects).at(rejects)?;
    let rejects = rejects
        .to_str()
        .ok_or_else(|| Error::Input("the folder of rejected rows has no plain name".to_owned()))?;
    let mut config = json!({
        "client_id": "sim-client-id",
        "client_secret": "sim-client-secret",
        "refresh_token": "sim-refresh-token",
        "is_sandbox": false,
        "auth_type": "Client",
        "login_url": url,
        "rejected_records_url": format!("file://{rejects}"),
    });
    for (name, value) in settings {
        config[name] = value.clone();
    }
    fs::write(path, config.to_string()).at(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::Workload;

    fn lines(bytes: &[u8]) -> Vec<Value> {
        let lines = std::str::from_utf8(bytes).unwrap().lines();
        lines
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    #[test]
    fn all_forms_hold_the_same_rows() {
        let plan = Plan::new(Workload::Bad1, 500, 5);
        let expected = plan.lines().count();
        let mut bytes = Vec::new();
        write_csv(&plan, &mut bytes).unwrap();
        let csv: Vec<csv::StringRecord> = csv::Reader::from_reader(&bytes[..])
            .records()
            .map(std::result::Result::unwrap)
            .collect();
        assert_eq!(csv.len(), expected);
        let mut bytes = Vec::new();
        write_messages(&plan, &mut bytes).unwrap();
        let records: Vec<Value> = lines(&bytes)
            .into_iter()
            .filter(|line| line["type"] == "RECORD")
            .collect();
        assert_eq!(records.len(), expected);
        for (row, record) in csv.iter().zip(&records) {
            let data = &record["record"]["data"];
            assert_eq!(data[EXTERNAL_ID], row[0]);
            let last_name = data["LastName"].as_str().unwrap_or_default();
            assert_eq!(last_name, &row[1]);
        }
        let mut bytes = Vec::new();
        write_parquet(&plan, &mut bytes).unwrap();
        assert!(bytes.starts_with(b"PAR1"));
    }

    use crate::workload::EXTERNAL_ID;

    #[test]
    fn a_state_comes_behind_the_records_it_counts() {
        let plan = Plan::new(Workload::Streams, 4_000, 5);
        let mut bytes = Vec::new();
        write_messages(&plan, &mut bytes).unwrap();
        let mut seen = std::collections::HashMap::<String, u64>::new();
        let mut states = 0;
        for line in lines(&bytes) {
            if line["type"] == "RECORD" {
                let name = line["record"]["stream"].as_str().unwrap().to_owned();
                *seen.entry(name).or_default() += 1;
            } else if line["type"] == "STATE" {
                let stream = &line["state"]["stream"];
                let name = stream["stream_descriptor"]["name"].as_str().unwrap();
                assert_eq!(stream["stream_state"]["cursor"], seen[name]);
                states += 1;
            }
        }
        assert!(seen.len() == 200 && states >= 200, "{states}");
    }

    #[test]
    fn a_repeat_begins_behind_the_last_state() {
        let folder = tempfile::tempdir().unwrap();
        let plan = Plan::new(Workload::KillRepeat, 100, 1);
        let input = Input::make(&plan, &[Form::Messages], folder.path()).unwrap();
        let path = folder.path().join("behind.jsonl");
        input.behind(30, &path).unwrap();
        let rest = lines(&fs::read(path).unwrap());
        let records = rest.iter().filter(|line| line["type"] == "RECORD");
        assert_eq!(records.count(), 70);
        assert_eq!(rest[0]["type"], "TRACE");
    }
}
