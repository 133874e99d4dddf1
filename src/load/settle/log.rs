//! Records that are sorted into parts as they come: on disk, or in memory where there is none.

use std::fs::File;
use std::io::Write as _;

use datafusion::execution::memory_pool::MemoryReservation;

use crate::disk::{Disk, read_exact_at};
use crate::error::Result;
use crate::load::LoadError;
use crate::load::org::RowsError;

/// Bytes of a part that are put away at once.
pub(super) const BLOCK_BYTES: usize = 16 << 10;

/// Bytes that are added to parts in turn, and read back a part at a time.
#[derive(Debug)]
pub(super) struct Log {
    parts: Vec<Part>,
    disk: Disk,
    /// None before the first block, and where there is no disk.
    file: Option<File>,
    /// Bytes in the file; none if no more goes there.
    end: Option<u64>,
    memory: MemoryReservation,
}

#[derive(Debug, Default)]
struct Part {
    kept: Vec<Block>,
    open: Vec<u8>,
}

#[derive(Debug)]
enum Block {
    OnDisk { offset: u64, length: usize },
    InMemory(Vec<u8>),
}

impl Log {
    /// Nothing in so many parts; what is not on `disk` yet takes `most` bytes, and what cannot go there
    /// takes `memory` whether or not there is room.
    pub(super) fn new(disk: &Disk, memory: MemoryReservation, parts: usize, most: usize) -> Self {
        memory.grow(most.min(parts * BLOCK_BYTES));
        Self {
            parts: (0..parts).map(|_| Part::default()).collect(),
            disk: disk.clone(),
            end: Some(0),
            file: None,
            memory,
        }
    }

    /// Adds a record to a part.
    pub(super) fn push(&mut self, part: usize, record: &[u8]) {
        let open = &mut self.parts[part].open;
        open.extend_from_slice(record);
        if open.len() + record.len() > BLOCK_BYTES {
            let block = std::mem::replace(open, Vec::with_capacity(BLOCK_BYTES));
            let block = match self.write(&block) {
                Some(offset) => Block::OnDisk {
                    offset,
                    length: block.len(),
                },
                None => {
                    self.memory.grow(block.len());
                    Block::InMemory(block)
                }
            };
            self.parts[part].kept.push(block);
        }
    }

    /// Where in the file the block is; none if it cannot be there.
    fn write(&mut self, block: &[u8]) -> Option<u64> {
        let offset = self.end?;
        if self.file.is_none() {
            self.file = self.disk.file();
        }
        let Some(mut file) = self.file.as_ref() else {
            self.end = None;
            return None;
        };
        if let Err(error) = file.write_all(block) {
            self.disk.failed(&error);
            self.end = None;
            return None;
        }
        self.end = Some(offset + block.len() as u64);
        Some(offset)
    }

    /// All records of a part.
    ///
    /// # Errors
    /// A transient error if they cannot be read back.
    pub(super) fn read(&self, part: usize) -> Result<Vec<u8>> {
        let part = &self.parts[part];
        let mut bytes = Vec::new();
        for block in &part.kept {
            match block {
                Block::InMemory(block) => bytes.extend_from_slice(block),
                Block::OnDisk { offset, length } => {
                    let from = bytes.len();
                    bytes.resize(from + length, 0);
                    if let Some(file) = &self.file {
                        let read = read_exact_at(file, &mut bytes[from..], *offset);
                        read.map_err(|error| LoadError::from(RowsError::from(error)))?;
                    }
                }
            }
        }
        bytes.extend_from_slice(&part.open);
        Ok(bytes)
    }
}
