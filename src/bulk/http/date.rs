//! Times as headers and answers write them.

use chrono::{DateTime, Utc};

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
