//! The printing side of a sync: events of its loads -> states on stdout, and the log.

use std::sync::Arc;
use std::time::Duration;

use futures::stream::{BoxStream, StreamExt as _};
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::signals::Signals;
use super::summary::{self, Totals};
use crate::failure::Failure;
use crate::input::{Input, Reading};
use crate::protocol::message::{Message, Output};
use crate::protocol::{Scope, State, Statistics, StreamDescriptor};
use arrow_salesforce::error::{Error, Result};
use arrow_salesforce::load::{Counts, Event, Events, Org};

/// Time between two lines of the log about progress, at least.
const PROGRESS: Duration = Duration::from_secs(10);

/// The same while nothing is read, as during a long job: a minute, as ticks go.
const SIGN_OF_LIFE: Duration = Duration::from_secs(55);

pub(super) type Numbered = (usize, Result<Event>);

/// The events of stream `index`.
pub(super) fn numbered(index: usize, events: Events) -> BoxStream<'static, Numbered> {
    events.map(move |event| (index, event)).boxed()
}

/// A stream, as far as it has been printed.
#[derive(Debug)]
pub(super) struct Stream {
    descriptor: StreamDescriptor,
    /// Records and bytes up to the last state.
    counts: Counts,
}

impl Stream {
    pub(super) fn new(descriptor: StreamDescriptor) -> Self {
        Self {
            descriptor,
            counts: Counts::default(),
        }
    }
}

/// One run of `write`, on its printing side.
pub(super) struct Sync<'a> {
    output: &'a Output,
    org: Org,
    reading: Arc<Reading>,
    streams: Vec<Stream>,
    /// Records in the last line about progress.
    logged: u64,
    /// When that was.
    logged_at: Instant,
    /// States whose source counted other records than came.
    miscounted: u64,
    started: Instant,
    /// What stopped the sync first.
    failure: Option<Failure>,
}

impl<'a> Sync<'a> {
    pub(super) fn new(
        output: &'a Output,
        org: Org,
        reading: Arc<Reading>,
        streams: Vec<Stream>,
        started: Instant,
    ) -> Self {
        Self {
            output,
            org,
            reading,
            streams,
            logged: 0,
            logged_at: started,
            miscounted: 0,
            started,
            failure: None,
        }
    }

    /// Prints what the loads say until all of them and the input have ended. After a failure or a
    /// signal no more is read, and what is on its way still ends.
    pub(super) async fn follow(
        &mut self,
        mut events: impl futures::Stream<Item = Numbered> + Unpin,
        input: &mut Input,
    ) -> Result<Option<Failure>, Failure> {
        let mut progress = interval_at(Instant::now() + PROGRESS, PROGRESS);
        progress.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut signals = Signals::listen()?;
        let mut stopped = false;
        let mut loading = true;
        let mut input_ended = None;
        loop {
            match input_ended.take() {
                Some(ended) if !loading => return Ok(ended),
                ended => input_ended = ended,
            }
            let failure = tokio::select! {
                event = events.next(), if loading => {
                    loading = event.is_some();
                    event.and_then(|(index, event)| self.event(index, event).err())
                }
                ended = input.ended(), if input_ended.is_none() => {
                    input_ended = Some(ended?);
                    None
                }
                () = signals.next() => {
                    if stopped {
                        return Err(stopped_twice().into());
                    }
                    stopped = true;
                    Some(asked_to_stop().into())
                }
                _ = progress.tick() => {
                    self.progress();
                    None
                }
            };
            if let Some(failure) = failure {
                self.fail(failure);
                input.stop();
            }
        }
    }

    fn event(&mut self, index: usize, event: Result<Event>) -> Result<(), Failure> {
        let printed = event.and_then(|event| self.print_event(index, event));
        printed.map_err(|error| Failure::of(error, &self.streams[index].descriptor))
    }

    fn print_event(&mut self, index: usize, event: Event) -> Result<()> {
        match event {
            Event::Durable { checkpoint, counts } => {
                self.streams[index].counts = counts;
                let states = &self.reading.states;
                let durable = states.acknowledge(checkpoint, counts).map_err(|()| {
                    Error::system("a state became durable twice; report it, it is a defect")
                })?;
                durable.map_or(Ok(()), |(state, statistics)| {
                    self.compare_counts(&state, &statistics);
                    self.print_state(&state, &statistics)
                })
            }
            Event::Finished(report) => {
                let stream = &mut self.streams[index];
                stream.counts.total_accepted = report.accepted + report.merged;
                stream.counts.total_rejected = report.rejected;
                summary::load(&stream.descriptor, &report);
                Ok(())
            }
            // Rejected records go to the store, or are only counted.
            _ => Ok(()),
        }
    }

    /// Keeps what stopped the sync: the first failure, but for loads that were only asked to stop.
    fn fail(&mut self, failure: Failure) {
        match &self.failure {
            Some(known) if !known.error.is_stopped() => return,
            Some(_) => {}
            None => tracing::warn!("the sync ends early: no more is read, jobs in flight end"),
        }
        self.failure = Some(failure);
    }

    /// The platform compares what the source counted with what the state says; where they differ, the
    /// log says whose count it is.
    fn compare_counts(&mut self, state: &State, statistics: &Statistics) {
        let came = statistics.accepted + statistics.rejected;
        let Some(counted) = state.counted.filter(|counted| *counted != came) else {
            return;
        };
        if self.miscounted == 0 {
            let stream = match &state.scope {
                Scope::Stream(stream) => stream.to_string(),
                Scope::All => "all".to_owned(),
            };
            tracing::warn!(
                stream,
                counted,
                came,
                "the source counted other records than came before a state"
            );
        }
        self.miscounted += 1;
    }

    fn print_state(&self, state: &State, statistics: &Statistics) -> Result<()> {
        let state = state.with_statistics(statistics)?;
        self.output.print(&Message::State { state: &state })
    }

    fn progress(&mut self) {
        let records = self.reading.records();
        if records != self.logged || self.logged_at.elapsed() >= SIGN_OF_LIFE {
            self.logged = records;
            self.logged_at = Instant::now();
            summary::progress(&self.totals());
        }
    }

    /// The sync so far.
    fn totals(&self) -> Totals<'_> {
        let counts = self.streams.iter().map(|stream| stream.counts);
        Totals {
            org: &self.org,
            streams: self.streams.len(),
            records: self.reading.records(),
            bytes: self.reading.bytes(),
            accepted: counts.clone().map(|counts| counts.total_accepted).sum(),
            rejected: counts.map(|counts| counts.total_rejected).sum(),
            elapsed: self.started.elapsed(),
        }
    }

    /// What is left once all loads have ended.
    pub(super) fn end(self, input_failure: Option<Failure>) -> Result<(), Failure> {
        if self.miscounted > 0 {
            let states = self.miscounted;
            tracing::warn!(
                states,
                "the source counted other records than came before states"
            );
        }
        summary::sync(&self.totals());
        match (self.failure.or(input_failure), self.reading.states.len()) {
            (Some(failure), _) => Err(failure),
            (None, 0) => Ok(()),
            (None, left) => Err(Error::system(format!(
                "{left} states of the source were not given back, although all records came to \
                 their end; report it, it is a defect"
            ))
            .into()),
        }
    }
}

fn asked_to_stop() -> Error {
    Error::transient(
        "the sync was told to stop. Jobs in flight came to their end, and the states that became \
         durable were printed; the next sync goes on from there",
    )
}

fn stopped_twice() -> Error {
    Error::transient(
        "the sync was told to stop twice, so jobs in flight were left alone: Salesforce still ends \
         them. The next sync goes on from the last state, and sends their records again",
    )
}
