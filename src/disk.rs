//! Temporary files, as long as there is room for them on disk.
//!
//! A disk that is full, or not there, ends nothing: what would have gone there stays in memory, and
//! reading waits instead.

mod read_at;
mod spool;

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

pub(crate) use read_at::read_exact_at;
pub(crate) use spool::Spool;

/// After a failure the disk is left alone this long: by then, files of ours may be gone.
const PAUSE: Duration = Duration::from_secs(60);

/// Where temporary files come from. Clones are the same disk.
#[derive(Debug, Clone)]
pub(crate) struct Disk {
    open: fn() -> io::Result<File>,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// When it failed last.
    failed: Option<Instant>,
    warned: bool,
}

impl Disk {
    /// The disk of the directory for temporary files, the same for all of the process.
    pub(crate) fn shared() -> Self {
        static SHARED: std::sync::LazyLock<Disk> =
            std::sync::LazyLock::new(|| Disk::of(tempfile::tempfile));
        SHARED.clone()
    }

    /// A disk whose files `open` makes.
    pub(crate) fn of(open: fn() -> io::Result<File>) -> Self {
        Self {
            open,
            state: Arc::default(),
        }
    }

    /// Whether files can be made, as far as is known.
    pub(crate) fn is_there(&self) -> bool {
        let failed = self.state.lock().failed;
        failed.is_none_or(|failed| failed.elapsed() >= PAUSE)
    }

    /// A new file without a name, so that nothing stays behind however the process ends; none while
    /// there is no disk.
    pub(crate) fn file(&self) -> Option<File> {
        if !self.is_there() {
            return None;
        }
        (self.open)().map_err(|error| self.failed(&error)).ok()
    }

    /// A file of this disk could not be made or written.
    pub(crate) fn failed(&self, error: &io::Error) {
        let mut state = self.state.lock();
        state.failed = Some(Instant::now());
        if !std::mem::replace(&mut state.warned, true) {
            tracing::warn!(
                %error,
                "a temporary file could not be written: rows stay in memory, and reading waits when \
                 that is used up. Give the directory of TMPDIR more space, or raise \
                 memory_limit_bytes"
            );
        }
    }
}

/// Disks that fail.
#[cfg(test)]
pub(crate) mod testing {
    use super::{Disk, File, io};

    /// No file can be made.
    pub(crate) fn absent() -> Disk {
        Disk::of(|| Err(io::ErrorKind::NotFound.into()))
    }

    /// Files can be made, but nothing can be written.
    #[cfg(target_os = "linux")]
    pub(crate) fn full() -> Disk {
        Disk::of(|| {
            let mut options = File::options();
            options.read(true).write(true).open("/dev/full")
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn a_disk_that_failed_is_left_alone_for_a_while() {
        let disk = testing::absent();
        assert!(disk.file().is_none());
        assert!(disk.state.lock().warned);
        let disk = Disk::of(tempfile::tempfile);
        disk.file().unwrap().write_all(b"x").unwrap();
        disk.failed(&io::ErrorKind::StorageFull.into());
        assert!(disk.file().is_none(), "for all who share it");
        let long_ago = Instant::now().checked_sub(PAUSE);
        disk.state.lock().failed = long_ago;
        assert!(disk.file().is_some() || long_ago.is_none());
    }
}
