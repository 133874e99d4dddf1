//! A file that is written once and then read, in memory as long as it is small.
//!
//! Where the disk takes no more, all of it stays in memory, compressed: the text of a result file
//! then takes a tenth of its length.

use std::fs::File;
use std::io::{self, Cursor, Read, Seek, SeekFrom, Write};

use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;

use super::Disk;

/// Bytes that are kept in memory as they are.
const MEMORY_BYTES: usize = 4 << 20;

/// Bytes that are compressed at once.
const BLOCK_BYTES: usize = 1 << 20;

/// Bytes that are written, then read from the beginning.
#[derive(Debug)]
pub(crate) struct Spool {
    disk: Disk,
    place: Place,
}

#[derive(Debug)]
enum Place {
    Memory(Cursor<Vec<u8>>),
    Disk { file: File, length: u64 },
    Packed(Packed),
}

/// Compressed blocks, and the one that is being written or read.
#[derive(Debug, Default)]
struct Packed {
    blocks: Vec<Vec<u8>>,
    open: Vec<u8>,
    /// The block to be read next; the open one comes last.
    next: usize,
    reading: Cursor<Vec<u8>>,
}

impl Spool {
    /// An empty one, which goes to `disk` when it is large.
    pub(crate) fn new(disk: Disk) -> Self {
        Self {
            disk,
            place: Place::Memory(Cursor::default()),
        }
    }

    /// Moves what outgrew the memory to the disk.
    fn grow(&mut self) -> io::Result<()> {
        let Place::Memory(memory) = &mut self.place else {
            return Ok(());
        };
        let bytes = std::mem::take(memory).into_inner();
        if let Some(mut file) = self.disk.file() {
            match file.write_all(&bytes) {
                Ok(()) => {
                    let length = bytes.len() as u64;
                    self.place = Place::Disk { file, length };
                    return Ok(());
                }
                Err(error) => self.disk.failed(&error),
            }
        }
        let mut packed = Packed::default();
        packed.write(&bytes)?;
        self.place = Place::Packed(packed);
        Ok(())
    }

    /// Takes back from the disk what it holds, since it takes no more.
    fn take_back(&mut self) -> io::Result<()> {
        let Place::Disk { file, length } = &mut self.place else {
            return Ok(());
        };
        file.rewind()?;
        let mut packed = Packed::default();
        let copied = io::copy(&mut file.take(*length), &mut Packing(&mut packed))?;
        if copied < *length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.place = Place::Packed(packed);
        Ok(())
    }
}

impl Write for Spool {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Place::Memory(memory) = &mut self.place {
            if memory.get_ref().len() + bytes.len() <= MEMORY_BYTES {
                return memory.write(bytes);
            }
            self.grow()?;
        }
        if let Place::Disk { file, length } = &mut self.place {
            match file.write_all(bytes) {
                Ok(()) => {
                    *length += bytes.len() as u64;
                    return Ok(bytes.len());
                }
                Err(error) => {
                    self.disk.failed(&error);
                    self.take_back()?;
                }
            }
        }
        if let Place::Packed(packed) = &mut self.place {
            packed.write(bytes)?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for Spool {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match &mut self.place {
            Place::Memory(memory) => memory.read(into),
            Place::Disk { file, .. } => file.read(into),
            Place::Packed(packed) => packed.read(into),
        }
    }
}

impl Seek for Spool {
    /// To the beginning alone.
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        if to != SeekFrom::Start(0) {
            return Err(io::ErrorKind::Unsupported.into());
        }
        match &mut self.place {
            Place::Memory(memory) => memory.set_position(0),
            Place::Disk { file, .. } => file.rewind()?,
            Place::Packed(packed) => {
                packed.next = 0;
                packed.reading = Cursor::default();
            }
        }
        Ok(0)
    }
}

impl Packed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        for piece in bytes.chunks(BLOCK_BYTES) {
            self.open.extend_from_slice(piece);
            if self.open.len() >= BLOCK_BYTES {
                let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
                encoder.write_all(&self.open)?;
                self.blocks.push(encoder.finish()?);
                self.open.clear();
            }
        }
        Ok(())
    }

    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = self.reading.read(into)?;
            if read > 0 || into.is_empty() || self.next > self.blocks.len() {
                return Ok(read);
            }
            let mut block = Vec::new();
            match self.blocks.get(self.next) {
                Some(packed) => {
                    DeflateDecoder::new(packed.as_slice()).read_to_end(&mut block)?;
                }
                None => block.clone_from(&self.open),
            }
            self.next += 1;
            self.reading = Cursor::new(block);
        }
    }
}

/// Writes into compressed blocks.
struct Packing<'a>(&'a mut Packed);

impl Write for Packing<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::testing;

    /// Text of so many bytes, each line another.
    fn text(length: usize) -> Vec<u8> {
        let lines = (0..).flat_map(|line: u64| format!("line {line}\n").into_bytes());
        lines.take(length).collect()
    }

    fn spooled(disk: Disk, text: &[u8]) -> Spool {
        let mut spool = Spool::new(disk);
        for piece in text.chunks(100_000) {
            spool.write_all(piece).unwrap();
        }
        for _ in 0..2 {
            spool.rewind().unwrap();
            let mut read = Vec::new();
            spool.read_to_end(&mut read).unwrap();
            assert!(read == text, "{} of {} bytes", read.len(), text.len());
        }
        spool
    }

    #[test]
    fn what_is_written_is_read_wherever_it_is() {
        let disk = || Disk::of(tempfile::tempfile);
        for length in [0, 1, MEMORY_BYTES, MEMORY_BYTES + 1, 3 * MEMORY_BYTES] {
            let text = text(length);
            let small = length <= MEMORY_BYTES;
            assert_eq!(
                matches!(spooled(disk(), &text).place, Place::Memory(_)),
                small
            );
            let packed = matches!(spooled(testing::absent(), &text).place, Place::Packed(_));
            assert_eq!(packed, !small);
            #[cfg(target_os = "linux")]
            spooled(testing::full(), &text);
        }
    }

    #[test]
    fn a_disk_that_fills_up_gives_back_what_it_has() {
        let text = text(3 * MEMORY_BYTES);
        let mut spool = Spool::new(Disk::of(tempfile::tempfile));
        let (first, rest) = text.split_at(2 * MEMORY_BYTES);
        spool.write_all(first).unwrap();
        spool.take_back().unwrap();
        spool.write_all(rest).unwrap();
        let Place::Packed(packed) = &spool.place else {
            panic!("{:?}", spool.place);
        };
        let memory: usize = packed.blocks.iter().map(Vec::len).sum();
        assert!(memory < text.len() / 2, "{memory} bytes");
        spool.rewind().unwrap();
        let mut read = Vec::new();
        spool.read_to_end(&mut read).unwrap();
        assert!(read == text);
    }
}
