//! What the tests of the binary need beside the kit of all tests: configs, catalogs, lines to feed
//! it, and its messages.

pub(crate) mod lines;
pub(crate) mod process;
