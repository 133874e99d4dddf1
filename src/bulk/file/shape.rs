//! Whether a text can be a whole CSV file: what breaks off without a word is no result file.

use std::io::{self, Write};

use xxhash_rust::xxh3::Xxh3;

/// Where in a record the text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// At the beginning of a field.
    Field,
    /// In a field without quotes.
    Bare,
    Quoted,
    /// After a quote that ends a field, unless another one follows.
    Quote,
}

/// Hands on what is written, and looks at its records as the reader of the rows will: all have as
/// many fields as the first one, and the last one is whole.
pub(super) struct Shape<W> {
    into: W,
    at: At,
    /// Fields of this record that have ended, and whether it has any text.
    fields: u64,
    begun: bool,
    /// Records that have ended, and the fields of the first one.
    records: u64,
    header: u64,
    ragged: Option<u64>,
    bytes: u64,
    digest: Xxh3,
}

/// A whole file.
#[derive(Debug)]
pub(super) struct Whole<W> {
    pub(super) written: W,
    pub(super) bytes: u64,
    /// Records, the header among them.
    pub(super) records: u64,
    /// Of the whole text.
    pub(super) digest: u128,
}

impl<W: Write> Shape<W> {
    /// A text that begins here.
    pub(super) fn of(into: W) -> Self {
        Self {
            into,
            at: At::Field,
            fields: 0,
            begun: false,
            records: 0,
            header: 0,
            ragged: None,
            bytes: 0,
            digest: Xxh3::new(),
        }
    }

    /// What it was written to, with its size; or why it is no CSV file.
    pub(super) fn end(mut self) -> Result<Whole<W>, String> {
        if self.at == At::Quoted {
            return Err("it breaks off in the middle of a value".to_owned());
        }
        self.end_record();
        match self.ragged {
            Some(record) => Err(format!(
                "record {record} has another number of fields than the header"
            )),
            None => Ok(Whole {
                written: self.into,
                bytes: self.bytes,
                digest: self.digest.digest128(),
                records: self.records,
            }),
        }
    }

    fn take(&mut self, byte: u8) {
        match (self.at, byte) {
            (At::Quoted, b'"') => self.at = At::Quote,
            (At::Quoted, _) => {}
            (At::Field | At::Quote, b'"') => {
                self.at = At::Quoted;
                self.begun = true;
            }
            (_, b',') => {
                self.at = At::Field;
                self.fields += 1;
                self.begun = true;
            }
            (_, b'\n' | b'\r') => self.end_record(),
            _ => {
                self.at = At::Bare;
                self.begun = true;
            }
        }
    }

    fn end_record(&mut self) {
        let fields = self.fields + 1;
        self.at = At::Field;
        self.fields = 0;
        // Blank lines are no records.
        if !std::mem::take(&mut self.begun) {
            return;
        }
        if self.records == 0 {
            self.header = fields;
        } else if fields != self.header && self.ragged.is_none() {
            self.ragged = Some(self.records);
        }
        self.records += 1;
    }
}

impl<W: Write> Write for Shape<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.into.write(bytes)?;
        self.bytes += written as u64;
        self.digest.update(&bytes[..written]);
        bytes[..written].iter().for_each(|byte| self.take(*byte));
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.into.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(text: &str) -> Result<Vec<u8>, String> {
        let mut shape = Shape::of(Vec::new());
        // In pieces, as it comes.
        for piece in text.as_bytes().chunks(3) {
            shape.write_all(piece).unwrap();
        }
        shape.end().map(|whole| whole.written)
    }

    #[test]
    fn whole_files_pass_unchanged() {
        for text in [
            "",
            "\n",
            "A",
            "A,B\n",
            "A,B\n1,\n,\n",
            "A,B\r\n1,2\r\n\r\n",
            "\"A\",B\n\"x,\"\"\n\"\"\",2\n\"\",3",
            "A\n\"\"\n",
            "A,B\na\"b,2\n\"a\"b,2\n",
        ] {
            assert_eq!(end(text).as_deref(), Ok(text.as_bytes()), "{text:?}");
        }
    }

    #[test]
    fn what_breaks_off_or_is_no_table_is_none() {
        for text in [
            "A,B\n\"1\",\"2",
            "A,B\n1",
            "A,B\n1,2\n3",
            "A\n1,2\n",
            "<html>\n<p>a, b</p>\n",
            "A,B\n1,2,3\n",
        ] {
            assert!(end(text).is_err(), "{text:?}");
        }
        assert_eq!(
            end("A,B\n1,2\n3\n").unwrap_err(),
            "record 2 has another number of fields than the header"
        );
    }
}
