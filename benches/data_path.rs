//! The data path of one core, step by step, on generated contact records: decode, coerce, sizes,
//! CSV. `cargo bench --profile dist`; the unit is records.

#![allow(missing_docs, reason = "criterion's macros make undocumented items")]
#![allow(clippy::unwrap_used, reason = "a bench that cannot go on must fail")]

#[allow(dead_code, reason = "only the generator is used")]
#[path = "../examples/shared/records.rs"]
mod records;

use std::io::BufRead;
use std::sync::Arc;

use arrow_salesforce::arrow::array::RecordBatch;
use arrow_salesforce::chunk::{Chunker, RowOrdinals, row_sizes};
use arrow_salesforce::coerce::{CoerceSettings, Coercion};
use arrow_salesforce::decode::{Decoder, Line, StreamSchema};
use arrow_salesforce::object::{ObjectSchema, Operation, RelatedObjects};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use records::{Messages, Shape, Stream};
use serde_json::{Value, json};

const ROWS: u64 = 8_192;

/// The record lines of the generator, and the schema of their stream.
fn contacts() -> (Vec<Vec<u8>>, StreamSchema) {
    let stream = Stream::new(Shape::Contacts, ROWS);
    let catalog = records::catalog(std::slice::from_ref(&stream));
    let schema = &catalog["streams"][0]["stream"]["json_schema"];
    let lines = Messages::new(vec![stream])
        .split(b'\n')
        .map(Result::unwrap)
        .filter(|line| line.starts_with(br#"{"type":"RECORD""#))
        .collect();
    (
        lines,
        StreamSchema::from_json_schema("contacts", None, schema).unwrap(),
    )
}

/// An object that has a field of the declared type for each column.
fn object(schema: &StreamSchema) -> ObjectSchema {
    let field = |name: &str| -> Value {
        let kind = if name == "Birthdate" {
            "date"
        } else {
            "string"
        };
        json!({"name": name, "type": kind, "length": 255, "createable": true, "nillable": true})
    };
    let columns = schema.schema();
    let fields: Vec<Value> = columns
        .fields()
        .iter()
        .filter(|column| !column.name().starts_with("_airbyte_"))
        .map(|column| field(column.name()))
        .collect();
    let describe = json!({"name": "Contact", "createable": true, "fields": fields});
    ObjectSchema::from_describe(describe.to_string().as_bytes()).unwrap()
}

fn decode(decoder: &mut Decoder, lines: &[Vec<u8>]) -> RecordBatch {
    for line in lines {
        assert!(matches!(decoder.line(line), Line::Record { .. }));
    }
    decoder.flush(0).unwrap()
}

fn data_path(criterion: &mut Criterion) {
    let (lines, schema) = contacts();
    let object = object(&schema);
    let settings = CoerceSettings::default();
    let related = RelatedObjects::default();
    let operation = Operation::Insert;
    let coercion =
        Coercion::plan(schema.schema(), &object, &operation, &related, settings).unwrap();
    let mut decoder = Decoder::new(vec![schema]).unwrap();
    let batch = decode(&mut decoder, &lines);
    let cells = coercion.apply(&batch).unwrap().batch;
    let mut chunker =
        Chunker::new(&Arc::clone(coercion.cells_schema()), 100_000_000, None).unwrap();
    chunker.push(&cells, RowOrdinals::From(0), None).unwrap();
    let chunk = chunker.close().unwrap();

    let mut group = criterion.benchmark_group("contacts");
    group.throughput(Throughput::Elements(lines.len() as u64));
    group.bench_function("decode", |bench| {
        bench.iter(|| decode(&mut decoder, &lines));
    });
    group.bench_function("coerce", |bench| {
        bench.iter(|| coercion.apply(&batch).unwrap());
    });
    let mut sizes = Vec::new();
    group.bench_function("sizes", |bench| {
        bench.iter(|| row_sizes(&cells, &mut sizes).unwrap());
    });
    group.bench_function("csv", |bench| {
        bench.iter(|| chunk.csv().map(|piece| piece.unwrap().len()).sum::<usize>());
    });
    group.bench_function("canonical", |bench| {
        bench.iter(|| coercion.canonical(&cells).unwrap());
    });
    group.finish();
}

criterion_group!(benches, data_path);
criterion_main!(benches);
