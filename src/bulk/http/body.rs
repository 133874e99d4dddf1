//! Bodies of requests that hold rows: a chunk, serialized while it is sent but of a length known
//! before, and a small one as a form.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use parking_lot::Mutex;

use crate::chunk::Chunk;

/// Bytes that a request has handed to its connection so far.
#[derive(Debug, Clone, Default)]
pub(in crate::bulk) struct Progress(Arc<AtomicU64>);

impl Progress {
    /// The bytes so far.
    pub(in crate::bulk) fn bytes(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn add(&self, bytes: u64) {
        self.0.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// Why a chunk could not be sent: one of the sources of the HTTP client's error.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct BodyError(pub(super) String);

/// The CSV of a chunk. Its exact size is announced, so that `Content-Length` is sent.
pub(super) struct ChunkBody {
    /// The lock is never taken: it makes the iterator `Sync`, which the HTTP client asks for.
    pieces: Mutex<Box<dyn Iterator<Item = Result<Bytes, BodyError>> + Send>>,
    left: u64,
    progress: Progress,
}

impl ChunkBody {
    /// The CSV from its beginning; made anew for each attempt.
    pub(super) fn new(chunk: &Chunk, progress: Progress) -> Self {
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
        let piece = match self.pieces.get_mut().next() {
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
pub(in crate::bulk) struct Form {
    boundary: String,
    body: Bytes,
    csv_bytes: u64,
}

impl Form {
    /// A form of these parts, with a boundary that is in neither.
    pub(in crate::bulk) fn new(job: &str, csv: Vec<u8>) -> Self {
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
        let csv_bytes = csv.len() as u64;
        body.extend(csv);
        body.extend(format!("\r\n--{boundary}--\r\n").into_bytes());
        Self {
            boundary,
            body: body.into(),
            csv_bytes,
        }
    }

    /// Value of the header `Content-Type`.
    pub(super) fn content_type(&self) -> String {
        format!("multipart/form-data; boundary={}", self.boundary)
    }

    /// The form as it is sent.
    pub(super) fn body(&self) -> Bytes {
        self.body.clone()
    }

    /// Length of the part `content`.
    pub(super) fn csv_bytes(&self) -> u64 {
        self.csv_bytes
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
