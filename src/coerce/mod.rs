//! Source RecordBatches -> cells, by DataFusion expressions.
