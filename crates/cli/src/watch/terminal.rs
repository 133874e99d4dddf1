//! Progress as a terminal draws it: three lines that stay where they are.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::progress::Progress;
use super::screen;

/// How often lines are drawn.
const DRAWN: Duration = Duration::from_millis(100);

/// The lines of a load.
#[derive(Debug)]
pub(super) struct Lines {
    bar: ProgressBar,
    rows: ProgressBar,
    jobs: ProgressBar,
}

impl Lines {
    /// Draws the lines of a load of so many rows.
    pub(super) fn new(name: &str, total: Option<u64>) -> Self {
        let bars = screen::bars();
        let line = || {
            let line = bars.add(ProgressBar::no_length());
            line.set_style(style("{wide_msg}"));
            line
        };
        let bar = bars.add(ProgressBar::no_length());
        bar.set_prefix(name.to_owned());
        match (total, screen::is_unicode()) {
            (Some(total), unicode) => {
                bar.set_length(total);
                let bar_style = style("{prefix} [{wide_bar:.green}] {percent:>3} %");
                bar.set_style(bar_style.progress_chars(if unicode { "█▉▊▋▌▍▎▏ " } else { "=> " }));
            }
            (None, unicode) => {
                let spinner = style("{spinner:.green} {prefix}");
                let ticks = if unicode { "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏ " } else { "|/-\\ " };
                bar.set_style(spinner.tick_chars(ticks));
                bar.enable_steady_tick(DRAWN);
            }
        }
        Self {
            bar,
            rows: line(),
            jobs: line(),
        }
    }

    pub(super) fn draw(&self, progress: &Progress) {
        self.bar.set_position(progress.ended());
        self.rows.set_message(progress.rows());
        self.jobs
            .set_message(format!("{}; {}", progress.jobs(), progress.pace()));
    }

    pub(super) fn clear(&self) {
        for line in [&self.bar, &self.rows, &self.jobs] {
            line.finish_and_clear();
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    // The templates are those above, and they are right.
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
