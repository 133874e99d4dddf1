//! What was typed of an output -> where records go, and how they are written.

use std::io::IsTerminal as _;

use arrow_salesforce::arrow::datatypes::SchemaRef;

use super::ExportError;
use super::encode::Encoding;
use super::file::Written;
use super::place::Place;
use super::sink::Sink;
use crate::cli::query::{QueryArgs, QueryFormat};
use crate::input::by_name;
use crate::spec::Format;

/// Where records go.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) to: To,
    overwrite: bool,
}

/// The kinds of targets.
#[derive(Debug, Clone)]
pub(crate) enum To {
    /// The first records as a table, on stdout.
    Table,
    /// All of them, on stdout.
    Stdout(Encoding),
    /// A pipe or a device of this machine, by its path.
    Device(String, Encoding),
    /// A file.
    File(Place, Encoding),
    /// Parquet files of a directory.
    Parts(Place),
}

impl Target {
    /// What the arguments say; without them a table on a terminal, and CSV where there is none.
    ///
    /// # Errors
    /// [`ExportError::Usage`] with what to type.
    pub(crate) fn of(args: &QueryArgs) -> Result<Self, ExportError> {
        let to = match args.output.as_deref() {
            None | Some("-") => to_stdout(args),
            Some("") => Err(usage("-o names no file")),
            Some(typed) if typed.ends_with('/') || is_directory(typed) => to_parts(typed, args),
            Some(typed) => to_file(typed, args),
        };
        let target = Self {
            to: to?,
            overwrite: args.overwrite,
        };
        let is_parts = matches!(target.to, To::Parts(_));
        if !is_parts && (args.resume || args.part_rows.is_some()) {
            return Err(usage(
                "--resume and --part-rows are for a directory: -o DIR/, which gets a file for each part of \
                 the records",
            ));
        }
        Ok(target)
    }

    /// Whether stdout takes records, so that nothing else can stand there.
    pub(crate) fn is_stdout(&self) -> bool {
        matches!(self.to, To::Table | To::Stdout(_))
    }

    /// Where the records are, for messages; none if they went to stdout.
    pub(crate) fn shown(&self) -> Option<&str> {
        match &self.to {
            To::Table | To::Stdout(_) => None,
            To::Device(path, _) => Some(path),
            To::File(place, _) | To::Parts(place) => Some(place.shown()),
        }
    }

    /// Fails if a file is there that must not be written over.
    ///
    /// # Errors
    /// [`ExportError::Usage`], [`ExportError::Write`].
    pub(crate) async fn check(&self) -> Result<(), ExportError> {
        match &self.to {
            To::File(place, _) if !self.overwrite && place.exists().await? => Err(usage(format!(
                "{} is there already: --overwrite writes over it",
                place.shown()
            ))),
            _ => Ok(()),
        }
    }

    /// Begins the file; none for tables and for parts.
    ///
    /// # Errors
    /// [`ExportError`].
    pub(crate) async fn begin(&self, schema: &SchemaRef) -> Result<Option<Written>, ExportError> {
        let (sink, encoding) = match &self.to {
            To::Table | To::Parts(_) => return Ok(None),
            To::Stdout(encoding) => {
                let stdout = Box::new(tokio::io::stdout());
                (Sink::straight(stdout, "stdout"), encoding)
            }
            To::Device(path, encoding) => {
                let device = tokio::fs::OpenOptions::new().write(true).open(path).await;
                let device = device.map_err(|error| ExportError::Write {
                    place: path.clone(),
                    reason: error.to_string(),
                })?;
                (Sink::straight(Box::new(device), path), encoding)
            }
            To::File(place, encoding) => (Sink::stored(place), encoding),
        };
        Ok(Some(Written::begin(*encoding, schema, sink)?))
    }
}

fn to_stdout(args: &QueryArgs) -> Result<To, ExportError> {
    let format = match (args.format, args.shown.json) {
        (Some(QueryFormat::Table), true) => {
            return Err(usage("--json and --format table exclude each other"));
        }
        (Some(QueryFormat::Table), _) => return Ok(To::Table),
        (Some(format), false) => of_file(format),
        (None | Some(QueryFormat::Jsonl), true) => Some(Format::Jsonl),
        (Some(_), true) => {
            return Err(usage(
                "--json prints the records as JSON lines; give another --format a file by -o",
            ));
        }
        (None, _) if args.output.is_none() && std::io::stdout().is_terminal() => {
            return Ok(To::Table);
        }
        (None, _) => Some(Format::Csv),
    };
    let format = format.unwrap_or(Format::Csv);
    if matches!(format, Format::Parquet | Format::Arrow) && std::io::stdout().is_terminal() {
        return Err(usage(format!(
            "{format} is not for a terminal: name a file by -o"
        )));
    }
    Ok(To::Stdout(Encoding {
        format,
        gzip: false,
    }))
}

fn to_parts(typed: &str, args: &QueryArgs) -> Result<To, ExportError> {
    if !matches!(args.format, None | Some(QueryFormat::Parquet)) {
        return Err(usage(format!(
            "-o {typed}: the parts of a directory are Parquet; name a file for another format"
        )));
    }
    if !typed.contains("://") {
        std::fs::create_dir_all(typed)
            .map_err(|error| usage(format!("-o {typed} cannot be made: {error}")))?;
    }
    Ok(To::Parts(Place::parse(typed)?))
}

fn to_file(typed: &str, args: &QueryArgs) -> Result<To, ExportError> {
    let format = match args.format {
        Some(QueryFormat::Table) => {
            return Err(usage(
                "--format table is for a terminal: give a file another format",
            ));
        }
        Some(format) => of_file(format),
        None => by_name(typed),
    };
    let format = format.ok_or_else(|| {
        usage(format!(
            "-o {typed} does not say its format: end it in .parquet, .csv, .jsonl or .arrow, or add --format; \
             a directory ends in /"
        ))
    })?;
    let encoding = Encoding {
        format,
        gzip: is_gzip(typed, format)?,
    };
    let is_device = std::fs::metadata(typed).is_ok_and(|found| !found.is_file());
    Ok(match is_device {
        true => To::Device(typed.to_owned(), encoding),
        false => To::File(Place::parse(typed)?, encoding),
    })
}

/// Whether a name asks for gzip.
fn is_gzip(typed: &str, format: Format) -> Result<bool, ExportError> {
    let name = typed.to_ascii_lowercase();
    let ends = |endings: &[&str]| endings.iter().any(|ending| name.ends_with(ending));
    if ends(&[".zst", ".zstd", ".bz2", ".bzip2", ".xz"]) {
        return Err(usage(format!(
            "-o {typed}: files are compressed by gzip alone (.gz); Parquet and Arrow are compressed by \
             themselves"
        )));
    }
    let gzip = ends(&[".gz", ".gzip"]);
    if gzip && matches!(format, Format::Parquet | Format::Arrow) {
        return Err(usage(format!(
            "-o {typed}: {format} is compressed by itself; leave out .gz"
        )));
    }
    Ok(gzip)
}

fn is_directory(typed: &str) -> bool {
    std::fs::metadata(typed).is_ok_and(|found| found.is_dir())
}

fn of_file(format: QueryFormat) -> Option<Format> {
    match format {
        QueryFormat::Table => None,
        QueryFormat::Parquet => Some(Format::Parquet),
        QueryFormat::Csv => Some(Format::Csv),
        QueryFormat::Jsonl => Some(Format::Jsonl),
        QueryFormat::Arrow => Some(Format::Arrow),
    }
}

fn usage(message: impl Into<String>) -> ExportError {
    ExportError::Usage(message.into())
}
