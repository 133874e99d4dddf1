//! Shares of counts.

/// A share of a count, rounded down to the thousandth of the count.
pub(crate) fn part(count: usize, share: f64) -> usize {
    let is_within = |thousandths: &usize| {
        u16::try_from(*thousandths).is_ok_and(|part| f64::from(part) <= share * 1e3)
    };
    count * (0..=1_000).rev().find(is_within).unwrap_or(0) / 1_000
}

#[test]
fn a_share_of_a_count() {
    for (count, share, expected) in [
        (8, 0.5, 4),
        (3, 0.5, 1),
        (7, 1.0, 7),
        (7, 2.0, 7),
        (7, 0.0, 0),
    ] {
        assert_eq!(part(count, share), expected);
    }
}
