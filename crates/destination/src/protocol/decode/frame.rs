//! What stands around the data of a record, remembered from one line to the next.
//!
//! A source writes all records of a stream alike: only the data differs, and when it was emitted. So
//! the rest of a line is compared with that of the line before, instead of being read. A line that
//! differs anywhere else is read as if nothing had been remembered.

use std::ops::Range;

use arrow_salesforce_decode::{Cells, Cursor, RowDecoder, Value};

use super::envelope::Record;
use super::meta;

/// Longest text around the data that is remembered, in bytes.
const LONGEST: usize = 4 << 10;

/// While what is remembered is of no use, only one line of so many is remembered instead.
const SELDOM: u32 = 64;

/// The frame of the stream whose records come now.
#[derive(Debug, Default)]
pub(super) struct Frames {
    frame: Option<Frame>,
    /// The stream of the last record that was read without a frame.
    last: Option<usize>,
    /// Lines that the frame was not that of, since it last was.
    misses: u32,
}

impl Frames {
    /// Reads a line as [`Frame::read`] does, if there is a frame.
    #[inline]
    pub(super) fn read<'a>(
        &mut self,
        cursor: &Cursor<'a>,
        rows: &mut [RowDecoder],
        cells: &mut Cells<'a>,
    ) -> Option<Record> {
        let record = self.frame.as_ref()?.read(cursor.clone(), rows, cells);
        self.misses = match record {
            Some(_) => 0,
            None => self.misses.wrapping_add(1),
        };
        record
    }

    /// Remembers a line that was read without a frame, if the next one may well be alike.
    pub(super) fn remember(&mut self, line: &str, record: &Record, places: &Places) {
        let again = self.last.replace(record.stream) == Some(record.stream);
        let of_this_stream =
            (self.frame.as_ref()).is_some_and(|frame| frame.stream == record.stream);
        let useful = !of_this_stream || self.misses % SELDOM == 1;
        if again && useful && record.changes.is_none() {
            self.frame = Frame::of(line, record.stream, places);
        }
    }
}

/// The last record's line without its data.
#[derive(Debug)]
pub(super) struct Frame {
    stream: usize,
    before: Side,
    after: Side,
}

/// Where the parts of a record's line are.
#[derive(Debug)]
pub(super) struct Places {
    pub(super) data: Range<usize>,
    /// The number, if the record has one.
    pub(super) emitted_at: Option<Range<usize>>,
}

/// The text on one side of the data.
#[derive(Debug)]
struct Side {
    text: Box<str>,
    /// What follows the number of `emitted_at`, which stands between the two, if it is on this side.
    rest: Option<Box<str>>,
}

impl Frame {
    /// That of a line that was read to its end, and whose record has no changes.
    pub(super) fn of(line: &str, stream: usize, places: &Places) -> Option<Self> {
        let Range { start, end } = places.data;
        let side = |side: Range<usize>| {
            let Some(number) = (places.emitted_at.as_ref())
                .filter(|number| side.start <= number.start && number.end <= side.end)
            else {
                let text = line.get(side)?.into();
                return Some(Side { text, rest: None });
            };
            Some(Side {
                text: line.get(side.start..number.start)?.into(),
                rest: Some(line.get(number.end..side.end)?.into()),
            })
        };
        if line.len() - (end - start) > LONGEST {
            return None;
        }
        Some(Self {
            stream,
            before: side(0..start)?,
            after: side(end..line.len())?,
        })
    }

    /// Reads a line that differs from the remembered one only in its data and in when it was
    /// emitted; `None` if there is any other difference, or the data cannot be read.
    #[inline]
    pub(super) fn read<'a>(
        &self,
        mut cursor: Cursor<'a>,
        rows: &mut [RowDecoder],
        cells: &mut Cells<'a>,
    ) -> Option<Record> {
        let before = self.before.pass(&mut cursor)?;
        rows.get_mut(self.stream)?.read(&mut cursor, cells).ok()?;
        let after = self.after.pass(&mut cursor)?;
        cursor.end().ok()?;
        Some(Record {
            stream: self.stream,
            emitted_at: before.or(after).and_then(meta::milliseconds),
            changes: None,
        })
    }
}

impl Side {
    /// Goes behind this side, and returns the number of `emitted_at` in it; `None` if the line has
    /// something else here.
    #[inline]
    fn pass<'a>(&self, cursor: &mut Cursor<'a>) -> Option<Option<&'a str>> {
        if !cursor.pass_text(&self.text) {
            return None;
        }
        let Some(rest) = &self.rest else {
            return Some(None);
        };
        match cursor.value() {
            Ok(Value::Word(number)) if cursor.pass_text(rest) => Some(Some(number)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{contacts_and_others, row};
    use super::super::{Line, MessageDecoder};
    use arrow_salesforce::source::{CHANGES, EMITTED_AT};

    fn line(stream: &str, emitted_at: &str, meta: &str) -> String {
        format!(
            r#"{{"type":"RECORD","record":{{"stream":"{stream}","data":{{"Id":"1"}},"emitted_at":{emitted_at}{meta}}}}}"#
        )
    }

    /// Whether the frame of the lines before served for this one.
    fn is_framed(decoder: &mut MessageDecoder, line: &str) -> bool {
        let had_frame = decoder.frames.frame.is_some();
        let found = decoder.line(line.as_bytes());
        assert!(matches!(found, Line::Record { .. }), "{found:?}");
        had_frame && decoder.frames.misses == 0
    }

    #[test]
    fn the_third_line_of_a_kind_is_compared_with_the_second() {
        let mut decoder = contacts_and_others();
        let served: Vec<bool> = ["1700000000001", "1700000000002", "1700000000003", "5.5"]
            .map(|number| is_framed(&mut decoder, &line("contacts", number, "")))
            .to_vec();
        assert_eq!(served, [false, false, true, true]);
        let batch = decoder.flush(0).unwrap();
        let emitted: Vec<String> = (0..4)
            .map(|at| row(&batch, at)[EMITTED_AT].clone())
            .collect();
        let expected = ["1700000000001", "1700000000002", "1700000000003", "5500"];
        assert_eq!(emitted, expected);
    }

    #[test]
    fn streams_in_turn_have_no_frame() {
        let mut decoder = contacts_and_others();
        for _ in 0..4 {
            assert!(!is_framed(&mut decoder, &line("contacts", "5", "")));
            assert!(!is_framed(&mut decoder, &line("others", "5", "")));
        }
        assert!(decoder.frames.frame.is_none());
    }

    #[test]
    fn a_record_with_changes_is_no_frame_and_has_none() {
        let mut decoder = contacts_and_others();
        let changes = r#","meta":{"changes":[{"field":"Id"}]}"#;
        for meta in [changes, changes, changes, "", "", "", changes] {
            decoder.line(line("contacts", "5", meta).as_bytes());
        }
        let batch = decoder.flush(0).unwrap();
        let has: Vec<bool> = (0..7)
            .map(|at| row(&batch, at).contains_key(CHANGES))
            .collect();
        assert_eq!(has, [true, true, true, false, false, false, true]);
    }

    #[test]
    fn a_frame_gives_way_once_lines_are_written_otherwise() {
        let mut decoder = contacts_and_others();
        for _ in 0..3 {
            decoder.line(line("contacts", "5", "").as_bytes());
        }
        let other = line("contacts", "5", r#","x":1"#);
        assert!(!is_framed(&mut decoder, &other));
        assert!(is_framed(&mut decoder, &other));
    }
}
