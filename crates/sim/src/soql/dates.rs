//! The date literals of SOQL: words for ranges of days.
//!
//! [The list of them](https://developer.salesforce.com/docs/atlas.en-us.soql_sosl.meta/soql_sosl/sforce_api_calls_soql_select_dateformats.htm).
//! The user's time zone is UTC, weeks begin on Sunday, and the fiscal year is the calendar year.

use chrono::{Datelike, Days, Months, NaiveDate};

/// The days from the first of a range to the day after its last.
pub(super) type Range = (NaiveDate, NaiveDate);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    Day,
    Week,
    Month,
    Quarter,
    Year,
}

impl Unit {
    fn of(word: &str) -> Option<Unit> {
        Some(match word.strip_prefix("FISCAL_").unwrap_or(word) {
            "DAY" | "DAYS" if !word.starts_with("FISCAL_") => Unit::Day,
            "WEEK" | "WEEKS" if !word.starts_with("FISCAL_") => Unit::Week,
            "MONTH" | "MONTHS" if !word.starts_with("FISCAL_") => Unit::Month,
            "QUARTER" | "QUARTERS" => Unit::Quarter,
            "YEAR" | "YEARS" => Unit::Year,
            _ => return None,
        })
    }

    /// The first day of the unit that a day is in.
    fn first(self, day: NaiveDate) -> Option<NaiveDate> {
        match self {
            Unit::Day => Some(day),
            Unit::Week => {
                day.checked_sub_days(Days::new(day.weekday().num_days_from_sunday().into()))
            }
            Unit::Month => day.with_day(1),
            Unit::Quarter => day.with_day(1)?.with_month(day.month0() / 3 * 3 + 1),
            Unit::Year => NaiveDate::from_ymd_opt(day.year(), 1, 1),
        }
    }

    /// The day that is some units later, or earlier.
    fn after(self, day: NaiveDate, units: i64) -> Option<NaiveDate> {
        let count = units.unsigned_abs();
        let months = |each: u32| {
            u32::try_from(count)
                .ok()?
                .checked_mul(each)
                .map(Months::new)
        };
        let (days, months) = match self {
            Unit::Day => (Some(Days::new(count)), None),
            Unit::Week => (count.checked_mul(7).map(Days::new), None),
            Unit::Month => (None, months(1)),
            Unit::Quarter => (None, months(3)),
            Unit::Year => (None, months(12)),
        };
        match (days, months, units < 0) {
            (Some(days), _, false) => day.checked_add_days(days),
            (Some(days), _, true) => day.checked_sub_days(days),
            (_, Some(months), false) => day.checked_add_months(months),
            (_, Some(months), true) => day.checked_sub_months(months),
            _ => None,
        }
    }
}

/// The days that a date literal means; nothing if it is none.
pub(super) fn range(word: &str, today: NaiveDate) -> Option<Range> {
    let word = word.to_ascii_uppercase();
    let (word, count) = match word.split_once(':') {
        Some((word, count)) => (word, Some(count.parse::<u32>().ok().map(i64::from)?)),
        None => (word.as_str(), None),
    };
    let (unit, first, end) = match (word, count) {
        ("YESTERDAY", None) => (Unit::Day, -1, 0),
        ("TODAY", None) => (Unit::Day, 0, 1),
        ("TOMORROW", None) => (Unit::Day, 1, 2),
        ("LAST_90_DAYS", None) => (Unit::Day, -90, 1),
        ("NEXT_90_DAYS", None) => (Unit::Day, 1, 91),
        (word, None) => {
            let (when, unit) = word.split_once('_')?;
            let unit = Unit::of(unit).filter(|unit| *unit != Unit::Day)?;
            match when {
                "LAST" => (unit, -1, 0),
                "THIS" => (unit, 0, 1),
                "NEXT" => (unit, 1, 2),
                _ => return None,
            }
        }
        (word, Some(count)) => {
            if let Some(unit) = word.strip_prefix("LAST_N_") {
                let unit = Unit::of(unit)?;
                // Of days, today is one; of other units, the current one is not.
                (unit, -count, i64::from(unit == Unit::Day))
            } else if let Some(unit) = word.strip_prefix("NEXT_N_") {
                (Unit::of(unit)?, 1, count + 1)
            } else {
                let unit = word.strip_prefix("N_")?.strip_suffix("_AGO")?;
                (Unit::of(unit)?, -count, 1 - count)
            }
        }
    };
    let now = unit.first(today)?;
    Some((unit.after(now, first)?, unit.after(now, end)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_are_ranges_of_days() {
        // A Wednesday.
        let today = NaiveDate::from_ymd_opt(2024, 5, 15).unwrap();
        for (word, first, last) in [
            ("YESTERDAY", "2024-05-14", "2024-05-14"),
            ("today", "2024-05-15", "2024-05-15"),
            ("TOMORROW", "2024-05-16", "2024-05-16"),
            ("LAST_WEEK", "2024-05-05", "2024-05-11"),
            ("THIS_WEEK", "2024-05-12", "2024-05-18"),
            ("NEXT_WEEK", "2024-05-19", "2024-05-25"),
            ("LAST_MONTH", "2024-04-01", "2024-04-30"),
            ("THIS_MONTH", "2024-05-01", "2024-05-31"),
            ("NEXT_MONTH", "2024-06-01", "2024-06-30"),
            ("THIS_QUARTER", "2024-04-01", "2024-06-30"),
            ("LAST_FISCAL_QUARTER", "2024-01-01", "2024-03-31"),
            ("NEXT_YEAR", "2025-01-01", "2025-12-31"),
            ("THIS_FISCAL_YEAR", "2024-01-01", "2024-12-31"),
            ("LAST_90_DAYS", "2024-02-15", "2024-05-15"),
            ("NEXT_90_DAYS", "2024-05-16", "2024-08-13"),
            ("LAST_N_DAYS:7", "2024-05-08", "2024-05-15"),
            ("NEXT_N_DAYS:2", "2024-05-16", "2024-05-17"),
            ("N_DAYS_AGO:3", "2024-05-12", "2024-05-12"),
            ("LAST_N_WEEKS:2", "2024-04-28", "2024-05-11"),
            ("NEXT_N_MONTHS:2", "2024-06-01", "2024-07-31"),
            ("N_MONTHS_AGO:1", "2024-04-01", "2024-04-30"),
            ("LAST_N_QUARTERS:2", "2023-10-01", "2024-03-31"),
            ("NEXT_N_FISCAL_YEARS:1", "2025-01-01", "2025-12-31"),
            ("N_YEARS_AGO:4", "2020-01-01", "2020-12-31"),
        ] {
            let (from, end) = range(word, today).unwrap_or_else(|| panic!("{word}"));
            let to = end.pred_opt().unwrap();
            assert_eq!([from.to_string(), to.to_string()], [first, last], "{word}");
        }
        for word in [
            "LAST_DAY",
            "LAST_N_DAYS",
            "TODAY:1",
            "LAST_N_DAYS:-1",
            "LAST_N_HOURS:1",
            "THIS_FISCAL_WEEK",
            "NEXT_N_DAYS:99999999999",
        ] {
            assert_eq!(range(word, today), None, "{word}");
        }
    }
}
