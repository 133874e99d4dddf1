//! Salesforce record Ids: 15 letters where case counts, or 18 with a checksum.

const CHECKSUM: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ012345";
const BASE_62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// In every Id made here, the letters between the object's key prefix and the record's number.
const INSTANCE: &str = "5g0000";
/// Letters of the number of a record.
const NUMBER_LETTERS: usize = 6;

/// The Id of a record: its object's key prefix and its number.
pub(crate) fn make(key_prefix: &str, number: u32) -> String {
    let mut digits = [b'0'; NUMBER_LETTERS];
    let mut rest = number as usize;
    for digit in digits.iter_mut().rev() {
        *digit = BASE_62[rest % 62];
        rest /= 62;
    }
    let short: String = key_prefix
        .chars()
        .chain(INSTANCE.chars())
        .chain(digits.map(char::from))
        .collect();
    with_checksum(&short)
}

/// The number of a record made here, from its normal Id.
pub(crate) fn number(key_prefix: &str, normal: &str) -> Option<u32> {
    let digits = normal
        .get(..15)?
        .strip_prefix(key_prefix)?
        .strip_prefix(INSTANCE)?;
    digits.bytes().try_fold(0_u32, |number, letter| {
        let digit = BASE_62.iter().position(|&known| known == letter)?;
        number
            .checked_mul(62)?
            .checked_add(u32::try_from(digit).ok()?)
    })
}

/// The 18-letter form of an Id; nothing if it is malformed.
pub(crate) fn normal(id: &str) -> Option<String> {
    if !id.bytes().all(|letter| letter.is_ascii_alphanumeric()) {
        return None;
    }
    match id.len() {
        15 => Some(with_checksum(id)),
        18 => Some(with_checksum(&id[..15])).filter(|full| full.eq_ignore_ascii_case(id)),
        _ => None,
    }
}

fn with_checksum(short: &str) -> String {
    let mut id = short.to_owned();
    for group in short.as_bytes().chunks(5) {
        let bits = group.iter().enumerate().fold(0, |bits, (index, letter)| {
            bits | (usize::from(letter.is_ascii_uppercase()) << index)
        });
        id.push(char::from(CHECKSUM[bits]));
    }
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_a_checksum_and_a_number() {
        assert_eq!(
            normal("00130000000xyzA").as_deref(),
            Some("00130000000xyzAAAQ")
        );
        assert_eq!(
            normal("00130000000xyzAAAQ").as_deref(),
            Some("00130000000xyzAAAQ")
        );
        assert_eq!(normal("00130000000xyzAAAB"), None);
        assert_eq!(normal("0013"), None);
        for number in [0, 61, 62, 10_000_000] {
            let id = make("003", number);
            assert_eq!(id.len(), 18);
            assert_eq!(normal(&id).as_deref(), Some(id.as_str()));
            assert_eq!(super::number("003", &id), Some(number));
        }
        assert_eq!(super::number("001", &make("003", 1)), None);
    }
}
