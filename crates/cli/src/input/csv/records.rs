//! Bytes of CSV -> its records, a chunk at a time.
//!
//! Quotes are those of RFC 4180. Records end as [`Ends`] says; empty lines are none. Blanks around
//! a quoted value are no part of it. What the format has no reading for is a [`Fault`] of the record,
//! never a guess: the record keeps its text.

use std::fmt;
use std::ops::Range;

/// Most bytes of one record: no record of Salesforce is near it, and a quote that is not closed ends
/// here.
const MOST_BYTES: usize = 32 << 20;

/// What is wrong with a record, whatever its width.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// Text follows the quote that ends a value.
    Stray,
    /// The text ends in a quoted value.
    Open,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stray => "text follows the quote that ends a value; a quote inside is doubled",
            Self::Open => "the quote of a value is not closed",
        })
    }
}

/// A record that goes on for more than [`MOST_BYTES`]: the line that it begins on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Endless(pub(super) u64);

impl fmt::Display for Endless {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (line, most) = (self.0, MOST_BYTES >> 20);
        write!(
            f,
            "the record on line {line} is longer than {most} MiB; a quote that is not closed does that"
        )
    }
}

/// One record.
#[derive(Debug, Default)]
pub(super) struct Record {
    values: Vec<u8>,
    ends: Vec<usize>,
    text: Vec<u8>,
    line: u64,
    fault: Option<Fault>,
}

impl Record {
    /// How many values it has.
    pub(super) fn width(&self) -> usize {
        self.ends.len()
    }

    /// A value, without the quotes around it; empty past the last one.
    pub(super) fn value(&self, index: usize) -> &[u8] {
        &self.values[self.range(index)]
    }

    /// All values one after the other, if each is UTF-8.
    pub(super) fn as_text(&self) -> Option<&str> {
        let text = std::str::from_utf8(&self.values).ok()?;
        let whole = self.ends.iter().all(|end| text.is_char_boundary(*end));
        whole.then_some(text)
    }

    /// Where a value stands in all of them.
    pub(super) fn range(&self, index: usize) -> Range<usize> {
        let start = match index.checked_sub(1) {
            Some(before) => self.ends.get(before),
            None => Some(&0),
        };
        let range = start.zip(self.ends.get(index));
        range.map_or(0..0, |(start, end)| *start..*end)
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.width()).map(|index| self.value(index))
    }

    /// The record as it was written, without the line break at its end.
    pub(super) fn text(&self) -> &[u8] {
        &self.text
    }

    /// Whether it has the character of the code 0, which no text has.
    pub(super) fn has_nul(&self) -> bool {
        self.text.contains(&0)
    }

    /// The line that it begins on, from 1.
    pub(super) fn line(&self) -> u64 {
        self.line
    }

    /// The line that it ends on.
    pub(super) fn last_line(&self) -> u64 {
        self.line + newlines(&self.text)
    }

    pub(super) fn fault(&self) -> Option<Fault> {
        self.fault
    }

    /// Whether no value has a character that can be seen.
    pub(super) fn is_blank(&self) -> bool {
        self.fault.is_none() && self.values.trim_ascii().is_empty()
    }

    fn begin(&mut self, line: u64) {
        self.values.clear();
        self.ends.clear();
        self.text.clear();
        self.line = line;
        self.fault = None;
    }

    fn end_value(&mut self) {
        self.ends.push(self.values.len());
    }

    fn value_start(&self) -> usize {
        self.ends.last().copied().unwrap_or_default()
    }
}

/// What ends a record outside quotes. What does not is part of the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ends {
    /// LF, CRLF and CR: of a file that has only one of them.
    Any,
    /// LF, and each CR right before it.
    Lf,
    /// CRLF, and LF at the end of the file.
    CrLf,
}

/// Line breaks that were seen between records.
#[derive(Debug, Clone, Copy, Default)]
struct Breaks {
    lf: bool,
    crlf: bool,
    cr: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Between records.
    Between,
    /// Before the first byte of a value, or after blanks only.
    Start,
    Plain,
    Quoted,
    /// After a quote in a quoted value: its end, or the first of two.
    Quote,
}

/// Finds the records of bytes that come in chunks.
#[derive(Debug)]
pub(super) struct Parser {
    /// None: each line is one value.
    delimiter: Option<u8>,
    ends: Ends,
    state: State,
    after_cr: bool,
    /// CRs that are a line break if LF follows, else part of the value.
    held: usize,
    breaks: Breaks,
    /// The line of the next byte.
    line: u64,
    record: Record,
}

impl Parser {
    pub(super) fn new(delimiter: Option<u8>, ends: Ends) -> Self {
        Self {
            delimiter,
            ends,
            state: State::Between,
            after_cr: false,
            held: 0,
            breaks: Breaks::default(),
            line: 1,
            record: Record::default(),
        }
    }

    /// Whether records ended in more than one way.
    pub(super) fn is_mixed(&self) -> bool {
        let Breaks { lf, crlf, cr } = self.breaks;
        u8::from(lf) + u8::from(crlf) + u8::from(cr) > 1
    }

    /// The record that was last completed.
    pub(super) fn record(&self) -> &Record {
        &self.record
    }

    /// Takes bytes up to the end of a record. Returns how many, and whether a record is complete.
    pub(super) fn feed(&mut self, input: &[u8]) -> Result<(usize, bool), Endless> {
        let mut at = self.skip_breaks(input);
        let start = at;
        while let Some(byte) = input.get(at).copied() {
            let is_delimiter = Some(byte) == self.delimiter;
            if !matches!(byte, b'\n' | b'\r') {
                for _ in 0..std::mem::take(&mut self.held) {
                    self.keep(b'\r');
                }
            }
            match self.state {
                State::Quoted => at = self.quoted(input, at),
                State::Quote if byte == b'"' => {
                    self.record.values.push(byte);
                    self.state = State::Quoted;
                    at += 1;
                }
                _ if is_delimiter => {
                    self.record.end_value();
                    self.state = State::Start;
                    at += 1;
                }
                _ if byte == b'\r' && self.ends != Ends::Any => {
                    self.held += 1;
                    at += 1;
                }
                _ if byte == b'\n' && self.ends == Ends::CrLf && self.held == 0 => {
                    self.keep(byte);
                    at += 1;
                }
                _ if matches!(byte, b'\n' | b'\r') => {
                    self.record.text.extend_from_slice(&input[start..at]);
                    self.complete();
                    return Ok((at, true));
                }
                State::Quote if matches!(byte, b' ' | b'\t') => at += 1,
                State::Quote => {
                    self.record.fault = Some(Fault::Stray);
                    self.state = State::Plain;
                }
                State::Start if matches!(byte, b' ' | b'\t') => {
                    self.record.values.push(byte);
                    at += 1;
                }
                State::Start if byte == b'"' => {
                    self.record.values.truncate(self.record.value_start());
                    self.state = State::Quoted;
                    at += 1;
                }
                State::Start => self.state = State::Plain,
                State::Plain | State::Between => at = self.plain(input, at),
            }
        }
        self.record.text.extend_from_slice(&input[start..at]);
        if self.record.text.len() > MOST_BYTES {
            return Err(Endless(self.record.line));
        }
        Ok((at, false))
    }

    /// After the last byte: whether a record is complete.
    pub(super) fn finish(&mut self) -> bool {
        match self.state {
            State::Between => return false,
            State::Quoted => self.record.fault = Some(Fault::Open),
            State::Plain if self.ends == Ends::CrLf => {
                let record = &mut self.record;
                while record.values.len() > record.value_start() && record.values.ends_with(b"\n") {
                    record.values.pop();
                    record.text.pop();
                }
            }
            State::Start | State::Plain | State::Quote => {}
        }
        self.complete();
        true
    }

    /// Passes the line breaks before a record, and begins one with the first other byte.
    fn skip_breaks(&mut self, input: &[u8]) -> usize {
        if self.state != State::Between {
            return 0;
        }
        for (at, byte) in input.iter().enumerate() {
            match byte {
                b'\n' if self.after_cr => {
                    self.after_cr = false;
                    self.breaks.crlf = true;
                }
                b'\n' => {
                    self.line += 1;
                    self.breaks.lf = true;
                }
                b'\r' => {
                    self.line += 1;
                    self.breaks.cr |= self.after_cr;
                    self.after_cr = true;
                }
                _ => {
                    self.breaks.cr |= self.after_cr;
                    self.after_cr = false;
                    self.record.begin(self.line);
                    self.state = State::Start;
                    return at;
                }
            }
        }
        input.len()
    }

    fn quoted(&mut self, input: &[u8], at: usize) -> usize {
        let rest = &input[at..];
        let run = rest.iter().position(|byte| *byte == b'"');
        let inside = &rest[..run.unwrap_or(rest.len())];
        self.record.values.extend_from_slice(inside);
        match run {
            Some(run) => {
                self.state = State::Quote;
                at + run + 1
            }
            None => input.len(),
        }
    }

    fn plain(&mut self, input: &[u8], at: usize) -> usize {
        let rest = &input[at..];
        let ends = |byte: &u8| matches!(byte, b'\n' | b'\r') || Some(*byte) == self.delimiter;
        let run = rest.iter().position(ends).unwrap_or(rest.len());
        self.record.values.extend_from_slice(&rest[..run]);
        at + run
    }

    /// A line break that ends no record.
    fn keep(&mut self, byte: u8) {
        if self.state == State::Quote {
            self.record.fault = Some(Fault::Stray);
        }
        self.record.values.push(byte);
        self.state = State::Plain;
    }

    fn complete(&mut self) {
        let text = self.record.text.len() - self.held;
        self.record.text.truncate(text);
        self.record.end_value();
        self.line = self.record.last_line();
        if std::mem::take(&mut self.held) > 0 {
            self.line += 1;
            self.after_cr = true;
        }
        self.state = State::Between;
    }
}

/// Line breaks in a text: LF, CRLF or CR.
fn newlines(text: &[u8]) -> u64 {
    let lf = text.iter().filter(|byte| **byte == b'\n').count();
    let cr = text
        .iter()
        .enumerate()
        .filter(|(at, byte)| **byte == b'\r' && text.get(at + 1) != Some(&b'\n'))
        .count();
    (lf + cr) as u64
}
