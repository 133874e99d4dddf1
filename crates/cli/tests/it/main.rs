//! The command line, driven as a person would.

mod harness;
mod people;
mod resume;
mod wrong_use;
