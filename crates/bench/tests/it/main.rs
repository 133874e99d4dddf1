//! The referee, judged: loaders that cheat are each caught by their check, and one that does not
//! passes.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on must fail"
)]

mod cheats;
mod loader;
mod report;
mod schema;
