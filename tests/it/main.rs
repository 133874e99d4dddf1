//! The library as a whole: against a simulated org over real HTTP, what a load did asked from the org,
//! never from the loader. And the rules of the house.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on must fail"
)]

mod family;
mod house;
mod keys;
mod library;
mod lookups;
mod query;
mod receipts;
mod repeated;
mod small;
mod values;
