mod encodings;
mod line_ends;

use std::sync::Arc;

use arrow_salesforce::arrow::array::{Array as _, AsArray as _, RecordBatch};
use arrow_salesforce::source::RAW_ERROR;
use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use proptest::prelude::*;

use super::CsvRecords;
use crate::input::{ByteStream, FileRecords as _, InputError, InputFile};
use crate::spec::ReadSpec;

/// A file in memory, read in chunks of a few bytes.
#[derive(Debug)]
struct Memory {
    name: &'static str,
    bytes: Vec<u8>,
    chunk: usize,
}

impl InputFile for Memory {
    fn name(&self) -> &str {
        self.name
    }

    fn bytes(&self) -> ByteStream {
        let chunks: Vec<_> = self
            .bytes
            .chunks(self.chunk)
            .map(|chunk| Ok(Bytes::copy_from_slice(chunk)))
            .collect();
        stream::iter(chunks).boxed()
    }
}

/// What a file gave: its columns, its rows (a rejected one as its text and the reason), sentences.
#[derive(Debug, PartialEq, Eq)]
struct Given {
    columns: Vec<String>,
    rows: Vec<Vec<String>>,
    found: Vec<String>,
}

fn read_files(
    files: &[(&'static str, &[u8])],
    spec: &ReadSpec,
    chunk: usize,
) -> Result<Given, String> {
    let files: Vec<Arc<dyn InputFile>> = files
        .iter()
        .map(|(name, bytes)| {
            Arc::new(Memory {
                name,
                bytes: bytes.to_vec(),
                chunk,
            }) as Arc<dyn InputFile>
        })
        .collect();
    let given = async {
        let records = CsvRecords::survey(&files, spec).await?;
        let mut rows = Vec::new();
        let mut rejects = false;
        for file in &files {
            let batches: Vec<RecordBatch> = records.batches(file.as_ref()).try_collect().await?;
            rejects |= batches.iter().any(|batch| {
                let errors = batch.column_by_name(RAW_ERROR).unwrap();
                errors.null_count() < errors.len()
            });
            rows.extend(batches.iter().flat_map(rows_of));
        }
        assert_eq!(records.rows(), rows.len() as u64);
        assert!(records.rejects() || !rejects);
        let schema = records.schema();
        let columns = schema.fields().iter().map(|field| field.name().clone());
        let mut columns: Vec<String> = columns.collect();
        columns.truncate(columns.len() - 2);
        Ok::<_, InputError>(Given {
            columns,
            rows,
            found: records.found().to_vec(),
        })
    };
    futures::executor::block_on(given).map_err(|error| error.to_string())
}

fn rows_of(batch: &RecordBatch) -> Vec<Vec<String>> {
    let cell = |column: usize, row: usize| {
        let cells = batch.column(column).as_string::<i32>();
        cells.is_valid(row).then(|| cells.value(row).to_owned())
    };
    let width = batch.num_columns() - 2;
    let rows = (0..batch.num_rows()).map(|row| match cell(width + 1, row) {
        Some(reason) => vec![cell(width, row).unwrap(), format!("! {reason}")],
        None => (0..width)
            .map(|column| cell(column, row).unwrap_or_else(|| "-".to_owned()))
            .collect(),
    });
    rows.collect()
}

/// The same however the bytes come.
fn read_with(bytes: &[u8], spec: &ReadSpec) -> Result<Given, String> {
    let whole = read_files(&[("f.csv", bytes)], spec, 1 << 16);
    for chunk in [1, 2, 7] {
        assert_eq!(
            read_files(&[("f.csv", bytes)], spec, chunk),
            whole,
            "chunks of {chunk}"
        );
    }
    whole
}

fn read(bytes: impl AsRef<[u8]>) -> Given {
    read_with(bytes.as_ref(), &ReadSpec::default()).unwrap()
}

fn refused(bytes: impl AsRef<[u8]>) -> String {
    read_with(bytes.as_ref(), &ReadSpec::default()).unwrap_err()
}

fn rows(bytes: impl AsRef<[u8]>) -> Vec<Vec<String>> {
    read(bytes).rows
}

fn delimiter(text: &str) -> ReadSpec {
    ReadSpec {
        delimiter: Some(text.to_owned()),
        ..ReadSpec::default()
    }
}

#[test]
fn values_are_text_and_empty_ones_are_none() {
    let given = read("Name,Zip,Note\nAda,01234,\"\"\n Bob ,, x\n");
    assert_eq!(given.columns, ["Name", "Zip", "Note"]);
    assert_eq!(given.rows, [["Ada", "01234", "-"], [" Bob ", "-", " x"]]);
    assert_eq!(
        given.found,
        ["f.csv: CSV in UTF-8, columns between ',', 2 records"]
    );
}

#[test]
fn quotes_hold_delimiters_newlines_and_quotes() {
    let csv = "a,b\r\n\"x,\r\ny\",\"say \"\"hi\"\"\"\r\n1, \"2,3\" \r\n5\" pipe,z";
    assert_eq!(
        rows(csv),
        [["x,\r\ny", "say \"hi\""], ["1", "2,3"], ["5\" pipe", "z"]]
    );
}

#[test]
fn each_line_break_ends_a_record_and_empty_lines_are_none() {
    for end in ["\n", "\r\n", "\r"] {
        let csv = ["a,b", "", "1,2", ",", "3,4", ""].join(end);
        let given = read(&csv);
        assert_eq!(given.rows, [["1", "2"], ["3", "4"]], "{end:?}");
        assert_eq!(given.found[1], "f.csv: 1 empty record is left out");
    }
}

#[test]
fn the_delimiter_is_the_one_that_gives_all_records_the_width_of_the_header() {
    assert_eq!(rows("a;b\n1,5;2,5\n3;4\n"), [["1,5", "2,5"], ["3", "4"]]);
    assert_eq!(rows("a\tb\n1,5\t2;5\n"), [["1,5", "2;5"]]);
    assert_eq!(rows("a|b\n1|2\n"), [["1", "2"]]);
    // The header's comma separates nothing in most records.
    assert_eq!(
        rows("Name;Price, net\nx;1,5\ny;2\n"),
        [["x", "1,5"], ["y", "2"]]
    );
}

#[test]
fn two_delimiters_that_fit_are_refused_until_one_is_said() {
    let csv = b"Name;Price, net\nx;1,5\ny;2,5\n";
    assert_eq!(
        refused(csv),
        "f.csv: ',' and ';' may each stand between its columns; say which one does with --delimiter"
    );
    let given = read_with(csv, &delimiter(";")).unwrap();
    assert_eq!(given.rows, [["x", "1,5"], ["y", "2,5"]]);
    let tab = read_with(b"a\tb\n1\t2\n", &delimiter("tab")).unwrap();
    assert_eq!(tab.rows, [["1", "2"]]);
    for wrong in ["", "::", "\"", "\u{a7}"] {
        assert!(
            read_with(csv, &delimiter(wrong))
                .unwrap_err()
                .contains("--delimiter")
        );
    }
}

#[test]
fn excel_may_state_the_delimiter() {
    assert_eq!(rows("sep=;\r\na;b\r\n1,5;2,5\r\n"), [["1,5", "2,5"]]);
}

#[test]
fn one_column_needs_no_delimiter() {
    assert_eq!(rows("Name\nAda\nSmith, John\n"), [["Ada"], ["Smith, John"]]);
    let title = "Report of May\na;b\n1;2\n";
    assert_eq!(
        refused(title),
        "f.csv: its first line has one column, and all records have 2 between ';'; the first line must \
         name the columns. If the records are one column, give --delimiter a character that they do not \
         have"
    );
    let title = "Report, of May\na;b\n1;2\n";
    assert!(refused(title).contains("most records have not (line 2 has 1)"));
}

#[test]
fn ragged_records_are_rejected_with_their_text() {
    let given = read("a,b,c\n1,2,3\n1,2\n1,\"x\ny\",3,4\n4,5,6\n7,8,9\n");
    let reason = |width| format!("! {width} values, and the header has 3 columns");
    assert_eq!(given.rows[1], ["1,2".to_owned(), reason(2)]);
    assert_eq!(given.rows[2], ["1,\"x\ny\",3,4".to_owned(), reason(4)]);
    assert_eq!(given.rows[3], ["4", "5", "6"]);
    assert_eq!(
        given.found[1],
        "f.csv: 2 records of another width than the header's 3 columns, rejected (line 3 has 2)"
    );
}

#[test]
fn text_after_a_quote_is_rejected_not_mended() {
    let given = rows("a,b\n1,2\n\"he said \"hi\" to\",3\n4,5\n");
    assert!(
        given[1][1].starts_with("! text follows the quote"),
        "{given:?}"
    );
}

#[test]
fn a_quote_that_is_not_closed_takes_no_more_than_its_line() {
    let given = rows("a,b\n1,2\n3,\"4");
    assert_eq!(given[1], ["3,\"4", "! the quote of a value is not closed"]);
    let error = refused("a,b\n1,2\n3,\"4\n5,6\n7,8\n");
    assert!(error.contains("line 3 is not closed"), "{error}");
    let error = refused("a,b\n1,\"Smith\n2,mid\n3,ok\n");
    assert!(error.contains("line 2 is not closed"), "{error}");
}

#[test]
fn a_record_without_end_is_refused() {
    let mut csv = b"a,b\n1,2\n\"".to_vec();
    csv.resize(40 << 20, b'x');
    let error = read_files(&[("f.csv", &csv)], &ReadSpec::default(), 1 << 20).unwrap_err();
    assert!(
        error.contains("the record on line 3 is longer than 32 MiB"),
        "{error}"
    );
}

#[test]
fn columns_without_name_and_value_are_dropped() {
    let given = read("a;b;;\n1;2;;\n3;4;;\n5;6\n");
    assert_eq!(given.columns, ["a", "b"]);
    assert_eq!(given.rows, [["1", "2"], ["3", "4"], ["5", "6"]]);
    // A delimiter at the end of each record, and not of the header.
    assert_eq!(rows("a,b\n1,2,\n3,4,\n"), [["1", "2"], ["3", "4"]]);
    // At the end of one alone it may as well be one too many in its middle.
    let given = rows("a,b\n1,2\nx,y,\n3,4\n");
    assert_eq!(given[1][1], "! 3 values, and the header has 2 columns");
}

#[test]
fn a_column_without_name_but_values_gets_one() {
    let given = read(",a,b\n0,1,2\n1,3,4\n");
    assert_eq!(given.columns, ["column_1", "a", "b"]);
    assert_eq!(
        given.found[1],
        "f.csv: column 1 has no name; it is column_1 here"
    );
}

#[test]
fn names_are_trimmed() {
    assert_eq!(
        read("\u{FEFF} a , \"b\" ,\u{a0}c\n1,2,3\n").columns,
        ["a", "b", "c"]
    );
}

#[test]
fn doubled_names_are_one_column_if_their_values_are_the_same() {
    let given = read("Email,Name,Email\nx,1,x\ny,2,y\n");
    assert_eq!(
        (given.columns.len(), &given.rows[0][..]),
        (2, &["x".to_owned(), "1".to_owned()][..])
    );
    assert_eq!(
        given.found[1],
        "f.csv: columns 1 and 3 are both named Email and have the same values; one is read"
    );
}

#[test]
fn doubled_names_that_differ_are_numbered() {
    let given = read("Email,Name,Email\nx,1,x\ny,2,z\n");
    assert_eq!(given.columns, ["Email", "Name", "Email_2"]);
    assert!(given.found[1].contains("Email and Email_2 here, and --map says which"));
    let error = refused("Email,Email_2,Email\nx,1,z\n");
    assert_eq!(error, "f.csv: two columns are named Email_2; rename one");
}

#[test]
fn a_repeated_header_is_no_record() {
    let given = read("a,b\n1,2\nA,b\n3,4\n");
    assert_eq!(given.rows, [["1", "2"], ["3", "4"]]);
    assert_eq!(
        given.found[1],
        "f.csv: 1 record repeats the header, left out"
    );
}

#[test]
fn a_row_of_totals_is_rejected() {
    for word in ["Total", "SUMME:", "Grand Total"] {
        let given = read(format!("Name,Amount\nTotal,1\nB,2\n{word},3\n\n"));
        assert_eq!(given.rows[0], ["Total", "1"]);
        assert_eq!(
            given.rows[2][1],
            "! a row of totals at the end of the file, not a record"
        );
        assert!(given.found[1].contains("row of totals"));
    }
    let given = rows("Name,Amount\nA,2\nTotal,2\nMade by SAP\n");
    assert!(given[1][1].starts_with("! a row of totals"), "{given:?}");
    assert_eq!(
        rows("Name,Amount\nA,2\nTotalEnergies,3\n")[1],
        ["TotalEnergies", "3"]
    );
}

#[test]
fn formulas_are_text() {
    let given = read("Zip,Sum\n\"=\"\"01234\"\"\",=A1+B1\n=\"00001\",2\n");
    assert_eq!(given.rows, [["01234", "=A1+B1"], ["00001", "2"]]);
    assert_eq!(
        given.found[1..],
        [
            "f.csv: Zip: values of the form =\"00123\" are the text in the quotes",
            "f.csv: Sum: 1 value begins with = (line 2); they are read as text, not calculated"
        ]
    );
}

#[test]
fn postal_codes_without_their_zeros_are_said() {
    let lost = |csv| {
        read(csv)
            .found
            .iter()
            .any(|note| note.contains("leading zeros may be lost"))
    };
    assert!(lost("Zip,n\n1067,1\n10115,2\n"));
    for kept in [
        "Zip,n\n01067,1\n1011,2\n",
        "Zip,n\n10115,1\n10116,2\n",
        "n,m\n1,1\n10,2\n",
    ] {
        assert!(!lost(kept), "{kept}");
    }
}

#[test]
fn files_of_one_input_have_the_same_columns_in_any_order() {
    let spec = ReadSpec::default();
    let given = read_files(
        &[("1.csv", b"a,b\n1,2\n"), ("2.csv", b"b;a\n4;3\n")],
        &spec,
        5,
    )
    .unwrap();
    assert_eq!(given.rows, [["1", "2"], ["3", "4"]]);
    let error = read_files(
        &[("1.csv", b"a,b\n1,2\n"), ("2.csv", b"a,c\n4,3\n")],
        &spec,
        5,
    );
    assert!(
        error
            .unwrap_err()
            .starts_with("2.csv: it has the column c and not b, unlike 1.csv")
    );
}

#[test]
fn a_file_without_a_header_is_refused() {
    for empty in ["", "\n\n", "\u{FEFF}"] {
        assert!(refused(empty).contains("the file is empty"), "{empty:?}");
    }
    assert!(refused("a,_airbyte_raw\n1,2\n").contains("_airbyte_raw"));
    assert!(read("a,b\n").rows.is_empty());
}

proptest! {
    /// What another reader of CSV gives, whatever the chunks and line breaks.
    #[test]
    fn records_are_those_of_the_format(
        table in prop::collection::vec(prop::collection::vec("[a-z0-9,;\"\n\r é]{0,6}", 3), 1..8),
        quote_all: bool,
        crlf: bool,
        chunk in 1..9_usize,
    ) {
        let mut writer = csv::WriterBuilder::new()
            .terminator(if crlf { csv::Terminator::CRLF } else { csv::Terminator::Any(b'\n') })
            .quote_style(if quote_all { csv::QuoteStyle::Always } else { csv::QuoteStyle::Necessary })
            .from_writer(Vec::new());
        writer.write_record(["h1", "h2", "h3"]).unwrap();
        for row in &table {
            writer.write_record(row).unwrap();
        }
        let bytes = writer.into_inner().unwrap();
        let given = read_files(&[("f.csv", &bytes)], &delimiter(","), chunk).unwrap();
        let blank = |row: &Vec<String>| row.iter().all(|cell| cell.trim_ascii().is_empty());
        let expected: Vec<Vec<String>> = table.into_iter().filter(|row| !blank(row))
            .map(|row| row.into_iter().map(|cell| if cell.is_empty() { "-".to_owned() } else { cell }).collect())
            .collect();
        prop_assert_eq!(given.rows, expected);
    }

    #[test]
    fn no_bytes_are_too_strange(bytes in prop::collection::vec(any::<u8>(), 0..200), chunk in 1..50_usize) {
        let _ = read_files(&[("f.csv", &bytes)], &ReadSpec::default(), chunk);
    }
}
