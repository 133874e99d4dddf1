//! The house rules that no compiler holds: which layer imports which, which licences come in, and
//! which crates may appear only once.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// Modules of the library and their layer; a module imports lower layers only.
const LAYERS: &[(&str, u8)] = &[
    ("error", 0),
    ("options", 0),
    ("rows", 0),
    ("source", 0),
    ("telemetry", 0),
    ("object", 1),
    ("decode", 2),
    ("coerce", 2),
    ("chunk", 2),
    ("bulk", 3),
    ("reject", 3),
    ("load", 4),
    ("airbyte", 5),
    ("cli", 5),
    ("main", 5),
];

/// Imports within one layer, all others being forbidden.
const NEIGHBOURS: &[(&str, &str)] = &[("options", "error"), ("chunk", "coerce"), ("main", "cli")];

/// Crates that do input and output, and the modules that may name them.
const IO_CRATES: &[(&str, &[&str])] = &[
    ("reqwest", &["bulk"]),
    (
        "tokio",
        &["bulk", "reject", "load", "airbyte", "main", "cli", "sim"],
    ),
    (
        "object_store",
        &["reject", "load", "airbyte", "main", "cli"],
    ),
];

#[test]
fn layers_import_lower_layers_only() {
    let mut wrong = Vec::new();
    for source in sources() {
        let Some(layer) = layer(&source.module) else {
            assert_eq!(
                source.module, "sim",
                "give {:?} a layer in LAYERS",
                source.path
            );
            continue;
        };
        for import in source.imports() {
            let lower = self::layer(&import).is_some_and(|other| other < layer);
            let neighbour = NEIGHBOURS.contains(&(source.module.as_str(), import.as_str()));
            if import != source.module && !lower && !neighbour {
                wrong.push(format!("{} imports {import}", source.path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_simulator_stands_alone() {
    for source in sources().iter().filter(|source| source.module == "sim") {
        let imports: Vec<String> = source
            .imports()
            .into_iter()
            .filter(|i| i != "sim")
            .collect();
        assert!(imports.is_empty(), "{:?} imports {imports:?}", source.path);
    }
}

#[test]
fn input_and_output_stay_in_their_layers() {
    let mut wrong = Vec::new();
    for source in sources() {
        for (name, modules) in IO_CRATES {
            if !modules.contains(&source.module.as_str()) && source.names_crate(name) {
                wrong.push(format!("{} names {name}", source.path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_scan_sees_every_form_of_import() {
    let source = Source {
        path: PathBuf::from("src/coerce/rules.rs"),
        module: "coerce".into(),
        depth: 2,
        code: "use crate::{\n    bulk::{Client, Job},\n    error::Result,\n};\n\
               use crate::load;\nfn f() { crate::reject::open(); super::super::chunk::f() }\n\
               use super::literal;"
            .into(),
    };
    let imports: Vec<String> = source.imports().into_iter().collect();
    assert_eq!(imports, ["bulk", "chunk", "error", "load", "reject"]);
    assert_eq!(
        code_only("use a; // crate::bulk\n#[cfg(test)]\nmod tests {\nuse crate::sim;\n}\n"),
        "use a; \n"
    );
}

fn layer(module: &str) -> Option<u8> {
    LAYERS
        .iter()
        .find(|(name, _)| *name == module)
        .map(|(_, layer)| *layer)
}

/// One file of `src`, without its comments and tests.
struct Source {
    path: PathBuf,
    /// Module of the crate's root that it belongs to.
    module: String,
    /// Modules between the crate's root and the file, itself included.
    depth: usize,
    code: String,
}

impl Source {
    /// Root modules that the file names by `crate::` or by enough of `super::`.
    fn imports(&self) -> BTreeSet<String> {
        let root = "super::".repeat(self.depth);
        let mut found = BTreeSet::new();
        for path in ["crate::", root.as_str()] {
            for (at, _) in self.code.match_indices(path) {
                let before = self.code[..at].chars().next_back();
                if before.is_some_and(|c| is_name(c) || c == ':') {
                    continue;
                }
                found.extend(heads(&self.code[at + path.len()..]));
            }
        }
        found.retain(|name| layer(name).is_some() || name == "sim");
        found
    }

    fn names_crate(&self, name: &str) -> bool {
        self.code.match_indices(name).any(|(at, _)| {
            let before = self.code[..at].chars().next_back();
            let after = self.code[at + name.len()..].chars().next();
            !before.is_some_and(|c| is_name(c) || c == '.' || c == ':')
                && after.is_some_and(|c| c == ':' || c == ';')
        })
    }
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// First names of a path: one, or those at the top of a `{…}` group.
fn heads(path: &str) -> Vec<String> {
    let Some(group) = path.strip_prefix('{') else {
        return vec![path.chars().take_while(|c| is_name(*c)).collect()];
    };
    let (mut heads, mut depth, mut head) = (Vec::new(), 0_u32, true);
    let mut name = String::new();
    for c in group.chars() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                heads.push(std::mem::take(&mut name));
                head = true;
                continue;
            }
            _ => {}
        }
        if head && is_name(c) {
            name.push(c);
        } else if !c.is_whitespace() {
            head = false;
        }
    }
    heads.push(name);
    heads
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    rust_files(&root, &mut files);
    assert!(files.len() > 20, "the scan found {} files", files.len());
    files
        .into_iter()
        .filter_map(|path| {
            let inside = path.strip_prefix(&root).unwrap().with_extension("");
            let mut names: Vec<&str> = inside.iter().map(|name| name.to_str().unwrap()).collect();
            if names.len() > 1 && *names.last().unwrap() == "mod" {
                names.pop();
            }
            let tests = names.iter().any(|name| ["tests", "testing"].contains(name));
            (names != ["lib"] && !tests).then(|| Source {
                module: names[0].to_owned(),
                depth: names.len(),
                code: code_only(&fs::read_to_string(&path).unwrap()),
                path: Path::new("src").join(path.strip_prefix(&root).unwrap()),
            })
        })
        .collect()
}

fn rust_files(directory: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// Takes out comments, and the test module at the end of a file.
fn code_only(text: &str) -> String {
    let end = text
        .find("\n#[cfg(test)]\nmod tests")
        .map_or(text.len(), |at| at + 1);
    let lines = text[..end]
        .lines()
        .map(|line| line.split("//").next().unwrap_or_default());
    lines.flat_map(|line| [line, "\n"]).collect()
}

#[test]
fn licences_are_allowed() {
    let allowed = allowed_licences();
    assert!(allowed.contains("Apache-2.0"), "{allowed:?}");
    let metadata = metadata();
    let packages = metadata["packages"].as_array().unwrap();
    assert!(packages.len() > 100, "{} packages", packages.len());
    let wrong: Vec<String> = packages
        .iter()
        .filter(|package| {
            let licence = package["license"].as_str().unwrap_or_default();
            !is_allowed(licence, &allowed)
        })
        .map(|package| format!("{} {}", package["name"], package["license"]))
        .collect();
    assert!(
        wrong.is_empty(),
        "not allowed by deny.toml:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn licence_expressions_are_understood() {
    let allowed = ["MIT", "ISC"].map(str::to_owned).into();
    let holds = |expression| is_allowed(expression, &allowed);
    assert!(holds("MIT"));
    assert!(holds("Unlicense/MIT"));
    assert!(holds("GPL-3.0 OR MIT AND ISC"));
    assert!(holds("Apache-2.0 WITH LLVM-exception OR MIT"));
    assert!(holds("(GPL-3.0) OR MIT"));
    assert!(!holds("MIT AND GPL-3.0"));
    assert!(!holds("(GPL-3.0 OR MIT) AND GPL-3.0"));
    assert!(!holds("MIT WITH Some-exception"));
    assert!(!holds(""));
}

#[test]
fn shared_crates_appear_once() {
    const SHARED: &[&str] = &["arrow", "datafusion", "parquet"];
    const ALONE: &[&str] = &["hyper", "object_store", "reqwest", "rustls", "tokio"];
    let mut versions: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (name, version) in normal_dependencies(&metadata()) {
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

/// Name and version of what the package needs when it is built for use.
fn normal_dependencies(metadata: &Value) -> BTreeSet<(String, String)> {
    let nodes: BTreeMap<&str, &Value> = metadata["resolve"]["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|node| (node["id"].as_str().unwrap(), node))
        .collect();
    let mut waiting = vec![metadata["resolve"]["root"].as_str().unwrap()];
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
    let packages = metadata["packages"].as_array().unwrap().iter();
    packages
        .filter(|package| seen.contains(package["id"].as_str().unwrap()))
        .map(|package| {
            let text = |key: &str| package[key].as_str().unwrap().to_owned();
            (text("name"), text("version"))
        })
        .collect()
}

/// What Cargo.lock resolves to on this platform: other platforms' packages may not be on this
/// machine, and the test must not ask the network.
fn metadata() -> Value {
    let rustc = std::process::Command::new("rustc")
        .arg("-vV")
        .output()
        .unwrap();
    let version = String::from_utf8(rustc.stdout).unwrap();
    let host = version
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .unwrap();
    let output = std::process::Command::new(env!("CARGO"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["metadata", "--format-version", "1", "--locked", "--offline"])
        .args(["--filter-platform", host])
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// `licenses.allow` of deny.toml.
fn allowed_licences() -> BTreeSet<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deny.toml");
    let text = fs::read_to_string(path).unwrap();
    let section = text.split_once("[licenses]").unwrap().1;
    let list = section.split_once("allow = [").unwrap().1;
    let list = list.split_once(']').unwrap().0;
    list.split('"')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

/// Whether an SPDX expression can be met by allowed licences alone. `/` is an old way to say OR.
fn is_allowed(expression: &str, allowed: &BTreeSet<String>) -> bool {
    let spaced = expression
        .replace('(', " ( ")
        .replace(')', " ) ")
        .replace('/', " OR ");
    let mut tokens = spaced.split_whitespace().peekable();
    let holds = either(&mut tokens, allowed);
    holds && tokens.next().is_none()
}

type Tokens<'a> = std::iter::Peekable<std::str::SplitWhitespace<'a>>;

fn either(tokens: &mut Tokens<'_>, allowed: &BTreeSet<String>) -> bool {
    let mut holds = both(tokens, allowed);
    while tokens.next_if_eq(&"OR").is_some() {
        holds |= both(tokens, allowed);
    }
    holds
}

fn both(tokens: &mut Tokens<'_>, allowed: &BTreeSet<String>) -> bool {
    let mut holds = one(tokens, allowed);
    while tokens.next_if_eq(&"AND").is_some() {
        holds &= one(tokens, allowed);
    }
    holds
}

fn one(tokens: &mut Tokens<'_>, allowed: &BTreeSet<String>) -> bool {
    match tokens.next() {
        Some("(") => {
            let holds = either(tokens, allowed);
            let closed = tokens.next() == Some(")");
            holds && closed
        }
        Some(name) => {
            let exception = tokens.next_if_eq(&"WITH").and_then(|_| tokens.next());
            let full = exception.map_or_else(|| name.to_owned(), |e| format!("{name} WITH {e}"));
            allowed.contains(&full)
        }
        None => false,
    }
}

#[test]
fn the_image_is_named_as_its_metadata() {
    let read = |name: &str| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        fs::read_to_string(root.join(name)).unwrap()
    };
    let (dockerfile, metadata) = (read("Dockerfile"), read("metadata.yaml"));
    let after = |text: &str, key: &str| {
        let value = text.split_once(key).unwrap().1.lines().next();
        value.unwrap().trim().to_owned()
    };
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(after(&metadata, "dockerImageTag:"), version);
    assert_eq!(after(&dockerfile, "LABEL io.airbyte.version="), version);
    assert_eq!(
        after(&dockerfile, "LABEL io.airbyte.name="),
        after(&metadata, "dockerRepository:")
    );
    assert_eq!(
        after(&dockerfile, "ENTRYPOINT ["),
        format!("{:?}]", after(&dockerfile, "AIRBYTE_ENTRYPOINT="))
    );
}
