//! What the sources of a package name: the packages it depends on, all of them, and no file of
//! another package.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::metadata::{members, metadata};
use super::none_of;
use super::tokens::{Token, all_tokens};

#[test]
fn every_dependency_is_used() {
    let metadata = metadata();
    let mut wrong = Vec::new();
    for (name, package) in members(&metadata) {
        let mut named = BTreeSet::new();
        for file in rust_files(&folder(package)) {
            named.extend(crates(&all_tokens(&fs::read_to_string(file).unwrap())));
        }
        for dependency in package["dependencies"].as_array().unwrap() {
            let dependency = dependency["name"].as_str().unwrap();
            if !named.contains(&dependency.replace('-', "_")) {
                wrong.push(format!("{name}: {dependency}"));
            }
        }
    }
    none_of(&wrong, "depends on what it does not use");
}

#[test]
fn a_package_holds_the_files_it_includes() {
    let metadata = metadata();
    let mut wrong = Vec::new();
    for package in members(&metadata).into_values() {
        let folder = folder(package);
        for file in rust_files(&folder) {
            let tokens = all_tokens(&fs::read_to_string(&file).unwrap());
            wrong.extend(outside(&tokens, &file, &folder));
        }
    }
    none_of(&wrong, "includes a file of another package");
}

/// The folder of a package.
pub(super) fn folder(package: &serde_json::Value) -> PathBuf {
    let manifest = Path::new(package["manifest_path"].as_str().unwrap());
    manifest.parent().unwrap().to_owned()
}

/// The sources of the package in `folder`; other packages are in `crates`.
pub(super) fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for part in ["src", "tests", "examples", "benches"] {
        add_rust_files(&folder.join(part), &mut files);
    }
    assert!(!files.is_empty(), "{} has no sources", folder.display());
    files
}

fn add_rust_files(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            add_rust_files(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// Names that may be crates: those a path begins with, and those that `use` brings in whole.
fn crates(tokens: &[Token]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (at, token) in tokens.iter().enumerate() {
        let next = tokens.get(at + 1).map_or("", |next| &next.text);
        let before = at.checked_sub(1).map_or("", |at| &tokens[at].text);
        let begins = next == "::" && before != "::";
        let whole = before == "use" && (next == ";" || next == "as");
        if token.is_name() && (begins || whole) {
            found.insert(token.text.clone());
        }
    }
    found
}

/// Files outside of `folder` that `file` includes.
fn outside(tokens: &[Token], file: &Path, folder: &Path) -> Vec<String> {
    let inside = file.strip_prefix(folder).unwrap();
    let depth = inside.components().count() - 1;
    let mut found = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        if !["include_str", "include_bytes", "include"].contains(&token.text.as_str()) {
            continue;
        }
        let path = tokens.get(at + 3).map_or("", |token| &token.text);
        let path = path.trim_matches('"');
        let up = path.split('/').take_while(|part| *part == "..").count();
        // The library is at the top, with the other packages in its folder.
        let below = path.split('/').nth(up) == Some("crates") && up == depth;
        if up > depth || below {
            found.push(format!("{}: {path}", file.display()));
        }
    }
    found
}

#[test]
fn what_is_not_used_and_what_is_outside_is_found() {
    let tokens = all_tokens(
        "use serde; use http_body::Body as _; fn f() { a::bytes::g(); tokio::spawn(x) }
         const A: &str = include_str!(\"../data.json\");
         const B: &str = include_str!(\"../../docs/x.md\");
         const C: &str = include_str!(\"../crates/sim/org.json\");",
    );
    let crates = crates(&tokens);
    let named = ["serde", "http_body", "tokio", "bytes"].map(|name| crates.contains(name));
    assert_eq!(named, [true, true, true, false]);
    let outside = outside(&tokens, Path::new("/top/src/a.rs"), Path::new("/top"));
    assert_eq!(
        outside,
        [
            "/top/src/a.rs: ../../docs/x.md",
            "/top/src/a.rs: ../crates/sim/org.json"
        ]
    );
}
