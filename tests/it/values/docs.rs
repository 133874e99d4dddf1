//! The tables of `docs/values.md`.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use testkit::values::{self, Case, SettingsText, Source};

/// Where the table of a type begins and ends in the page.
fn marks(literal: &str) -> (String, String) {
    (
        format!("<!-- cases of {literal}, made from tests/data/values.json -->\n"),
        format!("<!-- end of {literal} -->\n"),
    )
}

/// `UPDATE_DOCS=1` writes the tables anew.
#[test]
fn the_page_has_the_cases_of_the_file() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/values.md");
    let page = fs::read_to_string(&path).unwrap();
    let cases = values::read();
    let mut expected = page.clone();
    let mut literals: Vec<&str> = values::FIELDS.iter().map(|field| field.literal).collect();
    literals.dedup();
    literals.sort_unstable();
    literals.dedup();
    for literal in literals {
        let (begin, end) = marks(literal);
        let from = expected.find(&begin).map(|at| at + begin.len());
        let to = expected.find(&end);
        let (Some(from), Some(to)) = (from, to) else {
            panic!("docs/values.md has no marks for {literal}: {begin}{end}");
        };
        let own = cases.iter().filter(|case| case.kind().literal == literal);
        expected.replace_range(from..to, &table(own));
    }
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, &expected).unwrap();
        return;
    }
    assert!(
        page == expected,
        "docs/values.md is not what tests/data/values.json says; UPDATE_DOCS=1 writes it anew"
    );
}

fn table<'a>(cases: impl Iterator<Item = &'a Case>) -> String {
    let mut table =
        "| field | source | value | settings | cell |\n|---|---|---|---|---|\n".to_owned();
    for case in cases {
        let (field, source) = (&case.field, source(&case.source));
        let (settings, cell) = (settings(&case.settings), cell(case));
        writeln!(
            table,
            "| {field} | {source} | {} | {settings} | {cell} |",
            value(case)
        )
        .unwrap();
    }
    table
}

fn source(source: &Source) -> String {
    match source {
        Source::Json(declared) => format!("JSON, {declared}"),
        Source::Arrow(kind) => code(kind),
    }
}

fn value(case: &Case) -> String {
    match (&case.value, &case.expect.config) {
        (Some(value), _) => code(value.get()),
        (None, Some(_)) => "any".to_owned(),
        (None, None) => "no such key".to_owned(),
    }
}

fn settings(settings: &SettingsText) -> String {
    let settings = settings
        .iter()
        .map(|(key, value)| code(&format!("{key}: {value}")));
    settings.collect::<Vec<_>>().join(", ")
}

fn cell(case: &Case) -> String {
    let expect = &case.expect;
    match (&expect.cell, &expect.reject, &expect.config) {
        (Some(Some(cell)), _, _) if expect.is_refused() => {
            format!("{}, which Salesforce refuses", code(cell))
        }
        (Some(None), _, _) if expect.is_refused() => "empty, which Salesforce refuses".to_owned(),
        (Some(Some(cell)), _, _) => code(cell),
        (Some(None), _, _) => "empty".to_owned(),
        (_, Some(reject), _) => format!("rejected: {reject}"),
        (_, _, Some(config)) => format!("config error: {config}"),
        _ => panic!("{case} expects nothing"),
    }
}

/// As code in a table: long texts cut; bars, what a line cannot hold and wide blanks escaped.
fn code(text: &str) -> String {
    let escaped = shortened(text)
        .replace('|', "\\|")
        .replace('\n', "\\n")
        .replace('\t', "\\t")
        .replace('\u{a0}', "\\u00a0")
        .replace('\u{3000}', "\\u3000");
    format!("`{escaped}`")
}

fn shortened(text: &str) -> String {
    let count = text.chars().count();
    if count <= 70 {
        return text.to_owned();
    }
    let head: String = text.chars().take(12).collect();
    format!("{head}… ({count} characters)")
}
