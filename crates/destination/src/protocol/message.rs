//! What the destination says: Airbyte messages, one JSON object a line on stdout.

use std::error::Error as StdError;
use std::fmt;

use serde::Serialize;
use serde_json::value::RawValue;

use arrow_salesforce::error::{Error, ErrorKind};

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

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::protocol::output::{Output, testing::Buffer};

    fn line(message: &Message<'_>) -> String {
        let buffer = Buffer::default();
        let output = Output::to(buffer.clone()).unwrap();
        output.print(message).unwrap();
        buffer.text(&output)
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
}
