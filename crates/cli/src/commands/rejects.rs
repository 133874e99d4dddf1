//! `rejects`: what was rejected and why, as a table or as a CSV to repair.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use super::rejected::Source;
use super::reload;
use crate::cli::RejectsArgs;
use crate::error::{CliError, Result};
use crate::rejects::{Columns, Export, Reasons, RejectsError, table};
use crate::watch::Page;
use crate::watch::numbers::counted;

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

impl Source {
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

fn records(count: u64) -> String {
    counted(count, "rejected record")
}

fn print_json(out: &mut impl Write, reasons: &Reasons) -> io::Result<()> {
    for line in reasons.lines() {
        writeln!(out, "{}", line.json())?;
    }
    Ok(())
}
