//! What the benches read: generated lines of a shape, and the plans for them.

use std::io::BufRead;
use std::sync::Arc;

use arrow_salesforce::arrow::array::RecordBatch;
use arrow_salesforce::coerce::Coercion;
use arrow_salesforce::object::{ObjectSchema, Operation, RelatedObjects};
use arrow_salesforce::options::ValueOptions;
use destination_salesforce::protocol::{Line, MessageDecoder, StreamSchema};

use super::describe::describe;
use super::records::{self, Messages, Shape, Stream};

pub(crate) const SHAPES: [Shape; 3] = [Shape::Contacts, Shape::Narrow, Shape::Wide];

/// Rows of a batch.
pub(crate) const BATCH: u64 = 8_192;

/// Rows of a job: wide ones fill it earlier.
pub(crate) fn job_rows(shape: Shape) -> u64 {
    if shape == Shape::Wide {
        30_000
    } else {
        300_000
    }
}

/// The lines of `rows` good records.
pub(crate) fn lines(shape: Shape, rows: u64) -> impl Iterator<Item = Vec<u8>> {
    Messages::new(vec![Stream::new(shape, rows)])
        .split(b'\n')
        .map(Result::unwrap)
        .filter(|line| line.starts_with(br#"{"type":"RECORD""#))
}

pub(crate) fn schema(shape: Shape) -> StreamSchema {
    let catalog = records::catalog(&[Stream::new(shape, 0)]);
    let schema = &catalog["streams"][0]["stream"]["json_schema"];
    StreamSchema::from_json_schema(shape.name(), None, &schema.to_string()).unwrap()
}

pub(crate) fn coercion(shape: Shape, operation: &Operation) -> Arc<Coercion> {
    let object = describe(shape).unwrap().to_string();
    let object = ObjectSchema::from_describe(object.as_bytes()).unwrap();
    let (related, values) = (RelatedObjects::default(), ValueOptions::default());
    let coercion = Coercion::plan(schema(shape).schema(), &object, operation, &related, values);
    Arc::new(coercion.unwrap())
}

pub(crate) fn upsert() -> Operation {
    Operation::Upsert {
        external_id: "Ext_Id__c".to_owned(),
    }
}

pub(crate) fn decode(decoder: &mut MessageDecoder, lines: &[Vec<u8>]) -> RecordBatch {
    for line in lines {
        assert!(matches!(decoder.line(line), Line::Record { .. }));
    }
    decoder.flush(0).unwrap()
}

/// The source batches of a job.
pub(crate) fn sources(shape: Shape) -> Vec<RecordBatch> {
    let mut decoder = MessageDecoder::new(&[schema(shape)]).unwrap();
    let mut batches = Vec::new();
    for line in lines(shape, job_rows(shape)) {
        if matches!(decoder.line(&line), Line::Record { full: true, .. }) {
            batches.extend(decoder.flush(0));
        }
    }
    batches.extend(decoder.flush(0));
    batches
}
