//! Tracing events -> LOG messages on stdout.

use std::fmt::{self, Write as _};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};

use crate::protocol::output::Output;

/// Sends this process's events to `output` as LOG messages, from now on. What they hold at least
/// is the level in the environment variable `LOG_LEVEL`, `INFO` by default.
pub(crate) fn install(output: Output) {
    let setting = std::env::var("LOG_LEVEL").unwrap_or_default();
    let level = parse_level(&setting);
    let subscriber = tracing_subscriber::registry().with(MessageLayer {
        output,
        level: level.unwrap_or(Level::INFO),
    });
    // A subscriber that is already there belongs to a program that embeds this one: it stays.
    let _ = tracing::subscriber::set_global_default(subscriber);
    if level.is_none() {
        tracing::warn!(
            "LOG_LEVEL is not one of FATAL, ERROR, WARN, INFO, DEBUG, TRACE: INFO is used"
        );
    }
}

fn parse_level(setting: &str) -> Option<Level> {
    match setting.trim().to_ascii_uppercase().as_str() {
        "FATAL" | "ERROR" => Some(Level::ERROR),
        "WARN" | "WARNING" => Some(Level::WARN),
        "" | "INFO" => Some(Level::INFO),
        "DEBUG" => Some(Level::DEBUG),
        "TRACE" => Some(Level::TRACE),
        _ => None,
    }
}

/// Prints events of at least a level.
#[derive(Debug)]
struct MessageLayer {
    output: Output,
    level: Level,
}

impl MessageLayer {
    /// Other crates are heard from WARN up only: below it, HTTP and storage libraries print
    /// headers and bodies.
    fn wants(&self, metadata: &Metadata<'_>) -> bool {
        let ours = ["arrow_salesforce", "destination_salesforce"];
        let root = metadata.target().split("::").next().unwrap_or_default();
        let least = if ours.contains(&root) {
            self.level
        } else {
            self.level.min(Level::WARN)
        };
        *metadata.level() <= least
    }
}

impl<S: Subscriber> Layer<S> for MessageLayer {
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        metadata.is_span() || self.wants(metadata)
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut text = Text::default();
        event.record(&mut text);
        let level = event.metadata().level().as_str();
        self.output.log(level, &text.line());
    }
}

/// An event as text: its message, then its fields.
#[derive(Default)]
struct Text {
    message: String,
    fields: String,
}

impl Text {
    fn line(self) -> String {
        self.message + &self.fields
    }
}

impl Visit for Text {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a String does not fail.
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.fields, " {name}={value:?}"),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::output::testing::Buffer;

    #[test]
    fn events_become_log_messages_from_the_level_up() {
        let buffer = Buffer::default();
        let output = Output::to(buffer.clone()).unwrap();
        let layer = MessageLayer {
            output: output.clone(),
            level: Level::DEBUG,
        };
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            tracing::info!(object = "Contact", jobs = 2, "stream is \"done\"");
            tracing::trace!("too fine");
            tracing::debug!("fine");
            tracing::debug!(target: "hyper::client", "headers of another crate");
            tracing::warn!(target: "hyper::client", "trouble of another crate");
        });
        insta::assert_snapshot!(buffer.text(&output), @r#"
        {"type":"LOG","log":{"level":"INFO","message":"stream is \"done\" object=Contact jobs=2"}}
        {"type":"LOG","log":{"level":"DEBUG","message":"fine"}}
        {"type":"LOG","log":{"level":"WARN","message":"trouble of another crate"}}
        "#);
    }

    #[test]
    fn levels_have_airbyte_names() {
        assert_eq!(parse_level(""), Some(Level::INFO));
        assert_eq!(parse_level("fatal"), Some(Level::ERROR));
        assert_eq!(parse_level("Debug"), Some(Level::DEBUG));
        assert_eq!(parse_level("loud"), None);
    }
}
