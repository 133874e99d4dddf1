//! A file of Airbyte lines -> the CSV that a load of them would upload, as files, with no network:
//! the project's own decode, coerce, chunk and CSV, so that any other tool can be measured on the
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
use std::io::{BufRead as _, BufReader, Read, Seek as _, SeekFrom, Take, Write as _};
use std::ops::{Add, Range};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use arrow_salesforce::arrow::array::RecordBatch;
use arrow_salesforce::arrow::buffer::BooleanBuffer;
use arrow_salesforce::chunk::{Chunk, Chunker, RowOrdinals};
use arrow_salesforce::coerce::Coercion;
use arrow_salesforce::object::{ObjectSchema, Operation, RelatedObjects};
use arrow_salesforce::options::ValueOptions;
use arrow_salesforce::rows::KeySet;
use arrow_salesforce_decode::LineSplitter;
use clap::Parser;
use destination_salesforce::protocol::{Line, MessageDecoder, StreamSchema};
use serde::Deserialize;
use serde_json::value::RawValue;
use watch::{Step, Times, Watch};

/// As in the binary.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Bytes read at once, as the binary reads stdin.
const BLOCK_BYTES: usize = 256 << 10;

type Failure = Box<dyn std::error::Error + Send + Sync>;
type Result<T> = std::result::Result<T, Failure>;

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
    /// Threads, each of which converts its part of the file into chunks of its own.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=64))]
    threads: u8,
    /// Most bytes of a chunk.
    #[arg(long, default_value_t = 100_000_000)]
    max_job_bytes: u64,
}

fn main() -> Result<()> {
    let options = Options::parse();
    fs::create_dir_all(&options.folder)?;
    let start = Instant::now();
    let chunks = AtomicU64::new(0);
    let counts = thread::scope(|scope| {
        let threads: Vec<_> = parts(&options.input, options.threads)?
            .into_iter()
            .map(|part| scope.spawn(|| convert(&options, part, &chunks)))
            .collect();
        threads
            .into_iter()
            .try_fold(Counts::default(), |sum, thread| {
                Ok::<_, Failure>(sum + thread.join().map_err(|_| "a thread panicked")??)
            })
    })?;
    counts.print(chunks.into_inner(), start.elapsed().as_secs_f64());
    Ok(())
}

/// The file in parts of about the same size, cut at the ends of lines.
fn parts(path: &Path, parts: u8) -> Result<Vec<Range<u64>>> {
    let mut file = BufReader::new(open(path)?);
    let length = file.seek(SeekFrom::End(0))?;
    let mut cuts = vec![0];
    for part in 1..u64::from(parts) {
        let middle = file.seek(SeekFrom::Start(length * part / u64::from(parts)))?;
        cuts.push(middle + file.skip_until(b'\n')? as u64);
    }
    cuts.push(length);
    Ok(cuts.windows(2).map(|cuts| cuts[0]..cuts[1]).collect())
}

fn open(path: &Path) -> Result<File> {
    File::open(path).map_err(|error| format!("{}: {error}", path.display()).into())
}

/// Converts a part of the file. Chunks are numbered over all parts.
fn convert(options: &Options, part: Range<u64>, chunks: &AtomicU64) -> Result<Counts> {
    let (mut source, mut output) = plan(options, part, chunks)?;
    while let Some(batch) = source.next_batch()? {
        output.take(&batch)?;
    }
    output.finish()?;
    let mut counts = output.counts;
    counts.passed_over = source.passed_over;
    counts.times = source.watch.times() + output.watch.times();
    Ok(counts)
}

/// What came of a part of the file.
#[derive(Debug, Default)]
struct Counts {
    records: u64,
    bytes: u64,
    rejected: u64,
    merged: usize,
    passed_over: u64,
    times: Times,
}

impl Add for Counts {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            records: self.records + other.records,
            bytes: self.bytes + other.bytes,
            rejected: self.rejected + other.rejected,
            merged: self.merged + other.merged,
            passed_over: self.passed_over + other.passed_over,
            times: self.times + other.times,
        }
    }
}

impl Counts {
    fn print(&self, chunks: u64, seconds: f64) {
        let records = self.records;
        println!("records  {records:>13}");
        println!("chunks   {chunks:>13}");
        println!("bytes    {:>13}", self.bytes);
        println!("rejected {:>13}", self.rejected);
        println!("merged   {:>13}", self.merged);
        if self.passed_over > 0 {
            let lines = self.passed_over;
            println!("passed over {lines:>10} lines that are no records");
        }
        let per_second = records as f64 / seconds;
        println!("seconds  {seconds:>13.3}  {per_second:.0} records/s");
        println!("\nCPU        seconds  ns/record");
        for (name, cpu) in self.times.rows() {
            let per_record = cpu.as_nanos() as f64 / records.max(1) as f64;
            println!("{name:<8} {:>9.3} {per_record:>10.0}", cpu.as_secs_f64());
        }
    }
}

/// Reads catalog and describe, and plans both ends by them.
fn plan<'a>(
    options: &'a Options,
    part: Range<u64>,
    chunks: &'a AtomicU64,
) -> Result<(Source, Output<'a>)> {
    let catalog = read(&options.catalog)?;
    let catalog: Catalog = serde_json::from_slice(&catalog)?;
    let [configured] = catalog.streams.as_slice() else {
        return Err("the catalog must have one stream".into());
    };
    let operation = configured.operation()?;
    let stream = &configured.stream;
    let schema = StreamSchema::from_json_schema(
        &stream.name,
        stream.namespace.as_deref(),
        stream.json_schema.get(),
    )?;
    let object = ObjectSchema::from_describe(&read(&options.describe)?)?;
    let values = ValueOptions::default();
    let related = RelatedObjects::default();
    let coercion = Coercion::plan(schema.schema(), &object, &operation, &related, values)?;
    let output = Output {
        chunker: Chunker::new(coercion.cells_schema(), options.max_job_bytes, None)?,
        coercion,
        folder: &options.folder,
        chunks,
        counts: Counts::default(),
        watch: Watch::default(),
    };
    let mut file = open(&options.input)?;
    file.seek(SeekFrom::Start(part.start))?;
    let source = Source {
        file: file.take(part.end - part.start),
        block: vec![0; BLOCK_BYTES],
        lines: LineSplitter::default(),
        decoder: MessageDecoder::new(&[schema])?,
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
    file: Take<File>,
    block: Vec<u8>,
    lines: LineSplitter,
    decoder: MessageDecoder,
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
struct Output<'a> {
    coercion: Coercion,
    chunker: Chunker,
    folder: &'a Path,
    chunks: &'a AtomicU64,
    counts: Counts,
    watch: Watch,
}

impl Output<'_> {
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
        let pushed =
            self.chunker
                .push(&cells.batch, RowOrdinals::From(self.counts.records), skip)?;
        self.watch.lap(Step::Sizes);
        self.counts.records += rows as u64;
        self.counts.rejected += (cells.rejects.len() + pushed.oversized.len()) as u64;
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
            let merged = chunk.by_key(key)?.merge(&KeySet::default())?;
            self.counts.merged += merged.merged.len();
            chunk = merged.chunk;
            self.watch.lap(Step::Merge);
        }
        if chunk.rows() == 0 {
            return Ok(());
        }
        let number = self.chunks.fetch_add(1, Ordering::Relaxed) + 1;
        let path = self.folder.join(format!("{number:05}.csv"));
        let mut file = File::create(path)?;
        self.watch.lap(Step::Write);
        for piece in chunk.csv() {
            let piece = piece?;
            self.watch.lap(Step::Csv);
            file.write_all(&piece)?;
            self.watch.lap(Step::Write);
            self.counts.bytes += piece.len() as u64;
        }
        self.watch.lap(Step::Csv);
        Ok(())
    }
}
