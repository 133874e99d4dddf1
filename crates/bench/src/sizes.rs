//! How files of rejected rows grow while a loader runs: of a file that is appended to, its rows are
//! there from different moments on.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Folders below a folder that are looked into.
pub(crate) const DEPTH: usize = 16;

/// Lengths of files, and when they were seen, in milliseconds since 1970.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sizes(BTreeMap<PathBuf, Vec<(u64, u64)>>);

impl Sizes {
    /// Notes how long all files below a folder are at a moment.
    pub(crate) fn note(&mut self, folder: &Path, at: u64) {
        let mut files = Vec::new();
        below(folder, DEPTH, &mut files);
        for (path, length) in files {
            let seen = self.0.entry(path).or_default();
            if seen.last().is_none_or(|last| last.1 != length) {
                seen.push((at, length));
            }
        }
    }

    /// What a second run noted, behind the first.
    pub(crate) fn extend(&mut self, other: Self) {
        for (path, seen) in other.0 {
            self.0.entry(path).or_default().extend(seen);
        }
    }

    /// The first moment at which a file was known to be so long; nothing if it never was.
    pub(crate) fn reached(&self, path: &Path, length: u64) -> Option<u64> {
        let seen = self.0.get(path)?;
        let first = seen.iter().find(|(_, seen)| *seen >= length)?;
        Some(first.0)
    }
}

/// Regular files below a folder, with their lengths. Links are not followed.
fn below(folder: &Path, depth: usize, files: &mut Vec<(PathBuf, u64)>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let Ok(kind) = entry.file_type() else {
            continue;
        };
        if kind.is_dir() && depth > 0 {
            below(&entry.path(), depth - 1, files);
        } else if kind.is_file()
            && let Ok(metadata) = entry.metadata()
        {
            files.push((entry.path(), metadata.size()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_there_once_their_file_is_long_enough() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/rejects.csv");
        fs::create_dir(folder.path().join("a")).unwrap();
        std::os::unix::fs::symlink(".", folder.path().join("loop")).unwrap();
        let mut sizes = Sizes::default();
        for (at, text) in [(10, "one"), (20, "one"), (30, "one, two")] {
            fs::write(&path, text).unwrap();
            sizes.note(folder.path(), at);
        }
        let reached = [0, 3, 4, 8, 9].map(|length| sizes.reached(&path, length));
        assert_eq!(reached, [Some(10), Some(10), Some(30), Some(30), None]);
    }
}
