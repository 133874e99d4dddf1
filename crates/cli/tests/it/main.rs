//! The command line, driven as a person would.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on must fail"
)]

mod desk;
mod docs;
mod dry_run;
mod formats;
mod harness;
mod logins;
mod looks;
mod nulls;
mod people;
mod query;
mod readings;
mod rejects;
mod resume;
mod runs;
mod undo;
mod verify;
mod watched;
mod wrong_use;
