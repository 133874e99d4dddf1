//! The records of a file, as batches of text.

use std::sync::Arc;

use arrow_salesforce::arrow::array::{ArrayRef, RecordBatch, StringBuilder};
use arrow_salesforce::arrow::datatypes::SchemaRef;
use encoding_rs::UTF_8;
use futures::stream::BoxStream;
use futures::{StreamExt as _, stream};

use super::encoding::Decoder;
use super::layout::Layout;
use super::records::Record;
use super::scan::{Kind, Rows, is_wrapped};
use crate::input::{ByteStream, InputError, InputFile};

/// Most records of a batch.
const MOST_ROWS: usize = 8_192;
/// Bytes of records after which a batch is full.
const FULL_BYTES: usize = 4 << 20;

/// Batches of `schema`, whose columns are those of the layout, the text of a record that cannot be
/// read, and why.
pub(super) fn batches(
    file: &dyn InputFile,
    layout: Arc<Layout>,
    schema: SchemaRef,
) -> BoxStream<'static, Result<RecordBatch, InputError>> {
    let reader = Reader {
        name: file.name().to_owned(),
        bytes: file.bytes(),
        decoder: Decoder::new(Some(layout.encoding)),
        rows: Rows::new(layout.delimiter, layout.ends),
        batch: Batch::new(schema),
        text: Vec::new(),
        at: 0,
        ended: false,
        layout,
    };
    stream::try_unfold(reader, |mut reader| async {
        let batch = reader.next().await?;
        Ok(batch.map(|batch| (batch, reader)))
    })
    .boxed()
}

struct Reader {
    name: String,
    bytes: ByteStream,
    decoder: Decoder,
    rows: Rows,
    layout: Arc<Layout>,
    batch: Batch,
    /// A chunk as UTF-8, and how much of it is read.
    text: Vec<u8>,
    at: usize,
    ended: bool,
}

impl Reader {
    async fn next(&mut self) -> Result<Option<RecordBatch>, InputError> {
        loop {
            self.read_text()?;
            if self.batch.is_full() || self.ended {
                return self.batch.finish(&self.name);
            }
            self.text.clear();
            self.at = 0;
            match self.bytes.next().await {
                Some(chunk) => self.decoder.decode(&chunk?, false, &mut self.text),
                None => {
                    self.decoder.decode(&[], true, &mut self.text);
                    self.ended = true;
                    self.read_text()?;
                    if let Some(kind) = self.rows.finish() {
                        self.take(kind);
                    }
                    return self.batch.finish(&self.name);
                }
            }
        }
    }

    /// Reads records until the batch is full or the text ends.
    fn read_text(&mut self) -> Result<(), InputError> {
        while self.at < self.text.len() && !self.batch.is_full() {
            let (taken, kind) =
                self.rows
                    .feed(&self.text[self.at..])
                    .map_err(|endless| InputError::Content {
                        name: self.name.clone(),
                        problem: endless.to_string(),
                    })?;
            self.at += taken;
            if let Some(kind) = kind {
                self.take(kind);
            }
        }
        Ok(())
    }

    fn take(&mut self, kind: Kind) {
        if let Kind::Data(number) = kind {
            let record = self.rows.record();
            match self.layout.values(record, number) {
                Ok(values) => self.batch.push(record, values),
                Err(reason) => self.batch.reject(record, &reason),
            }
        }
    }
}

impl Layout {
    /// The values of a record in the order of the columns, or why it cannot be read.
    fn values<'a>(
        &'a self,
        record: &'a Record,
        number: u64,
    ) -> Result<impl Iterator<Item = &'a str>, String> {
        if let Some(fault) = record.fault() {
            return Err(fault.to_string());
        }
        let (least, most) = self.widths;
        if !(least..=most).contains(&record.width()) {
            let (width, header) = (record.width(), least.min(self.header));
            let values = if width == 1 { "value" } else { "values" };
            return Err(format!(
                "{width} {values}, and the header has {header} columns"
            ));
        }
        if self.totals == Some(number) {
            return Err("a row of totals at the end of the file, not a record".to_owned());
        }
        if record.has_nul() {
            return Err("a NUL character, which no text has".to_owned());
        }
        let text = record.as_text();
        let replaced = self.malformed && self.encoding != UTF_8;
        let text = text.filter(|text| !replaced || !text.contains('\u{FFFD}'));
        let Some(text) = text else {
            return Err(format!("bytes that are not {}", self.encoding.name()));
        };
        Ok(self.columns.iter().map(move |place| {
            let value = &text[record.range(place.index)];
            let formula = value.trim();
            match place.wrapped && is_wrapped(formula.as_bytes()) {
                true => &formula[2..formula.len() - 1],
                false => value,
            }
        }))
    }
}

/// Rows on their way into a batch.
struct Batch {
    schema: SchemaRef,
    columns: Vec<StringBuilder>,
    raw: StringBuilder,
    raw_error: StringBuilder,
    rows: usize,
    bytes: usize,
}

impl Batch {
    fn new(schema: SchemaRef) -> Self {
        let columns = schema.fields().len().saturating_sub(2);
        Self {
            schema,
            columns: (0..columns).map(|_| StringBuilder::new()).collect(),
            raw: StringBuilder::new(),
            raw_error: StringBuilder::new(),
            rows: 0,
            bytes: 0,
        }
    }

    fn is_full(&self) -> bool {
        self.rows >= MOST_ROWS || self.bytes >= FULL_BYTES
    }

    fn push<'a>(&mut self, record: &Record, values: impl Iterator<Item = &'a str>) {
        for (column, value) in self.columns.iter_mut().zip(values) {
            // An empty value is none, quoted or not.
            column.append_option((!value.is_empty()).then_some(value));
        }
        self.raw.append_null();
        self.raw_error.append_null();
        self.count(record);
    }

    fn reject(&mut self, record: &Record, reason: &str) {
        for column in &mut self.columns {
            column.append_null();
        }
        self.raw
            .append_value(String::from_utf8_lossy(record.text()));
        self.raw_error.append_value(reason);
        self.count(record);
    }

    fn count(&mut self, record: &Record) {
        self.rows += 1;
        self.bytes += record.text().len();
    }

    /// The batch, if it has rows.
    fn finish(&mut self, name: &str) -> Result<Option<RecordBatch>, InputError> {
        if self.rows == 0 {
            return Ok(None);
        }
        (self.rows, self.bytes) = (0, 0);
        let columns = self
            .columns
            .iter_mut()
            .chain([&mut self.raw, &mut self.raw_error]);
        let columns = columns.map(|column| Arc::new(column.finish()) as ArrayRef);
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), columns.collect());
        batch.map(Some).map_err(|source| InputError::Batch {
            name: name.to_owned(),
            source,
        })
    }
}
