//! Which modules of its crate a module names.

use std::collections::BTreeSet;

use super::modules::Module;
use super::tokens::{Token, group_length};

/// A path from the root of the crate, of modules and perhaps an item at the end.
pub(super) type CratePath = Vec<String>;

/// A name that `use` brings into a module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Import {
    /// What it is called there; `*` for all of a module.
    pub(super) name: String,
    pub(super) target: CratePath,
    /// Whether it is passed on to users of the crate.
    pub(super) public: bool,
    /// Whether `target` begins with another crate.
    pub(super) foreign: bool,
}

/// Every path of the crate that `module` names: by `crate::`, `super::`, `self::`, or by a module
/// that it declares. Names of these that it only passes on by `pub use` are left out.
pub(super) fn named(module: &Module) -> BTreeSet<CratePath> {
    let tokens = &module.tokens;
    let children = children(module);
    let (mut found, mut at) = (BTreeSet::new(), 0);
    while at < tokens.len() {
        let begins = at == 0 || !matches!(tokens[at - 1].text.as_str(), "::" | ".");
        let path = begins && tokens.get(at + 1).is_some_and(|next| next.is("::"));
        let Some(base) = path
            .then(|| base(module, &children, &tokens[at].text))
            .flatten()
        else {
            at += 1;
            continue;
        };
        let passed_on = children.contains(&tokens[at].text) && is_reexport(tokens, at);
        let mut ends = Vec::new();
        let length = tree(&tokens[at + 2..], &base, &mut ends);
        let used = |name: &str| tokens.iter().filter(|token| token.is(name)).count() > 1;
        ends.retain(|import| !passed_on || used(&import.name));
        found.extend(ends.into_iter().map(|import| import.target));
        at += 2 + length;
    }
    found
}

/// What the `use` declarations of `module` bring into it.
pub(super) fn imports(module: &Module) -> Vec<Import> {
    let tokens = &module.tokens;
    let children = children(module);
    let mut all = Vec::new();
    for at in (0..tokens.len()).filter(|at| tokens[*at].is("use")) {
        let mut found = Vec::new();
        let base = base(module, &children, &tokens[at + 1].text);
        match &base {
            Some(base) => tree(&tokens[at + 3..], base, &mut found),
            None => tree(&tokens[at + 1..], &Vec::new(), &mut found),
        };
        for import in &mut found {
            import.public = at > 0 && tokens[at - 1].is("pub");
            import.foreign = base.is_none();
        }
        all.append(&mut found);
    }
    all
}

/// Names of the modules that `module` declares.
fn children(module: &Module) -> BTreeSet<String> {
    let pairs = module.tokens.windows(2);
    let declared = pairs.filter(|pair| pair[0].is("mod"));
    declared.map(|pair| pair[1].text.clone()).collect()
}

/// What the first name of a path stands for.
fn base(module: &Module, children: &BTreeSet<String>, first: &str) -> Option<CratePath> {
    match first {
        "crate" => Some(Vec::new()),
        "self" => Some(module.path.clone()),
        "super" => module.path.split_last().map(|(_, parent)| parent.to_vec()),
        child if children.contains(child) => {
            Some([module.path.clone(), vec![child.to_owned()]].concat())
        }
        _ => None,
    }
}

fn is_reexport(tokens: &[Token], at: usize) -> bool {
    at > 1 && tokens[at - 1].is("use") && (tokens[at - 2].is("pub") || tokens[at - 2].is(")"))
}

/// Reads what follows `base::`: names, groups of names, `*`. Gives the number of tokens read.
fn tree(tokens: &[Token], base: &CratePath, found: &mut Vec<Import>) -> usize {
    let mut path = base.clone();
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        if token.is("{") {
            let length = group_length(&tokens[at..]);
            let mut inside = &tokens[at + 1..at + length - 1];
            while !inside.is_empty() {
                let read = tree(inside, &path, found).max(1);
                inside = &inside[read..];
            }
            return at + length;
        }
        match token.text.as_str() {
            "super" => {
                path.pop();
            }
            "self" => {}
            "," => return at,
            name => path.push(name.to_owned()),
        }
        at += 1;
        if !tokens.get(at).is_some_and(|next| next.is("::")) {
            break;
        }
        // The generic arguments of `path::<…>` end a path.
        if tokens.get(at + 1).is_some_and(|next| next.is("<")) {
            break;
        }
        at += 1;
    }
    let mut name = path.last().cloned().unwrap_or_default();
    if tokens.get(at).is_some_and(|token| token.is("as")) {
        name.clone_from(&tokens[at + 1].text);
        at += 2;
    }
    if name == "*" {
        path.pop();
    }
    found.push(Import {
        name,
        target: path,
        public: false,
        foreign: false,
    });
    at
}

#[test]
fn every_form_of_import_is_seen() {
    let modules = super::modules::of(&[(
        "coerce::rules",
        "mod child;
         pub use arrow;
         use std::{fmt, io::Read as In};
         use crate::{
             bulk::{Client, job::{self, Job as Work}},
             error::Result,
         };
         pub use child::{Passed, Used};
         use super::literal::*;
         fn f() { crate::reject::open::<u8>(); super::super::chunk::f(); child::g(self::own) }
         fn h(used: Used) {}
         fn g() { other::crate_like::x(); a.child::<u8>() }",
    )]);
    let paths = named(&modules[0]).into_iter().map(|path| path.join("::"));
    let expected = [
        "bulk::Client",
        "bulk::job",
        "bulk::job::Job",
        "chunk::f",
        "coerce::literal",
        "coerce::rules::child::Used",
        "coerce::rules::child::g",
        "coerce::rules::own",
        "error::Result",
        "reject::open",
    ];
    assert_eq!(paths.collect::<Vec<_>>(), expected);
    let imports = imports(&modules[0]);
    let brought: Vec<&str> = imports.iter().map(|import| import.name.as_str()).collect();
    assert_eq!(brought[..3], ["arrow", "fmt", "In"]);
    assert_eq!(
        brought[3..],
        ["Client", "job", "Work", "Result", "Passed", "Used", "*"]
    );
}
