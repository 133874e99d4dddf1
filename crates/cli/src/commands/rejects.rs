//! `rejects`: what was rejected and why, as a table or as a CSV to repair.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{self, IsTerminal as _, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use arrow_salesforce::load::RejectCount;

use super::reload;
use crate::cli::RejectsArgs;
use crate::error::{CliError, Result};
use crate::rejects::{
    Columns, Export, Place, Reasons, Rejected, RejectsError, Standing, Stored, Taken, table,
};
use crate::run::{RunFolder, RunRecord, Runs};
use crate::watch::Page;
use crate::watch::numbers::counted;

/// Most names of files that are passed over.
const NAMED: usize = 3;

/// Does what the arguments say.
pub(crate) async fn rejects(args: RejectsArgs) -> Result<ExitCode> {
    let source = Source::open(&args).await?;
    if let Some(file) = &args.load {
        return reload::load(&source, file, &args).await;
    }
    match &args.export {
        Some(file) => source.export(file).await?,
        None => source.list(args.output.json).await?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Why records of a run were rejected, over all its attempts, most frequent first.
pub(crate) async fn counts(folder: &RunFolder, record: &RunRecord) -> Result<Vec<RejectCount>> {
    let place = Place::of(folder.rejected()?);
    let source = Source {
        from: record.id.clone(),
        taken: Taken::default(),
        place,
        run: Some((folder.clone(), record.clone())),
    };
    let mut reasons = Reasons::default();
    source
        .each(|rejected, _| {
            reasons.add(rejected);
            Ok(())
        })
        .await?;
    let show = io::stderr().is_terminal();
    let lines = reasons.lines().into_iter();
    Ok(lines.map(|line| line.count(show)).collect())
}

/// The rejected records that are meant.
pub(crate) struct Source {
    /// The id of the run, or the place as it was typed.
    pub(crate) from: String,
    pub(crate) place: Place,
    pub(crate) taken: Taken,
    /// The run that they are of, if it is one of ours.
    pub(crate) run: Option<(RunFolder, RunRecord)>,
}

impl Source {
    async fn open(args: &RejectsArgs) -> Result<Self> {
        let mut from = args.from.clone();
        let (place, run) = if from.contains("://") || is_path(&from) {
            (Place::at(&from)?, None)
        } else {
            let folder = Runs::open(args.place.run_dir.as_deref())?
                .find(&from)
                .await?;
            let record = folder.read().await?;
            // `last` may be another run by the time the next command is typed.
            from.clone_from(&record.id);
            (Place::of(folder.rejected()?), Some((folder, record)))
        };
        let taken = place.taken().await?;
        Ok(Self {
            from,
            place,
            taken,
            run,
        })
    }

    /// Passes each record once.
    pub(crate) fn standing(&self) -> Standing {
        match &self.run {
            None => Standing::All,
            Some((_, record)) => {
                let attempts = record.attempts.iter();
                let attempts = attempts.map(|attempt| (attempt.id.as_str(), attempt.from));
                Standing::of(attempts, record.spec.is_unordered())
            }
        }
    }

    /// Hands on each record, with the run that has taken it.
    pub(crate) async fn each(
        &self,
        mut take: impl FnMut(&Rejected, Option<&str>) -> Result<(), RejectsError>,
    ) -> Result<()> {
        let mut standing = self.standing();
        let each = self.place.each(|_, records| {
            for record in records {
                let record = record?;
                if standing.pass(&record) {
                    take(&record, self.taken.run_of(&record.id))?;
                }
            }
            Ok(())
        });
        passed_over(&each.await?);
        Ok(())
    }

    /// What is typed to do something else with the same records.
    fn command(&self, rest: &str) -> String {
        format!("arrow-salesforce rejects {} {rest}", self.from)
    }

    async fn list(&self, json: bool) -> Result<()> {
        let (mut reasons, mut again) = (Reasons::default(), BTreeMap::<String, u64>::new());
        let each = self.each(|record, taken| {
            match taken {
                Some(run) => *again.entry(run.to_owned()).or_default() += 1,
                None => reasons.add(record),
            }
            Ok(())
        });
        each.await?;
        let mut out = io::stdout().lock();
        let printed = match json {
            true => print_json(&mut out, &reasons),
            false => self.print_table(&mut out, &reasons, &again),
        };
        // Whoever reads may have seen enough.
        drop(printed);
        Ok(())
    }

    fn print_table(
        &self,
        out: &mut impl Write,
        reasons: &Reasons,
        again: &BTreeMap<String, u64>,
    ) -> io::Result<()> {
        if reasons.total > 0 {
            writeln!(out, "{}\n", table(reasons, Page::of_stdout()))?;
        }
        for (run, count) in again {
            writeln!(out, "{} loaded again by the run {run}", records(*count))?;
        }
        match reasons.total {
            0 if again.is_empty() => writeln!(out, "no rejected records in {}", self.from),
            0 => writeln!(out, "no other rejected records in {}", self.from),
            total => {
                writeln!(out, "{} in {}", records(total), self.from)?;
                let export = self.command("--export fixed.csv");
                let load = self.command("--load");
                writeln!(out, "to repair them: {export}")?;
                writeln!(out, "to load them again as they are: {load}")
            }
        }
    }

    async fn export(&self, file: &Path) -> Result<()> {
        let pairs = self.run.as_ref().map(|(_, record)| record.pairs.as_slice());
        let pairs = pairs.unwrap_or_default();
        let mut columns = Columns::of_input(pairs);
        let mut count = 0_u64;
        let each = self.each(|record, taken| {
            if taken.is_none() {
                columns.add(record, pairs.is_empty());
                count += 1;
            }
            Ok(())
        });
        each.await?;
        if count == 0 {
            eprintln!("there is nothing to export: no rejected record is left");
            return Ok(());
        }
        let shown = file.display().to_string();
        let failed = |reason: String| RejectsError::Write {
            file: shown.clone(),
            reason,
        };
        let out = create(file)?;
        let export = Export::begin(out, columns);
        let mut export = export.map_err(|error| failed(error.to_string()))?;
        let each = self.each(|record, taken| {
            if taken.is_some() {
                return Ok(());
            }
            let written = export.write(record);
            written.map_err(|error| failed(error.to_string()))
        });
        each.await?;
        let finished = export.finish();
        finished.map_err(|error| failed(error.to_string()))?;
        if file != Path::new("-") {
            let load = self.command(&format!("--load {shown}"));
            eprintln!("{} in {shown}", records(count));
            eprintln!("repair them there, then: {load}");
        }
        Ok(())
    }
}

/// Whether it is a path of this machine, and no id of a run.
fn is_path(from: &str) -> bool {
    from.contains(['/', '\\', '.']) || PathBuf::from(from).exists()
}

/// Where an export is written: a new file, or stdout for `-`.
fn create(file: &Path) -> Result<Box<dyn Write + Send>> {
    if file == Path::new("-") {
        return Ok(Box::new(io::stdout()));
    }
    let created = OpenOptions::new().write(true).create_new(true).open(file);
    let shown = file.display();
    match created {
        Ok(file) => Ok(Box::new(file)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            Err(CliError::usage(format!(
                "--export: {shown} is there already, and may hold repaired records; name another file"
            )))
        }
        Err(error) => Err(CliError::usage(format!(
            "--export: {shown} cannot be written: {error}; name another file"
        ))),
    }
}

fn passed_over(stored: &Stored) {
    if stored.others.is_empty() {
        return;
    }
    let named: Vec<&str> = stored
        .others
        .iter()
        .take(NAMED)
        .map(String::as_str)
        .collect();
    let more = match stored.others.len() - named.len() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    eprintln!(
        "passed over, no files of rejected records: {}{more}",
        named.join(", ")
    );
}

fn records(count: u64) -> String {
    counted(count, "rejected record")
}

fn print_json(out: &mut impl Write, reasons: &Reasons) -> io::Result<()> {
    for line in reasons.lines() {
        writeln!(out, "{}", line.json())?;
    }
    Ok(())
}
