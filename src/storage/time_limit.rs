//! How long a request may take: by its size, since a slow network is no broken one. A response may take
//! as long as it moves.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use object_store::client::{HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpResponseBody};
use tokio::time::{Instant, Sleep, sleep, timeout};

/// Longest time in which nothing moves: of a request that was sent and has no response, and between two
/// pieces of a response.
const IDLE: Duration = Duration::from_secs(30);

/// A request is slower than the slowest network that is waited for: a part of an object takes 160 s then,
/// so that patience is left to send it again.
const BYTES_PER_SECOND: u64 = 32 << 10;

/// How long it may take to send so many bytes and to receive the head of the response.
fn time_for(bytes: u64, idle: Duration) -> Duration {
    idle + Duration::from_secs(bytes / BYTES_PER_SECOND)
}

/// Sends a request by `execute`, which has no time limit, and gives it and its response up once they take
/// too long.
pub(super) async fn in_time<F>(
    request: HttpRequest,
    execute: impl FnOnce(HttpRequest) -> F,
) -> Result<HttpResponse, HttpError>
where
    F: Future<Output = Result<HttpResponse, HttpError>>,
{
    let limit = time_for(request.body().content_length() as u64, IDLE);
    match timeout(limit, execute(request)).await {
        Ok(response) => Ok(response?.map(|body| SlowBody::of(body, IDLE))),
        Err(_) => Err(too_long(format!("no response for {} s", limit.as_secs()))),
    }
}

fn too_long(reason: String) -> HttpError {
    let error = io::Error::new(io::ErrorKind::TimedOut, reason);
    HttpError::new(HttpErrorKind::Timeout, error)
}

/// The body of a response, which may take as long as it moves.
struct SlowBody {
    body: HttpResponseBody,
    idle: Duration,
    /// Until then something must come.
    end: Pin<Box<Sleep>>,
}

impl SlowBody {
    fn of(body: HttpResponseBody, idle: Duration) -> HttpResponseBody {
        HttpResponseBody::new(Self {
            body,
            idle,
            end: Box::pin(sleep(idle)),
        })
    }
}

impl Body for SlowBody {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        let idle = self.idle;
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) {
            self.end.as_mut().reset(Instant::now() + idle);
            return Poll::Ready(frame);
        }
        let end = self.end.as_mut().poll(cx);
        let reason = || format!("nothing came for {} s", idle.as_secs());
        end.map(|()| Some(Err(too_long(reason()))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt as _, StreamBody};
    use tokio::sync::mpsc;

    use super::*;
    use crate::storage::PART_BYTES;

    #[test]
    fn a_request_has_the_time_that_a_slow_network_needs() {
        assert_eq!(time_for(1_000, IDLE), IDLE);
        let part = time_for(PART_BYTES as u64, IDLE);
        // At 1 MB a second, shared by as many as 25.
        assert!(part > Duration::from_secs(5 * 25) + IDLE, "{part:?}");
        assert!(part < Duration::from_secs(300), "{part:?}");
    }

    #[tokio::test]
    async fn a_response_takes_as_long_as_it_moves() {
        const PIECES: u32 = 5;
        let between = Duration::from_millis(400);
        let (sender, mut receiver) = mpsc::channel(1);
        let sending = tokio::spawn(async move {
            for _ in 0..PIECES {
                let frame = Ok(Frame::data(Bytes::from_static(b"x")));
                sender.send(frame).await.unwrap();
                sleep(between).await;
            }
            sender
        });
        let pieces = futures::stream::poll_fn(move |cx| receiver.poll_recv(cx));
        let body = HttpResponseBody::new(StreamBody::new(pieces));
        // Shorter than all pauses.
        let mut body = SlowBody::of(body, between * 3);
        for _ in 0..PIECES {
            body.frame().await.unwrap().unwrap();
        }
        let _open = sending.await.unwrap();
        let error = body.frame().await.unwrap().unwrap_err();
        assert_eq!(error.kind(), HttpErrorKind::Timeout);
    }
}
