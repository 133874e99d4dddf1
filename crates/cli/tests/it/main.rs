//! The command line, driven as a person would.

mod people;
