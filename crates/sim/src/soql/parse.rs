//! Reads the text of a query: `SELECT` of one object, with `WHERE`, `ORDER BY`, `LIMIT` and
//! `OFFSET`.

use super::tokens::{Letter, Token, letters, malformed, tokens};
use crate::error::ApiError;

/// A query.
#[derive(Debug)]
pub(super) struct Select {
    pub(super) what: Vec<Item>,
    pub(super) object: Place<String>,
    pub(super) filter: Option<Filter>,
    /// The fields by which records are grouped.
    pub(super) group: Vec<Place<String>>,
    pub(super) order: Vec<OrderBy>,
    pub(super) limit: Option<usize>,
    pub(super) offset: Option<usize>,
    /// A name of the object within the query.
    pub(super) alias: Option<String>,
}

/// Something with the byte of the query at which it stands.
#[derive(Debug, Clone)]
pub(super) struct Place<T> {
    pub(super) at: usize,
    pub(super) is: T,
}

/// What a query asks for.
#[derive(Debug)]
pub(super) enum Item {
    Field(Place<String>),
    /// `FIELDS(ALL)`: the word in parentheses.
    Fields(Place<String>),
    /// `COUNT()`.
    Count,
    /// `SUM(Amount)`, with its alias.
    Total(Function, Place<String>, Option<String>),
}

/// What is made of the values of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Function {
    Count,
    CountDistinct,
    Sum,
    Avg,
    Min,
    Max,
}

impl Function {
    /// By its name, in upper case.
    fn named(name: &str) -> Option<Function> {
        Some(match name {
            "COUNT" => Function::Count,
            "COUNT_DISTINCT" => Function::CountDistinct,
            "SUM" => Function::Sum,
            "AVG" => Function::Avg,
            "MIN" => Function::Min,
            "MAX" => Function::Max,
            _ => return None,
        })
    }
}

/// Which records a query asks for.
#[derive(Debug)]
pub(super) enum Filter {
    All(Vec<Filter>),
    Any(Vec<Filter>),
    Not(Box<Filter>),
    /// A field, and the values of which it is to have one.
    In(Place<String>, Vec<Literal>),
    /// A field, how it compares, and with what.
    Compare(Place<String>, Order, Literal),
    Like(Place<String>, Vec<Letter>),
    /// A field, and the lists of values of which it is to have one whole.
    Includes(Place<String>, Vec<String>),
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

/// A field by which records are ordered.
#[derive(Debug)]
pub(super) struct OrderBy {
    /// What is made of the field in a group.
    pub(super) function: Option<Function>,
    pub(super) field: Place<String>,
    pub(super) down: bool,
    pub(super) nulls_last: bool,
}

/// What of SOQL is known, but not simulated.
const NOT_SIMULATED: [&str; 6] = ["HAVING", "TYPEOF", "USING", "UPDATE", "FOR", "DISTANCE"];

/// The [most characters](https://github.com/django-salesforce/django-salesforce/issues/164) of a
/// query.
const MAX_CHARS: usize = 100_000;
/// The most parentheses and `NOT`s within each other. Salesforce names no such limit.
const MAX_DEPTH: usize = 100;

/// Reads a query.
///
/// # Errors
/// `MALFORMED_QUERY`.
pub(super) fn parse(query: &str) -> Result<Select, ApiError> {
    if query.trim().is_empty() {
        let message = "SOQL statements cannot be empty or null";
        return Err(ApiError::new(400, "MALFORMED_QUERY", message));
    }
    if query.chars().count() > MAX_CHARS {
        let message = format!("SOQL statements can not be longer than {MAX_CHARS} characters.");
        return Err(ApiError::new(400, "MALFORMED_QUERY", &message));
    }
    let mut reader = Reader {
        query,
        tokens: tokens(query)?,
        at: 0,
        depth: 0,
    };
    let select = reader.select()?;
    match reader.peek() {
        None => Ok(select),
        Some(_) => Err(reader.unexpected()),
    }
}

/// Reads a condition: what stands after `WHERE` in a query.
///
/// # Errors
/// `MALFORMED_QUERY`.
pub(super) fn condition(text: &str) -> Result<Filter, ApiError> {
    let mut reader = Reader {
        query: text,
        tokens: tokens(text)?,
        at: 0,
        depth: 0,
    };
    let filter = reader.conditions()?;
    match reader.peek() {
        None => Ok(filter),
        Some(_) => Err(reader.unexpected()),
    }
}

struct Reader<'a> {
    query: &'a str,
    tokens: Vec<(usize, Token)>,
    at: usize,
    /// Conditions around the one that is read.
    depth: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at).map(|(_, token)| token)
    }

    /// The byte at which the next token begins.
    fn place(&self) -> usize {
        let next = self.tokens.get(self.at);
        next.map_or(self.query.len(), |(at, _)| *at)
    }

    /// The error of the next token.
    fn unexpected(&self) -> ApiError {
        let shown = self.peek().map_or("<EOF>".to_owned(), Token::shown);
        let known = shown.to_ascii_uppercase();
        let message = if NOT_SIMULATED.contains(&known.as_str()) {
            format!("unexpected token: '{shown}': the simulator has no {known}")
        } else {
            format!("unexpected token: '{shown}'")
        };
        malformed(self.query, self.place(), &message)
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

    fn needs(&mut self, wanted: &str) -> Result<(), ApiError> {
        if self.has(wanted) {
            Ok(())
        } else {
            Err(self.unexpected())
        }
    }

    fn needs_sign(&mut self, wanted: &'static str) -> Result<(), ApiError> {
        if self.sign(wanted) {
            Ok(())
        } else {
            Err(self.unexpected())
        }
    }

    fn word(&mut self) -> Result<Place<String>, ApiError> {
        let at = self.place();
        match self.peek() {
            Some(Token::Word(word)) => {
                let is = word.clone();
                self.at += 1;
                Ok(Place { at, is })
            }
            _ => Err(self.unexpected()),
        }
    }

    fn name(&mut self) -> Result<Place<String>, ApiError> {
        const WORDS: [&str; 8] = [
            "SELECT", "FROM", "WHERE", "ORDER", "LIMIT", "OFFSET", "AND", "OR",
        ];
        let name = self.word()?;
        let is_word = |word: &&str| name.is.eq_ignore_ascii_case(word);
        if WORDS.iter().any(is_word) || name.is.starts_with(|c: char| !c.is_alphabetic()) {
            self.at -= 1;
            return Err(self.unexpected());
        }
        Ok(name)
    }

    fn number(&mut self) -> Result<usize, ApiError> {
        let word = self.word()?;
        word.is.parse().map_err(|_| {
            self.at -= 1;
            self.unexpected()
        })
    }

    fn select(&mut self) -> Result<Select, ApiError> {
        self.needs("SELECT")?;
        let mut what = vec![self.item()?];
        while self.sign(",") {
            what.push(self.item()?);
        }
        self.needs("FROM")?;
        let object = self.name()?;
        let alias = self.alias()?;
        let filter = if self.has("WHERE") {
            Some(self.conditions()?)
        } else {
            None
        };
        if self.has("WITH") {
            let found = ["SECURITY_ENFORCED", "USER_MODE", "SYSTEM_MODE"];
            if !found.iter().any(|mode| self.has(mode)) {
                return Err(self.unexpected());
            }
        }
        let mut group = Vec::new();
        if self.has("GROUP") {
            self.needs("BY")?;
            group.push(self.name()?);
            while self.sign(",") {
                group.push(self.name()?);
            }
        }
        Ok(Select {
            what,
            object,
            alias,
            filter,
            group,
            order: self.order()?,
            limit: self.has("LIMIT").then(|| self.number()).transpose()?,
            offset: self.has("OFFSET").then(|| self.number()).transpose()?,
        })
    }

    /// A name of the object within the query, if it has one.
    fn alias(&mut self) -> Result<Option<String>, ApiError> {
        const NEXT: [&str; 6] = ["WHERE", "WITH", "GROUP", "ORDER", "LIMIT", "OFFSET"];
        let follows = |word: &String| {
            let word = word.to_ascii_uppercase();
            NEXT.contains(&word.as_str()) || NOT_SIMULATED.contains(&word.as_str())
        };
        match self.peek() {
            Some(Token::Word(word)) if !follows(word) => Ok(Some(self.name()?.is)),
            _ => Ok(None),
        }
    }

    fn item(&mut self) -> Result<Item, ApiError> {
        let name = self.name()?;
        if !self.sign("(") {
            return Ok(Item::Field(name));
        }
        let upper = name.is.to_ascii_uppercase();
        if upper == "COUNT" && self.sign(")") {
            return Ok(Item::Count);
        }
        if let Some(function) = Function::named(&upper) {
            let field = self.name()?;
            self.needs_sign(")")?;
            let alias = match self.peek() {
                Some(Token::Word(word)) if !word.eq_ignore_ascii_case("FROM") => {
                    Some(self.name()?.is)
                }
                _ => None,
            };
            return Ok(Item::Total(function, field, alias));
        }
        let item = match upper.as_str() {
            "FIELDS" => Item::Fields(self.word()?),
            function => {
                let message = format!("the simulator has no function {function}");
                return Err(malformed(self.query, name.at, &message));
            }
        };
        self.needs_sign(")")?;
        Ok(item)
    }

    fn order(&mut self) -> Result<Vec<OrderBy>, ApiError> {
        let mut order = Vec::new();
        if !self.has("ORDER") {
            return Ok(order);
        }
        self.needs("BY")?;
        loop {
            let mut field = self.name()?;
            let mut function = None;
            if self.sign("(") {
                function = Function::named(&field.is.to_ascii_uppercase());
                if function.is_none() {
                    self.at -= 2;
                    return Err(self.unexpected());
                }
                field = self.name()?;
                self.needs_sign(")")?;
            }
            let down = self.has("DESC");
            if !down {
                self.has("ASC");
            }
            let nulls_last = self.has("NULLS") && {
                let last = self.has("LAST");
                if !last {
                    self.needs("FIRST")?;
                }
                last
            };
            order.push(OrderBy {
                function,
                field,
                down,
                nulls_last,
            });
            if !self.sign(",") {
                return Ok(order);
            }
        }
    }

    /// Conditions that are all joined by `AND`, or all by `OR`: a mix needs parentheses.
    fn conditions(&mut self) -> Result<Filter, ApiError> {
        let mut parts = vec![self.condition()?];
        if self.has("AND") {
            parts.push(self.condition()?);
            while self.has("AND") {
                parts.push(self.condition()?);
            }
            return Ok(Filter::All(parts));
        }
        while self.has("OR") {
            parts.push(self.condition()?);
        }
        Ok(Filter::Any(parts))
    }

    fn condition(&mut self) -> Result<Filter, ApiError> {
        if self.depth > MAX_DEPTH {
            let message = format!("conditions are more than {MAX_DEPTH} levels deep");
            return Err(malformed(self.query, self.place(), &message));
        }
        self.depth += 1;
        let condition = self.one_condition();
        self.depth -= 1;
        condition
    }

    fn one_condition(&mut self) -> Result<Filter, ApiError> {
        if self.has("NOT") {
            return Ok(Filter::Not(Box::new(self.condition()?)));
        }
        if self.sign("(") {
            let inner = self.conditions()?;
            self.needs_sign(")")?;
            return Ok(inner);
        }
        let field = self.name()?;
        let not = |filter| Filter::Not(Box::new(filter));
        if self.has("NOT") {
            self.needs("IN")?;
            return Ok(not(Filter::In(field, self.list()?)));
        }
        if self.has("IN") {
            return Ok(Filter::In(field, self.list()?));
        }
        if self.has("LIKE") {
            return Ok(Filter::Like(field, self.pattern()?));
        }
        if self.has("INCLUDES") {
            return Ok(Filter::Includes(field, self.texts()?));
        }
        if self.has("EXCLUDES") {
            return Ok(not(Filter::Includes(field, self.texts()?)));
        }
        let order = match self.peek() {
            Some(Token::Sign("=")) => None,
            Some(Token::Sign("!=" | "<>")) => {
                self.at += 1;
                return Ok(not(Filter::In(field, vec![self.literal()?])));
            }
            Some(Token::Sign("<")) => Some(Order::Less),
            Some(Token::Sign("<=")) => Some(Order::LessOrEqual),
            Some(Token::Sign(">")) => Some(Order::More),
            Some(Token::Sign(">=")) => Some(Order::MoreOrEqual),
            _ => return Err(self.unexpected()),
        };
        self.at += 1;
        let value = self.literal()?;
        Ok(match order {
            None => Filter::In(field, vec![value]),
            Some(order) => Filter::Compare(field, order, value),
        })
    }

    fn list(&mut self) -> Result<Vec<Literal>, ApiError> {
        self.needs_sign("(")?;
        let mut values = vec![self.literal()?];
        while self.sign(",") {
            values.push(self.literal()?);
        }
        self.needs_sign(")")?;
        Ok(values)
    }

    fn texts(&mut self) -> Result<Vec<String>, ApiError> {
        let first = self.at;
        let texts = self.list()?.into_iter().map(|value| match value {
            Literal::Text(text) => Some(text),
            Literal::Bare(_) => None,
        });
        texts.collect::<Option<_>>().ok_or_else(|| {
            self.at = first + 1;
            self.unexpected()
        })
    }

    fn pattern(&mut self) -> Result<Vec<Letter>, ApiError> {
        match self.peek() {
            Some(Token::Text(text)) => {
                let found = letters(text, true).map_err(|escape| self.bad_escape(&escape))?;
                self.at += 1;
                Ok(found)
            }
            _ => Err(self.unexpected()),
        }
    }

    fn literal(&mut self) -> Result<Literal, ApiError> {
        let literal = match self.peek() {
            Some(Token::Text(text)) => {
                let found = letters(text, false).map_err(|escape| self.bad_escape(&escape))?;
                let plain = found.into_iter().map(|letter| match letter {
                    Letter::Plain(letter) => letter,
                    Letter::Any => '%',
                    Letter::One => '_',
                });
                Literal::Text(plain.collect())
            }
            Some(Token::Word(word)) => Literal::Bare(word.clone()),
            _ => return Err(self.unexpected()),
        };
        self.at += 1;
        Ok(literal)
    }

    fn bad_escape(&self, escape: &str) -> ApiError {
        let message = format!(
            "Invalid string literal: Illegal character sequence '\\{escape}' in string literal"
        );
        malformed(self.query, self.place(), &message)
    }
}

#[cfg(test)]
mod tests;
