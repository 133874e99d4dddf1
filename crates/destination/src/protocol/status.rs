//! Stream statuses: how the source says that a stream has ended.

use serde::Deserialize;

use super::StreamDescriptor;

/// The part of a TRACE message that ends streams.
#[derive(Debug, Deserialize)]
pub(crate) struct StreamStatus {
    /// The stream it is about.
    pub(crate) stream_descriptor: StreamDescriptor,
    /// `STARTED`, `RUNNING`, `COMPLETE` or `INCOMPLETE`.
    pub(crate) status: String,
}

impl StreamStatus {
    /// The status in a TRACE message; none in one of another kind.
    pub(crate) fn read(line: &[u8]) -> Option<Self> {
        #[derive(Deserialize)]
        struct Message {
            trace: Trace,
        }
        #[derive(Deserialize)]
        struct Trace {
            r#type: Option<String>,
            stream_status: Option<StreamStatus>,
        }
        let trace = serde_json::from_slice::<Message>(line).ok()?.trace;
        match trace.r#type.as_deref() {
            None | Some("STREAM_STATUS") => trace.stream_status,
            Some(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_needs_no_type() {
        let status = StreamStatus::read(
            br#"{"trace":{"stream_status":{"stream_descriptor":{"name":"a"},"status":"COMPLETE"}}}"#,
        );
        assert_eq!(status.unwrap().status, "COMPLETE");
    }
}
