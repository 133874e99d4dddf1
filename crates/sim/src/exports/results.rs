//! The results of a query job: CSV, in pages by locator.

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;

use crate::error::ApiError;
use crate::faults::PageFault;
use crate::org::{Kind, number};
use crate::share::part;
use crate::soql::{Found, Query, What};

/// Pages whose addresses come in [one
/// response](https://developer.salesforce.com/docs/atlas.en-us.api_asynch.meta/api_asynch/query_get_parallel_job_results.htm).
const PARALLEL_PAGES: usize = 5;

/// How results are written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Form {
    pub(super) delimiter: u8,
    pub(super) crlf: bool,
    /// Numbers went through a double.
    pub(super) numbers: bool,
    /// Records of a page, unless the client wants fewer. Salesforce chooses by size.
    pub(super) page_records: usize,
    /// Without records there is no header either.
    pub(super) is_bare_if_empty: bool,
}

/// The page that a client wants.
#[derive(Debug)]
pub(crate) struct Wanted<'a> {
    pub(crate) locator: Option<&'a str>,
    /// How many records at most.
    pub(crate) most: Option<usize>,
    /// What is wrong with it.
    pub(crate) fault: Option<&'a PageFault>,
}

/// The results of a job.
#[derive(Debug)]
pub(super) struct Results {
    header: String,
    rows: String,
    /// The begin of each row, then the end of the last one.
    starts: Vec<usize>,
    form: Form,
}

/// A page of results.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) csv: String,
    pub(crate) records: usize,
    /// The locator of the next page.
    pub(crate) locator: Option<String>,
}

impl Results {
    pub(super) fn new(query: &Query, found: &Found, form: Form) -> Results {
        let fields = match &query.what {
            What::Fields(fields) => fields.as_slice(),
            What::Count | What::Totals(_) => &[],
        };
        let fields = fields.iter();
        let columns: Vec<(String, Kind)> = fields
            .map(|field| {
                let columns = query.columns();
                (columns.name(*field), columns.field(*field).kind)
            })
            .collect();
        let mut header = String::new();
        form.line(&mut header, columns.iter().map(|(name, _)| name.as_str()));
        let mut rows = String::new();
        let mut starts = vec![0];
        for row in &found.rows {
            let values = columns.iter().zip(row);
            let values: Vec<_> = values
                .map(|((_, kind), value)| form.shown(*kind, value.as_deref().unwrap_or_default()))
                .collect();
            form.line(&mut rows, values.iter().map(AsRef::as_ref));
            starts.push(rows.len());
        }
        Results {
            header,
            rows,
            starts,
            form,
        }
    }

    pub(super) fn records(&self) -> usize {
        self.starts.len() - 1
    }

    pub(super) fn bytes(&self) -> u64 {
        (self.header.len() + self.rows.len()) as u64
    }

    /// The page that a client wants, with what is wrong with it.
    ///
    /// # Errors
    /// If the locator is none of these results.
    pub(super) fn page(&self, wanted: &Wanted<'_>) -> Result<Page, ApiError> {
        let most = wanted.most.unwrap_or(usize::MAX);
        let most = most.clamp(1, self.form.page_records);
        let first = row_of(wanted.locator)?.min(self.records());
        let whole = self.rows_from(first, most);
        Ok(match wanted.fault {
            None | Some(PageFault::NoCount {} | PageFault::NoLocator {}) => whole,
            Some(PageFault::Cut { share, counted }) => {
                let part = self.rows_from(first, part(whole.records, *share));
                Page {
                    csv: part.csv,
                    records: if *counted {
                        part.records
                    } else {
                        whole.records
                    },
                    locator: whole.locator,
                }
            }
            Some(PageFault::Repeat { locator }) => {
                let before = self.rows_from(first.saturating_sub(most), most);
                Page {
                    locator: if *locator {
                        before.locator
                    } else {
                        whole.locator
                    },
                    ..before
                }
            }
            Some(PageFault::Circle { to_first }) => Page {
                locator: Some(locator(if *to_first { 0 } else { first })),
                ..whole
            },
            Some(PageFault::OtherHeader {}) => Page {
                csv: self.form.reversed(&whole.csv),
                ..whole
            },
            Some(PageFault::NoHeader {}) => Page {
                csv: whole.csv[self.header.len().min(whole.csv.len())..].to_owned(),
                ..whole
            },
        })
    }

    /// The page of some records from one on: each has the header.
    fn rows_from(&self, first: usize, most: usize) -> Page {
        let end = self.records().min(first.saturating_add(most));
        let rows = &self.rows[self.starts[first]..self.starts[end]];
        let is_bare = self.form.is_bare_if_empty && self.records() == 0;
        let header = if is_bare { "" } else { &self.header };
        Page {
            csv: format!("{header}{rows}"),
            records: end - first,
            locator: (end < self.records()).then(|| locator(end)),
        }
    }

    /// The locators of the pages from a record on, at most five, and that of the page after them.
    pub(super) fn locators(&self, first: usize) -> (Vec<String>, Option<String>) {
        let mut starts = (first..self.records().max(1)).step_by(self.form.page_records);
        let pages = starts.by_ref().take(PARALLEL_PAGES);
        let pages = pages.map(locator).collect();
        (pages, starts.next().map(locator))
    }
}

impl Form {
    /// Writes a line of values, all in quotes.
    fn line<'a>(self, text: &mut String, values: impl Iterator<Item = &'a str>) {
        for (column, value) in values.enumerate() {
            if column > 0 {
                text.push(char::from(self.delimiter));
            }
            text.push('"');
            let mut parts = value.split('"');
            text.push_str(parts.next().unwrap_or_default());
            for part in parts {
                text.push_str("\"\"");
                text.push_str(part);
            }
            text.push('"');
        }
        text.push_str(if self.crlf { "\r\n" } else { "\n" });
    }

    /// The lines with their values in the reversed order. All values are in quotes.
    fn reversed(self, text: &str) -> String {
        let end = if self.crlf { "\"\r\n" } else { "\"\n" };
        let mut made = String::new();
        let mut rest = text;
        let mut values: Vec<String> = Vec::new();
        while let Some((value, after)) = quoted(rest) {
            values.insert(0, value);
            rest = &after[1.min(after.len())..];
            if after.starts_with(&end[1..]) {
                self.line(&mut made, values.iter().map(String::as_str));
                values.clear();
                rest = &after[end.len() - 1..];
            }
        }
        made
    }

    /// A value as results show it.
    fn shown(self, kind: Kind, value: &str) -> std::borrow::Cow<'_, str> {
        let other = match kind {
            Kind::Double if self.numbers => number::echoed(value),
            _ => None,
        };
        other.map_or(value.into(), Into::into)
    }
}

/// The first value in quotes, and what follows it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let text = text.strip_prefix('"')?;
    let mut at = 0;
    loop {
        at += text[at..].find('"')?;
        if !text[at + 1..].starts_with('"') {
            return Some((text[..at].replace("\"\"", "\""), &text[at + 1..]));
        }
        at += 2;
    }
}

/// The locator of the page that begins with a record, as Salesforce makes them: the number of the
/// record in base64.
pub(super) fn locator(record: usize) -> String {
    STANDARD_NO_PAD.encode(record.to_string())
}

/// The record with which the page of a locator begins; the first without one.
///
/// # Errors
/// If it is no locator.
pub(super) fn row_of(locator: Option<&str>) -> Result<usize, ApiError> {
    let Some(locator) = locator else {
        return Ok(0);
    };
    let decoded = STANDARD_NO_PAD.decode(locator.trim_end_matches('='));
    let text = decoded.ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let row = text.and_then(|text| text.parse().ok());
    row.ok_or_else(|| ApiError::new(400, "INVALID_QUERY_LOCATOR", "invalid query locator"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locators_are_numbers_in_base64() {
        // The example of Salesforce's page on results.
        assert_eq!(locator(10_000), "MTAwMDA");
        assert_eq!(row_of(Some("MTAwMDA")).unwrap(), 10_000);
        assert_eq!(row_of(None).unwrap(), 0);
        for wrong in ["", "x", "null", "LTE"] {
            assert!(row_of(Some(wrong)).is_err(), "{wrong}");
        }
    }

    #[test]
    fn values_are_quoted() {
        let form = Form {
            delimiter: b'^',
            crlf: true,
            numbers: true,
            page_records: 1,
            is_bare_if_empty: false,
        };
        let mut line = String::new();
        form.line(&mut line, ["a\"b", "", "c^\n"].into_iter());
        assert_eq!(line, "\"a\"\"b\"^\"\"^\"c^\n\"\r\n");
        assert_eq!(form.reversed(&line), "\"c^\n\"^\"\"^\"a\"\"b\"\r\n");
        assert_eq!(form.shown(Kind::Double, "912260031"), "9.12260031E8");
        assert_eq!(form.shown(Kind::Text, "912260031"), "912260031");
    }
}
