//! Bytes -> source RecordBatches.
