//! Files that need each other in a circle cannot be read one after the other.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::imports::{self, CratePath, Import};
use super::modules::{self, Module};
use super::none_of;

/// Folders of the library in which no files need each other in a circle.
const FOLDERS: &[&str] = &["bulk", "chunk", "ledger", "load"];

#[test]
fn no_files_need_each_other_in_a_circle() {
    let modules = modules::read(&super::root().join("src"));
    let wrong: Vec<String> = FOLDERS
        .iter()
        .flat_map(|folder| circles(&modules, folder))
        .collect();
    none_of(&wrong, "circles of files");
}

/// Finds the module that a path leads to, through the names that modules pass on.
pub(super) struct Names<'a> {
    modules: BTreeMap<CratePath, &'a Module>,
    imports: BTreeMap<CratePath, Vec<Import>>,
}

impl<'a> Names<'a> {
    pub(super) fn new(modules: &'a [Module]) -> Self {
        Self {
            modules: modules.iter().map(|m| (m.path.clone(), m)).collect(),
            imports: modules
                .iter()
                .map(|m| (m.path.clone(), own_imports(m)))
                .collect(),
        }
    }

    /// The module in which the item of `path` is written.
    pub(super) fn module_of(&self, path: &[String]) -> &'a Module {
        let path = self.follow(path);
        self.longest(&path).0
    }

    /// `path` as it is without passing on: the path where its item is written.
    pub(super) fn follow(&self, path: &[String]) -> CratePath {
        let mut path = path.to_vec();
        // Names that lead to each other would do so for ever.
        for _ in 0..16 {
            let (module, rest) = self.longest(&path);
            let Some((name, rest)) = rest.split_first() else {
                break;
            };
            let imports = &self.imports[&module.path];
            let import = imports.iter().find(|import| import.name == *name);
            let Some(import) = import.or_else(|| self.in_all_of(imports, name)) else {
                break;
            };
            let mut next = import.target.clone();
            if import.name == "*" {
                next.push(name.clone());
            }
            next.extend(rest.iter().cloned());
            if next == path {
                break;
            }
            path = next;
        }
        path
    }

    /// A `use module::*` by which `name` may come.
    fn in_all_of<'b>(&self, imports: &'b [Import], name: &str) -> Option<&'b Import> {
        imports
            .iter()
            .filter(|import| import.name == "*")
            .find(|import| {
                let (module, rest) = self.longest(&import.target);
                rest.is_empty() && declares(module, name)
            })
    }

    /// The module at the beginning of `path`, and what is left of it.
    fn longest<'b>(&self, path: &'b [String]) -> (&'a Module, &'b [String]) {
        let found = (0..=path.len()).rev().find_map(|length| {
            let module = self.modules.get(&path[..length])?;
            Some((*module, &path[length..]))
        });
        found.expect("the root has the empty path")
    }
}

fn own_imports(module: &Module) -> Vec<Import> {
    let mut imports = imports::imports(module);
    imports.retain(|import| !import.foreign);
    imports
}

/// Whether `module` has an item of this name.
fn declares(module: &Module, name: &str) -> bool {
    const KINDS: &[&str] = &[
        "struct", "enum", "trait", "fn", "const", "static", "type", "mod", "union",
    ];
    let mut pairs = module.tokens.windows(2);
    pairs.any(|pair| KINDS.contains(&pair[0].text.as_str()) && pair[1].is(name))
}

/// One circle of each set of modules below `folder` that need each other.
fn circles(modules: &[Module], folder: &str) -> Vec<String> {
    let names = Names::new(modules);
    let inside = |module: &Module| module.path.first().is_some_and(|name| name == folder);
    let mut edges: BTreeMap<&CratePath, BTreeMap<&CratePath, CratePath>> = BTreeMap::new();
    for module in modules.iter().filter(|module| inside(module)) {
        let targets = edges.entry(&module.path).or_default();
        for path in imports::named(module) {
            let target = names.module_of(&path);
            if inside(target) && target.file != module.file {
                targets.entry(&target.path).or_insert(path);
            }
        }
    }
    let mut seen = BTreeSet::new();
    let mut circles = Vec::new();
    for from in edges.keys() {
        let Some(circle) = (!seen.contains(from))
            .then(|| shortest(&edges, from))
            .flatten()
        else {
            continue;
        };
        seen.extend(circle.iter().copied());
        let mut text = from.join("::");
        for pair in circle.windows(2) {
            let item = edges[pair[0]][pair[1]].last().map_or("", String::as_str);
            text.push_str(&format!(" -({item})-> {}", pair[1].join("::")));
        }
        circles.push(text);
    }
    circles
}

/// The shortest way from a module back to itself.
fn shortest<'a>(
    edges: &BTreeMap<&'a CratePath, BTreeMap<&'a CratePath, CratePath>>,
    from: &'a CratePath,
) -> Option<Vec<&'a CratePath>> {
    let mut waiting = VecDeque::from([vec![from]]);
    let mut seen = BTreeSet::new();
    while let Some(way) = waiting.pop_front() {
        let targets = way.last().and_then(|last| edges.get(last));
        for target in targets.into_iter().flat_map(BTreeMap::keys).copied() {
            let way = [way.as_slice(), &[target]].concat();
            if target == from {
                return Some(way);
            }
            if seen.insert(target) {
                waiting.push_back(way);
            }
        }
    }
    None
}

#[test]
fn a_circle_is_found_with_its_way() {
    let modules = modules::of(&[
        ("", "mod load; mod other;"),
        (
            "load",
            "mod a; mod b; mod c; mod d; pub use a::A; pub(super) use d::*;",
        ),
        (
            "load::a",
            "use super::b::B; use crate::other::X; pub struct A;",
        ),
        ("load::b", "fn f(c: super::c::C) {}"),
        ("load::c", "use super::A; use super::D;"),
        ("load::d", "#[cfg(test)] use super::c::C; pub struct D;"),
        ("other", "use crate::load::A;"),
    ]);
    assert_eq!(
        circles(&modules, "load"),
        ["load::a -(B)-> load::b -(C)-> load::c -(A)-> load::a"]
    );
    let parent = modules::of(&[
        ("", "mod load;"),
        ("load", "mod a; use a::f; pub struct L; fn g() { f() }"),
        ("load::a", "use super::L;"),
    ]);
    assert_eq!(
        circles(&parent, "load"),
        ["load -(f)-> load::a -(L)-> load"]
    );
}
