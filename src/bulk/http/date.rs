//! Times as headers and answers write them.

use std::time::Duration;

use chrono::{DateTime, Utc};

/// Reads a `Retry-After` header: seconds, or a time.
pub(super) fn parse_retry_after(text: &str, now: DateTime<Utc>) -> Option<Duration> {
    let text = text.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    (http_date(text)? - now).to_std().ok()
}

/// Reads a time in the form of headers: `Sun, 01 Mar 2026 12:01:30 GMT`.
pub(in crate::bulk) fn http_date(text: &str) -> Option<DateTime<Utc>> {
    let time = DateTime::parse_from_rfc2822(text.trim()).ok()?;
    Some(time.to_utc())
}

/// Reads a time in the form of answers: `2024-09-10T13:57:50.000+0000`; other offsets and `Z` too.
pub(in crate::bulk) fn api_date(text: &str) -> Option<DateTime<Utc>> {
    let date = DateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f%#z").ok()?;
    Some(date.to_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = DateTime::parse_from_rfc3339("2026-03-01T12:00:00Z")
            .unwrap()
            .to_utc();
        let read = |text| parse_retry_after(text, now);
        assert_eq!(read(" 12 "), Some(Duration::from_secs(12)));
        assert_eq!(
            read("Sun, 01 Mar 2026 12:01:30 GMT"),
            Some(Duration::from_secs(90))
        );
        assert_eq!(read("Sun, 01 Mar 2026 11:00:00 GMT"), None);
        assert_eq!(read("soon"), None);
    }

    #[test]
    fn times_of_answers() {
        let expected = DateTime::from_timestamp(1_725_976_670, 0);
        for text in [
            "2024-09-10T13:57:50.000+0000",
            "2024-09-10T13:57:50+0000",
            "2024-09-10T15:57:50.000+02:00",
            "2024-09-10T13:57:50.000Z",
        ] {
            assert_eq!(api_date(text), expected, "{text}");
        }
        assert_eq!(api_date("2024-09-10"), None);
    }
}
