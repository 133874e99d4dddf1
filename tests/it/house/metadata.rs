//! What cargo knows of the workspace, asked without the network.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

/// What Cargo.lock resolves to on this platform: other platforms' packages may not be on this
/// machine.
pub(super) fn metadata() -> Value {
    let version = output(Command::new("rustc").arg("-vV"));
    let host = version
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .unwrap();
    let arguments = [
        "metadata",
        "--format-version",
        "1",
        "--filter-platform",
        host,
    ];
    serde_json::from_str(&cargo(&arguments)).unwrap()
}

/// What a command of cargo prints.
pub(super) fn cargo(arguments: &[&str]) -> String {
    output(
        Command::new(env!("CARGO"))
            .current_dir(super::root())
            .args(arguments)
            .args(["--locked", "--offline"]),
    )
}

fn output(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {stderr}");
    String::from_utf8(output.stdout).unwrap()
}

pub(super) fn packages(metadata: &Value) -> &Vec<Value> {
    metadata["packages"].as_array().unwrap()
}

/// The packages of the workspace, by name.
pub(super) fn members(metadata: &Value) -> BTreeMap<&str, &Value> {
    let ids = metadata["workspace_members"].as_array().unwrap();
    let members = packages(metadata)
        .iter()
        .filter(|package| ids.contains(&package["id"]));
    members
        .map(|package| (package["name"].as_str().unwrap(), package))
        .collect()
}

/// Name and version of all that the packages `from` need when they are built for use, themselves
/// included.
pub(super) fn needed(metadata: &Value, from: &[&str]) -> BTreeSet<(String, String)> {
    let nodes: BTreeMap<&str, &Value> = metadata["resolve"]["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|node| (node["id"].as_str().unwrap(), node))
        .collect();
    let members = members(metadata);
    let mut waiting: Vec<&str> = from
        .iter()
        .map(|name| members[name]["id"].as_str().unwrap())
        .collect();
    let mut seen = BTreeSet::new();
    while let Some(id) = waiting.pop() {
        if !seen.insert(id) {
            continue;
        }
        for edge in nodes[id]["deps"].as_array().unwrap() {
            let kinds = edge["dep_kinds"].as_array().unwrap();
            if kinds.iter().any(|kind| kind["kind"].is_null()) {
                waiting.push(edge["pkg"].as_str().unwrap());
            }
        }
    }
    packages(metadata)
        .iter()
        .filter(|package| seen.contains(package["id"].as_str().unwrap()))
        .map(|package| {
            let text = |key: &str| package[key].as_str().unwrap().to_owned();
            (text("name"), text("version"))
        })
        .collect()
}
