//! A file of Airbyte lines -> the CSV that a load of them would upload, as files, with no network:
//! the library's own decode, coerce, chunk and CSV, so that any other tool can be measured on the
//! same work.
//!
//! ```sh
//! cargo run --release --example generate -- --rows 1500000 --folder target/records
//! cd target/records
//! cargo run --profile dist --example convert -- contacts.jsonl contacts.catalog.json \
//!     contacts.describe.json csv
//! ```

#[path = "shared/watch.rs"]
mod watch;

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::Instant;

use arrow_salesforce::arrow::array::RecordBatch;
use arrow_salesforce::arrow::buffer::BooleanBuffer;
use arrow_salesforce::chunk::{Chunk, Chunker, RowOrdinals};
use arrow_salesforce::coerce::{CoerceSettings, Coercion};
use arrow_salesforce::decode::{Decoder, Line, LineSplitter, StreamSchema};
use arrow_salesforce::object::{ObjectSchema, Operation, RelatedObjects};
use clap::Parser;
use serde::Deserialize;
use serde_json::value::RawValue;
use watch::{Step, Watch};

/// As in the binary.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Bytes read at once, as the binary reads stdin.
const BLOCK_BYTES: usize = 1 << 20;

/// Batches on their way between two threads.
const BATCHES: usize = 4;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Writes the CSV chunks of a file of Airbyte lines.
#[derive(Debug, Parser)]
struct Options {
    /// The lines: RECORD messages of one stream; other messages are passed over.
    input: PathBuf,
    /// The configured catalog, with that stream alone.
    catalog: PathBuf,
    /// What Salesforce answered to the describe call of the stream's object.
    describe: PathBuf,
    /// Where the chunks go, as 00001.csv and so on. Files of these names are replaced.
    folder: PathBuf,
    /// 1, or 2: decode on one, everything else on the other.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=2))]
    threads: u8,
    /// Most bytes of a chunk.
    #[arg(long, default_value_t = 100_000_000)]
    max_job_bytes: u64,
}

fn main() -> Result<()> {
    let options = Options::parse();
    fs::create_dir_all(&options.folder)?;
    let start = Instant::now();
    let (mut source, mut output) = plan(&options)?;
    if options.threads == 1 {
        while let Some(batch) = source.next_batch()? {
            output.take(&batch)?;
        }
    } else {
        source = pipelined(source, &mut output)?;
    }
    output.finish()?;
    let seconds = start.elapsed().as_secs_f64();

    let times = source.watch.times() + output.watch.times();
    let records = output.records;
    println!("records  {records:>13}");
    println!("chunks   {:>13}", output.chunks);
    println!("bytes    {:>13}", output.bytes);
    println!("rejected {:>13}", output.rejected);
    println!("merged   {:>13}", output.merged);
    if source.passed_over > 0 {
        println!(
            "passed over {:>10} lines that are no records",
            source.passed_over
        );
    }
    println!(
        "seconds  {seconds:>13.3}  {:.0} records/s",
        records as f64 / seconds
    );
    println!("\nCPU        seconds  ns/record");
    for (name, cpu) in times.rows() {
        let per_record = cpu.as_nanos() as f64 / records.max(1) as f64;
        println!("{name:<8} {:>9.3} {per_record:>10.0}", cpu.as_secs_f64());
    }
    Ok(())
}

/// Decodes on a thread of its own.
fn pipelined(mut source: Source, output: &mut Output) -> Result<Source> {
    thread::scope(|scope| {
        let (sender, batches) = sync_channel(BATCHES);
        let decoding = scope.spawn(move || -> Result<Source> {
            while let Some(batch) = source.next_batch()? {
                if sender.send(batch).is_err() {
                    break;
                }
            }
            Ok(source)
        });
        for batch in batches {
            output.take(&batch)?;
        }
        decoding
            .join()
            .map_err(|_| "the decoding thread panicked")?
    })
}

/// Reads catalog and describe, and plans both ends by them.
fn plan(options: &Options) -> Result<(Source, Output)> {
    let catalog = read(&options.catalog)?;
    let catalog: Catalog = serde_json::from_slice(&catalog)?;
    let [configured] = catalog.streams.as_slice() else {
        return Err("the catalog must have one stream".into());
    };
    let operation = configured.operation()?;
    let stream = &configured.stream;
    let schema = StreamSchema::from_json_schema_text(
        &stream.name,
        stream.namespace.as_deref(),
        stream.json_schema.get(),
    )?;
    let object = ObjectSchema::from_describe(&read(&options.describe)?)?;
    let settings = CoerceSettings::default();
    let related = RelatedObjects::default();
    let coercion = Coercion::plan(schema.schema(), &object, &operation, &related, settings)?;
    let output = Output {
        chunker: Chunker::new(coercion.cells_schema(), options.max_job_bytes, None)?,
        coercion,
        folder: options.folder.clone(),
        records: 0,
        chunks: 0,
        bytes: 0,
        rejected: 0,
        merged: 0,
        watch: Watch::default(),
    };
    let source = Source {
        file: File::open(&options.input)?,
        block: vec![0; BLOCK_BYTES],
        lines: LineSplitter::default(),
        decoder: Decoder::new(vec![schema])?,
        passed_over: 0,
        watch: Watch::default(),
    };
    Ok((source, output))
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(|error| format!("{}: {error}", path.display()).into())
}

#[derive(Deserialize)]
struct Catalog {
    streams: Vec<ConfiguredStream>,
}

#[derive(Deserialize)]
struct ConfiguredStream {
    stream: Stream,
    destination_sync_mode: String,
    #[serde(default)]
    primary_key: Vec<Vec<String>>,
}

#[derive(Deserialize)]
struct Stream {
    name: String,
    namespace: Option<String>,
    json_schema: Box<RawValue>,
}

impl ConfiguredStream {
    fn operation(&self) -> Result<Operation> {
        Ok(match self.destination_sync_mode.as_str() {
            "append" => Operation::Insert,
            "update" => Operation::Update,
            "soft_delete" => Operation::Delete,
            "append_dedup" => Operation::Upsert {
                external_id: self.primary_key.concat().concat(),
            },
            mode => return Err(format!("the sync mode {mode} is not known").into()),
        })
    }
}

/// From the file to batches.
struct Source {
    file: File,
    block: Vec<u8>,
    lines: LineSplitter,
    decoder: Decoder,
    passed_over: u64,
    watch: Watch,
}

impl Source {
    /// The next full batch, or what is left at the end of the file.
    fn next_batch(&mut self) -> Result<Option<RecordBatch>> {
        self.watch.start();
        loop {
            while let Some(line) = self.lines.next_line() {
                match self.decoder.line(line) {
                    Line::Record { full: false, .. } => {}
                    Line::Record { full: true, .. } => return Ok(self.flush()),
                    _ => self.passed_over += 1,
                }
            }
            self.watch.lap(Step::Decode);
            let read = self.file.read(&mut self.block)?;
            self.watch.lap(Step::Read);
            if read == 0 {
                break;
            }
            self.lines.push(&self.block[..read]);
        }
        if let Some(line) = self.lines.finish() {
            let record = matches!(self.decoder.line(line), Line::Record { .. });
            self.passed_over += u64::from(!record);
        }
        Ok(self.flush())
    }

    fn flush(&mut self) -> Option<RecordBatch> {
        let batch = self.decoder.flush(0);
        self.watch.lap(Step::Decode);
        batch
    }
}

/// From batches to chunks on disk.
struct Output {
    coercion: Coercion,
    chunker: Chunker,
    folder: PathBuf,
    records: u64,
    chunks: u64,
    bytes: u64,
    rejected: u64,
    merged: usize,
    watch: Watch,
}

impl Output {
    fn take(&mut self, batch: &RecordBatch) -> Result<()> {
        self.watch.start();
        let cells = self.coercion.apply(batch)?;
        self.watch.lap(Step::Coerce);
        let rows = batch.num_rows();
        let skip = (!cells.rejects.is_empty()).then(|| {
            let mut skip = vec![false; rows];
            cells.rejects.iter().for_each(|(row, _)| skip[*row] = true);
            BooleanBuffer::from(skip)
        });
        let pushed = self
            .chunker
            .push(&cells.batch, RowOrdinals::From(self.records), skip)?;
        self.watch.lap(Step::Sizes);
        self.records += rows as u64;
        self.rejected += (cells.rejects.len() + pushed.oversized.len()) as u64;
        let mut closed = pushed.closed.into_iter();
        closed.try_for_each(|chunk| self.write(chunk))
    }

    fn finish(&mut self) -> Result<()> {
        self.watch.start();
        let last = self.chunker.close();
        last.map_or(Ok(()), |chunk| self.write(chunk))
    }

    /// Writes a chunk to its file. One whose rows are all rejected has none, as it makes no job.
    fn write(&mut self, mut chunk: Chunk) -> Result<()> {
        if let Some(key) = self.coercion.key() {
            let merged = chunk.merge(key, |_| false)?;
            self.merged += merged.merged.len();
            chunk = merged.chunk;
            self.watch.lap(Step::Merge);
        }
        if chunk.rows() == 0 {
            return Ok(());
        }
        self.chunks += 1;
        let path = self.folder.join(format!("{:05}.csv", self.chunks));
        let mut file = File::create(path)?;
        self.watch.lap(Step::Write);
        for piece in chunk.csv() {
            let piece = piece?;
            self.watch.lap(Step::Csv);
            file.write_all(&piece)?;
            self.watch.lap(Step::Write);
            self.bytes += piece.len() as u64;
        }
        self.watch.lap(Step::Csv);
        Ok(())
    }
}
