//! The temporary files that rows are moved to.

use std::fs::File;
use std::io::Write as _;
use std::sync::Arc;

use crate::disk::Disk;

/// Bytes after which a file takes no more: its room on disk is given back when the last rows in it
/// have their end, and a process may only have so many files open.
const FILE_BYTES: u64 = 64 << 20;

/// Writes one temporary file after the other.
#[derive(Debug)]
pub(crate) struct Spill {
    disk: Disk,
    file: Option<(Arc<File>, u64)>,
}

impl Spill {
    /// Nothing yet; files will be on `disk`.
    pub(crate) fn new(disk: Disk) -> Self {
        Self { disk, file: None }
    }

    /// Writes `bytes`; returns the file they are in, and from where on. None while the disk takes no
    /// more.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Option<(Arc<File>, u64)> {
        let (file, offset) = match self.file.take() {
            // One that nobody reads any more only takes room.
            Some((file, end)) if end < FILE_BYTES && Arc::strong_count(&file) > 1 => (file, end),
            _ => (Arc::new(self.disk.file()?), 0),
        };
        if let Err(error) = (&*file).write_all(bytes) {
            self.disk.failed(&error);
            return None;
        }
        self.file = Some((Arc::clone(&file), offset + bytes.len() as u64));
        Some((file, offset))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_used_until_it_is_full_or_nobody_reads_it() {
        let mut spill = Spill::new(Disk::shared());
        let (first, offset) = spill.write(b"abc").unwrap();
        let (second, behind) = spill.write(b"de").unwrap();
        assert!(Arc::ptr_eq(&first, &second));
        assert_eq!((offset, behind), (0, 3));
        spill.file = Some((Arc::clone(&first), FILE_BYTES));
        let (other, offset) = spill.write(b"f").unwrap();
        assert!(!Arc::ptr_eq(&first, &other));
        assert_eq!(offset, 0);
        drop(other);
        assert_eq!(spill.write(b"g").unwrap().1, 0, "a new file");
    }
}
