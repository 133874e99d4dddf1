//! Rows into the org, from where the run had come; how far it comes is noted on the way.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arrow_salesforce::load::{Attempt, Counts, LoadError, LoadReport};
use arrow_salesforce::options::Older;
use arrow_salesforce::receipt::ReceiptStream;
use arrow_salesforce::reject::{RejectStream, airbyte};
use arrow_salesforce::{Event, Events, Feed, FeedBatch, Loader, Operation, Receipts, Rejects};
use chrono::Utc;
use futures::stream::{BoxStream, StreamExt as _};
use tokio::time::{MissedTickBehavior, interval};

use super::interrupt::Interrupt;
use super::prepare::{Prepared, source_schema};
use super::rejected;
use crate::error::{ACCEPTED, CliError, FAILED, Result, SOME_REJECTED, TOO_MANY_REJECTED};
use crate::run::{AttemptRecord, Position, RunCounts, RunFolder, RunRecord, RunState};
use crate::watch::{Outcome, Progress, Watch};

/// How often progress is shown.
const SHOWN_EACH: Duration = Duration::from_millis(200);
/// How often it is noted how far the run has come.
const NOTED_EACH: Duration = Duration::from_secs(1);

type Rows = BoxStream<'static, Result<arrow_salesforce::arrow::array::RecordBatch>>;

/// Loads the rows that have no end yet, and says how it went. From the moment on that the run is
/// listed, whatever fails is noted in its record.
pub(crate) async fn run(
    prepared: &Prepared,
    folder: &RunFolder,
    mut record: RunRecord,
    older: Older,
    interrupt: &Interrupt,
    watch: &Watch,
) -> Result<ExitCode> {
    let began = Instant::now();
    let attempt = AttemptRecord {
        id: format!("{}-{}", record.id, record.attempts.len() + 1),
        started: Utc::now(),
        from: 0,
    };
    let _lock = folder.lock().await?;
    let loader = loader(prepared, folder, &record, &attempt, older).await?;
    let is_new = record.attempts.is_empty();
    record.attempts.push(attempt);
    record.state = RunState::Running;
    record.changed = Utc::now();
    record.error = None;
    if is_new {
        folder.keep_schema(source_schema(&prepared.schema)).await?;
        folder.begin(&record).await?;
    } else {
        folder.write(&record).await?;
    }
    let following = follow(prepared, folder, &loader, &mut record, watch, interrupt);
    match Box::pin(following).await {
        Ok((following, ended, fed)) => following.end(ended, fed, record, began, watch).await,
        Err(error) => {
            record.state = RunState::Failed;
            record.changed = Utc::now();
            record.error = Some(error.to_string());
            folder.write(&record).await?;
            watch.say(&format!("to go on: arrow-salesforce resume {}", record.id));
            Err(error)
        }
    }
}

/// One attempt, from where the one before had come.
async fn follow<'a>(
    prepared: &'a Prepared,
    folder: &'a RunFolder,
    loader: &Loader,
    record: &mut RunRecord,
    watch: &Watch,
    interrupt: &Interrupt,
) -> Result<(Following<'a>, Result<LoadReport>, Result<Fed>)> {
    let most_rejected = most_rejected(prepared)?;
    let (feed, events, attempt) = loader.begin().await?;
    let base = base(prepared, folder, &attempt).await?;
    if let Some(this) = record.attempts.last_mut() {
        this.from = base.rows;
    }
    folder.write(record).await?;
    watch.begin(&record.id, &record.spec.object, prepared.total);
    let read = Arc::new(AtomicU64::new(base.rows));
    let rows = prepared.stream().await?;
    let most = prepared.spec.sample.unwrap_or(u64::MAX);
    let feeding = tokio::spawn(feed_rows(feed, rows, base.rows, most, Arc::clone(&read)));
    let mut following = Following {
        prepared,
        folder,
        attempt,
        base,
        positions: vec![base],
        at: base,
        counts: None,
        read,
        most_rejected,
        too_many: None,
    };
    let ended = following.events(events, watch, interrupt).await;
    let fed = match feeding.await {
        Ok(fed) => fed,
        Err(error) => Err(CliError::failed(format!(
            "reading the rows ended early: {error}"
        ))),
    };
    Ok((following, ended, fed))
}

/// The loader of an attempt.
async fn loader(
    prepared: &Prepared,
    folder: &RunFolder,
    record: &RunRecord,
    attempt: &AttemptRecord,
    older: Older,
) -> Result<Loader> {
    let spec = &prepared.spec;
    let rejects = Rejects::Store {
        store: Arc::new(folder.rejects(attempt.started)?),
        stream: RejectStream {
            name: spec.object.clone(),
            namespace: None,
            labels: airbyte::labels(0, 0),
            attempt: Some(attempt.id.clone()),
        },
    };
    let receipts = if spec.write.no_receipts {
        Receipts::None
    } else {
        Receipts::Store {
            store: Arc::new(folder.receipts()?),
            stream: ReceiptStream {
                attempt: Some(attempt.id.clone()),
                ..ReceiptStream::default()
            },
        }
    };
    let mut options = prepared
        .options()?
        .with_receipt_columns(prepared.columns())
        .with_ledger(folder.ledger()?, record.id.clone())
        .with_older(older)
        .with_may_be_done(!record.attempts.is_empty() || record.undo_of.is_some());
    if let Some(MostRejected::Percent(percent)) = most_rejected(prepared)? {
        options = options.with_max_rejected_percent(percent);
    }
    let loader = prepared
        .loader(options)?
        .rejects(rejects)
        .receipts(receipts);
    Ok(loader.build().await?)
}

/// The rows that have their end already, and what became of them.
async fn base(prepared: &Prepared, folder: &RunFolder, attempt: &Attempt) -> Result<Position> {
    if prepared.spec.is_unordered() {
        return Ok(Position::default());
    }
    let positions = folder.positions().await?;
    let last = positions.last().copied().unwrap_or_default();
    if prepared.spec.operation() != Operation::Insert {
        return Ok(last);
    }
    // The ledger alone says what is covered; positions are written before it covers them.
    let rows = attempt.recovered().covered;
    let known = positions
        .iter()
        .rev()
        .find(|position| position.rows == rows);
    Ok(known.copied().unwrap_or(Position {
        rows,
        accepted: rows,
        ..last
    }))
}

/// How many rejected records stop a load.
#[derive(Debug, Clone, Copy)]
enum MostRejected {
    Percent(u8),
    Records(u64),
}

fn most_rejected(prepared: &Prepared) -> Result<Option<MostRejected>> {
    let Some(text) = &prepared.spec.write.max_rejected else {
        return Ok(None);
    };
    let wrong = || {
        CliError::usage(format!(
            "--max-rejected {text}: give a number of records, such as 100, or whole percent from 0% to \
             100%, such as 2%"
        ))
    };
    let most = match text.trim().strip_suffix('%') {
        Some(percent) => match percent.trim().parse() {
            Ok(percent) if percent <= 100 => MostRejected::Percent(percent),
            _ => return Err(wrong()),
        },
        None => MostRejected::Records(text.trim().parse().map_err(|_| wrong())?),
    };
    Ok(Some(most))
}

/// What the reader of the rows says at its end.
struct Fed {
    /// Whether these were all rows.
    all: bool,
}

/// Feeds the rows from `base` on, at most `most` of them.
async fn feed_rows(
    mut feed: Feed,
    mut rows: Rows,
    base: u64,
    most: u64,
    read: Arc<AtomicU64>,
) -> Result<Fed> {
    let (mut skip, mut at, mut all) = (base, base, true);
    let end = base.saturating_add(most);
    while let Some(batch) = rows.next().await {
        let batch = match batch {
            Ok(batch) => batch,
            Err(error) => {
                feed.stop();
                return Err(error);
            }
        };
        let skipped = skip.min(batch.num_rows() as u64);
        skip -= skipped;
        let left = batch.num_rows() as u64 - skipped;
        if left == 0 {
            continue;
        }
        if at == end {
            all = false;
            break;
        }
        let taken = left.min(end - at);
        all = taken == left;
        let batch = batch.slice(skipped as usize, taken as usize);
        at += taken;
        let (rows, bytes) = (batch.num_rows(), batch.get_array_memory_size() as u64);
        let batch = FeedBatch::new(batch).received(bytes);
        feed.send(batch.checkpoint(rows, bytes, at)).await?;
        read.store(at, Ordering::Relaxed);
        if !all {
            break;
        }
    }
    feed.finish().await?;
    Ok(Fed { all })
}

/// What follows a load, and notes how far it comes.
struct Following<'a> {
    prepared: &'a Prepared,
    folder: &'a RunFolder,
    attempt: Attempt,
    base: Position,
    positions: Vec<Position>,
    /// How far it has come.
    at: Position,
    /// Of the last durable checkpoint that is not noted yet.
    counts: Option<Counts>,
    read: Arc<AtomicU64>,
    most_rejected: Option<MostRejected>,
    too_many: Option<String>,
}

impl Following<'_> {
    /// Follows the load to its last event.
    async fn events(
        &mut self,
        mut events: Events,
        watch: &Watch,
        interrupt: &Interrupt,
    ) -> Result<LoadReport> {
        let mut shown = interval(SHOWN_EACH);
        let mut noted = interval(NOTED_EACH);
        shown.set_missed_tick_behavior(MissedTickBehavior::Skip);
        noted.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            tokio::select! {
                event = events.next() => match event {
                    Some(Ok(Event::Durable { counts, .. })) => self.durable(counts),
                    Some(Ok(Event::Finished(report))) => {
                        self.note().await?;
                        return Ok(*report);
                    }
                    Some(Ok(_)) => {}
                    Some(Err(error)) => {
                        // What could not be noted is found out by the next attempt.
                        let _ = self.note().await;
                        return Err(error.into());
                    }
                    None => return Err(CliError::failed("the load ended without a word")),
                },
                _ = shown.tick() => watch.progress(&self.progress()),
                _ = noted.tick() => self.note().await?,
                () = interrupt.asked() => {
                    watch.say("stopping: jobs in flight end first; once more ends it at once");
                    self.prepared.org.stop();
                }
            }
        }
    }

    fn durable(&mut self, counts: Counts) {
        let (accepted, rejected) = (counts.total_accepted, counts.total_rejected);
        self.at = Position {
            rows: self.base.rows + accepted + rejected,
            accepted: self.base.accepted + accepted,
            rejected: self.base.rejected + rejected,
            jobs: self.base.jobs + self.prepared.org.ended_jobs().0,
            api_calls: self.base.api_calls + self.prepared.org.client().usage().api_calls,
        };
        self.counts = Some(counts);
        if let Some(MostRejected::Records(most)) = self.most_rejected
            && self.at.rejected > most
            && self.too_many.is_none()
        {
            self.too_many = Some(format!(
                "{} records were rejected, and --max-rejected allows {most}",
                self.at.rejected
            ));
            self.prepared.org.stop();
        }
    }

    /// Notes how far the run has come: where a kill would let it go on.
    async fn note(&mut self) -> Result<()> {
        let Some(counts) = self.counts.take() else {
            return Ok(());
        };
        if self.prepared.spec.is_unordered() {
            return Ok(());
        }
        self.positions.push(self.at);
        self.folder.note(&mut self.positions).await?;
        Ok(self.attempt.cover(&counts).await?)
    }

    fn progress(&self) -> Progress {
        let org = &self.prepared.org;
        Progress {
            read: self.read.load(Ordering::Relaxed),
            accepted: self.at.accepted,
            rejected: self.at.rejected,
            jobs_in_flight: org.jobs_in_flight(),
            jobs_ended: org.ended_jobs().0,
        }
    }

    /// The end of an attempt, whatever it was.
    async fn end(
        self,
        ended: Result<LoadReport>,
        fed: Result<Fed>,
        mut record: RunRecord,
        began: Instant,
        watch: &Watch,
    ) -> Result<ExitCode> {
        let client = self.prepared.org.client().clone();
        client.abort_open_jobs().await;
        client.login_at_rest().await;
        let (at, too_many) = (self.at, self.too_many);
        let mut reasons = None;
        record.counts = match &ended {
            Ok(report) => {
                let base = self.base;
                if record.attempts.len() == 1 {
                    reasons = Some(report.rejects.clone());
                }
                RunCounts {
                    read: base.rows + report.read,
                    accepted: base.accepted + report.accepted + report.merged,
                    rejected: base.rejected + report.rejected,
                    jobs: base.jobs.max(record.counts.jobs) + report.jobs,
                    api_calls: base.api_calls.max(record.counts.api_calls) + report.api_calls,
                }
            }
            Err(_) => RunCounts {
                read: at.rows,
                accepted: at.accepted,
                rejected: at.rejected,
                jobs: at.jobs,
                api_calls: at.api_calls,
            },
        };
        let too_many = match (&ended, self.most_rejected) {
            (Ok(_), Some(MostRejected::Percent(percent))) => share_of(&record.counts, percent),
            _ => too_many,
        };
        record.changed = Utc::now();
        // An error of the reader comes before that of the load, which it has stopped.
        let outcome = match (ended, fed) {
            (Ok(_), Ok(Fed { all })) => Ok(all),
            (_, Err(error)) if !is_stop(&error) => Err(error),
            (Err(error), _) | (_, Err(error)) => Err(error),
        };
        let (state, code) = match &outcome {
            Ok(true) if too_many.is_some() => (RunState::Finished, TOO_MANY_REJECTED),
            Ok(true) => (RunState::Finished, finished(&record.counts)),
            Ok(false) if too_many.is_some() => (RunState::Stopped, TOO_MANY_REJECTED),
            Ok(false) => (RunState::Stopped, finished(&record.counts)),
            Err(_) if too_many.is_some() => (RunState::Stopped, TOO_MANY_REJECTED),
            Err(error) if is_too_many(error) => (RunState::Stopped, TOO_MANY_REJECTED),
            Err(error) if is_stop(error) => (RunState::Stopped, FAILED),
            Err(_) => (RunState::Failed, FAILED),
        };
        record.state = state;
        record.error = too_many.or(outcome.err().map(|error| error.to_string()));
        // Before the ledger goes: a run that has finished is not loaded again.
        self.folder.write(&record).await?;
        if state == RunState::Finished {
            if let Err(error) = self.attempt.finish().await {
                tracing::warn!(%error, "what the run no longer needs of its ledger is left");
            }
        } else {
            self.attempt.release().await;
        }
        let reasons = match reasons {
            Some(reasons) => reasons,
            None => rejected::counts(self.folder, &record).await?,
        };
        let outcome = Outcome {
            run: record.id.clone(),
            object: record.spec.object.clone(),
            state,
            rejects: (record.counts.rejected > 0).then(|| self.folder.shown("rejects/")),
            receipts: (!record.spec.write.no_receipts).then(|| self.folder.shown("receipts/")),
            next: next(&record),
            counts: record.counts,
            elapsed: began.elapsed(),
            reasons,
            error: record.error,
        };
        watch.end(&outcome);
        Ok(ExitCode::from(code))
    }
}

fn finished(counts: &RunCounts) -> u8 {
    if counts.rejected == 0 {
        ACCEPTED
    } else {
        SOME_REJECTED
    }
}

/// What is wrong with a share of rejected records: the engine judges it only once there are enough.
fn share_of(counts: &RunCounts, percent: u8) -> Option<String> {
    let RunCounts { read, rejected, .. } = *counts;
    (rejected * 100 > read * u64::from(percent)).then(|| {
        format!("{rejected} of {read} records were rejected, and --max-rejected allows {percent}%")
    })
}

/// What may be typed next.
fn next(record: &RunRecord) -> Vec<String> {
    let mut next = Vec::new();
    if record.state != RunState::Finished {
        next.push(format!("arrow-salesforce resume {}", record.id));
    }
    if record.counts.rejected > 0 {
        next.push(format!("arrow-salesforce rejects {}", record.id));
    }
    next
}

/// Whether a load was asked to stop.
fn is_stop(error: &CliError) -> bool {
    matches!(error, CliError::Engine(error) if error.is_stopped())
}

/// Whether it stopped for its share of rejected records.
fn is_too_many(error: &CliError) -> bool {
    let CliError::Engine(error) = error else {
        return false;
    };
    let source = std::error::Error::source(error);
    let load = source.and_then(|source| source.downcast_ref::<LoadError>());
    matches!(load, Some(LoadError::TooManyRejected { .. }))
}
