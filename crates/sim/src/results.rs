//! The result files of a job.

use std::borrow::Cow;
use std::sync::Arc;

use super::faults::{Action, ResultFile};
use super::http::ApiError;
use super::job::{Data, Job, JobState, Outcome};
use super::org::Object;
use super::shape::Shape;
use super::state::Shared;
use super::table::Upload;

impl ResultFile {
    /// By the last part of the URL, in any letter case.
    pub(crate) fn parse(name: &str) -> Option<ResultFile> {
        Some(match name.to_ascii_lowercase().as_str() {
            "successfulresults" => ResultFile::Successful,
            "failedresults" => ResultFile::Failed,
            "unprocessedrecords" => ResultFile::Unprocessed,
            _ => return None,
        })
    }
}

/// The row that a page's locator stands for.
pub(crate) fn row_of_locator(locator: &str) -> Option<usize> {
    locator.strip_prefix("row-")?.parse().ok()
}

/// One row of a result: where it is in the upload, and what stands before its own values.
#[derive(Clone)]
struct Line {
    row: usize,
    id: String,
    /// `sf__Created` or `sf__Error`.
    told: Cow<'static, str>,
    /// Its values come back altered.
    altered: bool,
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
    which: ResultFile,
    first: usize,
) -> Result<(Vec<u8>, Option<String>), ApiError> {
    let mut taken = match take(shared, job_id, which)? {
        Ok(taken) => taken,
        Err(raw) => return Ok((raw, None)),
    };
    if shared.options().shuffle {
        let salt = job_id
            .bytes()
            .fold(0, |sum: u64, byte| sum * 31 % 0xFFFF_FFFF + u64::from(byte));
        fastrand::Rng::with_seed(shared.options().seed ^ salt).shuffle(&mut taken.lines);
    }
    if taken.lines.is_empty() && taken.faults.contains(&Action::EmptyBody {}) {
        return Ok((Vec::new(), None));
    }
    taken.disturb(which);
    let locator = taken.page(first);
    let options = shared.options();
    let shape = Shape::new(
        &taken.upload,
        &taken.object,
        &taken.faults,
        options.reformat_numbers,
        options.seed,
    );
    let writer = Writer {
        taken: &taken,
        which,
        delimiter: taken.upload.file.delimiter(),
        end: if taken.crlf { b"\r\n" } else { b"\n" },
        shape,
        out: Vec::new(),
    };
    Ok((writer.all(), locator))
}

impl Taken {
    /// Takes rows away, alters them, repeats them and adds others, as the faults say.
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
                    let again = self.lines.iter().take(*count).cloned();
                    self.lines.extend(again.collect::<Vec<_>>());
                }
                Action::ForeignRows { count, result } if here(result) => {
                    let told = match which {
                        ResultFile::Successful => "true",
                        ResultFile::Failed => "UNKNOWN_EXCEPTION:a row of someone else:--",
                        ResultFile::Unprocessed => "",
                    };
                    let rows = self.upload.file.rows();
                    self.lines.extend((0..*count).map(|row| Line {
                        row: row % rows,
                        id: String::new(),
                        told: told.into(),
                        altered: true,
                    }));
                }
                _ => {}
            }
        }
    }

    /// Leaves the page that begins at a line, and says what stands for the next one.
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

fn take(
    shared: &Shared,
    job_id: &str,
    which: ResultFile,
) -> Result<Result<Taken, Vec<u8>>, ApiError> {
    let state = shared.state();
    let job = state.jobs.get(job_id).ok_or_else(ApiError::not_found)?;
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
    Ok(Ok(Taken {
        upload,
        object: Arc::clone(&job.settings.object),
        lines,
        faults: job.faults.clone(),
        crlf: job.settings.crlf,
    }))
}

/// Results of a job that was refused as a whole: everything is unprocessed, as it was uploaded.
fn refused(job: &Job, raw: &[u8], which: ResultFile) -> Vec<u8> {
    if which == ResultFile::Unprocessed {
        return raw.to_vec();
    }
    let told = if which == ResultFile::Failed {
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

fn line(row: usize, outcome: Option<&Outcome>, prefix: &str, which: ResultFile) -> Option<Line> {
    let id = |number: u32| super::id::make(prefix, number);
    let (id, told): (String, Cow<'static, str>) = match (outcome, which) {
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
        told,
        altered: false,
    })
}

struct Writer<'a> {
    taken: &'a Taken,
    which: ResultFile,
    delimiter: u8,
    end: &'static [u8],
    shape: Shape,
    out: Vec<u8>,
}

impl Writer<'_> {
    fn all(mut self) -> Vec<u8> {
        self.header();
        let mut values = Vec::new();
        let Taken { upload, lines, .. } = self.taken;
        for line in lines {
            let raw = self.which == ResultFile::Unprocessed && self.shape.is_plain;
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
        let told = match self.which {
            ResultFile::Successful => Some("sf__Created"),
            ResultFile::Failed => Some("sf__Error"),
            ResultFile::Unprocessed => None,
        };
        if let Some(told) = told {
            self.quoted("sf__Id");
            self.out.push(self.delimiter);
            self.quoted(told);
            if !self.shape.columns.is_empty() {
                self.out.push(self.delimiter);
            }
        }
        self.out.extend_from_slice(self.shape.header.as_bytes());
        self.out.extend_from_slice(self.end);
    }

    fn line(&mut self, line: &Line, values: &[Cow<'_, str>]) {
        let processed = self.which != ResultFile::Unprocessed;
        if processed {
            self.quoted(&line.id);
            self.out.push(self.delimiter);
            self.quoted(&line.told);
        }
        for position in 0..self.shape.columns.len() {
            let column = self.shape.columns[position];
            let value = &values[column];
            if processed || position > 0 {
                self.out.push(self.delimiter);
            }
            if line.altered {
                self.quoted(&format!("{value}~altered"));
            } else if processed {
                let echoed = self.shape.echoed(column, value);
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
