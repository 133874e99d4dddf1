use std::collections::HashMap;
use std::io::{Cursor, Write as _};

use arrow::array::*;
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, Field, Fields as ArrowFields, IntervalUnit, Schema, TimeUnit, i256,
};
use chrono::DateTime;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::*;
use crate::coerce::{Reason, Stage};
use crate::reject::airbyte::labels;
use crate::reject::{
    Compression, RejectFormat, RejectStream, RejectedRow, read_rejected, rejected,
};
use crate::source::{CHANGES, DECLARED_TYPE, EMITTED_AT, RAW, RAW_ERROR};

const AT: i64 = 1_772_323_209_000;

fn formats() -> impl Iterator<Item = Envelope> {
    let file_types = [FileType::Csv, FileType::Jsonl];
    let flattening = [Flattening::No, Flattening::RootLevel];
    let compression = [Compression::No, Compression::Gzip];
    file_types.into_iter().flat_map(move |file_type| {
        flattening.into_iter().flat_map(move |flattening| {
            compression.into_iter().map(move |compression| Envelope {
                file_type,
                flattening,
                compression,
            })
        })
    })
}

fn written(batches: &[RecordBatch], file: Envelope) -> Vec<u8> {
    let stream = RejectStream {
        name: "contacts".to_owned(),
        namespace: None,
        labels: labels(42, 3),
        attempt: None,
    };
    let mut out = file.header(batches[0].schema_ref()).unwrap();
    for batch in batches {
        file.write(&stream, batch, &mut out).unwrap();
    }
    match file.compression {
        Compression::No => out,
        Compression::Gzip => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), Default::default());
            encoder.write_all(&out).unwrap();
            encoder.finish().unwrap()
        }
    }
}

fn read(bytes: Vec<u8>, file: Envelope, source: &SchemaRef) -> Result<RecordBatch, RejectError> {
    let reader = read_rejected(
        Cursor::new(bytes),
        RejectFormat::Airbyte(file),
        Arc::clone(source),
    )?;
    let schema = reader.schema();
    let batches = reader.collect::<Result<Vec<_>, _>>()?;
    Ok(arrow::compute::concat_batches(&schema, &batches)?)
}

/// Rejects every row of a source, with reasons of all kinds.
fn reject(source: &RecordBatch) -> RecordBatch {
    let rows: Vec<RejectedRow> = (0..source.num_rows())
        .map(|row| RejectedRow {
            ordinal: row as u64 * 7,
            reason: Arc::new(Reason {
                stage: [Stage::Coerce, Stage::Salesforce][row % 2],
                code: "CODE".into(),
                message: format!("a \"message\", of\nrow {row}"),
                fields: vec!["é,".to_owned(); row % 3],
            }),
            job_id: (row % 2 == 1).then(|| "750A".into()),
        })
        .collect();
    let at = DateTime::from_timestamp_millis(AT).unwrap();
    rejected(source.clone(), &rows, at).unwrap()
}

fn comes_back(source: &RecordBatch) {
    let batch = reject(source);
    for file in formats() {
        let bytes = written(std::slice::from_ref(&batch), file);
        let back = read(bytes, file, &source.schema()).unwrap();
        assert_eq!(back, batch, "{file:?}");
    }
}

fn column(name: &str, array: impl Array + 'static) -> (Field, ArrayRef) {
    let field = Field::new(name, array.data_type().clone(), true);
    (field, Arc::new(array))
}

fn source(columns: Vec<(Field, ArrayRef)>) -> RecordBatch {
    let (fields, columns): (Vec<_>, Vec<_>) = columns.into_iter().unzip();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
}

const UNITS: [TimeUnit; 4] = [
    TimeUnit::Second,
    TimeUnit::Millisecond,
    TimeUnit::Microsecond,
    TimeUnit::Nanosecond,
];

/// Columns of every type that has numbers in it, from the same numbers.
fn numeric(numbers: &[Option<i64>]) -> Vec<(Field, ArrayRef)> {
    let wide = Int64Array::from(numbers.to_vec());
    let narrow: Int32Array = numbers.iter().map(|n| n.map(|n| n as i32)).collect();
    let mut columns = vec![
        column(
            "i8",
            numbers
                .iter()
                .map(|n| n.map(|n| n as i8))
                .collect::<Int8Array>(),
        ),
        column(
            "i16",
            numbers
                .iter()
                .map(|n| n.map(|n| n as i16))
                .collect::<Int16Array>(),
        ),
        column(
            "u8",
            numbers
                .iter()
                .map(|n| n.map(|n| n as u8))
                .collect::<UInt8Array>(),
        ),
        column(
            "u16",
            numbers
                .iter()
                .map(|n| n.map(|n| n as u16))
                .collect::<UInt16Array>(),
        ),
        column(
            "u32",
            numbers
                .iter()
                .map(|n| n.map(|n| n as u32))
                .collect::<UInt32Array>(),
        ),
        column(
            "u64",
            numbers
                .iter()
                .map(|n| n.map(|n| n as u64))
                .collect::<UInt64Array>(),
        ),
        column(
            "bool",
            numbers
                .iter()
                .map(|n| n.map(|n| n & 1 == 1))
                .collect::<BooleanArray>(),
        ),
        column(
            "d128",
            numbers
                .iter()
                .map(|n| n.map(|n| i128::from(n) * 10_000_000_000_000_000_001))
                .collect::<Decimal128Array>()
                .with_precision_and_scale(38, 12)
                .unwrap(),
        ),
        column(
            "d256",
            numbers
                .iter()
                .map(|n| n.map(|n| i256::from_i128(i128::from(n) * i128::from(i64::MAX))))
                .collect::<Decimal256Array>()
                .with_precision_and_scale(76, 50)
                .unwrap(),
        ),
    ];
    let mut add = |array: &dyn Array, kind: DataType| {
        let data = array
            .to_data()
            .into_builder()
            .data_type(kind)
            .build()
            .unwrap();
        columns.push(column(&data.data_type().to_string(), make_array(data)));
    };
    for unit in UNITS {
        for zone in [None, Some("UTC".into()), Some("+05:30".into())] {
            add(&wide, DataType::Timestamp(unit, zone));
        }
        add(&wide, DataType::Duration(unit));
    }
    add(&wide, DataType::Int64);
    add(&wide, DataType::Date64);
    add(&wide, DataType::Time64(TimeUnit::Microsecond));
    add(&wide, DataType::Time64(TimeUnit::Nanosecond));
    add(&narrow, DataType::Int32);
    add(&narrow, DataType::Date32);
    add(&narrow, DataType::Time32(TimeUnit::Second));
    add(&narrow, DataType::Time32(TimeUnit::Millisecond));
    columns
}

fn floats(bits: &[Option<u64>]) -> Vec<(Field, ArrayRef)> {
    // A NaN comes back, but not which one.
    let double = |bits: u64| {
        let value = f64::from_bits(bits);
        if value.is_nan() { f64::NAN } else { value }
    };
    let wide: Float64Array = bits.iter().map(|b| b.map(double)).collect();
    let narrow: Float32Array = bits.iter().map(|b| b.map(|b| double(b) as f32)).collect();
    let wide: ArrayRef = Arc::new(wide);
    let half = cast(&wide, &DataType::Float16).unwrap();
    vec![
        (Field::new("f64", DataType::Float64, true), wide),
        column("f32", narrow),
        (Field::new("f16", DataType::Float16, true), half),
    ]
}

/// Texts as they are, of each declared type and of each Arrow type.
fn textual(values: &[Option<String>]) -> Vec<(Field, ArrayRef)> {
    let texts: ArrayRef = Arc::new(StringArray::from(values.to_vec()));
    let declared = [
        "string", "integer", "boolean", "object", "array", "unknown", "date",
    ];
    let mut columns: Vec<(Field, ArrayRef)> = declared
        .iter()
        .map(|kind| {
            let metadata = HashMap::from([(DECLARED_TYPE.to_owned(), (*kind).to_owned())]);
            let field = Field::new(*kind, DataType::Utf8, true).with_metadata(metadata);
            (field, Arc::clone(&texts))
        })
        .collect();
    let dictionary = DataType::Dictionary(DataType::Int32.into(), DataType::Utf8.into());
    for kind in [
        DataType::Utf8,
        DataType::LargeUtf8,
        DataType::Utf8View,
        DataType::Binary,
        DataType::LargeBinary,
        DataType::BinaryView,
        dictionary,
    ] {
        let array = cast(&texts, &kind).unwrap();
        columns.push((Field::new(format!("as {kind}"), kind, true), array));
    }
    // Names that the file has for itself.
    for name in [
        "_raw",
        "sf__Id",
        "_airbyte_raw_id",
        "_airbyte_meta",
        "quo\"te, é",
    ] {
        columns.push((Field::new(name, DataType::Utf8, true), Arc::clone(&texts)));
    }
    columns
}

/// Lists and structs of each column.
fn nested(columns: Vec<(Field, ArrayRef)>) -> Vec<(Field, ArrayRef)> {
    let rows = columns[0].1.len();
    let fields: ArrowFields = columns.iter().map(|(field, _)| field.clone()).collect();
    let arrays: Vec<ArrayRef> = columns.into_iter().map(|(_, array)| array).collect();
    let structs = StructArray::new(fields, arrays, None);
    let some = (0..rows).map(|row| row % 3 != 1).collect::<Vec<_>>();
    let nulls = arrow::buffer::NullBuffer::from(some);
    let masked = StructArray::new(structs.fields().clone(), structs.columns().to_vec(), None);
    let lengths = (0..rows).map(|row| usize::from(row % 3 == 0) * (1 + row % 2));
    let offsets = arrow::buffer::OffsetBuffer::<i32>::from_lengths(lengths);
    let items = structs.slice(0, *offsets.last().unwrap() as usize);
    let item = Arc::new(Field::new("item", items.data_type().clone(), true));
    let list = ListArray::new(Arc::clone(&item), offsets, Arc::new(items), Some(nulls));
    let large = cast(&list, &DataType::LargeList(item)).unwrap();
    vec![
        column("struct", masked),
        (Field::new("large", large.data_type().clone(), true), large),
        column("list", list),
    ]
}

fn number() -> impl Strategy<Value = Option<i64>> {
    option::of(prop_oneof![
        any::<i64>(),
        -100_000_i64..100_000,
        Just(AT),
        Just(i64::MAX),
        Just(i64::MIN),
        (-62_000_000_000_i64..250_000_000_000).prop_map(|second| second * 1_000),
    ])
}

fn text() -> impl Strategy<Value = Option<String>> {
    option::of(prop_oneof![
        any::<String>(),
        "[-0-9.eE+]{0,6}",
        "[ \\\\\",\r\n#N/A']{0,6}",
        Just(String::new()),
        "(null|true|false|NaN|\\[1, 2\\]|\\{\"a\":\"\\\\\\\\ud83d\"\\}|\\{\"a\":1.10\\})",
    ])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn numbers_dates_and_times_come_back(numbers in vec(number(), 1..12)) {
        comes_back(&source(numeric(&numbers)));
        comes_back(&source(nested(numeric(&numbers))));
    }

    #[test]
    fn floats_come_back(bits in vec(option::of(any::<u64>()), 1..20)) {
        comes_back(&source(floats(&bits)));
        comes_back(&source(nested(floats(&bits))));
    }

    #[test]
    fn texts_and_bytes_come_back(values in vec(text(), 1..12)) {
        comes_back(&source(textual(&values)));
        comes_back(&source(nested(textual(&values))));
    }
}

/// What the decoder makes, with a line that it could not read.
#[test]
fn bookkeeping_comes_back() {
    let names = HashMap::from([("explicit_null_of".to_owned(), "Name".to_owned())]);
    let columns = vec![
        column(
            "Name",
            StringArray::from(vec![Some("Ng"), None, None, Some("")]),
        ),
        column(
            EMITTED_AT,
            Int64Array::from(vec![Some(5), None, Some(7), Some(8)]),
        ),
        column(
            CHANGES,
            StringArray::from(vec![
                Some(r#"[{"field":"a","change":"NULLED"}]"#),
                None,
                None,
                None,
            ]),
        ),
        column(
            RAW,
            StringArray::from(vec![None, Some("{\"torn\r\n"), None, None]),
        ),
        column(
            RAW_ERROR,
            StringArray::from(vec![None, Some("it ends early"), None, None]),
        ),
        (
            Field::new("_airbyte_null_Name", DataType::Boolean, false).with_metadata(names),
            Arc::new(BooleanArray::from(vec![false, false, true, false])),
        ),
    ];
    let source = source(columns);
    let row = |ordinal, stage, message: &str| RejectedRow {
        ordinal,
        reason: Arc::new(Reason {
            stage,
            code: "CODE".into(),
            message: message.to_owned(),
            fields: Vec::new(),
        }),
        job_id: None,
    };
    let rows = [
        row(0, Stage::Coerce, "no"),
        row(1, Stage::Decode, "it ends early"),
        row(2, Stage::Coerce, "no"),
        row(3, Stage::Coerce, "no"),
    ];
    let at = DateTime::from_timestamp_millis(AT).unwrap();
    let batch = rejected(source.clone(), &rows, at).unwrap();
    for file in formats() {
        let bytes = written(std::slice::from_ref(&batch), file);
        assert_eq!(
            read(bytes, file, &source.schema()).unwrap(),
            batch,
            "{file:?}"
        );
    }
}

/// Files of version 1 differ in the number alone: they have no attempt.
#[test]
fn what_version_1_has_written_is_read() {
    let source = source(vec![column("n", Int64Array::from(vec![1, 2]))]);
    let batch = reject(&source);
    for file in formats().filter(|file| file.compression == Compression::No) {
        let text = String::from_utf8(written(std::slice::from_ref(&batch), file)).unwrap();
        let first = ["\"version\":", "\"\"version\"\":"]
            .iter()
            .fold(text.clone(), |text, key| {
                text.replace(&format!("{key}2"), &format!("{key}1"))
            });
        assert_ne!(first, text, "{file:?}");
        let read = read(first.into_bytes(), file, &source.schema()).unwrap();
        assert_eq!(read, batch, "{file:?}");
    }
}

#[test]
fn many_batches_are_read_as_they_fit() {
    let texts = StringArray::from_iter_values((0..1_500).map(|number| number.to_string()));
    let numbers = Int64Array::from_iter_values(0..1_500);
    let source = source(vec![column("text", texts), column("number", numbers)]);
    let batch = reject(&source);
    for file in formats().filter(|file| file.compression == Compression::No) {
        let bytes = written(&[batch.clone(), batch.clone(), batch.clone()], file);
        let reader = read_rejected(
            Cursor::new(bytes),
            RejectFormat::Airbyte(file),
            source.schema(),
        )
        .unwrap();
        let rows: Vec<usize> = reader.map(|batch| batch.unwrap().num_rows()).collect();
        assert_eq!(rows, [4_096, 404], "{file:?}");
    }
}

#[test]
fn files_of_another_kind_are_explained_without_their_values() {
    let source = source(vec![column("n", Int64Array::from(vec![1, 2]))]);
    let batch = reject(&source);
    let other = |kind| Arc::new(Schema::new(vec![Field::new("n", kind, true)]));
    let file = |file_type, flattening| Envelope {
        file_type,
        flattening,
        ..Envelope::default()
    };
    let csv = file(FileType::Csv, Flattening::No);
    let flat = file(FileType::Csv, Flattening::RootLevel);
    let jsonl = file(FileType::Jsonl, Flattening::No);
    let complaint = |text: &str, file, schema: &SchemaRef| {
        let text = text.as_bytes().to_vec();
        read(text, file, schema).unwrap_err().to_string()
    };
    let rows = |file| String::from_utf8(written(std::slice::from_ref(&batch), file)).unwrap();
    let schema = source.schema();
    insta::assert_snapshot!(complaint(&rows(csv), flat, &schema), @"rejected record 1 of the file cannot be read: a line does not have the columns of this format, or a value is none of its column's type; give the format, flattening and schema it was written with");
    insta::assert_snapshot!(complaint(&rows(flat), flat, &(other(DataType::Boolean) as _)), @"rejected record 2 of the file cannot be read: a line does not have the columns of this format, or a value is none of its column's type; give the format, flattening and schema it was written with");
    let renamed: SchemaRef = Arc::new(Schema::new(vec![Field::new("m", DataType::Int64, true)]));
    insta::assert_snapshot!(complaint(&rows(flat), flat, &renamed), @"rejected record 1 of the file cannot be read: the header is not _airbyte_raw_id,_airbyte_extracted_at,_airbyte_meta,_airbyte_generation_id,sf__Id,sf__Error,m,_raw; give the flattening and schema the file was written with");
    insta::assert_snapshot!(complaint(&rows(csv), jsonl, &schema), @"rejected record 1 of the file cannot be read: it is no JSON object");
    insta::assert_snapshot!(complaint("{\"secret\": 1}\n", jsonl, &schema), @"rejected record 1 of the file cannot be read: it lacks the key _airbyte_extracted_at, or has another type");
    let later = rows(jsonl).replace("\"version\":2", "\"version\":3");
    insta::assert_snapshot!(complaint(&later, jsonl, &schema), @"rejected record 1 of the file cannot be read: it has the version 3, and this program reads versions 1 to 2");
    let interval: SchemaRef = other(DataType::Interval(IntervalUnit::DayTime));
    insta::assert_snapshot!(complaint("", jsonl, &interval), @"column n cannot be read from rejected records: they hold no values of the type Interval(DayTime); leave the column out of the schema");
    let cut = rows(jsonl);
    insta::assert_snapshot!(complaint(&cut[..cut.len() - 9], jsonl, &schema), @"rejected record 2 of the file cannot be read: it is no JSON object");
}
