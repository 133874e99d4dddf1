//! What a person, or a program, sees of records that come out of an org.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use serde_json::json;

use super::numbers::{count, counted, rate, rough_time, time};
use super::{Form, LINE, print, say, screen, show};
use crate::cli::OutputArgs;

/// How often a spinner turns.
const TURN: Duration = Duration::from_millis(100);

/// Shows how far a query is.
#[derive(Debug)]
pub(crate) struct TakenWatch {
    form: Form,
    /// Whether records stand on stdout, so that nothing else may.
    stdout_taken: bool,
    object: String,
    began: Instant,
    printed: Instant,
    bar: Option<ProgressBar>,
}

/// How a query ended.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Taken {
    pub(crate) object: String,
    pub(crate) records: u64,
    /// Where they are, unless they went to stdout.
    pub(crate) output: Option<String>,
    pub(crate) jobs: u64,
    pub(crate) api_calls: u64,
}

impl TakenWatch {
    /// Shows as `output` says.
    pub(crate) fn new(output: &OutputArgs, stdout_taken: bool) -> Self {
        let form = match output {
            OutputArgs { quiet: true, .. } => Form::Quiet,
            OutputArgs { json: true, .. } if !stdout_taken => Form::Json,
            _ if screen::is_terminal() => Form::Terminal,
            _ => Form::Lines,
        };
        let now = Instant::now();
        Self {
            form,
            stdout_taken,
            object: String::new(),
            began: now,
            printed: now,
            bar: None,
        }
    }

    /// Says what happens.
    pub(crate) fn say(&self, sentence: &str) {
        match self.form {
            Form::Json => print(&json!({"type": "found", "text": sentence})),
            Form::Terminal | Form::Lines => say(sentence),
            Form::Quiet => {}
        }
    }

    /// The jobs are made.
    pub(crate) fn begin(&mut self, object: &str, jobs: &[String]) {
        object.clone_into(&mut self.object);
        match self.form {
            Form::Json => print(&json!({"type": "started", "object": object, "jobs": jobs})),
            Form::Terminal => self.bar = Some(bar(object)),
            Form::Lines | Form::Quiet => {}
        }
    }

    /// Shows how far it is, if it is time for that: `records` have come, and the org has found `total`.
    pub(crate) fn progress(&mut self, records: u64, total: Option<u64>) {
        let per_second = rate(records, self.began.elapsed());
        let of = total.map_or_else(String::new, |total| format!(" of {}", count(total)));
        let text = match (records, total) {
            (0, Some(found)) => format!("the org has found {}", counted(found, "record")),
            (0, None) => "the org works on it".to_owned(),
            _ => {
                let left = total.map(|total| total.saturating_sub(records));
                let left = left.and_then(|left| left.checked_div(per_second));
                let left = left
                    .filter(|left| *left > 0)
                    .map_or_else(String::new, |left| {
                        format!(", {} left", rough_time(Duration::from_secs(left)))
                    });
                format!(
                    "{}{of} records, {} records/s{left}",
                    count(records),
                    count(per_second)
                )
            }
        };
        if let Some(bar) = &self.bar {
            return bar.set_message(text);
        }
        if self.form == Form::Quiet || self.printed.elapsed() < LINE {
            return;
        }
        self.printed = Instant::now();
        if self.form == Form::Json {
            return print(&json!({
                "type": "progress", "records": records, "total": total, "records_per_second": per_second,
                "seconds": self.began.elapsed().as_secs(),
            }));
        }
        say(&format!("{}: {text}", self.object));
    }

    /// Draws nothing any more.
    pub(crate) fn clear(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }

    /// Shows how it ended.
    pub(crate) fn end(&mut self, taken: &Taken) {
        self.clear();
        let elapsed = self.began.elapsed();
        if self.form == Form::Json {
            let mut line = json!(taken);
            line["type"] = "finished".into();
            line["seconds"] = elapsed.as_secs_f64().into();
            return print(&line);
        }
        if self.form == Form::Quiet {
            return;
        }
        let place = taken.output.as_deref();
        let place = place.map_or_else(String::new, |place| format!(" in {place}"));
        let text = format!(
            "{}: {}{place}; {}, {}, {}",
            taken.object,
            counted(taken.records, "record"),
            counted(taken.jobs, "job"),
            counted(taken.api_calls, "API call"),
            time(elapsed)
        );
        match self.stdout_taken {
            true => say(&text),
            false => show(&text),
        }
    }
}

impl Drop for TakenWatch {
    fn drop(&mut self) {
        self.clear();
    }
}

fn bar(object: &str) -> ProgressBar {
    let bar = screen::bars().add(ProgressBar::no_length());
    let style = ProgressStyle::with_template("{spinner:.green} {prefix}: {wide_msg}");
    // The template is that above, and it is right.
    let style = style.unwrap_or_else(|_| ProgressStyle::default_spinner());
    bar.set_style(style.tick_chars(match screen::is_unicode() {
        true => "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏ ",
        false => "|/-\\ ",
    }));
    bar.set_prefix(object.to_owned());
    bar.enable_steady_tick(TURN);
    bar
}
