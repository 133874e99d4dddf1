//! Dates, timestamps and times: ISO 8601 text -> the one form that Salesforce is sent.

use std::fmt::Write;

use chrono::{Datelike, Duration, NaiveDate, NaiveDateTime, NaiveTime, Timelike};

use super::literal::{Problem, Rewrite};
use super::zone;
use crate::options::Timezone;

const NOT_DATE: Problem = Problem::Type("not a date (expected YYYY-MM-DD or a timestamp)");
const NOT_DATETIME: Problem = Problem::Type(
    "not a timestamp (expected YYYY-MM-DDThh:mm:ss with an optional fraction and offset)",
);
const NOT_TIME: Problem =
    Problem::Type("not a time (expected hh:mm:ss with an optional fraction and offset)");

const DAY_MS: i64 = 86_400_000;
const MINUTE_MS: i64 = 60_000;

/// A date, or a timestamp's date in the zone -> `YYYY-MM-DD`.
pub(super) fn date(text: &str, zone: Timezone, out: &mut String) -> Rewrite {
    if text.len() == 10 && day(text.as_bytes()).is_some() {
        return Rewrite::Same;
    }
    let text = text.trim();
    if text.is_empty() {
        return Rewrite::Null;
    }
    let stamp = Stamp::parse(text.strip_suffix(['Z', 'z']).filter(is_day).unwrap_or(text));
    let Some(date) = stamp.and_then(|stamp| stamp.date(zone)) else {
        return Rewrite::Invalid(NOT_DATE);
    };
    write_date(date, out);
    Rewrite::Written
}

/// A timestamp, in the zone where it has no offset, or a date's midnight there ->
/// `YYYY-MM-DDTHH:MM:SS.sssZ`.
pub(super) fn datetime(text: &str, zone: Timezone, out: &mut String) -> Rewrite {
    let bytes = text.as_bytes();
    if let Some((b'T', time)) = bytes
        .get(10..)
        .and_then(<[u8]>::split_first)
        .map(|(t, r)| (*t, r))
        && is_written_time(time)
        && day(bytes).is_some()
    {
        return Rewrite::Same;
    }
    let text = text.trim();
    if text.is_empty() {
        return Rewrite::Null;
    }
    let Some(utc) = Stamp::parse(text).and_then(|stamp| stamp.utc(zone)) else {
        return Rewrite::Invalid(NOT_DATETIME);
    };
    write_date(utc.date(), out);
    out.push('T');
    write_time(milliseconds(utc.time()), out);
    Rewrite::Written
}

/// A time of day, in UTC where it has no offset -> `HH:MM:SS.sssZ`.
pub(super) fn time(text: &str, out: &mut String) -> Rewrite {
    if is_written_time(text.as_bytes()) {
        return Rewrite::Same;
    }
    let text = text.trim();
    if text.is_empty() {
        return Rewrite::Null;
    }
    let Some((ms, offset)) = clock(text.as_bytes()) else {
        return Rewrite::Invalid(NOT_TIME);
    };
    let utc = ms - offset.unwrap_or_default() * MINUTE_MS;
    write_time(utc.rem_euclid(DAY_MS), out);
    Rewrite::Written
}

fn is_day(text: &&str) -> bool {
    text.len() == 10
}

/// Year 1 to 9999, month and day that lead the text, if the calendar has them.
fn day(text: &[u8]) -> Option<(u32, u32, u32)> {
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2, ..] = text else {
        return None;
    };
    let year = two(*y1, *y2)? * 100 + two(*y3, *y4)?;
    let (month, day) = (two(*m1, *m2)?, two(*d1, *d2)?);
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        2 => 28 + u32::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    (year > 0 && (1..=days).contains(&day)).then_some((year, month, day))
}

/// Whether the text is a time exactly as [`write_time`] writes it.
fn is_written_time(text: &[u8]) -> bool {
    text.len() == 13 && text.ends_with(b"Z") && text.get(8) == Some(&b'.') && clock(text).is_some()
}

/// A date or a timestamp as written.
struct Stamp {
    local: NaiveDateTime,
    /// Minutes east of UTC.
    offset: Option<i64>,
}

impl Stamp {
    fn parse(text: &str) -> Option<Self> {
        let (year, month, day) = day(text.as_bytes())?;
        let date = NaiveDate::from_ymd_opt(i32::try_from(year).ok()?, month, day)?;
        let (ms, offset) = match text.as_bytes().get(10..)? {
            [] => (0, None),
            [b'T' | b't' | b' ', time @ ..] => clock(time)?,
            _ => return None,
        };
        let local = date.and_time(NaiveTime::MIN) + Duration::milliseconds(ms);
        Some(Self { local, offset })
    }

    fn utc(&self, zone: Timezone) -> Option<NaiveDateTime> {
        let utc = match self.offset {
            Some(offset) => self.local.checked_sub_signed(Duration::minutes(offset)),
            None => zone::to_utc(self.local, zone),
        };
        utc.filter(|utc| (1..=9999).contains(&utc.year()))
    }

    fn date(&self, zone: Timezone) -> Option<NaiveDate> {
        let local = match self.offset {
            Some(_) => zone::to_local(self.utc(zone)?, zone)?,
            None => self.local,
        };
        (1..=9999).contains(&local.year()).then(|| local.date())
    }
}

fn milliseconds(time: NaiveTime) -> i64 {
    i64::from(time.num_seconds_from_midnight()) * 1_000 + i64::from(time.nanosecond() / 1_000_000)
}

/// Milliseconds since midnight and the offset, in minutes east of UTC, of
/// `hh:mm[:ss[.fraction]][offset]`.
fn clock(text: &[u8]) -> Option<(i64, Option<i64>)> {
    let [h1, h2, b':', m1, m2, rest @ ..] = text else {
        return None;
    };
    let (hour, minute) = (two(*h1, *h2)?, two(*m1, *m2)?);
    let (second, rest) = match rest {
        [b':', s1, s2, rest @ ..] => (two(*s1, *s2)?, rest),
        rest => (0, rest),
    };
    let (ms, zone) = match rest {
        [b'.', rest @ ..] => fraction(rest)?,
        rest => (0, rest),
    };
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let local = i64::from((hour * 60 + minute) * 60 + second) * 1_000 + ms;
    Some((local, offset(zone)?))
}

/// One to nine digits after the point, cut to milliseconds, and what follows them.
fn fraction(text: &[u8]) -> Option<(i64, &[u8])> {
    let length = text.iter().take_while(|b| b.is_ascii_digit()).count();
    let (digits, rest) = text.split_at_checked(length)?;
    let padded = digits.iter().copied().chain([b'0'; 2]).take(3);
    let ms = padded.fold(0, |ms, digit| ms * 10 + i64::from(digit - b'0'));
    (1..=9).contains(&length).then_some((ms, rest))
}

/// Minutes east of UTC: `Z`, `UTC`, `+HH:MM`, `+HHMM`, `+HH`, or nothing at all.
fn offset(zone: &[u8]) -> Option<Option<i64>> {
    let zone = zone.strip_prefix(b" ").unwrap_or(zone);
    let (sign, digits) = match zone {
        [] => return Some(None),
        [b'Z' | b'z'] | b"UTC" => return Some(Some(0)),
        [b'+', digits @ ..] => (1, digits),
        [b'-', digits @ ..] => (-1, digits),
        _ => return None,
    };
    let (hours, minutes) = match digits {
        [h1, h2] => (two(*h1, *h2)?, 0),
        [h1, h2, m1, m2] | [h1, h2, b':', m1, m2] => (two(*h1, *h2)?, two(*m1, *m2)?),
        _ => return None,
    };
    (hours < 24 && minutes < 60).then(|| Some(sign * i64::from(hours * 60 + minutes)))
}

fn two(tens: u8, ones: u8) -> Option<u32> {
    let (tens, ones) = (tens.wrapping_sub(b'0'), ones.wrapping_sub(b'0'));
    (tens < 10 && ones < 10).then(|| u32::from(tens * 10 + ones))
}

pub(super) fn write_date(date: NaiveDate, out: &mut String) {
    write!(
        out,
        "{:04}-{:02}-{:02}",
        date.year(),
        date.month(),
        date.day()
    )
    .expect("a String takes any text");
}

fn write_time(ms: i64, out: &mut String) {
    let (seconds, ms) = (ms / 1_000, ms % 1_000);
    write_clock(
        u32::try_from(seconds).unwrap_or_default(),
        ms * 1_000_000,
        false,
        out,
    );
    out.push('Z');
}

/// A second of the day and nanoseconds as `HH:MM:SS.sss`; if `full`, with all digits that are not
/// zero, in groups of three.
pub(super) fn write_clock(second: u32, nanos: i64, full: bool, out: &mut String) {
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    write!(out, "{hour:02}:{minute:02}:{second:02}").expect("a String takes any text");
    let (digits, fraction) = match nanos {
        0 if full => return,
        _ if !full || nanos % 1_000_000 == 0 => (3, nanos / 1_000_000),
        _ if nanos % 1_000 == 0 => (6, nanos / 1_000),
        _ => (9, nanos),
    };
    write!(out, ".{fraction:0digits$}").expect("a String takes any text");
}
