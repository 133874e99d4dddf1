//! What the destination says: Airbyte messages, one JSON object a line on stdout.

use std::error::Error as StdError;
use std::fmt;
use std::io::{self, Write};

use parking_lot::Mutex;
use serde::Serialize;
use serde_json::value::RawValue;

use arrow_salesforce::error::{Error, ErrorKind, Result};

/// A stream as Airbyte names it. A namespace of null and an absent one are the same.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, serde::Deserialize)]
pub(crate) struct StreamDescriptor {
    pub(crate) name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) namespace: Option<String>,
}

impl fmt::Display for StreamDescriptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{namespace}.{}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

/// A message of this destination.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum Message<'a> {
    Spec {
        spec: &'a RawValue,
    },
    ConnectionStatus {
        #[serde(rename = "connectionStatus")]
        connection_status: ConnectionStatus,
    },
    DestinationCatalog {
        destination_catalog: DestinationCatalog,
    },
    State {
        state: &'a RawValue,
    },
    Log {
        log: Log<'a>,
    },
    Trace {
        trace: Trace,
    },
    Control {
        control: Control<'a>,
    },
}

/// What the platform is asked to do.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum Control<'a> {
    /// Keep this config from now on.
    ConnectorConfig {
        emitted_at: f64,
        #[serde(rename = "connectorConfig")]
        connector_config: ConnectorConfig<'a>,
    },
}

/// A whole config, secrets included.
#[derive(Serialize)]
pub(crate) struct ConnectorConfig<'a> {
    config: &'a RawValue,
}

impl fmt::Debug for ConnectorConfig<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectorConfig").finish_non_exhaustive()
    }
}

/// The result of `discover`.
#[derive(Debug, Serialize)]
pub(crate) struct DestinationCatalog {
    pub(crate) operations: Vec<Box<RawValue>>,
}

/// The result of `check`.
#[derive(Debug, Serialize)]
#[serde(tag = "status", rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum ConnectionStatus {
    Succeeded,
    Failed { message: String },
}

/// A line of the log.
#[derive(Debug, Serialize)]
pub(crate) struct Log<'a> {
    pub(crate) level: &'static str,
    pub(crate) message: &'a str,
}

/// The trace of an error: what failed a sync, for its user.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum Trace {
    Error { emitted_at: f64, error: TraceError },
}

/// The body of an error trace.
#[derive(Debug, Serialize)]
pub(crate) struct TraceError {
    message: String,
    internal_message: String,
    failure_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream_descriptor: Option<StreamDescriptor>,
}

impl<'a> Message<'a> {
    /// The trace of `error`; `stream` is the stream that failed, where one did.
    pub(crate) fn error(error: &Error, stream: Option<StreamDescriptor>) -> Self {
        let stream_descriptor = stream.or_else(|| {
            let name = error.stream()?.to_owned();
            Some(StreamDescriptor {
                name,
                namespace: None,
            })
        });
        Self::Trace {
            trace: Trace::Error {
                emitted_at: now_ms(),
                error: TraceError {
                    message: error.to_string(),
                    internal_message: causes(error),
                    failure_type: match error.kind() {
                        ErrorKind::Config => "config_error",
                        ErrorKind::Transient => "transient_error",
                        _ => "system_error",
                    },
                    stream_descriptor,
                },
            },
        }
    }

    /// The request to keep `config` in place of the one that this process was given.
    pub(crate) fn new_config(config: &'a RawValue) -> Self {
        Self::Control {
            control: Control::ConnectorConfig {
                emitted_at: now_ms(),
                connector_config: ConnectorConfig { config },
            },
        }
    }

    /// A log line.
    pub(crate) fn log(level: &'static str, message: &'a str) -> Self {
        Self::Log {
            log: Log { level, message },
        }
    }
}

/// Milliseconds since 1970, the unit of `emitted_at`.
#[allow(
    clippy::cast_precision_loss,
    reason = "exact for the next 285,000 years"
)]
fn now_ms() -> f64 {
    chrono::Utc::now().timestamp_millis() as f64
}

/// An error and what caused it, outermost first, each said once.
fn causes(error: &Error) -> String {
    let mut texts = vec![error.to_string()];
    let mut source = error.source();
    while let Some(cause) = source {
        let text = cause.to_string();
        if texts.last() != Some(&text) {
            texts.push(text);
        }
        source = cause.source();
    }
    texts.join(": ")
}

/// The one way to stdout: a lock around a writer, so that lines of several threads never mix.
pub(crate) struct Output {
    writer: Mutex<Box<dyn Write + Send>>,
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Output").finish_non_exhaustive()
    }
}

impl Output {
    /// Writes to the process's stdout.
    pub(crate) fn stdout() -> Self {
        Self::to(io::stdout())
    }

    /// Writes to `writer`.
    pub(crate) fn to(writer: impl Write + Send + 'static) -> Self {
        Self {
            writer: Mutex::new(Box::new(writer)),
        }
    }

    /// Prints one message as one line and flushes it.
    ///
    /// # Errors
    /// A transient error if nobody reads stdout any more.
    pub(crate) fn print(&self, message: &Message<'_>) -> Result<()> {
        let mut line = serde_json::to_vec(message)
            .map_err(io::Error::other)
            .map_err(closed)?;
        line.push(b'\n');
        let mut writer = self.writer.lock();
        writer
            .write_all(&line)
            .and_then(|()| writer.flush())
            .map_err(closed)
    }
}

fn closed(error: io::Error) -> Error {
    Error::transient(
        "stdout could not be written: the platform stopped reading messages. States that were not \
         printed will be repeated by the next sync",
    )
    .with_source(error)
}

/// Writers that tests read back.
#[cfg(test)]
pub(crate) mod testing {
    use std::sync::Arc;

    use super::*;

    #[derive(Debug, Clone, Default)]
    pub(crate) struct Buffer(Arc<Mutex<Vec<u8>>>);

    impl Buffer {
        pub(crate) fn text(&self) -> String {
            String::from_utf8(self.0.lock().clone()).unwrap()
        }
    }

    impl Write for Buffer {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::testing::Buffer;
    use super::*;

    fn line(message: &Message<'_>) -> String {
        let buffer = Buffer::default();
        Output::to(buffer.clone()).print(message).unwrap();
        buffer.text()
    }

    #[test]
    fn statuses_and_logs_are_one_line_each() {
        insta::assert_snapshot!(line(&Message::ConnectionStatus {
            connection_status: ConnectionStatus::Succeeded,
        }), @r#"{"type":"CONNECTION_STATUS","connectionStatus":{"status":"SUCCEEDED"}}"#);
        insta::assert_snapshot!(line(&Message::ConnectionStatus {
            connection_status: ConnectionStatus::Failed { message: "bucket\nnot writable".into() },
        }), @r#"{"type":"CONNECTION_STATUS","connectionStatus":{"status":"FAILED","message":"bucket\nnot writable"}}"#);
        insta::assert_snapshot!(
            line(&Message::log("INFO", "hello")),
            @r#"{"type":"LOG","log":{"level":"INFO","message":"hello"}}"#
        );
    }

    #[test]
    fn a_new_config_is_a_control_message() {
        let config = RawValue::from_string(r#"{"refresh_token":"n3w"}"#.into()).unwrap();
        let message = Message::new_config(&config);
        let value: serde_json::Value = serde_json::from_str(&line(&message)).unwrap();
        assert_eq!(value["type"], "CONTROL");
        assert_eq!(value["control"]["type"], "CONNECTOR_CONFIG");
        assert!(value["control"]["emitted_at"].is_f64());
        let kept = &value["control"]["connectorConfig"]["config"];
        assert_eq!(kept["refresh_token"], "n3w");
        assert!(!format!("{message:?}").contains("n3w"));
    }

    #[test]
    fn an_error_trace_says_whose_fault_it_is() {
        let error = Error::transient("try later")
            .with_source(io::Error::other("connection reset"))
            .with_context(Error::STREAM, "contacts");
        let value: serde_json::Value =
            serde_json::from_str(&line(&Message::error(&error, None))).unwrap();
        assert!(value["trace"]["emitted_at"].is_f64());
        assert_eq!(value["type"], "TRACE");
        assert_eq!(value["trace"]["type"], "ERROR");
        insta::assert_snapshot!(value["trace"]["error"], @r#"{"failure_type":"transient_error","internal_message":"try later: connection reset","message":"try later","stream_descriptor":{"name":"contacts"}}"#);
    }

    #[test]
    fn a_closed_stdout_is_an_error() {
        struct Closed;
        impl Write for Closed {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let error = Output::to(Closed)
            .print(&Message::log("INFO", "hello"))
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Transient);
    }
}
