//! Source RecordBatches -> cells, by DataFusion expressions.

mod reason;

pub use reason::{Reason, Stage};
