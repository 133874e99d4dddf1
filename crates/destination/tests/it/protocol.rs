//! The protocol by cases: each file of `tests/data/protocol/cases` is one run of the binary, with
//! what it is given and what must come of it. Its README says how to write one.

mod case;
mod coverage;
mod matching;
mod run;
mod spec;

use std::fmt::Write as _;

use futures::StreamExt as _;

use case::Case;

/// Cases that run at once: most of their time they wait for jobs.
const AT_ONCE: usize = 8;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_case_of_the_protocol() {
    let wanted = std::env::var("PROTOCOL_CASE").unwrap_or_default();
    let cases = Case::all().into_iter();
    let cases = cases.filter(|case| case.name.contains(&wanted));
    let runs = cases.map(|case| async move {
        let name = case.name.clone();
        let ended = tokio::spawn(run::differences(case)).await;
        let differences = ended.unwrap_or_else(|error| vec![format!("it broke: {error}")]);
        (name, differences)
    });
    let mut report = String::new();
    let mut runs = futures::stream::iter(runs).buffered(AT_ONCE);
    while let Some((name, differences)) = runs.next().await {
        if !differences.is_empty() {
            let list = differences.join("\n").replace('\n', "\n    ");
            write!(report, "\n{name}.json\n    {list}\n").unwrap();
        }
    }
    assert!(report.is_empty(), "{report}");
}
