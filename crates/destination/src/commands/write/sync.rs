//! The printing side of a sync: events of its loads -> states on stdout, and the log.

use std::sync::Arc;
use std::time::Duration;

use futures::stream::{self, BoxStream, StreamExt as _};
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::attempt::SyncLedger;
use super::due::Due;
use super::summary::{self, Totals};
use crate::commands::stop::Stop;
use crate::failure::Failure;
use crate::input::{Input, Reading};
use crate::protocol::output::Output;
use crate::protocol::{Scope, State, Statistics, StreamDescriptor};
use arrow_salesforce::error::{Error, Result};
use arrow_salesforce::load::{Counts, Event, Events, Org};

/// Time between two lines of the log about progress, at least.
const PROGRESS: Duration = Duration::from_secs(10);

/// The same while nothing is read, as during a long job: a minute, as ticks go.
const SIGN_OF_LIFE: Duration = Duration::from_secs(55);

/// An event and the stream that it is of; none behind the last.
pub(super) type Numbered = (usize, Option<Result<Event>>);

/// The events of stream `index`.
pub(super) fn numbered(index: usize, events: Events) -> BoxStream<'static, Numbered> {
    let events = events.map(Some).chain(stream::once(async { None }));
    events.map(move |event| (index, event)).boxed()
}

/// A stream, as far as it has been printed.
#[derive(Debug)]
pub(super) struct Stream {
    descriptor: StreamDescriptor,
    /// Records and bytes up to the last state.
    counts: Counts,
    /// Its load has said how it ended.
    ended: bool,
}

impl Stream {
    pub(super) fn new(descriptor: StreamDescriptor) -> Self {
        Self {
            descriptor,
            counts: Counts::default(),
            ended: false,
        }
    }
}

/// One run of `write`, on its printing side.
pub(super) struct Sync<'a> {
    output: &'a Output,
    org: Org,
    reading: Arc<Reading>,
    streams: Vec<Stream>,
    /// States that are to be covered, and then printed.
    due: Due,
    /// Records in the last line about progress.
    logged: u64,
    /// When that was.
    logged_at: Instant,
    /// States whose source counted other records than came.
    miscounted: u64,
    started: Instant,
    /// What stopped the sync first.
    failure: Option<Failure>,
    /// That was a signal.
    asked: bool,
}

impl<'a> Sync<'a> {
    pub(super) fn new(
        output: &'a Output,
        org: Org,
        reading: Arc<Reading>,
        streams: Vec<Stream>,
        ledger: SyncLedger,
        started: Instant,
    ) -> Self {
        Self {
            output,
            org,
            reading,
            streams,
            due: Due::new(ledger, output.clone()),
            logged: 0,
            logged_at: started,
            miscounted: 0,
            started,
            failure: None,
            asked: false,
        }
    }

    /// Prints what the loads say until all of them and the input have ended. After a failure or a
    /// signal no more is read, and what is on its way still ends: after a signal within the grace.
    /// Returns what was wrong with the input.
    pub(super) async fn follow(
        &mut self,
        mut events: impl futures::Stream<Item = Numbered> + Unpin,
        input: &mut Input,
        stop: &Stop,
    ) -> Option<Failure> {
        let mut progress = interval_at(Instant::now() + PROGRESS, PROGRESS);
        progress.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut asked = false;
        let mut loading = true;
        let mut input_ended = None;
        loop {
            let printed = self.due.is_empty();
            match input_ended.take() {
                Some(ended) if !loading && printed => return ended,
                ended => input_ended = ended,
            }
            if asked && !loading && printed {
                return None;
            }
            let output = self.output;
            let may_read = loading && self.due.has_room();
            let event = async {
                // States that nobody reads hold up the loads, and not the signals.
                if !asked {
                    output.room().await;
                }
                events.next().await
            };
            let failure = tokio::select! {
                biased;
                printed = self.due.print(asked || !loading, stop) => {
                    printed.err().map(Failure::from)
                }
                () = stop.asked(), if !asked => {
                    asked = true;
                    self.stop(stop.grace())
                }
                ended = input.ended(), if input_ended.is_none() => match ended {
                    Ok(ended) => {
                        input_ended = Some(ended);
                        None
                    }
                    Err(died) => {
                        input_ended = Some(None);
                        Some(died.into())
                    }
                },
                _ = progress.tick() => {
                    self.progress();
                    None
                }
                event = event, if may_read => {
                    loading = event.is_some();
                    event.and_then(|(index, event)| self.event(index, event).err())
                }
            };
            if let Some(failure) = failure {
                self.fail(failure);
                input.stop();
            }
        }
    }

    /// A signal came: all loads stop. Returns the failure that this is.
    fn stop(&mut self, grace: Duration) -> Option<Failure> {
        self.org.stop();
        let (jobs, seconds) = (self.org.jobs_in_flight(), grace.as_secs());
        if jobs.is_empty() {
            tracing::warn!("a signal came: no more is read or sent, and no job is in flight");
        } else {
            let jobs = jobs.join(", ");
            tracing::warn!(
                jobs,
                seconds,
                "a signal came: no more is read or sent, and jobs in flight have some seconds to end"
            );
        }
        self.asked = self
            .failure
            .as_ref()
            .is_none_or(|failure| failure.error.is_stopped());
        self.asked.then(|| stopped_by_signal(&[]).into())
    }

    fn event(&mut self, index: usize, event: Option<Result<Event>>) -> Result<(), Failure> {
        let stream = &mut self.streams[index];
        let printed = match event {
            Some(event) => {
                stream.ended |= !matches!(
                    event,
                    Ok(Event::Durable { .. } | Event::Rejected(_) | Event::Accepted(_))
                );
                event.and_then(|event| self.print_event(index, event))
            }
            None if stream.ended => Ok(()),
            None => Err(Error::system(
                "a load ended without a report, so what became of its records is not known; report \
                 it, it is a defect",
            )),
        };
        printed.map_err(|error| Failure::of(error, &self.streams[index].descriptor))
    }

    fn print_event(&mut self, index: usize, event: Event) -> Result<()> {
        match event {
            Event::Durable { checkpoint, counts } => {
                self.streams[index].counts = counts;
                let states = &self.reading.states;
                let due = states
                    .acknowledge(checkpoint, index, counts)
                    .map_err(|()| {
                        Error::system("a state became durable twice; report it, it is a defect")
                    })?;
                let Some(due) = due else {
                    return Ok(());
                };
                self.compare_counts(&due.state, &due.statistics);
                self.due.push(due)
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
            None if self.asked => {}
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
                "a state of the source has another count of records than came before it"
            );
        }
        self.miscounted += 1;
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
                "states of the source have other counts of records than came before them"
            );
        }
        summary::sync(&self.totals());
        let failure = if self.asked {
            Some(stopped_by_signal(&self.org.jobs_in_flight()).into())
        } else {
            // What stopped a load says more than that it was stopped.
            match self.failure {
                Some(stopped) if stopped.error.is_stopped() => input_failure.or(Some(stopped)),
                failure => failure.or(input_failure),
            }
        };
        match (failure, self.reading.states.len()) {
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

/// What a signal did; `jobs` are those that go on.
fn stopped_by_signal(jobs: &[String]) -> Error {
    let then = "Every state that became durable was printed, and the next sync starts at the last";
    Error::transient(if jobs.is_empty() {
        format!("the sync was stopped by a signal, and jobs in flight came to their end. {then}")
    } else {
        format!(
            "the sync was stopped by a signal, and what became of the records of these jobs was not \
             known within stop_grace_seconds: {}. They may go on in Salesforce, so their records may \
             be loaded, and the next sync sends them again. {then}",
            jobs.join(", ")
        )
    })
}
