//! What all records of a file are like, if one character stands between its columns.

use std::collections::BTreeMap;

use super::records::{Endless, Ends, Fault, Parser, Record};

/// Most columns of which values are looked at.
const MOST_COLUMNS: usize = 10_000;

/// Words that stand at the beginning of a row of totals.
const TOTALS: [&str; 13] = [
    "total",
    "totals",
    "grand total",
    "sum",
    "summe",
    "gesamt",
    "gesamtsumme",
    "somme",
    "totale",
    "suma",
    "totaal",
    "total general",
    "insgesamt",
];

/// Reads records, and says which of them are data: the same for the survey and for the load.
#[derive(Debug)]
pub(super) struct Rows {
    parser: Parser,
    /// The record of names, as it was written.
    header: Option<Vec<u8>>,
    width: usize,
    /// Records of data so far.
    pub(super) count: u64,
    pub(super) left_out: LeftOut,
}

/// Records that are no data.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct LeftOut {
    /// Of which all values are empty.
    pub(super) empty: u64,
    /// That repeat the header.
    pub(super) headers: u64,
}

/// What a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// `sep=;`, which Excel writes.
    Separator(u8),
    Header,
    /// A record of data, counted from 0.
    Data(u64),
    LeftOut,
}

impl Rows {
    pub(super) fn new(delimiter: Option<u8>, ends: Ends) -> Self {
        Self {
            parser: Parser::new(delimiter, ends),
            header: None,
            width: 0,
            count: 0,
            left_out: LeftOut::default(),
        }
    }

    pub(super) fn record(&self) -> &Record {
        self.parser.record()
    }

    /// Takes bytes up to the end of a record: how many, and what the record is.
    pub(super) fn feed(&mut self, input: &[u8]) -> Result<(usize, Option<Kind>), Endless> {
        let (taken, complete) = self.parser.feed(input)?;
        Ok((taken, complete.then(|| self.kind())))
    }

    /// After the last byte: what the last record is, if there is one.
    pub(super) fn finish(&mut self) -> Option<Kind> {
        self.parser.finish().then(|| self.kind())
    }

    fn kind(&mut self) -> Kind {
        let record = self.parser.record();
        let Some(header) = &self.header else {
            if let Some(delimiter) = separator(record.text()) {
                return Kind::Separator(delimiter);
            }
            if record.is_blank() {
                return Kind::LeftOut;
            }
            self.header = Some(record.text().to_vec());
            self.width = record.width();
            return Kind::Header;
        };
        if record.is_blank() {
            self.left_out.empty += 1;
            Kind::LeftOut
        } else if self.width > 1 && record.text().eq_ignore_ascii_case(header) {
            self.left_out.headers += 1;
            Kind::LeftOut
        } else {
            self.count += 1;
            Kind::Data(self.count - 1)
        }
    }
}

fn separator(text: &[u8]) -> Option<u8> {
    match text {
        [b's' | b'S', b'e' | b'E', b'p' | b'P', b'=', delimiter] => Some(*delimiter),
        _ => None,
    }
}

/// Whether the first value of a record is a word for totals.
pub(super) fn is_total(record: &Record) -> bool {
    let mut values = record.values().map(<[u8]>::trim_ascii);
    let first = values.find(|value| !value.is_empty()).unwrap_or_default();
    let word = first.strip_suffix(b":").unwrap_or(first).trim_ascii_end();
    let is = |total: &str| total.as_bytes().eq_ignore_ascii_case(word);
    record.width() > 1 && TOTALS.into_iter().any(is)
}

/// What the values of one column are like, in records as wide as the header.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Column {
    /// Values that are not empty.
    pub(super) filled: u64,
    /// Of the form `="00123"`, which makes spreadsheets keep a text.
    pub(super) texts: u64,
    /// Other values that begin with `=`: how many, and the line of the first.
    pub(super) formulas: u64,
    pub(super) formula_line: u64,
    /// Of a column of postal codes.
    pub(super) codes: Option<Codes>,
}

/// Lengths of postal codes that are digits alone.
#[derive(Debug, Clone, Copy)]
pub(super) struct Codes {
    shortest: usize,
    longest: usize,
    /// A spreadsheet took none for a number: one has a letter, or a zero at its beginning.
    intact: bool,
}

impl Codes {
    fn of(name: &[u8]) -> Option<Self> {
        let name = String::from_utf8_lossy(name).to_lowercase();
        let postal = ["zip", "postal", "postcode", "plz", "postleitzahl"];
        postal
            .iter()
            .any(|word| name.contains(word))
            .then_some(Self {
                shortest: usize::MAX,
                longest: 0,
                intact: false,
            })
    }

    fn add(&mut self, value: &[u8]) {
        self.intact |= value.starts_with(b"0") || !value.iter().all(u8::is_ascii_digit);
        self.shortest = self.shortest.min(value.len());
        self.longest = self.longest.max(value.len());
    }

    /// Whether some codes lack a digit that the others have, and none begins with zero.
    pub(super) fn lost_zeros(self) -> bool {
        !self.intact && self.shortest < self.longest
    }
}

/// Records of one sort.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Seen {
    pub(super) count: u64,
    /// The line of the first.
    pub(super) line: u64,
}

impl Seen {
    fn add(&mut self, record: &Record) {
        self.count += 1;
        if self.count == 1 {
            self.line = record.line();
        }
    }
}

/// Two columns of one name.
#[derive(Debug, Clone, Copy)]
pub(super) struct Doubled {
    pub(super) first: usize,
    pub(super) second: usize,
    /// Whether they have the same value in all records.
    pub(super) same: bool,
}

/// A file read with one delimiter.
#[derive(Debug)]
pub(super) struct Scan {
    pub(super) delimiter: Option<u8>,
    pub(super) ends: Ends,
    rows: Rows,
    /// The line that the file has for spreadsheets says this delimiter.
    pub(super) stated: Option<u8>,
    /// Names as written.
    pub(super) header: Vec<Vec<u8>>,
    /// Records by their width; those with a fault are not among them.
    pub(super) widths: BTreeMap<usize, Seen>,
    pub(super) columns: Vec<Column>,
    pub(super) doubled: Vec<Doubled>,
    /// Wider records have values past the header's width.
    overflow: bool,
    /// The first record that is not closed, if it goes over several lines.
    pub(super) open: Option<u64>,
    pub(super) faults: Option<Seen>,
    /// With a NUL character, which no text has.
    pub(super) nul: Option<Seen>,
    /// The last record of more than one value, if it is a row of totals.
    pub(super) totals: Option<u64>,
}

impl Scan {
    pub(super) fn new(delimiter: Option<u8>, ends: Ends) -> Self {
        Self {
            delimiter,
            ends,
            rows: Rows::new(delimiter, ends),
            stated: None,
            header: Vec::new(),
            widths: BTreeMap::new(),
            columns: Vec::new(),
            doubled: Vec::new(),
            overflow: false,
            open: None,
            faults: None,
            nul: None,
            totals: None,
        }
    }

    pub(super) fn add(&mut self, mut input: &[u8]) -> Result<(), Endless> {
        while !input.is_empty() {
            let (taken, kind) = self.rows.feed(input)?;
            input = &input[taken..];
            if let Some(kind) = kind {
                self.take(kind);
            }
        }
        Ok(())
    }

    pub(super) fn finish(&mut self) {
        if let Some(kind) = self.rows.finish() {
            self.take(kind);
        }
    }

    /// Records of data, those that cannot be read among them.
    pub(super) fn records(&self) -> u64 {
        self.rows.count
    }

    pub(super) fn left_out(&self) -> LeftOut {
        self.rows.left_out
    }

    /// Whether records end in more than one way.
    pub(super) fn is_mixed(&self) -> bool {
        self.rows.parser.is_mixed()
    }

    fn take(&mut self, kind: Kind) {
        let record = self.rows.record();
        match kind {
            Kind::LeftOut => {}
            Kind::Separator(delimiter) => self.stated = Some(delimiter),
            Kind::Header => {
                self.header = record.values().map(<[u8]>::to_vec).collect();
                let columns = self.header.iter().take(MOST_COLUMNS).map(|name| Column {
                    codes: Codes::of(name),
                    ..Column::default()
                });
                self.columns = columns.collect();
                self.doubled = doubled(&self.header);
            }
            Kind::Data(number) => {
                // A footer of one value may follow it.
                if record.width() > 1 {
                    self.totals = (number > 0 && is_total(record)).then_some(number);
                }
                if record.has_nul() {
                    Seen::add(self.nul.get_or_insert_default(), record);
                }
                match record.fault() {
                    Some(fault) => {
                        Seen::add(self.faults.get_or_insert_default(), record);
                        if fault == Fault::Open && record.last_line() > record.line() {
                            self.open.get_or_insert(record.line());
                        }
                    }
                    None => self.measure(),
                }
            }
        }
    }

    fn measure(&mut self) {
        let record = self.rows.record();
        let (width, most) = (record.width(), self.header.len());
        self.widths.entry(width).or_default().add(record);
        if width != most {
            self.overflow |= (most..width).any(|at| !record.value(at).trim_ascii().is_empty());
            return;
        }
        for (column, value) in self.columns.iter_mut().zip(record.values()) {
            let value = value.trim_ascii();
            if value.is_empty() {
                continue;
            }
            column.filled += 1;
            if let Some(codes) = &mut column.codes {
                codes.add(value);
            }
            if value.starts_with(b"=") {
                if is_wrapped(value) {
                    column.texts += 1;
                } else {
                    column.formulas += 1;
                    if column.formulas == 1 {
                        column.formula_line = record.line();
                    }
                }
            }
        }
        for pair in &mut self.doubled {
            pair.same &= record.value(pair.first) == record.value(pair.second);
        }
    }

    /// The least and the most values of a record that can be read: the header's width; fewer where
    /// columns at its end have neither name nor value; more where all records have as many, and
    /// nothing in them.
    pub(super) fn accepted(&self) -> (usize, usize) {
        let width = self.header.len();
        let nameless = self.header.iter().rev().zip(self.columns.iter().rev());
        let unused = nameless
            .take_while(|(name, column)| name.trim_ascii().is_empty() && column.filled == 0);
        let least = width - unused.count();
        match self.widths.keys().copied().collect::<Vec<_>>().as_slice() {
            [one] if *one > width && !self.overflow => (*one, *one),
            _ => (least.max(1), width),
        }
    }

    /// Records that can be read.
    pub(super) fn fitting(&self) -> u64 {
        let (least, most) = self.accepted();
        let fitting = self.widths.range(least..=most);
        fitting.map(|(_, seen)| seen.count).sum()
    }

    /// Whether NUL is in the header, or in most records.
    pub(super) fn is_binary(&self) -> bool {
        let nul = self.nul.map_or(0, |seen| seen.count);
        self.header.iter().any(|name| name.contains(&0)) || nul * 2 > self.records()
    }

    /// Records that cannot be read for their width or their quotes.
    pub(super) fn bad(&self) -> u64 {
        self.records() - self.fitting()
    }

    /// Records of another width than can be read: how many, and the first of them with its width.
    pub(super) fn ragged(&self) -> Option<(Seen, usize)> {
        let (least, most) = self.accepted();
        let others = || {
            self.widths
                .iter()
                .filter(|(width, _)| !(least..=most).contains(*width))
        };
        let (width, first) = others().min_by_key(|(_, seen)| seen.line)?;
        let count = others().map(|(_, seen)| seen.count).sum();
        Some((Seen { count, ..*first }, *width))
    }
}

/// Whether a value has the form `="00123"`.
pub(super) fn is_wrapped(value: &[u8]) -> bool {
    let inside = value
        .strip_prefix(b"=\"")
        .and_then(|rest| rest.strip_suffix(b"\""));
    inside.is_some_and(|inside| !inside.contains(&b'"'))
}

fn doubled(header: &[Vec<u8>]) -> Vec<Doubled> {
    let mut first_of = BTreeMap::new();
    let mut doubled = Vec::new();
    for (second, name) in header.iter().enumerate() {
        let name = name.trim_ascii();
        if name.is_empty() {
            continue;
        }
        let first = *first_of.entry(name).or_insert(second);
        if first != second {
            doubled.push(Doubled {
                first,
                second,
                same: true,
            });
        }
    }
    doubled
}
