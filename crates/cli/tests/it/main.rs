//! The command line, driven as a person would.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on must fail")]

mod wrong_use;
