//! Which layers a layer may know: `http`, `exports`, `jobs`, `soql`, `org`, with `faults` beside them.

use std::fs;
use std::path::Path;

/// Checks that no file below a folder of `src` names one of the layers.
fn knows_none(folder: &Path, layers: &[&str]) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            knows_none(&path, layers);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            for layer in layers {
                let name = format!("crate::{layer}");
                assert!(!text.contains(&name), "{} names {name}", path.display());
            }
        }
    }
}

#[test]
fn layers_know_those_below_alone() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    knows_none(&src.join("jobs"), &["http", "exports", "server", "cli"]);
    let above_org = [
        "http",
        "jobs",
        "soql",
        "faults",
        "options",
        "server",
        "cli",
        "SimOptions",
    ];
    knows_none(&src.join("org"), &above_org);
    let above_soql: Vec<&str> = above_org
        .iter()
        .filter(|l| **l != "soql")
        .copied()
        .collect();
    knows_none(&src.join("soql"), &above_soql);
    knows_none(&src.join("exports"), &["http", "server", "cli"]);
    let above_contention = [
        "http",
        "jobs",
        "org",
        "faults",
        "options",
        "server",
        "cli",
        "SimOptions",
    ];
    knows_none(&src.join("contention"), &above_contention);
    let above_faults = [
        "http",
        "jobs",
        "org",
        "options",
        "server",
        "cli",
        "SimOptions",
    ];
    knows_none(&src.join("faults"), &above_faults);
}
