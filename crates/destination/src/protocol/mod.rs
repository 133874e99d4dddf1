//! The Airbyte protocol: messages that come and go, and the catalog that says what to make of them.

pub(crate) mod catalog;
mod decode;
pub(crate) mod message;
pub(crate) mod output;
mod state;
mod status;

pub(crate) use decode::Scan;
pub use decode::{CatalogError, Line, MessageDecoder, MessageType, StreamSchema};
pub(crate) use message::StreamDescriptor;
pub(crate) use state::{Scope, State, Statistics};
pub(crate) use status::StreamStatus;
