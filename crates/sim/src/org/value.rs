//! Values: what each type of field accepts, and what the org stores of it.

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use chrono::{DateTime, NaiveDate, NaiveTime, SecondsFormat, Utc};

use super::number::{decimal, rounded};
use super::{Field, Kind, id};

/// Whether a value means null.
pub(crate) fn is_null(value: &str) -> bool {
    value == "#N/A"
}

/// Checks a non-empty value against its field; `column` counts from 0.
pub(crate) fn check(field: &Field, column: usize, value: &str) -> Result<(), String> {
    let Field { name, label, .. } = field;
    if let Some(code) = value.bytes().find(is_no_xml) {
        return Err(format!(
            "INVALID_FIELD:An invalid XML character (Unicode: 0x{code:x}) was found in the value \
             of {name}:{name} --"
        ));
    }
    let unreadable = |xsd: &str| {
        Err(format!(
            "INVALID_FIELD:Failed to deserialize field at col {column}. Due to, '{value}' is not \
             a valid value for the type xsd:{xsd}:{name} --"
        ))
    };
    if is_null(value) {
        if field.kind == Kind::Boolean {
            return unreadable("boolean");
        }
        return if !field.nillable {
            Err(required(&[name]))
        } else {
            Ok(())
        };
    }
    match field.kind {
        Kind::Text => text(field, value),
        Kind::Email if !is_email(value.trim()) => Err(format!(
            "INVALID_EMAIL_ADDRESS:{label}: invalid email address: {value}:{name} --"
        )),
        Kind::Email => text(field, value),
        Kind::Boolean if boolean(value).is_none() => unreadable("boolean"),
        Kind::Int | Kind::Long => integer(field, value).unwrap_or_else(unreadable),
        Kind::Double => match decimal(value) {
            None => unreadable("double"),
            Some((_, whole, _)) if exceeds(field, whole) => Err(out_of_range(field, value)),
            Some(_) => Ok(()),
        },
        Kind::Date if !is_date(value) => unreadable("date"),
        Kind::DateTime if date_time(value).is_none() => unreadable("dateTime"),
        Kind::Time if time(value).is_none() => unreadable("time"),
        Kind::Base64 if !is_base64(value) => unreadable("base64Binary"),
        Kind::Id | Kind::Reference if id::normal(value).is_none() => {
            Err(malformed_id(field, value))
        }
        _ => Ok(()),
    }
}

/// The error of a row without a value for required fields.
pub(crate) fn required(names: &[&str]) -> String {
    let (listed, marked) = (names.join(", "), names.join(" "));
    format!("REQUIRED_FIELD_MISSING:Required fields are missing: [{listed}]:{marked} --")
}

fn text(field: &Field, value: &str) -> Result<(), String> {
    let Field {
        name,
        label,
        length,
        ..
    } = field;
    let value = trim(value);
    if *length > 0 && value.len() > *length && value.encode_utf16().count() > *length {
        let value = cut(value);
        return Err(format!(
            "STRING_TOO_LONG:{label}: data value too large: {value} (max length={length}):{name} --"
        ));
    }
    let Some(allowed) = &field.restricted else {
        return Ok(());
    };
    let mut chosen = value.split(if field.multiple { ';' } else { '\0' });
    match chosen.find(|choice| !allowed.contains(*choice)) {
        None => Ok(()),
        Some(bad) => Err(bad_choice(field, bad)),
    }
}

/// The error of a value that is no Id, or the Id of another object's record.
pub(crate) fn malformed_id(Field { name, label, .. }: &Field, value: &str) -> String {
    format!("MALFORMED_ID:{label}: id value of incorrect type: {value}:{name} --")
}

/// The error of a value that a restricted picklist, or a record type, does not have.
pub(crate) fn bad_choice(Field { name, label, .. }: &Field, value: &str) -> String {
    format!(
        "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST:{label}: bad value for restricted picklist \
         field: {value}:{name} --"
    )
}

/// The first characters of a long value, which an error quotes.
fn cut(value: &str) -> &str {
    value
        .char_indices()
        .nth(255)
        .map_or(value, |(end, _)| &value[..end])
}

fn is_email(value: &str) -> bool {
    let Some((user, host)) = value.rsplit_once('@') else {
        return false;
    };
    let good = |letter: char| !letter.is_whitespace() && !"(),:;<>[]\\@\"".contains(letter);
    let labels = host.split('.');
    !user.is_empty()
        && user.chars().all(good)
        && host.contains('.')
        && labels.clone().all(|label| {
            !label.is_empty() && label.chars().all(|c| c.is_alphanumeric() || c == '-')
        })
}

/// Whether a byte cannot be in XML, which Salesforce makes of every row.
fn is_no_xml(byte: &u8) -> bool {
    *byte < b' ' && !matches!(byte, b'\t' | b'\n' | b'\r')
}

/// Whether a value is a date, `YYYY-MM-DD` and nothing else.
pub(crate) fn is_date(value: &str) -> bool {
    value.len() == 10
        && value
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'-')
        && !value.starts_with('-')
        && NaiveDate::parse_from_str(value, "%Y-%m-%d").is_ok()
}

pub(crate) fn boolean(value: &str) -> Option<bool> {
    let is = |known: &str| value.eq_ignore_ascii_case(known);
    if is("true") || value == "1" {
        Some(true)
    } else if is("false") || value == "0" {
        Some(false)
    } else {
        None
    }
}

/// Checks a whole number. The outer error is the type that the value cannot be read as.
fn integer(field: &Field, value: &str) -> Result<Result<(), String>, &'static str> {
    let Field { name, label, .. } = field;
    let xsd = if field.kind == Kind::Int {
        "int"
    } else {
        "long"
    };
    let digits = value.strip_prefix(['-', '+']).unwrap_or(value);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return match decimal(value) {
            Some(_) => Ok(Err(format!(
                "INVALID_TYPE_ON_FIELD_IN_RECORD:{label}: value not of required type: \
                 {value}:{name} --"
            ))),
            None => Err(xsd),
        };
    }
    let number = value.parse::<i64>();
    let fits = match field.kind {
        Kind::Int => number.is_ok_and(|number| i32::try_from(number).is_ok()),
        _ => number.is_ok(),
    };
    let significant = digits.trim_start_matches('0').len();
    if !fits || (field.digits > 0 && significant > field.digits) {
        return Ok(Err(out_of_range(field, value)));
    }
    Ok(Ok(()))
}

fn out_of_range(Field { name, label, .. }: &Field, value: &str) -> String {
    format!(
        "NUMBER_OUTSIDE_VALID_RANGE:{label}: value outside of valid range on numeric field: \
         {value}:{name} --"
    )
}

fn exceeds(field: &Field, whole_digits: usize) -> bool {
    field.precision > 0 && whole_digits > field.precision.saturating_sub(field.scale)
}

/// A moment as JSON and results have it, with its offset.
pub(crate) fn with_offset(moment: DateTime<Utc>) -> String {
    moment.format("%Y-%m-%dT%H:%M:%S%.3f+0000").to_string()
}

pub(crate) fn date_time(value: &str) -> Option<DateTime<Utc>> {
    if value.as_bytes().get(10) != Some(&b'T') || value.ends_with('z') {
        return None;
    }
    // RFC 3339 wants a colon in the offset; Salesforce's own texts come without (`+0000`).
    let offset = value
        .len()
        .checked_sub(5)
        .and_then(|at| value.split_at_checked(at));
    let with_colon = match offset {
        Some((moment, offset)) if offset.starts_with(['+', '-']) => {
            format!("{moment}{}:{}", &offset[..3], &offset[3..])
        }
        _ => value.to_owned(),
    };
    DateTime::parse_from_rfc3339(&with_colon)
        .ok()
        .map(|moment| moment.to_utc())
}

pub(crate) fn time(value: &str) -> Option<NaiveTime> {
    let time = value.strip_suffix('Z')?;
    let is_digit = |at: usize| time.as_bytes().get(at).is_some_and(u8::is_ascii_digit);
    // chrono takes `1:2:3` too.
    if ![0, 1, 3, 4, 6, 7].into_iter().all(is_digit) {
        return None;
    }
    NaiveTime::parse_from_str(time, "%H:%M:%S%.f").ok()
}

fn is_base64(value: &str) -> bool {
    let body = value.trim_end_matches('=');
    value.len().is_multiple_of(4)
        && value.len() - body.len() <= 2
        && body
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/')
}

/// Without outer blanks of ASCII; all others are content.
fn trim(value: &str) -> &str {
    value.trim_matches(|letter| letter <= ' ')
}

/// What the org stores of a valid value; nothing for null. Text without outer blanks, numbers
/// rounded to the field's scale in plain notation, booleans in lower case, moments in UTC, Ids with
/// 18 letters.
pub(crate) fn stored<'a>(field: &Field, value: &'a str) -> Option<Cow<'a, str>> {
    if is_null(value) {
        return None;
    }
    let stored: Option<Cow<'a, str>> = match field.kind {
        Kind::Text | Kind::Email => Some(trim(value).into()),
        Kind::Boolean => boolean(value).map(|flag| flag.to_string().into()),
        Kind::Int | Kind::Long => rounded(value, 0).map(Cow::from),
        Kind::Double => rounded(value, field.scale).map(Cow::from),
        Kind::DateTime => date_time(value)
            .map(|moment| moment.to_rfc3339_opts(SecondsFormat::Millis, true).into()),
        Kind::Time => time(value).map(|time| time.format("%H:%M:%S%.3fZ").to_string().into()),
        Kind::Id | Kind::Reference => id::normal(value).map(Cow::from),
        Kind::Date | Kind::Base64 => Some(value.into()),
    };
    Some(stored.unwrap_or(value.into()))
}

/// A value in the form in which keys are compared. Letter case is ignored only in fields that are
/// unique and not case-sensitive.
pub(crate) fn key<'a>(field: &Field, value: &'a str) -> Cow<'a, str> {
    let value = stored(field, value).unwrap_or_default();
    let text = matches!(field.kind, Kind::Text | Kind::Email);
    if !text || field.case_sensitive || !field.unique || !value.chars().any(char::is_uppercase) {
        value
    } else {
        value.to_lowercase().into()
    }
}
