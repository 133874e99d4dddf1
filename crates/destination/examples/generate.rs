//! Generated Airbyte input: messages on stdout, or what goes with them; or, for tools that take
//! files, the messages, the catalog and the describe answer of each stream in a folder.
//!
//! ```sh
//! cargo run --release --example generate -- --rows 1000000 --states-every 100000 > messages.jsonl
//! cargo run --release --example generate -- --catalog > catalog.json
//! cargo run --release --example generate -- --config http://127.0.0.1:8080 > config.json
//! cargo run --release --example generate -- --stream contacts,narrow,wide --folder records
//! ```

#[path = "shared/describe.rs"]
mod describe;
#[path = "shared/records.rs"]
mod records;

use std::fs::{self, File};
use std::io::{self, BufRead, BufWriter, Write};
use std::path::{Path, PathBuf};

use clap::Parser;
use records::{Messages, Shape, Stream};
use serde_json::json;

/// Makes Airbyte input: RECORD, STATE and STREAM_STATUS messages.
#[derive(Debug, Parser)]
struct Options {
    /// Streams, interleaved: contacts, accounts, narrow, wide.
    #[arg(long = "stream", default_value = "contacts", value_delimiter = ',')]
    streams: Vec<Shape>,
    /// Records of each stream.
    #[arg(long, default_value_t = 1_000_000)]
    rows: u64,
    /// Record to begin at.
    #[arg(long, default_value_t = 0)]
    first: u64,
    /// The same seed makes the same records.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Share of records with a value that cannot be written.
    #[arg(long, default_value_t = 0.0)]
    bad: f64,
    /// Share of records that Salesforce refuses.
    #[arg(long, default_value_t = 0.0)]
    refused: f64,
    /// Share of lines that are no JSON.
    #[arg(long, default_value_t = 0.0)]
    garbled: f64,
    /// Records between two states; 0 for none.
    #[arg(long, default_value_t = 100_000)]
    states_every: u64,
    /// Print the configured catalog instead.
    #[arg(long)]
    catalog: bool,
    /// Print how many records must come to which end instead.
    #[arg(long)]
    expected: bool,
    /// Print a config for the simulator at this URL instead.
    #[arg(long, value_name = "URL")]
    config: Option<String>,
    /// Write the files <stream>.jsonl, <stream>.catalog.json and <stream>.describe.json of each
    /// stream here instead.
    #[arg(long, value_name = "FOLDER")]
    folder: Option<PathBuf>,
}

fn main() -> io::Result<()> {
    let options = Options::parse();
    let stream = |&shape: &Shape| Stream {
        first: options.first.min(options.rows),
        seed: options.seed,
        invalid: options.bad,
        refused: options.refused,
        garbled: options.garbled,
        states_every: options.states_every,
        ..Stream::new(shape, options.rows)
    };
    let streams: Vec<Stream> = options.streams.iter().map(stream).collect();
    let mut stdout = io::stdout().lock();
    if options.catalog {
        return writeln!(stdout, "{:#}", records::catalog(&streams));
    }
    if options.expected {
        return writeln!(stdout, "{:?}", records::expected(&streams));
    }
    if let Some(url) = &options.config {
        return writeln!(stdout, "{:#}", records::config(url, &json!({})));
    }
    if let Some(folder) = &options.folder {
        return streams
            .iter()
            .try_for_each(|stream| write_files(stream, folder));
    }
    write_messages(streams, &mut stdout)
}

fn write_files(stream: &Stream, folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let file = |kind: &str| folder.join(format!("{}.{kind}", stream.shape));
    let catalog = records::catalog(std::slice::from_ref(stream));
    fs::write(file("catalog.json"), format!("{catalog:#}\n"))?;
    let describe = describe::describe(stream.shape)?;
    fs::write(file("describe.json"), format!("{describe:#}\n"))?;
    let mut lines = BufWriter::new(File::create(file("jsonl"))?);
    write_messages(vec![stream.clone()], &mut lines)?;
    lines.flush()
}

fn write_messages(streams: Vec<Stream>, out: &mut impl Write) -> io::Result<()> {
    let mut messages = Messages::new(streams);
    loop {
        let block = messages.fill_buf()?;
        if block.is_empty() {
            return Ok(());
        }
        let length = block.len();
        out.write_all(block)?;
        messages.consume(length);
    }
}
