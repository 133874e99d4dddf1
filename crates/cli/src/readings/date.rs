//! Dates, and dates with times: the order of day, month and year.

use std::fmt::Write as _;

use chrono::NaiveDate;

use super::time;
use crate::spec::DateOrder;

const ORDERS: [DateOrder; 3] = [DateOrder::Dmy, DateOrder::Mdy, DateOrder::Ymd];
/// Pairs of orders, by their places in [`ORDERS`].
const PAIRS: [(usize, usize); 3] = [(0, 1), (0, 2), (1, 2)];

/// What was seen of a column.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// The first value that admits these orders and no others: a bit each.
    examples: [Option<String>; 8],
    /// The first value that two orders read as different days, by their pair.
    differ: [Option<String>; 3],
    /// The first value that the engine does not take as it is.
    changed: Option<String>,
    two_digits: bool,
}

/// How a column is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reading {
    order: DateOrder,
}

impl Tally {
    pub(super) fn add(&mut self, text: &str) {
        if is_iso(text) {
            return;
        }
        let Some(stamp) = Stamp::parse(text) else {
            return;
        };
        let days = ORDERS.map(|order| stamp.day(order));
        let orders = days
            .iter()
            .enumerate()
            .map(|(bit, day)| usize::from(day.is_some()) << bit);
        let orders = orders.sum::<usize>();
        if orders == 0 {
            return;
        }
        for ((left, right), example) in PAIRS.into_iter().zip(&mut self.differ) {
            if days[left].is_some() && days[right].is_some() && days[left] != days[right] {
                example.get_or_insert_with(|| text.to_owned());
            }
        }
        self.two_digits |= stamp.has_two_digit_year();
        self.examples[orders].get_or_insert_with(|| text.to_owned());
        self.changed.get_or_insert_with(|| text.to_owned());
    }

    /// The reading with a sentence about it; none if the engine takes all values as they are.
    pub(super) fn finish(
        self,
        asked: Option<DateOrder>,
    ) -> Result<Option<(Reading, String)>, String> {
        let Some(changed) = &self.changed else {
            return Ok(None);
        };
        let order = self.order(asked)?;
        let reading = Reading { order };
        let examples = self.examples.iter().flatten().chain([changed]);
        let example = examples.into_iter().find_map(|text| {
            let read = reading.apply(text)?;
            Some(format!("{text} is {read}"))
        });
        let mut note =
            match self.examples[7].is_some() && self.examples[..7].iter().all(Option::is_none) {
                true => "dates".to_owned(),
                false => format!("dates, {}", words(order)),
            };
        if let Some(example) = example {
            let _ = write!(note, "; {example}");
        }
        if self.two_digits {
            note.push_str("; years of two digits are 1970 to 2029, and others are rejected");
        }
        Ok(Some((reading, note)))
    }

    fn order(&self, asked: Option<DateOrder>) -> Result<DateOrder, String> {
        let seen = self
            .examples
            .iter()
            .enumerate()
            .filter(|(_, example)| example.is_some());
        let common = seen
            .map(|(orders, _)| orders)
            .fold(7, |all, orders| all & orders);
        let fits = |place: usize| common & (1 << place) != 0;
        let candidates: Vec<usize> = (0..ORDERS.len()).filter(|place| fits(*place)).collect();
        if candidates.is_empty() {
            return asked.ok_or_else(|| self.contradiction());
        }
        if let Some(asked) = asked
            && !candidates.iter().any(|place| ORDERS[*place] == asked)
            && self.differ_by(asked, ORDERS[candidates[0]])
        {
            return Err(self.overruled(asked, ORDERS[candidates[0]]));
        }
        let differ = PAIRS
            .into_iter()
            .zip(&self.differ)
            .find_map(|((left, right), text)| {
                let text = text.as_ref().filter(|_| fits(left) && fits(right))?;
                Some((left, right, text))
            });
        let Some((left, right, text)) = differ else {
            return Ok(ORDERS[candidates[0]]);
        };
        if let Some(asked) = asked
            && candidates.iter().any(|place| ORDERS[*place] == asked)
        {
            return Ok(asked);
        }
        let read = |place: usize| {
            Reading {
                order: ORDERS[place],
            }
            .apply(text)
            .unwrap_or_default()
        };
        Err(format!(
            "{text} may be {} or {}, and no value of the column settles it; say --dates {} or --dates {}",
            read(left),
            read(right),
            flag(ORDERS[left]),
            flag(ORDERS[right])
        ))
    }

    /// Whether a value is one date in one order, and another in the other.
    fn differ_by(&self, one: DateOrder, other: DateOrder) -> bool {
        PAIRS.iter().zip(&self.differ).any(|((left, right), text)| {
            let pair = [ORDERS[*left], ORDERS[*right]];
            text.is_some() && pair.contains(&one) && pair.contains(&other)
        })
    }

    /// What is wrong with a flag that does not fit, where another order fits all values.
    fn overruled(&self, asked: DateOrder, fits: DateOrder) -> String {
        let place = ORDERS.iter().position(|order| *order == asked);
        let without = |orders: usize| place.is_some_and(|place| orders & (1 << place) == 0);
        let mut examples = self.examples.iter().enumerate();
        let example = examples.find_map(|(orders, text)| text.as_ref().filter(|_| without(orders)));
        format!(
            "{} is no date by --dates {}, and all values of the column are by --dates {}; leave the flag \
             out or change it, or convert this column with --sql",
            example.map_or("a value", String::as_str),
            flag(asked),
            flag(fits)
        )
    }

    fn contradiction(&self) -> String {
        let seen = || self.examples.iter().enumerate();
        let pairs = seen().flat_map(|left| seen().map(move |right| (left, right)));
        let apart = pairs.filter(|((left, _), (right, _))| left & right == 0);
        let mut examples =
            apart.filter_map(|((_, left), (_, right))| left.as_ref().zip(right.as_ref()));
        let (left, right) = match examples.next() {
            Some((left, right)) => (left.as_str(), right.as_str()),
            None => ("some values", "others"),
        };
        format!(
            "{left} and {right} have different orders of day and month; say --dates dmy, mdy or ymd, and \
             records of another order are rejected"
        )
    }
}

impl Reading {
    /// The date, and the time after it, as the engine takes them; none if they stay as they are.
    pub(super) fn apply(self, text: &str) -> Option<String> {
        if is_iso(text) {
            return None;
        }
        let stamp = Stamp::parse(text)?;
        let day = stamp.day(self.order)?;
        let mut out = day.format("%Y-%m-%d").to_string();
        if let Some(time) = stamp.time {
            out.push('T');
            out.push_str(&time);
        }
        Some(out)
    }
}

fn words(order: DateOrder) -> &'static str {
    match order {
        DateOrder::Dmy => "day before month",
        DateOrder::Mdy => "month before day",
        DateOrder::Ymd => "year before month before day",
    }
}

fn flag(order: DateOrder) -> &'static str {
    match order {
        DateOrder::Dmy => "dmy",
        DateOrder::Mdy => "mdy",
        DateOrder::Ymd => "ymd",
    }
}

/// Whether the text begins as dates and timestamps of ISO 8601 do: the engine judges it.
fn is_iso(text: &str) -> bool {
    let shape = |(at, byte): (usize, &u8)| match at {
        4 | 7 => *byte == b'-',
        _ => byte.is_ascii_digit(),
    };
    let Some((date, rest)) = text.as_bytes().split_at_checked(10) else {
        return false;
    };
    let time = match rest {
        [] | [b'Z' | b'z'] => true,
        [b'T' | b't' | b' ', time @ ..] => time::is_iso(time),
        _ => false,
    };
    time && date.iter().enumerate().all(shape)
}

/// A date as it was written, and its time as the engine takes it.
struct Stamp {
    date: Written,
    time: Option<String>,
}

enum Written {
    /// The values and how many digits they have.
    Numbers([(u32, usize); 3]),
    /// The month by its name: day, month, year and how many digits that has.
    Named(u32, u32, (u32, usize)),
}

impl Stamp {
    fn parse(text: &str) -> Option<Self> {
        let (date, rest) = compact(text)
            .or_else(|| numbers(text))
            .or_else(|| named(text))?;
        let clock = rest.trim_start_matches([',', 'T', 't', ' ', '\u{a0}']);
        let time = match (clock, rest) {
            ("", _) => None,
            // What follows a date stands apart from it.
            (clock, rest) if clock.len() == rest.len() => return None,
            (clock, _) => Some(time::normal(clock)?),
        };
        Some(Self { date, time })
    }

    /// The day, if the date is one in this order. Four digits first are a year in any.
    fn day(&self, order: DateOrder) -> Option<NaiveDate> {
        let (day, month, year) = match self.date {
            Written::Named(day, month, year) => (day, month, year),
            Written::Numbers([year, month, day]) if year.1 == 4 || order == DateOrder::Ymd => {
                (short(day)?, short(month)?, year)
            }
            Written::Numbers([day, month, year]) if order == DateOrder::Dmy => {
                (short(day)?, short(month)?, year)
            }
            Written::Numbers([month, day, year]) => (short(day)?, short(month)?, year),
        };
        NaiveDate::from_ymd_opt(full_year(year)?, month, day)
    }

    fn has_two_digit_year(&self) -> bool {
        match self.date {
            Written::Numbers(numbers) => numbers.iter().all(|(_, digits)| *digits < 4),
            Written::Named(_, _, (_, digits)) => digits < 4,
        }
    }
}

/// A day or a month: one or two digits.
fn short((value, digits): (u32, usize)) -> Option<u32> {
    (digits <= 2).then_some(value)
}

/// Years of two digits are of this century up to 29 and of the last one from 70; between them they
/// may be of either, as those of births and contracts are.
fn full_year((value, digits): (u32, usize)) -> Option<i32> {
    let year = match (digits, value) {
        (4, 1..) => value,
        (2, 0..=29) => 2000 + value,
        (2, 70..=99) => 1900 + value,
        _ => return None,
    };
    i32::try_from(year).ok()
}

/// Three numbers between the same marks, and what follows.
fn numbers(text: &str) -> Option<(Written, &str)> {
    let (first, rest) = number(text)?;
    let mark = rest
        .chars()
        .next()
        .filter(|c| matches!(c, '/' | '.' | '-'))?;
    let (second, rest) = number(rest.strip_prefix(mark)?.trim_start())?;
    let (third, rest) = number(rest.strip_prefix(mark)?.trim_start())?;
    let rest = rest
        .strip_prefix('.')
        .filter(|_| mark == '.')
        .unwrap_or(rest);
    Some((Written::Numbers([first, second, third]), rest))
}

/// Eight digits: `20241231`, `31122024`. No day has both its year first and its year last, if years are
/// of these two centuries.
fn compact(text: &str) -> Option<(Written, &str)> {
    if text.len() != 8 || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let part = |range: std::ops::Range<usize>| {
        let length = range.len();
        text[range].parse().ok().map(|value| (value, length))
    };
    let is_year = |(year, _): (u32, usize)| (1900..2100).contains(&year);
    let first = [part(0..4)?, part(4..6)?, part(6..8)?];
    let last = [part(0..2)?, part(2..4)?, part(4..8)?];
    let parts = if is_year(first[0]) && first[1].0 <= 12 {
        first
    } else if is_year(last[2]) {
        last
    } else {
        return None;
    };
    Some((Written::Numbers(parts), ""))
}

/// Digits that lead a text, with their count, and what follows.
fn number(text: &str) -> Option<((u32, usize), &str)> {
    let length = text.bytes().take_while(u8::is_ascii_digit).count();
    let (digits, rest) = text.split_at(length);
    let value = (1..=4).contains(&length).then(|| digits.parse().ok())??;
    Some(((value, length), rest))
}

/// `31 Dec 2024`, `31-Dec-24`, `Dec 31, 2024`, `31. Dezember 2024`, `2024-Dec-31`.
fn named(text: &str) -> Option<(Written, &str)> {
    if let Some((first, rest)) = number(text) {
        let (month, rest) = month(gap(rest))?;
        let (third, rest) = number(gap(rest))?;
        return Some(match first.1 {
            4 => (Written::Named(short(third)?, month, first), rest),
            _ => (Written::Named(short(first)?, month, third), rest),
        });
    }
    let (month, rest) = month(text)?;
    let (day, rest) = number(gap(rest))?;
    let (year, rest) = number(gap(rest))?;
    Some((Written::Named(short(day)?, month, year), rest))
}

/// Passes what stands between the parts of a date.
fn gap(text: &str) -> &str {
    let marks = [' ', '.', '-', '/', ',', '\u{a0}'];
    let text = text.trim_start_matches(marks);
    let words = [
        "st ", "nd ", "rd ", "th ", "st, ", "nd, ", "rd, ", "th, ", "de ", "of ", "er ",
    ];
    match words.iter().find_map(|word| text.strip_prefix(word)) {
        Some(rest) => rest.trim_start_matches(marks),
        None => text,
    }
}

/// A month by its name or the beginning of it, and what follows.
fn month(text: &str) -> Option<(u32, &str)> {
    let length = text
        .find(|c: char| !c.is_alphabetic())
        .unwrap_or(text.len());
    let (name, rest) = text.split_at(length);
    let name = name.to_lowercase();
    let is_named = |names: &&str| names.split(' ').any(|known| known == name);
    let place = MONTHS.iter().position(is_named)?;
    Some((u32::try_from(place).ok()? + 1, rest))
}

/// In English, German, French, Spanish, Italian, Portuguese and Dutch.
const MONTHS: [&str; 12] = [
    "january jan januar jän jänner janvier janv enero ene gennaio gen janeiro januari",
    "february feb februar febr février févr fév fevrier fev febrero febbraio fevereiro februari",
    "march mar märz mär mrz mars marzo março maart mrt",
    "april apr avril avr abril abr aprile",
    "may mai mayo maggio mag maio mei",
    "june jun juni juin junio giugno giu junho",
    "july jul juli juillet juil julio luglio lug julho",
    "august aug août aout agosto ago augustus",
    "september sep sept septembre septiembre settembre set setembro",
    "october oct oktober okt octobre octubre ottobre ott outubro out",
    "november nov novembre noviembre novembro",
    "december dec dezember dez décembre déc decembre diciembre dic dicembre dezembro",
];
