//! What the scans of a file give: its delimiter, its columns, and which records can be read.

use std::fmt::Write as _;

use arrow_salesforce::source::{RAW, RAW_ERROR};
use encoding_rs::{Encoding, UTF_8, WINDOWS_1252};

use super::super::InputError;
use super::choose::Problem;
use super::encoding::Verdict;
use super::records::Ends;
use super::scan::{Codes, LeftOut, Scan, Seen};
use super::words::{are, count, show, verb};

/// How one file is read.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    pub(super) encoding: &'static Encoding,
    /// Bytes that are not of the encoding were found; in the text they are `U+FFFD`.
    pub(super) malformed: bool,
    pub(super) delimiter: Option<u8>,
    pub(super) ends: Ends,
    pub(super) columns: Vec<Place>,
    /// How many columns the header has, the nameless ones among them.
    pub(super) header: usize,
    /// Least and most values of a record that can be read.
    pub(super) widths: (usize, usize),
    /// The record that is a row of totals.
    pub(super) totals: Option<u64>,
    /// Records of data.
    pub(super) records: u64,
    /// What the file is, in words.
    pub(super) kind: String,
    /// What else was found, as sentences.
    pub(super) found: Vec<String>,
    /// Whether there are records that are rejected, since they cannot be read.
    pub(super) rejects: bool,
}

/// A column: its name, and where its values stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) name: String,
    pub(super) index: usize,
    /// All values are of the form `="00123"`, and mean what is in the quotes.
    pub(super) wrapped: bool,
}

impl Layout {
    /// Of the file `name`, of which `scan` is the right reading.
    pub(super) fn new(
        name: &str,
        verdict: Verdict,
        malformed: bool,
        scan: Result<Scan, Problem>,
    ) -> Result<Self, InputError> {
        let problem = |problem: Problem| problem.of(name);
        let encoding = encoding(verdict).map_err(problem)?;
        let scan = scan.map_err(problem)?;
        if let Some(line) = scan.open {
            return Err(problem(Problem::Broken(format!(
                "the quote of a value in the record on line {line} is not closed, and the rest of the \
                 file would be in it; close it, or double the quotes inside values"
            ))));
        }
        let mut layout = Self {
            encoding,
            malformed,
            delimiter: scan.delimiter,
            ends: scan.ends,
            columns: Vec::new(),
            header: scan.header.len(),
            widths: scan.accepted(),
            totals: scan.totals,
            records: scan.records(),
            kind: kind(encoding, scan.delimiter),
            found: Vec::new(),
            rejects: false,
        };
        layout.describe(name, &scan);
        layout.name_columns(name, &scan).map_err(problem)?;
        Ok(layout)
    }

    fn describe(&mut self, name: &str, scan: &Scan) {
        let LeftOut { empty, headers } = scan.left_out();
        if empty > 0 {
            self.say(name, &format!("{} left out", are(empty, "empty record")));
        }
        if headers > 0 {
            self.say(
                name,
                &format!("{} the header, left out", verb(headers, "record", "repeat")),
            );
        }
        if let Some((Seen { count: bad, line }, width)) = scan.ragged() {
            let columns = count(scan.header.len() as u64, "column");
            let records = count(bad, "record");
            self.say(
                name,
                &format!(
                    "{records} of another width than the header's {columns}, rejected (line {line} has \
                     {width})"
                ),
            );
        }
        if let Some(Seen { count: bad, line }) = scan.faults {
            let records = count(bad, "record");
            self.say(
                name,
                &format!("{records} with quotes that do not fit, rejected (line {line})"),
            );
        }
        if let Some(Seen { count: bad, line }) = scan.nul {
            let records = count(bad, "record");
            self.say(
                name,
                &format!("{records} with a NUL character, rejected (line {line})"),
            );
        }
        if self.totals.is_some() {
            self.say(
                name,
                "the last record is a row of totals; it is rejected, not loaded",
            );
        }
        self.rejects = scan.ragged().is_some()
            || scan.faults.is_some()
            || scan.nul.is_some()
            || self.totals.is_some()
            || self.malformed;
        if self.malformed {
            self.say(
                name,
                "records with bytes that are not of this encoding are rejected",
            );
        }
    }

    fn say(&mut self, name: &str, what: &str) {
        self.found.push(format!("{name}: {what}"));
    }

    fn name_columns(&mut self, file: &str, scan: &Scan) -> Result<(), Problem> {
        for (index, (raw, column)) in scan.header.iter().zip(&scan.columns).enumerate() {
            let (text, _) = match self.encoding == WINDOWS_1252 {
                true => WINDOWS_1252.decode_without_bom_handling(raw),
                false => UTF_8.decode_without_bom_handling(raw),
            };
            // A label that is broken over lines is one.
            let name = text.split_whitespace().collect::<Vec<_>>().join(" ");
            if !name.is_empty() {
                self.place(
                    name,
                    index,
                    column.filled > 0 && column.filled == column.texts,
                );
            } else if column.filled > 0 {
                let name = format!("column_{}", index + 1);
                self.say(
                    file,
                    &format!("column {} has no name; it is {name} here", index + 1),
                );
                self.place(name, index, false);
            }
        }
        self.settle_doubled(file, scan);
        self.note_values(file, scan);
        let reserved = self
            .columns
            .iter()
            .find(|place| [RAW, RAW_ERROR].contains(&place.name.as_str()));
        if let Some(place) = reserved {
            return Err(Problem::Broken(format!(
                "the column {} has a name that is kept for rejected records; rename it",
                place.name
            )));
        }
        if self.columns.is_empty() {
            let problem = "the file has no names of columns in its first line";
            return Err(Problem::Broken(problem.to_owned()));
        }
        let mut names: Vec<&str> = self
            .columns
            .iter()
            .map(|place| place.name.as_str())
            .collect();
        names.sort_unstable();
        match names.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => Err(Problem::Broken(format!(
                "two columns are named {}; rename one",
                pair[0]
            ))),
            None => Ok(()),
        }
    }

    fn place(&mut self, name: String, index: usize, wrapped: bool) {
        self.columns.push(Place {
            name,
            index,
            wrapped,
        });
    }

    /// Of columns with one name and the same values the first is kept. If the values differ, the others
    /// are numbered: they match no field, so that the user chooses.
    fn settle_doubled(&mut self, file: &str, scan: &Scan) {
        let mut names: Vec<String> = Vec::new();
        for pair in &scan.doubled {
            let Some(first) = self.columns.iter().find(|place| place.index == pair.first) else {
                continue;
            };
            if !names.contains(&first.name) {
                names.push(first.name.clone());
            }
        }
        for name in names {
            let indexes: Vec<usize> = self
                .columns
                .iter()
                .filter(|place| place.name == name)
                .map(|place| place.index)
                .collect();
            let positions = indexes.iter().map(|index| (index + 1).to_string());
            let positions = positions.collect::<Vec<_>>().join(" and ");
            let same = scan
                .doubled
                .iter()
                .filter(|pair| indexes.contains(&pair.second))
                .all(|pair| pair.same);
            if same {
                self.columns
                    .retain(|place| place.name != name || place.index == indexes[0]);
                self.say(file, &format!(
                    "columns {positions} are both named {name} and have the same values; one is read"
                ));
                continue;
            }
            let mut numbered = Vec::new();
            let same_name = self.columns.iter_mut().filter(|place| place.name == name);
            for (number, place) in same_name.enumerate() {
                if number > 0 {
                    place.name = format!("{name}_{}", number + 1);
                }
                numbered.push(place.name.clone());
            }
            self.say(file, &format!(
                "columns {positions} are both named {name} and differ; they are {} here, and --map \
                 says which one is meant",
                numbered.join(" and ")
            ));
        }
    }

    fn note_values(&mut self, file: &str, scan: &Scan) {
        let mut notes = Vec::new();
        for place in &self.columns {
            let column = scan.columns[place.index];
            if place.wrapped {
                notes.push(format!(
                    "{}: values of the form =\"00123\" are the text in the quotes",
                    place.name
                ));
            } else if column.formulas + column.texts > 0 {
                notes.push(format!(
                    "{}: {} with = (line {}); they are read as text, not calculated",
                    place.name,
                    verb(column.formulas + column.texts, "value", "begin"),
                    column.formula_line.max(2)
                ));
            }
        }
        for place in &self.columns {
            let codes = scan.columns[place.index].codes;
            if codes.is_some_and(Codes::lost_zeros) {
                notes.push(format!(
                    "{}: leading zeros may be lost, as spreadsheets do; some codes are shorter than \
                     others, and are loaded so",
                    place.name
                ));
            }
        }
        for note in notes {
            self.say(file, &note);
        }
    }
}

/// A kind of CSV in words.
fn kind(encoding: &'static Encoding, delimiter: Option<u8>) -> String {
    let mut kind = format!("CSV in {}", encoding.name());
    if encoding == WINDOWS_1252 {
        kind.push_str(" (it is not UTF-8; --encoding names another)");
    }
    if let Some(delimiter) = delimiter {
        let _ = write!(kind, ", columns between {}", show(delimiter));
    }
    kind
}

fn encoding(verdict: Verdict) -> Result<&'static Encoding, Problem> {
    let problem = match verdict {
        Verdict::Is(encoding) => return Ok(encoding),
        Verdict::Mixed => {
            "it is UTF-8 in some places and not in others; --encoding utf-8 rejects the records that are \
             not, --encoding windows-1252 reads all of it so"
        }
        Verdict::Neither => {
            "it is neither UTF-8 nor windows-1252; say which encoding it is with --encoding"
        }
        Verdict::Binary => {
            "it is no text; say its format with --format, or its encoding with --encoding"
        }
    };
    Err(Problem::Asks(problem.to_owned()))
}
