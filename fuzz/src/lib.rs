//! What each target does with bytes. A test of the destination replays the corpus through the same
//! functions.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a target that is not as it should be must fail"
)]

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex};

use arrow_salesforce::arrow::array::{Array, AsArray, RecordBatch, StringArray};
use arrow_salesforce::arrow::datatypes::SchemaRef;
use arrow_salesforce::bulk::result_rows;
use arrow_salesforce::chunk::{Chunker, RowOrdinals};
use arrow_salesforce::coerce::Coercion;
use arrow_salesforce::load::settle::{JobCounts, JoinBack};
use arrow_salesforce::object::{ObjectSchema, Operation, RelatedObjects};
use arrow_salesforce::options::{NullHandling, OnTooLong, Validate, ValueOptions};
use arrow_salesforce::rows::{KeySet, RowSet};
use arrow_salesforce::source::RAW_ERROR;
use arrow_salesforce_decode::LineSplitter;
use datafusion::execution::TaskContext;
use destination_salesforce::doors;
use destination_salesforce::protocol::{Line, MessageDecoder, StreamSchema};
use serde::de::IgnoredAny;

/// Bytes of a job at most: small, so that few rows make several.
const JOB_BYTES: u64 = 10_000;

const DESCRIBE: &[u8] = br#"{"name":"Contact","fields":[
    {"name":"Id","type":"id","createable":false},
    {"name":"Key__c","type":"string","length":20,"externalId":true,"unique":true},
    {"name":"Name","type":"string","length":8,"nillable":false},
    {"name":"LastName","type":"string","length":8},
    {"name":"Amount__c","type":"currency","scale":2},
    {"name":"Count__c","type":"int"},
    {"name":"Day__c","type":"date"},
    {"name":"Moment__c","type":"datetime"},
    {"name":"Time__c","type":"time"},
    {"name":"Flag__c","type":"boolean"},
    {"name":"Tags__c","type":"multipicklist","length":40},
    {"name":"Color__c","type":"picklist","restrictedPicklist":true,
     "picklistValues":[{"value":"Red"},{"value":"Green"}]},
    {"name":"Photo__c","type":"base64"},
    {"name":"RecordTypeId","type":"reference","relationshipName":"RecordType",
     "referenceTo":["RecordType"]}],
    "recordTypeInfos":[
    {"name":"A","developerName":"A","recordTypeId":"012000000000001AAA"},
    {"name":"B","developerName":"A","recordTypeId":"012000000000002AAA"}]}"#;

const COLUMNS: &str = r#"{"properties":{
    "Key__c":{"type":["null","integer"]},"Name":{"type":"string"},"lastname":{},
    "Amount__c":{"type":"number"},"Count__c":{"type":"integer"},
    "Day__c":{"type":"string","format":"date"},"Moment__c":{"type":"string","format":"date-time"},
    "Time__c":{"type":"string","format":"time"},"Flag__c":{"type":"boolean"},
    "Tags__c":{"type":"array"},"Color__c":{"type":"string"},"Photo__c":{"type":"string"},
    "RecordType.DeveloperName":{"type":"string"}}}"#;

const ONE_COLUMN: &str = r#"{"properties":{"Key__c":{"type":"string"}}}"#;

/// Lines of stdin behind a byte of settings: each is a row of a stream or a message, and a row that
/// was read is JSON.
pub fn records(bytes: &[u8]) {
    let Some((settings, text)) = bytes.split_first() else {
        return;
    };
    let streams = streams(settings & 1 != 0);
    let (mut decoder, read) = decoded(&streams, *settings, text);
    for (index, lines) in read.iter().enumerate() {
        assert_eq!(decoder.rows(index), lines.len());
        let Some(batch) = decoder.flush(index) else {
            continue;
        };
        let errors = batch.column_by_name(RAW_ERROR).unwrap();
        for (row, line) in lines.iter().enumerate() {
            let is_json = serde_json::from_slice::<IgnoredAny>(line).is_ok();
            assert!(is_json || errors.is_valid(row));
        }
    }
}

fn streams(explicit_nulls: bool) -> [StreamSchema; 2] {
    let one = StreamSchema::from_json_schema("b", Some("n"), ONE_COLUMN).unwrap();
    let wide = StreamSchema::from_json_schema("a", None, COLUMNS).unwrap();
    match explicit_nulls {
        true => [wide.with_explicit_nulls(), one.with_explicit_nulls()],
        false => [wide, one],
    }
}

/// The lines that are rows, by their stream. They come in blocks, whose size the settings say.
fn decoded(
    streams: &[StreamSchema],
    settings: u8,
    text: &[u8],
) -> (MessageDecoder, [Vec<Vec<u8>>; 2]) {
    let mut decoder = MessageDecoder::new(streams).unwrap();
    let mut lines = LineSplitter::default();
    let mut read = [Vec::new(), Vec::new()];
    let mut decode = |line: &[u8]| {
        if let Line::Record { stream, .. } = decoder.line(line) {
            read[stream].push(line.to_vec());
        }
    };
    for block in text.chunks(usize::from(settings >> 4) + 1) {
        lines.push(block);
        while let Some(line) = lines.next_line() {
            decode(line);
        }
    }
    if let Some(line) = lines.finish() {
        decode(line);
    }
    (decoder, read)
}

/// The same, further on: coerced, cut into chunks, merged, written as CSV, which must read back as
/// the cells that were sent.
pub fn cells(bytes: &[u8]) {
    let Some((settings, text)) = bytes.split_first() else {
        return;
    };
    let is_set = |bit: u8| settings & (1 << bit) != 0;
    let streams = streams(is_set(0));
    let values = ValueOptions::default()
        .with_null_handling(match is_set(0) {
            true => NullHandling::Clear,
            false => NullHandling::Leave,
        })
        .with_on_too_long(match is_set(1) {
            true => OnTooLong::Truncate,
            false => OnTooLong::Reject,
        })
        .with_validate(match is_set(2) {
            true => Validate::Strict,
            false => Validate::Minimal,
        });
    let operation = match is_set(3) {
        true => Operation::Upsert {
            external_id: "Key__c".to_owned(),
        },
        false => Operation::Insert,
    };
    let (mut decoder, _) = decoded(&streams, *settings, text);
    for (index, stream) in streams.iter().enumerate() {
        let Some(batch) = decoder.flush(index) else {
            continue;
        };
        let mut plans = PLANS.lock().unwrap();
        let plan = plans
            .entry((settings & 0xF, index))
            .or_insert_with(|| plan(stream.schema(), &operation, values));
        if let Some(coercion) = plan {
            write(coercion, &batch);
        }
    }
}

/// Plans by the settings and the stream; none where the settings ask for more columns than there are.
type Plans = HashMap<(u8, usize), Option<Arc<Coercion>>>;

static PLANS: LazyLock<Mutex<Plans>> = LazyLock::new(Mutex::default);

fn plan(schema: &SchemaRef, operation: &Operation, values: ValueOptions) -> Option<Arc<Coercion>> {
    let object = ObjectSchema::from_describe(DESCRIBE).unwrap();
    let related = RelatedObjects::default();
    let coercion = Coercion::plan(schema, &object, operation, &related, values);
    coercion.ok().map(Arc::new)
}

fn write(coercion: &Coercion, batch: &RecordBatch) {
    let cells = coercion.apply(batch).unwrap();
    coercion.canonical(&cells.batch).unwrap();
    let mut skip = vec![false; batch.num_rows()];
    for (row, reason) in &cells.rejects {
        assert!(!reason.message.is_empty());
        skip[*row] = true;
    }
    let rejected = cells.rejects.len() as u64;
    let mut chunker = Chunker::new(coercion.cells_schema(), JOB_BYTES, Some(7)).unwrap();
    let pushed = chunker
        .push(&cells.batch, RowOrdinals::From(0), Some(skip.into()))
        .unwrap();
    let mut ends = rejected + pushed.oversized.len() as u64;
    for chunk in pushed.closed.into_iter().chain(chunker.close()) {
        let chunk = match coercion.key() {
            None => chunk,
            Some(key) => {
                let merged = chunk
                    .by_key(key)
                    .unwrap()
                    .merge(&KeySet::default())
                    .unwrap();
                ends += (merged.merged.len() + merged.waiting.len()) as u64;
                merged.chunk
            }
        };
        ends += chunk.rows();
        let csv: Vec<u8> = chunk.csv().flat_map(Result::unwrap).collect();
        assert_eq!(csv.len() as u64, chunk.bytes());
        assert!(chunk.bytes() <= JOB_BYTES);
        let sent: Vec<_> = chunk.parts().iter().flat_map(sent_rows).collect();
        let read: Vec<_> = result_rows(csv).unwrap().iter().flat_map(rows).collect();
        assert_eq!(read, sent);
        assert!(sent.iter().all(|row| row.len() > 1 || row[0].is_some()));
    }
    assert_eq!(ends, batch.num_rows() as u64);
}

type Row = Vec<Option<String>>;

fn sent_rows(part: &arrow_salesforce::chunk::Part) -> Vec<Row> {
    let mut rows = rows(&part.cells);
    let mut index = 0;
    rows.retain(|_| {
        index += 1;
        part.skip.as_ref().is_none_or(|skip| !skip.value(index - 1))
    });
    rows
}

fn rows(cells: &RecordBatch) -> Vec<Row> {
    let columns: Vec<&StringArray> = cells.columns().iter().map(AsArray::as_string).collect();
    let row = |row| {
        let cells = columns
            .iter()
            .map(|column| column.is_valid(row).then(|| column.value(row)));
        cells.map(|cell| cell.map(str::to_owned)).collect()
    };
    (0..cells.num_rows()).map(row).collect()
}

/// A STATE line: what is printed of it is a state of the same streams, and stays as it is.
pub fn states(line: &[u8]) {
    let Ok(Some(printed)) = doors::state(line) else {
        return;
    };
    let again = format!(r#"{{"type":"STATE","state":{printed}}}"#);
    assert_eq!(doors::state(again.as_bytes()).unwrap(), Some(printed));
}

/// What stands between result files.
const NEXT_FILE: u8 = 0x1E;

static SENT: LazyLock<RecordBatch> = LazyLock::new(|| {
    let line = |key: &str, name: &str, amount: &str, day: &str| {
        format!(
            r#"{{"type":"RECORD","record":{{"stream":"a","data":{{"Key__c":{key},"Name":{name},"Amount__c":{amount},"Day__c":{day}}}}}}}"#
        )
    };
    let schema = StreamSchema::from_json_schema("a", None, COLUMNS).unwrap();
    let mut decoder = MessageDecoder::new(&[schema]).unwrap();
    for (key, name, amount, day) in [
        ("1", r#""Ng""#, "912260031", r#""2024-02-29""#),
        ("2", r#""Ng""#, "912260031", r#""2024-02-29""#),
        ("3", r#"" a,\"b\"\n""#, "1.005", "null"),
        ("4", "null", "null", "null"),
        ("5", r#""é😀""#, "-0.1", r#""0001-01-01""#),
    ] {
        decoder.line(line(key, name, amount, day).as_bytes());
    }
    decoder.flush(0).unwrap()
});

static INSERT: LazyLock<Arc<Coercion>> = LazyLock::new(|| settled(&Operation::Insert));

static UPSERT: LazyLock<Arc<Coercion>> = LazyLock::new(|| {
    settled(&Operation::Upsert {
        external_id: "Key__c".to_owned(),
    })
});

fn settled(operation: &Operation) -> Arc<Coercion> {
    plan(SENT.schema_ref(), operation, ValueOptions::default()).unwrap()
}

/// Three result files of a job (failed, unprocessed, successful) behind a byte of settings and two
/// counts: each row that was sent has one end, whatever they say.
pub fn results(bytes: &[u8]) {
    let [settings, accepted, failed, files @ ..] = bytes else {
        return;
    };
    let is_set = |bit: u8| settings & (1 << bit) != 0;
    let coercion = if is_set(0) { &*UPSERT } else { &*INSERT };
    let mut files = files.split(|byte| *byte == NEXT_FILE);
    let mut file = || {
        files.next().map_or_else(Vec::new, |file| {
            result_rows(file.to_vec()).unwrap_or_default()
        })
    };
    let (refused, unprocessed, written) = (file(), file(), file());
    let firsts: Vec<RecordBatch> = [&refused, &unprocessed, &written]
        .into_iter()
        .filter_map(|file| file.first().cloned())
        .collect();
    let mut join = JoinBack::new(Arc::clone(coercion), &firsts, &TaskContext::default()).unwrap();
    for rows in &refused {
        join.failed(rows).unwrap();
    }
    for rows in &unprocessed {
        join.unprocessed(rows).unwrap();
    }
    if is_set(1) {
        join.expect_successes();
        for rows in &written {
            join.succeeded(rows).unwrap();
        }
    }
    let counts = is_set(2).then_some(JobCounts {
        accepted: u64::from(*accepted),
        failed: u64::from(*failed),
    });
    let sent = RowSet::from(0..SENT.num_rows() as u64);
    let source = (0, SENT.clone());
    let Some(ends) = join.join(&sent, [Ok(source)], counts).unwrap() else {
        return;
    };
    let rejected = ends.rejected.iter().map(|(row, _)| *row);
    let mut rows: Vec<u64> = rejected
        .chain(ends.accepted.iter())
        .chain(ends.unprocessed.iter())
        .chain(ends.unknown.iter())
        .collect();
    rows.sort_unstable();
    assert_eq!(rows, (0..SENT.num_rows() as u64).collect::<Vec<_>>());
}

/// A config file.
pub fn config(text: &[u8]) {
    if let Err(error) = doors::config(text) {
        assert!(!error.to_string().is_empty());
    }
}

/// A configured catalog, and the schemas in it.
pub fn catalog(text: &[u8]) {
    if let Err(error) = doors::catalog(text) {
        assert!(!error.is_empty());
    }
}
