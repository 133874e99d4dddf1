//! The layers of the library. Between crates the compiler holds the directions; inside of one, this.

use super::circles::Names;
use super::modules::{self, Module};
use super::none_of;

/// Modules of the library, lowest layer first; a module names modules of lower layers only.
const LAYERS: &[&[&str]] = &[
    &["error"],
    &[
        "disk", "network", "pauses", "rows", "source", "text", "waits",
    ],
    &["object", "storage"],
    &["options"],
    &["coerce", "ledger"],
    &["chunk"],
    &["bulk", "receipt", "reject"],
    &["load"],
];

/// Crates that do input and output, and the modules that may name them.
const IO_CRATES: &[(&str, &[&str])] = &[
    ("reqwest", &["bulk"]),
    ("tokio", &["bulk", "ledger", "storage", "reject", "load"]),
    (
        "object_store",
        &["ledger", "storage", "receipt", "reject", "load"],
    ),
    ("parquet", &["receipt"]),
];

/// Where the library knows Airbyte: one format of rejected records, and the names that the columns
/// of a source batch have had from the beginning.
const AIRBYTE: &[&str] = &["reject::format", "source"];

#[test]
fn a_layer_names_lower_layers_only() {
    let wrong = upward(&modules::read(&super::root().join("src")));
    none_of(&wrong, "names what is not below it");
}

#[test]
fn input_and_output_stay_in_their_layers() {
    let wrong = misplaced_io(&modules::read(&super::root().join("src")));
    none_of(&wrong, "does input and output outside of its layers");
}

#[test]
fn the_library_speaks_no_airbyte_but_in_one_format() {
    let wrong = airbyte(&modules::read(&super::root().join("src")));
    none_of(&wrong, "speaks Airbyte");
}

#[test]
fn the_library_has_no_features() {
    let wrong = features(&modules::read(&super::root().join("src")));
    none_of(&wrong, "depends on a feature");
}

fn upward(modules: &[Module]) -> Vec<String> {
    let names = Names::new(modules);
    let mut wrong = Vec::new();
    for module in modules.iter().filter(|module| !module.path.is_empty()) {
        let own = &module.path[0];
        let Some(layer) = layer(own) else {
            wrong.push(format!("{own} has no layer: give it one in LAYERS"));
            continue;
        };
        for path in super::imports::named(module) {
            let target = &names.module_of(&path).path;
            let below = target.first().is_some_and(|name| {
                name == own || self::layer(name).is_some_and(|other| other < layer)
            });
            // A crate passed on by the root, such as `arrow`, belongs to no layer.
            let passed_on = target.is_empty() && path.first().is_some_and(|name| is_crate(name));
            if !below && !passed_on {
                wrong.push(format!("{}: {}", module.file.display(), path.join("::")));
            }
        }
    }
    wrong
}

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|names| names.contains(&module))
}

fn is_crate(name: &str) -> bool {
    ["arrow", "object_store"].contains(&name)
}

fn misplaced_io(modules: &[Module]) -> Vec<String> {
    let mut wrong = Vec::new();
    for module in modules.iter().filter(|module| !module.path.is_empty()) {
        for (name, allowed) in IO_CRATES {
            let paths = module.tokens.windows(2);
            let mut heads = paths.filter(|pair| pair[1].is("::") || pair[1].is(";"));
            let named = heads.any(|pair| pair[0].is(name));
            if named && !allowed.contains(&module.path[0].as_str()) {
                wrong.push(format!("{} names {name}", module.file.display()));
            }
        }
    }
    wrong
}

fn airbyte(modules: &[Module]) -> Vec<String> {
    let mut wrong = Vec::new();
    for module in modules {
        let path = module.path.join("::");
        if AIRBYTE.iter().any(|allowed| path.starts_with(allowed)) {
            continue;
        }
        for token in &module.tokens {
            // `reject` passes on the format of this name.
            let passed_on = path == "reject" && token.is("airbyte");
            if token.text.to_lowercase().contains("airbyte") && !passed_on {
                wrong.push(format!("{}: {}", module.file.display(), token.text));
            }
        }
    }
    wrong
}

fn features(modules: &[Module]) -> Vec<String> {
    let mut wrong = Vec::new();
    for module in modules {
        if module
            .tokens
            .windows(2)
            .any(|pair| pair[0].is("feature") && pair[1].is("="))
        {
            wrong.push(module.file.display().to_string());
        }
    }
    wrong
}

#[test]
fn what_is_out_of_its_layer_is_found() {
    let modules = modules::of(&[
        (
            "",
            "mod error; mod load; mod object; pub use error::Error; pub use arrow;",
        ),
        (
            "error",
            "use crate::object::Header; #[cfg(test)] use crate::load::Loader;",
        ),
        (
            "object",
            "use crate::{Error, arrow::array}; use tokio::fs; fn f() { object_store.get() }",
        ),
        (
            "load",
            "use super::object; use crate::object::Header; const KEY: &str = \"_airbyte_meta\";",
        ),
        (
            "elsewhere",
            "#[cfg(feature = \"sim\")] use reqwest::Client;",
        ),
    ]);
    assert_eq!(
        upward(&modules),
        [
            "error.rs: object::Header",
            "elsewhere has no layer: give it one in LAYERS"
        ]
    );
    assert_eq!(
        misplaced_io(&modules),
        ["object.rs names tokio", "elsewhere.rs names reqwest"]
    );
    assert_eq!(airbyte(&modules), ["load.rs: \"_airbyte_meta\""]);
    assert_eq!(features(&modules), ["elsewhere.rs"]);
}
