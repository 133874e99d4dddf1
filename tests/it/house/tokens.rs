//! Rust source as tokens: enough of the language to find its paths and items.

/// A token, and whether white space or a comment stood before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) text: String,
    pub(super) spaced: bool,
}

impl Token {
    pub(super) fn is(&self, text: &str) -> bool {
        self.text == text
    }

    pub(super) fn is_name(&self) -> bool {
        self.text
            .starts_with(|c: char| c.is_alphabetic() || c == '_')
    }
}

/// The tokens of `source`, without comments and without what `#[cfg(test)]` stands before.
pub(super) fn tokens(source: &str) -> Vec<Token> {
    without_tests(&all_tokens(source))
}

/// The tokens of `source`, those of tests too, without comments.
pub(super) fn all_tokens(source: &str) -> Vec<Token> {
    let (mut tokens, mut rest, mut spaced) = (Vec::new(), source, false);
    while !rest.is_empty() {
        let blank = blank_length(rest);
        if blank > 0 {
            spaced = true;
            rest = &rest[blank..];
            continue;
        }
        let length = token_length(rest);
        tokens.push(Token {
            text: rest[..length].to_owned(),
            spaced: std::mem::take(&mut spaced),
        });
        rest = &rest[length..];
    }
    tokens
}

/// The comments of `source`, each line of its own as one.
pub(super) fn comments(source: &str) -> Vec<&str> {
    let (mut comments, mut rest) = (Vec::new(), source);
    while !rest.is_empty() {
        let blank = blank_length(rest);
        let length = if blank > 0 { blank } else { token_length(rest) };
        if blank > 0 && rest.starts_with('/') {
            comments.push(&rest[..length]);
        }
        rest = &rest[length..];
    }
    comments
}

/// Length of the white space or the comment that `text` begins with.
fn blank_length(text: &str) -> usize {
    if text.starts_with("//") {
        return text.find('\n').unwrap_or(text.len());
    }
    if text.starts_with("/*") {
        let (mut depth, mut at) = (1, 2);
        while depth > 0 && at < text.len() {
            let step = match text.as_bytes().get(at..at + 2) {
                Some(b"/*") => 1,
                Some(b"*/") => -1,
                _ => 0,
            };
            depth += step;
            at += if step == 0 { 1 } else { 2 };
        }
        return at;
    }
    text.len() - text.trim_start().len()
}

fn token_length(text: &str) -> usize {
    const JOINED: &[&str] = &["::", "->", "=>", "..=", ".."];
    let first = text.chars().next().map_or(0, char::len_utf8);
    if let Some(length) = literal_length(text) {
        return length;
    }
    if text.starts_with(|c: char| c.is_alphanumeric() || c == '_') {
        let end = text.find(|c: char| !(c.is_alphanumeric() || c == '_'));
        return end.unwrap_or(text.len());
    }
    let joined = JOINED.iter().find(|joined| text.starts_with(**joined));
    joined.map_or(first, |joined| joined.len())
}

/// Length of the text, character or lifetime that `text` begins with.
fn literal_length(text: &str) -> Option<usize> {
    let prefix = ["br", "cr", "b", "c", "r", ""]
        .iter()
        .find(|prefix| {
            let rest = text.strip_prefix(**prefix);
            rest.is_some_and(|rest| rest.starts_with(['"', '\'', '#']))
        })?
        .len();
    let rest = &text[prefix..];
    let hashes = rest.len() - rest.trim_start_matches('#').len();
    if text[..prefix].ends_with('r') && rest[hashes..].starts_with('"') {
        let end = format!("\"{}", "#".repeat(hashes));
        let body = prefix + hashes + 1;
        let length = text[body..].find(&end)?;
        return Some(body + length + end.len());
    }
    match rest.chars().next()? {
        '"' => Some(prefix + quoted_length(rest, '"')),
        '\'' if is_character(rest) => Some(prefix + quoted_length(rest, '\'')),
        '\'' if prefix == 0 => {
            let name = &rest[1..];
            let end = name.find(|c: char| !(c.is_alphanumeric() || c == '_'));
            Some(1 + end.unwrap_or(name.len()))
        }
        _ => None,
    }
}

/// Whether a quote begins a character, and not a lifetime.
fn is_character(text: &str) -> bool {
    let mut inside = text.chars().skip(1);
    inside.next() == Some('\\') || inside.next() == Some('\'')
}

fn quoted_length(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if c == quote => return at + c.len_utf8(),
            _ => {}
        }
    }
    text.len()
}

fn without_tests(tokens: &[Token]) -> Vec<Token> {
    const TEST: &[&str] = &["#", "[", "cfg", "(", "test", ")", "]"];
    let (mut kept, mut at) = (Vec::new(), 0);
    while at < tokens.len() {
        let texts = tokens[at..].iter().map(|token| token.text.as_str());
        if texts.take(TEST.len()).eq(TEST.iter().copied()) {
            at += TEST.len();
            at += item_length(&tokens[at..]);
        } else {
            kept.push(tokens[at].clone());
            at += 1;
        }
    }
    kept
}

/// Length of an item, a field, a variant or a statement, with the attributes before it.
fn item_length(tokens: &[Token]) -> usize {
    const TO_SEMICOLON: &[&str] = &["use", "const", "static", "type", "let"];
    const TO_BODY: &[&str] = &[
        "fn",
        "mod",
        "impl",
        "struct",
        "enum",
        "trait",
        "macro_rules",
    ];
    let mut at = 0;
    while tokens.get(at).is_some_and(|token| token.is("#")) {
        at += 1;
        at += group_length(&tokens[at..]);
    }
    let named = |names: &[&str]| {
        let mut head = tokens[at..].iter().take(8);
        head.position(|token| names.contains(&token.text.as_str()))
    };
    let body = named(TO_BODY);
    // `const fn` has a body.
    let semicolon = named(TO_SEMICOLON).is_some() && body.is_none();
    while at < tokens.len() {
        match tokens[at].text.as_str() {
            ";" => return at + 1,
            "," if body.is_none() && !semicolon => return at + 1,
            "}" | ")" | "]" => return at,
            "{" | "(" | "[" => {
                let brace = tokens[at].is("{");
                at += group_length(&tokens[at..]);
                if brace && body.is_some() {
                    return at;
                }
            }
            _ => at += 1,
        }
    }
    at
}

/// Length of the group that begins with the first token, brackets included; one if none begins.
pub(super) fn group_length(tokens: &[Token]) -> usize {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate() {
        match token.text.as_str() {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return at + 1;
        }
    }
    tokens.len()
}

#[test]
fn literals_and_comments_hide_nothing_and_show_nothing() {
    let source = r####"
        fn a<'a>(x: &'a str) -> char { // crate::b
            let s = "crate::c \" // no comment"; let r = r#"crate::d"x"#; let e = b'\'';
            /* crate::e /* nested */ */ ':'
        }"####;
    let texts: Vec<String> = tokens(source).into_iter().map(|token| token.text).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    assert_eq!(
        texts[..12],
        [
            "fn", "a", "<", "'a", ">", "(", "x", ":", "&", "'a", "str", ")"
        ]
    );
    assert!(
        texts.contains(&r#""crate::c \" // no comment""#),
        "{texts:?}"
    );
    assert!(texts.contains(&r###"r#"crate::d"x"#"###), "{texts:?}");
    assert!(texts.contains(&r"b'\''"), "{texts:?}");
    assert!(!texts.contains(&"crate"), "{texts:?}");
    assert_eq!(texts[texts.len() - 2..], ["':'", "}"]);
}

#[test]
fn what_is_for_tests_is_left_out() {
    let source = "
        #[cfg(test)] mod tests;
        #[cfg(test)] #[allow(dead_code)] mod more { fn x() {} }
        #[cfg(test)] use crate::{a, b};
        #[cfg(test)] pub(crate) const fn one(a: u8, b: u8) -> u8 { a }
        struct Kept { a: u8, #[cfg(test)] b: Vec<u8>, c: u8 }
        fn kept() { #[cfg(test)] let x = { 1 }; y }";
    let texts: Vec<String> = tokens(source).into_iter().map(|token| token.text).collect();
    assert_eq!(
        texts.join(" "),
        "struct Kept { a : u8 , c : u8 } fn kept ( ) { y }"
    );
}
