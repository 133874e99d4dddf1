//! Streams that can be read once -> files that can be read as often as needed.

use std::fs::File;
use std::io::{self, IsTerminal as _, Read};
use std::path::{Path, PathBuf};

use super::InputError;
use super::bytes::of_io;
use super::stored::StoredFile;

/// Standard input, copied to this file. If the file is there, it is what standard input was.
///
/// # Errors
/// [`InputError`] if nothing comes, or the copy cannot be written.
pub(crate) async fn stdin(copy: PathBuf) -> Result<StoredFile, InputError> {
    if !copy.exists() && io::stdin().is_terminal() {
        return Err(InputError::Usage(
            "- is standard input, and that is the terminal: send a file to it, or name one"
                .to_owned(),
        ));
    }
    keep("standard input", copy, || Ok(io::stdin())).await
}

/// The same of a pipe that has a path.
///
/// # Errors
/// As [`stdin`].
pub(crate) async fn pipe(path: &Path, copy: PathBuf) -> Result<StoredFile, InputError> {
    let opened = path.to_owned();
    keep(&path.display().to_string(), copy, || File::open(opened)).await
}

async fn keep<R: Read>(
    name: &str,
    copy: PathBuf,
    open: impl FnOnce() -> io::Result<R> + Send + 'static,
) -> Result<StoredFile, InputError> {
    if !copy.exists() {
        // Made before the copy begins: who gives it up deletes what there is, and nothing comes after.
        let part = copy.with_added_extension("part");
        let file = create(&part).map_err(|error| of_io(name, error))?;
        let to = copy.clone();
        let copied = tokio::task::spawn_blocking(move || {
            let mut file = file;
            io::copy(&mut open()?, &mut file)?;
            file.sync_all()?;
            std::fs::rename(part, to)
        });
        let copied = copied.await.map_err(io::Error::other).flatten();
        copied.map_err(|error| of_io(name, error))?;
    }
    StoredFile::of_stream(copy, name).await
}

/// A new file, and the directory that it is in.
fn create(path: &Path) -> io::Result<File> {
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory)?;
    }
    File::create(path)
}
