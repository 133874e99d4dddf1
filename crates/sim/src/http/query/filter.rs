//! Whether a record is one that a query asks for.

use std::collections::BTreeMap;

use super::soql::{Filter, Literal, Order};
use crate::error::ApiError;
use crate::org::{Field, Kind, Object, id, value};

/// The longest text field that can be filtered.
const MAX_FILTERED: usize = 255;

/// A record: the text of each field that has a value.
pub(super) type Record = BTreeMap<usize, String>;

/// A filter whose fields and values were checked.
#[derive(Debug)]
pub(super) enum Checked {
    All(Vec<Checked>),
    Any(Vec<Checked>),
    Not(Box<Checked>),
    /// None stands for null.
    In(usize, Vec<Option<String>>),
    Compare(usize, Order, String),
}

/// Finds a field.
///
/// # Errors
/// `INVALID_FIELD`.
pub(super) fn field(object: &Object, name: &str) -> Result<usize, ApiError> {
    object.field(name).ok_or_else(|| {
        let message = format!(
            "No such column '{name}' on entity '{}'. If you are attempting to use a custom field, \
             be sure to append the '__c' after the custom field name.",
            object.name
        );
        ApiError::new(400, "INVALID_FIELD", &message)
    })
}

/// Checks a filter.
///
/// # Errors
/// `INVALID_FIELD` and `INVALID_QUERY_FILTER_OPERATOR`.
pub(super) fn check(object: &Object, filter: &Filter) -> Result<Checked, ApiError> {
    let all = |parts: &[Filter]| {
        let parts = parts.iter().map(|part| check(object, part));
        parts.collect::<Result<Vec<_>, _>>()
    };
    Ok(match filter {
        Filter::All(parts) => Checked::All(all(parts)?),
        Filter::Any(parts) => Checked::Any(all(parts)?),
        Filter::Not(part) => Checked::Not(Box::new(check(object, part)?)),
        Filter::In(name, values) => {
            let field = filtered(object, name)?;
            let described = &object.fields[field];
            let values = values.iter().map(|value| literal(described, value));
            Checked::In(field, values.collect::<Result<_, _>>()?)
        }
        Filter::Compare(name, order, value) => {
            let field = filtered(object, name)?;
            let value = literal(&object.fields[field], value)?;
            Checked::Compare(field, *order, value.unwrap_or_default())
        }
    })
}

fn filtered(object: &Object, name: &str) -> Result<usize, ApiError> {
    let index = field(object, name)?;
    let described = &object.fields[index];
    if described.kind == Kind::Text && described.length > MAX_FILTERED {
        let message = format!(
            "field '{}' can not be filtered in a query call",
            described.name
        );
        return Err(ApiError::new(400, "INVALID_FIELD", &message));
    }
    Ok(index)
}

/// A value in the form in which values of a field are compared; none for null.
fn literal(field: &Field, value: &Literal) -> Result<Option<String>, ApiError> {
    let quoted = matches!(
        field.kind,
        Kind::Text | Kind::Email | Kind::Id | Kind::Reference | Kind::Base64
    );
    let invalid = |how: &str| {
        let kind = field.kind.soap().rsplit(':').next().unwrap_or_default();
        let message = format!(
            "value of filter criterion for field '{}' must be of type {kind} and should {how} \
             enclosed in quotes",
            field.name
        );
        ApiError::new(400, "INVALID_FIELD", &message)
    };
    match value {
        Literal::Bare(word) if word.eq_ignore_ascii_case("null") => Ok(None),
        Literal::Text(text) if text.is_empty() => Ok(None),
        Literal::Text(text) if quoted => normal(field, text).map(Some).ok_or_else(|| {
            let message = format!("invalid ID field: {text}");
            ApiError::new(400, "INVALID_QUERY_FILTER_OPERATOR", &message)
        }),
        Literal::Bare(word) if !quoted => normal(field, word)
            .map(Some)
            .ok_or_else(|| invalid("not be")),
        Literal::Text(_) => Err(invalid("not be")),
        Literal::Bare(_) => Err(invalid("be")),
    }
}

/// A value in the form in which it is compared; nothing if the field cannot have it.
fn normal(field: &Field, text: &str) -> Option<String> {
    match field.kind {
        Kind::Id | Kind::Reference => id::normal(text),
        Kind::Boolean => value::boolean(text).map(|flag| flag.to_string()),
        Kind::Int | Kind::Long | Kind::Double => {
            text.parse::<f64>().ok().map(|number| number.to_string())
        }
        Kind::DateTime => value::date_time(text).map(|moment| moment.to_rfc3339()),
        Kind::Date => value::is_date(text).then(|| text.to_owned()),
        Kind::Time | Kind::Base64 => Some(text.to_owned()),
        Kind::Text | Kind::Email if field.case_sensitive => Some(text.to_owned()),
        Kind::Text | Kind::Email => Some(text.to_lowercase()),
    }
}

impl Checked {
    /// Whether a record is one of those asked for.
    pub(super) fn holds(&self, object: &Object, record: &Record) -> bool {
        let of = |field: &usize| {
            let text = record.get(field)?;
            normal(&object.fields[*field], text)
        };
        match self {
            Checked::All(parts) => parts.iter().all(|part| part.holds(object, record)),
            Checked::Any(parts) => parts.iter().any(|part| part.holds(object, record)),
            Checked::Not(part) => !part.holds(object, record),
            Checked::In(field, values) => values.contains(&of(field)),
            Checked::Compare(field, order, value) => of(field).is_some_and(|found| {
                let numbers = found.parse::<f64>().ok().zip(value.parse::<f64>().ok());
                let compared = match numbers {
                    Some((found, value)) => found.total_cmp(&value),
                    None => found.cmp(value),
                };
                match order {
                    Order::Less => compared.is_lt(),
                    Order::LessOrEqual => compared.is_le(),
                    Order::More => compared.is_gt(),
                    Order::MoreOrEqual => compared.is_ge(),
                }
            }),
        }
    }
}
