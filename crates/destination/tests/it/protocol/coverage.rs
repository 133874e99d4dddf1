//! Which rules of the protocol the cases show: none may be left out, and the docs have the table.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use serde::Deserialize;

use super::case::{self, Case};

/// A part of the protocol, with its rules.
#[derive(Debug, Deserialize)]
struct Section {
    number: u32,
    title: String,
    rules: Vec<String>,
}

const INTRODUCTION: &str = "\
# The protocol, rule by rule

Each rule of the Airbyte protocol that this destination keeps, and the cases in
`crates/destination/tests/data/protocol/cases` that show it. Where Airbyte's own connector behaves otherwise,
the rule says what this destination does; [differences.md](differences.md) has both.

This page is made by `UPDATE_DOCS=1 cargo nextest run --test it -E 'test(protocol)'`.
";

#[test]
fn every_rule_has_a_case_and_the_docs_have_the_table() {
    let rules = fs::read_to_string(case::data("rules.json")).unwrap();
    let sections: Vec<Section> = serde_json::from_str(&rules).unwrap();
    let cases = Case::all();
    let mut shown: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for case in &cases {
        for rule in &case.covers {
            shown.entry(rule.clone()).or_default().push(&case.name);
        }
    }
    let mut page = INTRODUCTION.to_owned();
    let mut without = Vec::new();
    for Section {
        number,
        title,
        rules,
    } in &sections
    {
        write!(
            page,
            "\n## {number}. {title}\n\n| rule | cases |\n|---|---|\n"
        )
        .unwrap();
        for rule in rules {
            let key = format!("{number}: {rule}");
            let cases = shown.remove(&key).unwrap_or_default();
            if cases.is_empty() {
                without.push(key);
            }
            let cases: Vec<String> = cases.iter().map(|case| format!("`{case}`")).collect();
            writeln!(page, "| {rule} | {} |", cases.join(", ")).unwrap();
        }
    }
    assert!(without.is_empty(), "rules without a case: {without:#?}");
    assert!(shown.is_empty(), "cases of unknown rules: {shown:#?}");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/protocol-coverage.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, &page).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == page,
        "docs/protocol-coverage.md is old: set UPDATE_DOCS=1 to write it"
    );
}
