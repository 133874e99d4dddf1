//! Times of day: `9:05`, `9:05 PM`.

use std::fmt::Write as _;

/// What was seen of a column.
#[derive(Debug, Default)]
pub(super) struct Tally {
    example: Option<String>,
}

impl Tally {
    pub(super) fn add(&mut self, text: &str) {
        if self.example.is_none()
            && let Some(time) = read(text)
        {
            self.example = Some(format!("{text} is {time}"));
        }
    }

    /// A sentence about the reading, if values must be rewritten.
    pub(super) fn finish(self) -> Option<String> {
        self.example
            .map(|example| format!("times of day; {example}"))
    }
}

/// A time as the engine takes it; none if it stays as it is.
pub(super) fn read(text: &str) -> Option<String> {
    normal(text).filter(|_| !is_iso(text.as_bytes()))
}

/// Whether the text begins as times of ISO 8601 do, and has neither AM nor PM.
pub(super) fn is_iso(text: &[u8]) -> bool {
    matches!(text, [h1, h2, b':', ..] if h1.is_ascii_digit() && h2.is_ascii_digit())
        && !text.iter().any(|byte| matches!(byte, b'm' | b'M' | b','))
}

/// `h:mm`, with seconds, a fraction, AM or PM, and an offset as they come -> two digits each, with
/// seconds.
pub(super) fn normal(text: &str) -> Option<String> {
    let (hour, rest) = digits(text, 1)?;
    let (minute, rest) = digits(rest.strip_prefix(':')?, 2)?;
    let (second, rest) = match rest.strip_prefix(':') {
        Some(rest) => digits(rest, 2)?,
        None => (0, rest),
    };
    let (fraction, rest) = fraction(rest);
    let (afternoon, offset) = half(rest.trim_start());
    let hour = match afternoon {
        None => hour,
        Some(_) if !(1..=12).contains(&hour) => return None,
        Some(afternoon) => hour % 12 + if afternoon { 12 } else { 0 },
    };
    if hour > 23 || minute > 59 || second > 59 || !is_offset(offset) {
        return None;
    }
    let mut out = format!("{hour:02}:{minute:02}:{second:02}");
    if !fraction.is_empty() {
        let _ = write!(out, ".{fraction}");
    }
    out.push_str(offset);
    Some(out)
}

/// One or two digits that lead a text, at least `least`, and what follows.
fn digits(text: &str, least: usize) -> Option<(u32, &str)> {
    let length = text.bytes().take_while(u8::is_ascii_digit).count();
    let (digits, rest) = text.split_at(length);
    (least..=2)
        .contains(&length)
        .then_some((digits.parse().ok()?, rest))
}

fn fraction(text: &str) -> (&str, &str) {
    let Some(rest) = text.strip_prefix(['.', ',']) else {
        return ("", text);
    };
    let length = rest.bytes().take_while(u8::is_ascii_digit).count();
    match length {
        0 => ("", text),
        _ => rest.split_at(length),
    }
}

/// Whether the time is one after noon, where that is said, and what follows.
fn half(text: &str) -> (Option<bool>, &str) {
    for (word, afternoon) in [("a.m.", false), ("p.m.", true), ("am", false), ("pm", true)] {
        if let Some((head, rest)) = text.split_at_checked(word.len())
            && head.eq_ignore_ascii_case(word)
        {
            return (Some(afternoon), rest.trim_start());
        }
    }
    (None, text)
}

fn is_offset(text: &str) -> bool {
    matches!(text, "" | "Z" | "z" | "UTC")
        || text.strip_prefix(['+', '-']).is_some_and(|rest| {
            !rest.is_empty()
                && rest
                    .bytes()
                    .all(|byte| byte.is_ascii_digit() || byte == b':')
        })
}
