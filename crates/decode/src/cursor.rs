//! The tokens of one line of JSON, one after the other.
//!
//! Values of the two outer levels, and those of a record's data, are read here: each byte once,
//! strings and numbers as parts of the line. What is nested deeper is left to a JSON parser, which
//! proves it and finds its end.

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use sonic_rs::LazyValue;
use wide::u8x16;

use crate::value::escape;
use crate::{Undecodable, Value};

/// Longest line in bytes that is read: batches have 32-bit offsets.
const MAX_LINE: usize = 512 << 20;

/// Deepest nesting of a line that the fast parser gets: it skips values by recursion, at some 40 KB
/// of stack a level in a build without optimization. The parser of deeper lines needs no stack.
const SHALLOW: usize = 24;

/// Text that is not JSON, or not the JSON that is expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Syntax;

/// A place in a line of JSON, from its first value to its end.
///
/// ```
/// use arrow_salesforce_decode::{Cursor, Value};
///
/// let mut cursor = Cursor::of_line(br#"{"type":"A","size":1.10}"#)?;
/// assert!(cursor.open()?);
/// assert_eq!(cursor.key()?, Value::Text("type"));
/// assert_eq!(cursor.value()?, Value::Text("A"));
/// assert!(cursor.next_entry()?);
/// assert_eq!(cursor.key()?, Value::Text("size"));
/// assert_eq!(cursor.value()?, Value::Word("1.10"));
/// assert!(!cursor.next_entry()?);
/// cursor.end()?;
/// # Ok::<(), arrow_salesforce_decode::Undecodable>(())
/// ```
#[derive(Debug, Clone)]
pub struct Cursor<'a> {
    line: &'a str,
    at: usize,
    /// Whether the line is nested too deep for the fast parser, once that was asked.
    deep: Option<bool>,
}

impl<'a> Cursor<'a> {
    /// The start of a line, given without its line end.
    ///
    /// # Errors
    /// If the line is longer than 512 MiB, or not UTF-8.
    pub fn of_line(line: &'a [u8]) -> Result<Self, Undecodable> {
        if line.len() > MAX_LINE {
            return Err(Undecodable::new("the line is longer than 512 MiB"));
        }
        match simdutf8::basic::from_utf8(line) {
            Ok(line) => Ok(Self::new(line)),
            Err(_) => Err(Undecodable::new("the line is not valid UTF-8")),
        }
    }

    #[inline]
    pub(crate) fn new(line: &'a str) -> Self {
        Self {
            line,
            at: 0,
            deep: None,
        }
    }

    /// A cursor over the text of a value of this line.
    pub fn within(&self, value: &'a str) -> Self {
        Self {
            line: value,
            at: 0,
            deep: self.deep,
        }
    }

    /// Nothing but blanks may follow.
    ///
    /// # Errors
    /// [`Syntax`] if anything else does.
    pub fn end(&mut self) -> Result<(), Syntax> {
        self.peek().is_none().then_some(()).ok_or(Syntax)
    }

    /// The next byte that is no blank.
    #[inline]
    pub fn peek(&mut self) -> Option<u8> {
        match self.line.as_bytes().get(self.at) {
            Some(byte) if *byte > b' ' => Some(*byte),
            _ => self.peek_behind_blanks(),
        }
    }

    #[cold]
    fn peek_behind_blanks(&mut self) -> Option<u8> {
        while self.pass(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r')) {}
        self.line.as_bytes().get(self.at).copied()
    }

    /// Goes into an object, and returns whether it has an entry.
    ///
    /// # Errors
    /// [`Syntax`] if no object begins here.
    #[inline]
    pub fn open(&mut self) -> Result<bool, Syntax> {
        self.expect(b'{')?;
        let empty = self.peek() == Some(b'}');
        self.at += usize::from(empty);
        Ok(!empty)
    }

    /// Goes on behind a value, and returns whether another entry follows; otherwise the object has
    /// ended.
    ///
    /// # Errors
    /// [`Syntax`] if neither is so.
    #[inline]
    pub fn next_entry(&mut self) -> Result<bool, Syntax> {
        let more = match self.peek() {
            Some(b',') => true,
            Some(b'}') => false,
            _ => return Err(Syntax),
        };
        self.at += 1;
        Ok(more)
    }

    /// All of the line, or of the value that the cursor is over.
    pub fn line(&self) -> &'a str {
        self.line
    }

    /// How many bytes of it have been read.
    #[inline]
    pub fn position(&self) -> usize {
        self.at
    }

    /// Goes behind this text if it comes next, and returns whether it does.
    #[inline]
    pub fn pass_text(&mut self, text: &str) -> bool {
        let comes = self.rest().starts_with(text);
        self.at += usize::from(comes) * text.len();
        comes
    }

    /// All that follows.
    #[inline]
    pub(crate) fn rest(&self) -> &'a str {
        self.line.get(self.at..).unwrap_or_default()
    }

    /// Goes on to the start of `rest`, an end of [`Self::rest`].
    #[inline]
    pub(crate) fn go_to(&mut self, rest: &str) {
        self.at = self.line.len() - rest.len();
    }

    /// A key and its colon.
    ///
    /// # Errors
    /// [`Syntax`] if there is none.
    pub fn key(&mut self) -> Result<Value<'a>, Syntax> {
        self.expect(b'"')?;
        let key = self.rest_of_string()?;
        self.expect(b':')?;
        Ok(key)
    }

    /// The value if it is a string without escapes; otherwise nothing moves.
    #[inline]
    pub(crate) fn plain_text(&mut self) -> Option<&'a str> {
        let inside = self.rest().strip_prefix('"')?;
        let (text, behind) = inside.split_at_checked(plain_length(inside.as_bytes()))?;
        self.go_to(behind.strip_prefix('"')?);
        Some(text)
    }

    /// Appends the text of the string that begins here to `made` and goes behind it; `None` if it is
    /// no string, or not a proper one: then nothing moves, and `made` ends with a part of it.
    pub(crate) fn unescape_text(&mut self, made: &mut String) -> Option<()> {
        let mut rest = self.rest().strip_prefix('"')?;
        loop {
            let (plain, behind) = rest.split_at_checked(plain_length(rest.as_bytes()))?;
            made.push_str(plain);
            if let Some(after) = behind.strip_prefix('"') {
                self.go_to(after);
                return Some(());
            }
            let (c, length) = escape(behind.as_bytes())?;
            made.push(c);
            rest = behind.get(length..)?;
        }
    }

    /// Any value.
    ///
    /// # Errors
    /// [`Syntax`] if there is none.
    pub fn value(&mut self) -> Result<Value<'a>, Syntax> {
        match self.peek() {
            Some(b'"') => {
                self.at += 1;
                self.rest_of_string()
            }
            Some(b'{' | b'[') => self.nested(),
            Some(b'n') => self.word("null").map(|_| Value::Null),
            Some(b't') => self.word("true").map(Value::Word),
            Some(b'f') => self.word("false").map(Value::Word),
            _ => self.number().map(Value::Word),
        }
    }

    /// Goes behind a value that nobody needs.
    ///
    /// # Errors
    /// [`Syntax`] if there is none.
    pub fn skip_value(&mut self) -> Result<(), Syntax> {
        match self.value()? {
            Value::Escaped(raw) => match serde_json::from_str(raw) {
                Ok(IgnoredAny) => Ok(()),
                Err(_) => Err(Syntax),
            },
            _ => Ok(()),
        }
    }

    #[inline]
    fn expect(&mut self, byte: u8) -> Result<(), Syntax> {
        if self.peek() != Some(byte) {
            return Err(Syntax);
        }
        self.at += 1;
        Ok(())
    }

    /// A string whose opening quote has been passed.
    #[inline]
    fn rest_of_string(&mut self) -> Result<Value<'a>, Syntax> {
        let start = self.at;
        self.at += plain_length(self.rest().as_bytes());
        if self.line.as_bytes().get(self.at) != Some(&b'"') {
            return self.rest_of_escaped(start);
        }
        self.at += 1;
        let text = self.line.get(start..self.at - 1);
        text.map(Value::Text).ok_or(Syntax)
    }

    #[inline(never)]
    fn rest_of_escaped(&mut self, start: usize) -> Result<Value<'a>, Syntax> {
        while !self.pass(|byte| byte == b'"') {
            if !self.pass(|byte| byte == b'\\') {
                return Err(Syntax);
            }
            self.at += 1;
            self.at += plain_length(self.rest().as_bytes());
        }
        let raw = self.line.get(start - 1..self.at);
        raw.map(Value::Escaped).ok_or(Syntax)
    }

    #[inline]
    fn word(&mut self, word: &'static str) -> Result<&'a str, Syntax> {
        let found = self.line.get(self.at..self.at + word.len());
        let found = found.filter(|found| *found == word).ok_or(Syntax)?;
        self.at += word.len();
        Ok(found)
    }

    #[inline(never)]
    fn number(&mut self) -> Result<&'a str, Syntax> {
        let start = self.at;
        self.pass(|byte| byte == b'-');
        let zero = self.pass(|byte| byte == b'0');
        if !zero {
            self.digits()?;
        }
        if self.pass(|byte| byte == b'.') {
            self.digits()?;
        }
        if self.pass(|byte| matches!(byte, b'e' | b'E')) {
            self.pass(|byte| matches!(byte, b'+' | b'-'));
            self.digits()?;
        }
        self.line.get(start..self.at).ok_or(Syntax)
    }

    #[inline]
    fn digits(&mut self) -> Result<(), Syntax> {
        let rest = self.rest().as_bytes();
        let digits = rest.iter().position(|byte| !byte.is_ascii_digit());
        let digits = digits.unwrap_or(rest.len());
        self.at += digits;
        (digits > 0).then_some(()).ok_or(Syntax)
    }

    #[inline]
    fn pass(&mut self, is_next: impl Fn(u8) -> bool) -> bool {
        let passed = self
            .line
            .as_bytes()
            .get(self.at)
            .copied()
            .is_some_and(is_next);
        self.at += usize::from(passed);
        passed
    }

    #[cold]
    fn nested(&mut self) -> Result<Value<'a>, Syntax> {
        let rest = self.line.get(self.at..).ok_or(Syntax)?;
        let deep = *self
            .deep
            .get_or_insert_with(|| is_deep(self.line.as_bytes()));
        let length = if deep {
            let mut parser = serde_json::Deserializer::from_str(rest);
            let value = <&RawValue>::deserialize(&mut parser).map_err(|_| Syntax)?;
            value.get().len()
        } else {
            let mut parser = sonic_rs::Deserializer::from_str(rest);
            let value = LazyValue::deserialize(&mut parser).map_err(|_| Syntax)?;
            value.as_raw_str().len()
        };
        self.at += length;
        rest.get(..length).map(Value::Nested).ok_or(Syntax)
    }
}

/// Bytes before the first that ends a string, begins an escape or may not stand in a string.
///
/// Strings are short: what a search by `memchr` costs to begin is more than most of them take.
#[inline]
pub(crate) fn plain_length(text: &[u8]) -> usize {
    let mut rest = text;
    while let Some((block, behind)) = rest.split_first_chunk() {
        let special = special_bits(*block);
        if special != 0 {
            return text.len() - rest.len() + special.trailing_zeros() as usize;
        }
        rest = behind;
    }
    let is_special = |byte: &u8| matches!(byte, 0..b' ' | b'"' | b'\\');
    let length = rest.iter().position(is_special).unwrap_or(rest.len());
    text.len() - rest.len() + length
}

/// A bit for each byte that ends a string, begins an escape or may not stand in a string.
#[inline]
fn special_bits(block: [u8; 16]) -> u32 {
    let bytes = u8x16::new(block);
    let quotes = bytes.simd_eq(u8x16::splat(b'"'));
    let escapes = bytes.simd_eq(u8x16::splat(b'\\'));
    let controls = bytes.min(u8x16::splat(b' ' - 1)).simd_eq(bytes);
    (quotes | escapes | controls).to_bitmask()
}

/// Whether brackets outside strings are open deeper than [`SHALLOW`]. Few lines have so many
/// brackets at all, and only those are walked through.
fn is_deep(line: &[u8]) -> bool {
    let opening = line.iter().filter(|byte| *byte & 0xDF == b'[').count();
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_are_those_of_json() {
        for number in ["0", "-0", "10", "1.10", "0e-5", "-1E+2", "1.0e0"] {
            let mut cursor = Cursor::new(number);
            assert_eq!(cursor.value().ok(), Some(Value::Word(number)));
            assert!(cursor.end().is_ok(), "{number}");
        }
        for wrong in [
            "", "-", "01", "+1", ".5", "1.", "1e", "1e+", "1.e5", "0x1", "--1",
        ] {
            let mut cursor = Cursor::new(wrong);
            let read = cursor.value().and_then(|_| cursor.end());
            assert!(read.is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn a_string_ends_at_its_first_special_byte(
            text in prop_oneof![
                prop::collection::vec(any::<u8>(), 0..40),
                prop::collection::vec(0x20..=0xFF_u8, 0..150),
            ],
        ) {
            let special = |byte: &u8| matches!(byte, 0..0x20 | b'"' | b'\\');
            let expected = text.iter().position(special).unwrap_or(text.len());
            prop_assert_eq!(plain_length(&text), expected);
        }
    }
}
