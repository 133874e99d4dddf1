//! Progress as a terminal draws it: three lines that stay where they are.

use std::time::Duration;

use console::{Term, truncate_str};
use indicatif::{ProgressBar, ProgressStyle};

use super::progress::{Pace, Progress};
use super::screen;

/// How often a spinner turns.
const TURN: Duration = Duration::from_millis(100);

/// The lines of a load.
#[derive(Debug)]
pub(super) struct Lines {
    /// An empty line above. The terminal shows a key that is pressed on a line of its own, so that all
    /// that is drawn stands one line too high then: this is what stays there.
    margin: ProgressBar,
    bar: ProgressBar,
    rows: ProgressBar,
    jobs: ProgressBar,
}

impl Lines {
    /// Draws the lines of a load of so many rows.
    pub(super) fn new(name: &str, total: Option<u64>) -> Self {
        let bars = screen::bars();
        let unicode = screen::is_unicode();
        let line = || {
            let line = bars.add(ProgressBar::no_length());
            line.set_style(style("{msg}"));
            line
        };
        let margin = line();
        margin.set_message(" ");
        let bar = bars.add(ProgressBar::no_length());
        bar.set_prefix(name.to_owned());
        if let Some(total) = total {
            bar.set_length(total);
            let drawn = style("{prefix} [{wide_bar:.green}] {percent:>3} %");
            bar.set_style(drawn.progress_chars(if unicode {
                "█▉▊▋▌▍▎▏ "
            } else {
                "=> "
            }));
        } else {
            let turning = style("{spinner:.green} {prefix}");
            bar.set_style(turning.tick_chars(if unicode {
                "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏ "
            } else {
                "|/-\\ "
            }));
            bar.enable_steady_tick(TURN);
        }
        Self {
            margin,
            bar,
            rows: line(),
            jobs: line(),
        }
    }

    pub(super) fn draw(&self, progress: &Progress, pace: &Pace) {
        self.bar.set_position(progress.ended());
        self.rows.set_message(fitted(&progress.rows(pace.total)));
        let jobs = progress.jobs();
        let ids = match progress.jobs_in_flight.as_slice() {
            [] => String::new(),
            ids => format!(" ({})", ids.join(", ")),
        };
        let jobs = format!("{}; {jobs}{ids}", pace.shown());
        self.jobs.set_message(fitted(&jobs));
    }

    pub(super) fn clear(&self) {
        for line in [&self.margin, &self.bar, &self.rows, &self.jobs] {
            line.finish_and_clear();
        }
    }
}

/// A line that leaves room for what the terminal shows of a key that is pressed: `^C`.
fn fitted(line: &str) -> String {
    let (_, width) = Term::stderr().size();
    truncate_str(line, usize::from(width).saturating_sub(3), "").into_owned()
}

fn style(template: &str) -> ProgressStyle {
    // The templates are those above, and they are right.
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
