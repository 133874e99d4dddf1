//! The thread that decodes: lines of the input -> the streams that they are about.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::time::Duration;

use serde::de::IgnoredAny;
use tokio::runtime::Handle;

use super::long::LongLine;
use super::read::Block;
use super::reading::{Reading, Stop};
use super::stream::InputStream;
use crate::failure::Failure;
use crate::protocol::{
    Line, MessageDecoder, MessageType, Scope, State, StreamDescriptor, StreamStatus,
};
use arrow_salesforce::error::{Error, Result};
use arrow_salesforce::load::Feed;
use arrow_salesforce::load::Reservation;
use arrow_salesforce_decode::{LineSplitter, MAX_RECORD_BYTES};

/// A record that came is sent on after this time at the latest, full batch or not.
const FLUSH_AFTER: Duration = Duration::from_secs(1);

/// A platform that ends a sync signals this process and closes its stdin at about the same time:
/// after an end that comes too early, this long is waited for the signal.
const SIGNAL_GRACE: Duration = Duration::from_millis(500);

/// Memory that a state takes in each stream that it waits for, roughly.
const CHECKPOINT_BYTES: usize = 160;

/// Garbage lines that are logged one by one; further ones are only counted.
const GARBAGE_LOGGED: u64 = 10;

/// Brings each message where it belongs: records to the feed of their stream, states to those that
/// wait. It has a thread of its own.
#[derive(Debug)]
pub(super) struct Router {
    decoder: MessageDecoder,
    streams: Vec<InputStream>,
    reading: Arc<Reading>,
    runtime: Handle,
    lines: LineSplitter,
    /// A line longer than a record may be, while it comes.
    long: Option<LongLine>,
    /// Memory of lines and rows that are not sent on yet.
    held: Option<Reservation>,
    /// Most that rows not sent on yet may take.
    most_held: usize,
    /// States that are kept take so much that they must go out before more is read.
    no_room: bool,
    /// Whether the states that came stand for all streams; unknown before the first.
    of_all: Option<bool>,
    next_state: u64,
    garbage: u64,
}

impl Router {
    /// For the streams of `decoder`, in its order.
    ///
    /// # Panics
    /// Outside of a runtime, which the loads need.
    pub(super) fn new(
        decoder: MessageDecoder,
        streams: Vec<InputStream>,
        reading: Arc<Reading>,
    ) -> Self {
        let feed = streams.iter().find_map(|stream| stream.feed.as_ref());
        Self {
            held: feed.map(Feed::hold),
            most_held: feed.map_or(usize::MAX, Feed::most_held),
            decoder,
            streams,
            reading,
            runtime: Handle::current(),
            lines: LineSplitter::default(),
            long: None,
            no_room: false,
            of_all: None,
            next_state: 0,
            garbage: 0,
        }
    }

    /// After the input's own end, good or bad, what came of it is loaded: its states are worth
    /// having. When asked to stop, feeds are dropped, and rows that are in no job are given up.
    pub(super) fn run(
        mut self,
        blocks: &Receiver<Block>,
        spares: &SyncSender<Vec<u8>>,
    ) -> Option<Failure> {
        let failure = match self.read(blocks, spares) {
            Ok(()) => {
                let unfinished = self.unfinished();
                if unfinished.is_none() || !self.stopped_within(SIGNAL_GRACE) {
                    self.finish();
                }
                unfinished
            }
            Err(Stop::Failure(failure)) => {
                self.finish();
                Some(failure)
            }
            Err(Stop::Asked) => None,
        };
        self.report();
        failure
    }

    fn stopped_within(&self, time: Duration) -> bool {
        let stop = &self.reading.stop;
        self.runtime
            .block_on(async { tokio::time::timeout(time, stop.cancelled()).await.is_ok() })
    }

    /// Sends on all that came, and ends the loads.
    fn finish(&mut self) {
        for index in 0..self.streams.len() {
            if self.flush(index).is_err() {
                return;
            }
            let Some(feed) = self.streams[index].feed.take() else {
                continue;
            };
            if self.runtime.block_on(feed.finish()).is_err() {
                return;
            }
        }
    }

    /// Reads until the end of the input.
    fn read(&mut self, blocks: &Receiver<Block>, spares: &SyncSender<Vec<u8>>) -> Result<(), Stop> {
        while !self.reading.stop.is_cancelled() {
            match self.next_block(blocks) {
                Some(Block::Bytes(buffer, length)) => {
                    let read = self.block(buffer.get(..length).unwrap_or_default());
                    // The other side may have ended.
                    let _ = spares.try_send(buffer);
                    read?;
                }
                Some(Block::End(end)) => {
                    self.end_of_input()?;
                    return end.map_err(|error| {
                        let message = format!("stdin cannot be read: {error}");
                        Failure::from(Error::transient(message).with_source(error)).into()
                    });
                }
                Some(Block::Wake) | None => {}
            }
            self.flush_due()?;
        }
        Err(Stop::Asked)
    }

    /// Takes the lines that end in a block.
    fn block(&mut self, block: &[u8]) -> Result<(), Stop> {
        let rest = match &mut self.long {
            None => Some(block),
            Some(long) => long.push(block),
        };
        if let Some(rest) = rest {
            if let Some(long) = self.long.take() {
                self.long_line(&long)?;
                // A long state is not held twice while it waits.
                drop(long);
                self.count_held();
                self.make_room()?;
            }
            self.lines.push(rest);
            self.whole_lines()?;
        }
        self.account()
    }

    fn whole_lines(&mut self) -> Result<(), Stop> {
        // Apart from the router while its lines are taken, which borrow it.
        let mut lines = std::mem::take(&mut self.lines);
        while let Some(line) = lines.next_line() {
            self.line(line)?;
            self.make_room()?;
        }
        if lines.pending().len() > MAX_RECORD_BYTES {
            let most = self.most_held.max(MAX_RECORD_BYTES);
            self.long = Some(LongLine::new(lines.take_pending(), most));
        }
        self.lines = lines;
        Ok(())
    }

    fn long_line(&mut self, long: &LongLine) -> Result<(), Stop> {
        if let Some(line) = long.whole() {
            return self.line(line);
        }
        let length = long.length();
        let found = self.decoder.cut_line(long.beginning(), long.scan(), length);
        self.found(found, length)
    }

    fn end_of_input(&mut self) -> Result<(), Stop> {
        if let Some(long) = self.long.take() {
            return match long.whole() {
                Some(line) => self.last_line(line),
                None if long.scan().is_whole() => self.long_line(&long),
                None => self.torn(),
            };
        }
        let mut lines = std::mem::take(&mut self.lines);
        lines.finish().map_or(Ok(()), |line| self.last_line(line))
    }

    /// Counts what is held of the input, and sends the largest batches on while it is too much.
    fn account(&mut self) -> Result<(), Stop> {
        let mut rows: usize = self.count_held();
        if rows <= self.most_held {
            return Ok(());
        }
        let streams = 0..self.streams.len();
        let mut largest: Vec<_> = streams
            .map(|index| (self.decoder.memory(index), index))
            .collect();
        largest.sort_unstable();
        while rows > self.most_held / 2
            && let Some((bytes, index)) = largest.pop()
        {
            self.flush(index)?;
            rows = rows.saturating_sub(bytes);
        }
        self.count_held();
        Ok(())
    }

    /// Reserves what is held of the input; returns how much of it is rows.
    fn count_held(&mut self) -> usize {
        let rows = (0..self.streams.len()).map(|index| self.decoder.memory(index));
        let rows = rows.sum();
        let long = self.long.as_ref().map_or(0, LongLine::memory);
        if let Some(held) = &mut self.held {
            held.resize(rows + long + self.lines.memory());
        }
        rows
    }

    /// The next block; none if a batch is due before one comes.
    fn next_block(&self, blocks: &Receiver<Block>) -> Option<Block> {
        let oldest = self.streams.iter().filter_map(|stream| stream.since).min();
        let Some(since) = oldest else {
            return Some(blocks.recv().unwrap_or(Block::End(Ok(()))));
        };
        match blocks.recv_timeout(FLUSH_AFTER.saturating_sub(since.elapsed())) {
            Ok(block) => Some(block),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => Some(Block::End(Ok(()))),
        }
    }

    /// A line without a line end. If it is torn, no state covers it, and the next sync brings it
    /// whole: it is no rejected record.
    fn last_line(&mut self, line: &[u8]) -> Result<(), Stop> {
        let torn = serde_json::from_slice::<IgnoredAny>(line).is_err();
        if torn && !line.trim_ascii().is_empty() {
            return self.torn();
        }
        self.line(line)
    }

    fn torn(&mut self) -> Result<(), Stop> {
        self.garbage("the input ended within a line")
    }

    fn line(&mut self, line: &[u8]) -> Result<(), Stop> {
        let found = self.decoder.line(line);
        self.found(found, line.len() as u64)
    }

    /// What a line of so many bytes was.
    fn found(&mut self, found: Line<'_>, length: u64) -> Result<(), Stop> {
        match found {
            Line::Record { stream, full } => self.record(stream, length, full),
            Line::Message(line, MessageType::State) => self.state(line),
            Line::Message(line, MessageType::Trace) => self.trace(line),
            Line::Message(_, kind) => {
                tracing::debug!(?kind, "a message that means nothing to a destination");
                Ok(())
            }
            Line::UnknownStream { name, namespace } => {
                let stream = StreamDescriptor { name, namespace };
                Err(not_in_catalog("record", &stream).into())
            }
            Line::Garbage { reason } => self.garbage(reason),
            Line::Blank => Ok(()),
        }
    }

    /// Counts a line that is no message; it stops nothing.
    #[allow(
        clippy::unnecessary_wraps,
        reason = "the outcome of a line, as its siblings"
    )]
    fn garbage(&mut self, reason: &str) -> Result<(), Stop> {
        self.garbage += 1;
        if self.garbage <= GARBAGE_LOGGED {
            tracing::warn!(reason, "a line of the input is no Airbyte message");
        }
        Ok(())
    }

    fn record(&mut self, index: usize, bytes: u64, full: bool) -> Result<(), Stop> {
        let stream = &mut self.streams[index];
        if stream.ended {
            // No state would cover it: the next sync would load it again.
            self.decoder.flush(index);
            let message = format!(
                "the source sent a record of stream {} after the end of the stream",
                stream.descriptor
            );
            return Err(Failure::of(Error::system(message), &stream.descriptor).into());
        }
        self.reading.count(bytes);
        stream.record(bytes);
        if full { self.flush(index) } else { Ok(()) }
    }

    fn state(&mut self, line: &[u8]) -> Result<(), Stop> {
        let Some(state) = State::read(line).map_err(Failure::from)? else {
            return self.garbage("the JSON is no message: it has no type");
        };
        let streams = match &state.scope {
            Scope::Stream(stream) => {
                let index = self.find("state", stream)?;
                index..index + 1
            }
            Scope::All => 0..self.streams.len(),
        };
        let of_all = state.scope == Scope::All;
        if *self.of_all.get_or_insert(of_all) != of_all {
            return Err(Failure::from(mixed_states()).into());
        }
        let id = self.next_state;
        self.next_state += 1;
        let feed = self.streams[streams.start].feed.as_ref();
        let bytes = state.size() + streams.len() * CHECKPOINT_BYTES;
        let memory = feed.map(|feed| feed.reserve(bytes));
        self.no_room = feed.is_some_and(Feed::is_full);
        self.reading.states.keep(id, state, streams.len(), memory);
        for index in streams {
            self.streams[index].state(id, self.decoder.rows(index));
        }
        Ok(())
    }

    /// Waits until states that are kept have gone out, if they take too much, with all sent on that
    /// they wait for.
    fn make_room(&mut self) -> Result<(), Stop> {
        if !std::mem::take(&mut self.no_room) {
            return Ok(());
        }
        for index in 0..self.streams.len() {
            self.flush(index)?;
        }
        let Some(feed) = self.streams.iter().find_map(|stream| stream.feed.as_ref()) else {
            return Ok(());
        };
        self.runtime
            .block_on(self.reading.unless_stopped(feed.has_room()))
    }

    fn trace(&mut self, line: &[u8]) -> Result<(), Stop> {
        let Some(status) = StreamStatus::read(line) else {
            return Ok(());
        };
        let index = self.find("stream status", &status.stream_descriptor)?;
        match status.status.as_str() {
            "COMPLETE" => self.end_stream(index),
            "INCOMPLETE" => {
                let stream = &self.streams[index].descriptor;
                tracing::warn!(%stream, "the source could not read the whole stream");
                self.reading.lacks_records();
                self.end_stream(index)
            }
            _ => Ok(()),
        }
    }

    fn find(&self, what: &str, wanted: &StreamDescriptor) -> Result<usize, Failure> {
        let mut streams = self.streams.iter();
        let found = streams.position(|stream| stream.descriptor == *wanted);
        found.ok_or_else(|| not_in_catalog(what, wanted))
    }

    fn flush_due(&mut self) -> Result<(), Stop> {
        for index in 0..self.streams.len() {
            let since = self.streams[index].since;
            if since.is_some_and(|since| since.elapsed() >= FLUSH_AFTER) {
                self.flush(index)?;
            }
        }
        Ok(())
    }

    /// Sends on what waits of a stream.
    fn flush(&mut self, index: usize) -> Result<(), Stop> {
        let stream = &mut self.streams[index];
        let Some(batch) = stream.batch(self.decoder.flush(index)) else {
            return Ok(());
        };
        let Some(feed) = &mut stream.feed else {
            return Ok(());
        };
        let sending = feed.send(batch);
        self.runtime.block_on(self.reading.unless_stopped(sending))
    }

    /// The source said that a stream has ended: what is open of it is submitted. Its feed stays, for
    /// states that come later.
    fn end_stream(&mut self, index: usize) -> Result<(), Stop> {
        self.flush(index)?;
        let stream = &mut self.streams[index];
        if std::mem::replace(&mut stream.ended, true) {
            let stream = &stream.descriptor;
            tracing::warn!(%stream, "the source ended the stream more than once");
            return Ok(());
        }
        let Some(feed) = &mut stream.feed else {
            return Ok(());
        };
        let completing = feed.complete();
        self.runtime
            .block_on(self.reading.unless_stopped(completing))
    }

    /// A healthy source says of each stream how it ended.
    fn unfinished(&self) -> Option<Failure> {
        let open = self.streams.iter().filter(|stream| !stream.ended);
        let names: Vec<String> = open.map(|stream| stream.descriptor.to_string()).collect();
        if names.is_empty() {
            return None;
        }
        let error = Error::transient(format!(
            "the input ended without a COMPLETE or INCOMPLETE status of: {}. Records that came were \
             loaded; the source may have stopped early, so the sync has to be repeated",
            names.join(", ")
        ));
        Some(error.into())
    }

    fn report(&self) {
        if self.garbage > 0 {
            let lines = self.garbage;
            tracing::warn!(lines, "lines of the input were no Airbyte messages");
        }
        for (index, stream) in self.streams.iter().enumerate() {
            let records = self.decoder.unknown_keys(index);
            if records > 0 {
                let stream = &stream.descriptor;
                tracing::warn!(%stream, records, "records had keys that the catalog lacks");
            }
        }
    }
}

fn mixed_states() -> Error {
    Error::system(
        "the source sent states of single streams and states of all streams in one sync, which \
         cannot be put in order; this is a defect of the source",
    )
}

fn not_in_catalog(what: &str, stream: &StreamDescriptor) -> Failure {
    let error = Error::config(format!(
        "the source sent a {what} of stream {stream}, which is not in the catalog"
    ));
    Failure::of(error, stream)
}
