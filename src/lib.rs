//! A columnar loader on Apache Arrow and DataFusion that writes into Salesforce with Bulk API 2.0.

pub mod bulk;
pub mod chunk;
pub mod coerce;
pub mod decode;
pub mod error;
pub mod load;
pub mod object;
pub mod reject;
pub mod settings;

#[cfg(feature = "airbyte")]
pub mod airbyte;
#[cfg(feature = "sim")]
pub mod sim;

pub use arrow;
pub use error::{Error, ErrorKind, Result};
pub use object_store;
