//! `undo`: takes a run back.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use arrow_salesforce::bulk::Organization;
use arrow_salesforce::coerce::Comparison;
use arrow_salesforce::object::ObjectSchema;
use arrow_salesforce::options::NullHandling;
use arrow_salesforce::{Operation, Org};
use datafusion::prelude::SessionContext;
use futures::TryStreamExt as _;
use tempfile::TempDir;

use super::interrupt::Interrupt;
use super::load::{self, Origin};
use super::prepare::{self, Prepared};
use crate::cli::after::UndoArgs;
use crate::credentials;
use crate::error::{ACCEPTED, CliError, Result, SOME_REJECTED};
use crate::guard;
use crate::records;
use crate::records::look::Look;
use crate::records::sent::{Receipts, Sent};
use crate::run::{RunFolder, RunRecord, RunState, Runs};
use crate::spec::{LoadSpec, WriteSpec};
use crate::sql;
use crate::undo::{BY_ORG, Conflicts, Counts, Decided, Deletes, Judge, Restores, Sources, joined};
use crate::watch::Watch;

/// Share of the memory that sorting and joining take.
const JOIN_SHARE: usize = 2;

/// Takes a run back.
///
/// # Errors
/// A usage error for a run that cannot be taken back; those of reading, of calls and of loads.
pub(super) async fn undo(args: UndoArgs) -> Result<ExitCode> {
    let runs = Runs::open(args.place.run_dir.as_deref())?;
    let folder = runs.find(&args.run).await?;
    let record = folder.read().await?;
    can_be_undone(&folder, &record)?;
    let interrupt = Interrupt::listen()?;
    let watch = Watch::new(&args.output);
    // Nobody else takes it back, or goes on with it, meanwhile.
    let _lock = folder.lock().await?;
    let of = Undone::new(&args, folder, record)?;
    let planned = match interrupt.before(Box::pin(of.plan(&watch))).await {
        Ok(planned) => planned,
        Err(error) => {
            of.discard().await;
            return Err(error);
        }
    };
    for found in planned.counts.found() {
        watch.say(&found);
    }
    if let Some(path) = &planned.conflicts {
        watch.say(&format!("they are listed in {}", path.display()));
    }
    let ended = of.carry_out(&planned, &interrupt, &watch).await;
    of.discard().await;
    ended
}

/// Fails for a run that nobody can take back, with the reason.
fn can_be_undone(folder: &RunFolder, record: &RunRecord) -> Result<()> {
    let id = &record.id;
    let operation = record.spec.operation();
    let reason = match operation {
        Operation::Delete => format!(
            "the run {id} has deleted records, which cannot be taken back: look for them in the recycle bin \
             of the org, where they stay for some days"
        ),
        Operation::HardDelete => {
            format!("the run {id} has deleted records for good, which cannot be taken back")
        }
        _ if record.state == RunState::Running => format!(
            "the run {id} has not come to its end, and its last records may have no receipts yet: \
             `arrow-salesforce resume {id}` first, or wait until it ends"
        ),
        Operation::Insert => return Ok(()),
        _ if !folder.snapshot_path().exists() => format!(
            "the run {id} has changed records, and kept no former values that could be restored: load with \
             --snapshot, and it can be taken back"
        ),
        _ => return Ok(()),
    };
    Err(CliError::usage(reason))
}

/// A run that is taken back.
struct Undone<'a> {
    args: &'a UndoArgs,
    folder: RunFolder,
    record: RunRecord,
    /// Of the runs that take it back.
    restores: RunFolder,
    deletes: RunFolder,
}

/// What is to be done.
struct Planned {
    organization: Organization,
    counts: Counts,
    /// The file that lists them.
    conflicts: Option<PathBuf>,
}

impl<'a> Undone<'a> {
    fn new(args: &'a UndoArgs, folder: RunFolder, record: RunRecord) -> Result<Self> {
        let place = args.place.run_dir.as_deref();
        Ok(Self {
            args,
            folder,
            record,
            restores: load::new_folder(place)?,
            deletes: load::new_folder(place)?,
        })
    }

    /// Finds what is to be done with each record, and writes the rows that do it.
    async fn plan(&self, watch: &Watch) -> Result<Planned> {
        let spec = &self.record.spec;
        let org = credentials::org(&self.args.org, spec).await?;
        let now = org.client().org_id();
        if now != self.record.org {
            return Err(CliError::usage(format!(
                "the run {} is of the org {}, and this login is of the org {now}: log in to that one",
                self.record.id, self.record.org
            )));
        }
        let directory = TempDir::new_in(self.folder.local()?);
        let directory = directory.map_err(|error| no_room(&self.folder, &error))?;
        let memory = usize::try_from(org.options().memory_limit_bytes).unwrap_or(usize::MAX);
        let memory = memory / JOIN_SHARE;
        let object = org.object(&spec.object).await?;
        let receipts = Receipts::find(&self.folder, &self.record).await?;
        let (source, operation) = (receipts.source(), spec.operation());
        let values = prepare::values(spec)?;
        let comparison = records::comparison(&org, source, &object, &operation, values).await?;
        let comparison = Arc::new(comparison);
        for left in comparison.left_out() {
            watch.say(&format!(
                "{} is left as it is: it {}",
                left.name, left.reason
            ));
        }
        let session = sql::session(memory, true)?;
        let sent = receipts
            .sent(&comparison, &session, directory.path())
            .await?;
        let now = directory.path().join("now.parquet");
        let look = look(&org, &object, &comparison);
        read(look, &sent, &session, &now, watch).await?;
        let before = self.folder.snapshot_path();
        let sources = Sources {
            sent: &sent.path,
            now: &now,
            before: (operation != Operation::Insert).then_some(&before),
        };
        let reported = receipts.reported(&self.record).await?;
        let merged = reported.may_be_merged;
        let judging = self.judge(sources, &comparison, &session, merged);
        let (mut counts, conflicts) = judging.await?;
        counts.unsettled = !reported.is_settled;
        counts.without_id = sent.without_id;
        Ok(Planned {
            organization: prepare::organization(&org).await?,
            counts,
            conflicts,
        })
    }

    /// Decides on each record, and writes what is decided.
    async fn judge(
        &self,
        sources: Sources<'_>,
        comparison: &Comparison,
        session: &SessionContext,
        merged: bool,
    ) -> Result<(Counts, Option<PathBuf>)> {
        let judge = Judge {
            comparison,
            user: self.record.user.as_deref(),
            overwrite: self.args.overwrite,
            resumed: (self.record.attempts.len() > 1).then_some(self.record.started),
            merged,
        };
        self.restores.local()?;
        self.deletes.local()?;
        let mut decided = Decided {
            restores: Restores::create(&self.restores.undo_path(), comparison)?,
            deletes: Deletes::create(&self.deletes.undo_path())?,
            conflicts: Conflicts::at(self.folder.local()?.join("conflicts.csv")),
            counts: Counts::default(),
        };
        let mut rows = joined(sources, comparison, session).await?;
        while let Some(batch) = rows.try_next().await? {
            judge.judge(&batch, &mut decided)?;
            decided.restores.flush(false)?;
            decided.deletes.flush(false)?;
        }
        decided.restores.finish()?;
        decided.deletes.finish()?;
        Ok((decided.counts, decided.conflicts.finish()?))
    }

    /// Asks, and does it: two loads, of which either may have nothing to do.
    async fn carry_out(
        &self,
        planned: &Planned,
        interrupt: &Interrupt,
        watch: &Watch,
    ) -> Result<ExitCode> {
        let (counts, object) = (&planned.counts, &self.record.spec.object);
        let ended = match counts.left() {
            0 => ExitCode::from(ACCEPTED),
            _ => ExitCode::from(SOME_REJECTED),
        };
        if counts.changes() == 0 {
            let id = &self.record.id;
            watch.say(&match counts.left() {
                0 => format!("nothing of the run {id} is left to take back"),
                _ => format!("nothing else of the run {id} can be taken back"),
            });
            return Ok(ended);
        }
        let what = counts.what(object, &guard::place(&planned.organization));
        if self.args.dry_run {
            watch.say(&what);
            return Ok(ended);
        }
        if !self.args.output.yes {
            guard::confirm(&what).await?;
        }
        let both = [
            (&self.restores, counts.restores, self.restoring()),
            (&self.deletes, counts.deletes, self.deleting()),
        ];
        let mut worst = ended;
        for (folder, records, spec) in both {
            if records == 0 {
                continue;
            }
            let code = Box::pin(self.load(folder, spec, interrupt, watch)).await?;
            if code == ExitCode::from(SOME_REJECTED) {
                worst = code;
            } else if code != ExitCode::from(ACCEPTED) {
                watch.say(&format!(
                    "to go on: arrow-salesforce undo {}",
                    self.record.id
                ));
                return Ok(code);
            }
        }
        Ok(worst)
    }

    /// One of the loads, as a run of its own.
    async fn load(
        &self,
        folder: &RunFolder,
        spec: LoadSpec,
        interrupt: &Interrupt,
        watch: &Watch,
    ) -> Result<ExitCode> {
        let preparing = Box::pin(Prepared::of(spec, &self.args.org, folder));
        let prepared = interrupt.before(preparing).await?;
        let origin = Origin::Undo(self.record.id.clone());
        load::begin(&prepared, folder, origin, interrupt, watch).await
    }

    fn restoring(&self) -> LoadSpec {
        let mut spec = self.spec(&self.restores);
        spec.update = true;
        spec.write.nulls = Some(NullHandling::Clear);
        spec
    }

    fn deleting(&self) -> LoadSpec {
        let mut spec = self.spec(&self.deletes);
        spec.delete = true;
        spec
    }

    /// How the run itself was loaded, but for what was loaded.
    fn spec(&self, folder: &RunFolder) -> LoadSpec {
        let of = &self.record.spec;
        LoadSpec {
            inputs: vec![folder.undo_path().display().to_string()],
            object: of.object.clone(),
            write: WriteSpec {
                max_jobs_in_flight: of.write.max_jobs_in_flight,
                max_job_bytes: of.write.max_job_bytes,
                max_job_rows: of.write.max_job_rows,
                ..WriteSpec::default()
            },
            ..LoadSpec::default()
        }
    }

    /// Deletes what is on this machine of runs that never began.
    async fn discard(&self) {
        for folder in [&self.restores, &self.deletes] {
            if folder.read().await.is_err() {
                folder.discard_local();
            }
        }
    }
}

/// What is read of the records as they are now.
fn look(org: &Org, object: &ObjectSchema, comparison: &Comparison) -> Look {
    let by_org = BY_ORG.into_iter().filter_map(|name| object.field(name));
    let compared = comparison.fields().iter();
    let compared = compared.flat_map(|field| [&field.path, &field.fills.name]);
    let names = by_org.map(|field| &field.name).chain(compared);
    let columns = Look::columns_of(names.map(String::as_str));
    Look {
        client: org.client().clone(),
        object: object.name.clone(),
        key: "Id".to_owned(),
        numeric: false,
        columns,
    }
}

/// Reads the records as they are now into a file.
async fn read(
    look: Look,
    sent: &Sent,
    session: &SessionContext,
    path: &Path,
    watch: &Watch,
) -> Result<()> {
    let keys = sent.ids(session).await?;
    let how = look.choose(&keys).await;
    watch.say(&format!("the records are read {}", how.said()));
    look.keep(how, keys, path).await?;
    Ok(())
}

fn no_room(folder: &RunFolder, error: &std::io::Error) -> CliError {
    CliError::failed(format!(
        "{} cannot be written to: {error}. Make room, or choose another place with --run-dir",
        folder.local_path().display()
    ))
}
