//! Which of the ways to read a file is the right one.

use super::super::InputError;
use super::scan::Scan;
use super::words::{count, show};

/// Why a file cannot be read.
pub(super) enum Problem {
    /// A flag settles it.
    Asks(String),
    /// The file must be changed.
    Broken(String),
}

impl Problem {
    pub(super) fn of(self, name: &str) -> InputError {
        match self {
            Self::Asks(problem) => InputError::Usage(format!("{name}: {problem}")),
            Self::Broken(problem) => InputError::Content {
                name: name.to_owned(),
                problem,
            },
        }
    }
}

/// The scan of the delimiter that gives all records, or else most, the header's width.
pub(super) fn choose(mut scans: Vec<Scan>, asked: bool) -> Result<Scan, Problem> {
    if scans.iter().all(|scan| scan.header.is_empty()) {
        let problem = "the file is empty; its first line must name the columns";
        return Err(Problem::Broken(problem.to_owned()));
    }
    let stated = scans.iter().find_map(|scan| scan.stated);
    if let (false, Some(stated)) = (asked, stated) {
        scans.retain(|scan| scan.delimiter == Some(stated));
        return scans.pop().ok_or_else(|| {
            Problem::Asks(format!(
                "its first line states the delimiter {}; say it with --delimiter",
                show(stated)
            ))
        });
    }
    if asked && let Some(scan) = scans.pop() {
        return Ok(scan);
    }
    // A character that the header does not have separates nothing.
    let (mut wide, mut single): (Vec<_>, Vec<_>) =
        scans.into_iter().partition(|scan| scan.header.len() > 1);
    if wide.is_empty() {
        return one_column(&mut single);
    }
    wide.sort_by_key(|scan| std::cmp::Reverse(scan.fitting()));
    let best = wide.first().map_or(0, Scan::fitting);
    let records = wide.first().map_or(0, Scan::records);
    let rivals: Vec<String> = wide
        .iter()
        .filter(|scan| scan.fitting() == best)
        .filter_map(|scan| scan.delimiter.map(show))
        .collect();
    if rivals.len() > 1 {
        return Err(Problem::Asks(format!(
            "{} may each stand between its columns; say which one does with --delimiter",
            rivals.join(" and ")
        )));
    }
    let scan = wide.swap_remove(0);
    if scan.open.is_some() {
        return Ok(scan);
    }
    if best * 2 < records {
        let (line, width) = scan
            .ragged()
            .map_or((2, 0), |(seen, width)| (seen.line, width));
        return Err(Problem::Asks(format!(
            "its first line has {}, and most records have not (line {line} has {width}); the first line \
             must name the columns, and --delimiter says what stands between them",
            count(scan.header.len() as u64, "column")
        )));
    }
    Ok(scan)
}

/// A file whose header has no delimiter: one column, if the records have none either.
fn one_column(scans: &mut Vec<Scan>) -> Result<Scan, Problem> {
    let split = scans.iter().find(|scan| {
        scan.delimiter.is_some()
            && scan.records() > 0
            && !scan.widths.contains_key(&1)
            && scan.widths.len() == 1
    });
    if let Some((scan, delimiter)) = split.and_then(|scan| Some((scan, scan.delimiter?))) {
        let width = scan.widths.keys().next().copied().unwrap_or_default();
        return Err(Problem::Asks(format!(
            "its first line has one column, and all records have {width} between {}; the first line must \
             name the columns. If the records are one column, give --delimiter a character that they do \
             not have",
            show(delimiter)
        )));
    }
    let single = scans.iter().position(|scan| scan.delimiter.is_none());
    Ok(scans.swap_remove(single.unwrap_or_default()))
}

/// Of a file whose records may end in several ways: with LF as well as CRLF, or else with CRLF alone,
/// so that an LF is part of a value. A value is never cut without a word.
pub(super) fn choose_ends(
    lf: Result<Scan, Problem>,
    crlf: Vec<Scan>,
    asked: bool,
) -> Result<Scan, Problem> {
    let whole = |scan: &Result<Scan, Problem>| {
        let scan = scan.as_ref();
        scan.is_ok_and(|scan| scan.records() > 0 && scan.bad() == 0)
    };
    // Where the first line ends with LF, CRLF does not end the lines.
    let rejected = lf.as_ref().ok().and_then(|lf| {
        let alike =
            |scan: &&Scan| scan.delimiter == lf.delimiter && scan.header.len() == lf.header.len();
        Some((lf.bad(), crlf.iter().find(alike)?.bad()))
    });
    let crlf = choose(crlf, asked);
    // Each LF alone is at the end of a record, or of the file.
    let same = matches!((&lf, &crlf), (Ok(lf), Ok(crlf)) if lf.records() == crlf.records());
    match (whole(&lf), whole(&crlf), rejected) {
        (true, true, _) if same => crlf,
        (true, true, _) => Err(mixed("LF")),
        (true, false, _) => lf,
        (false, true, _) => crlf,
        (false, false, Some((lf, all))) if lf < all => Err(mixed("LF")),
        (false, false, Some(_)) => crlf,
        (false, false, None) => lf,
    }
}

/// A lone CR in a file that has LF is part of a value, but no name of a column has one.
pub(super) fn without_cr(scan: Result<Scan, Problem>) -> Result<Scan, Problem> {
    match scan {
        Ok(scan) if scan.header.iter().any(|name| name.contains(&b'\r')) => Err(mixed("CR")),
        scan => scan,
    }
}

fn mixed(lone: &str) -> Problem {
    Problem::Broken(format!(
        "some line breaks are {lone} and others are not, and it is not clear which of them are part of \
         values; end all lines alike, and put values with line breaks in quotes"
    ))
}
