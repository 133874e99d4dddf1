//! What a broken line was meant to be: a walk over its bytes that shrugs at errors.

use std::borrow::Cow;

use super::streams::Streams;

/// What a line that is no valid message was meant to be.
#[derive(Debug)]
pub(super) enum Meant {
    /// A record of this stream of the catalog.
    Record(usize),
    /// A state of whatever stream.
    State,
    /// Nothing that can be made out.
    Unknown,
}

/// Reads from a line that is no valid message what can be made out.
pub(super) fn meant(line: &[u8], streams: &mut Streams) -> Meant {
    let found = Found::look(line);
    match found.kind {
        Some(b"RECORD") => found
            .stream_of(streams)
            .map_or(Meant::Unknown, Meant::Record),
        Some(b"STATE") => Meant::State,
        _ => Meant::Unknown,
    }
}

#[derive(Default)]
struct Found<'a> {
    kind: Option<&'a [u8]>,
    stream: Option<&'a [u8]>,
    namespace: Option<&'a [u8]>,
}

impl<'a> Found<'a> {
    fn look(line: &'a [u8]) -> Self {
        let mut found = Self::default();
        let mut tokens = Tokens {
            line,
            at: 0,
            depth: 0,
        };
        let mut record_level = false;
        while let Some(string) = tokens.next_string() {
            if !tokens.skip_colon() {
                continue;
            }
            match (tokens.depth, string) {
                (1, key) => {
                    record_level = key == b"record";
                    if key == b"type" {
                        found.kind = tokens.string_here();
                    }
                }
                (2, b"stream") if record_level => found.stream = tokens.string_here(),
                (2, b"namespace") if record_level => found.namespace = tokens.string_here(),
                _ => {}
            }
        }
        found
    }

    fn stream_of(&self, streams: &mut Streams) -> Option<usize> {
        let name = text(self.stream?)?;
        match self.namespace {
            Some(namespace) => streams.find(&name, Some(&text(namespace)?)),
            None => streams.find(&name, None).or_else(|| streams.only(&name)),
        }
    }
}

fn text(inside: &[u8]) -> Option<Cow<'_, str>> {
    let inside = std::str::from_utf8(inside).ok()?;
    if inside.contains('\\') {
        return serde_json::from_str(&format!("\"{inside}\"")).ok();
    }
    Some(Cow::Borrowed(inside))
}

struct Tokens<'a> {
    line: &'a [u8],
    at: usize,
    depth: usize,
}

impl<'a> Tokens<'a> {
    /// Goes on behind the next string, and returns what is between its quotes.
    fn next_string(&mut self) -> Option<&'a [u8]> {
        while let Some(byte) = self.line.get(self.at) {
            match byte {
                b'"' => return self.string_here(),
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => self.depth = self.depth.saturating_sub(1),
                _ => {}
            }
            self.at += 1;
        }
        None
    }

    /// The string that starts here, behind blanks; nothing moves if there is none, or if it has no
    /// end.
    fn string_here(&mut self) -> Option<&'a [u8]> {
        self.skip_blanks();
        let inside = self.line.get(self.at..)?.strip_prefix(b"\"")?;
        let mut escaped = false;
        let length = inside.iter().position(|byte| {
            let ends = *byte == b'"' && !escaped;
            escaped = *byte == b'\\' && !escaped;
            ends
        })?;
        self.at += length + 2;
        inside.get(..length)
    }

    fn skip_colon(&mut self) -> bool {
        self.skip_blanks();
        let colon = self.line.get(self.at) == Some(&b':');
        self.at += usize::from(colon);
        colon
    }

    fn skip_blanks(&mut self) {
        while self.line.get(self.at).is_some_and(u8::is_ascii_whitespace) {
            self.at += 1;
        }
    }
}
