//! Blocks of bytes -> lines, of which none takes more memory than a record may.

use arrow_salesforce_decode::{LineSplitter, MAX_RECORD_BYTES};

/// So much of a line that is too long is kept.
const KEPT: usize = 64 << 10;

/// A line without its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Line<'a> {
    Whole(&'a [u8]),
    /// The beginning of one that is longer than a record may be, and its length.
    Cut(&'a [u8], u64),
}

/// Puts lines together.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    splitter: LineSplitter,
    /// A line that is too long.
    long: Long,
}

#[derive(Debug, Default)]
struct Long {
    beginning: Vec<u8>,
    /// Bytes so far; 0 if there is no such line.
    length: u64,
    ended: bool,
}

impl Lines {
    /// Adds a block, once no line is left of those before.
    pub(crate) fn push(&mut self, block: &[u8]) {
        if self.splitter.pending().len() > MAX_RECORD_BYTES {
            let mut beginning = self.splitter.take_pending();
            self.long.length = beginning.len() as u64;
            beginning.truncate(KEPT);
            beginning.shrink_to_fit();
            self.long.beginning = beginning;
        }
        if self.long.length == 0 {
            self.splitter.push(block);
            return;
        }
        let end = block.iter().position(|byte| *byte == b'\n');
        self.long.length += end.unwrap_or(block.len()) as u64;
        if let Some(end) = end {
            self.long.ended = true;
            self.splitter.push(block.get(end + 1..).unwrap_or_default());
        }
    }

    /// The next line that has ended.
    pub(crate) fn next(&mut self) -> Option<Line<'_>> {
        match (self.long.length, self.long.ended) {
            (0, _) => self.splitter.next_line().map(Line::Whole),
            (_, true) => Some(self.long.take()),
            (_, false) => None,
        }
    }

    /// At the end of input, after all others: the line that has no end.
    pub(crate) fn finish(&mut self) -> Option<Line<'_>> {
        match self.long.length {
            0 => self.splitter.finish().map(Line::Whole),
            _ => Some(self.long.take()),
        }
    }
}

impl Long {
    fn take(&mut self) -> Line<'_> {
        let length = std::mem::take(&mut self.length);
        self.ended = false;
        Line::Cut(&self.beginning, length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_is_too_long_is_cut() {
        let mut lines = Lines::default();
        lines.push(b"a\n");
        assert_eq!(lines.next(), Some(Line::Whole(b"a")));
        let block = vec![b'x'; MAX_RECORD_BYTES];
        for _ in 0..3 {
            assert_eq!(lines.next(), None);
            lines.push(&block);
        }
        lines.push(b"xx\nb\nc");
        let length = 3 * MAX_RECORD_BYTES as u64 + 2;
        assert_eq!(lines.next(), Some(Line::Cut(&block[..KEPT], length)));
        assert_eq!(lines.next(), Some(Line::Whole(b"b")));
        assert_eq!(lines.next(), None);
        assert_eq!(lines.finish(), Some(Line::Whole(b"c")));
        assert_eq!(lines.finish(), None);
    }

    #[test]
    fn it_may_be_the_last() {
        let mut lines = Lines::default();
        let block = vec![b'x'; MAX_RECORD_BYTES + 1];
        lines.push(&block);
        lines.push(b"y");
        assert_eq!(lines.next(), None);
        let length = MAX_RECORD_BYTES as u64 + 2;
        assert_eq!(lines.finish(), Some(Line::Cut(&block[..KEPT], length)));
        assert_eq!(lines.finish(), None);
    }
}
