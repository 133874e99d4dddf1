//! The flow of one load: rows taken in, checkpoints told, the report at its end.

use std::ops::Range;
use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard, PoisonError};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::chunk::Chunker;
use crate::error::{Error, Result};

use super::LoadError;
use super::checkpoint::{Checkpoints, End, Totals};
use super::feed::FeedMessage;
use super::intake::Intake;
use super::keys::Keys;
use super::loader::{Event, Load, Tally};
use super::report::LoadReport;

/// Rows that have their end before their rejected share is judged.
const ROWS_FOR_SHARE: u64 = 100;

/// Reasons that the error names when too many rows were rejected.
const TOP_REASONS: usize = 3;

/// A load from its first row to its last event.
pub(super) async fn run(
    load: Arc<Load>,
    messages: mpsc::Receiver<FeedMessage>,
    events: mpsc::Sender<Result<Event>>,
) {
    let drained = CancellationToken::new();
    let telling = tokio::spawn(tell(Arc::clone(&load), events.clone(), drained.clone()));
    let outcome = match Intake::new(Arc::clone(&load), events.clone()) {
        Ok(intake) => intake.run(messages).await,
        Err(error) => Err(error),
    };
    if outcome.is_err() {
        load.stop.cancel();
    }
    drained.cancel();
    load.ended.notify_one();
    let told = telling.await.map_err(|error| LoadError::from(error).into());
    let last = outcome
        .and(told)
        .and_then(|()| load.report())
        .inspect(LoadReport::warn)
        .map(|report| Event::Finished(Box::new(report)))
        .map_err(|error| {
            let seconds = load.started.elapsed().as_secs();
            error
                .with_context(Error::STREAM, &load.name)
                .with_context(Error::ELAPSED, seconds)
        });
    // Nobody may be listening any more; then nobody needs the outcome.
    let _ = events.send(last).await;
}

/// Tells checkpoints as they become due, in order, until the load is drained.
async fn tell(load: Arc<Load>, events: mpsc::Sender<Result<Event>>, drained: CancellationToken) {
    loop {
        let last_turn = drained.is_cancelled();
        loop {
            let due = load.checkpoints().pop_due();
            let Some(due) = due else { break };
            let event = Event::Durable {
                checkpoint: due.id,
                counts: due.counts,
            };
            if events.send(Ok(event)).await.is_err() {
                load.stop.cancel();
                return;
            }
        }
        if last_turn {
            return;
        }
        load.ended.notified().await;
    }
}

impl Load {
    pub(super) fn checkpoints(&self) -> MutexGuard<'_, Checkpoints> {
        self.checkpoints
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn keys(&self) -> MutexGuard<'_, Keys> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A chunker of this load's cells.
    pub(super) fn chunker(&self) -> Result<Chunker> {
        let options = &self.options;
        let cells = self.coercion.cells_schema();
        Ok(Chunker::new(
            cells,
            options.max_job_bytes,
            options.max_job_rows,
        )?)
    }

    /// Rows of `range` have their end; those rejected are stored.
    pub(super) fn end(&self, range: Range<u64>, end: End) {
        self.checkpoints().end(range.clone(), end);
        self.rows.end(range);
    }

    /// Fails once more rows were rejected than `max_rejected_percent` allows.
    pub(super) fn check_rejected(&self) -> Result<()> {
        let Some(percent) = self.options.max_rejected_percent else {
            return Ok(());
        };
        let totals = self.checkpoints().totals();
        let (rejected, ended) = (totals.rejected, totals.ended());
        if ended < ROWS_FOR_SHARE || rejected * 100 <= u64::from(percent) * ended {
            return Ok(());
        }
        let ranked = self.tally().rejects.ranked();
        let reasons: Vec<String> = ranked
            .iter()
            .take(TOP_REASONS)
            .map(ToString::to_string)
            .collect();
        Err(LoadError::TooManyRejected {
            rejected,
            ended,
            percent,
            reasons: reasons.join("; "),
        }
        .into())
    }

    fn report(&self) -> Result<LoadReport> {
        let totals = self.checkpoints().totals();
        let Totals {
            read,
            bytes,
            accepted,
            merged,
            rejected,
        } = totals;
        if read != totals.ended() {
            return Err(LoadError::Accounting {
                read,
                accepted,
                merged,
                rejected,
            }
            .into());
        }
        let usage = self.client.usage();
        let tally = self.tally();
        Ok(LoadReport {
            name: self.name.clone(),
            object: self.target.object.clone(),
            read,
            accepted,
            merged,
            rejected,
            bytes,
            jobs: tally.jobs,
            batches: tally.batches,
            uploaded: tally.uploaded,
            api_calls: usage.api_calls,
            polls: usage.polls,
            spilled: self.spilled.load(Ordering::Relaxed),
            elapsed: self.started.elapsed(),
            rejects: tally.rejects.ranked(),
            nulls_left: tally.nulls_left,
            reject_files: tally.reject_files.clone(),
        })
    }
}
