//! Whether a record is one that a query asks for.

use std::cmp::Ordering;
use std::collections::HashSet;

use chrono::{DateTime, Days, NaiveDate, NaiveTime, Utc};

use super::Names;
use super::dates;
use super::parents::Columns;
use super::parse::{Filter, Literal, Order, Place};
use super::tokens::Letter;
use crate::error::ApiError;
use crate::org::records::Record;
use crate::org::{Field, Kind, id, value};

/// The longest text field that can be filtered.
const MAX_FILTERED: usize = 255;

/// A value in the form in which values of a field are compared.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Key {
    Text(String),
    Number(f64),
    Flag(bool),
    /// Milliseconds from 1970 of a moment, or of the begin of a day.
    Time(i64),
}

impl Key {
    /// The key of a text that a field holds; nothing if the field cannot hold it.
    pub(super) fn of(field: &Field, text: &str) -> Option<Key> {
        Key::of_kind(field, field.kind, text)
    }

    /// The key of a text that was made of a field's values, and is of this type.
    pub(super) fn of_kind(field: &Field, kind: Kind, text: &str) -> Option<Key> {
        Some(match kind {
            _ if field.multiple => {
                let mut chosen = choices(text);
                chosen.sort_unstable();
                Key::Text(chosen.join(";"))
            }
            Kind::Id | Kind::Reference => Key::Text(id::normal(text)?),
            Kind::Boolean => Key::Flag(value::boolean(text)?),
            Kind::Int | Kind::Long | Kind::Double => Key::Number(
                text.parse()
                    .ok()
                    .filter(|number: &f64| number.is_finite())?,
            ),
            Kind::DateTime => Key::Time(value::date_time(text)?.timestamp_millis()),
            Kind::Date if value::is_date(text) => Key::Time(begin(text.parse().ok()?)),
            Kind::Date => return None,
            Kind::Time => Key::Text(value::time(text)?.to_string()),
            Kind::Base64 => Key::Text(text.to_owned()),
            Kind::Text | Kind::Email if field.case_sensitive => Key::Text(text.to_owned()),
            Kind::Text | Kind::Email => Key::Text(text.to_lowercase()),
        })
    }

    pub(super) fn compare(&self, other: &Key) -> Ordering {
        match (self, other) {
            (Key::Text(a), Key::Text(b)) => a.cmp(b),
            (Key::Number(a), Key::Number(b)) => a.total_cmp(b),
            (Key::Flag(a), Key::Flag(b)) => a.cmp(b),
            (Key::Time(a), Key::Time(b)) => a.cmp(b),
            // Not met: both are keys of one field.
            _ => Ordering::Equal,
        }
    }
}

/// The milliseconds from 1970 to the begin of a day.
fn begin(day: NaiveDate) -> i64 {
    day.and_time(NaiveTime::MIN).and_utc().timestamp_millis()
}

/// What a value is compared with.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Wanted {
    Null,
    One(Key),
    /// Milliseconds from the first to the one after the last.
    Range(i64, i64),
}

impl Wanted {
    /// How a value lies to it: within it is equal.
    fn order(&self, found: &Key) -> Option<Ordering> {
        match (self, found) {
            (Wanted::Null, _) => None,
            (Wanted::One(key), found) => Some(found.compare(key)),
            (Wanted::Range(first, end), Key::Time(found)) => Some(if found < first {
                Ordering::Less
            } else if found < end {
                Ordering::Equal
            } else {
                Ordering::Greater
            }),
            (Wanted::Range(..), _) => None,
        }
    }
}

/// Values of which a field is to have one.
#[derive(Debug)]
pub(super) struct Values {
    list: Vec<Wanted>,
    /// The texts among them.
    texts: HashSet<String>,
    /// All are texts.
    is_texts: bool,
}

impl Values {
    fn new(list: Vec<Wanted>) -> Values {
        let text = |value: &Wanted| match value {
            Wanted::One(Key::Text(text)) => Some(text.clone()),
            _ => None,
        };
        let texts: Vec<String> = list.iter().filter_map(text).collect();
        Values {
            is_texts: texts.len() == list.len(),
            texts: texts.into_iter().collect(),
            list,
        }
    }

    pub(super) fn list(&self) -> &[Wanted] {
        &self.list
    }

    fn has(&self, found: Option<&Key>) -> bool {
        match found {
            None => self.list.contains(&Wanted::Null),
            Some(Key::Text(text)) if self.is_texts => self.texts.contains(text),
            Some(found) => {
                let mut values = self.list.iter();
                values.any(|value| value.order(found) == Some(Ordering::Equal))
            }
        }
    }
}

/// A filter whose fields and values were checked.
#[derive(Debug)]
pub(super) enum Checked {
    All(Vec<Checked>),
    Any(Vec<Checked>),
    Not(Box<Checked>),
    In(usize, Values),
    Compare(usize, Order, Wanted),
    Like(usize, Vec<Letter>),
    /// Lists of values of a multipicklist, in lower case.
    Includes(usize, Vec<Vec<String>>),
}

/// Checks a filter.
///
/// # Errors
/// `INVALID_FIELD` and `INVALID_QUERY_FILTER_OPERATOR`.
pub(super) fn check(names: &mut Names<'_>, filter: &Filter) -> Result<Checked, ApiError> {
    let mut all = |parts: &[Filter]| {
        let parts = parts.iter().map(|part| check(names, part));
        parts.collect::<Result<Vec<_>, _>>()
    };
    let today = Utc::now();
    Ok(match filter {
        Filter::All(parts) => Checked::All(all(parts)?),
        Filter::Any(parts) => Checked::Any(all(parts)?),
        Filter::Not(part) => Checked::Not(Box::new(check(names, part)?)),
        Filter::In(name, values) => {
            let field = filtered(names, name)?;
            let values = values
                .iter()
                .map(|value| wanted(names, name, field, value, today));
            Checked::In(field, Values::new(values.collect::<Result<_, _>>()?))
        }
        Filter::Compare(name, order, value) => {
            let field = filtered(names, name)?;
            let described = names.columns().field(field);
            if described.kind == Kind::Boolean || described.multiple {
                return Err(bad_operator(names, name, described));
            }
            Checked::Compare(field, *order, wanted(names, name, field, value, today)?)
        }
        Filter::Like(name, pattern) => {
            let field = filtered(names, name)?;
            let described = names.columns().field(field);
            if !matches!(described.kind, Kind::Text | Kind::Email) || described.multiple {
                return Err(bad_operator(names, name, described));
            }
            let lower = pattern.iter().flat_map(|letter| match letter {
                Letter::Plain(letter) => letter.to_lowercase().map(Letter::Plain).collect(),
                wildcard => vec![*wildcard],
            });
            Checked::Like(field, lower.collect())
        }
        Filter::Includes(name, values) => {
            let field = names.field(name)?;
            if !names.columns().field(field).multiple {
                let message = "includes or excludes operator only valid on multipicklist field";
                return Err(names.error(name.at, "INVALID_FIELD", message));
            }
            Checked::Includes(field, values.iter().map(|list| choices(list)).collect())
        }
    })
}

/// The chosen values of a multipicklist, in lower case.
fn choices(list: &str) -> Vec<String> {
    list.split(';')
        .map(|choice| choice.trim().to_lowercase())
        .collect()
}

fn bad_operator(names: &Names<'_>, name: &Place<String>, field: &Field) -> ApiError {
    let kind = match (field.multiple, field.kind) {
        (true, _) => "multipicklist",
        (_, Kind::Reference | Kind::Id) => "id",
        (_, kind) => short_type(kind),
    };
    let message = format!("invalid operator on {kind} field");
    names.error(name.at, "INVALID_QUERY_FILTER_OPERATOR", &message)
}

/// `dateTime` of `xsd:dateTime`.
fn short_type(kind: Kind) -> &'static str {
    kind.soap().rsplit(':').next().unwrap_or_default()
}

fn filtered(names: &mut Names<'_>, name: &Place<String>) -> Result<usize, ApiError> {
    let index = names.field(name)?;
    let field = names.columns().field(index);
    if is_long(field) {
        let message = format!("field '{}' can not be filtered in a query call", field.name);
        return Err(names.error(name.at, "INVALID_FIELD", &message));
    }
    Ok(index)
}

/// Whether a field can be neither filtered nor ordered by.
pub(super) fn is_long(field: &Field) -> bool {
    let is_text = field.kind == Kind::Text && !field.multiple;
    field.kind == Kind::Base64 || (is_text && field.length > MAX_FILTERED)
}

/// What a literal means for a field.
fn wanted(
    names: &Names<'_>,
    name: &Place<String>,
    field: usize,
    literal: &Literal,
    now: DateTime<Utc>,
) -> Result<Wanted, ApiError> {
    let field = names.columns().field(field);
    let quoted = matches!(
        field.kind,
        Kind::Text | Kind::Email | Kind::Id | Kind::Reference | Kind::Base64
    );
    let invalid = |how: &str| {
        let kind = short_type(field.kind);
        let message = format!(
            "value of filter criterion for field '{}' must be of type {kind} and should {how} \
             enclosed in quotes",
            field.name
        );
        names.error(name.at, "INVALID_FIELD", &message)
    };
    match literal {
        Literal::Bare(word) if word.eq_ignore_ascii_case("null") => match field.kind {
            Kind::Boolean => Ok(Wanted::One(Key::Flag(false))),
            _ => Ok(Wanted::Null),
        },
        Literal::Text(text) if quoted && text.is_empty() => Ok(Wanted::Null),
        Literal::Text(text) if quoted => Key::of(field, text).map(Wanted::One).ok_or_else(|| {
            let message = format!("invalid ID field: {text}");
            ApiError::new(400, "INVALID_QUERY_FILTER_OPERATOR", &message)
        }),
        Literal::Bare(word) if !quoted => bare(field, word, now).ok_or_else(|| invalid("not be")),
        Literal::Text(_) => Err(invalid("not be")),
        Literal::Bare(_) => Err(invalid("be")),
    }
}

/// What a literal without quotes means for a field.
fn bare(field: &Field, word: &str, now: DateTime<Utc>) -> Option<Wanted> {
    if matches!(field.kind, Kind::Date | Kind::DateTime)
        && let Some((first, end)) = dates::range(word, now.date_naive())
    {
        return Some(Wanted::Range(begin(first), begin(end)));
    }
    if field.kind == Kind::Boolean && !["true", "false"].contains(&word.to_lowercase().as_str()) {
        return None;
    }
    let key = Key::of(field, word)?;
    if let (Kind::Date, Key::Time(first)) = (field.kind, &key) {
        let end = DateTime::from_timestamp_millis(*first)?.checked_add_days(Days::new(1))?;
        return Some(Wanted::Range(*first, end.timestamp_millis()));
    }
    Some(Wanted::One(key))
}

impl Checked {
    /// Whether a record is one of those asked for.
    pub(super) fn holds(&self, columns: Columns<'_>, record: &Record) -> bool {
        let text = |field: &usize| record[*field].as_deref();
        let key = |field: &usize| {
            let described = columns.field(*field);
            match text(field) {
                // Of a parent that is not there, too: to a condition, a checkbox is never null.
                None if described.kind == Kind::Boolean => Some(Key::Flag(false)),
                text => text.and_then(|text| Key::of(described, text)),
            }
        };
        match self {
            Checked::All(parts) => parts.iter().all(|part| part.holds(columns, record)),
            Checked::Any(parts) => parts.iter().any(|part| part.holds(columns, record)),
            Checked::Not(part) => !part.holds(columns, record),
            Checked::In(field, values) => values.has(key(field).as_ref()),
            Checked::Compare(field, order, value) => key(field)
                .and_then(|found| value.order(&found))
                .is_some_and(|compared| match order {
                    Order::Less => compared.is_lt(),
                    Order::LessOrEqual => compared.is_le(),
                    Order::More => compared.is_gt(),
                    Order::MoreOrEqual => compared.is_ge(),
                }),
            Checked::Like(field, pattern) => text(field).is_some_and(|text| {
                let letters: Vec<char> = text.to_lowercase().chars().collect();
                is_like(pattern, &letters)
            }),
            Checked::Includes(field, lists) => text(field).is_some_and(|text| {
                let chosen = choices(text);
                let has = |list: &Vec<String>| list.iter().all(|choice| chosen.contains(choice));
                lists.iter().any(has)
            }),
        }
    }
}

/// Whether a text fits a pattern.
fn is_like(pattern: &[Letter], text: &[char]) -> bool {
    let (mut at, mut in_text) = (0, 0);
    // The last wildcard for any letters, and where in the text what follows it was tried.
    let mut retry: Option<(usize, usize)> = None;
    while in_text < text.len() {
        match pattern.get(at) {
            Some(Letter::Any) => {
                retry = Some((at, in_text));
                at += 1;
            }
            Some(Letter::One) => (at, in_text) = (at + 1, in_text + 1),
            Some(Letter::Plain(letter)) if *letter == text[in_text] => {
                (at, in_text) = (at + 1, in_text + 1);
            }
            _ => {
                let Some((any, tried)) = retry else {
                    return false;
                };
                retry = Some((any, tried + 1));
                (at, in_text) = (any + 1, tried + 1);
            }
        }
    }
    pattern[at..].iter().all(|letter| *letter == Letter::Any)
}

#[cfg(test)]
mod tests {
    use super::super::tokens::letters;
    use super::*;

    #[test]
    fn wildcards_stand_for_letters() {
        for (pattern, text, fits) in [
            ("a%", "abc", true),
            ("%c", "abc", true),
            ("%b%", "abc", true),
            ("a_c", "abc", true),
            ("a_c", "ac", false),
            ("%a%b", "xaxaxb", true),
            ("%a%b", "xaxax", false),
            ("", "", true),
            ("%", "", true),
            ("_", "", false),
            (r"100\%", "100%", true),
            (r"100\%", "1000", false),
            (r"a\_b", "axb", false),
        ] {
            let pattern_letters = letters(pattern, true).unwrap();
            let text_letters: Vec<char> = text.chars().collect();
            assert_eq!(
                is_like(&pattern_letters, &text_letters),
                fits,
                "{pattern} {text}"
            );
        }
    }
}
