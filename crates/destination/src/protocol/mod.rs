//! The Airbyte protocol: what comes in messages.

mod decode;

pub use decode::{CatalogError, Line, MessageDecoder, MessageType, StreamSchema};
