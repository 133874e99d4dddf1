//! Ids of records as numbers: of a job there are a million, and each is 18 characters.

use std::collections::HashMap;
use std::mem::size_of;

use super::RecordId;

/// Characters of an Id that few Ids of a job differ in: the object, and where the record was made.
const PREFIX: usize = 6;

/// Characters behind these, of which a number of 54 bits is made.
const TAIL: usize = 9;

/// Digits of that number.
const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Bits of a number: whether the record was created, then 9 of its form, then its tail.
const FORM_SHIFT: u32 = 1;
const TAIL_SHIFT: u32 = 10;
const MOST_FORMS: usize = (1 << (TAIL_SHIFT - FORM_SHIFT)) - 2;

/// The form of Ids that are kept as they are.
const OTHER: u64 = MOST_FORMS as u64 + 1;

/// What is the same in many Ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Form {
    prefix: [u8; PREFIX],
    checksum: Checksum,
}

/// What follows the 15 characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Checksum {
    Absent,
    Theirs,
    Other([u8; 3]),
}

/// Numbers of the Ids of a job: equal if and only if the Ids are, but for the bit that says whether the
/// record was created. 0 is none.
#[derive(Debug, Default)]
pub(crate) struct RecordIds {
    forms: Vec<Form>,
    numbers: HashMap<Form, u64>,
    /// The form of the Id before.
    last: Option<(Form, u64)>,
    others: Vec<Box<str>>,
    numbers_of_others: HashMap<Box<str>, u64>,
    /// Bytes that these take.
    others_bytes: usize,
}

impl RecordIds {
    /// Memory that the Ids take that make no number, in bytes.
    pub(crate) fn memory(&self) -> usize {
        self.others_bytes
    }

    /// The number of an Id.
    pub(crate) fn number(&mut self, id: &str, created: bool) -> u64 {
        if id.is_empty() {
            return 0;
        }
        let number = self.regular(id).unwrap_or_else(|| self.other(id));
        number | u64::from(created)
    }

    /// The same Id, whether or not it was created.
    pub(crate) fn without_created(number: u64) -> u64 {
        number & !1
    }

    /// Whether the record of this number was created.
    pub(crate) fn is_created(number: u64) -> bool {
        number & 1 > 0
    }

    /// Writes the Id of this number behind `text`; false for none.
    pub(crate) fn write(&self, number: u64, text: &mut String) -> bool {
        let form = number >> FORM_SHIFT & (OTHER | 1);
        let tail = number >> TAIL_SHIFT;
        if form == OTHER {
            let other = self.others.get(tail as usize);
            text.push_str(other.map_or("", |id| id));
            return other.is_some();
        }
        let Some(Form { prefix, checksum }) = self.forms.get((form as usize).wrapping_sub(1))
        else {
            return false;
        };
        let mut id = [0; PREFIX + TAIL];
        id[..PREFIX].copy_from_slice(prefix);
        let mut rest = tail;
        for character in id[PREFIX..].iter_mut().rev() {
            *character = DIGITS[(rest % 62) as usize];
            rest /= 62;
        }
        text.extend(id.iter().map(|byte| char::from(*byte)));
        match checksum {
            Checksum::Absent => {}
            Checksum::Theirs => {
                let id = std::str::from_utf8(&id).ok().and_then(RecordId::parse);
                let checksum = id.map(|id| id.checksum()).unwrap_or_default();
                text.extend(checksum.map(char::from));
            }
            Checksum::Other(other) => text.extend(other.map(char::from)),
        }
        true
    }

    fn regular(&mut self, id: &str) -> Option<u64> {
        let bytes = id.as_bytes();
        let (characters, checksum) = bytes.split_first_chunk::<{ PREFIX + TAIL }>()?;
        let (prefix, tail) = characters.split_first_chunk::<PREFIX>()?;
        let tail = tail.iter().try_fold(0, |number: u64, character| {
            Some(number * 62 + digit(*character)?)
        })?;
        let checksum = match *checksum {
            [] => Checksum::Absent,
            [a, b, c] => {
                let given = [a, b, c];
                let (id, _) = id.split_at_checked(PREFIX + TAIL)?;
                let theirs = RecordId::parse(id).map(|id| id.checksum());
                match theirs == Some(given) {
                    true => Checksum::Theirs,
                    false if given.is_ascii() => Checksum::Other(given),
                    false => return None,
                }
            }
            _ => return None,
        };
        if !prefix.is_ascii() {
            return None;
        }
        let form = self.form(Form {
            prefix: *prefix,
            checksum,
        })?;
        Some(tail << TAIL_SHIFT | form << FORM_SHIFT)
    }

    /// The number of a form, from 1; none if there are too many.
    fn form(&mut self, form: Form) -> Option<u64> {
        if let Some((last, number)) = self.last
            && last == form
        {
            return Some(number);
        }
        let number = match self.numbers.get(&form) {
            Some(number) => *number,
            None if self.forms.len() < MOST_FORMS => {
                self.forms.push(form);
                let number = self.forms.len() as u64;
                self.numbers.insert(form, number);
                number
            }
            None => return None,
        };
        self.last = Some((form, number));
        Some(number)
    }

    /// The number of an Id that is as no Id of Salesforce, or of a form too many.
    fn other(&mut self, id: &str) -> u64 {
        let known = self.numbers_of_others.get(id).copied();
        let number = known.unwrap_or_else(|| {
            let number = self.others.len() as u64;
            let id: Box<str> = id.into();
            let entry = size_of::<(Box<str>, u64)>() * 8 / 7 + 1;
            self.others_bytes += 2 * id.len() + 3 * entry;
            self.others.push(id.clone());
            self.numbers_of_others.insert(id, number);
            number
        });
        number << TAIL_SHIFT | OTHER << FORM_SHIFT
    }
}

fn digit(character: u8) -> Option<u64> {
    let digit = match character {
        b'0'..=b'9' => character - b'0',
        b'A'..=b'Z' => character - b'A' + 10,
        b'a'..=b'z' => character - b'a' + 36,
        _ => return None,
    };
    Some(u64::from(digit))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn id(ids: &RecordIds, number: u64) -> Option<String> {
        let mut text = String::new();
        ids.write(number, &mut text).then_some(text)
    }

    #[test]
    fn ids_come_back_as_they_came() {
        let mut ids = RecordIds::default();
        let all = [
            "00130000000xyzA",
            "00130000000xyzAAAQ",
            "00130000000xyzAAAB",
            "003000000000000",
            "003zzzzzzzzzzzz",
            "a0Bxx0000004CqeEAE",
            "fake-id-1",
            "00130000000xyz-AAQ",
            "é0130000000xyzAAAQ",
            "00130000000xyéAAAQ",
        ];
        let numbers: Vec<u64> = all.iter().map(|id| ids.number(id, false)).collect();
        for (text, number) in all.iter().zip(&numbers) {
            assert_eq!(id(&ids, *number).as_deref(), Some(*text));
            assert_eq!(ids.number(text, true), number | 1);
        }
        let distinct: std::collections::HashSet<_> = numbers.iter().collect();
        assert_eq!(distinct.len(), all.len());
        assert_eq!(ids.others.len(), 4, "{:?}", ids.others);
        assert_eq!(ids.number("", true), 0);
        assert_eq!((id(&ids, 0), id(&ids, 1)), (None, None));
    }

    #[test]
    fn forms_that_are_too_many_are_kept_whole() {
        let mut ids = RecordIds::default();
        let texts: Vec<String> = (0..600).map(|form| format!("{form:06}AbCdEfGhI")).collect();
        let numbers: Vec<u64> = texts.iter().map(|id| ids.number(id, true)).collect();
        for (text, number) in texts.iter().zip(numbers) {
            assert!(RecordIds::is_created(number));
            assert_eq!(id(&ids, number).as_ref(), Some(text));
        }
        assert_eq!(
            (ids.forms.len(), ids.others.len()),
            (MOST_FORMS, 600 - MOST_FORMS)
        );
        assert!(ids.memory() > 0);
    }

    proptest! {
        #[test]
        fn any_text_comes_back(texts in prop::collection::vec("[0-9A-Za-z]{15}([0-9A-Za-z]{3})?|.{1,20}", 1..40)) {
            let mut ids = RecordIds::default();
            for text in &texts {
                let number = ids.number(text, false);
                let back = id(&ids, number);
                prop_assert_eq!(back.as_ref(), Some(text));
            }
        }
    }
}
