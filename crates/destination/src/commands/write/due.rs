//! States that are due: with a ledger they are covered, several at once, and then printed.
//!
//! A process that is killed between the write that covers states and their print lets their records be
//! sent again. So nothing else happens there: the lines are made before, all that is before them on
//! stdout is written before, and one task waits for the write and prints. And it happens seldom: states
//! that come one after the other share a write.

use std::collections::BTreeMap;
use std::future;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::attempt::SyncLedger;
use crate::commands::stop::Stop;
use crate::input::DueState;
use crate::protocol::message::Message;
use crate::protocol::output::{Output, Prepared};
use arrow_salesforce::error::{Error, Result};

/// States that may be due before more events are read, and the bytes they may take.
const MOST: usize = 1_000;
const MOST_BYTES: usize = 4 << 20;

/// Between two writes pass so many times the time that a write takes, and no more than
/// [`LONGEST_REST`].
const RESTS: u32 = 200;
const LONGEST_REST: Duration = Duration::from_secs(10);

/// How long the first states wait for others.
const FIRST_REST: Duration = Duration::from_secs(1);

/// How long stdout may stand still once a signal came: states that nobody reads are not covered.
const UNREAD: Duration = Duration::from_secs(1);

/// States of a sync that are due.
pub(super) struct Due {
    ledger: SyncLedger,
    output: Output,
    states: Vec<DueState>,
    bytes: usize,
    /// Until then they wait for others, unless nothing else is to come.
    cover_at: Instant,
    /// States that are being covered and printed, and how long the write took.
    covering: Option<JoinHandle<Result<Duration>>>,
    /// States could not be covered: none is printed any more.
    ended: bool,
}

impl Due {
    pub(super) fn new(ledger: SyncLedger, output: Output) -> Self {
        Self {
            ledger,
            output,
            states: Vec::new(),
            bytes: 0,
            cover_at: Instant::now() + FIRST_REST,
            covering: None,
            ended: false,
        }
    }

    /// Keeps a state until it is covered; without a ledger it is printed at once.
    ///
    /// # Errors
    /// As [`Output::print`].
    pub(super) fn push(&mut self, state: DueState) -> Result<()> {
        if !self.ledger.covers() {
            let state = state.state.with_statistics(&state.statistics)?;
            return self.output.print(&Message::State { state: &state });
        }
        if !self.ended {
            self.bytes += state.state.size();
            self.states.push(state);
        }
        Ok(())
    }

    /// Whether more states may come.
    pub(super) fn has_room(&self) -> bool {
        self.states.len() < MOST && self.bytes < MOST_BYTES
    }

    /// Whether all states are printed.
    pub(super) fn is_empty(&self) -> bool {
        self.states.is_empty() && self.covering.is_none()
    }

    /// Covers and prints the states that are due, all in one write, `at_once` or when it is time for
    /// one. Waits on while there is none. May be dropped and called again.
    ///
    /// # Errors
    /// What kept them from being covered or printed: no later ones are then.
    pub(super) async fn print(&mut self, at_once: bool, stop: &Stop) -> Result<()> {
        let covering = if let Some(covering) = &mut self.covering {
            covering
        } else {
            if self.states.is_empty() {
                return future::pending().await;
            }
            if !at_once && self.has_room() {
                sleep_until(self.cover_at).await;
            }
            let states = std::mem::take(&mut self.states);
            self.bytes = 0;
            let (ledger, output) = (self.ledger.clone(), self.output.clone());
            let covering = tokio::spawn(cover_and_print(states, ledger, output));
            self.covering.insert(covering)
        };
        let covered = tokio::select! {
            biased;
            covered = &mut *covering => covered.unwrap_or_else(|error| {
                let text = "states could not be covered, by a defect; report it with the lines on stderr";
                Err(Error::system(text).with_source(error))
            }),
            () = unread(&self.output, stop) => {
                covering.abort();
                Err(Error::transient(
                    "the process was stopped by a signal, and nobody read the states that it printed; \
                     the next sync starts at the last that was read",
                ))
            }
        };
        self.covering = None;
        match covered {
            Ok(took) => {
                self.cover_at = Instant::now() + (took * RESTS).min(LONGEST_REST);
                Ok(())
            }
            Err(error) => {
                self.ended = true;
                self.states.clear();
                self.bytes = 0;
                Err(error)
            }
        }
    }
}

/// Waits until a signal has come and stdout stands still.
async fn unread(output: &Output, stop: &Stop) {
    stop.asked().await;
    while timeout(UNREAD, output.caught_up()).await.is_ok() {
        sleep(UNREAD).await;
    }
}

/// Covers states, and prints them. Returns how long the write took.
async fn cover_and_print(
    states: Vec<DueState>,
    ledger: SyncLedger,
    output: Output,
) -> Result<Duration> {
    let mut covered = BTreeMap::<usize, u64>::new();
    for (stream, rows) in states.iter().flat_map(|state| &state.covered) {
        let most = covered.entry(*stream).or_default();
        *most = (*most).max(*rows);
    }
    let lines = states.into_iter().map(line).collect::<Result<Vec<_>>>()?;
    output.caught_up().await?;
    let began = Instant::now();
    ledger.cover(&covered).await?;
    let took = began.elapsed();
    output.print_at_once(&lines)?;
    Ok(took)
}

/// The line of a state.
fn line(due: DueState) -> Result<Prepared> {
    let state = due.state.with_statistics(&due.statistics)?;
    Prepared::new(&Message::State { state: &state })
}
