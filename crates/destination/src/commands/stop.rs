//! How the process is asked to end, and by when it has ended.
//!
//! A thread of its own hears the signals, so that nothing that hangs makes it deaf. The first signal
//! asks whatever runs to end. The process exits at the second, and when the grace is over.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::signals::Signals;
use crate::protocol::message::Message;
use crate::protocol::output::Output;
use arrow_salesforce::error::{Error, Result};
use arrow_salesforce::options::Waits;

/// How long what is half done may go on before anything is loaded: a login, which may return a new
/// refresh token, or a test object that would be left behind.
const HALF_DONE: Duration = Duration::from_secs(2);

/// How long the last words of a process may take, where the grace allows it.
const LAST_WORDS: Duration = Duration::from_millis(300);

/// Shortest time between the first signal and the exit: what is known is still said.
const SHORTEST: Duration = Duration::from_secs(1);

/// Whether the process was asked to end.
#[derive(Debug, Clone)]
pub(super) struct Stop(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    asked: CancellationToken,
    grace: Mutex<Duration>,
    asked_at: Mutex<Option<Instant>>,
}

impl Stop {
    /// Hears signals from now on.
    ///
    /// # Errors
    /// A system error if the system lets nobody hear them.
    pub(super) fn listen(output: &Output) -> Result<Self> {
        let shared = Arc::new(Shared {
            asked: CancellationToken::new(),
            grace: Mutex::new(Waits::default().stop_grace),
            asked_at: Mutex::default(),
        });
        let deaf = |error: std::io::Error| {
            Error::system(format!("signals cannot be heard: {error}")).with_source(error)
        };
        let runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = { runtime }.enable_all().build().map_err(deaf)?;
        let signals = {
            let _within = runtime.enter();
            Signals::listen().map_err(deaf)?
        };
        let (of_thread, output) = (Arc::clone(&shared), output.clone());
        std::thread::Builder::new()
            .name("signals".to_owned())
            .spawn(move || runtime.block_on(of_thread.hear(signals, &output)))
            .map_err(deaf)?;
        Ok(Self(shared))
    }

    /// Sets how long after the first signal the process is there at most.
    pub(super) fn set_grace(&self, grace: Duration) {
        *self.0.grace.lock() = grace;
    }

    /// How long that is.
    pub(super) fn grace(&self) -> Duration {
        *self.0.grace.lock()
    }

    /// Whether it was asked to end.
    pub(super) fn is_asked(&self) -> bool {
        self.0.asked.is_cancelled()
    }

    /// Waits until it is.
    pub(super) async fn asked(&self) {
        self.0.asked.cancelled().await;
    }

    /// What `work` comes to, unless the process is asked to end first: then the work is dropped.
    ///
    /// # Errors
    /// A transient error that says so.
    pub(super) async fn unless_asked<T>(&self, work: impl Future<Output = T>) -> Result<T> {
        tokio::select! {
            biased;
            () = self.asked() => Err(asked_early()),
            done = work => Ok(done),
        }
    }

    /// As [`Stop::unless_asked`], for work that is better not left half done: it has a moment to end.
    ///
    /// # Errors
    /// As [`Stop::unless_asked`].
    pub(super) async fn unless_asked_for_long<T>(
        &self,
        work: impl Future<Output = T>,
    ) -> Result<T> {
        let mut work = std::pin::pin!(work);
        tokio::select! {
            biased;
            () = self.asked() => {}
            done = &mut work => return Ok(done),
        }
        let _ = timeout(HALF_DONE, work).await;
        Err(asked_early())
    }

    /// What `work` comes to, if that is before the last moment in which something can be said. `None`
    /// if not; `patience` is the time where nobody asked for an end.
    pub(super) async fn in_time<T>(
        &self,
        patience: Duration,
        work: impl Future<Output = T>,
    ) -> Option<T> {
        let late = async {
            tokio::select! {
                () = sleep(patience) => {}
                () = self.asked() => {
                    let asked_at = self.0.asked_at.lock().unwrap_or_else(Instant::now);
                    let (until, words) = exit(self.grace());
                    let last = asked_at + until - words;
                    sleep(last.saturating_duration_since(Instant::now())).await;
                }
            }
        };
        tokio::select! {
            done = work => Some(done),
            () = late => None,
        }
    }
}

impl Shared {
    /// The first signal, and what comes after it: the exit of the process.
    async fn hear(&self, mut signals: Signals, output: &Output) {
        signals.next().await;
        *self.asked_at.lock() = Some(Instant::now());
        self.asked.cancel();
        let (until, words) = exit(*self.grace.lock());
        let error = tokio::select! {
            () = signals.next() => asked_twice(),
            () = sleep(until) => grace_is_over(),
        };
        output.last_words(&Message::error(&error, None));
        output.written_within(words);
        std::process::exit(1);
    }
}

/// How long after the first signal the process says its last words, and how long these may take: it
/// exits a little before the grace is over, as others count.
fn exit(grace: Duration) -> (Duration, Duration) {
    let grace = grace.max(SHORTEST);
    let words = (grace / 20).min(LAST_WORDS);
    (grace - 2 * words, words)
}

fn asked_early() -> Error {
    Error::transient("the process was stopped by a signal before it had read a record")
}

fn asked_twice() -> Error {
    Error::transient(
        "a second signal came, so the process ended at once. Jobs that Salesforce has go on, and their \
         records may be loaded; the next sync starts at the last state that was printed, and sends \
         the records after it again",
    )
}

fn grace_is_over() -> Error {
    Error::transient(
        "the process was stopped by a signal, and not all had ended within stop_grace_seconds. Jobs \
         that Salesforce has go on, and their records may be loaded; the next sync starts at the \
         last state that was printed, and sends the records after it again",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_is_within_the_grace() {
        let of = |seconds| {
            let (until, words) = exit(Duration::from_secs(seconds));
            (until.as_millis(), words.as_millis())
        };
        assert_eq!(
            [of(0), of(2), of(20)],
            [(900, 50), (1_800, 100), (19_400, 300)]
        );
    }
}
