//! The Airbyte destination: `spec`, `check`, `discover` and `write`, spoken in Airbyte messages on stdout.
//!
//! This is a face of the engine: it reads settings and records, feeds the engine, and prints the
//! states that have become durable. [`protocol`] is what comes and goes in messages, [`config`] the
//! settings, `commands` what the platform may ask, and `input` the way of records from stdin to the
//! engine.

mod commands;
pub mod config;
#[doc(hidden)]
pub mod doors;
mod failure;
mod input;
mod log;
mod platform;
pub mod protocol;

pub use commands::{Command, LedgerTask, run};
