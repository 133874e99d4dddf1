//! CSV as people have it: each file is read whole, for its encoding, delimiter, columns and line ends,
//! and then as text. A record that cannot be read is a row with its text and the reason.

mod choose;
mod encoding;
mod layout;
mod reader;
mod records;
mod scan;
#[cfg(test)]
mod tests;
mod words;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use arrow_salesforce::arrow::array::RecordBatch;
use arrow_salesforce::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow_salesforce::source::{RAW, RAW_ERROR};
use encoding_rs::Encoding;
use futures::StreamExt as _;
use futures::stream::BoxStream;

use self::choose::{choose, choose_ends, without_cr};
use self::encoding::{Decoder, Verdict};
use self::layout::Layout;
use self::records::Ends;
use self::scan::Scan;
use self::words::count;
use super::{FileRecords, InputError, InputFile};
use crate::spec::ReadSpec;

/// What may stand between columns where nothing is said.
const DELIMITERS: [u8; 4] = [b',', b';', b'\t', b'|'];

/// Most sentences about single files.
const MOST_NOTES: usize = 20;

/// The records of CSV files with the same columns, in any order.
#[derive(Debug)]
pub(crate) struct CsvRecords {
    schema: SchemaRef,
    /// By the name of the file.
    layouts: HashMap<String, Arc<Layout>>,
    found: Vec<String>,
    rows: u64,
}

impl CsvRecords {
    /// Reads all files, whole.
    ///
    /// # Errors
    /// If a file cannot be read, or can be read in two ways that differ, or if its columns are not
    /// those of the others.
    pub(crate) async fn survey(
        files: &[Arc<dyn InputFile>],
        read: &ReadSpec,
    ) -> Result<Self, InputError> {
        let asked = Asked::of(read)?;
        let mut found = Vec::new();
        let mut kinds = Kinds::default();
        let mut rows = 0;
        let mut layouts = HashMap::new();
        let mut first: Option<(String, Vec<String>)> = None;
        for file in files {
            let mut layout = asked.survey(file.as_ref()).await?;
            let names = layout.columns.iter().map(|place| place.name.clone());
            let names: Vec<String> = names.collect();
            let (first_file, columns) =
                first.get_or_insert_with(|| (file.name().to_owned(), names.clone()));
            same_columns(file.name(), &names, first_file, columns)?;
            let order = |name: &String| columns.iter().position(|column| column == name);
            layout.columns.sort_by_key(|place| order(&place.name));
            rows += layout.records;
            kinds.add(file.name(), &layout);
            found.append(&mut layout.found);
            layouts.insert(file.name().to_owned(), Arc::new(layout));
        }
        let more = found.len().saturating_sub(MOST_NOTES);
        if more > 0 {
            found.truncate(MOST_NOTES);
            found.push(format!(
                "and {} about other files",
                count(more as u64, "note")
            ));
        }
        let (_, columns) = first.unwrap_or_default();
        let fields = columns.iter().map(String::as_str).chain([RAW, RAW_ERROR]);
        let fields: Vec<Field> = fields
            .map(|name| Field::new(name, DataType::Utf8, true))
            .collect();
        Ok(Self {
            schema: Arc::new(Schema::new(fields)),
            layouts,
            found: kinds.sentences().chain(found).collect(),
            rows,
        })
    }

    /// What was found, as sentences.
    pub(crate) fn found(&self) -> &[String] {
        &self.found
    }

    /// Whether there may be records that are rejected, since they cannot be read.
    pub(crate) fn rejects(&self) -> bool {
        self.layouts.values().any(|layout| layout.rejects)
    }

    /// Records of all files.
    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }
}

impl FileRecords for CsvRecords {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn batches(&self, file: &dyn InputFile) -> BoxStream<'static, Result<RecordBatch, InputError>> {
        match self.layouts.get(file.name()) {
            Some(layout) => reader::batches(file, Arc::clone(layout), self.schema()),
            None => {
                let error = InputError::Read {
                    name: file.name().to_owned(),
                    reason: "it was not there when the load began".to_owned(),
                };
                futures::stream::once(async { Err(error) }).boxed()
            }
        }
    }
}

/// Files by what they are.
#[derive(Default)]
struct Kinds(Vec<Alike>);

struct Alike {
    kind: String,
    first: String,
    others: usize,
    records: u64,
}

impl Kinds {
    fn add(&mut self, name: &str, layout: &Layout) {
        match self.0.iter_mut().find(|alike| alike.kind == layout.kind) {
            Some(alike) => {
                alike.others += 1;
                alike.records += layout.records;
            }
            None => self.0.push(Alike {
                kind: layout.kind.clone(),
                first: name.to_owned(),
                others: 0,
                records: layout.records,
            }),
        }
    }

    fn sentences(self) -> impl Iterator<Item = String> {
        self.0.into_iter().map(|alike| {
            let others = match alike.others {
                0 => String::new(),
                1 => " and 1 other".to_owned(),
                others => format!(" and {others} others"),
            };
            let records = count(alike.records, "record");
            format!("{}{others}: {}, {records}", alike.first, alike.kind)
        })
    }
}

/// What the user said about CSV files.
struct Asked {
    /// Some: none or one byte.
    delimiter: Option<u8>,
    encoding: Option<&'static Encoding>,
}

impl Asked {
    fn of(read: &ReadSpec) -> Result<Self, InputError> {
        let delimiter = read.delimiter.as_deref().map(delimiter).transpose()?;
        let encoding = read.encoding.as_deref().map(|label| {
            Encoding::for_label(label.as_bytes()).ok_or_else(|| {
                InputError::Usage(format!(
                    "--encoding {label} names no encoding; use a name such as utf-8, latin1, \
                     windows-1250, utf-16le or shift_jis"
                ))
            })
        });
        Ok(Self {
            delimiter,
            encoding: encoding.transpose()?,
        })
    }

    async fn survey(&self, file: &dyn InputFile) -> Result<Layout, InputError> {
        let (decoder, scans) = self.scan(file, Ends::Any).await?;
        let verdict = match scans.iter().any(Scan::is_binary) {
            true => Verdict::Binary,
            false => decoder.verdict(),
        };
        let asked = self.delimiter.is_some();
        let mixed = scans.iter().any(Scan::is_mixed);
        let mut scan = choose(scans, asked);
        let is_clear = |scan: &Result<Scan, _>| scan.as_ref().is_ok_and(|scan| !scan.is_mixed());
        if mixed && !is_clear(&scan) {
            let (_, scans) = self.scan(file, Ends::Lf).await?;
            scan = without_cr(choose(scans, asked));
            if !is_clear(&scan) {
                let (_, scans) = self.scan(file, Ends::CrLf).await?;
                scan = choose_ends(scan, scans, asked);
            }
        }
        Layout::new(file.name(), verdict, decoder.malformed(), scan)
    }

    /// Reads the whole file in each way that its header allows.
    async fn scan(
        &self,
        file: &dyn InputFile,
        ends: Ends,
    ) -> Result<(Decoder, Vec<Scan>), InputError> {
        let mut decoder = Decoder::new(self.encoding);
        let mut scans = Scans::new(self.delimiter, ends);
        let mut text = Vec::new();
        let mut bytes = file.bytes();
        while let Some(chunk) = bytes.next().await {
            text.clear();
            decoder.decode(&chunk?, false, &mut text);
            scans.add(file.name(), &text)?;
        }
        text.clear();
        decoder.decode(&[], true, &mut text);
        scans.add(file.name(), &text)?;
        Ok((decoder, scans.finish()))
    }
}

fn delimiter(text: &str) -> Result<u8, InputError> {
    match text.as_bytes() {
        b"tab" | b"\\t" => Ok(b'\t'),
        [byte] if byte.is_ascii() && !matches!(byte, b'"' | b'\r' | b'\n') => Ok(*byte),
        _ => Err(InputError::Usage(format!(
            "--delimiter {text} is neither one character of ASCII nor the word tab"
        ))),
    }
}

/// The readings of one file that are still possible.
struct Scans {
    scans: Vec<Scan>,
    /// All have their header.
    settled: bool,
}

impl Scans {
    fn new(delimiter: Option<u8>, ends: Ends) -> Self {
        let scans = match delimiter {
            Some(delimiter) => vec![Scan::new(Some(delimiter), ends)],
            None => {
                let all = DELIMITERS.into_iter().map(Some).chain([None]);
                all.map(|delimiter| Scan::new(delimiter, ends)).collect()
            }
        };
        Self {
            scans,
            settled: false,
        }
    }

    fn add(&mut self, name: &str, text: &[u8]) -> Result<(), InputError> {
        let mut endless = None;
        self.scans.retain_mut(|scan| {
            let added = scan.add(text);
            endless = added.err().or(endless);
            added.is_ok()
        });
        if let (true, Some(endless)) = (self.scans.is_empty(), endless) {
            return Err(InputError::Content {
                name: name.to_owned(),
                problem: endless.to_string(),
            });
        }
        self.drop_idle();
        Ok(())
    }

    /// A delimiter that the header does not have is none, where another is.
    fn drop_idle(&mut self) {
        if self.settled || self.scans.iter().any(|scan| scan.header.is_empty()) {
            return;
        }
        self.settled = true;
        if self.scans.iter().any(|scan| scan.header.len() > 1) {
            self.scans
                .retain(|scan| scan.header.len() > 1 || scan.stated.is_some());
        }
    }

    fn finish(mut self) -> Vec<Scan> {
        for scan in &mut self.scans {
            scan.finish();
        }
        self.scans
    }
}

fn same_columns(
    file: &str,
    names: &[String],
    first_file: &str,
    first: &[String],
) -> Result<(), InputError> {
    let (here, there): (BTreeSet<_>, BTreeSet<_>) =
        (names.iter().collect(), first.iter().collect());
    let list = |names: Vec<&&String>| {
        let names: Vec<&str> = names.into_iter().map(|name| name.as_str()).collect();
        names.join(", ")
    };
    let missing = list(there.difference(&here).collect());
    let more = list(here.difference(&there).collect());
    let problem = match (missing.is_empty(), more.is_empty()) {
        (true, true) => return Ok(()),
        (false, true) => format!("it has no column {missing}, and {first_file} has"),
        (true, false) => format!("it has the column {more}, and {first_file} has not"),
        (false, false) => {
            format!("it has the column {more} and not {missing}, unlike {first_file}")
        }
    };
    Err(InputError::Content {
        name: file.to_owned(),
        problem: format!("{problem}; load the files one by one, or join them with --sql"),
    })
}
