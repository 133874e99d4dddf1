//! A load as it is described: by the flags of `load`, or by a file of it. It holds no secret.

use std::collections::BTreeMap;
use std::path::Path;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::cli::{LoadArgs, OperationArgs, ReadArgs, RowArgs, WriteArgs};
use crate::error::CliError;

use arrow_salesforce::Operation;
use arrow_salesforce::options::{NullHandling, OnTooLong};

/// What goes where, and how it is read. Each key is the flag of the same name, with `_` for `-`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct LoadSpec {
    /// Files, globs, directories, URLs, `-` for stdin; each may be `name=path`.
    pub(crate) inputs: Vec<String>,
    /// The object, such as `Contact`.
    pub(crate) object: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) upsert: Option<String>,
    pub(crate) update: bool,
    pub(crate) delete: bool,
    pub(crate) hard_delete: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sql: Option<String>,
    /// Columns by the field that they fill.
    pub(crate) map: BTreeMap<String, String>,
    pub(crate) ignore_unknown: bool,
    /// Constants by the field that they fill.
    pub(crate) set: BTreeMap<String, String>,
    #[serde(rename = "where", skip_serializing_if = "Option::is_none")]
    pub(crate) filter: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) limit: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sample: Option<u64>,
    /// Keep the result of the query as Parquet first, and load that.
    pub(crate) materialize: bool,
    pub(crate) read: ReadSpec,
    pub(crate) write: WriteSpec,
}

/// How inputs are read. What is not said is found out from the whole of each file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ReadSpec {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) format: Option<Format>,
    /// The character between columns of a CSV: one, or `tab`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) delimiter: Option<String>,
    /// A label of the WHATWG encoding standard, such as `latin1`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) encoding: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) dates: Option<DateOrder>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) decimal: Option<DecimalMark>,
}

/// How records are written.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct WriteSpec {
    /// `N` records, or `N%` of those read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) max_rejected: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) nulls: Option<NullHandling>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) on_too_long: Option<OnTooLong>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) timezone: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) group_by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) max_jobs_in_flight: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) max_job_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) max_job_rows: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) assignment_rule_id: Option<String>,
    /// Whether receipts of accepted records are left out.
    pub(crate) no_receipts: bool,
}

/// Formats of files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Format {
    /// Apache Parquet
    Parquet,
    /// Comma-separated values, whatever the character between them
    Csv,
    /// JSON, one object a line
    Jsonl,
    /// Arrow IPC, file or stream (Feather too)
    Arrow,
}

/// The order of day, month and year.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum DateOrder {
    /// 31/12/2024
    Dmy,
    /// 12/31/2024
    Mdy,
    /// 2024/12/31
    Ymd,
}

/// What stands before the fraction of a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum DecimalMark {
    /// 1.234 is a little more than one
    Point,
    /// 1.234 is more than a thousand
    Comma,
}

impl LoadSpec {
    /// What is done with each record.
    pub(crate) fn operation(&self) -> Operation {
        match &self.upsert {
            Some(external_id) => Operation::Upsert {
                external_id: external_id.clone(),
            },
            None if self.update => Operation::Update,
            None if self.delete => Operation::Delete,
            None if self.hard_delete => Operation::HardDelete,
            None => Operation::Insert,
        }
    }

    /// Whether rows may come in another order each time.
    pub(crate) fn is_unordered(&self) -> bool {
        self.sql.is_some() && !self.materialize
    }

    /// Whether all records of the inputs are loaded, one row each.
    pub(crate) fn is_plain(&self) -> bool {
        self.sql.is_none() && self.filter.is_none() && self.limit.is_none()
    }

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
