//! The printing side of a sync: events of its loads -> states on stdout, and the log.

use std::sync::Arc;
use std::time::Duration;

use futures::future::{self, BoxFuture, FutureExt as _};
use futures::stream::{self, BoxStream, StreamExt as _};
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep_until};

use super::attempt::SyncLedger;
use super::summary::{self, Totals};
use crate::commands::stop::Stop;
use crate::failure::Failure;
pub(super) use crate::input::DueState;
use crate::input::{Input, Reading};
use crate::protocol::message::Message;
use crate::protocol::output::Output;
use crate::protocol::{Scope, State, Statistics, StreamDescriptor};
use arrow_salesforce::error::{Error, Result};
use arrow_salesforce::load::{Counts, Event, Events, Org};

/// Time between two lines of the log about progress, at least.
const PROGRESS: Duration = Duration::from_secs(10);

/// The same while nothing is read, as during a long job: a minute, as ticks go.
const SIGN_OF_LIFE: Duration = Duration::from_secs(55);

/// States that may wait to be covered before more events are read.
const MOST_DUE: usize = 1_000;

/// Between two writes that cover states pass so many times the time that a write takes, and no more
/// than [`LONGEST_REST`]. A process that is killed between a write and its states lets their records be
/// sent again: so it is seldom there, and states that come one after the other share a write.
const RESTS: u32 = 100;
const LONGEST_REST: Duration = Duration::from_secs(2);

/// States that are being covered, and how that ended, and how long it took.
type Covering = BoxFuture<'static, (Vec<DueState>, Result<()>, Duration)>;

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
    ledger: SyncLedger,
    /// States that are to be covered next, and then printed.
    due: Vec<DueState>,
    /// Before that they wait for others, unless nothing else is to come.
    cover_at: Instant,
    /// States could not be covered: none is printed any more.
    uncovered: bool,
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
            ledger,
            due: Vec::new(),
            cover_at: started,
            uncovered: false,
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
        let mut covering: Option<Covering> = None;
        loop {
            if covering.is_none() {
                covering = self.cover_due(asked || !loading);
            }
            let (rests, cover_at) = (covering.is_none() && !self.due.is_empty(), self.cover_at);
            let printed = covering.is_none() && !rests;
            match input_ended.take() {
                Some(ended) if !loading && printed => return ended,
                ended => input_ended = ended,
            }
            if asked && !loading && printed {
                return None;
            }
            let covered = async {
                match &mut covering {
                    Some(covering) => covering.await,
                    None => future::pending().await,
                }
            };
            let output = self.output;
            let event = async {
                // States that nobody reads hold up the loads, and not the signals.
                if !asked {
                    output.room().await;
                }
                events.next().await
            };
            let failure = tokio::select! {
                event = event, if loading && self.due.len() < MOST_DUE => {
                    loading = event.is_some();
                    event.and_then(|(index, event)| self.event(index, event).err())
                }
                (states, covered, took) = covered => {
                    covering = None;
                    self.cover_at = Instant::now() + (took * RESTS).min(LONGEST_REST);
                    self.covered(states, covered).err().map(Failure::from)
                }
                () = sleep_until(cover_at), if rests => None,
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
                () = stop.asked(), if !asked => {
                    asked = true;
                    self.stop(stop.grace())
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
                if self.ledger.covers() {
                    self.due.push(due);
                    return Ok(());
                }
                self.print_state(due)
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

    /// Covers the states that are due, all in one write; `None` if there are none, or if they are to
    /// wait for others.
    fn cover_due(&mut self, at_once: bool) -> Option<Covering> {
        if self.uncovered {
            self.due.clear();
        }
        let rests = self.due.len() < MOST_DUE && Instant::now() < self.cover_at;
        if self.due.is_empty() || rests && !at_once {
            return None;
        }
        let (ledger, states) = (self.ledger.clone(), std::mem::take(&mut self.due));
        let covering = async move {
            let began = Instant::now();
            let covered = ledger.cover(&states).await;
            (states, covered, began.elapsed())
        };
        Some(covering.boxed())
    }

    /// States were covered: now they are printed.
    fn covered(&mut self, states: Vec<DueState>, covered: Result<()>) -> Result<()> {
        if covered.is_err() {
            self.uncovered = true;
        }
        covered?;
        states
            .into_iter()
            .try_for_each(|state| self.print_state(state))
    }

    fn print_state(&self, due: DueState) -> Result<()> {
        let state = due.state.with_statistics(&due.statistics)?;
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
