//! What the tests of the binary need beside the kit of all tests: configs, catalogs, lines to feed
//! it, and its messages.

pub(crate) mod lines;
pub(crate) mod process;
pub(crate) mod receipts;

use futures::{StreamExt as _, stream};

/// Runs cases that wait most of their time, a few at once.
pub(crate) async fn few_at_once(cases: impl IntoIterator<Item = impl Future<Output = ()>>) {
    let cases = stream::iter(cases).buffer_unordered(4);
    cases.collect::<Vec<()>>().await;
}
