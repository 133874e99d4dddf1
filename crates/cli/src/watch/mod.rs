//! What a person, or a program, sees of a load.
//!
//! Messages and progress go to stderr, results to stdout; with `--json` one object a line goes to
//! stdout: `found`, `started`, `progress`, `finished`.

pub(crate) mod listing;
pub(crate) mod numbers;
mod progress;
mod screen;
mod summary;
mod table;
mod taken;
mod terminal;

use std::io::{self, Write as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde::Serialize;
use serde_json::json;

use crate::cli::OutputArgs;
use progress::Pace;
use terminal::Lines;

pub(crate) use progress::Progress;
pub(crate) use screen::{install_log, say};
pub(crate) use summary::Outcome;
pub(crate) use table::Page;
pub(crate) use taken::{Taken, TakenWatch};

/// Time between two lines, where there is no terminal.
const LINE: Duration = Duration::from_secs(10);

/// Shows a load to whoever watches it. Clones show the same load.
#[derive(Debug, Clone)]
pub(crate) struct Watch {
    form: Form,
    load: Arc<Mutex<Option<Load>>>,
}

/// How a load is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// Lines that are drawn again and again.
    Terminal,
    /// A line now and then.
    Lines,
    Json,
    /// The end alone.
    Quiet,
}

/// A load that is shown.
#[derive(Debug)]
struct Load {
    object: String,
    total: Option<u64>,
    began: Instant,
    /// Rows that had their end when it began; unknown until the first progress.
    before: Option<u64>,
    /// When the last line was printed.
    printed: Instant,
    lines: Option<Lines>,
}

impl Watch {
    /// Shows loads as `output` says.
    pub(crate) fn new(output: &OutputArgs) -> Self {
        let form = match output {
            OutputArgs { json: true, .. } => Form::Json,
            OutputArgs { quiet: true, .. } => Form::Quiet,
            _ if screen::is_terminal() => Form::Terminal,
            _ => Form::Lines,
        };
        Self {
            form,
            load: Arc::default(),
        }
    }

    /// Says what was found, or what happens.
    pub(crate) fn say(&self, sentence: &str) {
        match self.form {
            Form::Json => print(&json!({"type": "found", "text": sentence})),
            Form::Terminal | Form::Lines => say(sentence),
            Form::Quiet => {}
        }
    }

    /// A run begins, or goes on; `total` is how many rows it has, if that is known.
    pub(crate) fn begin(&self, run: &str, object: &str, total: Option<u64>) {
        match self.form {
            Form::Json => print(&json!({
                "type": "started", "run": run, "object": object, "total": total,
            })),
            Form::Terminal | Form::Lines => say(&format!("run {run} into {object}")),
            Form::Quiet => {}
        }
        let now = Instant::now();
        *self.load.lock() = Some(Load {
            object: object.to_owned(),
            total,
            began: now,
            before: None,
            printed: now,
            lines: (self.form == Form::Terminal).then(|| Lines::new(object, total)),
        });
    }

    /// Shows how far the run is, if it is time for that.
    pub(crate) fn progress(&self, progress: &Progress) {
        let mut load = self.load.lock();
        let Some(load) = load.as_mut() else { return };
        let before = *load.before.get_or_insert_with(|| progress.ended());
        let pace = Pace::of(progress, before, load.total, load.began.elapsed());
        if let Some(lines) = &load.lines {
            return lines.draw(progress, &pace);
        }
        if self.form == Form::Quiet || load.printed.elapsed() < LINE {
            return;
        }
        load.printed = Instant::now();
        if self.form == Form::Json {
            return print(&ProgressLine {
                r#type: "progress",
                progress,
                pace: &pace,
            });
        }
        let (object, rows) = (&load.object, progress.rows(load.total));
        let (jobs, pace) = (progress.jobs(), pace.shown());
        say(&format!("{object}: {rows}; {jobs}; {pace}"));
    }

    /// Shows how it ended.
    pub(crate) fn end(&self, outcome: &Outcome) {
        if let Some(lines) = self.load.lock().take().and_then(|load| load.lines) {
            lines.clear();
        }
        if self.form == Form::Json {
            print(&outcome.json());
        } else {
            show(outcome.text(Page::of_stdout()).trim_end());
        }
        if let Some(error) = &outcome.error {
            say(&format!("error: {error}"));
        }
    }
}

#[derive(Serialize)]
struct ProgressLine<'a> {
    r#type: &'static str,
    #[serde(flatten)]
    progress: &'a Progress,
    #[serde(flatten)]
    pace: &'a Pace,
}

/// Prints an object on a line of stdout, for whoever reads along.
pub(crate) fn print(line: &impl Serialize) {
    show(&serde_json::to_string(line).unwrap_or_default());
}

/// Prints a result.
pub(crate) fn show(text: &str) {
    // Where stdout is closed nobody reads the result.
    let _ = writeln!(io::stdout(), "{text}");
}
