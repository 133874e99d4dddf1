//! Lines that are longer than a record may be.
//!
//! A record of that length is rejected by its text, which is kept whole as far as memory allows:
//! beyond that its beginning is kept, and the reason says how long it was. A state is kept whole
//! whatever its length, since no state may be left out.

use crate::protocol::Scan;

/// A long line as it comes.
#[derive(Debug)]
pub(super) struct LongLine {
    /// The line, or its beginning if it is cut.
    text: Vec<u8>,
    /// Bytes of the line so far.
    length: u64,
    /// Most bytes of a record that are kept.
    most: usize,
    scan: Scan,
}

impl LongLine {
    /// A line that begins with `text`. Of a record, `most` bytes are kept.
    pub(super) fn new(text: Vec<u8>, most: usize) -> Self {
        let mut scan = Scan::default();
        scan.push(&text);
        Self {
            length: text.len() as u64,
            most,
            scan,
            text,
        }
    }

    /// Takes the next bytes of the line; returns those behind its end, if it ended.
    pub(super) fn push<'a>(&mut self, block: &'a [u8]) -> Option<&'a [u8]> {
        let end = block.iter().position(|byte| *byte == b'\n');
        let own = &block[..end.unwrap_or(block.len())];
        self.scan.push(own);
        self.length += own.len() as u64;
        let room = if self.scan.is_record() {
            self.most.saturating_sub(self.text.len())
        } else {
            own.len()
        };
        // What was left out before leaves a gap: nothing more fits behind it.
        let whole = self.text.len() as u64 + own.len() as u64 == self.length;
        if whole {
            let kept = &own[..room.min(own.len())];
            self.text.reserve_exact(kept.len().max(self.text.len() / 4));
            self.text.extend_from_slice(kept);
        }
        end.map(|end| &block[end + 1..])
    }

    /// Memory that it takes.
    pub(super) fn memory(&self) -> usize {
        self.text.capacity()
    }

    /// The line, if all of it was kept.
    pub(super) fn whole(&self) -> Option<&[u8]> {
        (self.text.len() as u64 == self.length).then(|| {
            let text = self.text.as_slice();
            text.strip_suffix(b"\r").unwrap_or(text)
        })
    }

    /// Its beginning, up to a whole character.
    pub(super) fn beginning(&self) -> &[u8] {
        match std::str::from_utf8(&self.text) {
            Err(error) if error.error_len().is_none() => &self.text[..error.valid_up_to()],
            _ => &self.text,
        }
    }

    /// Bytes of the line.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    pub(super) fn scan(&self) -> &Scan {
        &self.scan
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str, most: usize, blocks: &[&str]) -> LongLine {
        let mut line = LongLine::new(text.into(), most);
        for block in blocks {
            assert_eq!(line.push(block.as_bytes()), None);
        }
        assert_eq!(line.push(b"!\r\nnext"), Some(&b"next"[..]));
        line
    }

    #[test]
    fn of_a_record_the_beginning_is_kept_up_to_a_whole_character() {
        let record = line(r#"{"type":"RECORD","#, 20, &["ab", "äö", "cd"]);
        assert_eq!(record.whole(), None);
        assert_eq!(record.beginning(), br#"{"type":"RECORD",ab"#);
        assert_eq!(record.length(), 17 + 2 + 4 + 2 + 2);
    }

    #[test]
    fn what_fits_and_what_may_be_a_state_is_kept_whole() {
        let record = line(r#"{"type":"RECORD","#, 100, &["ab"]);
        assert_eq!(record.whole(), Some(&br#"{"type":"RECORD",ab!"#[..]));
        let state = line(r#"{"state":"#, 3, &["ab"]);
        assert_eq!(state.whole(), Some(&br#"{"state":ab!"#[..]));
    }
}
