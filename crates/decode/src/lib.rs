//! Lines of JSON -> source batches of [`arrow_salesforce`], with the exact digits of their values.
//!
//! JSON has no types worth trusting, so every column holds the exact text of its values; what the
//! schema declares stands in the field's metadata
//! ([`DECLARED_TYPE`](arrow_salesforce::source::DECLARED_TYPE)), and a load's coercion judges the
//! text. Nothing of a line is lost: one that cannot be decoded is a row with its text and the
//! reason, which the load rejects.
//!
//! ```
//! use arrow_salesforce::arrow::array::AsArray;
//! use arrow_salesforce_decode::{LineSplitter, RowDecoder, SourceSchema};
//!
//! let schema = r#"{"properties": {"LastName": {"type": "string"}, "Size__c": {"type": "number"}}}"#;
//! let schema = SourceSchema::from_json_schema(schema)?;
//! let mut decoder = RowDecoder::new(&schema);
//! let mut lines = LineSplitter::default();
//! lines.push(b"{\"LastName\":\"Ng\",\"Size__c\":1.10}\n");
//! while let Some(line) = lines.next_line() {
//!     decoder.line(line);
//! }
//! let batch = decoder.flush().expect("a row waits");
//! assert_eq!(batch.column(1).as_string::<i32>().value(0), "1.10");
//! # Ok::<(), arrow_salesforce_decode::SchemaError>(())
//! ```

mod cells;
mod cursor;
mod decoder;
mod keys;
mod lines;
mod rows;
mod schema;
mod undecodable;
mod value;

pub use cells::Cells;
pub use cursor::{Cursor, Syntax};
pub use decoder::RowDecoder;
pub use lines::{LineSplitter, MAX_RECORD_BYTES};
pub use schema::{Dialect, SchemaError, SourceSchema};
pub use undecodable::Undecodable;
pub use value::Value;

#[cfg(test)]
mod tests;
