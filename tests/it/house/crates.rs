//! The packages of the workspace: who may depend on whom, and what comes with them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::metadata::{cargo, members, metadata, needed};
use super::none_of;

const LIBRARY: &str = "arrow-salesforce";
const DESTINATION: &str = "destination-salesforce";
const COMMAND_LINE: &str = "arrow-salesforce-cli";

/// A package, the packages of the workspace it may be built with, and those it may be tested with
/// besides. The library is tested with nothing that depends on it: such a test would see two of it.
const MAY_KNOW: &[(&str, &[&str], &[&str])] = &[
    (LIBRARY, &[], &["salesforce-sim", "testkit"]),
    ("arrow-salesforce-decode", &[LIBRARY], &[]),
    (
        DESTINATION,
        &[LIBRARY, "arrow-salesforce-decode", "salesforce-sim"],
        &["testkit"],
    ),
    (
        COMMAND_LINE,
        &[LIBRARY, "arrow-salesforce-decode", DESTINATION],
        &["salesforce-sim", "testkit"],
    ),
    ("salesforce-sim", &[], &[]),
    ("salesforce-bench", &["salesforce-sim"], &[]),
    ("testkit", &["salesforce-sim"], &[]),
];

/// What a user of the library does not compile.
const NOT_IN_THE_LIBRARY: &[&str] = &[
    "axum",
    "clap",
    "s3s",
    "salesforce-sim",
    "testkit",
    "tikv-jemallocator",
    "tracing-subscriber",
];

/// What the image does not hold.
const NOT_IN_THE_IMAGE: &[&str] = &["axum", "s3s", "salesforce-sim", "testkit"];

#[test]
fn packages_know_lower_packages_only() {
    none_of(
        &forbidden(&metadata()),
        "depends on a package it may not know",
    );
}

/// The command line reads files by features of DataFusion that nobody else needs: it is built apart.
#[test]
fn every_other_package_is_a_default_member() {
    let metadata = metadata();
    let all = |key: &str| -> BTreeSet<String> {
        let ids = metadata[key].as_array().unwrap().iter();
        ids.map(|id| id.as_str().unwrap().to_owned()).collect()
    };
    let mut others = all("workspace_members");
    others.retain(|id| !id.contains("crates/cli#"));
    assert_eq!(all("workspace_default_members"), others);
    assert_eq!(all("workspace_members").len(), others.len() + 1);
}

#[test]
fn the_library_brings_no_face_and_no_test() {
    let tree = tree(&["-p", LIBRARY]);
    assert!(tree.contains("datafusion"), "{tree:?}");
    none_of(
        &present(&tree, NOT_IN_THE_LIBRARY),
        "a user of the library compiles",
    );
}

#[test]
fn the_library_has_no_default_features() {
    let metadata = metadata();
    let features = &members(&metadata)[LIBRARY]["features"];
    let default = features.get("default").cloned().unwrap_or(json!([]));
    assert_eq!(default, json!([]));
}

#[test]
fn the_image_holds_the_destination_alone() {
    let with = tree(&["-p", DESTINATION]);
    assert!(with.contains("salesforce-sim"), "{with:?}");
    let without = tree(&["-p", DESTINATION, "--no-default-features"]);
    assert!(without.contains("clap"), "{without:?}");
    none_of(&present(&without, NOT_IN_THE_IMAGE), "the image holds");
}

#[test]
fn the_command_line_brings_no_simulator() {
    let tree = tree(&["-p", COMMAND_LINE]);
    assert!(tree.contains("datafusion-sql"), "{tree:?}");
    none_of(&present(&tree, NOT_IN_THE_IMAGE), "the command line holds");
}

#[test]
fn shared_crates_appear_once() {
    const SHARED: &[&str] = &["arrow", "datafusion", "parquet"];
    const ALONE: &[&str] = &["hyper", "object_store", "reqwest", "rustls", "tokio"];
    let metadata = metadata();
    let members: Vec<&str> = members(&metadata).into_keys().collect();
    let mut versions = BTreeMap::<String, BTreeSet<String>>::new();
    for (name, version) in needed(&metadata, &members) {
        let family = SHARED.iter().any(|head| {
            let tail = name.strip_prefix(head);
            tail.is_some_and(|tail| tail.is_empty() || tail.starts_with('-'))
        });
        if family || ALONE.contains(&name.as_str()) {
            versions.entry(name).or_default().insert(version);
        }
    }
    assert!(versions.contains_key("arrow-array"), "{versions:?}");
    assert!(versions.contains_key("reqwest"), "{versions:?}");
    versions.retain(|_, versions| versions.len() > 1);
    assert!(versions.is_empty(), "doubled: {versions:?}");
}

/// Dependencies between packages of the workspace that MAY_KNOW does not have.
fn forbidden(metadata: &Value) -> Vec<String> {
    let members = members(metadata);
    let mut wrong = Vec::new();
    for (name, package) in &members {
        let Some((_, built, tested)) = MAY_KNOW.iter().find(|(known, ..)| known == name) else {
            wrong.push(format!("{name} is not in MAY_KNOW"));
            continue;
        };
        for dependency in package["dependencies"].as_array().unwrap() {
            let other = dependency["name"].as_str().unwrap();
            let test = dependency["kind"] == "dev";
            let allowed = built.contains(&other) || test && tested.contains(&other);
            // An example of a package may name the package itself.
            if members.contains_key(other) && other != *name && !allowed {
                wrong.push(format!("{name}: {other}"));
            }
        }
    }
    wrong
}

/// Names of the packages that a package of the workspace is built with for use, by its own features
/// alone.
fn tree(arguments: &[&str]) -> BTreeSet<String> {
    let all = [
        "tree", "-e", "normal", "--prefix", "none", "--format", "{p}",
    ];
    let printed = cargo(&[&all, arguments].concat());
    let names = printed.lines().filter_map(|line| line.split(' ').next());
    names.map(str::to_owned).collect()
}

fn present(tree: &BTreeSet<String>, names: &[&str]) -> Vec<String> {
    let found = names.iter().filter(|name| tree.contains(**name));
    found.map(|name| (*name).to_owned()).collect()
}

#[test]
fn a_dependency_upward_is_found() {
    let package = |name: &str, dependencies: Value| json!({"id": name, "name": name, "dependencies": dependencies});
    let on = |name: &str, kind: Value| json!({"name": name, "kind": kind});
    let metadata = json!({
        "workspace_members": [LIBRARY, "salesforce-sim", "testkit", "new-face"],
        "packages": [
            package(LIBRARY, json!([on("testkit", json!("dev")), on("salesforce-sim", json!(null))])),
            package("salesforce-sim", json!([on("serde", json!(null)), on(LIBRARY, json!("dev"))])),
            package("testkit", json!([on("salesforce-sim", json!(null))])),
            package("new-face", json!([])),
        ],
    });
    assert_eq!(
        forbidden(&metadata),
        [
            "arrow-salesforce: salesforce-sim",
            "new-face is not in MAY_KNOW",
            "salesforce-sim: arrow-salesforce",
        ]
    );
    let tree = ["axum", "serde"].map(str::to_owned).into();
    assert_eq!(present(&tree, NOT_IN_THE_LIBRARY), ["axum"]);
}
