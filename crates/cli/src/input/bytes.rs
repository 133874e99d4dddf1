//! The bytes of a file, in order and in bounded memory, no longer compressed.

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;

use arrow_salesforce::object_store::path::Path;
use arrow_salesforce::object_store::{self, GetOptions, GetRange, ObjectStore};
use bytes::Bytes;
use datafusion::datasource::file_format::file_compression_type::FileCompressionType;
use futures::{Stream, StreamExt as _, TryStreamExt as _, stream};
use tokio::runtime::Handle;
use tokio::task::spawn_blocking;

use super::InputError;
use super::file::ByteStream;

/// Bytes that are handed on at once.
const BLOCK: usize = 256 << 10;

/// Bytes of a request to an object store. A request for all would have to last as long as the load.
const RANGE: u64 = 8 << 20;

/// Requests to an object store at once: one is read while the next one comes.
const AHEAD: usize = 2;

/// Opens what is read, on a thread that may block.
type Open = Box<dyn FnOnce() -> io::Result<Box<dyn Read + Send>> + Send>;

/// What is read next.
enum Reading {
    Before(Open),
    Open(Box<dyn Read + Send>),
}

/// The bytes of a file of this machine. `open` proves that it still is what it was.
pub(crate) fn local(
    name: String,
    compression: FileCompressionType,
    open: impl FnOnce() -> io::Result<File> + Send + 'static,
) -> ByteStream {
    blocks(name, Box::new(move || unpack(compression, open()?)))
}

/// The same of bytes that come from elsewhere.
pub(crate) fn unpacked(
    name: String,
    compression: FileCompressionType,
    bytes: ByteStream,
) -> ByteStream {
    if !compression.is_compressed() {
        return bytes;
    }
    let pulled = Pulled {
        bytes,
        runtime: Handle::current(),
        rest: Bytes::new(),
    };
    blocks(name, Box::new(move || unpack(compression, pulled)))
}

/// The bytes of an object, as they are stored. If the store has a name for this content, another
/// content is an error.
pub(crate) fn remote(
    name: String,
    store: Arc<dyn ObjectStore>,
    key: Path,
    size: Option<u64>,
    etag: Option<String>,
) -> ByteStream {
    let get = move |range: Option<GetRange>| {
        let (store, key, name) = (Arc::clone(&store), key.clone(), name.clone());
        let options = GetOptions::new()
            .with_range(range)
            .with_if_match(etag.clone());
        async move {
            let failed = |error| failed(&name, &error);
            let got = store.get_opts(&key, options).await.map_err(failed)?;
            Ok((got, name))
        }
    };
    let Some(size) = size else {
        let all = stream::once(get(None)).map_ok(|(got, name)| {
            let bytes = got.into_stream();
            bytes.map_err(move |error| failed(&name, &error))
        });
        return all.try_flatten().boxed();
    };
    ranges(size)
        .map(move |range| {
            let got = get(Some(range));
            async move {
                let (got, name) = got.await?;
                got.bytes().await.map_err(|error| failed(&name, &error))
            }
        })
        .buffered(AHEAD)
        .boxed()
}

fn ranges(size: u64) -> impl Stream<Item = GetRange> {
    let starts = (0..size).step_by(usize::try_from(RANGE).unwrap_or(usize::MAX));
    stream::iter(starts.map(move |start| GetRange::Bounded(start..size.min(start + RANGE))))
}

/// What a store's error means to a user.
pub(crate) fn failed(name: &str, error: &object_store::Error) -> InputError {
    let reason = match error {
        object_store::Error::NotFound { .. } => return missing(name),
        object_store::Error::Precondition { .. } => CHANGED.to_owned(),
        object_store::Error::PermissionDenied { .. } => {
            "these credentials may not read it".to_owned()
        }
        object_store::Error::Unauthenticated { .. } => {
            "the store does not know these credentials; set those of its environment variables"
                .to_owned()
        }
        other => root_cause(other),
    };
    InputError::Read {
        name: name.to_owned(),
        reason,
    }
}

fn missing(name: &str) -> InputError {
    InputError::Missing {
        name: name.to_owned(),
        reason: "it is not there",
    }
}

/// Why a file that was opened before cannot be read again.
pub(crate) const CHANGED: &str = "it was changed while it was being read; begin again";

/// The last of the causes, which says what happened; those before it say where.
fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

fn unpack(
    compression: FileCompressionType,
    packed: impl Read + Send + 'static,
) -> io::Result<Box<dyn Read + Send>> {
    compression.convert_read(packed).map_err(io::Error::other)
}

/// Reads on threads that may block, a block at a time: none is held between two blocks.
fn blocks(name: String, open: Open) -> ByteStream {
    let name = Arc::new(name);
    stream::try_unfold(Reading::Before(open), move |reading| {
        let name = Arc::clone(&name);
        async move {
            let read = spawn_blocking(move || next_block(reading)).await;
            read.map_err(io::Error::other)
                .flatten()
                .map_err(|error| of_io(&name, error))
        }
    })
    .boxed()
}

fn next_block(reading: Reading) -> io::Result<Option<(Bytes, Reading)>> {
    let mut reader = match reading {
        Reading::Before(open) => open()?,
        Reading::Open(reader) => reader,
    };
    let mut block = Vec::with_capacity(BLOCK);
    reader.by_ref().take(BLOCK as u64).read_to_end(&mut block)?;
    Ok((!block.is_empty()).then(|| (Bytes::from(block), Reading::Open(reader))))
}

/// What an error of reading means to a user.
pub(crate) fn of_io(name: &str, error: io::Error) -> InputError {
    let reason = match error.kind() {
        io::ErrorKind::NotFound => return missing(name),
        io::ErrorKind::PermissionDenied => "you may not read it".to_owned(),
        io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => {
            format!("its compressed bytes are damaged, or its end is missing ({error})")
        }
        _ => match error.downcast::<InputError>() {
            Ok(error) => return error,
            Err(error) => error.to_string(),
        },
    };
    InputError::Read {
        name: name.to_owned(),
        reason,
    }
}

/// A stream that is read on a thread that may block.
struct Pulled {
    bytes: ByteStream,
    runtime: Handle,
    rest: Bytes,
}

impl Read for Pulled {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.rest.is_empty() {
            match self.runtime.block_on(self.bytes.next()) {
                Some(next) => self.rest = next.map_err(io::Error::other)?,
                None => return Ok(0),
            }
        }
        let length = self.rest.len().min(buffer.len());
        self.rest
            .split_to(length)
            .as_ref()
            .read_exact(&mut buffer[..length])?;
        Ok(length)
    }
}

/// Copies bytes into a new file, and gives it its name once it is complete.
pub(crate) async fn keep(mut bytes: ByteStream, to: PathBuf) -> Result<(), InputError> {
    use tokio::io::AsyncWriteExt as _;

    let shown = to.display().to_string();
    let failed = |error| of_io(&shown, error);
    if let Some(directory) = to.parent() {
        tokio::fs::create_dir_all(directory).await.map_err(failed)?;
    }
    let part = to.with_added_extension("part");
    let mut file = tokio::fs::File::create(&part).await.map_err(failed)?;
    while let Some(block) = bytes.try_next().await? {
        file.write_all(&block).await.map_err(failed)?;
    }
    file.sync_all().await.map_err(failed)?;
    tokio::fs::rename(&part, &to).await.map_err(failed)
}
