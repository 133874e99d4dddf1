//! The destination as a whole: the built binary over pipes, against a simulated org over real HTTP
//! and an S3 server that checks signatures. What a load did is asked from the org and the bucket,
//! never from the loader.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on must fail"
)]

mod alike;
mod bisect;
mod check;
mod contention;
mod corpus;
mod data;
mod discover;
mod durability;
mod errors;
mod faults;
mod flow;
mod grouping;
mod harness;
mod kills;
mod ledger;
mod limits;
mod memory;
mod network;
mod outcomes;
mod parents;
mod patience;
mod protocol;
mod receipts;
mod rejects;
mod results;
mod retries;
mod states;
mod stops;
mod storage;
mod storm;
mod table;

mod tokens;
mod values;
