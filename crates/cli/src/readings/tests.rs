//! Readings of single columns.

mod written;

use std::sync::Arc;

use arrow_salesforce::arrow::array::{Array as _, AsArray as _, RecordBatch, StringArray};
use arrow_salesforce::arrow::compute::cast;
use arrow_salesforce::arrow::datatypes::{DataType, Field, Schema};
use arrow_salesforce::source::{DeclaredType, RAW_ERROR};

use super::{Kind, Survey, Wanted};
use crate::spec::{DateOrder, DecimalMark, ReadSpec};

/// A column after it was read, with what was found; or why it is refused.
fn read_with(
    kind: Kind,
    values: &[&str],
    spec: &ReadSpec,
) -> Result<(Vec<String>, Vec<String>), String> {
    let cells: StringArray = values
        .iter()
        .map(|value| (!value.is_empty()).then_some(*value))
        .collect();
    let batch =
        RecordBatch::try_from_iter_with_nullable([("F", Arc::new(cells) as _, true)]).unwrap();
    let mut survey = Survey::new(vec![Wanted {
        column: "F".to_owned(),
        field: "F".to_owned(),
        kind,
    }]);
    // One value a batch: nothing is decided from some of them.
    for row in 0..batch.num_rows() {
        survey.add(&batch.slice(row, 1)).unwrap();
    }
    let readings = survey.finish(spec).map_err(|error| error.to_string())?;
    let read = readings.apply(batch).unwrap();
    let cells = read.column(0).as_string::<i32>().iter();
    let cells = cells
        .map(|cell| cell.unwrap_or_default().to_owned())
        .collect();
    Ok((cells, readings.found().to_vec()))
}

fn read(kind: Kind, values: &[&str]) -> Vec<String> {
    read_with(kind, values, &ReadSpec::default()).unwrap().0
}

fn found(kind: Kind, values: &[&str]) -> Vec<String> {
    read_with(kind, values, &ReadSpec::default()).unwrap().1
}

fn refused(kind: Kind, values: &[&str]) -> String {
    read_with(kind, values, &ReadSpec::default()).unwrap_err()
}

fn dates(order: DateOrder) -> ReadSpec {
    ReadSpec {
        dates: Some(order),
        ..ReadSpec::default()
    }
}

fn decimal(mark: DecimalMark) -> ReadSpec {
    ReadSpec {
        decimal: Some(mark),
        ..ReadSpec::default()
    }
}

#[test]
fn what_the_engine_takes_stays_as_it_is() {
    for (kind, values) in [
        (Kind::Number, &["1", "-2.5", "1e5", "007", "", "1.2345"][..]),
        (Kind::Whole, &["1", "-2", "1234567"]),
        (
            Kind::Date,
            &["2024-12-31", "2024-12-31T10:00:00Z", "2024-12-31 10:00"],
        ),
        (
            Kind::DateTime,
            &["2024-12-31T10:00:00.000+0100", "2024-12-31"],
        ),
        (Kind::Time, &["10:00", "10:00:00.5Z"]),
        (Kind::Boolean, &["TRUE", "no", "0", "", "Y"]),
    ] {
        let (read, found) = read_with(kind, values, &ReadSpec::default()).unwrap();
        assert_eq!(
            (read, found.len()),
            (values.iter().map(|v| (*v).to_owned()).collect(), 0),
            "{kind:?}"
        );
    }
}

#[test]
fn a_decimal_comma_is_found_from_the_whole_column() {
    assert_eq!(
        read(Kind::Number, &["1.234", "12,5", "7"]),
        ["1234", "12.5", "7"]
    );
    assert_eq!(
        read(Kind::Number, &["1,234", "12.5", "7"]),
        ["1234", "12.5", "7"]
    );
    assert_eq!(
        read(Kind::Number, &["1.234.567,89", "-0,5"]),
        ["1234567.89", "-0.5"]
    );
    assert_eq!(
        found(Kind::Number, &["1.234", "12,5"]),
        ["F: numbers with a decimal comma; 12,5 is 12.5"]
    );
    assert_eq!(
        found(Kind::Number, &["1,234.50", "$2.00"]),
        ["F: numbers with a decimal point and the sign $; 1,234.50 is 1234.50"]
    );
    assert_eq!(
        found(Kind::Whole, &["1.234"]),
        ["F: whole numbers; 1.234 is 1234"]
    );
}

#[test]
fn a_point_that_may_be_either_is_refused_until_it_is_said() {
    assert_eq!(
        refused(Kind::Number, &["1.234", "5", "5.678"]),
        "values can be read in more than one way:\n  F: 1.234 may be 1.234 or 1234, and no value of the column settles it; say --decimal point or \
         --decimal comma"
    );
    let read = |mark| {
        read_with(Kind::Number, &["1.234", "5"], &decimal(mark))
            .unwrap()
            .0
    };
    assert_eq!(read(DecimalMark::Comma), ["1234", "5"]);
    assert_eq!(read(DecimalMark::Point), ["1.234", "5"]);
    // A number without a fraction has no point before one.
    assert_eq!(self::read(Kind::Whole, &["1.234", "5"]), ["1234", "5"]);
    assert_eq!(self::read(Kind::Number, &["0.125", "5"]), ["0.125", "5"]);
}

#[test]
fn a_column_of_both_marks_is_refused_and_the_flag_rejects_the_others() {
    let values = ["12.5", "12,5", "1.234", "n/a"];
    assert_eq!(
        refused(Kind::Number, &values),
        "values can be read in more than one way:\n  F: 12.5 has a decimal point and 12,5 a decimal comma; say which one the column has with \
         --decimal point or --decimal comma"
    );
    let read = |mark| read_with(Kind::Number, &values, &decimal(mark)).unwrap().0;
    // What is in quotes is no number to the engine.
    assert_eq!(
        read(DecimalMark::Comma),
        ["\"12.5\"", "12.5", "1234", "n/a"]
    );
    assert_eq!(read(DecimalMark::Point), ["12.5", "12,5", "1.234", "n/a"]);
}

#[test]
fn a_flag_does_not_overrule_a_column_that_admits_one_reading() {
    let spec = decimal(DecimalMark::Comma);
    assert_eq!(
        read_with(Kind::Number, &["48.1374"], &spec).unwrap().0,
        ["48.1374"]
    );
    let spec = dates(DateOrder::Mdy);
    assert_eq!(
        read_with(Kind::Date, &["31/12/2024"], &spec).unwrap().0,
        ["2024-12-31"]
    );
}

#[test]
fn a_column_keeps_its_type() {
    for to in [
        DataType::LargeUtf8,
        DataType::Utf8View,
        DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8)),
    ] {
        let cells = cast(&StringArray::from(vec!["31/12/2024", "1/2/2024"]), &to).unwrap();
        let batch = RecordBatch::try_from_iter([("F", cells)]).unwrap();
        let mut survey = Survey::new(vec![Wanted {
            column: "F".to_owned(),
            field: "F".to_owned(),
            kind: Kind::Date,
        }]);
        survey.add(&batch).unwrap();
        let readings = survey.finish(&ReadSpec::default()).unwrap();
        let read = readings.apply(batch.clone()).unwrap();
        assert_eq!(read.schema(), batch.schema());
        let texts = cast(read.column(0), &DataType::Utf8).unwrap();
        assert_eq!(texts.as_string::<i32>().value(1), "2024-02-01");
    }
}

#[test]
fn a_flag_that_other_values_contradict_is_refused() {
    let spec = dates(DateOrder::Mdy);
    let refused = read_with(Kind::Date, &["31/12/2024", "03/04/2024"], &spec).unwrap_err();
    let said = refused;
    assert!(
        said.contains("31/12/2024 is no date by --dates mdy"),
        "{said}"
    );
    assert!(said.contains("--dates dmy"), "{said}");
    for (mark, values) in [
        (DecimalMark::Comma, ["0.5", "1.234"]),
        (DecimalMark::Point, ["0,5", "1,234"]),
    ] {
        let refused = read_with(Kind::Number, &values, &decimal(mark)).unwrap_err();
        let said = refused;
        assert!(said.contains("is no number by --decimal"), "{said}");
    }
}

#[test]
fn numbers_are_dressed_in_many_ways() {
    for (text, number) in [
        ("1 234,5", "1234.5"),
        ("1\u{a0}234,5", "1234.5"),
        ("1\u{202f}234,5", "1234.5"),
        ("1'234.5", "1234.5"),
        ("1’234.5", "1234.5"),
        ("€ 1.234,50", "1234.50"),
        ("1.234,50 €", "1234.50"),
        ("-$1,234.50", "-1234.50"),
        ("$-1,234.50", "-1234.50"),
        ("(1,234.50)", "-1234.50"),
        ("1,234.50-", "-1234.50"),
        ("\u{2212}1,5", "-1.5"),
        ("CHF 1'234.50", "1234.50"),
        ("12,34,567.5", "1234567.5"),
        (",5", "0.5"),
        ("1,5E+10", "1.5e+10"),
    ] {
        assert_eq!(read(Kind::Number, &[text]), [number], "{text}");
    }
    assert_eq!(read(Kind::Percent, &["12,5 %", "3%"]), ["12.5", "3"]);
}

#[test]
fn what_is_no_number_stays_for_the_engine_to_reject() {
    for text in [
        "n/a",
        "1.23.4",
        "1,2,3",
        "12%",
        "1.234,5.6",
        "1 23",
        "--5",
        "-(5)",
        "€5$",
        ".",
        "=A1",
    ] {
        let (read, found) = read_with(Kind::Number, &[text, "5"], &ReadSpec::default()).unwrap();
        assert_eq!((read[0].as_str(), found.len()), (text, 0));
    }
    // Amounts of two currencies are no numbers of one column.
    assert_eq!(read(Kind::Number, &["€5", "$6", "7"]), ["€5", "$6", "7"]);
}

#[test]
fn the_order_of_dates_is_found_from_the_whole_column() {
    assert_eq!(
        read(Kind::Date, &["03/04/2024", "31/12/2024"]),
        ["2024-04-03", "2024-12-31"]
    );
    assert_eq!(
        read(Kind::Date, &["03/04/2024", "12/31/2024"]),
        ["2024-03-04", "2024-12-31"]
    );
    assert_eq!(
        read(Kind::Date, &["31.12.2024", "1. 2. 2024", "2024-05-06"]),
        ["2024-12-31", "2024-02-01", "2024-05-06"]
    );
    assert_eq!(
        read(Kind::Date, &["2024/12/31", "2024.1.2"]),
        ["2024-12-31", "2024-01-02"]
    );
    assert_eq!(read(Kind::Date, &["05/05/2024"]), ["2024-05-05"]);
    assert_eq!(
        found(Kind::Date, &["03/04/2024", "31/12/2024"]),
        ["F: dates, day before month; 31/12/2024 is 2024-12-31"]
    );
}

#[test]
fn dates_of_either_order_are_refused_until_one_is_said() {
    assert_eq!(
        refused(Kind::Date, &["01/01/2024", "03/04/2024"]),
        "values can be read in more than one way:\n  F: 03/04/2024 may be 2024-04-03 or 2024-03-04, and no value of the column settles it; say \
         --dates dmy or --dates mdy"
    );
    let read = |order| {
        read_with(Kind::Date, &["03/04/2024"], &dates(order))
            .unwrap()
            .0
    };
    assert_eq!(read(DateOrder::Dmy), ["2024-04-03"]);
    assert_eq!(read(DateOrder::Mdy), ["2024-03-04"]);
    // This flag does not settle it.
    assert!(read_with(Kind::Date, &["03/04/2024"], &dates(DateOrder::Ymd)).is_err());
}

#[test]
fn dates_of_both_orders_are_refused_and_the_flag_rejects_the_others() {
    let values = ["31/12/2024", "12/31/2024", "03/04/2024", "tomorrow"];
    assert!(
        refused(Kind::Date, &values).contains("31/12/2024 and 12/31/2024 have different orders")
    );
    let (read, _) = read_with(Kind::Date, &values, &dates(DateOrder::Dmy)).unwrap();
    assert_eq!(read, ["2024-12-31", "12/31/2024", "2024-04-03", "tomorrow"]);
}

#[test]
fn a_value_that_is_no_date_stays_for_the_engine_to_reject() {
    assert_eq!(
        read(
            Kind::Date,
            &["31/12/2024", "31/02/2024", "soon", "31/12-2024", "45292"]
        ),
        ["2024-12-31", "31/02/2024", "soon", "31/12-2024", "45292"]
    );
}

#[test]
fn years_of_two_digits_are_read_where_their_century_is_clear() {
    assert_eq!(
        read(Kind::Date, &["31.12.99", "01.02.24", "01.02.45"]),
        ["1999-12-31", "2024-02-01", "01.02.45"]
    );
    assert!(found(Kind::Date, &["31.12.99"])[0].ends_with("1970 to 2029, and others are rejected"));
    assert!(refused(Kind::Date, &["24-12-21"]).contains("--dates dmy or --dates ymd"));
}

#[test]
fn dates_of_eight_digits_have_their_year_at_one_end() {
    assert_eq!(
        read(Kind::Date, &["20241231", "19200102"]),
        ["2024-12-31", "1920-01-02"]
    );
    assert_eq!(
        read(Kind::Date, &["31122024", "03042024"]),
        ["2024-12-31", "2024-04-03"]
    );
    assert!(refused(Kind::Date, &["03042024"]).contains("--dates dmy or --dates mdy"));
    assert_eq!(
        read(Kind::Date, &["31121066", "45292"]),
        ["31121066", "45292"]
    );
}

#[test]
fn months_have_names() {
    for text in [
        "31 Dec 2024",
        "31-Dec-24",
        "Dec 31, 2024",
        "December 31st, 2024",
        "31. Dezember 2024",
        "31 décembre 2024",
        "31 de diciembre de 2024",
        "2024-Dec-31",
    ] {
        assert_eq!(read(Kind::Date, &[text]), ["2024-12-31"], "{text}");
    }
    assert_eq!(
        read(Kind::Date, &["31 Foo 2024", "May"]),
        ["31 Foo 2024", "May"]
    );
}

#[test]
fn times_follow_dates() {
    for (text, stamp) in [
        ("31/12/2024 9:05", "2024-12-31T09:05:00"),
        ("12/31/2024 9:05:06 PM", "2024-12-31T21:05:06"),
        ("31.12.2024, 14:30", "2024-12-31T14:30:00"),
        ("2024/12/31T14:30:00.5+01:00", "2024-12-31T14:30:00.5+01:00"),
        ("2024-12-31 9:05", "2024-12-31T09:05:00"),
        ("Oct 31, 2024 12:00 am", "2024-10-31T00:00:00"),
        ("31/12/2024 25:00", "31/12/2024 25:00"),
        ("31/12/2024x", "31/12/2024x"),
    ] {
        assert_eq!(read(Kind::DateTime, &[text]), [stamp], "{text}");
    }
    assert_eq!(
        read(Kind::Time, &["9:05", "9:05 pm", "10:00"]),
        ["09:05:00", "21:05:00", "10:00"]
    );
}

#[test]
fn booleans_have_words() {
    assert_eq!(
        read(Kind::Boolean, &["ja", "Nein", "", "maybe"]),
        ["true", "false", "", "maybe"]
    );
    assert_eq!(read(Kind::Boolean, &["WAHR", "FALSCH"]), ["true", "false"]);
    assert_eq!(
        read(Kind::Boolean, &["oui", "non", "vrai", "faux", "sí"]),
        ["true", "false", "true", "false", "true"]
    );
    assert_eq!(
        found(Kind::Boolean, &["ja", "nein"]),
        ["F: ja is true, nein is false"]
    );
}

#[test]
fn an_empty_value_is_false_only_beside_marks_alone() {
    assert_eq!(
        read(Kind::Boolean, &["x", "", "X"]),
        ["true", "false", "true"]
    );
    assert_eq!(
        found(Kind::Boolean, &["x", ""]),
        ["F: x is true, an empty value is false"]
    );
    assert_eq!(read(Kind::Boolean, &["x", "", "no"]), ["true", "", "no"]);
    assert_eq!(read(Kind::Boolean, &["", ""]), ["", ""]);
}

#[test]
fn all_columns_that_are_not_settled_are_named_at_once() {
    let wanted = |column: &str, field: &str, kind| Wanted {
        column: column.to_owned(),
        field: field.to_owned(),
        kind,
    };
    let mut survey = Survey::new(vec![
        wanted("Betrag", "Amount", Kind::Number),
        wanted("CloseDate", "CloseDate", Kind::Date),
        wanted("Missing", "Missing", Kind::Date),
    ]);
    let cells = |text| Arc::new(StringArray::from(vec![text])) as _;
    let batch = RecordBatch::try_from_iter([
        ("Amount", cells("1.234")),
        ("CloseDate", cells("03/04/2024")),
    ]);
    survey.add(&batch.unwrap()).unwrap();
    let error = survey.finish(&ReadSpec::default()).unwrap_err();
    let error = error.to_string();
    let lines: Vec<&str> = error.lines().collect();
    assert!(
        lines[1].starts_with("  Amount (column Betrag): 1.234 may be"),
        "{error}"
    );
    assert!(
        lines[2].starts_with("  CloseDate: 03/04/2024 may be"),
        "{error}"
    );
}

#[test]
fn columns_that_are_no_text_and_rows_that_were_not_read_are_left_alone() {
    let schema = Schema::new(vec![
        Field::new("View", DataType::Utf8View, false),
        DeclaredType::Boolean.field("Typed"),
        Field::new("Whole", DataType::Int64, true),
        Field::new(RAW_ERROR, DataType::Utf8, true),
    ]);
    let text =
        |cells: &[Option<&str>]| Arc::new(cells.iter().copied().collect::<StringArray>()) as _;
    let view = cast(&text(&[Some("x"), Some(""), Some("")]), &DataType::Utf8View).unwrap();
    let batch = RecordBatch::try_new(
        Arc::new(schema),
        vec![
            view,
            text(&[Some("x"), None, None]),
            cast(&text(&[Some("1"), None, None]), &DataType::Int64).unwrap(),
            text(&[None, None, Some("ragged")]),
        ],
    )
    .unwrap();
    let wanted = ["View", "Typed", "Whole"].map(|name| Wanted {
        column: name.to_owned(),
        field: name.to_owned(),
        kind: Kind::Boolean,
    });
    let mut survey = Survey::new(wanted.to_vec());
    survey.add(&batch).unwrap();
    let readings = survey.finish(&ReadSpec::default()).unwrap();
    let read = readings.apply(batch.clone()).unwrap();
    let cells: Vec<_> = read.column(0).as_string_view().iter().collect();
    assert_eq!(cells, [Some("true"), Some("false"), Some("")]);
    assert_eq!(&read.columns()[1..], &batch.columns()[1..]);
    assert!(read.column(1).is_null(1));
}
