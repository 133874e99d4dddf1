//! The result files of a job.

mod form;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use self::form::Form;
use super::job::{Data, Job, JobState, Outcome};
use super::store::Jobs;
use crate::error::ApiError;
use crate::faults::{Action, ResultFile};
use crate::org::table::Upload;
use crate::org::{Object, id};
use crate::share::part;

/// The first row of the page of a locator.
pub(crate) fn row_of_locator(locator: &str) -> Option<usize> {
    locator.strip_prefix("row-")?.parse().ok()
}

/// A row of a result file: its row of the upload, and what is written before its values.
#[derive(Clone)]
struct Line {
    row: usize,
    id: String,
    /// `sf__Created` or `sf__Error`.
    detail: Cow<'static, str>,
    /// Its values differ from the uploaded ones.
    altered: bool,
}

/// What a result file is made of: taken out of the job, which is not locked meanwhile.
struct Snapshot {
    upload: Arc<Upload>,
    object: Arc<Object>,
    lines: Vec<Line>,
    faults: Vec<Action>,
    crlf: bool,
    /// The share of its lines that it has.
    shown: f64,
}

/// Writes a page of a result file, which begins with row `first`. Returns it with the locator of the
/// next page, if there are pages.
pub(crate) fn write(
    jobs: &Jobs,
    job_id: &str,
    which: ResultFile,
    first: usize,
) -> Result<(Vec<u8>, Option<String>), ApiError> {
    let mut snapshot = match take(jobs, job_id, which)? {
        Ok(snapshot) => snapshot,
        Err(raw) => return Ok((raw, None)),
    };
    if jobs.options().shuffle {
        let salt = job_id
            .bytes()
            .fold(0, |sum: u64, byte| sum * 31 % 0xFFFF_FFFF + u64::from(byte));
        fastrand::Rng::with_seed(jobs.options().seed ^ salt).shuffle(&mut snapshot.lines);
    }
    snapshot
        .lines
        .truncate(part(snapshot.lines.len(), snapshot.shown));
    if snapshot.lines.is_empty() && snapshot.faults.contains(&Action::EmptyBody {}) {
        return Ok((Vec::new(), None));
    }
    snapshot.disturb(which);
    let locator = snapshot.page(first);
    let options = jobs.options();
    let form = Form::new(
        &snapshot.upload,
        &snapshot.object,
        &snapshot.faults,
        options.reformat_numbers,
        options.seed,
    );
    let writer = Writer {
        snapshot: &snapshot,
        which,
        delimiter: snapshot.upload.file.delimiter(),
        end: if snapshot.crlf { b"\r\n" } else { b"\n" },
        form,
        out: Vec::new(),
    };
    Ok((writer.all(), locator))
}

impl Snapshot {
    /// Removes, alters, repeats and adds rows, as the faults say.
    fn disturb(&mut self, which: ResultFile) {
        let here = |result: &Option<ResultFile>| result.is_none_or(|result| result == which);
        for fault in &self.faults {
            match fault {
                Action::WithholdRows { count, result } if here(result) => {
                    self.lines.truncate(self.lines.len().saturating_sub(*count));
                }
                Action::AlterRows { count } => {
                    for line in self.lines.iter_mut().take(*count) {
                        line.altered = true;
                    }
                }
                Action::RepeatRows { count, result } if here(result) => {
                    let repeated = self.lines.iter().take(*count).cloned();
                    self.lines.extend(repeated.collect::<Vec<_>>());
                }
                Action::ForeignRows { count, result } if here(result) => {
                    let detail = match which {
                        ResultFile::Successful => "true",
                        ResultFile::Failed => "UNKNOWN_EXCEPTION:a row of someone else:--",
                        ResultFile::Unprocessed => "",
                    };
                    let rows = self.upload.file.rows();
                    self.lines.extend((0..*count).map(|row| Line {
                        row: row % rows,
                        id: String::new(),
                        detail: detail.into(),
                        altered: true,
                    }));
                }
                _ => {}
            }
        }
    }

    /// Keeps the page that begins with row `first`. Returns the locator of the next one, if there
    /// are pages.
    fn page(&mut self, first: usize) -> Option<String> {
        let rows = self.faults.iter().find_map(|fault| match fault {
            Action::Pages { rows } => Some((*rows).max(1)),
            _ => None,
        })?;
        let end = (first + rows).min(self.lines.len());
        let more = end < self.lines.len();
        self.lines = self.lines.drain(..end).skip(first).collect();
        Some(if more {
            format!("row-{end}")
        } else {
            "null".to_owned()
        })
    }
}

/// Takes what a result file is made of, or the whole file where the upload was never read.
fn take(
    jobs: &Jobs,
    job_id: &str,
    which: ResultFile,
) -> Result<Result<Snapshot, Vec<u8>>, ApiError> {
    let mut state = jobs.state();
    let job = state.jobs.get_mut(job_id);
    let job = job.ok_or_else(ApiError::not_found)?;
    if !job.state.is_terminal() {
        let message = format!(
            "Results are not available while the job is {}",
            job.state.name()
        );
        return Err(ApiError::new(400, "INVALIDJOBSTATE", &message));
    }
    if job.forgotten && (which == ResultFile::Successful || matches!(job.data, Data::None)) {
        let message = "This simulator forgets rows (option `forget`)";
        return Err(ApiError::new(404, "NOT_FOUND", message));
    }
    let shown = shown(job, which);
    let upload = match &job.data {
        Data::Rows(upload) => Arc::clone(upload),
        Data::Raw(raw) => return Ok(Err(refused(job, raw, which))),
        Data::None => return Ok(Err(Vec::new())),
    };
    let prefix = &job.settings.object.key_prefix;
    let lines = match which {
        ResultFile::Unprocessed if job.unrecorded => Vec::new(),
        _ => {
            let outcomes = job.outcomes.iter().enumerate();
            outcomes
                .filter_map(|(row, outcome)| line(row, outcome.as_ref(), prefix, which))
                .collect()
        }
    };
    Ok(Ok(Snapshot {
        upload,
        object: Arc::clone(&job.settings.object),
        lines,
        faults: job.faults.clone(),
        crlf: job.settings.crlf,
        shown,
    }))
}

/// The share of its rows that a result file of a job has at this reading.
fn shown(job: &mut Job, which: ResultFile) -> f64 {
    let count = &mut job.readings[which as usize];
    *count += 1;
    let (count, since) = (*count, job.ended.map(|ended| ended.elapsed()));
    let lags = job.faults.iter().filter_map(|fault| match fault {
        Action::LagResults {
            ms,
            readings,
            share,
            result,
        } => {
            let is_here = result.is_none_or(|result| result == which);
            let is_new = since.is_some_and(|since| since < Duration::from_millis(*ms));
            (is_here && (is_new || count <= *readings)).then_some(*share)
        }
        _ => None,
    });
    lags.fold(1.0, f64::min)
}

/// A result file of a job that was refused as a whole: all rows are unprocessed, as uploaded.
fn refused(job: &Job, raw: &[u8], which: ResultFile) -> Vec<u8> {
    if which == ResultFile::Unprocessed {
        return raw.to_vec();
    }
    let detail = if which == ResultFile::Failed {
        "sf__Error"
    } else {
        "sf__Created"
    };
    let header = match job.state {
        JobState::Failed => raw.split(|&byte| byte == b'\n').next().unwrap_or_default(),
        _ => &[],
    };
    [
        format!("\"sf__Id\",\"{detail}\",").as_bytes(),
        header,
        b"\n",
    ]
    .concat()
}

fn line(row: usize, outcome: Option<&Outcome>, prefix: &str, which: ResultFile) -> Option<Line> {
    let id = |number: u32| id::make(prefix, number);
    let (id, detail): (String, Cow<'static, str>) = match (outcome, which) {
        (Some(Outcome::Created(number)), ResultFile::Successful) => (id(*number), "true".into()),
        (Some(Outcome::Changed(number)), ResultFile::Successful) => (id(*number), "false".into()),
        (Some(Outcome::Failed { error, record }), ResultFile::Failed) => {
            (record.map(id).unwrap_or_default(), error.to_string().into())
        }
        (None, ResultFile::Unprocessed) => (String::new(), "".into()),
        _ => return None,
    };
    Some(Line {
        row,
        id,
        detail,
        altered: false,
    })
}

struct Writer<'a> {
    snapshot: &'a Snapshot,
    which: ResultFile,
    delimiter: u8,
    end: &'static [u8],
    form: Form,
    out: Vec<u8>,
}

impl Writer<'_> {
    /// The whole file.
    fn all(mut self) -> Vec<u8> {
        self.header();
        let mut values = Vec::new();
        let Snapshot { upload, lines, .. } = self.snapshot;
        for line in lines {
            let raw = self.which == ResultFile::Unprocessed && self.form.is_plain;
            if raw && !line.altered {
                self.out
                    .extend_from_slice(upload.file.row(line.row).as_bytes());
            } else {
                upload.file.split(line.row, &mut values);
                self.line(line, &values);
            }
            self.out.extend_from_slice(self.end);
        }
        self.out
    }

    fn header(&mut self) {
        let detail = match self.which {
            ResultFile::Successful => Some("sf__Created"),
            ResultFile::Failed => Some("sf__Error"),
            ResultFile::Unprocessed => None,
        };
        if let Some(detail) = detail {
            self.quoted("sf__Id");
            self.out.push(self.delimiter);
            self.quoted(detail);
            if !self.form.columns.is_empty() {
                self.out.push(self.delimiter);
            }
        }
        self.out.extend_from_slice(self.form.header.as_bytes());
        self.out.extend_from_slice(self.end);
    }

    fn line(&mut self, line: &Line, values: &[Cow<'_, str>]) {
        let processed = self.which != ResultFile::Unprocessed;
        if processed {
            self.quoted(&line.id);
            self.out.push(self.delimiter);
            self.quoted(&line.detail);
        }
        for position in 0..self.form.columns.len() {
            let column = self.form.columns[position];
            let value = &values[column];
            if processed || position > 0 {
                self.out.push(self.delimiter);
            }
            if line.altered {
                self.quoted(&format!("{value}~altered"));
            } else if processed {
                let echoed = self.form.echoed(column, value);
                self.quoted(&echoed);
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
