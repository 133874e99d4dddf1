//! The page on the simulator, `docs/simulator.md`.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Client, SimOptions};
use crate::{Action, Fault};

fn page() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/simulator.md");
    std::fs::read_to_string(path).unwrap()
}

/// The faults of the page, one per line of its JSON blocks.
fn faults(page: &str) -> Vec<Value> {
    let blocks = page.split("```json\n").skip(1);
    let lines = blocks.flat_map(|block| block.split("```").next().unwrap().lines());
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn each_kind_of_fault_has_an_example() {
    let shown: BTreeSet<String> = faults(&page())
        .into_iter()
        .map(|fault| {
            let kind = fault["do"].as_object().unwrap().keys().next().unwrap();
            let kind = kind.clone();
            serde_json::from_value::<Fault>(fault).unwrap();
            kind
        })
        .collect();
    // serde lists all kinds when it meets an unknown one.
    let error = serde_json::from_str::<Action>(r#"{"?":{}}"#).unwrap_err();
    let error = error.to_string();
    let kinds = error.split('`').skip(3).step_by(2).map(str::to_owned);
    assert_eq!(shown, kinds.collect());
}

#[tokio::test]
async fn the_requests_of_the_inspection_api_exist() {
    let client = Client::start(SimOptions::default()).await;
    let page = page();
    let table = page.split("## Inspect it").nth(1).unwrap();
    let requests = table
        .lines()
        .take_while(|line| !line.starts_with("```"))
        .filter(|line| line.starts_with("| `"))
        .flat_map(|line| {
            line.split('|')
                .nth(1)
                .unwrap()
                .split('`')
                .skip(1)
                .step_by(2)
        })
        .filter_map(|request| request.split_once(' '));
    let mut count = 0;
    for (method, path) in requests.filter(|(method, _)| *method == "GET") {
        let path = path
            .replace("{object}", "Contact")
            .replace("{field}", "Email")
            .replace("offset=&limit=", "offset=0&limit=1");
        let url = format!("{}{path}", client.sim.url());
        let method = method.parse().unwrap();
        let response = client.http.request(method, url).send().await.unwrap();
        assert!(response.status().is_success(), "{path}");
        count += 1;
    }
    assert_eq!(count, 9);
}
