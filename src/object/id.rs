//! Salesforce record Ids.

use std::fmt::{self, Write};

/// Characters that identify a record.
const LENGTH: usize = 15;

/// Characters that share one of the checksum.
const GROUP: usize = 5;

/// The Id of a record in its normal form: the 15 characters whose letter case counts.
///
/// Ids come in 15 characters, or in 18 with a checksum of the letter case of the others (Object
/// Reference for Salesforce, "ID Field Type"), so that they survive programs that ignore or lose
/// it. Two Ids are of one record if and only if they are equal in this form; nothing else compares
/// Ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RecordId([u8; LENGTH]);

impl RecordId {
    /// Reads an Id of 15 or 18 characters; the letter case of 18 is taken from their checksum.
    /// `None` if the text is no Id.
    pub fn parse(text: &str) -> Option<Self> {
        if !text
            .bytes()
            .all(|character| character.is_ascii_alphanumeric())
        {
            return None;
        }
        let (characters, checksum) = text.as_bytes().split_first_chunk::<LENGTH>()?;
        match checksum {
            [] => Some(Self(*characters)),
            checksum if checksum.len() == LENGTH / GROUP => restored(*characters, checksum),
            _ => None,
        }
    }

    /// Its 15 characters, all of them ASCII letters and digits.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The checksum that makes them 18.
    pub(crate) fn checksum(&self) -> [u8; LENGTH / GROUP] {
        const DIGITS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ012345";
        std::array::from_fn(|group| {
            let group = &self.0[group * GROUP..][..GROUP];
            let bits = group.iter().rev().fold(0, |bits, character| {
                bits << 1 | usize::from(character.is_ascii_uppercase())
            });
            DIGITS[bits]
        })
    }
}

/// The characters in the letter case of the checksum; `None` if it calls a digit upper case.
fn restored(mut characters: [u8; LENGTH], checksum: &[u8]) -> Option<RecordId> {
    for (group, check) in characters.chunks_mut(GROUP).zip(checksum) {
        let is_upper = match check.to_ascii_uppercase() {
            letter @ b'A'..=b'Z' => letter - b'A',
            digit @ b'0'..=b'5' => digit - b'0' + 26,
            _ => return None,
        };
        for (index, character) in group.iter_mut().enumerate() {
            if is_upper & (1 << index) == 0 {
                character.make_ascii_lowercase();
            } else if character.is_ascii_alphabetic() {
                character.make_ascii_uppercase();
            } else {
                return None;
            }
        }
    }
    Some(RecordId(characters))
}

impl fmt::Display for RecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .iter()
            .try_for_each(|byte| f.write_char(char::from(*byte)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn normal(text: &str) -> Option<String> {
        RecordId::parse(text).map(|id| id.to_string())
    }

    /// The 18 characters of an Id, as the reference words it.
    fn with_checksum(id: &str) -> String {
        let characters: Vec<char> = id.chars().collect();
        let checksum = characters.chunks(5).map(|group| {
            let bits: String = group
                .iter()
                .rev()
                .map(|c| if c.is_ascii_uppercase() { '1' } else { '0' })
                .collect();
            let index = usize::from_str_radix(&bits, 2).unwrap();
            "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
                .chars()
                .nth(index)
                .unwrap()
        });
        id.chars().chain(checksum).collect()
    }

    #[test]
    fn ids_have_one_form() {
        for text in [
            "00130000000xyzA",
            "00130000000xyzAAAQ",
            "00130000000XYZAAAQ",
            "00130000000xyzaaaq",
        ] {
            assert_eq!(normal(text).as_deref(), Some("00130000000xyzA"), "{text}");
        }
        assert_eq!(
            normal("003D000000QV9n2IAD").as_deref(),
            Some("003D000000QV9n2")
        );
    }

    #[test]
    fn what_is_no_id() {
        for text in [
            "",
            "0013",
            "00130000000xyz",
            "00130000000xyzAA",
            "00130000000xyzAAAQA",
            "00130000000xyz-",
            "00130000000xyé",
            "00130000000xyzABAQ",
            "00130000000xyzAAA9",
        ] {
            assert_eq!(normal(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_letter_case_of_18_characters_is_one_id(
            id in "[0-9A-Za-z]{15}",
            flip in prop::collection::vec(any::<bool>(), 18),
        ) {
            let long = with_checksum(&id);
            let other: String = long
                .chars()
                .zip(flip)
                .map(|(c, flip)| match flip {
                    true if c.is_ascii_lowercase() => c.to_ascii_uppercase(),
                    true => c.to_ascii_lowercase(),
                    false => c,
                })
                .collect();
            prop_assert_eq!(normal(&id), Some(id.clone()));
            prop_assert_eq!(normal(&long), Some(id.clone()));
            prop_assert_eq!(normal(&other), Some(id));
        }
    }
}
