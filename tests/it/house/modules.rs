//! The modules of a crate, found as the compiler finds them: from `mod` to `mod`.

use std::fs;
use std::path::{Path, PathBuf};

use super::tokens::{Token, group_length, tokens};

/// One module, without its tests.
#[derive(Debug)]
pub(super) struct Module {
    /// Names from the root of the crate, which has none.
    pub(super) path: Vec<String>,
    pub(super) file: PathBuf,
    /// Whether it was declared `pub`.
    pub(super) public: bool,
    /// Its tokens, without those of modules inside.
    pub(super) tokens: Vec<Token>,
}

/// All modules of the crate whose `lib.rs` is in `folder`.
pub(super) fn read(folder: &Path) -> Vec<Module> {
    let file = folder.join("lib.rs");
    let mut modules = Vec::new();
    let text = tokens(&read_file(&file));
    add(&mut modules, Vec::new(), &file, true, &text);
    modules
}

/// Modules of sources that are in no file, each given by its path; for tests of the scans.
pub(super) fn of(sources: &[(&str, &str)]) -> Vec<Module> {
    let mut modules = Vec::new();
    for (path, source) in sources {
        let names = path.split("::").filter(|name| !name.is_empty());
        let file = PathBuf::from(format!("{}.rs", path.replace("::", "/")));
        modules.push(Module {
            path: names.map(str::to_owned).collect(),
            file,
            public: true,
            tokens: tokens(source),
        });
    }
    modules
}

fn add(modules: &mut Vec<Module>, path: Vec<String>, file: &Path, public: bool, all: &[Token]) {
    let (mut own, mut at) = (Vec::new(), 0);
    let mut inner = Vec::new();
    while at < all.len() {
        if !(all[at].is("mod") && all.get(at + 1).is_some_and(Token::is_name)) {
            own.push(all[at].clone());
            at += 1;
            continue;
        }
        let name = all[at + 1].text.clone();
        let public = at > 0 && all[at - 1].is("pub");
        own.extend_from_slice(&all[at..at + 2]);
        at += 2;
        let path = [path.clone(), vec![name.clone()]].concat();
        if all[at].is("{") {
            let length = group_length(&all[at..]);
            let body = all[at + 1..at + length - 1].to_vec();
            inner.push((path, file.to_owned(), public, body));
            at += length - 1;
            own.push(Token {
                text: ";".into(),
                spaced: false,
            });
            at += 1;
        } else {
            let file = file_of(file, &name);
            let body = tokens(&read_file(&file));
            inner.push((path, file, public, body));
        }
    }
    modules.push(Module {
        path,
        file: file.to_owned(),
        public,
        tokens: own,
    });
    for (path, file, public, body) in inner {
        add(modules, path, &file, public, &body);
    }
}

/// The file of the module `name` that `parent` declares.
fn file_of(parent: &Path, name: &str) -> PathBuf {
    let folder = match parent.file_stem().and_then(|stem| stem.to_str()) {
        Some("lib" | "main" | "mod") => parent.with_file_name(""),
        _ => parent.with_extension(""),
    };
    let flat = folder.join(format!("{name}.rs"));
    if flat.exists() {
        flat
    } else {
        folder.join(name).join("mod.rs")
    }
}

fn read_file(file: &Path) -> String {
    fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

#[test]
fn every_file_of_the_library_is_found() {
    let folder = super::root().join("src");
    let modules = read(&folder);
    assert!(
        modules.len() > 50,
        "the scan found {} modules",
        modules.len()
    );
    let names: Vec<String> = modules
        .iter()
        .map(|module| module.path.join("::"))
        .collect();
    for name in ["", "error", "load", "load::settle"] {
        assert!(
            names.iter().any(|found| found == name),
            "{name:?} is not in {names:?}"
        );
    }
    assert!(
        !names.iter().any(|name| name.ends_with("tests")),
        "{names:?}"
    );
}
