//! `rejects`: what was rejected and why, as a table, as a CSV to repair, or loaded again.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use comfy_table::{ContentArrangement, Table, presets};

use crate::cli::RejectsArgs;
use crate::error::{CliError, Result};
use crate::rejects::{Columns, Export, Place, Reasons, Rejected, RejectsError, Stored, Taken};

/// Most names of files that are passed over.
const NAMED: usize = 3;

/// Does what the arguments say.
pub(crate) async fn rejects(args: &RejectsArgs) -> Result<ExitCode> {
    let source = Source::open(args).await?;
    match &args.export {
        Some(file) => source.export(args, file).await?,
        None => source.list(args).await?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The rejected records that are meant.
struct Source {
    place: Place,
    taken: Taken,
    /// Columns of the input, each with the field that it fills; none where nobody knows.
    pairs: Vec<(String, String)>,
}

impl Source {
    async fn open(args: &RejectsArgs) -> Result<Self> {
        let place = Place::at(&args.from)?;
        let taken = place.taken().await?;
        Ok(Self {
            place,
            taken,
            pairs: Vec::new(),
        })
    }

    /// Hands on the records that no other run has taken.
    async fn each(
        &self,
        mut take: impl FnMut(&Rejected) -> Result<(), RejectsError> + Send,
    ) -> Result<Stored> {
        let each = self.place.each(|_, records| {
            for record in records {
                let record = record?;
                if self.taken.run_of(&record.id).is_none() {
                    take(&record)?;
                }
            }
            Ok(())
        });
        Ok(each.await?)
    }

    async fn list(&self, args: &RejectsArgs) -> Result<()> {
        let (mut reasons, mut again) = (Reasons::default(), BTreeMap::<String, u64>::new());
        let stored = self.place.each(|_, records| {
            for record in records {
                let record = record?;
                match self.taken.run_of(&record.id) {
                    Some(run) => *again.entry(run.to_owned()).or_default() += 1,
                    None => reasons.add(&record),
                }
            }
            Ok(())
        });
        let stored = stored.await?;
        passed_over(&stored);
        let mut out = io::stdout().lock();
        let printed = if args.output.json {
            print_json(&mut out, &reasons)
        } else {
            print_table(&mut out, &reasons, &again, &args.from)
        };
        // Whoever reads may have seen enough.
        drop(printed);
        Ok(())
    }

    async fn export(&self, args: &RejectsArgs, file: &Path) -> Result<()> {
        let all = self.pairs.is_empty();
        let mut columns = Columns::of_input(&self.pairs);
        let mut count = 0_u64;
        let stored = self.each(|record| {
            columns.add(record, all);
            count += 1;
            Ok(())
        });
        passed_over(&stored.await?);
        if count == 0 {
            eprintln!("nothing to export: no rejected record is left");
            return Ok(());
        }
        let shown = file.display().to_string();
        let failed = |error: &dyn std::error::Error| RejectsError::Write {
            file: shown.clone(),
            reason: error.to_string(),
        };
        let mut export = Export::begin(create(file)?, columns).map_err(|error| failed(&error))?;
        let written = self.each(|record| export.write(record).map_err(|error| failed(&error)));
        written.await?;
        export.finish().map_err(|error| failed(&error))?;
        eprintln!("{count} rejected records are in {shown}");
        if shown != "-" {
            eprintln!(
                "repair them there, then: arrow-salesforce rejects {} --load {shown}",
                args.from
            );
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
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(CliError::usage(
            format!("{shown} is there already, and may hold repaired records; name another file"),
        )),
        Err(error) => Err(CliError::usage(format!(
            "{shown} cannot be written: {error}; name another file"
        ))),
    }
}

fn passed_over(stored: &Stored) {
    if !stored.others.is_empty() {
        let named: Vec<&str> = stored
            .others
            .iter()
            .take(NAMED)
            .map(String::as_str)
            .collect();
        let more = stored.others.len() - named.len();
        let more = if more > 0 {
            format!(" and {more} more")
        } else {
            String::new()
        };
        eprintln!(
            "passed over, no files of rejected records: {}{more}",
            named.join(", ")
        );
    }
}

fn print_json(out: &mut impl Write, reasons: &Reasons) -> io::Result<()> {
    for line in reasons.lines() {
        writeln!(out, "{}", line.json())?;
    }
    Ok(())
}

fn print_table(
    out: &mut impl Write,
    reasons: &Reasons,
    again: &BTreeMap<String, u64>,
    from: &str,
) -> io::Result<()> {
    for (run, count) in again {
        writeln!(
            out,
            "{count} rejected records were loaded again by run {run}"
        )?;
    }
    if reasons.total == 0 {
        return writeln!(out, "no rejected record is left in {from}");
    }
    let mut table = Table::new();
    table
        .load_preset(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(["count", "code", "fields", "message", "examples"]);
    for line in reasons.lines() {
        table.add_row([
            line.count.to_string(),
            line.code.to_owned(),
            line.fields.join("\n"),
            line.message.to_owned(),
            line.examples.join("\n"),
        ]);
    }
    writeln!(out, "{table}")?;
    let total = reasons.total;
    writeln!(out, "\n{total} rejected records in {from}")?;
    writeln!(
        out,
        "to repair them: arrow-salesforce rejects {from} --export fixed.csv"
    )
}
