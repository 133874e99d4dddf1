//! JSON lines to source batches.
