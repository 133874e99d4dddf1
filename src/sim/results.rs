//! The result files of a job.

use std::borrow::Cow;
use std::sync::Arc;

use super::columns::Column;
use super::csv;
use super::faults::Action;
use super::http::ApiError;
use super::job::{Data, Job, JobState, Outcome};
use super::number;
use super::org::{Kind, Object};
use super::state::Shared;
use super::table::Upload;

/// The three result files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Which {
    Successful,
    Failed,
    Unprocessed,
}

impl Which {
    /// By the last part of the URL, in any letter case.
    pub(crate) fn parse(name: &str) -> Option<Which> {
        Some(match name.to_ascii_lowercase().as_str() {
            "successfulresults" => Which::Successful,
            "failedresults" => Which::Failed,
            "unprocessedrecords" => Which::Unprocessed,
            _ => return None,
        })
    }
}

/// The row that a page's locator stands for.
pub(crate) fn row_of_locator(locator: &str) -> Option<usize> {
    locator.strip_prefix("row-")?.parse().ok()
}

/// One row of a result: where it is in the upload, and what stands before its own values.
struct Line {
    row: usize,
    id: String,
    /// `sf__Created` or `sf__Error`.
    told: Cow<'static, str>,
}

/// What a result is written from, taken out of the job so that nothing is locked meanwhile.
struct Taken {
    upload: Arc<Upload>,
    object: Arc<Object>,
    lines: Vec<Line>,
    faults: Vec<Action>,
    crlf: bool,
}

/// Writes a result from one of its rows on; with it, the locator of the next page.
pub(crate) fn write(
    shared: &Shared,
    job_id: &str,
    which: Which,
    first: usize,
) -> Result<(Vec<u8>, Option<String>), ApiError> {
    let mut taken = match take(shared, job_id, which)? {
        Ok(taken) => taken,
        Err(raw) => return Ok((raw, None)),
    };
    if shared.options.shuffle {
        let salt = job_id
            .bytes()
            .fold(0, |sum: u64, byte| sum * 31 % 0xFFFF_FFFF + u64::from(byte));
        fastrand::Rng::with_seed(shared.options.seed ^ salt).shuffle(&mut taken.lines);
    }
    let mut locator = None;
    let mut altered = 0;
    for fault in &taken.faults {
        match fault {
            Action::WithholdRows { count } => {
                taken
                    .lines
                    .truncate(taken.lines.len().saturating_sub(*count));
            }
            Action::AlterRows { count } => altered = *count,
            Action::EmptyBody {} if taken.lines.is_empty() => return Ok((Vec::new(), None)),
            _ => {}
        }
    }
    let pages = taken.faults.iter().find_map(|fault| match fault {
        Action::Pages { rows } => Some((*rows).max(1)),
        _ => None,
    });
    if let Some(rows) = pages {
        let end = (first + rows).min(taken.lines.len());
        let more = end < taken.lines.len();
        locator = Some(if more {
            format!("row-{end}")
        } else {
            "null".to_owned()
        });
        taken.lines = taken.lines.drain(..end).skip(first).collect();
    }
    let reformat = shared.options.reformat_numbers;
    Ok((
        Writer::new(&taken, which, reformat).all(&taken.lines, altered),
        locator,
    ))
}

fn take(shared: &Shared, job_id: &str, which: Which) -> Result<Result<Taken, Vec<u8>>, ApiError> {
    let state = shared.state();
    let job = state.jobs.get(job_id).ok_or_else(ApiError::not_found)?;
    if !job.state.is_terminal() {
        let message = format!(
            "Results are not available while the job is {}",
            job.state.name()
        );
        return Err(ApiError::new(400, "INVALIDJOBSTATE", &message));
    }
    if job.forgotten && (which == Which::Successful || matches!(job.data, Data::None)) {
        let message = "This simulator forgets rows (option `forget`)";
        return Err(ApiError::new(404, "NOT_FOUND", message));
    }
    let upload = match &job.data {
        Data::Rows(upload) => Arc::clone(upload),
        Data::Raw(raw) => return Ok(Err(refused(job, raw, which))),
        Data::None => return Ok(Err(Vec::new())),
    };
    let prefix = &job.settings.object.key_prefix;
    let lines = match which {
        Which::Unprocessed if job.unrecorded => Vec::new(),
        Which::Unprocessed => (job.outcomes.len()..upload.file.rows())
            .map(|row| Line {
                row,
                id: String::new(),
                told: "".into(),
            })
            .collect(),
        _ => {
            let outcomes = job.outcomes.iter().enumerate();
            outcomes
                .filter_map(|(row, outcome)| line(row, outcome, prefix, which))
                .collect()
        }
    };
    Ok(Ok(Taken {
        upload,
        object: Arc::clone(&job.settings.object),
        lines,
        faults: job.faults.clone(),
        crlf: job.settings.crlf,
    }))
}

/// Results of a job that was refused as a whole: everything is unprocessed, as it was uploaded.
fn refused(job: &Job, raw: &[u8], which: Which) -> Vec<u8> {
    if which == Which::Unprocessed {
        return raw.to_vec();
    }
    let told = if which == Which::Failed {
        "sf__Error"
    } else {
        "sf__Created"
    };
    let header = match job.state {
        JobState::Failed => raw.split(|&byte| byte == b'\n').next().unwrap_or_default(),
        _ => &[],
    };
    [format!("\"sf__Id\",\"{told}\",").as_bytes(), header, b"\n"].concat()
}

fn line(row: usize, outcome: &Outcome, prefix: &str, which: Which) -> Option<Line> {
    let (id, told): (String, Cow<'static, str>) = match (outcome, which) {
        (Outcome::Created(number), Which::Successful) => {
            (super::id::make(prefix, *number), "true".into())
        }
        (Outcome::Changed(number), Which::Successful) => {
            (super::id::make(prefix, *number), "false".into())
        }
        (Outcome::Failed(error), Which::Failed) => (String::new(), error.to_string().into()),
        _ => return None,
    };
    Some(Line { row, id, told })
}

struct Writer<'a> {
    taken: &'a Taken,
    which: Which,
    delimiter: u8,
    end: &'static [u8],
    /// Columns come the other way round and in upper case.
    other_header: bool,
    /// Columns that are echoed through a double.
    numbers: Vec<bool>,
    out: Vec<u8>,
}

impl<'a> Writer<'a> {
    fn new(taken: &'a Taken, which: Which, reformat: bool) -> Writer<'a> {
        let columns = taken.upload.columns.iter();
        let is_number = |column: &Column| {
            reformat
                && matches!(column, Column::Field(field)
                    if taken.object.fields[*field].kind == Kind::Double)
        };
        Writer {
            taken,
            which,
            delimiter: taken.upload.file.delimiter(),
            end: if taken.crlf { b"\r\n" } else { b"\n" },
            other_header: taken.faults.contains(&Action::OtherHeader {}),
            numbers: columns.map(is_number).collect(),
            out: Vec::new(),
        }
    }

    fn all(mut self, lines: &[Line], altered: usize) -> Vec<u8> {
        self.header();
        let mut values = Vec::new();
        for (index, line) in lines.iter().enumerate() {
            let file = &self.taken.upload.file;
            if self.which == Which::Unprocessed && index >= altered && !self.other_header {
                self.out.extend_from_slice(file.row(line.row).as_bytes());
            } else {
                file.split(line.row, &mut values);
                self.line(line, &values, index < altered);
            }
            self.out.extend_from_slice(self.end);
        }
        self.out
    }

    fn header(&mut self) {
        let told = match self.which {
            Which::Successful => Some("sf__Created"),
            Which::Failed => Some("sf__Error"),
            Which::Unprocessed => None,
        };
        let header = self.taken.upload.file.header();
        let mut names: Vec<Cow<'_, str>> = vec![header.into()];
        if self.other_header {
            csv::split(header, self.delimiter, &mut names);
            for name in &mut names {
                *name = name.to_ascii_uppercase().into();
            }
            names.reverse();
        }
        if let Some(told) = told {
            self.quoted("sf__Id");
            self.out.push(self.delimiter);
            self.quoted(told);
            self.out.push(self.delimiter);
        }
        let delimiter = char::from(self.delimiter).to_string();
        self.out
            .extend_from_slice(names.join(&delimiter).as_bytes());
        self.out.extend_from_slice(self.end);
    }

    fn line(&mut self, line: &Line, values: &[Cow<'_, str>], altered: bool) {
        if self.which != Which::Unprocessed {
            self.quoted(&line.id);
            self.out.push(self.delimiter);
            self.quoted(&line.told);
            self.out.push(self.delimiter);
        }
        let count = values.len();
        for position in 0..count {
            let column = if self.other_header {
                count - 1 - position
            } else {
                position
            };
            let value = &values[column];
            if position > 0 {
                self.out.push(self.delimiter);
            }
            if altered {
                self.quoted(&format!("{value}~altered"));
            } else if self.numbers[column] && self.which != Which::Unprocessed {
                let echoed = number::echoed(value);
                self.quoted(echoed.as_deref().unwrap_or(value));
            } else {
                self.quoted(value);
            }
        }
    }

    fn quoted(&mut self, value: &str) {
        self.out.push(b'"');
        if value.contains('"') {
            self.out
                .extend_from_slice(value.replace('"', "\"\"").as_bytes());
        } else {
            self.out.extend_from_slice(value.as_bytes());
        }
        self.out.push(b'"');
    }
}
