//! Keys of records -> columns, without hashing where records have their keys in a steady order.

use std::collections::HashMap;

/// Beyond the columns, so many spellings of keys are remembered: records with generated keys must
/// not fill the memory.
const REMEMBERED_KEYS: usize = 256;

/// So many keys of the last record may be left out in a row before a key is looked up by its name.
const LEFT_OUT: usize = 6;

/// In so many records in a row a key is left out before another is expected at its place.
const GONE: u8 = 4;

/// Longest spelling of a key that is remembered, in bytes: blanks around it must not fill the memory.
const LONGEST_WRITTEN: usize = 1 << 10;

/// Bytes of a key that are compared as numbers.
const HEAD: usize = 32;

/// What a key of a record means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Key {
    /// It feeds this column.
    Column(usize),
    /// It would feed a column in another letter case, but the record has that column's exact key.
    Shadowed,
    /// The stream has no such column.
    Unknown,
}

#[derive(Debug)]
struct Known {
    name: String,
    /// The column it feeds; a column's own name stands at the column's index.
    column: Option<usize>,
    /// The key that came after this one last time.
    next: usize,
    /// Records in which that one was left out.
    left_out: LeftOut,
    /// The last record that had it.
    record: u64,
    /// How it stood in a line last time.
    written: Written,
}

/// Records in a row in which the key that was expected at a place was left out.
#[derive(Debug, Default)]
struct LeftOut {
    records: u8,
    last: u64,
}

/// The keys that one stream has had so far.
#[derive(Debug)]
pub(crate) struct Keys {
    /// Number of columns.
    columns: usize,
    known: Vec<Known>,
    by_name: HashMap<String, usize>,
    by_lower_name: HashMap<String, usize>,
    /// The key that the last record began with.
    first: usize,
    /// Records in which that one was left out.
    first_left_out: LeftOut,
    /// The key that came at this place last time.
    guess: usize,
    /// Number of the record being read.
    record: u64,
    /// The key before, in the record being read.
    last: Option<usize>,
}

impl Keys {
    pub(crate) fn new<'a>(columns: impl Iterator<Item = &'a str>) -> Self {
        let mut keys = Self {
            columns: 0,
            known: Vec::new(),
            by_name: HashMap::new(),
            by_lower_name: HashMap::new(),
            first: 0,
            first_left_out: LeftOut::default(),
            guess: 0,
            record: 0,
            last: None,
        };
        for (column, name) in columns.enumerate() {
            let lower = name.to_lowercase();
            keys.by_lower_name.entry(lower).or_insert(column);
            keys.remember(name, Some(column));
            keys.columns += 1;
        }
        keys
    }

    /// Number of columns.
    pub(crate) fn columns(&self) -> usize {
        self.columns
    }

    /// The name of a column.
    pub(crate) fn column_name(&self, column: usize) -> Option<&str> {
        self.known.get(column).map(|known| known.name.as_str())
    }

    /// Goes on to the next record.
    pub(crate) fn start_record(&mut self) {
        self.record += 1;
        self.last = None;
        self.guess = self.first;
    }

    /// The key that came at this place last time, if the line begins with it, and the line from its
    /// value on.
    #[inline]
    pub(crate) fn expected<'a>(&self, line: &'a str) -> Option<(usize, &'a str)> {
        let known = self.known.get(self.guess)?;
        Some((self.guess, known.written.behind(line)?))
    }

    /// The same of the keys that came next last time, where those before them are left out here.
    pub(crate) fn expected_later<'a>(&self, line: &'a str) -> Option<(usize, &'a str)> {
        let mut guess = self.guess;
        for _ in 0..LEFT_OUT {
            guess = self.known.get(guess)?.next;
            if let Some(value) = self.known.get(guess)?.written.behind(line) {
                return Some((guess, value));
            }
        }
        None
    }

    /// Takes a key of [`Self::expected_later`] as the record's next one. It is the one to expect here
    /// once those before it have been left out again and again.
    pub(crate) fn see_later(&mut self, index: usize) -> Key {
        let record = self.record;
        let (left_out, expected) = match self.last.and_then(|last| self.known.get_mut(last)) {
            Some(last) => (&mut last.left_out, &mut last.next),
            None => (&mut self.first_left_out, &mut self.first),
        };
        if left_out.last + 1 != record {
            left_out.records = 0;
        }
        left_out.last = record;
        left_out.records += 1;
        if left_out.records == GONE {
            left_out.records = 0;
            *expected = index;
        }
        self.see(index)
    }

    /// What the record's next key means: a column's exact name first, else its name in any case.
    /// `line` is the key as it stands there, up to its value.
    pub(crate) fn find(&mut self, name: &str, line: &str) -> Key {
        let key = match self.known.get(self.guess) {
            Some(known) if known.name == name => self.see(self.guess),
            _ => self.look_up(name),
        };
        let last = self.last.and_then(|last| self.known.get_mut(last));
        if let Some(known) = last.filter(|known| known.name == name)
            && line.len() <= LONGEST_WRITTEN
            && *known.written.bytes != *line.as_bytes()
        {
            known.written = Written::new(line);
        }
        key
    }

    /// Takes the key with this number as the record's next one, and returns what it means.
    #[inline]
    pub(crate) fn see(&mut self, index: usize) -> Key {
        self.last = Some(index);
        let known = &mut self.known[index];
        known.record = self.record;
        self.guess = known.next;
        match known.column {
            Some(column) if column == index => Key::Column(column),
            column => self.in_any_case(column),
        }
    }

    fn in_any_case(&self, column: Option<usize>) -> Key {
        match column {
            Some(column) if self.known[column].record == self.record => Key::Shadowed,
            Some(column) => Key::Column(column),
            None => Key::Unknown,
        }
    }

    #[cold]
    fn look_up(&mut self, name: &str) -> Key {
        let index = match self.by_name.get(name) {
            Some(index) => *index,
            None => {
                let column = self.by_lower_name.get(&name.to_lowercase()).copied();
                if self.known.len() >= self.columns + REMEMBERED_KEYS {
                    return self.in_any_case(column);
                }
                self.remember(name, column)
            }
        };
        match self.last {
            Some(last) => self.known[last].next = index,
            None => self.first = index,
        }
        self.see(index)
    }

    fn remember(&mut self, name: &str, column: Option<usize>) -> usize {
        let index = self.known.len();
        self.known.push(Known {
            name: name.to_owned(),
            column,
            next: index + 1,
            left_out: LeftOut::default(),
            record: 0,
            written: Written::new(&format!("{}:", serde_json::Value::from(name))),
        });
        self.by_name.insert(name.to_owned(), index);
        index
    }
}

/// A key as it stands in a line, with its colon and the blanks around it.
#[derive(Debug)]
struct Written {
    bytes: Box<[u8]>,
    /// Its first 32 bytes, and ones in those that it has: compared as numbers, where a call to
    /// compare so few bytes takes longer than the comparison.
    head: [u128; 2],
    mask: [u128; 2],
}

impl Written {
    fn new(text: &str) -> Self {
        let (mut head, mut ones) = ([0; HEAD], [0; HEAD]);
        for ((byte, one), key) in head.iter_mut().zip(&mut ones).zip(text.as_bytes()) {
            (*byte, *one) = (*key, 0xFF);
        }
        Self {
            bytes: text.as_bytes().into(),
            head: numbers(&head),
            mask: numbers(&ones),
        }
    }

    /// The line behind the key that it begins with, if it is this one.
    #[inline]
    fn behind<'a>(&self, line: &'a str) -> Option<&'a str> {
        if !self.begins(line.as_bytes()) {
            return None;
        }
        line.get(self.bytes.len()..)
    }

    #[inline]
    fn begins(&self, line: &[u8]) -> bool {
        let Some((chunk, rest)) = line.split_first_chunk::<HEAD>() else {
            return line.starts_with(&self.bytes);
        };
        let (found, head, mask) = (numbers(chunk), self.head, self.mask);
        let differs = (found[0] ^ head[0]) & mask[0] | (found[1] ^ head[1]) & mask[1];
        let tail = self.bytes.get(HEAD..).unwrap_or_default();
        differs == 0 && (tail.is_empty() || rest.starts_with(tail))
    }
}

#[inline]
fn numbers(chunk: &[u8; HEAD]) -> [u128; 2] {
    let (halves, _) = chunk.as_chunks::<16>();
    match halves {
        [first, second] => [u128::from_le_bytes(*first), u128::from_le_bytes(*second)],
        _ => [0; 2],
    }
}

#[cfg(test)]
mod tests {
    use super::Key::{Column, Shadowed, Unknown};
    use super::*;

    fn keys_of(keys: &mut Keys, names: &[&str]) -> Vec<Key> {
        keys.start_record();
        let find = |name: &&str| keys.find(name, &format!("\"{name}\":"));
        names.iter().map(find).collect()
    }

    #[test]
    fn exact_names_then_any_case() {
        let mut keys = Keys::new(["Name", "name", "Ünit"].into_iter());
        for _ in 0..2 {
            assert_eq!(
                keys_of(&mut keys, &["name", "NAME", "Name", "NAME", "üNIT", "zip"]),
                [
                    Column(1),
                    Column(0),
                    Column(0),
                    Shadowed,
                    Column(2),
                    Unknown
                ]
            );
            assert_eq!(
                keys_of(&mut keys, &["NAME", "NAME"]),
                [Column(0), Column(0)]
            );
        }
        assert_eq!(keys.column_name(2), Some("Ünit"));
    }

    #[test]
    fn keys_missing_now_and_then() {
        let mut keys = Keys::new(["a", "b", "c"].into_iter());
        assert_eq!(keys_of(&mut keys, &["c", "a"]), [Column(2), Column(0)]);
        assert_eq!(keys_of(&mut keys, &["b"]), [Column(1)]);
        assert_eq!(
            keys_of(&mut keys, &["a", "b", "c"]),
            [Column(0), Column(1), Column(2)]
        );
    }

    #[test]
    fn a_key_is_expected_as_it_was_written_last() {
        let mut keys = Keys::new(["Id", "Name", "Zip"].into_iter());
        let value = |keys: &Keys, line: &'static str| keys.expected(line).map(|(_, value)| value);
        keys.start_record();
        assert_eq!(value(&keys, "\"Id\":1,"), Some("1,"));
        assert_eq!(value(&keys, " \"Id\" : 1"), None);
        assert_eq!(keys.find("Id", " \"Id\" : "), Column(0));
        keys.start_record();
        assert_eq!(value(&keys, " \"Id\" : 1"), Some("1"));
        assert!(keys.expected("\"Id\":1,").is_none());
        // What comes next may have been left out.
        for _ in 0..GONE {
            keys.start_record();
            keys.find("Id", "\"Id\":");
            assert!(keys.expected("\"Zip\":2").is_none());
            let (found, value) = keys.expected_later("\"Zip\":2").unwrap();
            assert_eq!((keys.see_later(found), value), (Column(2), "2"));
        }
        keys.start_record();
        keys.find("Id", "\"Id\":");
        assert!(keys.expected("\"Zip\":2").is_some());
    }

    #[test]
    fn blanks_around_a_key_are_not_kept_without_end() {
        let mut keys = Keys::new(["Id"].into_iter());
        keys.start_record();
        let written = format!("\"Id\":{}", " ".repeat(LONGEST_WRITTEN));
        assert_eq!(keys.find("Id", &written), Column(0));
        assert!(keys.known[0].written.bytes.len() < 10);
    }

    #[test]
    fn generated_keys_are_not_kept_for_ever() {
        let mut keys = Keys::new(["a"].into_iter());
        for number in 0..10_000 {
            assert_eq!(
                keys_of(&mut keys, &[&format!("k{number}"), "A"]),
                [Unknown, Column(0)]
            );
        }
        assert_eq!(keys.known.len(), 1 + REMEMBERED_KEYS);
        assert_eq!(
            keys_of(&mut keys, &["a", "A", "new"]),
            [Column(0), Shadowed, Unknown]
        );
    }
}
