//! The command line, driven as a person would.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on must fail"
)]

mod harness;
mod people;
mod resume;
mod watched;
mod wrong_use;
