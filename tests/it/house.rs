//! The house rules that the compiler does not hold: which crate may know which, which layer of the
//! library imports which, which licences come in, and which items are public.

mod api;
mod circles;
mod crates;
mod image;
mod imports;
mod items;
mod layers;
mod licences;
mod metadata;
mod modules;
mod pages;
mod sources;
mod tokens;
mod words;

use std::path::Path;

/// The top of the workspace.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Fails with all that is wrong, one a line.
fn none_of(wrong: &[String], what: &str) {
    assert!(wrong.is_empty(), "{what}:\n{}", wrong.join("\n"));
}
