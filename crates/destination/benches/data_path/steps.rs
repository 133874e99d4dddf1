//! From lines to CSV, one batch.

use arrow_salesforce::chunk::{Chunker, RowOrdinals, row_sizes};
use arrow_salesforce::object::Operation;
use criterion::{Criterion, Throughput};
use destination_salesforce::protocol::MessageDecoder;

use super::input::{BATCH, SHAPES, coercion, decode, lines, schema};

pub(crate) fn steps(criterion: &mut Criterion) {
    for shape in SHAPES {
        // Few enough wide rows that a batch is not full of text before.
        let rows = if shape.name() == "wide" {
            BATCH / 4
        } else {
            BATCH
        };
        let lines: Vec<Vec<u8>> = lines(shape, rows).collect();
        let coercion = coercion(shape, &Operation::Insert);
        let mut decoder = MessageDecoder::new(&[schema(shape)]).unwrap();
        let batch = decode(&mut decoder, &lines);
        let cells = coercion.apply(&batch).unwrap().batch;
        let mut chunker = Chunker::new(coercion.cells_schema(), 100_000_000, None).unwrap();
        chunker.push(&cells, RowOrdinals::From(0), None).unwrap();
        let chunk = chunker.close().unwrap();

        let mut group = criterion.benchmark_group(shape.name());
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
}
