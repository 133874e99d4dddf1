//! A closed chunk becomes a job; its rows come to their end.

mod attempt;
mod bisect;
mod contention;
mod deliver;
mod ended;
mod enter;
mod hold;
mod judge;
mod outcomes;
mod proof;
mod receipts;
mod records;
mod resolve;
mod retry;
mod run;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::time::Instant;

use crate::bulk::EndedJob;
use crate::chunk::Chunk;
use crate::error::Result;
use crate::reject::RejectedRow;
use crate::rows::{KeyDigest, MergedRow, RowSet};

use super::checkpoint::End;
use super::closed::Closed;
use super::event::EventSender;
use super::held::Held;
use super::keys::KeysInFlight;
use super::org::{Reservation, UnderWay};
use super::settle::JobFault;
use super::state::Load;
use attempt::Attempt;
use bisect::{Bisection, Outcome, Step};
use deliver::{Rejected, refused};
use ended::Job;
use hold::hold;
use judge::SettlePermit;
pub(super) use judge::{SentIn, Verdict, judge, wrote_nothing};
use outcomes::RowOutcomes;
use proof::found_in_org;
pub(super) use receipts::deliver_known;
pub(super) use records::records_of_entry;
use retry::{Rebuilt, Retry, bisected_rows, rebuild, retries, with_merged};
use run::{FirstJob, Ran, UntilClosed, run};

/// Most jobs that a process makes to find rows at fault: a share of the 15,000 batches of a day.
const MOST_JOBS_OF_ALL: u32 = 1_000;

/// Rows of one job: those that are sent, and those that were merged into one of them.
struct JobRows {
    chunk: Chunk,
    /// The keys of those that are sent and have one, in the order of their ordinals, where they are kept.
    keys: Option<Arc<Vec<KeyDigest>>>,
    merged: Vec<MergedRow>,
    attempt: Attempt,
}

/// What became of a job that was to be sent.
enum Sent {
    /// Each of its rows was processed, or is to be retried.
    Settled {
        /// Each was processed.
        whole: bool,
    },
    /// It was refused as a whole.
    Refused(Box<Refused>),
    /// The load was stopped before its end.
    Stopped,
}

/// A job that was refused as a whole.
struct Refused {
    job: Job,
    rows: RowSet,
    merged: Vec<MergedRow>,
    attempt: Attempt,
}

/// The rows of a chunk while they are sent.
struct Submission {
    load: Arc<Load>,
    rejected: Rejected,
    retries: Vec<Retry>,
    bisection: Bisection,
    under_way: UnderWay,
    /// Kept until the rejected rows are stored.
    settle_permit: Option<SettlePermit>,
    /// Mean length of a row as CSV.
    row_bytes: u64,
    /// When waiting for an allocation of the day ends, once one was used up.
    quota_deadline: Option<Instant>,
}

/// Submits the chunk, and what is retried of it, until each of its rows has its end.
///
/// Returns early, leaving rows without an end, when the load was stopped.
pub(super) async fn submit(load: Arc<Load>, closed: Closed, events: EventSender) -> Result<()> {
    let Closed {
        chunk,
        merged,
        keys,
        rows,
        rejects,
        cells,
        staging,
        turn,
        under_way,
    } = closed;
    let until_closed = UntilClosed {
        cells,
        first: Some(FirstJob { rows, staging }),
    };
    // After a failure, or a panic, no row that waits for these keys may go.
    let stop = load.stop.clone().drop_guard();
    let mut submission = Submission {
        rejected: Rejected::new(&load, rejects, events),
        load,
        retries: Vec::new(),
        bisection: Bisection::default(),
        under_way,
        settle_permit: None,
        row_bytes: chunk.bytes() / chunk.rows().max(1),
        quota_deadline: None,
    };
    let first = JobRows {
        chunk,
        keys: keys.as_ref().map(KeysInFlight::keys),
        merged,
        attempt: Attempt {
            may_be_done: submission.load.plan.options.may_be_done,
            ..Attempt::first(submission.load.plan.options.max_attempts)
        },
    };
    if !submission.send_all(first, until_closed).await? {
        return Ok(());
    }
    submission.rejected.deliver(&submission.load).await?;
    let Submission {
        load,
        settle_permit,
        under_way,
        ..
    } = submission;
    drop(settle_permit);
    stop.disarm();
    // Rows that waited for these keys may go now.
    drop(keys);
    // Who has the next turn moves before this one moves no more.
    drop(turn);
    drop(under_way);
    load.books
        .check_rejected(load.plan.options.max_rejected_percent)
}

impl Submission {
    /// All jobs of the chunk's rows. False if the load was stopped.
    async fn send_all(&mut self, first: JobRows, until_closed: UntilClosed) -> Result<bool> {
        if first.chunk.rows() == 0 {
            until_closed.nothing_to_send(&self.load);
        } else {
            let sent = self.send(first, until_closed).await?;
            if !self.went_on(sent).await? {
                return Ok(false);
            }
        }
        while let Some(retry) = self.next_retry() {
            self.before_next_job().await?;
            if !retry.due(&self.load).await {
                return Ok(false);
            }
            let bytes = 2 * self.load.books.rows().bytes(&retry.rows);
            let memory = tokio::select! {
                biased;
                () = self.load.stop.cancelled() => return Ok(false),
                memory = self.under_way.memory(bytes) => memory?,
            };
            let sent = self.send_again(retry.rows, retry.attempt, memory).await?;
            if !self.went_on(sent).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// False if the load was stopped. Of a job that was refused as a whole, the rows at fault are
    /// found first.
    async fn went_on(&mut self, sent: Sent) -> Result<bool> {
        match sent {
            Sent::Settled { .. } => Ok(true),
            Sent::Stopped => Ok(false),
            Sent::Refused(refused) => self.bisect(*refused).await,
        }
    }

    /// What is not kept through a pause, or while another job is settled.
    async fn before_next_job(&mut self) -> Result<()> {
        self.rejected.deliver_many(&self.load).await?;
        self.settle_permit = None;
        Ok(())
    }

    /// Splits the rows of a refused job until those at fault are found and all others are loaded.
    /// False if the load was stopped.
    async fn bisect(&mut self, refused: Refused) -> Result<bool> {
        let Refused {
            mut job,
            rows,
            merged,
            attempt,
        } = refused;
        if !job.blames_rows() {
            return Err(job.refused());
        }
        self.before_next_job().await?;
        // One chunk at a time: if the columns are at fault, no other one tries as well.
        let load = Arc::clone(&self.load);
        let Some(mut made) = load.org.bisecting(&load.stop).await else {
            return Ok(false);
        };
        let most = bisected_rows(&load, self.row_bytes);
        let mut at_fault = Vec::new();
        if rows.len() == 1 {
            at_fault.extend(job.rejects(&rows, &merged));
        } else {
            let loaded = load.has_loaded.load(Ordering::Relaxed);
            self.bisection.begin(rows, merged, loaded);
        }
        loop {
            let part = match self.bisection.next(most, *made < MOST_JOBS_OF_ALL) {
                Step::Done => break,
                Step::Columns => return Err(job.refused_in_all_parts(self.bisection.jobs())),
                Step::Send(part) => part,
                Step::Exhausted(left) => return self.give_up(&job, at_fault, left).await,
            };
            *made += 1;
            let part = with_merged(part, self.bisection.merged());
            // It does not wait: chunks that wait for their turn seem to be on their way.
            let memory = load.org.budget().reserve(0);
            let outcome = match self.send_again(part, attempt, memory).await? {
                Sent::Stopped => return Ok(false),
                Sent::Settled { whole: true } => Outcome::Loaded,
                Sent::Settled { whole: false } => Outcome::Unclear,
                Sent::Refused(refused) => {
                    job = refused.job;
                    if !job.blames_rows() {
                        return Err(job.refused());
                    }
                    if refused.rows.len() == 1 {
                        at_fault.extend(job.rejects(&refused.rows, &refused.merged));
                    }
                    Outcome::Refused
                }
            };
            self.bisection.ended(outcome);
            self.before_next_job().await?;
        }
        tracing::warn!(
            stream = %load.plan.name, job = %job.id, rows = at_fault.len(), jobs = self.bisection.jobs(),
            "the rows for which Salesforce refused a whole job were found, and are rejected"
        );
        self.rejected.extend(at_fault.into_iter());
        Ok(true)
    }

    /// Rejects the rows at fault that were found; fails for those that were not.
    async fn give_up(&mut self, job: &Job, at_fault: Vec<RejectedRow>, left: u64) -> Result<bool> {
        self.rejected.extend(at_fault.into_iter());
        self.rejected.deliver(&self.load).await?;
        Err(job.refused_too_often(self.bisection.jobs(), left))
    }

    /// Takes the rows out that may be sent first.
    fn next_retry(&mut self) -> Option<Retry> {
        let retries = self.retries.iter().enumerate();
        let (next, _) = retries.min_by_key(|(_, retry)| retry.not_before)?;
        Some(self.retries.swap_remove(next))
    }

    /// Sends rows in one more job, with this memory for them.
    async fn send_again(
        &mut self,
        rows: RowSet,
        attempt: Attempt,
        memory: Reservation,
    ) -> Result<Sent> {
        let Rebuilt {
            chunk,
            merged,
            cells,
        } = rebuild(&self.load, rows, memory).await?;
        if chunk.rows() == 0 {
            return Ok(Sent::Settled { whole: false });
        }
        let rows = JobRows {
            chunk,
            keys: None,
            merged,
            attempt,
        };
        self.send(rows, UntilClosed { cells, first: None }).await
    }

    /// One job, from its creation to what became of its rows.
    async fn send(&mut self, rows: JobRows, until_closed: UntilClosed) -> Result<Sent> {
        let JobRows {
            chunk,
            keys,
            merged,
            mut attempt,
        } = rows;
        let sent = chunk.sent();
        let load = Arc::clone(&self.load);
        // Parents that come while it goes on may come too late for it.
        let may_hold = load.held.as_ref().is_some_and(Held::may_hold);
        let done = &mut attempt.may_be_done;
        let Some(ran) = run(&load, chunk, until_closed, done).await? else {
            return Ok(Sent::Stopped);
        };
        let Ran {
            mut ended,
            in_flight,
            slot,
            entered,
        } = ran;
        let job = Job::of(&load, &ended);
        if job.fault == JobFault::Quota && ended.processed != Some(sent.len()) {
            self.wait_for_quota(&job, &ended, sent.len())?;
        }
        let sent_in = SentIn::of(sent.clone(), keys, entered);
        let mut ends = match judge(&load, &mut ended, job.fault, &sent_in).await? {
            Verdict::Refused => {
                in_flight.ended();
                let refused = Refused {
                    job,
                    rows: sent,
                    merged,
                    attempt,
                };
                return Ok(Sent::Refused(Box::new(refused)));
            }
            Verdict::Ends(ends, permit) => {
                self.settle_permit = permit;
                ends
            }
        };
        drop(sent_in);
        if load.plan.coercion.key().is_none() && !ends.unknown.is_empty() {
            // Salesforce may be asked for long.
            self.settle_permit = None;
            let found = found_in_org(&load, &job, &ends.unknown, &sent).await?;
            ends.unknown.remove_all(&found);
            ends.accepted.insert_all(&found);
        }
        contention::note(&load, &slot, &job, &ends, sent.len());
        let whole = ends.unprocessed.is_empty() && ends.unknown.is_empty();
        if whole {
            load.has_loaded.store(true, Ordering::Relaxed);
        }
        let outcomes = RowOutcomes::of(ends, &load.plan.target.operation, attempt);
        outcomes.check(&sent)?;
        job.warn(&outcomes, attempt);
        let checked = job.check_ends(&outcomes, attempt);
        // Rows whose end is not known and that are not sent again may be loaded.
        if checked.is_ok() || outcomes.unknown.is_empty() {
            in_flight.ended();
        }
        self.deliver_receipts(&mut ended, &outcomes.accepted)
            .await?;
        accept(&load, &outcomes.accepted, &merged);
        checked?;
        let mut retries = retries(
            &load,
            &outcomes,
            &merged,
            attempt,
            job.fault,
            self.row_bytes,
        );
        if !retries.is_empty() && load.stop.is_cancelled() {
            return Ok(Sent::Stopped);
        }
        if let (JobFault::Quota, Some(deadline)) = (job.fault, self.quota_deadline) {
            for retry in &mut retries {
                retry.not_before = retry.not_before.min(deadline);
            }
        }
        self.retries.extend(retries);
        let mut rejected = outcomes.rejected;
        if may_hold {
            rejected = hold(&load, &job.id, rejected, &merged).await?;
        }
        self.rejected.extend(refused(rejected, &merged, &job.id));
        Ok(Sent::Settled { whole })
    }

    /// Hands on the receipts of the accepted rows of a job.
    async fn deliver_receipts(&mut self, ended: &mut EndedJob, accepted: &RowSet) -> Result<()> {
        let (permit, events) = (&mut self.settle_permit, self.rejected.events());
        receipts::deliver(&self.load, ended, accepted, permit, events).await
    }

    /// Fails if rows of a job that an allocation of the day was used up for are to wait no longer.
    fn wait_for_quota(&mut self, job: &Job, ended: &EndedJob, sent: u64) -> Result<()> {
        let waits = self.load.org.options().waits;
        let now = Instant::now();
        if let Some(wait) = waits.limit_wait {
            let first = || now + waits.scaled(wait);
            if now < *self.quota_deadline.get_or_insert_with(first) {
                return Ok(());
            }
        }
        Err(job.quota(ended, sent))
    }
}

/// These rows are in Salesforce, and with them those that were merged into them.
fn accept(load: &Load, accepted: &RowSet, merged: &[MergedRow]) {
    let parts = merged.iter().filter(|row| accepted.contains(row.into));
    let parts: RowSet = parts.map(|merged| merged.row).collect();
    if let Some(held) = &load.held {
        held.end(&parts, true);
        held.end(accepted, true);
    }
    load.books.end(parts.ranges(), End::Merged);
    load.books.end(accepted.ranges(), End::Accepted);
}
