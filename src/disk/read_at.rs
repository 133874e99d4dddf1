//! Reads a file from an offset, whatever was read of it before or is at the same time.

use std::fs::File;
use std::io;

/// Fills `buffer` with the bytes that begin at `offset`.
///
/// # Errors
/// [`io::ErrorKind::UnexpectedEof`] if the file ends before; what the system says.
#[cfg(unix)]
pub(crate) fn read_exact_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<()> {
    use std::os::unix::fs::FileExt as _;
    fill(buffer, offset, |into, at| file.read_at(into, at))
}

/// Fills `buffer` with the bytes that begin at `offset`. Moves the file's cursor: nothing may be
/// written to the file any more.
///
/// # Errors
/// [`io::ErrorKind::UnexpectedEof`] if the file ends before; what the system says.
#[cfg(windows)]
pub(crate) fn read_exact_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<()> {
    use std::os::windows::fs::FileExt as _;
    fill(buffer, offset, |into, at| file.seek_read(into, at))
}

/// Calls `read` until `buffer` is full.
fn fill(
    mut buffer: &mut [u8],
    mut offset: u64,
    read: impl Fn(&mut [u8], u64) -> io::Result<usize>,
) -> io::Result<()> {
    while !buffer.is_empty() {
        match read(buffer, offset) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(bytes) => {
                buffer = &mut buffer[bytes..];
                offset += bytes as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::io::Write as _;

    use super::*;

    #[test]
    fn any_part_of_a_file() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"abcdef").unwrap();
        let mut buffer = [0; 3];
        for (offset, expected) in [(2, b"cde"), (0, b"abc"), (3, b"def")] {
            read_exact_at(&file, &mut buffer, offset).unwrap();
            assert_eq!(&buffer, expected);
        }
        let error = read_exact_at(&file, &mut buffer, 4).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        read_exact_at(&file, &mut [], 9).unwrap();
    }

    #[test]
    fn what_comes_in_pieces() {
        let calls = Cell::new(0);
        let read = |into: &mut [u8], offset: u64| {
            calls.set(calls.get() + 1);
            if calls.get() == 2 {
                return Err(io::ErrorKind::Interrupted.into());
            }
            into[0] = offset as u8;
            Ok(1)
        };
        let mut buffer = [0; 3];
        fill(&mut buffer, 7, read).unwrap();
        assert_eq!((buffer, calls.get()), ([7, 8, 9], 4));
    }
}
