//! What was typed -> the load that it describes.

use std::collections::BTreeMap;
use std::path::Path;

use serde::de::DeserializeOwned;

use crate::cli::{LoadArgs, OperationArgs, ReadArgs, RowArgs, WriteArgs};
use crate::error::CliError;
use crate::spec::LoadSpec;

impl LoadSpec {
    /// The load that was typed: what a file describes, then the flags, which come before it.
    ///
    /// # Errors
    /// A usage error that names the flag, or the key of the file.
    pub(crate) fn of(args: &LoadArgs) -> Result<Self, CliError> {
        let mut spec = match &args.file {
            Some(path) => Self::read(path)?,
            None => Self::default(),
        };
        if !args.inputs.is_empty() {
            spec.inputs.clone_from(&args.inputs);
        }
        if let Some(object) = &args.object {
            spec.object.clone_from(object);
        }
        spec.take_operation(&args.operation);
        spec.take_rows(&args.rows)?;
        spec.take_read(&args.read);
        spec.take_write(&args.write)?;
        spec.check()?;
        Ok(spec)
    }

    fn read(path: &Path) -> Result<Self, CliError> {
        let shown = path.display();
        let text = std::fs::read_to_string(path)
            .map_err(|error| CliError::usage(format!("-f {shown} cannot be read: {error}")))?;
        let deserializer = toml::Deserializer::parse(&text)
            .map_err(|error| CliError::usage(format!("-f {shown} is no TOML: {error}")))?;
        let spec: Self = serde_path_to_error::deserialize(deserializer).map_err(|error| {
            CliError::usage(format!("-f {shown}: {}: {}", error.path(), error.inner()))
        })?;
        Ok(spec)
    }

    /// An operation that is typed takes the place of the one in the file.
    fn take_operation(&mut self, args: &OperationArgs) {
        if args.insert || args.upsert.is_some() || args.update || args.delete || args.hard_delete {
            self.upsert.clone_from(&args.upsert);
            self.update = args.update;
            self.delete = args.delete;
            self.hard_delete = args.hard_delete;
        }
    }

    fn take_rows(&mut self, args: &RowArgs) -> Result<(), CliError> {
        if let Some(path) = &args.map_file {
            let shown = path.display();
            let text = std::fs::read_to_string(path).map_err(|error| {
                CliError::usage(format!("--map-file {shown} cannot be read: {error}"))
            })?;
            let lines = text.trim_start_matches('\u{feff}').lines().map(str::trim);
            for line in lines.filter(|line| !line.is_empty() && !line.starts_with('#')) {
                let (field, column) = pair("--map-file", line, "FIELD=COLUMN")?;
                insert("--map-file", &mut self.map, field, column)?;
            }
        }
        let mut typed = BTreeMap::new();
        for text in &args.map {
            let (field, column) = pair("--map", text, "FIELD=COLUMN")?;
            insert("--map", &mut typed, field, column)?;
        }
        self.map.extend(typed);
        let mut typed = BTreeMap::new();
        for text in &args.set {
            let (field, value) = pair("--set", text, "FIELD=VALUE")?;
            insert("--set", &mut typed, field, value)?;
        }
        self.set.extend(typed);
        self.ignore_unknown |= args.ignore_unknown;
        self.materialize |= args.materialize;
        take(&mut self.sql, &args.sql);
        take(&mut self.filter, &args.filter);
        take(&mut self.limit, &args.limit);
        take(&mut self.sample, &args.sample);
        Ok(())
    }

    fn take_read(&mut self, args: &ReadArgs) {
        let read = &mut self.read;
        take(&mut read.format, &args.format);
        take(&mut read.delimiter, &args.delimiter);
        take(&mut read.encoding, &args.encoding);
        take(&mut read.dates, &args.dates);
        take(&mut read.decimal, &args.decimal);
    }

    fn take_write(&mut self, args: &WriteArgs) -> Result<(), CliError> {
        let write = &mut self.write;
        take(&mut write.max_rejected, &args.max_rejected);
        take(&mut write.timezone, &args.timezone);
        take(&mut write.group_by, &args.group_by);
        take(&mut write.max_jobs_in_flight, &args.max_jobs_in_flight);
        take(&mut write.max_job_bytes, &args.max_job_bytes);
        take(&mut write.max_job_rows, &args.max_job_rows);
        take(&mut write.assignment_rule_id, &args.assignment_rule_id);
        take(&mut write.nulls, &word("--nulls", args.nulls.as_deref())?);
        take(
            &mut write.on_too_long,
            &word("--on-too-long", args.on_too_long.as_deref())?,
        );
        write.snapshot |= args.snapshot;
        write.no_receipts |= args.no_receipts;
        Ok(())
    }

    /// Fails where something is missing, or does not go together.
    fn check(&self) -> Result<(), CliError> {
        if self.object.is_empty() {
            return Err(CliError::usage(
                "say which object to load into: --object Contact",
            ));
        }
        if self.inputs.is_empty() && self.sql.is_none() {
            return Err(CliError::usage(
                "say what to load: a file, a glob, a directory, a URL, - for stdin, or --sql",
            ));
        }
        if self.sample == Some(0) || self.limit == Some(0) {
            return Err(CliError::usage(
                "--sample and --limit need a number of at least 1; --dry-run loads nothing",
            ));
        }
        if self.write.snapshot && self.write.no_receipts {
            return Err(CliError::usage(
                "--snapshot keeps what `undo` needs beside the receipts, and --no-receipts leaves \
                 these out: keep one of them",
            ));
        }
        let operations = [
            self.upsert.is_some(),
            self.update,
            self.delete,
            self.hard_delete,
        ];
        if operations.into_iter().filter(|given| *given).count() > 1 {
            return Err(CliError::usage(
                "upsert, update, delete and hard_delete exclude each other: keep one of them",
            ));
        }
        Ok(())
    }
}

/// What is typed comes before what is there.
fn take<T: Clone>(into: &mut Option<T>, typed: &Option<T>) {
    if typed.is_some() {
        into.clone_from(typed);
    }
}

fn pair<'a>(flag: &str, text: &'a str, shape: &str) -> Result<(&'a str, &'a str), CliError> {
    match text.split_once('=') {
        Some((field, other)) if !field.trim().is_empty() => Ok((field.trim(), other.trim())),
        _ => Err(CliError::usage(format!(
            "{flag} {text:?} is not of the form {shape}"
        ))),
    }
}

fn insert(
    flag: &str,
    into: &mut BTreeMap<String, String>,
    field: &str,
    other: &str,
) -> Result<(), CliError> {
    let before = into.keys().find(|known| known.eq_ignore_ascii_case(field));
    if let Some(before) = before {
        return Err(CliError::usage(format!(
            "{flag} fills the field {before} twice: keep one"
        )));
    }
    into.insert(field.to_owned(), other.to_owned());
    Ok(())
}

/// A word that stands for a choice, as the settings of the destination have it.
fn word<T: DeserializeOwned>(flag: &str, typed: Option<&str>) -> Result<Option<T>, CliError> {
    let Some(typed) = typed else { return Ok(None) };
    let value = serde_json::Value::from(typed);
    let known: Result<T, _> = serde_json::from_value(value);
    let known = known.map_err(|error| CliError::usage(format!("{flag}: {error}")))?;
    Ok(Some(known))
}
