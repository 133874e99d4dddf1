//! The raw text of one JSON value -> the text of a cell.

use std::borrow::Cow;

use crate::Undecodable;
use crate::cursor::plain_length;

/// A JSON value as it stands in its line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value<'a> {
    /// `null`.
    Null,
    /// What is between the quotes of a string without escapes.
    Text(&'a str),
    /// A string with escapes, quotes included. They may stand for no character.
    Escaped(&'a str),
    /// A number, `true` or `false`.
    Word(&'a str),
    /// An object or array.
    Nested(&'a str),
}

impl<'a> Value<'a> {
    /// The text of a string; none if the value is another, or has an escape that stands for no
    /// character.
    #[inline]
    pub fn text(self) -> Text<'a> {
        match self {
            Self::Text(text) => Some(Cow::Borrowed(text)),
            Self::Escaped(raw) => {
                let mut text = String::with_capacity(raw.len());
                unescape(raw, &mut text).ok()?;
                Some(Cow::Owned(text))
            }
            Self::Null | Self::Word(_) | Self::Nested(_) => None,
        }
    }

    /// The exact text of the value: a string without quotes and escapes, digits as they stand, an
    /// object or array without blanks; none of null.
    ///
    /// # Errors
    /// If an escape stands for no character.
    pub fn exact_text(self) -> Result<Text<'a>, Undecodable> {
        let mut made = String::new();
        let found = text_or_made(self, &mut made).map_err(Undecodable::new)?;
        Ok(match found {
            Found::Null => None,
            Found::Text(text) => Some(Cow::Borrowed(text)),
            Found::Made => Some(Cow::Owned(made)),
        })
    }
}

/// Text of a value; none is null.
pub(crate) type Text<'a> = Option<Cow<'a, str>>;

const BAD_ESCAPE: &str = "a text has an escape that stands for no character";

/// Where the exact text of a value is.
pub(crate) enum Found<'a> {
    Null,
    /// In its line, as it is.
    Text(&'a str),
    /// At the end of the texts that were made.
    Made,
}

/// [`Value::exact_text`], with a small error for the many calls of it. What does not stand in the
/// line as it is goes behind what is in `made`.
#[inline]
pub(crate) fn text_or_made<'a>(
    value: Value<'a>,
    made: &mut String,
) -> Result<Found<'a>, &'static str> {
    Ok(match value {
        Value::Null => Found::Null,
        Value::Text(text) | Value::Word(text) => Found::Text(text),
        Value::Nested(raw) if is_compact(raw) => Found::Text(raw),
        Value::Escaped(raw) => {
            unescape(raw, made)?;
            Found::Made
        }
        Value::Nested(raw) => {
            compact(raw, made)?;
            Found::Made
        }
    })
}

/// Whether an object or array has no blanks and no escapes.
fn is_compact(raw: &str) -> bool {
    let plain = |byte: u8| byte > b' ' && byte != b'\\';
    raw.bytes().all(plain)
}

/// Appends an object or array without blanks between its parts: digits and the order of keys stay,
/// escapes that need not be are resolved.
fn compact(raw: &str, made: &mut String) -> Result<(), &'static str> {
    let mut rest = raw;
    while let Some(quote) = rest.find('"') {
        let (between, string) = rest.split_at(quote);
        push_without_blanks(made, between);
        let (string, after) = string.split_at(string_length(string).ok_or(BAD_ESCAPE)?);
        if string.contains('\\') {
            let mut text = String::with_capacity(string.len());
            unescape(string, &mut text)?;
            made.push_str(&serde_json::Value::String(text).to_string());
        } else {
            made.push_str(string);
        }
        rest = after;
    }
    push_without_blanks(made, rest);
    Ok(())
}

fn push_without_blanks(out: &mut String, text: &str) {
    out.extend(text.split_ascii_whitespace());
}

/// Bytes of the string that `text` starts with, both quotes included.
fn string_length(text: &str) -> Option<usize> {
    let mut escaped = false;
    let inside = text.bytes().skip(1).position(|byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    })?;
    Some(inside + 2)
}

/// Appends the text of a string with escapes, both quotes included.
fn unescape(raw: &str, made: &mut String) -> Result<(), &'static str> {
    let mut rest = raw.get(1..raw.len() - 1).ok_or(BAD_ESCAPE)?;
    while let Some((plain, escaped)) = rest.split_at_checked(plain_length(rest.as_bytes())) {
        made.push_str(plain);
        if escaped.is_empty() {
            return Ok(());
        }
        let (c, length) = escape(escaped.as_bytes()).ok_or(BAD_ESCAPE)?;
        made.push(c);
        rest = escaped.get(length..).ok_or(BAD_ESCAPE)?;
    }
    Err(BAD_ESCAPE)
}

/// The character that the escape at the start of `text` stands for, and the escape's length.
pub(crate) fn escape(text: &[u8]) -> Option<(char, usize)> {
    let [b'\\', kind, rest @ ..] = text else {
        return None;
    };
    let c = match kind {
        b'"' | b'\\' | b'/' => char::from(*kind),
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => return unicode_escape(rest),
        _ => return None,
    };
    Some((c, 2))
}

/// The character of one `\uXXXX`, or of two that are a surrogate pair; the first `\u` is passed.
fn unicode_escape(text: &[u8]) -> Option<(char, usize)> {
    let first = hex(text)?;
    if let Some(c) = char::from_u32(u32::from(first)) {
        return Some((c, 6));
    }
    let second = hex(text.get(4..)?.strip_prefix(b"\\u")?)?;
    let mut pair = char::decode_utf16([first, second]);
    Some((pair.next()?.ok()?, 12))
}

fn hex(text: &[u8]) -> Option<u16> {
    let digits = text.first_chunk::<4>()?;
    digits.iter().try_fold(0, |number, digit| {
        let digit = char::from(*digit).to_digit(16)?;
        Some(number << 4 | digit as u16)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Cursor;

    fn cell_of(raw: &str) -> Result<Text<'_>, Undecodable> {
        Cursor::new(raw).value().unwrap().exact_text()
    }

    #[test]
    fn cells_have_the_exact_text() {
        for (raw, expected) in [
            ("null", None),
            ("true", Some("true")),
            ("1.10", Some("1.10")),
            ("\"\"", Some("")),
            ("\"a b\"", Some("a b")),
            ("[]", Some("[]")),
            (
                "[ 1.10 ,\n{ \"b\" : 1E+2 , \"a\" : \"x y\" } ]",
                Some(r#"[1.10,{"b":1E+2,"a":"x y"}]"#),
            ),
            (r#"["\u00e9\/\"\\\n"]"#, Some(r#"["é/\"\\\n"]"#)),
            (r#"["a b"]"#, Some(r#"["a b"]"#)),
            (r#""\u00E9\n\ud83d\ude00""#, Some("é\n😀")),
            (r#""\"\\\/\b\f\r\t""#, Some("\"\\/\u{8}\u{c}\r\t")),
        ] {
            assert_eq!(cell_of(raw).unwrap().as_deref(), expected, "{raw}");
        }
        for broken in [r#""\u12""#, r#""\u+123""#, r#""\x""#] {
            assert_eq!(
                cell_of(broken),
                Err(Undecodable::new(BAD_ESCAPE)),
                "{broken}"
            );
        }
        for broken in [
            r#""\ud800""#,
            r#""\udc00""#,
            r#""\ud800\n""#,
            r#""\ud800\u0041""#,
            r#""\u12x4""#,
        ] {
            assert_eq!(
                cell_of(broken),
                Err(Undecodable::new(BAD_ESCAPE)),
                "{broken}"
            );
            assert!(cell_of(&format!("[{broken}]")).is_err());
        }
    }
}
