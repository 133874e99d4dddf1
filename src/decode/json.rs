//! One line of text -> the cells of a record, or the kind of another message.
//!
//! The line is read once: where stream and namespace come before the data, as they nearly always
//! do, the data's values go straight to their columns. Nothing is kept of a line that turns out to
//! be broken, since the caller takes the cells only when all of the line has been proved.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use sonic_rs::LazyValue;

use super::MessageType;
use super::catalog::Catalog;
use super::data::DataSeed;
use super::value::{self, Cell};

/// Longest line in bytes that is read: batches have 32-bit offsets.
const MAX_LINE: usize = 512 << 20;

/// Deepest nesting of a line that the fast parser gets: it skips values by recursion, at some 40 KB
/// of stack a level in a build without optimization. The parser of deeper lines needs no stack.
const SHALLOW: usize = 24;

/// Why a line could not be decoded, free of the line's values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Undecodable {
    pub(super) reason: &'static str,
    /// The field of the record it is about, if one is.
    pub(super) field: Option<String>,
}

impl Undecodable {
    pub(super) fn new(reason: &'static str) -> Self {
        Self {
            reason,
            field: None,
        }
    }
}

impl fmt::Display for Undecodable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.field {
            Some(field) => write!(f, "field {field}: {}", self.reason),
            None => f.write_str(self.reason),
        }
    }
}

/// What a line is. The cells of a record are in the `cells` that were given to [`parse`].
#[derive(Debug, PartialEq)]
pub(super) enum Parsed<'a> {
    Record(Record<'a>),
    UnknownStream {
        name: String,
        namespace: Option<String>,
    },
    Message(MessageType),
}

/// What a record carries besides its cells.
#[derive(Debug, PartialEq)]
pub(super) struct Record<'a> {
    pub(super) stream: usize,
    /// Milliseconds since 1970.
    pub(super) emitted_at: Option<i64>,
    /// `meta.changes` as compact JSON, if there are any.
    pub(super) changes: Option<Cow<'a, str>>,
    /// The record has a key that its stream has no column for.
    pub(super) unknown_key: bool,
}

/// Reads one line; a record leaves one cell a column in `cells`.
pub(super) fn parse<'a>(
    line: &'a [u8],
    catalog: &mut Catalog,
    cells: &mut Vec<Cell<'a>>,
) -> Result<Parsed<'a>, Undecodable> {
    if line.len() > MAX_LINE {
        return Err(Undecodable::new("the line is longer than 512 MiB"));
    }
    let text = simdutf8::basic::from_utf8(line)
        .map_err(|_| Undecodable::new("the line is not valid UTF-8"))?;
    let line = Text {
        text,
        deep: is_deep(line),
    };
    let mut sink = Sink {
        catalog,
        cells,
        line,
        exact: line.deep,
        problem: None,
    };
    match attempt(&mut sink) {
        Err(_) if !sink.exact => {
            sink.exact = true;
            sink.problem = None;
            attempt(&mut sink)
        }
        answer => answer,
    }
}

fn attempt<'a>(sink: &mut Sink<'_, 'a>) -> Result<Parsed<'a>, Undecodable> {
    let message = sink.line.read(MessageSeed(sink));
    message.map_err(|Syntax| sink.undecodable())?.resolve(sink)
}

/// Text that is not JSON, or not what the seed expects.
struct Syntax;

/// A line, or a part of it, and which parser is to read it.
#[derive(Clone, Copy)]
pub(super) struct Text<'a> {
    text: &'a str,
    /// It is nested too deep for the fast parser.
    deep: bool,
}

impl<'a> Text<'a> {
    /// The one place that runs a parser: all of the text must be what `seed` reads.
    fn read<S: DeserializeSeed<'a>>(self, seed: S) -> Result<S::Value, Syntax> {
        if self.deep {
            let mut parser = serde_json::Deserializer::from_str(self.text);
            let value = seed.deserialize(&mut parser).map_err(|_| Syntax)?;
            parser.end().map_err(|_| Syntax)?;
            return Ok(value);
        }
        let mut parser = sonic_rs::Deserializer::from_str(self.text);
        let value = seed.deserialize(&mut parser).map_err(|_| Syntax)?;
        parser.end().map_err(|_| Syntax)?;
        Ok(value)
    }

    /// The next value as it stands: owned if it is a string with escapes, else a part of the text.
    #[inline]
    pub(super) fn raw<A: MapAccess<'a>>(self, map: &mut A) -> Result<Cow<'a, str>, A::Error> {
        if self.deep {
            let raw = map.next_value::<&RawValue>()?.get();
            return Ok(if raw.starts_with('"') && raw.contains('\\') {
                Cow::Owned(raw.to_owned())
            } else {
                Cow::Borrowed(raw)
            });
        }
        // The parser copies strings with escapes, and lends the rest for less than `'a`: where it
        // lies tells which it is, and is cheaper than the parser's own way to say so.
        let value = map.next_value::<LazyValue<'a>>()?;
        let raw = value.as_raw_str();
        let start = raw.as_ptr().addr().wrapping_sub(self.text.as_ptr().addr());
        Ok(match self.text.get(start..start.wrapping_add(raw.len())) {
            Some(part) => Cow::Borrowed(part),
            None => Cow::Owned(raw.to_owned()),
        })
    }
}

/// Whether brackets outside strings are open deeper than [`SHALLOW`]. Few lines have so many
/// brackets at all, and only those are walked through.
fn is_deep(line: &[u8]) -> bool {
    let opening: usize = line
        .chunks(u8::MAX as usize)
        .map(|chunk| {
            let brackets = chunk.iter().map(|byte| u8::from(byte & 0xDF == b'['));
            usize::from(brackets.sum::<u8>())
        })
        .sum();
    if opening <= SHALLOW {
        return false;
    }
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    line.iter().any(|byte| {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => depth += 1,
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth > SHALLOW
    })
}

/// Where the cells go, and what stopped them.
pub(super) struct Sink<'s, 'a> {
    pub(super) catalog: &'s mut Catalog,
    pub(super) cells: &'s mut Vec<Cell<'a>>,
    pub(super) line: Text<'a>,
    /// Values are read as they stand. If not, those of keys that had strings so far are read as
    /// strings, which is faster, and where that fails the line is read again.
    pub(super) exact: bool,
    pub(super) problem: Option<Undecodable>,
}

impl Sink<'_, '_> {
    fn undecodable(&mut self) -> Undecodable {
        self.problem
            .take()
            .unwrap_or_else(|| Undecodable::new("the line is not valid JSON"))
    }
}

/// The keys of a message and of its record.
enum Part {
    Type,
    Record,
    Stream,
    Namespace,
    Data,
    EmittedAt,
    Meta,
    Global,
    Other,
}

impl<'de> serde::Deserialize<'de> for Part {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PartVisitor;
        impl Visitor<'_> for PartVisitor {
            type Value = Part;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }

            fn visit_str<E>(self, key: &str) -> Result<Part, E> {
                Ok(match key {
                    "type" => Part::Type,
                    "record" => Part::Record,
                    "stream" => Part::Stream,
                    "namespace" => Part::Namespace,
                    "data" => Part::Data,
                    "emitted_at" => Part::EmittedAt,
                    "meta" => Part::Meta,
                    "global" | "global_" => Part::Global,
                    _ => Part::Other,
                })
            }
        }
        deserializer.deserialize_identifier(PartVisitor)
    }
}

#[derive(Default)]
struct Message<'a> {
    kind: Option<Cow<'a, str>>,
    record: Option<RecordParts<'a>>,
    /// A state of the oldest form has one of these and no type.
    state: bool,
}

impl<'a> Message<'a> {
    fn resolve(self, sink: &mut Sink<'_, 'a>) -> Result<Parsed<'a>, Undecodable> {
        let kind = self.kind.as_deref().and_then(value::text);
        match kind.as_deref() {
            Some("RECORD") => self
                .record
                .ok_or(Undecodable::new("a RECORD without a record"))?
                .resolve(sink),
            Some(kind) => Ok(Parsed::Message(MessageType::from_name(kind))),
            None if self.state => Ok(Parsed::Message(MessageType::State)),
            None => Err(Undecodable::new("the JSON is no message: it has no type")),
        }
    }
}

#[derive(Default)]
struct RecordParts<'a> {
    stream: Option<Cow<'a, str>>,
    namespace: Option<Cow<'a, str>>,
    data: Option<Data<'a>>,
    emitted_at: Option<Cow<'a, str>>,
    meta: Option<Cow<'a, str>>,
}

enum Data<'a> {
    /// The cells are those of `stream`.
    Decoded { stream: usize, unknown_key: bool },
    /// Not read yet: the stream was not known.
    Raw(Cow<'a, str>),
}

impl<'a> RecordParts<'a> {
    /// The stream, as far as the keys up to here tell.
    fn guess(&self, catalog: &mut Catalog) -> Option<usize> {
        let name = value::text(self.stream.as_deref()?)?;
        match &self.namespace {
            Some(namespace) => catalog.find(&name, value::text(namespace).as_deref()),
            None => catalog.only(&name),
        }
    }

    fn resolve(self, sink: &mut Sink<'_, 'a>) -> Result<Parsed<'a>, Undecodable> {
        let name = self.stream.as_deref().and_then(value::text);
        let name = name.ok_or(Undecodable::new("a RECORD without a stream"))?;
        let namespace = self.namespace.as_deref().and_then(value::text);
        let Some(stream) = sink.catalog.find(&name, namespace.as_deref()) else {
            return Ok(Parsed::UnknownStream {
                name: name.into_owned(),
                namespace: namespace.map(Cow::into_owned),
            });
        };
        let unknown_key = match self.data {
            Some(Data::Decoded {
                stream: decoded,
                unknown_key,
            }) if decoded == stream => unknown_key,
            Some(Data::Raw(Cow::Borrowed(text))) => {
                let data = Text { text, ..sink.line };
                data.read(DataSeed { stream, sink })
                    .map_err(|Syntax| sink.undecodable())?
            }
            Some(Data::Decoded { .. }) => {
                return Err(Undecodable::new("the record names two streams"));
            }
            Some(Data::Raw(Cow::Owned(_))) | None => return Err(Undecodable::new(NO_OBJECT)),
        };
        let changes = match self.meta.as_deref() {
            Some(meta) => value::changes(meta).map_err(Undecodable::new)?,
            None => None,
        };
        Ok(Parsed::Record(Record {
            stream,
            emitted_at: self.emitted_at.as_deref().and_then(value::milliseconds),
            changes,
            unknown_key,
        }))
    }
}

pub(super) const NO_OBJECT: &str = "the record's data is not an object";

struct MessageSeed<'s, 'k, 'a>(&'s mut Sink<'k, 'a>);

impl<'a> DeserializeSeed<'a> for MessageSeed<'_, '_, 'a> {
    type Value = Message<'a>;

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<Message<'a>, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'a> Visitor<'a> for MessageSeed<'_, '_, 'a> {
    type Value = Message<'a>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a message")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<Message<'a>, A::Error> {
        let mut message = Message::default();
        while let Some(key) = map.next_key()? {
            match key {
                Part::Type => message.kind = Some(self.0.line.raw(&mut map)?),
                Part::Record => message.record = map.next_value_seed(RecordSeed(&mut *self.0))?,
                Part::Data | Part::Global => {
                    map.next_value::<IgnoredAny>()?;
                    message.state = true;
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(message)
    }
}

struct RecordSeed<'s, 'k, 'a>(&'s mut Sink<'k, 'a>);

impl<'a> DeserializeSeed<'a> for RecordSeed<'_, '_, 'a> {
    type Value = Option<RecordParts<'a>>;

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_option(self)
    }
}

impl<'a> Visitor<'a> for RecordSeed<'_, '_, 'a> {
    type Value = Option<RecordParts<'a>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a record or null")
    }

    fn visit_none<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_some<D: Deserializer<'a>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut parts = RecordParts::default();
        while let Some(key) = map.next_key()? {
            match key {
                Part::Stream => parts.stream = Some(self.0.line.raw(&mut map)?),
                Part::Namespace => parts.namespace = Some(self.0.line.raw(&mut map)?),
                Part::EmittedAt => parts.emitted_at = Some(self.0.line.raw(&mut map)?),
                Part::Meta => parts.meta = Some(self.0.line.raw(&mut map)?),
                Part::Data => {
                    parts.data = Some(match parts.guess(self.0.catalog) {
                        Some(stream) => Data::Decoded {
                            stream,
                            unknown_key: map.next_value_seed(DataSeed {
                                stream,
                                sink: &mut *self.0,
                            })?,
                        },
                        None => Data::Raw(self.0.line.raw(&mut map)?),
                    });
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(Some(parts))
    }
}
