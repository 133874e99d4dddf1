//! One line of text -> the cells of a record, or the kind of another message.
//!
//! The line is read once: where stream and namespace come before the data, as they nearly always
//! do, the data's values go straight to their columns. Nothing is kept of a line that turns out to
//! be broken, since the caller takes the cells only when all of the line has been proved.

use std::borrow::Cow;
use std::ops::Range;

use arrow_salesforce_decode::{Cells, Cursor, RowDecoder, Syntax, Undecodable, Value};

use super::MessageType;
use super::frame::{Frames, Places};
use super::meta;
use super::streams::Streams;

const NO_OBJECT: &str = "the record's data is not an object";

/// What a line is. The cells of a record are in the `cells` that were given to [`parse`].
#[derive(Debug, PartialEq)]
pub(super) enum Parsed {
    Record(Record),
    UnknownStream {
        name: String,
        namespace: Option<String>,
    },
    Message(MessageType),
}

/// What a record carries besides its cells.
#[derive(Debug, PartialEq)]
pub(super) struct Record {
    pub(super) stream: usize,
    /// Milliseconds since 1970.
    pub(super) emitted_at: Option<i64>,
    /// `meta.changes` as compact JSON, if there are any.
    pub(super) changes: Option<String>,
}

/// Reads one line; a record leaves its cells in `cells`, for `rows` of its stream.
pub(super) fn parse<'a>(
    line: &'a [u8],
    streams: &mut Streams,
    frames: &mut Frames,
    rows: &mut [RowDecoder],
    cells: &mut Cells<'a>,
) -> Result<Parsed, Undecodable> {
    let cursor = Cursor::of_line(line)?;
    if let Some(record) = frames.read(&cursor, rows, cells) {
        return Ok(Parsed::Record(record));
    }
    let mut reader = Reader {
        cursor,
        streams,
        rows,
        cells,
    };
    let message = reader.message()?;
    reader.cursor.end()?;
    let parsed = reader.resolve(&message)?;
    if let (Parsed::Record(record), Some(places)) = (&parsed, message.places()) {
        frames.remember(reader.cursor.line(), record, &places);
    }
    Ok(parsed)
}

/// Where a line is read, and where the cells go.
struct Reader<'r, 'a> {
    cursor: Cursor<'a>,
    streams: &'r mut Streams,
    rows: &'r mut [RowDecoder],
    cells: &'r mut Cells<'a>,
}

#[derive(Default)]
struct Message<'a> {
    kind: Option<Value<'a>>,
    record: Option<RecordParts<'a>>,
    /// A state of the oldest form has one of these and no type.
    state: bool,
}

#[derive(Default)]
struct RecordParts<'a> {
    stream: Option<Value<'a>>,
    namespace: Option<Value<'a>>,
    data: Option<Data<'a>>,
    emitted_at: Option<Value<'a>>,
    /// Where the value of `emitted_at` is.
    emitted_at_place: Range<usize>,
    meta: Option<Value<'a>>,
}

enum Data<'a> {
    /// The cells are those of `stream`; the object was here.
    Decoded { stream: usize, place: Range<usize> },
    /// Not read yet: the stream was not known.
    Raw(Value<'a>),
}

impl<'a> Reader<'_, 'a> {
    fn message(&mut self) -> Result<Message<'a>, Undecodable> {
        let mut message = Message::default();
        let mut more = self.cursor.open()?;
        while more {
            let key = self.cursor.key()?.text().ok_or(Syntax)?;
            match key.as_ref() {
                "type" => message.kind = Some(self.cursor.value()?),
                "record" => message.record = self.record()?,
                "data" | "global" | "global_" => {
                    self.cursor.skip_value()?;
                    message.state = true;
                }
                _ => self.cursor.skip_value()?,
            }
            more = self.cursor.next_entry()?;
        }
        Ok(message)
    }

    /// A record, or null.
    fn record(&mut self) -> Result<Option<RecordParts<'a>>, Undecodable> {
        if self.cursor.peek() == Some(b'n') {
            self.cursor.value()?;
            return Ok(None);
        }
        let mut parts = RecordParts::default();
        let mut more = self.cursor.open()?;
        while more {
            let key = self.cursor.key()?.text().ok_or(Syntax)?;
            match key.as_ref() {
                "stream" => parts.stream = Some(self.cursor.value()?),
                "namespace" => parts.namespace = Some(self.cursor.value()?),
                "emitted_at" => {
                    self.cursor.peek();
                    let start = self.cursor.position();
                    parts.emitted_at = Some(self.cursor.value()?);
                    parts.emitted_at_place = start..self.cursor.position();
                }
                "meta" => parts.meta = Some(self.cursor.value()?),
                "data" => parts.data = Some(self.data(&parts)?),
                _ => self.cursor.skip_value()?,
            }
            more = self.cursor.next_entry()?;
        }
        Ok(Some(parts))
    }

    fn data(&mut self, parts: &RecordParts<'a>) -> Result<Data<'a>, Undecodable> {
        let Some(stream) = parts.guess(self.streams) else {
            return Ok(Data::Raw(self.cursor.value()?));
        };
        if self.cursor.peek() != Some(b'{') {
            return Err(Undecodable::new(NO_OBJECT));
        }
        let start = self.cursor.position();
        self.rows[stream].read(&mut self.cursor, self.cells)?;
        let place = start..self.cursor.position();
        Ok(Data::Decoded { stream, place })
    }

    fn resolve(&mut self, message: &Message<'a>) -> Result<Parsed, Undecodable> {
        let kind = message.kind.and_then(Value::text);
        match kind.as_deref() {
            Some("RECORD") => {
                let record = message.record.as_ref();
                self.resolve_record(record.ok_or(Undecodable::new("a RECORD without a record"))?)
            }
            Some(kind) => Ok(Parsed::Message(MessageType::from_name(kind))),
            None if message.state => Ok(Parsed::Message(MessageType::State)),
            None => Err(Undecodable::new("the JSON is no message: it has no type")),
        }
    }

    fn resolve_record(&mut self, parts: &RecordParts<'a>) -> Result<Parsed, Undecodable> {
        let name = parts.stream.and_then(Value::text);
        let name = name.ok_or(Undecodable::new("a RECORD without a stream"))?;
        let namespace = parts.namespace.and_then(Value::text);
        let Some(stream) = self.streams.find(&name, namespace.as_deref()) else {
            return Ok(Parsed::UnknownStream {
                name: name.into_owned(),
                namespace: namespace.map(Cow::into_owned),
            });
        };
        match &parts.data {
            Some(Data::Decoded {
                stream: decoded, ..
            }) if *decoded == stream => {}
            Some(Data::Raw(Value::Nested(data))) if data.starts_with('{') => {
                self.rows[stream].read(&mut self.cursor.within(data), self.cells)?;
            }
            Some(Data::Decoded { .. }) => {
                return Err(Undecodable::new("the record names two streams"));
            }
            Some(Data::Raw(_)) | None => return Err(Undecodable::new(NO_OBJECT)),
        }
        let changes = match parts.meta {
            Some(Value::Nested(meta)) => meta::changes(meta)?,
            _ => None,
        };
        let emitted_at = match parts.emitted_at {
            Some(Value::Word(number)) => meta::milliseconds(number),
            _ => None,
        };
        Ok(Parsed::Record(Record {
            stream,
            emitted_at,
            changes,
        }))
    }
}

impl Message<'_> {
    /// Where the parts of its record are, if its data was read in its place.
    fn places(&self) -> Option<Places> {
        let record = self.record.as_ref()?;
        let Some(Data::Decoded { place, .. }) = &record.data else {
            return None;
        };
        let is_number = matches!(record.emitted_at, Some(Value::Word(_)));
        Some(Places {
            data: place.clone(),
            emitted_at: is_number.then(|| record.emitted_at_place.clone()),
        })
    }
}

impl RecordParts<'_> {
    /// The stream, as far as the keys up to here say.
    fn guess(&self, streams: &mut Streams) -> Option<usize> {
        let name = self.stream?.text()?;
        match self.namespace {
            Some(namespace) => streams.find(&name, namespace.text().as_deref()),
            None => streams.only(&name),
        }
    }
}
