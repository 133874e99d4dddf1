//! The one way to stdout: a queue of lines, and a thread that writes them.
//!
//! A reader that does not read holds up the thread alone: whoever prints goes on, so that signals are
//! heard and jobs are followed. What may be long waits for [`Output::room`] first; lines of the log
//! are left out where nobody reads them.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, BufWriter, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use tokio::sync::Notify;

use super::message::Message;
use arrow_salesforce::error::{Error, Result};

/// Bytes that may wait when one more message is printed by who waits for room.
const ROOM: usize = 64 << 10;

/// Bytes beyond which lines of the log are left out.
const LOG_ROOM: usize = 1 << 20;

/// Bytes of a line that may come behind those for which its memory grew.
const SPARE: usize = 1 << 10;

/// Lines on their way to stdout, each whole: those of several threads never mix.
#[derive(Clone)]
pub(crate) struct Output(Arc<Handle>);

/// The last one gone, the thread ends.
struct Handle(Arc<Shared>);

struct Shared {
    queue: Mutex<Queue>,
    /// Who writes has it; never asked for by who has the queue.
    writer: Mutex<BufWriter<Box<dyn Write + Send>>>,
    /// A line came, or none will.
    filled: Condvar,
    /// Lines were written, or cannot be.
    emptied: Condvar,
    emptied_async: Notify,
}

#[derive(Default)]
struct Queue {
    lines: VecDeque<Line>,
    /// Bytes of lines that are not written yet, those in hand of the thread included.
    bytes: usize,
    /// Bytes of all lines that ever came.
    came: u64,
    /// Lines of the log that were left out since the last one.
    left_out: u64,
    /// Stdout is closed.
    closed: Option<String>,
    /// A message, not of the log, could not be written.
    lost: bool,
    /// The last words were said: nothing is printed behind them.
    said: bool,
    ended: bool,
}

struct Line {
    text: Vec<u8>,
    is_log: bool,
}

/// A message as it is to be printed, made before.
#[derive(Debug)]
pub(crate) struct Prepared(Vec<u8>);

impl Prepared {
    /// # Errors
    /// A system error if it is no JSON.
    pub(crate) fn new(message: &Message<'_>) -> Result<Self> {
        // Messages are made of texts, numbers and JSON that was read before.
        let mut line = Exact::default();
        serde_json::to_writer(&mut line, message).map_err(|error| {
            Error::system("a message could not be printed as JSON").with_source(error)
        })?;
        line.0.push(b'\n');
        Ok(Self(line.0))
    }
}

impl Queue {
    /// Fails if nobody reads stdout any more: what was to be printed now is lost.
    fn takes_messages(&mut self) -> Result<()> {
        let Some(reason) = &self.closed else {
            return Ok(());
        };
        self.lost = true;
        Err(closed(reason))
    }

    /// So many bytes are written, or stdout is closed: then all that waits is lost.
    fn written(&mut self, bytes: usize, written: &io::Result<()>) {
        self.bytes = self.bytes.saturating_sub(bytes);
        if let Err(error) = written {
            self.lost |= self.lines.iter().any(|line| !line.is_log);
            self.closed = Some(error.to_string());
            self.lines.clear();
            self.bytes = 0;
        }
    }
}

/// Bytes that grow by little more than what comes: doubled, a long state would take twice its length.
#[derive(Default)]
struct Exact(Vec<u8>);

impl Write for Exact {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.capacity() - self.0.len() < bytes.len() {
            self.0.reserve_exact(bytes.len() + SPARE);
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Output {
    /// Writes to the process's stdout.
    ///
    /// # Errors
    /// A system error if the thread cannot be started.
    pub(crate) fn stdout() -> Result<Self> {
        Self::to(io::stdout())
    }

    /// Writes to `writer`.
    ///
    /// # Errors
    /// As [`Output::stdout`].
    pub(crate) fn to(writer: impl Write + Send + 'static) -> Result<Self> {
        let shared = Arc::new(Shared {
            queue: Mutex::default(),
            writer: Mutex::new(BufWriter::with_capacity(ROOM, Box::new(writer))),
            filled: Condvar::new(),
            emptied: Condvar::new(),
            emptied_async: Notify::new(),
        });
        let of_thread = Arc::clone(&shared);
        std::thread::Builder::new()
            .name("print".to_owned())
            .spawn(move || of_thread.write())
            .map_err(|error| {
                let text = format!("the thread that prints cannot be started: {error}");
                Error::system(text).with_source(error)
            })?;
        Ok(Self(Arc::new(Handle(shared))))
    }

    /// Prints a message as one line, soon.
    ///
    /// # Errors
    /// A transient error if nobody reads stdout any more.
    pub(crate) fn print(&self, message: &Message<'_>) -> Result<()> {
        self.print_in(&mut self.shared().queue.lock(), message)
    }

    /// Prints a line of text, where no platform reads.
    ///
    /// # Errors
    /// As [`Output::print`].
    pub(crate) fn text(&self, line: &str) -> Result<()> {
        let mut queue = self.shared().queue.lock();
        queue.takes_messages()?;
        let text = format!("{line}\n").into_bytes();
        self.push_line(&mut queue, Prepared(text), false);
        Ok(())
    }

    /// Prints messages, one behind the other, before it returns, by the thread that calls it. Whoever
    /// prints has waited until all before them is written ([`Output::caught_up`]), and is on a runtime of
    /// several threads.
    ///
    /// # Errors
    /// As [`Output::print`].
    pub(crate) fn print_at_once(&self, messages: &[Prepared]) -> Result<()> {
        let shared = self.shared();
        let bytes: usize = messages.iter().map(|Prepared(text)| text.len()).sum();
        {
            let mut queue = shared.queue.lock();
            queue.takes_messages()?;
            if queue.said {
                return Ok(());
            }
            queue.bytes += bytes;
            queue.came += bytes as u64;
        }
        let written = tokio::task::block_in_place(|| {
            shared.write_lines(messages.iter().map(|Prepared(text)| text.as_slice()))
        });
        let mut queue = shared.queue.lock();
        queue.written(bytes, &written);
        shared.emptied.notify_all();
        shared.emptied_async.notify_waiters();
        queue.takes_messages()
    }

    /// Prints the error that ends the process, and nothing behind it: whoever comes first says why.
    pub(crate) fn last_words(&self, message: &Message<'_>) {
        let mut queue = self.shared().queue.lock();
        // If stdout is closed, the exit code is all that is left to say it with.
        let _ = self.print_in(&mut queue, message);
        queue.said = true;
    }

    fn print_in(&self, queue: &mut Queue, message: &Message<'_>) -> Result<()> {
        queue.takes_messages()?;
        self.push(queue, message, false);
        Ok(())
    }

    /// Prints a line of the log, unless many lines wait already.
    pub(crate) fn log(&self, level: &'static str, text: &str) {
        let mut queue = self.shared().queue.lock();
        if queue.closed.is_some() {
            return;
        }
        if queue.bytes > LOG_ROOM {
            queue.left_out += 1;
            return;
        }
        let left_out = std::mem::take(&mut queue.left_out);
        if left_out > 0 {
            let text = format!("{left_out} lines of the log were left out, since nobody read them");
            self.push(&mut queue, &Message::log("WARN", &text), true);
        }
        self.push(&mut queue, &Message::log(level, text), true);
    }

    fn shared(&self) -> &Shared {
        &self.0.0
    }

    fn push(&self, queue: &mut Queue, message: &Message<'_>, is_log: bool) {
        match Prepared::new(message) {
            Ok(line) => self.push_line(queue, line, is_log),
            Err(_) => queue.lost |= !is_log,
        }
    }

    fn push_line(&self, queue: &mut Queue, Prepared(text): Prepared, is_log: bool) {
        if queue.said {
            return;
        }
        queue.bytes += text.len();
        queue.came += text.len() as u64;
        queue.lines.push_back(Line { text, is_log });
        self.shared().filled.notify_one();
    }

    /// Waits until few lines wait to be written.
    pub(crate) async fn room(&self) {
        self.until(|queue| queue.bytes <= ROOM).await;
    }

    /// Waits until all is written that was printed before this was called.
    ///
    /// # Errors
    /// A transient error if nobody reads stdout any more.
    pub(crate) async fn caught_up(&self) -> Result<()> {
        let came = self.shared().queue.lock().came;
        self.until(|queue| queue.came - queue.bytes as u64 >= came)
            .await;
        let mut queue = self.shared().queue.lock();
        queue.takes_messages()
    }

    /// Waits until all is written.
    ///
    /// # Errors
    /// A transient error if a message could not be.
    pub(crate) async fn written(&self) -> Result<()> {
        self.until(|queue| queue.bytes == 0).await;
        let queue = self.shared().queue.lock();
        match &queue.closed {
            Some(reason) if queue.lost => Err(closed(reason)),
            _ if queue.lost => Err(Error::system("a message could not be printed as JSON")),
            _ => Ok(()),
        }
    }

    /// Waits until all is written, at most for some time, where no runtime is.
    pub(crate) fn written_within(&self, time: Duration) {
        let deadline = Instant::now() + time;
        let mut queue = self.shared().queue.lock();
        while queue.bytes > 0 && queue.closed.is_none() {
            if self
                .shared()
                .emptied
                .wait_until(&mut queue, deadline)
                .timed_out()
            {
                return;
            }
        }
    }

    async fn until(&self, holds: impl Fn(&Queue) -> bool) {
        loop {
            let changed = self.shared().emptied_async.notified();
            {
                let queue = self.shared().queue.lock();
                if queue.closed.is_some() || holds(&queue) {
                    return;
                }
            }
            changed.await;
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.0.queue.lock().ended = true;
        self.0.filled.notify_one();
    }
}

impl Shared {
    /// Writes lines, and nothing between them.
    fn write_lines<'a>(&self, mut lines: impl Iterator<Item = &'a [u8]>) -> io::Result<()> {
        let mut writer = self.writer.lock();
        lines
            .try_for_each(|line| writer.write_all(line))
            .and_then(|()| writer.flush())
    }

    /// Writes lines as they come.
    fn write(&self) {
        loop {
            let lines = {
                let mut queue = self.queue.lock();
                while queue.lines.is_empty() && !queue.ended {
                    self.filled.wait(&mut queue);
                }
                std::mem::take(&mut queue.lines)
            };
            if lines.is_empty() {
                return;
            }
            let has_message = lines.iter().any(|line| !line.is_log);
            let bytes: usize = lines.iter().map(|line| line.text.len()).sum();
            let written = self.write_lines(lines.iter().map(|line| line.text.as_slice()));
            drop(lines);
            let mut queue = self.queue.lock();
            queue.lost |= has_message && written.is_err();
            queue.written(bytes, &written);
            let closed = queue.closed.is_some();
            drop(queue);
            self.emptied.notify_all();
            self.emptied_async.notify_waiters();
            if closed {
                return;
            }
        }
    }
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Output").finish_non_exhaustive()
    }
}

fn closed(reason: &str) -> Error {
    Error::transient(format!(
        "stdout could not be written ({reason}): the platform stopped reading messages. The next \
         sync begins at the last state that the platform has received"
    ))
}

/// Writers that tests read back.
#[cfg(test)]
pub(crate) mod testing {
    use super::*;

    #[derive(Debug, Clone, Default)]
    pub(crate) struct Buffer(Arc<Mutex<Vec<u8>>>);

    impl Buffer {
        /// How many lines were written so far.
        pub(crate) fn lines(&self) -> usize {
            let newlines = |bytes: &[u8]| bytes.iter().filter(|byte| **byte == b'\n').count();
            newlines(&self.0.lock())
        }

        /// All that was printed.
        pub(crate) fn text(&self, output: &Output) -> String {
            output.written_within(Duration::from_secs(60));
            String::from_utf8(self.0.lock().clone()).unwrap()
        }
    }

    impl Write for Buffer {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use arrow_salesforce::error::ErrorKind;

    use super::*;

    struct Closed;

    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Takes nothing before it may.
    struct Blocked(std::sync::mpsc::Receiver<()>);

    impl Write for Blocked {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.0.recv();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn status() -> Message<'static> {
        Message::ConnectionStatus {
            connection_status: crate::protocol::message::ConnectionStatus::Succeeded,
        }
    }

    #[tokio::test]
    async fn a_closed_stdout_is_an_error_of_messages_and_not_of_the_log() {
        let output = Output::to(Closed).unwrap();
        output.log("INFO", "hello");
        output.written().await.unwrap();
        let error = output.print(&status()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Transient);
        output.written().await.unwrap_err();

        let output = Output::to(Closed).unwrap();
        output.print(&status()).unwrap();
        output.written().await.unwrap_err();
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn what_is_printed_at_once_is_written_then() {
        let buffer = testing::Buffer::default();
        let output = Output::to(buffer.clone()).unwrap();
        output.print(&status()).unwrap();
        output.caught_up().await.unwrap();
        let lines = [(); 3].map(|()| Prepared::new(&status()).unwrap());
        output.print_at_once(&lines).unwrap();
        assert_eq!(buffer.lines(), 4);
        output.last_words(&status());
        output.print_at_once(&lines).unwrap();
        output.written().await.unwrap();
        assert_eq!(buffer.lines(), 5);

        let output = Output::to(Closed).unwrap();
        output.print_at_once(&lines).unwrap_err();
        output.print(&status()).unwrap_err();
        output.written().await.unwrap_err();
    }

    #[tokio::test]
    async fn what_was_printed_before_is_waited_for_and_nothing_else() {
        let (reader, blocked) = std::sync::mpsc::channel();
        let output = Output::to(Blocked(blocked)).unwrap();
        output.print(&status()).unwrap();
        let caught_up = output.caught_up();
        tokio::pin!(caught_up);
        let waited = tokio::time::timeout(Duration::from_millis(20), &mut caught_up).await;
        waited.unwrap_err();
        output.log("INFO", "printed later");
        reader.send(()).unwrap();
        caught_up.await.unwrap();
        assert!(output.shared().queue.lock().bytes > 0);
        drop(reader);
        output.written().await.unwrap();

        let output = Output::to(Closed).unwrap();
        output.print(&status()).unwrap();
        output.caught_up().await.unwrap_err();
    }

    #[tokio::test]
    async fn who_prints_does_not_wait_for_who_reads() {
        let (reader, blocked) = std::sync::mpsc::channel();
        let output = Output::to(Blocked(blocked)).unwrap();
        let line = "x".repeat(LOG_ROOM / 8);
        for _ in 0..100 {
            output.log("INFO", &line);
        }
        output.print(&status()).unwrap();
        assert!(output.shared().queue.lock().bytes < 2 * LOG_ROOM);
        let room = output.room();
        tokio::pin!(room);
        let waited = tokio::time::timeout(Duration::from_millis(20), &mut room).await;
        waited.unwrap_err();
        drop(reader);
        room.await;
        output.written().await.unwrap();
        output.log("INFO", "read again");
        assert_eq!(output.shared().queue.lock().left_out, 0);
    }
}
