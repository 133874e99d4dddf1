//! The data path of one core, step by step, on the generator's contact, narrow and wide records:
//! decode, coerce, sizes, CSV, merge, settle and the writing of rejected records.
//!
//! ```sh
//! cargo bench --profile dist                   # everything; the unit is records
//! cargo bench --profile dist -- contacts/decode
//! ```

#![allow(missing_docs, reason = "criterion's macros make undocumented items")]
#![allow(clippy::unwrap_used, reason = "a bench that cannot go on must fail")]

#[path = "data_path/ends.rs"]
mod ends;
#[path = "data_path/input.rs"]
mod input;
#[path = "data_path/steps.rs"]
mod steps;

#[path = "../examples/shared/describe.rs"]
mod describe;
#[allow(dead_code, reason = "only the generator is used")]
#[path = "../examples/shared/records.rs"]
mod records;

use criterion::{criterion_group, criterion_main};

/// As in the binary.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

criterion_group!(
    benches,
    steps::steps,
    ends::merge,
    ends::rejects,
    ends::settle
);
criterion_main!(benches);
