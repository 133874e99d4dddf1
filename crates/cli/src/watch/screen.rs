//! The terminal: what may be drawn, and who draws.

use std::env;
use std::io::{self, IsTerminal as _, Write};
use std::sync::LazyLock;

use console::Term;
use indicatif::MultiProgress;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// How much the log says: `error`, `warn` (without it), `info` or `debug`.
const LOG: &str = "ARROW_SALESFORCE_LOG";

/// Whoever writes to stderr does it between two drawings of this.
static BARS: LazyLock<MultiProgress> = LazyLock::new(MultiProgress::new);

/// Width of a page where there is no terminal, in columns.
const WIDTH: u16 = 120;

/// What is drawn while a load runs.
pub(super) fn bars() -> &'static MultiProgress {
    &BARS
}

/// Whether lines on stderr can be drawn again.
pub(super) fn is_terminal() -> bool {
    io::stderr().is_terminal() && env::var("TERM").as_deref() != Ok("dumb")
}

/// Columns of the terminal that stdout is, or as `COLUMNS` says.
pub(super) fn width() -> u16 {
    let terminal = Term::stdout().size_checked().map(|(_, columns)| columns);
    let said = || env::var("COLUMNS").ok()?.parse().ok();
    let width = terminal.or_else(said).filter(|width| *width > 0);
    width.unwrap_or(WIDTH)
}

/// Whether the terminal shows more than ASCII.
pub(super) fn is_unicode() -> bool {
    let set = |name: &&str| env::var(name).is_ok_and(|value| !value.is_empty());
    let names = ["LC_ALL", "LC_CTYPE", "LANG"];
    match names.iter().find(|name| set(name)) {
        Some(name) => env::var(name).is_ok_and(|locale| is_utf8(&locale)),
        None => cfg!(windows) || cfg!(target_os = "macos"),
    }
}

fn is_utf8(locale: &str) -> bool {
    let locale = locale.to_ascii_lowercase();
    locale.ends_with("utf-8") || locale.ends_with("utf8")
}

/// Writes a line to stderr.
pub(crate) fn say(line: &str) {
    let mut stderr = Stderr;
    // Where stderr is closed nobody listens.
    let _ = stderr.write_all(format!("{line}\n").as_bytes());
}

/// Sends what the engine warns of to stderr.
pub(crate) fn install_log() {
    let level = env::var(LOG).ok().and_then(|level| level.parse().ok());
    let level = level.unwrap_or(LevelFilter::WARN);
    let targets = ["arrow_salesforce", "destination_salesforce"];
    let filter = Targets::new().with_targets(targets.map(|target| (target, level)));
    let lines = tracing_subscriber::fmt::layer()
        .without_time()
        .with_target(false)
        .with_ansi(false)
        .with_writer(Stderr);
    // A log that is there already stays.
    let _ = tracing_subscriber::registry()
        .with(filter)
        .with(lines)
        .try_init();
}

/// Stderr, with what is drawn there out of the way.
#[derive(Debug, Clone, Copy)]
struct Stderr;

impl Write for Stderr {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        BARS.suspend(|| io::stderr().write_all(buffer))?;
        Ok(buffer.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

impl<'a> MakeWriter<'a> for Stderr {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        *self
    }
}

#[cfg(test)]
mod tests {
    use super::is_utf8;

    #[test]
    fn locales_of_unicode() {
        for locale in ["en_US.UTF-8", "C.utf8", "de_DE.utf-8"] {
            assert!(is_utf8(locale), "{locale}");
        }
        for locale in ["C", "POSIX", "de_DE.ISO-8859-1", "en_US"] {
            assert!(!is_utf8(locale), "{locale}");
        }
    }
}
