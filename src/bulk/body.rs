//! Bodies of requests that hold rows: a chunk that is serialized while it is sent, of a length
//! known before, and a small one as a form.

use std::fmt;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::chunk::Chunk;

/// Bytes that a request has handed to its connection so far.
#[derive(Debug, Clone, Default)]
pub(crate) struct Progress(Arc<AtomicU64>);

impl Progress {
    /// The bytes so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn add(&self, bytes: u64) {
        self.0.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// Why a chunk could not be sent, as found in the sources of the HTTP client's error.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct BodyError(pub(crate) String);

/// The CSV of a chunk. Its exact size is announced, so that `Content-Length` is sent.
pub(crate) struct ChunkBody {
    /// The mutex is never locked: it makes the iterator `Sync`, which the HTTP client asks for.
    pieces: Mutex<Box<dyn Iterator<Item = Result<Bytes, BodyError>> + Send>>,
    left: u64,
    progress: Progress,
}

impl ChunkBody {
    /// The CSV from its beginning; called again for each try.
    pub(crate) fn new(chunk: &Chunk, progress: Progress) -> Self {
        let pieces = chunk
            .csv()
            .map(|piece| piece.map_err(|error| BodyError(error.to_string())));
        Self::of(pieces, chunk.bytes(), progress)
    }

    fn of(
        pieces: impl Iterator<Item = Result<Bytes, BodyError>> + Send + 'static,
        bytes: u64,
        progress: Progress,
    ) -> Self {
        Self {
            pieces: Mutex::new(Box::new(pieces)),
            left: bytes,
            progress,
        }
    }

    fn next(&mut self) -> Option<Result<Bytes, BodyError>> {
        let pieces = self
            .pieces
            .get_mut()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let piece = match pieces.next() {
            Some(Ok(piece)) => piece,
            Some(Err(error)) => return Some(Err(error)),
            None if self.left > 0 => {
                let error = format!("{} bytes fewer than announced", self.left);
                self.left = 0;
                return Some(Err(BodyError(error)));
            }
            None => return None,
        };
        let length = piece.len() as u64;
        let Some(left) = self.left.checked_sub(length) else {
            return Some(Err(BodyError("more bytes than announced".to_owned())));
        };
        self.left = left;
        self.progress.add(length);
        Some(Ok(piece))
    }
}

impl Body for ChunkBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        Poll::Ready(self.get_mut().next().map(|piece| piece.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

/// The form that creates a job with its data: the parts `job` (JSON) and `content` (CSV).
pub(crate) struct Form {
    boundary: String,
    body: Bytes,
    csv: Bytes,
}

impl Form {
    /// A form of these parts, with a boundary that is in neither.
    pub(crate) fn new(job: &str, csv: Vec<u8>) -> Self {
        let boundary = loop {
            let boundary = format!("{:032x}", fastrand::u128(..));
            let line = boundary.as_bytes();
            if !csv.windows(line.len()).any(|window| window == line) && !job.contains(&boundary) {
                break boundary;
            }
        };
        let mut body = format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"job\"\r\n\
             Content-Type: application/json\r\n\r\n{job}\r\n\
             --{boundary}\r\nContent-Disposition: form-data; name=\"content\"; \
             filename=\"content\"\r\nContent-Type: text/csv\r\n\r\n"
        )
        .into_bytes();
        let start = body.len();
        body.extend(csv);
        let end = body.len();
        body.extend(format!("\r\n--{boundary}--\r\n").into_bytes());
        let body = Bytes::from(body);
        Self {
            boundary,
            csv: body.slice(start..end),
            body,
        }
    }

    /// Value of the header `Content-Type`.
    pub(crate) fn content_type(&self) -> String {
        format!("multipart/form-data; boundary={}", self.boundary)
    }

    /// The form as it is sent.
    pub(crate) fn body(&self) -> Bytes {
        self.body.clone()
    }

    /// The part `content`.
    pub(crate) fn csv(&self) -> Bytes {
        self.csv.clone()
    }
}

impl fmt::Debug for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Form").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    async fn sent(pieces: &'static [&str], bytes: u64) -> Result<Bytes, BodyError> {
        let pieces = pieces.iter().map(|piece| Ok(Bytes::from(*piece)));
        let body = ChunkBody::of(pieces, bytes, Progress::default());
        assert_eq!(body.size_hint().exact(), Some(bytes));
        Ok(body.collect().await?.to_bytes())
    }

    #[tokio::test]
    async fn the_length_is_kept() {
        assert_eq!(sent(&["ab", "", "c"], 3).await.unwrap(), "abc");
        assert_eq!(sent(&[], 0).await.unwrap(), "");
        let error = sent(&["ab"], 3).await.unwrap_err();
        assert_eq!(error.to_string(), "1 bytes fewer than announced");
        let error = sent(&["ab", "cd"], 3).await.unwrap_err();
        assert_eq!(error.to_string(), "more bytes than announced");
    }
}
