//! A strict reader of CSV: a file that Salesforce refuses as a whole is refused here, with the text
//! that it puts into the job's `errorMessage`.
//!
//! Rows are not copied out of the text; only the position of each is kept.

#[cfg(test)]
mod tests;

use std::borrow::Cow;

/// UTF-16 units in one value (limits page of the Bulk API): Salesforce is written in Java, whose
/// characters they are.
const MAX_VALUE_CHARS: usize = 131_072;
/// UTF-16 units in one record.
const MAX_RECORD_CHARS: usize = 400_000;
/// UTF-16 units in the header.
const MAX_HEADER_CHARS: usize = 32_000;
/// Columns of a record.
const MAX_COLUMNS: usize = 5_000;

const UNESCAPED_QUOTE: &str = "InvalidBatch : Failed to parse CSV. Found unescaped quote. \
     A value with quote should be within a quote";

/// The delimiter's byte for a `columnDelimiter` of a job.
pub(crate) fn delimiter(name: &str) -> Option<u8> {
    Some(match name {
        "BACKQUOTE" => b'`',
        "CARET" => b'^',
        "COMMA" => b',',
        "PIPE" => b'|',
        "SEMICOLON" => b';',
        "TAB" => b'\t',
        _ => return None,
    })
}

/// A file that fails its job as a whole.
#[derive(Debug)]
pub(crate) struct Refused {
    /// The job's `errorMessage`.
    pub(crate) reason: String,
    /// The file as it was uploaded.
    pub(crate) text: String,
}

/// A well-formed file: its text, and the position of each data row.
#[derive(Debug)]
pub(crate) struct File {
    text: String,
    delimiter: u8,
    /// The begin of each data row, then the end of the last one.
    starts: Vec<u32>,
}

impl File {
    /// Reads a file.
    ///
    /// # Errors
    /// If Salesforce would fail the whole job: why, and the text.
    pub(crate) fn parse(text: String, delimiter: u8, crlf: bool) -> Result<File, Refused> {
        match File::layout(&text, delimiter, crlf) {
            Ok(starts) => Ok(File {
                text,
                delimiter,
                starts,
            }),
            Err(reason) => Err(Refused { reason, text }),
        }
    }

    /// A file without even a header.
    pub(crate) fn empty(delimiter: u8) -> File {
        File {
            text: String::new(),
            delimiter,
            starts: vec![0],
        }
    }

    /// Finds the begin of each data row.
    fn layout(text: &str, delimiter: u8, crlf: bool) -> Result<Vec<u32>, String> {
        let mut reader = Reader {
            bytes: text.as_bytes(),
            at: 0,
            delimiter,
            crlf,
        };
        let columns = reader.record()?.ok_or("InvalidBatch : Records not found")?;
        if columns > MAX_COLUMNS || too_long(&text[..reader.at], MAX_HEADER_CHARS) {
            return Err("InvalidBatch : Failed to parse CSV. The header is too long".to_owned());
        }
        let mut starts = vec![position(reader.at)?];
        while let Some(found) = reader.record()? {
            if found != columns {
                return Err(format!(
                    "InvalidBatch : Failed to parse CSV. Found {found} columns in a record, \
                     {columns} in the header"
                ));
            }
            starts.push(position(reader.at)?);
        }
        if starts.len() == 1 {
            return Err("InvalidBatch : Records not found".to_owned());
        }
        starts.shrink_to_fit();
        Ok(starts)
    }

    /// A file of values that are known, all in quotes.
    pub(crate) fn of_values<'a>(header: &[&str], rows: impl Iterator<Item = Vec<&'a str>>) -> File {
        let mut text = format!("{}\n", header.join(","));
        let mut starts = vec![u32::try_from(text.len()).unwrap_or(u32::MAX)];
        for row in rows {
            let values = row
                .iter()
                .map(|value| format!("\"{}\"", value.replace('"', "\"\"")));
            text.push_str(&values.collect::<Vec<_>>().join(","));
            text.push('\n');
            starts.push(u32::try_from(text.len()).unwrap_or(u32::MAX));
        }
        File {
            text,
            delimiter: b',',
            starts,
        }
    }

    /// The text as it was uploaded.
    pub(crate) fn into_text(self) -> String {
        self.text
    }

    /// How many data rows there are.
    pub(crate) fn rows(&self) -> usize {
        self.starts.len() - 1
    }

    /// The delimiter between values.
    pub(crate) fn delimiter(&self) -> u8 {
        self.delimiter
    }

    /// The header line as it was written, without its line end.
    pub(crate) fn header(&self) -> &str {
        line(&self.text[..self.starts[0] as usize])
    }

    /// A data row as it was written, without its line end.
    pub(crate) fn row(&self, index: usize) -> &str {
        line(&self.text[self.starts[index] as usize..self.starts[index + 1] as usize])
    }

    /// Splits a row into its values, unquoted.
    pub(crate) fn split<'a>(&'a self, index: usize, values: &mut Vec<Cow<'a, str>>) {
        split(self.row(index), self.delimiter, values);
    }

    /// The same file with a few of its rows, in the order given.
    pub(crate) fn with_rows(&self, rows: &[usize]) -> File {
        let mut text = self.text[..self.starts[0] as usize].to_owned();
        let mut starts = vec![self.starts[0]];
        for &row in rows {
            text.push_str(self.row(row));
            text.push('\n');
            starts.push(u32::try_from(text.len()).unwrap_or(u32::MAX));
        }
        text.shrink_to_fit();
        File {
            text,
            delimiter: self.delimiter,
            starts,
        }
    }
}

fn position(at: usize) -> Result<u32, String> {
    u32::try_from(at).map_err(|_| "InvalidBatch : Failed to parse CSV. Over 4 GiB".to_owned())
}

/// A record without its line end and the blank lines after it.
fn line(text: &str) -> &str {
    text.trim_end_matches(['\r', '\n'])
}

fn too_long(text: &str, limit: usize) -> bool {
    text.len() > limit && text.encode_utf16().count() > limit
}

/// Splits one well-formed line into its values, unquoted.
pub(crate) fn split<'a>(line: &'a str, delimiter: u8, values: &mut Vec<Cow<'a, str>>) {
    values.clear();
    let bytes = line.as_bytes();
    let mut at = 0;
    loop {
        if bytes.get(at) == Some(&b'"') {
            let start = at + 1;
            let mut doubled = false;
            at = start;
            while at < bytes.len() {
                if bytes[at] == b'"' {
                    if bytes.get(at + 1) != Some(&b'"') {
                        break;
                    }
                    doubled = true;
                    at += 1;
                }
                at += 1;
            }
            let value = &line[start..at];
            values.push(if doubled {
                value.replace("\"\"", "\"").into()
            } else {
                value.into()
            });
            at += 1;
        } else {
            let start = at;
            while at < bytes.len() && bytes[at] != delimiter {
                at += 1;
            }
            values.push(line[start..at].into());
        }
        if at >= bytes.len() {
            return;
        }
        at += 1;
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    delimiter: u8,
    crlf: bool,
}

impl Reader<'_> {
    /// Reads one record and returns its number of values; nothing at the end of the text.
    fn record(&mut self) -> Result<Option<usize>, String> {
        let begin = self.at;
        if begin == self.bytes.len() {
            return Ok(None);
        }
        let mut values = 0;
        loop {
            let start = self.at;
            if self.peek() == Some(b'"') {
                self.quoted()?;
            } else {
                self.bare()?;
            }
            self.limit(start, MAX_VALUE_CHARS, "a value")?;
            values += 1;
            match self.peek() {
                Some(byte) if byte == self.delimiter => self.at += 1,
                Some(_) => {
                    self.limit(begin, MAX_RECORD_CHARS, "a record")?;
                    self.skip_line_ends();
                    return Ok(Some(values));
                }
                None => return Ok(Some(values)),
            }
        }
    }

    /// Skips the end of a record, and blank lines after it.
    fn skip_line_ends(&mut self) {
        let end: &[u8] = if self.crlf { b"\r\n" } else { b"\n" };
        while self.bytes[self.at..].starts_with(end) {
            self.at += end.len();
        }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    /// Skips a quoted value, up to a delimiter, a line end or the end of the text.
    fn quoted(&mut self) -> Result<(), String> {
        self.at += 1;
        loop {
            match self.peek() {
                None => return Err(UNESCAPED_QUOTE.to_owned()),
                Some(b'"') if self.bytes.get(self.at + 1) == Some(&b'"') => self.at += 2,
                Some(b'"') => break,
                Some(b'\n' | b'\r') => {
                    self.line_end()?;
                    self.at += if self.crlf { 2 } else { 1 };
                }
                Some(_) => self.at += 1,
            }
        }
        self.at += 1;
        match self.peek() {
            None => Ok(()),
            Some(byte) if byte == self.delimiter => Ok(()),
            Some(b'\n' | b'\r') => self.line_end(),
            Some(_) => Err(UNESCAPED_QUOTE.to_owned()),
        }
    }

    /// Skips a value without quotes, up to a delimiter, a line end or the end of the text.
    fn bare(&mut self) -> Result<(), String> {
        while let Some(byte) = self.peek() {
            match byte {
                b'"' => return Err(UNESCAPED_QUOTE.to_owned()),
                b'\n' | b'\r' => return self.line_end(),
                _ if byte == self.delimiter => return Ok(()),
                _ => self.at += 1,
            }
        }
        Ok(())
    }

    /// Checks that this line end is the declared one. It must be so inside quotes too.
    fn line_end(&self) -> Result<(), String> {
        let here = &self.bytes[self.at..];
        let declared = if self.crlf {
            here.starts_with(b"\r\n")
        } else {
            here[0] == b'\n'
        };
        if declared {
            return Ok(());
        }
        let setting = if self.crlf { "CRLF" } else { "LF" };
        Err(format!(
            "ClientInputError : LineEnding is invalid on user data. \
             Current LineEnding setting is {setting}"
        ))
    }

    fn limit(&self, start: usize, limit: usize, what: &str) -> Result<(), String> {
        let bytes = &self.bytes[start..self.at];
        if bytes.len() <= limit {
            return Ok(());
        }
        // Every byte of UTF-8 but the continuation bytes begins a character, and four bytes are
        // two units.
        let units = |byte: &u8| match byte {
            0x80..0xC0 => 0,
            0xF0.. => 2,
            _ => 1,
        };
        let quotes = bytes.iter().filter(|byte| **byte == b'"').count();
        // Quotes around a value are no part of it, and doubled ones are one.
        let around = if quotes > 0 { 2 } else { 0 };
        let units = bytes.iter().map(units).sum::<usize>() - around - (quotes - around) / 2;
        if units > limit {
            return Err(format!(
                "InvalidBatch : Failed to parse CSV. Found {what} of over {limit} characters"
            ));
        }
        Ok(())
    }
}
