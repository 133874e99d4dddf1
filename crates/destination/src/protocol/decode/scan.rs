//! What a line is about, found by a walk over its bytes that shrugs at errors: for lines that are no
//! valid message, and for those too long to be read. It goes on where it stopped, so that no more of a
//! line than is wanted need be kept.

use std::borrow::Cow;

use super::MessageType;
use super::streams::Streams;

/// Bytes of a text that are looked at; keys and names that matter are shorter.
const MOST_TEXT: usize = 4 << 10;

/// What a line is about.
#[derive(Debug)]
pub(super) enum Meant {
    /// A record of this stream of the catalog.
    Record(usize),
    /// A record of a stream that is not in the catalog.
    Stranger {
        name: String,
        namespace: Option<String>,
    },
    /// Another message.
    Message(MessageType),
    /// Nothing that can be made out.
    Unknown,
}

/// A walk over the bytes of a line, as far as it came.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    depth: usize,
    place: Place,
    /// The text being read, or the last one, as it stands between its quotes.
    text: Vec<u8>,
    /// The key whose value comes next, if it matters.
    wanted: Option<Wanted>,
    /// The last key of the message was `record`.
    in_record: bool,
    kind: Option<Vec<u8>>,
    stream: Option<Vec<u8>>,
    namespace: Option<Vec<u8>>,
    has_record: bool,
    has_state: bool,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Between tokens.
    #[default]
    Between,
    /// In a text.
    Text,
    /// In a text, behind a backslash.
    Escape,
    /// Behind a text, which is a key if a colon follows.
    AfterText,
}

#[derive(Debug, Clone, Copy)]
enum Wanted {
    Kind,
    Stream,
    Namespace,
}

impl Scan {
    /// All of a line.
    pub(super) fn of(line: &[u8]) -> Self {
        let mut scan = Self::default();
        scan.push(line);
        scan
    }

    /// Goes on over the next bytes.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.byte(*byte);
        }
    }

    fn byte(&mut self, byte: u8) {
        match self.place {
            Place::Text if byte == b'"' => self.end_text(),
            Place::Text | Place::Escape => {
                if self.text.len() <= MOST_TEXT {
                    self.text.push(byte);
                }
                let escape = byte == b'\\' && self.place == Place::Text;
                self.place = if escape { Place::Escape } else { Place::Text };
            }
            Place::AfterText if byte == b':' => {
                self.key();
                self.place = Place::Between;
            }
            Place::AfterText | Place::Between if byte.is_ascii_whitespace() => {}
            Place::AfterText | Place::Between => {
                self.place = Place::Between;
                self.token(byte);
            }
        }
    }

    fn token(&mut self, byte: u8) {
        match byte {
            b'"' => {
                self.text.clear();
                self.place = Place::Text;
                return;
            }
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
        self.wanted = None;
    }

    /// The text that ended is the value that is wanted, or may be a key.
    fn end_text(&mut self) {
        self.place = Place::AfterText;
        let Some(wanted) = self.wanted.take() else {
            return;
        };
        self.place = Place::Between;
        let value = Some(std::mem::take(&mut self.text));
        let value = value.filter(|text| text.len() <= MOST_TEXT);
        match wanted {
            Wanted::Kind => self.kind = value,
            Wanted::Stream => self.stream = value,
            Wanted::Namespace => self.namespace = value,
        }
    }

    /// The text that ended is a key.
    fn key(&mut self) {
        self.wanted = match (self.depth, self.text.as_slice()) {
            (1, key) => {
                self.in_record = key == b"record";
                self.has_record |= self.in_record;
                self.has_state |= matches!(key, b"state" | b"data" | b"global" | b"global_");
                (key == b"type").then_some(Wanted::Kind)
            }
            (2, b"stream") if self.in_record => Some(Wanted::Stream),
            (2, b"namespace") if self.in_record => Some(Wanted::Namespace),
            _ => None,
        };
    }

    /// Whether what was read so far can only be a record.
    pub(crate) fn is_record(&self) -> bool {
        match self.kind.as_deref() {
            Some(kind) => kind == b"RECORD",
            None => self.has_record && !self.has_state,
        }
    }

    /// Whether the line ended with what it began.
    pub(crate) fn is_whole(&self) -> bool {
        self.depth == 0 && self.place == Place::Between
    }

    /// What the line is about, once all of it was read.
    pub(super) fn meant(&self, streams: &mut Streams) -> Meant {
        match self.kind.as_deref() {
            Some(b"RECORD") => self.stream_of(streams).unwrap_or(Meant::Unknown),
            Some(kind) => match std::str::from_utf8(kind) {
                Ok(kind) => Meant::Message(MessageType::from_name(kind)),
                Err(_) => Meant::Unknown,
            },
            None => Meant::Unknown,
        }
    }

    fn stream_of(&self, streams: &mut Streams) -> Option<Meant> {
        let name = text(self.stream.as_deref()?)?;
        let namespace = match &self.namespace {
            Some(namespace) => Some(text(namespace)?),
            None => None,
        };
        let found = match &namespace {
            Some(namespace) => streams.find(&name, Some(namespace)),
            None => streams.find(&name, None).or_else(|| streams.only(&name)),
        };
        Some(match found {
            Some(stream) => Meant::Record(stream),
            None => Meant::Stranger {
                name: name.into_owned(),
                namespace: namespace.map(Cow::into_owned),
            },
        })
    }
}

fn text(inside: &[u8]) -> Option<Cow<'_, str>> {
    let inside = std::str::from_utf8(inside).ok()?;
    if inside.contains('\\') {
        return serde_json::from_str(&format!("\"{inside}\"")).ok();
    }
    Some(Cow::Borrowed(inside))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = r#"{"type" : "RECORD", "record":{"data":{"type":"STATE","stream":"no","a":["\"}",{}]},"namespace":"n\u00fc","stream":"s"}}"#;

    #[test]
    fn it_goes_on_where_it_stopped() {
        let whole = format!("{:?}", Scan::of(LINE.as_bytes()));
        for cut in 0..LINE.len() {
            let (one, two) = LINE.as_bytes().split_at(cut);
            let mut scan = Scan::of(one);
            scan.push(two);
            assert_eq!(format!("{scan:?}"), whole);
            assert!(scan.is_whole() && scan.is_record());
            assert_eq!(Scan::of(one).is_whole(), cut == 0);
        }
        let scan = Scan::of(LINE.as_bytes());
        assert_eq!(scan.stream.as_deref(), Some(&b"s"[..]));
        assert_eq!(text(&scan.namespace.unwrap()).unwrap(), "nü");
    }

    #[test]
    fn what_may_be_a_state_is_no_record() {
        for (line, record) in [
            (r#"{"type":"RECORD""#, true),
            (r#"{"record":{"#, true),
            (r#"{"record":{},"type":"STATE""#, false),
            (r#"{"state":{"#, false),
            (r#"{"type":"STATE","record":{"#, false),
            (r#"{"x":"#, false),
        ] {
            assert_eq!(Scan::of(line.as_bytes()).is_record(), record, "{line}");
        }
    }
}
