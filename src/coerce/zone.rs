//! Local time of the setting `timezone` <-> UTC.

use chrono::{Duration, NaiveDateTime, Offset, TimeZone};

use crate::options::Timezone;

/// Longer than any offset from UTC that a zone ever had, in hours (Manila had -15:56).
const LONGEST_OFFSET: i64 = 16;

/// The instant of a local time. The earlier one where clocks were put back and the time came twice;
/// where they were put forward and it never came, as if they had not been.
pub(super) fn to_utc(local: NaiveDateTime, zone: Timezone) -> Option<NaiveDateTime> {
    match zone {
        Timezone::Named(chrono_tz::UTC) => Some(local),
        Timezone::Named(zone) => {
            let offset = zone.offset_from_local_datetime(&local).earliest();
            let offset = offset.or_else(|| {
                let before = local.checked_sub_signed(Duration::hours(LONGEST_OFFSET))?;
                Some(zone.offset_from_utc_datetime(&before))
            });
            local.checked_sub_offset(offset?.fix())
        }
        Timezone::Offset(offset) => local.checked_sub_offset(offset),
    }
}

/// The local time of an instant.
pub(super) fn to_local(utc: NaiveDateTime, zone: Timezone) -> Option<NaiveDateTime> {
    match zone {
        Timezone::Named(chrono_tz::UTC) => Some(utc),
        Timezone::Named(zone) => utc.checked_add_offset(zone.offset_from_utc_datetime(&utc).fix()),
        Timezone::Offset(offset) => utc.checked_add_offset(offset),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utc(zone: &str, local: &str) -> String {
        let zone = Timezone::parse(zone).unwrap();
        let local: NaiveDateTime = local.parse().unwrap();
        to_utc(local, zone).unwrap().to_string()
    }

    #[test]
    fn local_times_of_a_zone() {
        for (zone, local, expected) in [
            ("UTC", "2024-07-01T12:00:00", "2024-07-01 12:00:00"),
            (
                "Europe/Berlin",
                "2024-07-01T12:00:00",
                "2024-07-01 10:00:00",
            ),
            (
                "Europe/Berlin",
                "2024-01-01T12:00:00",
                "2024-01-01 11:00:00",
            ),
            ("+05:30", "2024-01-01T00:00:00", "2023-12-31 18:30:00"),
            // Twice: the earlier instant, which still has summer time.
            (
                "Europe/Berlin",
                "2024-10-27T02:30:00",
                "2024-10-27 00:30:00",
            ),
            // Never: 02:30 becomes 03:30, which is 01:30 in UTC.
            (
                "Europe/Berlin",
                "2024-03-31T02:30:00",
                "2024-03-31 01:30:00",
            ),
            (
                "Australia/Lord_Howe",
                "2024-10-06T02:15:00",
                "2024-10-05 15:45:00",
            ),
            // A day that never came: it becomes the next one.
            ("Pacific/Apia", "2011-12-30T12:00:00", "2011-12-30 22:00:00"),
        ] {
            assert_eq!(utc(zone, local), expected, "{local} in {zone}");
        }
    }

    #[test]
    fn instants_as_local_times() {
        let at = |zone: &str, utc: &str| {
            let zone = Timezone::parse(zone).unwrap();
            to_local(utc.parse().unwrap(), zone).unwrap().to_string()
        };
        let noon = "2024-07-01T12:00:00";
        assert_eq!(at("UTC", noon), "2024-07-01 12:00:00");
        assert_eq!(at("Asia/Tokyo", noon), "2024-07-01 21:00:00");
        assert_eq!(at("-08:00", noon), "2024-07-01 04:00:00");
    }
}
