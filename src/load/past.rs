//! What older attempts of a load left behind: rows in Salesforce, or stored as rejected, whose states
//! were not acknowledged, so that they come again.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use arrow::array::{Array as _, AsArray as _};
use chrono::Utc;
use futures::TryStreamExt as _;
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use crate::bulk::{BulkError, EndedJob, JobState};
use crate::disk::Disk;
use crate::error::{Error, ErrorKind, Result};
use crate::ledger::{
    Entry, EntryName, LedgerError, LeftEnd, LeftoversBuilder, LoadLedger, OlderCursors, Origin,
    SentColumn,
};
use crate::object::{RecordId, RecordIds};
use crate::options::Older;
use crate::rows::{KeyDigest, KeySet, RowSet};

use super::LoadError;
use super::org::Reservation;
use super::settle::{JobFault, RecordLog, row_digests};
use super::state::Load;
use super::submit::{SentIn, Verdict, judge, records_of_entry, wrote_nothing};

/// Records of older attempts that are looked for in the org, of all jobs together.
const SAMPLE: usize = 200;

/// Rows of a job's successful results that are read for the sample.
const SAMPLED_FROM: u64 = 100_000;

/// What older attempts left behind, in numbers of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Recovered {
    /// In Salesforce.
    pub accepted: u64,
    /// Stored as rejected.
    pub rejected: u64,
    /// Rows before the first that has to come again: those that all earlier attempts together have
    /// [covered](super::Attempt::cover), each from where the one before it had come.
    pub covered: u64,
}

/// Finds out what older attempts left behind, and lets the ledger expect it.
pub(super) async fn recover(
    load: &Arc<Load>,
    ledger: &LoadLedger,
    older: Older,
) -> Result<Recovered> {
    alike(load, ledger, older).await?;
    let names = ledger.older().await?;
    let cursors = ledger.older_cursors().await?;
    let covered = cursors.all_covered(ledger.directory());
    if names.is_empty() {
        return Ok(Recovered {
            covered,
            ..Recovered::default()
        });
    }
    if older == Older::Forget {
        ledger.forget(&names).await?;
        tracing::warn!(
            stream = %load.plan.name, jobs = names.len(),
            "what the ledger says of earlier attempts is forgotten, as ledger: forget asks: all \
             records are sent again. Take the setting back for later syncs"
        );
        return Ok(Recovered {
            covered,
            ..Recovered::default()
        });
    }
    let mut finding = Finding {
        load,
        ledger,
        rows: LeftoversBuilder::new(Disk::shared()),
        memory: load.org.budget().reserve(0),
        accepted: BTreeMap::new(),
        found: Recovered {
            covered,
            ..Recovered::default()
        },
        samples: older != Older::Trust,
        sample: Sample::default(),
        ids: RecordIds::default(),
    };
    let (mut needless, mut said) = (Vec::new(), HashSet::new());
    for (number, name) in names.iter().enumerate() {
        let attempt = name.attempt();
        if said.insert(attempt) {
            tracing::info!(
                stream = %load.plan.name, attempt, covered = cursors.covered(name),
                "an earlier attempt ended early: its states cover so many records, and what its \
                 jobs did beyond is found out first"
            );
        }
        if !finding.entry(number as u32, name, &cursors).await? {
            needless.push(name.clone());
        }
    }
    let Finding {
        rows,
        memory: _memory,
        found,
        sample,
        ids,
        ..
    } = finding;
    ledger.forget(&needless).await?;
    sample.compare(load).await?;
    let rows = spawn_blocking(move || rows.build()).await;
    let rows = rows.map_err(LoadError::from)?.map_err(LedgerError::Disk)?;
    ledger.expect(names, rows, ids)?;
    tracing::info!(
        stream = %load.plan.name, accepted = found.accepted, rejected = found.rejected,
        "records of earlier attempts that are in Salesforce, or stored as rejected, and that no \
         state covers: they are not sent when they come again"
    );
    Ok(found)
}

/// Loads like this one by another catalog are either those of another connection, or earlier attempts
/// of this one by another mapping. Only the columns can show the latter.
async fn alike(load: &Load, ledger: &LoadLedger, older: Older) -> Result<()> {
    let names = ledger.alike().await?;
    if names.is_empty() {
        return Ok(());
    }
    let cursors = ledger.older_cursors().await?;
    for of_load in names.chunk_by(|one, other| one.load() == other.load()) {
        let Some(error) = other_columns(load, ledger, &cursors, of_load).await? else {
            continue;
        };
        if older != Older::Forget {
            return Err(error.into());
        }
        ledger.forget(of_load).await?;
        tracing::warn!(
            stream = %load.plan.name, jobs = of_load.len(),
            "an earlier attempt that has sent its columns in another way is forgotten, as ledger: \
             forget asks"
        );
    }
    Ok(())
}

/// How an attempt that ended early has sent its columns in another way, if one has.
async fn other_columns(
    load: &Load,
    ledger: &LoadLedger,
    cursors: &OlderCursors,
    names: &[EntryName],
) -> Result<Option<LedgerError>> {
    for name in names {
        let Some(entry) = ledger.entry(name).await? else {
            continue;
        };
        let is_over = LedgerError::is_old(&entry.head, Utc::now());
        if is_over || cursors.open_rows(name, &entry.rows).is_empty() {
            continue;
        }
        let Err(error) = same_columns(&load.plan.sent_columns, &entry) else {
            return Ok(None);
        };
        if ledger.has_ended(name.attempt()).await? {
            return Ok(Some(error));
        }
    }
    Ok(None)
}

/// What is found of older attempts, one job after the other.
struct Finding<'a> {
    load: &'a Arc<Load>,
    ledger: &'a LoadLedger,
    rows: LeftoversBuilder,
    /// Of these rows, as far as they are not on disk.
    memory: Reservation,
    /// Rows of each attempt that have an end: a row may stand in several of its entries.
    accepted: BTreeMap<String, RowSet>,
    found: Recovered,
    /// Whether records are looked for in the org.
    samples: bool,
    sample: Sample,
    /// Of records that receipts are to show.
    ids: RecordIds,
}

/// What a job of an older attempt wrote.
struct Written {
    /// Open rows.
    rows: RowSet,
    /// The records of all rows that it wrote, if receipts are to show them.
    records: Option<RecordLog>,
}

impl Finding<'_> {
    /// Finds what an entry left behind; false if nothing of it is expected.
    async fn entry(
        &mut self,
        number: u32,
        name: &EntryName,
        cursors: &OlderCursors,
    ) -> Result<bool> {
        let Some(entry) = self.ledger.entry(name).await? else {
            return Ok(true);
        };
        let bytes = entry.digests.len() * size_of::<KeyDigest>();
        let _memory = self.load.org.budget().reserve(bytes);
        let open = cursors.open_rows(name, &entry.rows);
        if open.is_empty() {
            return Ok(false);
        }
        same_columns(&self.load.plan.sent_columns, &entry)?;
        let entry = Arc::new(entry);
        let Some(written) = self.written_of(&entry, &open).await? else {
            return Ok(false);
        };
        let (mut accepted, records) = (written.rows, written.records);
        let known = self.accepted.entry(name.attempt().to_owned()).or_default();
        accepted.remove_all(known);
        known.insert_all(&accepted);
        let stored = self.ledger.stored(name).await?;
        let mut rejected: RowSet = open.iter().filter(|row| stored.contains(*row)).collect();
        rejected.remove_all(known);
        known.insert_all(&rejected);
        // A mark has all rows that the job refused for good.
        if stored.is_empty() && open.iter().any(|row| !known.contains(row)) {
            tracing::info!(
                stream = %self.load.plan.name, attempt = name.attempt(), job = entry.head.job,
                "rejected records of a job of an earlier attempt that no state covers may be stored, \
                 without a mark that says so: they are sent again when they come, and stored again"
            );
        }
        self.found.accepted += accepted.len();
        self.found.rejected += rejected.len();
        let mut part = None;
        for (row, digest) in entry.rows.iter().zip(entry.digests.iter()) {
            let end = if accepted.contains(row) {
                LeftEnd::Accepted
            } else if rejected.contains(row) {
                LeftEnd::Rejected
            } else {
                continue;
            };
            let record = match (&records, end) {
                (Some(records), LeftEnd::Accepted) => records.number_of(row, &mut part)?,
                _ => 0,
            };
            let origin = Origin {
                entry: number,
                row,
                end,
                record,
            };
            self.rows.add(digest, origin).map_err(LedgerError::Disk)?;
        }
        self.memory.resize(self.rows.memory());
        Ok(!(accepted.is_empty() && rejected.is_empty()))
    }

    /// Those of the open rows of an entry that its job wrote; `None` if it has processed none at all.
    async fn written_of(&mut self, entry: &Arc<Entry>, open: &RowSet) -> Result<Option<Written>> {
        let head = &entry.head;
        let gone = || LedgerError::gone(head, open.len());
        if LedgerError::is_old(head, Utc::now()) {
            return Err(gone().into());
        }
        let ended = match self.ended(&head.job).await {
            Err(error) if is_gone(&error) => return Err(gone().into()),
            ended => ended?,
        };
        let Some(mut ended) = ended else {
            return Ok(None);
        };
        let columns: Vec<String> = head
            .columns
            .iter()
            .map(|column| column.name.clone())
            .collect();
        let failed = ended.state != JobState::JobComplete;
        let message = ended.message.as_deref().filter(|_| failed);
        let fault = JobFault::of(message, &columns);
        let sent = SentIn::Entry(Arc::clone(entry));
        let mut ends = match judge(self.load, &mut ended, fault, &sent).await? {
            Verdict::Refused => return Ok(None),
            Verdict::Ends(ends, _) => ends,
        };
        if ends.unknown == entry.rows {
            let ended = self.load.client.job(&head.job).await?.finished().await?;
            if never_closed(&ended).await? {
                return Ok(None);
            }
        }
        let open_of = |rows: &RowSet| open.iter().filter(|row| rows.contains(*row)).collect();
        let unknown: RowSet = open_of(&ends.unknown);
        if !unknown.is_empty() {
            return Err(LedgerError::unclear(head, unknown.len()).into());
        }
        let mut records = None;
        let rows: RowSet = open_of(&ends.accepted);
        if self.load.plan.receipts.is_some() && !rows.is_empty() {
            // Of all rows, as the older attempt has paired them: equal ones have their Ids in this order.
            let (load, written, ids) = (self.load, &ends.accepted, &mut self.ids);
            records = records_of_entry(load, &mut ended, entry, written, ids).await?;
        }
        ends.accepted = rows;
        if self.samples && !ends.accepted.is_empty() {
            let ended = self.load.client.job(&head.job).await?.finished().await?;
            self.sample
                .add(self.load, &ended, entry, &ends.accepted)
                .await?;
        }
        Ok(Some(Written {
            rows: ends.accepted,
            records,
        }))
    }

    /// A job of an older attempt, at its end. `None` if it never was closed: then it holds nothing.
    async fn ended(&self, id: &str) -> Result<Option<EndedJob>> {
        let (load, client) = (self.load, &self.load.client);
        let running = match client.job(id).await {
            Err(BulkError::WrongState { .. }) => {
                let aborted = client.abort(id).await;
                if let Err(error) = &aborted {
                    tracing::warn!(job = id, %error, "a job that is open could not be aborted");
                }
                // It may have been closed in between.
                client.job(id).await?
            }
            running => {
                let running = running?;
                let ended = self.wait(running).await?;
                return Ok(Some(ended));
            }
        };
        let ended = self.wait(running).await?;
        if !never_closed(&ended).await? {
            return Ok(Some(ended));
        }
        tracing::info!(
            stream = %load.plan.name, job = id,
            "a job of an earlier attempt was open, and is aborted: it holds nothing"
        );
        Ok(None)
    }

    async fn wait(&self, running: crate::bulk::RunningJob) -> Result<EndedJob> {
        let (load, job) = (self.load, running.id().to_owned());
        let saying = async {
            sleep(load.org.options().waits.scaled(SAID_AFTER)).await;
            tracing::info!(
                stream = %load.plan.name, job,
                "waiting for the end of a job of an earlier attempt"
            );
            std::future::pending::<()>().await;
        };
        tokio::select! {
            biased;
            ended = running.finished() => Ok(ended?),
            () = saying => Err(LoadError::Stopped.into()),
            () = load.stop.cancelled() => Err(LoadError::Stopped.into()),
        }
    }
}

/// A job that takes longer is said to be waited for.
const SAID_AFTER: std::time::Duration = std::time::Duration::from_secs(2);

/// Whether a job was aborted before it was closed, as far as it says: it counts no row and has none in
/// its files.
async fn never_closed(ended: &EndedJob) -> Result<bool> {
    let counts_nothing = ended.processed.unwrap_or(0) == 0 && ended.failed.unwrap_or(0) == 0;
    Ok(ended.state == JobState::Aborted && counts_nothing && wrote_nothing(ended).await?)
}

/// Whether Salesforce has nothing to say of a job any more.
fn is_gone(error: &Error) -> bool {
    use std::error::Error as _;
    let source = error.source().and_then(|source| source.downcast_ref());
    matches!(source, Some(BulkError::JobGone { .. }))
}

/// Rows can be compared only if they are written alike.
fn same_columns(columns: &[SentColumn], entry: &Entry) -> Result<(), LedgerError> {
    let older: HashSet<&SentColumn> = entry.head.columns.iter().collect();
    let newer: HashSet<&SentColumn> = columns.iter().collect();
    let mut other: Vec<&str> = older
        .symmetric_difference(&newer)
        .map(|column| column.name.as_str())
        .collect();
    other.sort_unstable();
    other.dedup();
    if other.is_empty() {
        return Ok(());
    }
    Err(LedgerError::columns(&entry.head, &other))
}

/// Ids of records of older attempts, at random.
#[derive(Default)]
struct Sample {
    ids: Vec<String>,
    seen: u64,
}

impl Sample {
    /// Adds records of a job, of which these rows are open.
    async fn add(
        &mut self,
        load: &Load,
        ended: &EndedJob,
        entry: &Entry,
        open: &RowSet,
    ) -> Result<()> {
        let wanted: Option<KeySet> = (open.len() < entry.rows.len()).then(|| {
            let rows = entry.rows.iter().zip(entry.digests.iter());
            let open = rows.filter(|(row, _)| open.contains(*row));
            open.map(|(_, digest)| digest).collect()
        });
        let mut read = 0;
        let mut results = ended.successful_results().await?;
        while let Some(batch) = results.try_next().await? {
            let digests = match &wanted {
                Some(_) => row_digests(&load.plan.coercion, &batch)?,
                None => None,
            };
            let ids = batch.column_by_name("sf__Id");
            let ids = ids.and_then(|ids| ids.as_string_opt::<i32>());
            for row in 0..batch.num_rows() {
                let digest = digests.as_ref().and_then(|digests| digests.get(row));
                let is_wanted = match (&wanted, digest) {
                    (Some(wanted), Some(digest)) => wanted.contains(digest),
                    (Some(_), None) => false,
                    (None, _) => true,
                };
                if is_wanted
                    && let Some(id) = ids.and_then(|ids| ids.is_valid(row).then(|| ids.value(row)))
                {
                    self.offer(id);
                }
            }
            read += batch.num_rows() as u64;
            if read >= SAMPLED_FROM {
                break;
            }
        }
        Ok(())
    }

    /// Each Id that is offered is kept with the same probability.
    fn offer(&mut self, id: &str) {
        self.seen += 1;
        if self.ids.len() < SAMPLE {
            self.ids.push(id.to_owned());
        } else {
            let place = fastrand::u64(..self.seen) as usize;
            if let Some(kept) = self.ids.get_mut(place) {
                id.clone_into(kept);
            }
        }
    }

    /// Fails if some are gone from the org. That it cannot be asked proves nothing.
    async fn compare(self, load: &Load) -> Result<()> {
        if self.ids.is_empty() {
            return Ok(());
        }
        let object = &load.plan.target.object;
        let found = match load.client.records_by_id(object, &self.ids).await {
            Ok(found) => found,
            // Not each object can be queried, and not by each user.
            Err(error) if error.kind() != ErrorKind::Transient => {
                tracing::warn!(
                    stream = %load.plan.name, %error,
                    "whether records of earlier attempts are still in the org cannot be asked"
                );
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        let found: HashSet<_> = found.iter().filter_map(|id| RecordId::parse(id)).collect();
        let ids = self.ids.iter().filter_map(|id| RecordId::parse(id));
        let gone = ids.filter(|id| !found.contains(id)).count();
        if gone == 0 {
            return Ok(());
        }
        let error = LedgerError::CleanedUp {
            object: object.clone(),
            gone,
            sampled: self.ids.len(),
        };
        Err(error.into())
    }
}
