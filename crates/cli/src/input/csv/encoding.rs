//! Bytes of a file -> UTF-8, and what the whole of them says about their encoding.

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};

/// Bytes that say which encoding it is.
const HEAD: usize = 4;

/// Bytes that windows-1252 leaves undefined.
const UNDEFINED: [u8; 5] = [0x81, 0x8D, 0x8F, 0x90, 0x9D];

/// Turns chunks into UTF-8. Text of an encoding that is neither stated nor marked passes as it is,
/// and is judged.
pub(super) struct Decoder {
    asked: Option<&'static Encoding>,
    /// The first bytes, until there are enough to see a mark.
    head: Option<Vec<u8>>,
    mode: Mode,
    text: String,
    malformed: bool,
}

enum Mode {
    /// As it is: UTF-8 by a mark or by what was asked for.
    Utf8(Evidence),
    /// As it is: some encoding that ASCII is part of.
    Unknown(Evidence),
    Other(Box<encoding_rs::Decoder>),
}

/// What the whole of a file says about its encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The one that was asked for, or that marks and bytes give.
    Is(&'static Encoding),
    /// UTF-8 in some places and not in others.
    Mixed,
    /// Neither UTF-8 nor windows-1252.
    Neither,
    /// The file holds no text.
    Binary,
}

impl std::fmt::Debug for Decoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Decoder")
            .field("asked", &self.asked)
            .finish_non_exhaustive()
    }
}

impl Decoder {
    /// Of text of the encoding asked for; a byte order mark overrules it.
    pub(super) fn new(asked: Option<&'static Encoding>) -> Self {
        Self {
            asked,
            head: Some(Vec::new()),
            mode: Mode::Utf8(Evidence::default()),
            text: String::new(),
            malformed: false,
        }
    }

    /// Appends what a chunk, or the end of the file, adds to the text.
    pub(super) fn decode(&mut self, chunk: &[u8], last: bool, out: &mut Vec<u8>) {
        let Some(mut head) = self.head.take() else {
            return self.pass(chunk, last, out);
        };
        head.extend_from_slice(chunk);
        if head.len() < HEAD && !last {
            self.head = Some(head);
            return;
        }
        let mark = self.choose(&head);
        self.pass(&head[mark..], last, out);
    }

    /// Whether bytes were found that are not of the encoding; where it is not UTF-8, a `U+FFFD` stands
    /// in their place.
    pub(super) fn malformed(&self) -> bool {
        match &self.mode {
            Mode::Utf8(evidence) => evidence.other,
            Mode::Unknown(_) | Mode::Other(_) => self.malformed,
        }
    }

    /// The encoding, once the last chunk is decoded.
    pub(super) fn verdict(&self) -> Verdict {
        match &self.mode {
            Mode::Utf8(_) => Verdict::Is(UTF_8),
            Mode::Other(decoder) => Verdict::Is(decoder.encoding()),
            Mode::Unknown(evidence) => evidence.verdict(),
        }
    }

    /// Chooses the encoding by the first bytes, and returns how many of them are its mark.
    fn choose(&mut self, head: &[u8]) -> usize {
        let marked = Encoding::for_bom(head);
        let encoding = marked.map(|(encoding, _)| encoding).or(self.asked);
        let encoding = encoding.or(match head {
            // The name of a column begins with a letter that one byte has.
            [0, letter, ..] if *letter != 0 => Some(UTF_16BE),
            [letter, 0, ..] if *letter != 0 => Some(UTF_16LE),
            _ => None,
        });
        self.mode = match encoding {
            None => Mode::Unknown(Evidence::default()),
            Some(encoding) if encoding == UTF_8 => Mode::Utf8(Evidence::default()),
            Some(encoding) => Mode::Other(Box::new(encoding.new_decoder_without_bom_handling())),
        };
        marked.map_or(0, |(_, length)| length)
    }

    fn pass(&mut self, chunk: &[u8], last: bool, out: &mut Vec<u8>) {
        match &mut self.mode {
            Mode::Utf8(evidence) | Mode::Unknown(evidence) => {
                evidence.add(chunk, last);
                out.extend_from_slice(chunk);
            }
            Mode::Other(decoder) => {
                self.text.clear();
                let most = decoder.max_utf8_buffer_length(chunk.len());
                self.text.reserve(most.unwrap_or(chunk.len() * 3 + 16));
                let (_, _, replaced) = decoder.decode_to_string(chunk, &mut self.text, last);
                self.malformed |= replaced;
                out.extend_from_slice(self.text.as_bytes());
            }
        }
    }
}

/// What was seen in text of an unknown encoding.
#[derive(Debug, Default)]
struct Evidence {
    /// The beginning of a character whose end is in the next chunk.
    carried: Vec<u8>,
    /// Characters of UTF-8 past ASCII.
    utf8: bool,
    /// Bytes that are no UTF-8.
    other: bool,
    undefined: bool,
}

impl Evidence {
    fn add(&mut self, chunk: &[u8], last: bool) {
        if self.carried.is_empty() && chunk.is_ascii() {
            return;
        }
        self.undefined |= chunk.iter().any(|byte| UNDEFINED.contains(byte));
        let mut bytes = std::mem::take(&mut self.carried);
        bytes.extend_from_slice(chunk);
        let mut rest = bytes.as_slice();
        loop {
            let Err(error) = std::str::from_utf8(rest) else {
                self.utf8 |= !rest.is_ascii();
                return;
            };
            let (valid, invalid) = rest.split_at(error.valid_up_to());
            self.utf8 |= !valid.is_ascii();
            match error.error_len() {
                Some(length) => {
                    self.other = true;
                    rest = &invalid[length..];
                }
                None => {
                    self.other |= last;
                    self.carried = invalid.to_vec();
                    return;
                }
            }
        }
    }

    fn verdict(&self) -> Verdict {
        match self {
            Self { other: false, .. } => Verdict::Is(UTF_8),
            Self { utf8: true, .. } => Verdict::Mixed,
            Self {
                undefined: true, ..
            } => Verdict::Neither,
            _ => Verdict::Is(WINDOWS_1252),
        }
    }
}
