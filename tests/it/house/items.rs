//! The items of a module: their names, whether they are public, and how they are declared.

use super::tokens::{Token, group_length};

/// An item, a field, a variant or a method.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Item {
    /// What stands before the name, without `pub`: `async fn`, `#[non_exhaustive] enum`.
    pub(super) head: String,
    pub(super) name: String,
    /// What stands behind the name, without a body: parameters, type.
    pub(super) tail: String,
    pub(super) public: bool,
    pub(super) parts: Vec<Item>,
}

/// An `impl` of a type's own methods.
#[derive(Debug, Clone)]
pub(super) struct Methods {
    /// Path of the type, as it is named there.
    pub(super) of: Vec<String>,
    pub(super) items: Vec<Item>,
}

/// Attributes that say something to a user.
const SHOWN: &[&str] = &["non_exhaustive", "doc(hidden)", "deprecated"];

/// Words that may stand between `pub` and what an item is.
const MODIFIERS: &[&str] = &["async", "const", "default", "extern", "unsafe"];

/// Reads the items of a module, a trait or an `impl`. Modules and imports are not among them.
pub(super) fn items(tokens: &[Token]) -> (Vec<Item>, Vec<Methods>) {
    let (mut items, mut methods) = (Vec::new(), Vec::new());
    let mut rest = tokens;
    while !rest.is_empty() {
        let (mut head, public, begin) = beginning(rest);
        rest = &rest[begin..];
        let length = declaration_length(rest);
        let declaration = &rest[..length];
        rest = &rest[length..];
        let kind = declaration.iter().position(|token| {
            !MODIFIERS.contains(&token.text.as_str()) && !token.text.starts_with('"')
        });
        // `const NAME` has nothing but the modifier.
        let kind = kind.map(|at| match declaration[at].text.as_str() {
            "fn" | "struct" | "enum" | "union" | "trait" | "type" | "static" | "impl" => at,
            _ => at.saturating_sub(1),
        });
        let Some(kind) = kind.filter(|kind| kind + 1 < length) else {
            continue;
        };
        let word = declaration[kind].text.clone();
        if word == "impl" {
            methods.extend(own_methods(&declaration[kind + 1..]));
            continue;
        }
        if ![
            "fn", "struct", "enum", "union", "trait", "type", "static", "const",
        ]
        .contains(&word.as_str())
        {
            continue;
        }
        head.extend(declaration[..=kind].iter().map(|token| token.text.clone()));
        let name = declaration[kind + 1].text.clone();
        let (tail, parts) = behind(&word, &declaration[kind + 2..]);
        items.push(Item {
            head: head.join(" "),
            name,
            tail,
            public,
            parts,
        });
    }
    (items, methods)
}

/// Attributes to show, visibility, and the length of both.
fn beginning(tokens: &[Token]) -> (Vec<String>, bool, usize) {
    let (mut head, mut at) = (Vec::new(), 0);
    while tokens.get(at).is_some_and(|token| token.is("#")) {
        let begin = at;
        at += 1 + usize::from(tokens.get(at + 1).is_some_and(|token| token.is("!")));
        at += group_length(&tokens[at..]);
        let text: String = tokens[begin..at].iter().map(|token| &*token.text).collect();
        if SHOWN
            .iter()
            .any(|shown| text.starts_with(&format!("#[{shown}")))
        {
            head.push(text);
        }
    }
    let mut public = false;
    if tokens.get(at).is_some_and(|token| token.is("pub")) {
        at += 1;
        public = true;
        if tokens
            .get(at)
            .is_some_and(|token| token.is("(") && !token.spaced)
        {
            at += group_length(&tokens[at..]);
            public = false;
        }
    }
    (head, public, at)
}

/// Length of an item: to its `;`, or to the end of its body.
fn declaration_length(tokens: &[Token]) -> usize {
    let mut at = 0;
    let valued = ["const", "static", "type", "use"]
        .iter()
        .any(|word| tokens.first().is_some_and(|token| token.is(word)))
        && !tokens.iter().take(5).any(|token| token.is("fn"));
    while at < tokens.len() {
        match tokens[at].text.as_str() {
            ";" => return at + 1,
            "{" if !valued => return at + group_length(&tokens[at..]),
            "{" | "(" | "[" => at += group_length(&tokens[at..]),
            _ => at += 1,
        }
    }
    at
}

/// What stands behind the name of a `kind`, and what is inside.
fn behind(kind: &str, tokens: &[Token]) -> (String, Vec<Item>) {
    let ends: &[&str] = match kind {
        "const" | "static" => &["=", ";"],
        "type" => &[";"],
        _ => &["{", ";"],
    };
    let mut end = 0;
    while end < tokens.len() && !ends.contains(&tokens[end].text.as_str()) {
        end += group_length(&tokens[end..]);
    }
    let tail = &tokens[..end];
    let inside = tokens.get(end).filter(|token| token.is("{"));
    let inside = inside.map(|_| &tokens[end + 1..tokens.len() - 1]);
    match (kind, inside) {
        ("struct" | "union", Some(inside)) => (print(tail), listed(inside, "field")),
        ("struct", None) => (tuple(tail), Vec::new()),
        ("enum", Some(inside)) => (print(tail), listed(inside, "variant")),
        ("trait", Some(inside)) => (print(tail), items(inside).0),
        _ => (print(tail), Vec::new()),
    }
}

/// Fields or variants: parts between commas.
fn listed(tokens: &[Token], kind: &str) -> Vec<Item> {
    let mut parts = Vec::new();
    for part in split(tokens) {
        let (mut head, public, begin) = beginning(part);
        let Some(name) = part.get(begin) else {
            continue;
        };
        head.push(kind.to_owned());
        parts.push(Item {
            head: head.join(" "),
            name: name.text.clone(),
            tail: print(&part[begin + 1..]),
            public: public || kind == "variant",
            parts: Vec::new(),
        });
    }
    parts
}

/// The fields of a tuple, private ones as `_`.
fn tuple(tokens: &[Token]) -> String {
    let Some(open) = tokens.iter().position(|token| token.is("(")) else {
        return print(tokens);
    };
    let length = group_length(&tokens[open..]);
    let fields = split(&tokens[open + 1..open + length - 1]);
    let fields: Vec<String> = fields
        .into_iter()
        .map(|field| match beginning(field) {
            (_, true, begin) => print(&field[begin..]).trim().to_owned(),
            _ => "_".to_owned(),
        })
        .collect();
    format!(
        "{}({}){}",
        print(&tokens[..open]),
        fields.join(", "),
        print(&tokens[open + length..])
    )
}

/// What is between the commas that stand in no bracket.
fn split(tokens: &[Token]) -> Vec<&[Token]> {
    let (mut parts, mut begin, mut at, mut angle) = (Vec::new(), 0, 0, 0_i32);
    while at < tokens.len() {
        match tokens[at].text.as_str() {
            "<" => angle += 1,
            ">" => angle -= 1,
            "," if angle == 0 => {
                parts.push(&tokens[begin..at]);
                begin = at + 1;
            }
            _ => {}
        }
        at += group_length(&tokens[at..]);
    }
    parts.push(&tokens[begin..]);
    parts.retain(|part| !part.is_empty());
    parts
}

/// The methods of an `impl`, from behind that word; none if it is one of a trait.
fn own_methods(tokens: &[Token]) -> Option<Methods> {
    let body = tokens.iter().position(|token| token.is("{"))?;
    let mut head = &tokens[..body];
    if head.first()?.is("<") {
        let mut depth = 0_i32;
        let end = head.iter().position(|token| {
            depth += i32::from(token.is("<")) - i32::from(token.is(">"));
            depth == 0
        })?;
        head = &head[end + 1..];
    }
    let of_trait = |pair: &[Token]| pair[0].is("for") && !pair[1].is("<");
    if head.windows(2).any(of_trait) {
        return None;
    }
    let path = head
        .iter()
        .take_while(|token| token.is("::") || token.is_name() && !token.is("where"));
    let path = path.filter(|token| token.is_name());
    Some(Methods {
        of: path.map(|token| token.text.clone()).collect(),
        items: items(&tokens[body + 1..tokens.len() - 1]).0,
    })
}

/// Tokens on one line, without attributes and without what line breaks bring along.
fn print(tokens: &[Token]) -> String {
    let mut text = String::new();
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        if token.is("#") {
            at += 1;
            at += group_length(&tokens[at..]);
            continue;
        }
        let closing = matches!(token.text.as_str(), ")" | "]" | ">");
        if (closing || token.is("}")) && text.ends_with(',') {
            text.pop();
        }
        let opened = text.ends_with(['(', '[', '<']);
        if token.spaced && !opened && !closing {
            text.push(' ');
        }
        text.push_str(&token.text);
        at += 1;
    }
    text
}

#[test]
fn items_are_read_with_what_a_user_sees() {
    let source = r#"
        use std::fmt;
        mod inner;
        /// Doc.
        #[derive(Debug)] #[non_exhaustive]
        pub enum Kind<T: Copy> { One, #[doc(hidden)] Two(u8, Vec<(T, u8)>), Three { a: u8, b: T } }
        pub struct Open { pub a: Map<u8, u8>, b: u8, pub(crate) c: u8 }
        pub struct Pair(pub u8, String);
        pub(crate) struct Own;
        pub const LIMIT: [u8; 2] = { [1, 2] };
        pub type Result<T, E = Error> = std::result::Result<T, E>;
        pub async fn long(
            &self,
            rows: &mut Vec<u8>,
        ) -> Result<()>
        where
            T: Send,
        { if a < b { c } }
        pub const unsafe extern "C" fn raw() {}
        pub trait Source: Send { const N: u8; fn next(&mut self) -> Option<u8> { None } }
        impl<'a, T: Into<String>> Kind<T> { pub fn new(a: u8) -> Self { Self } fn hidden() {} }
        impl<T> fmt::Debug for Kind<T> { fn fmt(&self) {} }
        impl super::Other where for<'a> u8: Copy { pub const X: u8 = 1; }
    "#;
    let (items, methods) = items(&super::tokens::tokens(source));
    let mut lines = Vec::new();
    for item in items
        .iter()
        .chain(methods.iter().flat_map(|methods| &methods.items))
    {
        for item in std::iter::once(item).chain(&item.parts) {
            let mark = if item.public { "" } else { "-" };
            lines.push(format!("{mark}{} {}{}", item.head, item.name, item.tail));
        }
    }
    assert_eq!(
        lines
            .join("\n")
            .replace("#[non_exhaustive] ", "N ")
            .replace("#[doc(hidden)] ", "H "),
        "N enum Kind<T: Copy>\nvariant One\nH variant Two(u8, Vec<(T, u8)>)\n\
         variant Three { a: u8, b: T }\nstruct Open\nfield a: Map<u8, u8>\n-field b: u8\n\
         -field c: u8\nstruct Pair(u8, _)\n-struct Own\nconst LIMIT: [u8; 2]\n\
         type Result<T, E = Error> = std::result::Result<T, E>\n\
         async fn long(&self, rows: &mut Vec<u8>) -> Result<()> where T: Send,\n\
         const unsafe extern \"C\" fn raw()\ntrait Source: Send\n-const N: u8\n\
         -fn next(&mut self) -> Option<u8>\nfn new(a: u8) -> Self\n-fn hidden()\nconst X: u8"
    );
    let types: Vec<String> = methods
        .iter()
        .map(|methods| methods.of.join("::"))
        .collect();
    assert_eq!(types, ["Kind", "super::Other"]);
}
