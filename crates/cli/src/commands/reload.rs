//! `rejects --load`: rejected records once more, as they are, by a query, or from a repaired export.

use std::collections::HashSet;
use std::fs::File;
use std::process::ExitCode;

use arrow_ipc::writer::FileWriter;
use arrow_salesforce::arrow::array::AsArray as _;
use arrow_salesforce::arrow::compute::cast;
use arrow_salesforce::arrow::datatypes::DataType;
use datafusion::prelude::ident;
use futures::StreamExt as _;

use super::interrupt::Interrupt;
use super::load::{self, Origin};
use super::prepare::Prepared;
use super::rejected::Source;
use crate::cli::{OperationArgs, RejectsArgs};
use crate::error::{CliError, Result};
use crate::input::Inputs;
use crate::rejects::{Columns, ID_COLUMN, RejectsError, Rows};
use crate::run::RunFolder;
use crate::spec::LoadSpec;
use crate::sql::{self, SqlError};
use crate::watch::Watch;

/// Memory of the query that finds which records are loaded.
const QUERY_MEMORY: usize = 256 << 20;

/// Loads records of `source` again: from the repaired `file`, or all that no run has taken.
pub(crate) async fn load(source: &Source, file: &str, args: &RejectsArgs) -> Result<ExitCode> {
    let interrupt = Interrupt::listen()?;
    let folder = load::new_folder(args.place.run_dir.as_deref())?;
    let loaded = Reload {
        source,
        args,
        folder: &folder,
    };
    let (prepared, ids) = match interrupt.before(Box::pin(loaded.prepare(file))).await {
        Ok(prepared) => prepared,
        Err(error) => {
            folder.discard_local();
            return Err(error);
        }
    };
    let watch = Watch::new(&args.output);
    for found in &prepared.found {
        watch.say(found);
    }
    if let Err(error) = prepared.guard(&args.output).await {
        folder.discard_local();
        return Err(error);
    }
    source.place.mark(folder.id(), &ids).await?;
    let run = source.run.as_ref().map(|(_, record)| record.id.clone());
    let of = Origin::Rejects(run.unwrap_or_else(|| source.from.clone()));
    let ended = load::begin(&prepared, &folder, of, &interrupt, &watch).await;
    if ended.is_err() && folder.read().await.is_err() {
        // Nothing has begun that could be gone on with.
        source.place.unmark(folder.id()).await?;
        folder.discard_local();
    }
    ended
}

struct Reload<'a> {
    source: &'a Source,
    args: &'a RejectsArgs,
    folder: &'a RunFolder,
}

impl Reload<'_> {
    /// The load, and the ids of its records.
    async fn prepare(&self, file: &str) -> Result<(Prepared, Vec<String>)> {
        let mut spec = self.spec()?;
        let repaired = !file.is_empty();
        if repaired {
            spec.inputs = vec![file.to_owned()];
        } else {
            let path = self.write_rows().await?;
            spec.inputs = vec![path];
            spec.map.clear();
            // Constants are columns of the records by now.
            spec.set.clear();
        }
        let ids = self.ids(&spec).await?;
        self.untaken(&ids)?;
        self.known(&ids).await?;
        let prepared = Prepared::of(spec, &self.args.org, self.folder).await?;
        Ok((prepared, ids))
    }

    /// The load that the records were rejected in, or the one that is typed.
    fn spec(&self) -> Result<LoadSpec> {
        let mut spec = match &self.source.run {
            Some((_, record)) => LoadSpec {
                map: record
                    .pairs
                    .iter()
                    .map(|(column, field)| (field.clone(), column.clone()))
                    .collect(),
                // What was found of the input does not hold for an export of it.
                read: Default::default(),
                filter: None,
                limit: None,
                sample: None,
                materialize: false,
                ..record.spec.clone()
            },
            None => LoadSpec::default(),
        };
        spec.sql.clone_from(&self.args.sql);
        if spec.sql.is_some() {
            spec.map.clear();
        }
        if let Some(object) = &self.args.object {
            spec.object.clone_from(object);
        }
        if spec.object.is_empty() {
            return Err(CliError::usage(
                "say which object the records are of: --object Contact",
            ));
        }
        let OperationArgs {
            insert,
            upsert,
            update,
            delete,
            hard_delete,
        } = &self.args.operation;
        if *insert || upsert.is_some() || *update || *delete || *hard_delete {
            spec.upsert.clone_from(upsert);
            spec.update = *update;
            spec.delete = *delete;
            spec.hard_delete = *hard_delete;
        }
        Ok(spec)
    }

    /// Writes the records that no run has taken into a file of the new run, and returns its path.
    async fn write_rows(&self) -> Result<String> {
        let rows = self.rows().await?;
        self.folder.local()?;
        let path = self.folder.again_path();
        let shown = path.display().to_string();
        let wrong = |reason: String| RejectsError::Write {
            file: shown.clone(),
            reason,
        };
        let file = File::create(&path).map_err(|error| wrong(error.to_string()))?;
        let mut writer = FileWriter::try_new(file, &rows.schema()).map_err(RejectsError::from)?;
        let mut standing = self.source.standing();
        let taken = &self.source.taken;
        let each = self.source.place.each(|file, records| {
            let keep = |record: &_| standing.pass(record) && taken.run_of(&record.id).is_none();
            rows.each(file, records, keep, |batch| Ok(writer.write(&batch)?))
        });
        each.await?;
        writer.finish().map_err(RejectsError::from)?;
        Ok(shown)
    }

    /// How the records become rows: with the types that they had, where these are known.
    async fn rows(&self) -> Result<Rows> {
        if let Some((folder, _)) = &self.source.run
            && let Some(schema) = folder.schema().await?
        {
            return Ok(Rows::Typed(schema));
        }
        let mut columns = Columns::default();
        let each = self.source.each(|record, taken| {
            if taken.is_none() {
                columns.add(record, true);
            }
            Ok(())
        });
        each.await?;
        let names = columns.values.into_iter().map(|(name, _)| name);
        Ok(Rows::Texts(names.collect()))
    }

    /// The records that the load has, by their ids.
    async fn ids(&self, spec: &LoadSpec) -> Result<Vec<String>> {
        let session = sql::session(QUERY_MEMORY, true)?;
        let spool = self.folder.local_path().join("stdin");
        let inputs = Inputs::open(&spec.inputs, &spec.read, &spool).await?;
        inputs.register(&session)?;
        let rows = sql::rows(&session, spec).await?;
        if rows
            .schema()
            .as_arrow()
            .column_with_name(ID_COLUMN)
            .is_none()
        {
            return Err(CliError::usage(format!(
                "the rows have no column {ID_COLUMN}, which says which rejected records they are: {}",
                if spec.sql.is_some() {
                    "select it too, so that they can be marked"
                } else {
                    "export them anew, or load the file with `arrow-salesforce load`"
                }
            )));
        }
        let rows = rows.select(vec![ident(ID_COLUMN)]);
        let rows = rows.map_err(SqlError::Run)?.execute_stream().await;
        let mut rows = rows.map_err(SqlError::Run)?;
        let mut ids = Vec::new();
        while let Some(batch) = rows.next().await {
            let batch = batch.map_err(SqlError::Run)?;
            let texts = cast(batch.column(0), &DataType::Utf8).map_err(RejectsError::from)?;
            let texts = texts.as_string::<i32>().iter();
            ids.extend(texts.map(|id| id.unwrap_or_default().to_owned()));
        }
        Ok(ids)
    }

    /// Fails if a row is of no rejected record of the place: nothing would be marked for it.
    async fn known(&self, ids: &[String]) -> Result<()> {
        let mut unknown: HashSet<&str> = ids.iter().map(String::as_str).collect();
        let each = self.source.each(|record, _| {
            unknown.remove(record.id.as_str());
            Ok(())
        });
        each.await?;
        let Some(one) = unknown.into_iter().next() else {
            return Ok(());
        };
        let what = match one.is_empty() {
            true => format!("a row has no {ID_COLUMN}"),
            false => format!("{} has no rejected record {one}", self.source.from),
        };
        Err(CliError::usage(format!(
            "{what}, so that nothing could be marked as loaded: leave the column as it was exported, and load \
             rows that are new with `arrow-salesforce load`"
        )))
    }

    /// Fails if there is nothing to load, a record stands there twice, or was loaded again before.
    fn untaken(&self, ids: &[String]) -> Result<()> {
        if ids.is_empty() {
            return Err(CliError::usage(format!(
                "no rejected record of {} is left to load",
                self.source.from
            )));
        }
        let mut seen = HashSet::new();
        let mut named = ids.iter().map(String::as_str).filter(|id| !id.is_empty());
        if let Some(twice) = named.find(|id| !seen.insert(*id)) {
            return Err(CliError::usage(format!(
                "the record with the {ID_COLUMN} {twice} stands there more than once, and would be loaded \
                 more than once: keep one of its rows"
            )));
        }
        let mut taken = ids.iter().filter_map(|id| self.source.taken.run_of(id));
        match taken.next() {
            None => Ok(()),
            Some(run) => Err(CliError::usage(format!(
                "{} of the {} records were loaded again by the run {run} already: `arrow-salesforce rejects \
                 {run}` shows what became of them; take them out of the file",
                taken.count() + 1,
                ids.len()
            ))),
        }
    }
}
