//! Numbers as people read them.

use std::time::Duration;

/// `1,234,567`.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 job`, `1,234 jobs`.
pub(crate) fn counted(number: u64, one: &str) -> String {
    match number {
        1 => format!("1 {one}"),
        number => format!("{} {one}s", count(number)),
    }
}

/// `4.2 s`, `3 min 20 s`, `2 h 5 min`.
pub(crate) fn time(time: Duration) -> String {
    match time.as_secs() {
        0..60 => format!("{:.1} s", time.as_secs_f64()),
        _ => rough_time(time),
    }
}

/// As [`time`], in whole seconds.
pub(crate) fn rough_time(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 0..60 => format!("{seconds} s"),
        seconds @ 60..3_600 => format!("{} min {} s", seconds / 60, seconds % 60),
        seconds => format!("{} h {} min", seconds / 3_600, seconds % 3_600 / 60),
    }
}

/// Rows in a second; 0 before any time has passed.
#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rate for people"
)]
pub(crate) fn rate(rows: u64, elapsed: Duration) -> u64 {
    let seconds = elapsed.as_secs_f64();
    match seconds > 0.0 {
        true => (rows as f64 / seconds) as u64,
        false => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_groups() {
        let shown = [0, 7, 999, 1_000, 1_234_567].map(count);
        assert_eq!(shown, ["0", "7", "999", "1,000", "1,234,567"]);
        assert_eq!(
            [counted(1, "job"), counted(2_000, "job")],
            ["1 job", "2,000 jobs"]
        );
    }

    #[test]
    fn times_have_two_units() {
        let shown = [0, 59, 60, 200, 7_500].map(|seconds| time(Duration::from_secs(seconds)));
        assert_eq!(
            shown,
            ["0.0 s", "59.0 s", "1 min 0 s", "3 min 20 s", "2 h 5 min"]
        );
    }

    #[test]
    fn a_rate_needs_time() {
        assert_eq!(rate(10, Duration::ZERO), 0);
        assert_eq!(rate(10, Duration::from_secs(4)), 2);
    }
}
