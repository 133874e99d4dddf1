//! The list of the library's public items, a file that a test keeps: a change of it is a change for
//! users, and goes into CHANGELOG.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use super::circles::Names;
use super::imports::{self, CratePath, Import};
use super::items::{Item, Methods, items};
use super::modules::{self, Module};

const FILE: &str = "docs/public-api.txt";

/// `UPDATE_DOCS=1` writes the list anew.
#[test]
fn the_list_of_public_items_is_up_to_date() {
    let path = super::root().join(FILE);
    let lines = list(&modules::read(&super::root().join("src")));
    assert!(lines.len() > 100, "the scan found {} items", lines.len());
    let expected = lines.join("\n") + "\n";
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, &expected).unwrap();
        return;
    }
    let listed = fs::read_to_string(&path).unwrap_or_default();
    let (listed, lines): (BTreeSet<&str>, BTreeSet<&str>) =
        (listed.lines().collect(), expected.lines().collect());
    let new = lines.difference(&listed).map(|line| format!("+ {line}"));
    let gone = listed.difference(&lines).map(|line| format!("- {line}"));
    let changed: Vec<String> = new.chain(gone).collect();
    super::none_of(
        &changed,
        "docs/public-api.txt is old; UPDATE_DOCS=1 writes it anew",
    );
}

/// What a user of the crate can name, one item a line. Implementations of traits are not listed.
fn list(modules: &[Module]) -> Vec<String> {
    let mut list = List::new(modules);
    for module in modules {
        if list.is_open(&module.path) {
            list.add_module(module, &module.path);
        }
    }
    // A name passed on by several modules is shown in the deepest, which is the nearest to it.
    let mut passed_on = std::mem::take(&mut list.passed_on);
    while !passed_on.is_empty() {
        passed_on.sort_by_key(|(shown, _)| (usize::MAX - shown.len(), shown.clone()));
        for (shown, import) in passed_on {
            list.pass_on(&shown, &import);
        }
        passed_on = std::mem::take(&mut list.passed_on);
    }
    list.add_methods();
    list.lines.sort();
    list.lines.into_iter().map(|(_, line)| line).collect()
}

struct List<'a> {
    names: Names<'a>,
    modules: BTreeMap<&'a CratePath, &'a Module>,
    contents: BTreeMap<&'a CratePath, (Vec<Item>, Vec<Methods>)>,
    /// Where an item, by where it is written, is shown.
    shown: BTreeMap<CratePath, CratePath>,
    /// `pub use` that are still to be read, each with the module that it is shown in.
    passed_on: Vec<(CratePath, Import)>,
    /// Lines, by the path they are sorted by.
    lines: Vec<(String, String)>,
}

impl<'a> List<'a> {
    fn new(modules: &'a [Module]) -> Self {
        Self {
            names: Names::new(modules),
            modules: modules.iter().map(|m| (&m.path, m)).collect(),
            contents: modules
                .iter()
                .map(|m| (&m.path, items(&m.tokens)))
                .collect(),
            shown: BTreeMap::new(),
            passed_on: Vec::new(),
            lines: Vec::new(),
        }
    }

    /// Whether a module and all around it are public.
    fn is_open(&self, path: &[String]) -> bool {
        (1..=path.len()).all(|length| self.modules[&path[..length].to_vec()].public)
    }

    fn line(&mut self, path: &[String], head: &str, tail: &str) {
        let path = path.join("::");
        self.lines
            .push((path.clone(), format!("{head} {path}{tail}")));
    }

    fn add_module(&mut self, module: &Module, shown: &CratePath) {
        self.shown.insert(module.path.clone(), shown.clone());
        if !shown.is_empty() {
            self.line(shown, "mod", "");
        }
        self.add_items(module, shown);
        for import in imports::imports(module) {
            if import.public {
                self.passed_on.push((shown.clone(), import));
            }
        }
    }

    fn add_items(&mut self, module: &Module, shown: &[String]) {
        for item in self.contents[&module.path].0.clone() {
            if item.public {
                self.add_item(&module.path, shown, &item.name.clone(), &item);
            }
        }
    }

    fn add_item(&mut self, module: &[String], shown: &[String], name: &str, item: &Item) {
        let path = join(shown, name);
        self.line(&path, &item.head, &item.tail);
        for part in &item.parts {
            // What is in a trait is as public as the trait.
            if part.public || item.head.ends_with("trait") {
                self.line(&join(&path, &part.name), &part.head, &part.tail);
            }
        }
        self.shown.insert(join(module, &item.name), path);
    }

    fn pass_on(&mut self, shown: &CratePath, import: &Import) {
        let path = join(shown, &import.name);
        if import.foreign {
            self.line(&path, "use", &format!(" = {}", import.target.join("::")));
            return;
        }
        let target = self.names.follow(&import.target);
        if let Some(other) = self.shown.get(&target).filter(|_| import.name != "*") {
            let tail = format!(" = {}", other.join("::"));
            self.line(&path, "use", &tail);
            return;
        }
        if let Some(module) = self.modules.get(&target).copied() {
            match import.name.as_str() {
                "*" => self.add_items(module, shown),
                _ => self.add_module(module, &path),
            }
            return;
        }
        let module = self.names.module_of(&target);
        let items = &self.contents[&module.path].0;
        let item = items.iter().find(|item| Some(&item.name) == target.last());
        match item.cloned() {
            Some(item) => self.add_item(&module.path, shown, &import.name, &item),
            None => self.line(&path, "use", &format!(" = {}", target.join("::"))),
        }
    }

    fn add_methods(&mut self) {
        for (module, (_, methods)) in self.contents.clone() {
            for methods in methods {
                let target = self.type_of(module, &methods.of);
                let Some(shown) = self.shown.get(&target).cloned() else {
                    continue;
                };
                for item in methods.items.iter().filter(|item| item.public) {
                    self.line(&join(&shown, &item.name), &item.head, &item.tail);
                }
            }
        }
    }

    /// Where the type is written that `module` calls `name`.
    fn type_of(&self, module: &[String], name: &[String]) -> CratePath {
        let mut path = module.to_vec();
        for name in name {
            match name.as_str() {
                "crate" => path.clear(),
                "self" => {}
                "super" => {
                    path.pop();
                }
                name => path.push(name.to_owned()),
            }
        }
        self.names.follow(&path)
    }
}

fn join(path: &[String], name: &str) -> CratePath {
    [path, &[name.to_owned()]].concat()
}

#[test]
fn what_a_user_can_name_is_listed_once() {
    let mut modules = modules::of(&[
        (
            "",
            "pub mod open; mod closed; pub use arrow; pub use open::Shown; pub use closed::*; fn private() {}",
        ),
        (
            "open",
            "mod inner; pub use inner::{Shown, deep::Renamed as Other}; pub(crate) use inner::Own; pub fn f(a: u8) {}",
        ),
        (
            "open::inner",
            "pub mod deep; pub struct Shown { pub a: u8, b: u8 } pub struct Own; pub fn unseen() {}
            impl Shown { pub fn new() -> Self { Self } pub(crate) fn own(&self) {} }
            impl Own { pub fn unseen() {} }",
        ),
        (
            "open::inner::deep",
            "use super::Shown; pub trait Renamed { fn g(&self); }
            impl Shown { pub async fn more(&mut self) -> u8 { 1 } }",
        ),
        ("closed", "#[non_exhaustive] pub enum Kind { One, Two(u8) }"),
    ]);
    for module in &mut modules {
        module.public =
            !["closed", "inner"].contains(&module.path.last().map_or("", String::as_str));
    }
    assert_eq!(
        list(&modules),
        [
            "#[non_exhaustive] enum Kind",
            "variant Kind::One",
            "variant Kind::Two(u8)",
            "use Shown = open::Shown",
            "use arrow = arrow",
            "mod open",
            "trait open::Other",
            "fn open::Other::g(&self)",
            "struct open::Shown",
            "field open::Shown::a: u8",
            "async fn open::Shown::more(&mut self) -> u8",
            "fn open::Shown::new() -> Self",
            "fn open::f(a: u8)",
        ]
    );
}
