//! The queries that the simulator reads: `SELECT` of one object, with `WHERE`, `ORDER BY` and
//! `LIMIT`.

use crate::error::ApiError;

/// A query.
#[derive(Debug)]
pub(super) struct Select {
    pub(super) what: What,
    pub(super) object: String,
    pub(super) filter: Option<Filter>,
    /// A field, and whether the largest comes first.
    pub(super) order: Option<(String, bool)>,
    pub(super) limit: Option<usize>,
}

/// What a query asks for.
#[derive(Debug)]
pub(super) enum What {
    Count,
    Fields(Vec<String>),
}

/// Which records a query asks for.
#[derive(Debug)]
pub(super) enum Filter {
    All(Vec<Filter>),
    Any(Vec<Filter>),
    Not(Box<Filter>),
    /// A field, and the values of which it is to have one.
    In(String, Vec<Literal>),
    /// A field, how it compares, and with what.
    Compare(String, Order, Literal),
}

/// How values compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Less,
    LessOrEqual,
    More,
    MoreOrEqual,
}

/// A value in a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Literal {
    /// In quotes.
    Text(String),
    /// A number, date, moment, boolean or null.
    Bare(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Word(String),
    Text(String),
    Sign(&'static str),
}

const SIGNS: [&str; 10] = ["!=", "<>", "<=", ">=", "(", ")", ",", "=", "<", ">"];

fn malformed(message: &str) -> ApiError {
    ApiError::new(400, "MALFORMED_QUERY", message)
}

/// Reads a query.
///
/// # Errors
/// `MALFORMED_QUERY`.
pub(super) fn parse(text: &str) -> Result<Select, ApiError> {
    let mut reader = Reader {
        tokens: tokens(text)?,
        at: 0,
    };
    let select = reader.select()?;
    match reader.peek() {
        None => Ok(select),
        Some(token) => Err(malformed(&format!("unexpected token: {token:?}"))),
    }
}

fn tokens(text: &str) -> Result<Vec<Token>, ApiError> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        if first == '\'' {
            let (value, after) = quoted(&rest[1..])?;
            tokens.push(Token::Text(value));
            rest = after;
        } else if let Some(sign) = SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
            tokens.push(Token::Sign(sign));
            rest = &rest[sign.len()..];
        } else {
            let is_word = |c: char| c.is_ascii_alphanumeric() || "_.:+-".contains(c);
            let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
            if end == 0 {
                return Err(malformed(&format!("unexpected token: '{first}'")));
            }
            tokens.push(Token::Word(rest[..end].to_owned()));
            rest = &rest[end..];
        }
        rest = rest.trim_start();
    }
    Ok(tokens)
}

/// Reads a text up to its quote. Returns it with what follows.
fn quoted(text: &str) -> Result<(String, &str), ApiError> {
    let mut value = String::new();
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '\'' => return Ok((value, &text[at + 1..])),
            '\n' | '\r' => return Err(malformed("line breaks not allowed in string literals")),
            '\\' => {
                let escape = letters.next().map(|(_, escape)| escape);
                value.push(match escape {
                    Some('n' | 'N') => '\n',
                    Some('r' | 'R') => '\r',
                    Some('t' | 'T') => '\t',
                    Some('b' | 'B') => '\u{8}',
                    Some('f' | 'F') => '\u{c}',
                    Some(same @ ('\'' | '"' | '\\')) => same,
                    Some('u') => unicode(&mut letters)?,
                    _ => return Err(bad_escape(escape)),
                });
            }
            letter => value.push(letter),
        }
    }
    Err(malformed(
        "unexpected end of query: a string literal is not closed",
    ))
}

fn unicode(letters: &mut std::str::CharIndices<'_>) -> Result<char, ApiError> {
    let digits: String = letters.by_ref().take(4).map(|(_, digit)| digit).collect();
    let code = u32::from_str_radix(&digits, 16).ok();
    code.and_then(char::from_u32)
        .ok_or_else(|| bad_escape(Some('u')))
}

fn bad_escape(escape: Option<char>) -> ApiError {
    let escape = escape.map(String::from).unwrap_or_default();
    malformed(&format!(
        "Invalid string literal: Illegal character sequence '\\{escape}' in string literal"
    ))
}

struct Reader {
    tokens: Vec<Token>,
    at: usize,
}

impl Reader {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn next(&mut self) -> Result<Token, ApiError> {
        let token = self.tokens.get(self.at).cloned();
        self.at += 1;
        token.ok_or_else(|| malformed("unexpected end of query"))
    }

    /// Takes a word, in any letter case, if it is next.
    fn has(&mut self, wanted: &str) -> bool {
        let found =
            matches!(self.peek(), Some(Token::Word(word)) if word.eq_ignore_ascii_case(wanted));
        self.at += usize::from(found);
        found
    }

    fn sign(&mut self, wanted: &'static str) -> bool {
        let found = self.peek() == Some(&Token::Sign(wanted));
        self.at += usize::from(found);
        found
    }

    fn needs(&mut self, found: bool, what: &str) -> Result<(), ApiError> {
        if found {
            return Ok(());
        }
        let token = self
            .peek()
            .map_or_else(|| "<EOF>".to_owned(), |token| format!("{token:?}"));
        Err(malformed(&format!(
            "unexpected token: {token}, expecting {what}"
        )))
    }

    fn word(&mut self) -> Result<String, ApiError> {
        match self.next()? {
            Token::Word(word) => Ok(word),
            token => Err(malformed(&format!("unexpected token: {token:?}"))),
        }
    }

    fn select(&mut self) -> Result<Select, ApiError> {
        let found = self.has("SELECT");
        self.needs(found, "SELECT")?;
        let mut fields = vec![self.word()?];
        let what = if fields[0].eq_ignore_ascii_case("COUNT") && self.sign("(") {
            let closed = self.sign(")");
            self.needs(closed, "')'")?;
            What::Count
        } else {
            while self.sign(",") {
                fields.push(self.word()?);
            }
            What::Fields(fields)
        };
        let found = self.has("FROM");
        self.needs(found, "FROM")?;
        let object = self.word()?;
        let filter = if self.has("WHERE") {
            Some(self.any()?)
        } else {
            None
        };
        let order = self.order()?;
        let limit = if self.has("LIMIT") {
            let count = self.word()?;
            let count = count.parse();
            Some(count.map_err(|_| malformed("LIMIT needs a number"))?)
        } else {
            None
        };
        Ok(Select {
            what,
            object,
            filter,
            order,
            limit,
        })
    }

    fn order(&mut self) -> Result<Option<(String, bool)>, ApiError> {
        if !self.has("ORDER") {
            return Ok(None);
        }
        let found = self.has("BY");
        self.needs(found, "BY")?;
        let field = self.word()?;
        let down = self.has("DESC");
        if !down {
            self.has("ASC");
        }
        Ok(Some((field, down)))
    }

    fn any(&mut self) -> Result<Filter, ApiError> {
        let mut parts = vec![self.all()?];
        while self.has("OR") {
            parts.push(self.all()?);
        }
        Ok(Filter::Any(parts))
    }

    fn all(&mut self) -> Result<Filter, ApiError> {
        let mut parts = vec![self.one()?];
        while self.has("AND") {
            parts.push(self.one()?);
        }
        Ok(Filter::All(parts))
    }

    fn one(&mut self) -> Result<Filter, ApiError> {
        if self.has("NOT") {
            return Ok(Filter::Not(Box::new(self.one()?)));
        }
        if self.sign("(") {
            let inner = self.any()?;
            let closed = self.sign(")");
            self.needs(closed, "')'")?;
            return Ok(inner);
        }
        let field = self.word()?;
        let is_not = self.has("NOT");
        if self.has("IN") {
            let found = Filter::In(field, self.list()?);
            return Ok(if is_not {
                Filter::Not(Box::new(found))
            } else {
                found
            });
        }
        self.needs(!is_not, "IN")?;
        let order = match self.next()? {
            Token::Sign("=") => return Ok(Filter::In(field, vec![self.literal()?])),
            Token::Sign("!=" | "<>") => {
                let same = Filter::In(field, vec![self.literal()?]);
                return Ok(Filter::Not(Box::new(same)));
            }
            Token::Sign("<") => Order::Less,
            Token::Sign("<=") => Order::LessOrEqual,
            Token::Sign(">") => Order::More,
            Token::Sign(">=") => Order::MoreOrEqual,
            token => return Err(malformed(&format!("unexpected token: {token:?}"))),
        };
        Ok(Filter::Compare(field, order, self.literal()?))
    }

    fn list(&mut self) -> Result<Vec<Literal>, ApiError> {
        let opened = self.sign("(");
        self.needs(opened, "'('")?;
        let mut values = vec![self.literal()?];
        while self.sign(",") {
            values.push(self.literal()?);
        }
        let closed = self.sign(")");
        self.needs(closed, "')'")?;
        Ok(values)
    }

    fn literal(&mut self) -> Result<Literal, ApiError> {
        match self.next()? {
            Token::Text(text) => Ok(Literal::Text(text)),
            Token::Word(word) => Ok(Literal::Bare(word)),
            Token::Sign(sign) => Err(malformed(&format!("unexpected token: '{sign}'"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_read_with_their_escapes() {
        let text = r"SELECT Id FROM X WHERE F IN ('O\'Neil\\','a\nb','A') AND G = 1.5e3 LIMIT 2";
        let select = parse(text).unwrap();
        let Some(Filter::Any(parts)) = select.filter else {
            panic!("no filter");
        };
        let Filter::All(parts) = &parts[0] else {
            panic!("{parts:?}");
        };
        let texts = ["O'Neil\\", "a\nb", "A"].map(|text| Literal::Text(text.to_owned()));
        assert!(
            matches!(&parts[0], Filter::In(field, values) if field == "F" && values[..] == texts)
        );
        let number = Literal::Bare("1.5e3".to_owned());
        assert!(matches!(&parts[1], Filter::In(_, values) if values[..] == [number]));
        assert_eq!(select.limit, Some(2));
    }

    #[test]
    fn what_is_no_query_is_refused() {
        for text in [
            "",
            "SELECT",
            "SELECT FROM X",
            "SELECT Id FROM X WHERE",
            "SELECT Id FROM X WHERE F = 'a",
            "SELECT Id FROM X WHERE F = 'it's'",
            r"SELECT Id FROM X WHERE F = 'a\x'",
            "SELECT Id FROM X WHERE F IN ()",
            "SELECT Id FROM X LIMIT a",
            "SELECT Id FROM X WHERE F = \"a\"",
        ] {
            assert_eq!(parse(text).unwrap_err().status, 400, "{text}");
        }
    }
}
