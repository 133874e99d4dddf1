//! Rows that did not make it.
