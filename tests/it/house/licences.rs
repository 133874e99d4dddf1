//! Licences of all packages that any package of the workspace is built or tested with, by the list
//! of `deny.toml`.

use std::fs;

use serde_json::Value;
use spdx::{Expression, Licensee, ParseMode};

use super::metadata::{metadata, packages};
use super::{none_of, root};

#[test]
fn licences_are_allowed() {
    let deny = fs::read_to_string(root().join("deny.toml")).unwrap();
    let allowed = allowed(&deny);
    assert!(allowed.len() > 3, "{allowed:?}");
    let metadata = metadata();
    assert!(packages(&metadata).len() > 100, "not all packages are here");
    none_of(&refused(&metadata, &allowed), "not allowed by deny.toml");
}

/// Packages whose licence `allowed` does not meet, or that have none.
fn refused(metadata: &Value, allowed: &[Licensee]) -> Vec<String> {
    let refused = packages(metadata).iter().filter(|package| {
        let licence = package["license"].as_str().unwrap_or_default();
        !is_allowed(licence, allowed)
    });
    refused
        .map(|package| format!("{} {}", package["name"], package["license"]))
        .collect()
}

/// `licenses.allow` of deny.toml, a list of texts.
fn allowed(deny: &str) -> Vec<Licensee> {
    let section = deny.split_once("[licenses]").unwrap().1;
    let list = section.split_once("allow = [").unwrap().1;
    let list = list.split_once(']').unwrap().0;
    let names = list.split('"').skip(1).step_by(2);
    names.map(|name| Licensee::parse(name).unwrap()).collect()
}

/// Whether allowed licences alone meet an SPDX expression. Old packages write `/` for OR.
fn is_allowed(expression: &str, allowed: &[Licensee]) -> bool {
    let mode = ParseMode {
        allow_slash_as_or_operator: true,
        allow_deprecated: true,
        ..ParseMode::STRICT
    };
    Expression::parse_mode(expression, mode).is_ok_and(|expression| {
        expression.evaluate(|needed| allowed.iter().any(|licence| licence.satisfies(needed)))
    })
}

#[test]
fn licence_expressions_are_evaluated() {
    let allowed = allowed("[licenses]\nallow = [\n    \"MIT\",\n    \"ISC\",\n]\nother = [\"X\"]");
    let holds = |expression| is_allowed(expression, &allowed);
    assert!(holds("MIT"));
    assert!(holds("Unlicense/MIT"));
    assert!(holds("GPL-3.0 OR MIT AND ISC"));
    assert!(holds("Apache-2.0 WITH LLVM-exception OR MIT"));
    assert!(holds("(GPL-3.0) OR MIT"));
    assert!(!holds("MIT AND GPL-3.0"));
    assert!(!holds("(GPL-3.0 OR MIT) AND GPL-3.0"));
    assert!(!holds("MIT WITH LLVM-exception"));
    assert!(!holds("nothing known"));
    assert!(!holds(""));
}

#[test]
fn a_package_without_an_allowed_licence_is_refused() {
    let metadata = serde_json::json!({"packages": [
        {"name": "good", "license": "MIT OR GPL-3.0-only"},
        {"name": "bad", "license": "GPL-3.0-only"},
        {"name": "none", "license": null},
    ]});
    let allowed = allowed("[licenses]\nallow = [\"MIT\"]");
    assert_eq!(
        refused(&metadata, &allowed),
        ["\"bad\" \"GPL-3.0-only\"", "\"none\" null"]
    );
}
