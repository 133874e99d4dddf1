//! What the pages name exists: files, folders and modules of tests move, and pages do not notice.

use std::fs;
use std::path::{Path, PathBuf};

use super::{none_of, root};

/// What a path of the workspace begins with.
const FOLDERS: &[&str] = &[
    "benches/",
    "crates/",
    "docs/",
    "examples/",
    "src/",
    "tests/",
];

#[test]
fn what_pages_name_exists() {
    let pages = pages();
    assert!(pages.len() > 8, "{pages:?}");
    let mut wrong = Vec::new();
    for page in pages {
        let text = fs::read_to_string(&page).unwrap();
        let missing = missing(&text, page.parent().unwrap());
        wrong.extend(
            missing
                .into_iter()
                .map(|name| format!("{}: {name}", page.display())),
        );
    }
    none_of(&wrong, "does not exist");
}

#[test]
fn tests_that_show_a_difference_exist() {
    let text = fs::read_to_string(root().join("docs/differences.md")).unwrap();
    let modules = shown_by(&text);
    assert!(modules.len() > 20, "{modules:?}");
    let exists = |module: &String| {
        ["crates/destination/tests/it", "tests/it"]
            .iter()
            .any(|folder| root().join(folder).join(format!("{module}.rs")).exists())
    };
    let wrong: Vec<String> = modules
        .into_iter()
        .filter(|module| !exists(module))
        .collect();
    none_of(&wrong, "docs/differences.md names tests that do not exist");
}

/// The pages at the top and in `docs`.
fn pages() -> Vec<PathBuf> {
    let folders = [root().to_owned(), root().join("docs")];
    let files = folders
        .iter()
        .flat_map(|folder| fs::read_dir(folder).unwrap());
    let mut pages: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
    pages.retain(|page| page.extension().is_some_and(|extension| extension == "md"));
    pages
}

/// Paths and links of a page in `folder` that lead nowhere.
fn missing(text: &str, folder: &Path) -> Vec<String> {
    let mut missing = Vec::new();
    for name in text.split('`').skip(1).step_by(2) {
        let path = FOLDERS.iter().any(|folder| name.starts_with(folder));
        let plain = !name.contains(|c: char| c.is_whitespace() || "*{<".contains(c));
        // The generated page of the protocol names its cases from the folder of their package.
        let exists = || {
            let packages = [root().to_owned(), root().join("crates/destination")];
            packages.iter().any(|package| package.join(name).exists())
        };
        if path && plain && !exists() {
            missing.push(name.to_owned());
        }
    }
    for link in text.split("](").skip(1) {
        let link = link.split([')', '#']).next().unwrap_or_default();
        let away = link.is_empty() || link.contains(':');
        if !away && !folder.join(link).exists() {
            missing.push(link.to_owned());
        }
    }
    missing
}

/// Modules of tests in the last column of the table of differences.
fn shown_by(text: &str) -> Vec<String> {
    let rows = text.lines().filter(|line| line.starts_with('|')).skip(2);
    let cells = rows.filter_map(|row| row.trim_end_matches('|').rsplit(" | ").next());
    let names = cells.flat_map(|cell| cell.split('`').skip(1).step_by(2));
    let modules = names.filter(|name| name.chars().all(|c| c.is_ascii_lowercase() || c == '_'));
    modules.map(str::to_owned).collect()
}

#[test]
fn what_leads_nowhere_is_found() {
    let text = "`src/lib.rs` and `src/gone.rs`, `tests/it`, `crates/*/src`; [a](docs/airbyte.md#x),
        [b](gone.md), [c](https://example.com/gone.md), [d](#here)";
    assert_eq!(missing(text, root()), ["src/gone.rs", "gone.md"]);
    let table = "| # | it | shown by |\n|---|---|---|\n| 1 | `never` | `faults`, `src/a.rs` |\n";
    assert_eq!(shown_by(table), ["faults"]);
}
