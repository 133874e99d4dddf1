//! Tests of the whole: the built binary over pipes, and the library, against a simulated org over
//! real HTTP and an S3 server that checks signatures. What a load did is asked from the org and
//! the bucket, never from the loader.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on must fail"
)]

mod durability;
mod errors;
mod faults;
mod flow;
mod harness;
mod house;
mod kills;
mod library;
mod memory;
mod protocol;
mod rejects;
mod states;
