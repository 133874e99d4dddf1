//! Blocks of bytes, as they come from a pipe -> lines.

use memchr::memchr;

/// Above this a buffer that has been used up is given back.
const KEPT_BYTES: usize = 1 << 20;

/// Longest record, in bytes of its line: 8 MiB. Salesforce takes 400,000 characters, and a longer
/// line would take several times its length of memory before that is found.
pub const MAX_RECORD_BYTES: usize = 8 << 20;

const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// Puts lines together from blocks of any size.
///
/// ```
/// use arrow_salesforce_decode::LineSplitter;
///
/// let mut lines = LineSplitter::default();
/// lines.push(b"one\r\ntw");
/// assert_eq!(lines.next_line(), Some(&b"one"[..]));
/// assert_eq!(lines.next_line(), None);
/// lines.push(b"o\nthree");
/// assert_eq!(lines.next_line(), Some(&b"two"[..]));
/// assert_eq!(lines.finish(), Some(&b"three"[..]));
/// ```
#[derive(Debug, Default)]
pub struct LineSplitter {
    buffer: Vec<u8>,
    /// Where the first line not yet given out starts.
    start: usize,
    /// Up to here the buffer is known to hold no newline after `start`.
    searched: usize,
}

impl LineSplitter {
    /// Adds a block. Take its lines with [`Self::next_line`] before the next one, or they pile up.
    pub fn push(&mut self, block: &[u8]) {
        if self.start == self.buffer.len() && self.buffer.capacity() > KEPT_BYTES {
            self.buffer = Vec::new();
        } else {
            self.buffer.drain(..self.start);
        }
        self.searched -= self.start;
        self.start = 0;
        self.buffer.extend_from_slice(block);
    }

    /// The next complete line without its line end (`\n` or `\r\n`); none if more is needed.
    pub fn next_line(&mut self) -> Option<&[u8]> {
        let rest = self.buffer.get(self.searched..)?;
        let Some(length) = memchr(b'\n', rest) else {
            self.searched = self.buffer.len();
            return None;
        };
        let end = self.searched + length;
        let line = self.buffer.get(self.start..end)?;
        self.start = end + 1;
        self.searched = self.start;
        Some(bare(line))
    }

    /// The bytes of the line that has not ended yet.
    pub fn pending(&self) -> &[u8] {
        self.buffer.get(self.start..).unwrap_or_default()
    }

    /// Takes those bytes out, for a caller that follows a long line by itself: what is pushed next
    /// begins behind the line.
    pub fn take_pending(&mut self) -> Vec<u8> {
        let mut buffer = std::mem::take(&mut self.buffer);
        let mark = buffer.get(self.start..).unwrap_or_default();
        let mark = usize::from(mark.starts_with(BYTE_ORDER_MARK)) * BYTE_ORDER_MARK.len();
        buffer.drain(..self.start + mark);
        (self.start, self.searched) = (0, 0);
        buffer
    }

    /// Memory that the buffer takes.
    pub fn memory(&self) -> usize {
        self.buffer.capacity()
    }

    /// At the end of input, after the last complete line: the line that has no newline.
    pub fn finish(&mut self) -> Option<&[u8]> {
        let line = self.buffer.get(self.start..)?;
        self.start = self.buffer.len();
        self.searched = self.start;
        (!line.is_empty()).then(|| bare(line))
    }
}

/// A line without the mark that some editors put before UTF-8, and without the rest of `\r\n`.
fn bare(line: &[u8]) -> &[u8] {
    let line = line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn split(blocks: &[&[u8]]) -> Vec<Vec<u8>> {
        let mut splitter = LineSplitter::default();
        let mut lines = Vec::new();
        for block in blocks {
            splitter.push(block);
            while let Some(line) = splitter.next_line() {
                lines.push(line.to_vec());
            }
        }
        lines.extend(splitter.finish().map(<[u8]>::to_vec));
        assert_eq!(splitter.finish(), None);
        lines
    }

    #[test]
    fn one_carriage_return_belongs_to_the_line_end() {
        assert_eq!(
            split(&[b"a\r\r\n\nb\r"]),
            [b"a\r".to_vec(), b"".to_vec(), b"b".to_vec()]
        );
        assert!(split(&[b""]).is_empty());
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_a_line() {
        assert_eq!(
            split(&["\u{feff}a\u{feff}\r\n\u{feff}".as_bytes()]),
            ["a\u{feff}".as_bytes().to_vec(), b"".to_vec()]
        );
    }

    #[test]
    fn a_long_line_is_given_back_to_the_system() {
        let mut splitter = LineSplitter::default();
        for _ in 0..32 {
            splitter.push(&[b'x'; 1 << 16]);
            assert_eq!(splitter.next_line(), None);
        }
        splitter.push(b"\n");
        assert_eq!(splitter.next_line().unwrap().len(), 2 << 20);
        splitter.push(b"y\n");
        assert_eq!(splitter.next_line(), Some(&b"y"[..]));
        assert!(splitter.buffer.capacity() < KEPT_BYTES);
    }

    #[test]
    fn a_line_that_has_not_ended_can_be_taken_out() {
        let mut splitter = LineSplitter::default();
        splitter.push("one\n\u{feff}tw".as_bytes());
        assert_eq!(splitter.next_line(), Some(&b"one"[..]));
        assert_eq!(splitter.next_line(), None);
        assert_eq!(splitter.pending(), "\u{feff}tw".as_bytes());
        assert_eq!(splitter.take_pending(), b"tw");
        assert_eq!((splitter.pending(), splitter.memory()), (&b""[..], 0));
        splitter.push(b"three\n");
        assert_eq!(splitter.next_line(), Some(&b"three"[..]));
        assert_eq!(splitter.finish(), None);
    }

    proptest! {
        #[test]
        fn any_blocks_give_the_same_lines(
            text in "[ab\r\n]{0,80}|[a-f]{50,90}\n[a-f\n]{0,90}",
            cuts in prop::collection::vec(0_usize..180, 0..8),
        ) {
            let text = text.as_bytes();
            let mut expected: Vec<&[u8]> = text.split(|byte| *byte == b'\n').collect();
            if expected.last().is_some_and(|last| last.is_empty()) {
                expected.pop();
            }
            let expected: Vec<_> = expected
                .into_iter()
                .map(|line| line.strip_suffix(b"\r").unwrap_or(line))
                .collect();
            let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
            cuts.push(text.len());
            cuts.sort_unstable();
            let mut start = 0;
            let blocks: Vec<&[u8]> = cuts
                .into_iter()
                .map(|cut| {
                    let block = &text[start..cut];
                    start = cut;
                    block
                })
                .collect();
            prop_assert_eq!(split(&blocks), expected);
        }
    }
}
