//! JSON lines -> batches of texts with the exact digits, of the fields of all records.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_salesforce::arrow::array::RecordBatch;
use arrow_salesforce::arrow::datatypes::SchemaRef;
use arrow_salesforce::arrow::error::ArrowError;
use arrow_salesforce::source::{CHANGES, DeclaredType, EMITTED_AT};
use arrow_salesforce_decode::{
    Cursor, MAX_RECORD_BYTES, RowDecoder, SourceSchema, Undecodable, Value,
};
use futures::{StreamExt as _, TryStreamExt as _, stream};

use super::InputError;
use super::file::{BatchStream, ByteStream, FileRecords, InputFile};
use super::lines::{Line, Lines};
use super::stored::StoredFile;

/// More fields no object has by far.
const MOST_FIELDS: usize = 10_000;

/// The records of files, with the fields of all.
#[derive(Debug)]
pub(crate) struct JsonRecords {
    source: SourceSchema,
    schema: SchemaRef,
    /// Which columns of the decoder those are.
    kept: Arc<[usize]>,
    /// Records, and lines that are none.
    rows: u64,
    /// Files that have lines that are no records, and how many.
    found: Vec<(String, u64)>,
}

impl JsonRecords {
    /// Reads all files for their fields.
    ///
    /// # Errors
    /// [`InputError`] if a file cannot be read, or is not JSON lines at all.
    pub(crate) async fn survey(files: &[Arc<StoredFile>]) -> Result<Self, InputError> {
        let mut fields = Fields::default();
        let mut found = Vec::new();
        for file in files {
            refuse_other(file)?;
            let before = (fields.records, fields.unreadable);
            fields = fields.read(file.bytes()).await?;
            if fields.columns.len() > MOST_FIELDS {
                return Err(wrong(
                    file.name(),
                    "its records have more than 10,000 different fields: values stand where names \
                     should",
                ));
            }
            let unreadable = fields.unreadable - before.1;
            if unreadable > 0 {
                found.push((file.name().to_owned(), unreadable));
            }
            if fields.records == before.0 && unreadable > 0 {
                return Err(wrong(
                    file.name(),
                    "no line of it is a JSON object: JSON lines have one in each line; write it \
                     so, or name its format by --format",
                ));
            }
        }
        let name = files.first().map_or("", |file| file.name());
        let columns = fields.columns.iter();
        let columns = columns.map(|column| (column.name.as_str(), column.kinds.declared()));
        // A field that a record lacks is not one that it has with null.
        let source = SourceSchema::new(columns)
            .map_err(|_| wrong(name, "there is no record with a field in it"))?
            .with_explicit_nulls();
        let of_decoder = source.arrow();
        let names = of_decoder
            .fields()
            .iter()
            .map(|field| field.name().as_str());
        let kept = names
            .enumerate()
            .filter(|(_, name)| ![EMITTED_AT, CHANGES].contains(name));
        let kept: Vec<usize> = kept.map(|(at, _)| at).collect();
        let schema = of_decoder
            .project(&kept)
            .map_err(|source| InputError::Batch {
                name: name.to_owned(),
                source,
            })?;
        Ok(Self {
            schema: Arc::new(schema),
            source,
            kept: kept.into(),
            rows: fields.records + fields.unreadable,
            found,
        })
    }

    /// Records of all files, and lines that are none.
    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    /// Lines that are no records.
    pub(crate) fn unreadable(&self) -> u64 {
        self.found.iter().map(|(_, lines)| lines).sum()
    }

    /// What was found, as sentences.
    pub(crate) fn found(&self) -> impl Iterator<Item = String> {
        self.found.iter().map(|(name, lines)| match lines {
            1 => format!("{name}: 1 line is no JSON object; it is rejected"),
            lines => format!("{name}: {lines} lines are no JSON objects; they are rejected"),
        })
    }
}

fn wrong(name: &str, problem: &str) -> InputError {
    InputError::Content {
        name: name.to_owned(),
        problem: problem.to_owned(),
    }
}

/// Refuses what is JSON, but has no lines.
fn refuse_other(file: &StoredFile) -> Result<(), InputError> {
    match file.head.as_slice() {
        [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..] => Err(wrong(
            file.name(),
            "it is UTF-16, and JSON is UTF-8: convert it by iconv -f UTF-16 -t UTF-8",
        )),
        head if head.trim_ascii_start().starts_with(b"[") => Err(wrong(
            file.name(),
            "it is one JSON array, not JSON lines: write a line for each record, as jq -c '.[]' does",
        )),
        _ => Ok(()),
    }
}

impl FileRecords for JsonRecords {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn batches(&self, file: &dyn InputFile) -> BatchStream {
        let reading = Reading {
            bytes: file.bytes(),
            lines: Lines::default(),
            decoder: RowDecoder::new(&self.source),
            ended: false,
        };
        let (kept, name) = (Arc::clone(&self.kept), file.name().to_owned());
        let batches = stream::try_unfold(reading, |mut reading| async move {
            let batch = reading.next().await?;
            Ok::<_, InputError>(batch.map(|batch| (batch, reading)))
        });
        batches
            .map(move |batch| {
                let project = |source: ArrowError| InputError::Batch {
                    name: name.clone(),
                    source,
                };
                batch?.project(&kept).map_err(project)
            })
            .boxed()
    }
}

/// A file while it is read.
struct Reading {
    bytes: ByteStream,
    lines: Lines,
    decoder: RowDecoder,
    ended: bool,
}

impl Reading {
    async fn next(&mut self) -> Result<Option<RecordBatch>, InputError> {
        loop {
            while let Some(line) = self.lines.next() {
                decode(line, &mut self.decoder);
                if self.decoder.is_full() {
                    return Ok(self.decoder.flush());
                }
            }
            if self.ended {
                return Ok(self.decoder.flush());
            }
            match self.bytes.try_next().await? {
                Some(block) => self.lines.push(&block),
                None => {
                    self.ended = true;
                    if let Some(line) = self.lines.finish() {
                        decode(line, &mut self.decoder);
                    }
                }
            }
        }
    }
}

fn decode(line: Line<'_>, decoder: &mut RowDecoder) {
    match line {
        Line::Whole(line) => decoder.line(line),
        Line::Cut(beginning, length) => {
            let problem = Undecodable::cut(beginning.len(), length);
            decoder.push_undecodable(beginning, &problem);
        }
    }
}

/// The fields of all records so far.
#[derive(Default)]
struct Fields {
    columns: Vec<Column>,
    by_name: HashMap<String, usize>,
    records: u64,
    unreadable: u64,
}

struct Column {
    name: String,
    kinds: Kinds,
}

/// Kinds of the values of a field, a bit each.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Kinds(u8);

impl Kinds {
    const TEXT: Self = Self(1);
    const WHOLE: Self = Self(2);
    const NUMBER: Self = Self(4);
    const BOOLEAN: Self = Self(8);
    const OBJECT: Self = Self(16);
    const ARRAY: Self = Self(32);

    fn of(value: Value<'_>) -> Self {
        match value {
            Value::Null => Self::default(),
            Value::Text(_) | Value::Escaped(_) => Self::TEXT,
            Value::Word("true" | "false") => Self::BOOLEAN,
            Value::Word(digits) if digits.contains(['.', 'e', 'E']) => Self::NUMBER,
            Value::Word(_) => Self::WHOLE,
            Value::Nested(text) if text.starts_with('{') => Self::OBJECT,
            Value::Nested(_) => Self::ARRAY,
        }
    }

    fn declared(self) -> DeclaredType {
        match self {
            Self(0) => DeclaredType::Unknown,
            Self::TEXT => DeclaredType::String,
            Self::WHOLE => DeclaredType::Integer,
            Self::NUMBER | Self(6) => DeclaredType::Number,
            Self::BOOLEAN => DeclaredType::Boolean,
            Self::OBJECT => DeclaredType::Object,
            Self::ARRAY => DeclaredType::Array,
            _ => DeclaredType::Union,
        }
    }
}

impl Fields {
    async fn read(mut self, mut bytes: ByteStream) -> Result<Self, InputError> {
        let mut lines = Lines::default();
        let mut found = Vec::new();
        while let Some(block) = bytes.try_next().await? {
            lines.push(&block);
            while let Some(line) = lines.next() {
                self.line(line, &mut found);
            }
            if self.columns.len() > MOST_FIELDS {
                break;
            }
        }
        if let Some(line) = lines.finish() {
            self.line(line, &mut found);
        }
        Ok(self)
    }

    fn line(&mut self, line: Line<'_>, found: &mut Vec<(Known, Kinds)>) {
        found.clear();
        match line {
            Line::Whole(line) if line.iter().all(u8::is_ascii_whitespace) => {}
            Line::Whole(line)
                if line.len() <= MAX_RECORD_BYTES && self.record(line, found).is_ok() =>
            {
                self.add(found);
            }
            _ => self.unreadable += 1,
        }
    }

    /// Finds the fields of a record; those that are new by their name.
    fn record(&self, line: &[u8], found: &mut Vec<(Known, Kinds)>) -> Result<(), Undecodable> {
        let mut cursor = Cursor::of_line(line)?;
        let mut more = cursor.open()?;
        while more {
            let key = cursor.key()?.text();
            let key = key.ok_or_else(|| Undecodable::new("a key stands for no text"))?;
            let known = self.find(&key, found.len());
            let known = known.map_or_else(|| Known::Not(key.into_owned()), Known::At);
            found.push((known, Kinds::of(cursor.value()?)));
            more = cursor.next_entry()?;
        }
        Ok(cursor.end()?)
    }

    /// The column of a key, which most often is the one at the place of the key.
    fn find(&self, key: &str, place: usize) -> Option<usize> {
        match self.columns.get(place) {
            Some(column) if column.name == key => Some(place),
            _ => self.by_name.get(key).copied(),
        }
    }

    fn add(&mut self, found: &mut Vec<(Known, Kinds)>) {
        self.records += 1;
        for (known, kinds) in found.drain(..) {
            let at = match known {
                Known::At(at) => at,
                Known::Not(name) => *self.by_name.entry(name).or_insert_with_key(|name| {
                    self.columns.push(Column {
                        name: name.clone(),
                        kinds: Kinds::default(),
                    });
                    self.columns.len() - 1
                }),
            };
            if let Some(column) = self.columns.get_mut(at) {
                column.kinds.0 |= kinds.0;
            }
        }
    }
}

/// Whether a key is a column by now.
enum Known {
    At(usize),
    Not(String),
}
