//! The words, texts and signs of a query, and the form of its errors.

use crate::error::ApiError;

/// Characters that an error shows of the line before and after the place.
const SHOWN_CHARS: usize = 45;

/// A part of a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    Word(String),
    /// What stands between quotes, with its escapes.
    Text(String),
    Sign(&'static str),
}

impl Token {
    /// As it stands in the query.
    pub(super) fn shown(&self) -> String {
        match self {
            Token::Word(word) => word.clone(),
            Token::Text(text) => format!("'{text}'"),
            Token::Sign(sign) => (*sign).to_owned(),
        }
    }
}

const SIGNS: [&str; 10] = ["!=", "<>", "<=", ">=", "(", ")", ",", "=", "<", ">"];

/// An error at a byte of a query, as Salesforce shows it: a part of the line, the place in it, and
/// what is wrong ([an example](https://github.com/forcedotcom/soql-tooling/issues/86)).
pub(super) fn error(query: &str, at: usize, code: &str, message: &str) -> ApiError {
    let at = (0..=at.min(query.len()))
        .rev()
        .find(|at| query.is_char_boundary(*at))
        .unwrap_or(0);
    let row = query[..at].matches('\n').count() + 1;
    let line_start = query[..at].rfind('\n').map_or(0, |end| end + 1);
    let before: Vec<char> = query[line_start..at].chars().collect();
    let after = query[at..].chars().take_while(|letter| *letter != '\n');
    let column = before.len() + 1;
    let from = before.len().saturating_sub(SHOWN_CHARS);
    let shown: String = before[from..]
        .iter()
        .copied()
        .chain(after.take(SHOWN_CHARS))
        .collect();
    let message = format!(
        "\n{shown}\n{:blank$}^\nERROR at Row:{row}:Column:{column}\n{message}",
        "",
        blank = before.len() - from
    );
    ApiError::new(400, code, &message)
}

/// An error of the form of a query.
pub(super) fn malformed(query: &str, at: usize, message: &str) -> ApiError {
    error(query, at, "MALFORMED_QUERY", message)
}

/// Splits a query into its parts, each with the byte at which it begins.
///
/// # Errors
/// `MALFORMED_QUERY`.
pub(super) fn tokens(query: &str) -> Result<Vec<(usize, Token)>, ApiError> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(first) = query[at..].chars().next() {
        let rest = &query[at..];
        let start = at;
        if first.is_whitespace() {
            at += first.len_utf8();
        } else if first == '\'' {
            let text = quoted(query, at)?;
            at += text.len() + 2;
            tokens.push((start, Token::Text(text.to_owned())));
        } else if let Some(sign) = SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
            at += sign.len();
            tokens.push((start, Token::Sign(sign)));
        } else {
            let is_word = |letter: char| letter.is_ascii_alphanumeric() || "_.:+-".contains(letter);
            let length = rest
                .find(|letter| !is_word(letter))
                .unwrap_or(query.len() - at);
            if length == 0 {
                let message = format!("unexpected token: '{first}'");
                return Err(malformed(query, at, &message));
            }
            at += length;
            tokens.push((start, Token::Word(rest[..length].to_owned())));
        }
    }
    Ok(tokens)
}

/// What stands between the quote at a byte and the next one.
fn quoted(query: &str, at: usize) -> Result<&str, ApiError> {
    let text = &query[at + 1..];
    let mut letters = text.char_indices();
    while let Some((end, letter)) = letters.next() {
        match letter {
            '\'' => return Ok(&text[..end]),
            '\n' | '\r' => {
                let message = "line breaks not allowed in string literals";
                return Err(malformed(query, at, message));
            }
            '\\' => {
                letters.next();
            }
            _ => {}
        }
    }
    let message = "unexpected end of query: a string literal is not closed";
    Err(malformed(query, at, message))
}

/// A letter of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Letter {
    /// As it is: `a`, or `%` and `_` where they are no wildcards.
    Plain(char),
    /// `%`: any letters.
    Any,
    /// `_`: one letter.
    One,
}

/// The letters of a text with its escapes resolved ([those that SOQL
/// has](https://developer.salesforce.com/docs/atlas.en-us.soql_sosl.meta/soql_sosl/sforce_api_calls_soql_select_quotedstringescapes.htm)).
/// Wildcards are for patterns alone.
///
/// # Errors
/// The escape, if there is no such.
pub(super) fn letters(text: &str, is_pattern: bool) -> Result<Vec<Letter>, String> {
    let mut found = Vec::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(letter) = rest.next() {
        found.push(match letter {
            '%' if is_pattern => Letter::Any,
            '_' if is_pattern => Letter::One,
            '\\' => Letter::Plain(match rest.next() {
                Some('n' | 'N') => '\n',
                Some('r' | 'R') => '\r',
                Some('t' | 'T') => '\t',
                Some('b' | 'B') => '\u{8}',
                Some('f' | 'F') => '\u{c}',
                Some(same @ ('\'' | '"' | '\\')) => same,
                Some(wildcard @ ('%' | '_')) if is_pattern => wildcard,
                Some('u') => {
                    let digits: String = rest.by_ref().take(4).collect();
                    let code = u32::from_str_radix(&digits, 16).ok();
                    code.and_then(char::from_u32)
                        .ok_or_else(|| format!("u{digits}"))?
                }
                other => return Err(other.map(String::from).unwrap_or_default()),
            }),
            letter => Letter::Plain(letter),
        });
    }
    Ok(found)
}
