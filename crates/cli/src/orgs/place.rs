//! The folder of the file: where it is, who may read it, and how it is written.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use etcetera::{BaseStrategy as _, choose_base_strategy};

/// The folder, in place of the platform's own.
const HOME: &str = "ARROW_SALESFORCE_HOME";

/// The folder of settings of this user.
///
/// # Errors
/// If the user has no home.
pub(super) fn folder() -> io::Result<PathBuf> {
    if let Some(home) = std::env::var_os(HOME).filter(|home| !home.is_empty()) {
        return std::path::absolute(home);
    }
    let places = choose_base_strategy().map_err(|_| {
        io::Error::other(format!(
            "this user has no home folder; set {HOME} to a folder for it"
        ))
    })?;
    Ok(places.config_dir().join("arrow-salesforce"))
}

/// Makes the folder, for this user alone.
///
/// # Errors
/// If that fails.
pub(super) fn make(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

/// Waits until no other process has the lock; it is held until the file is dropped.
///
/// # Errors
/// If there can be no lock.
pub(super) fn lock(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(path)?;
    file.lock()?;
    Ok(file)
}

/// The bytes of a file, and nothing if it is not there. One that others may read is closed to them.
///
/// # Errors
/// If it cannot be read.
pub(super) fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let others = fs::metadata(path)?.permissions().mode() & 0o077;
        if others != 0 {
            fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
            tracing::warn!(
                file = %path.display(),
                "others could read the tokens of your orgs; the file is closed to them now. Log out and \
                 in again where somebody may have read it"
            );
        }
    }
    Ok(Some(bytes))
}

/// Puts a file of this user alone in the place of the old one, at once.
///
/// # Errors
/// If it cannot be written; the old one is as it was.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    // A file that is a link stays one.
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let folder = path.parent().unwrap_or(Path::new("."));
    // Such files are made with the mode 0600.
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(&path).map_err(|error| error.error)?;
    #[cfg(unix)]
    File::open(folder)?.sync_all()?;
    Ok(())
}
