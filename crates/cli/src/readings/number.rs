//! Numbers: which of point and comma stands before the fraction.

use super::Kind;
use crate::spec::DecimalMark;

const CURRENCIES: [&str; 33] = [
    "€", "$", "£", "¥", "₹", "₽", "₩", "₺", "₪", "zł", "kr", "EUR", "USD", "GBP", "CHF", "JPY",
    "CNY", "INR", "CAD", "AUD", "NZD", "SEK", "NOK", "DKK", "PLN", "CZK", "HUF", "RON", "BRL",
    "MXN", "ZAR", "SGD", "HKD",
];

/// What was seen of a column.
#[derive(Debug)]
pub(super) struct Tally {
    kind: Kind,
    /// Examples: a number only with a point, only with a comma, with both but not the same one.
    point: Option<String>,
    comma: Option<String>,
    differ: Option<String>,
    /// The first value that the engine does not take as it is.
    dressed: Option<String>,
    currencies: Vec<&'static str>,
}

/// How a column is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reading {
    kind: Kind,
    mark: DecimalMark,
    /// The sign that amounts may have.
    currency: Option<&'static str>,
}

impl Tally {
    pub(super) fn new(kind: Kind) -> Self {
        Self {
            kind,
            point: None,
            comma: None,
            differ: None,
            dressed: None,
            currencies: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, text: &str) {
        if text.bytes().all(|byte| byte.is_ascii_digit()) {
            return;
        }
        let Some(bare) = Bare::of(text, self.kind) else {
            return;
        };
        let [point, comma] =
            [DecimalMark::Point, DecimalMark::Comma].map(|mark| bare.read(mark, self.kind));
        if let Some(currency) = bare.currency
            && (point.is_some() || comma.is_some())
            && !self.currencies.contains(&currency)
        {
            self.currencies.push(currency);
        }
        let example = match (&point, &comma) {
            (Some(point), Some(comma)) if point == comma => None,
            (Some(_), Some(_)) => Some(&mut self.differ),
            (Some(_), None) => Some(&mut self.point),
            (None, Some(_)) => Some(&mut self.comma),
            (None, None) => return,
        };
        if let Some(example) = example {
            example.get_or_insert_with(|| text.to_owned());
        }
        if !is_canonical(text) {
            self.dressed.get_or_insert_with(|| text.to_owned());
        }
    }

    /// The reading with a sentence about it; none if the engine takes all values as they are.
    pub(super) fn finish(
        self,
        asked: Option<DecimalMark>,
    ) -> Result<Option<(Reading, String)>, String> {
        let mark = match (&self.point, &self.comma, &self.differ, asked) {
            (Some(text), None, Some(_), Some(DecimalMark::Comma)) => {
                return Err(overruled(text, "comma", "point"));
            }
            (None, Some(text), Some(_), Some(DecimalMark::Point)) => {
                return Err(overruled(text, "point", "comma"));
            }
            (Some(_), None, ..) => DecimalMark::Point,
            (None, Some(_), ..) => DecimalMark::Comma,
            (Some(_), Some(_), _, Some(asked)) | (None, None, Some(_), Some(asked)) => asked,
            (None, None, None, _) => DecimalMark::Point,
            (Some(point), Some(comma), _, None) => {
                return Err(format!(
                    "{point} has a decimal point and {comma} a decimal comma; say which one the column \
                     has with --decimal point or --decimal comma"
                ));
            }
            (None, None, Some(both), None) => return Err(self.both(both)),
        };
        let currency = match self.currencies.as_slice() {
            [one] => Some(*one),
            _ => None,
        };
        let reading = Reading {
            kind: self.kind,
            mark,
            currency,
        };
        let changed = [&self.dressed, &self.comma, &self.differ];
        let example = changed.into_iter().flatten().find_map(|text| {
            let read = reading.apply(text)?;
            Some(format!("{text} is {read}"))
        });
        let Some(example) = example else {
            return Ok(None);
        };
        let numbers = match (self.kind, mark) {
            (Kind::Whole, _) => "whole numbers",
            (_, DecimalMark::Point) => "numbers with a decimal point",
            (_, DecimalMark::Comma) => "numbers with a decimal comma",
        };
        let sign = currency
            .map(|sign| format!(" and the sign {sign}"))
            .unwrap_or_default();
        Ok(Some((reading, format!("{numbers}{sign}; {example}"))))
    }

    fn both(&self, text: &str) -> String {
        let read = |mark| {
            let read = Bare::of(text, self.kind).and_then(|bare| bare.read(mark, self.kind));
            read.unwrap_or_default()
        };
        format!(
            "{text} may be {} or {}, and no value of the column settles it; say --decimal point or \
             --decimal comma",
            read(DecimalMark::Point),
            read(DecimalMark::Comma)
        )
    }
}

/// What is wrong with a flag that does not fit, where the other mark fits all values.
fn overruled(text: &str, asked: &str, fits: &str) -> String {
    format!(
        "{text} is no number by --decimal {asked}, and all values of the column are by --decimal {fits}; \
         leave the flag out or change it, or convert this column with --sql"
    )
}

impl Reading {
    /// The number as the engine takes it; none if it stays as it is.
    pub(super) fn apply(self, text: &str) -> Option<String> {
        if text.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let read = |mark| {
            let bare = Bare::of(text, self.kind)?;
            let known = bare.currency.is_none() || bare.currency == self.currency;
            bare.read(mark, self.kind).filter(|_| known)
        };
        match (self.mark, read(self.mark)) {
            (DecimalMark::Point, Some(_)) if is_canonical(text) => None,
            (_, Some(number)) => Some(number),
            // The engine would read the point as one before a fraction. In quotes it is no number to
            // it, and the record is rejected.
            (DecimalMark::Comma, None) if read(DecimalMark::Point).is_some() => {
                Some(format!("\"{text}\""))
            }
            (_, None) => None,
        }
    }
}

/// Whether the engine reads the text as people do who write points.
fn is_canonical(text: &str) -> bool {
    text.bytes()
        .all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b'+' | b'e' | b'E'))
        && !text.ends_with('-')
}

/// A number without what stands around it.
struct Bare<'a> {
    negative: bool,
    currency: Option<&'static str>,
    digits: &'a str,
}

impl<'a> Bare<'a> {
    fn of(text: &'a str, kind: Kind) -> Option<Self> {
        let mut bare = Self {
            negative: false,
            currency: None,
            digits: text.trim(),
        };
        let mut signed = false;
        if let Some(inside) = bare
            .digits
            .strip_prefix('(')
            .and_then(|rest| rest.strip_suffix(')'))
        {
            (bare.digits, bare.negative, signed) = (inside.trim(), true, true);
        }
        if kind == Kind::Percent
            && let Some(rest) = bare.digits.strip_suffix('%')
        {
            bare.digits = rest.trim_end();
        }
        // A sign stands before or after that of the currency, or at the end.
        for _ in 0..3 {
            let digits = bare.digits;
            if let Some((rest, minus)) = sign(digits) {
                if signed {
                    return None;
                }
                (bare.digits, bare.negative, signed) = (rest.trim(), minus, true);
            } else if let Some((rest, currency)) = currency(digits) {
                if bare.currency.is_some() {
                    return None;
                }
                (bare.digits, bare.currency) = (rest.trim(), Some(currency));
            }
        }
        Some(bare)
    }

    /// The number with this mark before its fraction, as the engine takes it.
    fn read(&self, mark: DecimalMark, kind: Kind) -> Option<String> {
        let (point, group) = match mark {
            DecimalMark::Point => ('.', ','),
            DecimalMark::Comma => (',', '.'),
        };
        let (mantissa, exponent) = match self.digits.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, Some(exponent)),
            None => (self.digits, None),
        };
        let (whole, fraction) = mantissa.split_once(point).unwrap_or((mantissa, ""));
        if whole.is_empty() && fraction.is_empty() || !is_digits(fraction) {
            return None;
        }
        let whole = match exponent {
            Some(exponent) if is_digits(whole) && is_exponent(exponent) => whole.to_owned(),
            Some(_) => return None,
            None => ungroup(whole, group)?,
        };
        if kind == Kind::Whole && exponent.is_none() && fraction.bytes().any(|digit| digit != b'0')
        {
            return None;
        }
        let mut out = String::with_capacity(self.digits.len() + 2);
        out.push_str(if self.negative { "-" } else { "" });
        out.push_str(if whole.is_empty() { "0" } else { &whole });
        if !fraction.is_empty() {
            out.push('.');
            out.push_str(fraction);
        }
        if let Some(exponent) = exponent {
            out.push('e');
            out.push_str(exponent);
        }
        Some(out)
    }
}

/// A text without its sign, and whether that is minus.
fn sign(text: &str) -> Option<(&str, bool)> {
    let minus = ['-', '\u{2212}'];
    let negative = text
        .strip_prefix(minus)
        .or_else(|| text.strip_suffix(minus));
    match negative {
        Some(rest) => Some((rest, true)),
        None => text.strip_prefix('+').map(|rest| (rest, false)),
    }
}

fn currency(text: &str) -> Option<(&str, &'static str)> {
    if text
        .bytes()
        .all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b','))
    {
        return None;
    }
    CURRENCIES.into_iter().find_map(|currency| {
        let rest = text
            .strip_prefix(currency)
            .or_else(|| text.strip_suffix(currency));
        rest.map(|rest| (rest, currency))
    })
}

/// Digits in groups of thousands -> digits.
fn ungroup(text: &str, group: char) -> Option<String> {
    let is_group = |c: char| {
        c == group
            || matches!(
                c,
                ' ' | '\u{a0}' | '\u{202f}' | '\u{2009}' | '\'' | '\u{2019}'
            )
    };
    let Some(separator) = text.chars().find(|c| is_group(*c)) else {
        return is_digits(text).then(|| text.to_owned());
    };
    let groups: Vec<&str> = text.split(separator).collect();
    let (first, rest) = groups.split_first()?;
    let (last, middle) = rest.split_last()?;
    let thousands = (1..=3).contains(&first.len()) && middle.iter().all(|group| group.len() == 3);
    // Lakh and crore.
    let hundreds = (1..=2).contains(&first.len())
        && !middle.is_empty()
        && middle.iter().all(|group| group.len() == 2);
    let digits = groups.iter().all(|group| is_digits(group));
    (digits && last.len() == 3 && !first.starts_with('0') && (thousands || hundreds))
        .then(|| groups.concat())
}

fn is_digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_exponent(text: &str) -> bool {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    !digits.is_empty() && is_digits(digits)
}
