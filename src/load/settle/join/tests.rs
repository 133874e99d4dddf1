//! Rows with keys: joined by the keys that were kept, and by what is read and coerced once more.

use arrow::array::{ArrayRef, StringArray};
use proptest::prelude::*;

use super::*;
use crate::chunk::{Chunk, Chunker, RowOrdinals};
use crate::object::{ObjectSchema, Operation, RelatedObjects};
use crate::options::ValueOptions;
use crate::rows::KeySet;

/// The ordinal of the first row sent.
const FIRST: u64 = 100;

/// How a key is written that names the same record.
const WRITINGS: [&str; 4] = ["k{}", "K{}", " k{}", "K{} "];

#[derive(Debug, Clone, Copy)]
enum Fate {
    Failed,
    Unprocessed,
    Accepted,
    /// No file has it.
    Lost,
}

fn coercion() -> Arc<Coercion> {
    let describe = r#"{"name":"Thing__c","fields":[
        {"name":"Ext__c","type":"string","length":80,"externalId":true,"unique":true,
         "caseSensitive":false,"nillable":true,"createable":true,"updateable":true},
        {"name":"Name","type":"string","length":80,"nillable":true,"createable":true,
         "updateable":true}]}"#;
    let object = ObjectSchema::from_describe(describe.as_bytes()).unwrap();
    let upsert = Operation::Upsert {
        external_id: "Ext__c".into(),
    };
    let (related, options) = (RelatedObjects::default(), ValueOptions::default());
    let schema = source(&[]).schema();
    Coercion::plan(&schema, &object, &upsert, &related, options)
        .unwrap()
        .into()
}

fn texts(cells: impl Iterator<Item = Option<String>>) -> ArrayRef {
    Arc::new(cells.collect::<StringArray>())
}

fn source(keys: &[String]) -> RecordBatch {
    let names = (0..keys.len()).map(|row| Some(format!("name {row}")));
    let columns = [
        ("Ext__c", texts(keys.iter().cloned().map(Some)), true),
        ("Name", texts(names), true),
    ];
    RecordBatch::try_from_iter_with_nullable(columns).unwrap()
}

/// A file of rows by their keys, which come back in another writing.
fn file(keys: &[(usize, usize)]) -> RecordBatch {
    let written = |(key, writing): &(usize, usize)| Some(written(*key, writing + 1));
    let error = |_| Some("DUPLICATE_VALUE:it is there:Name --".to_owned());
    let columns = [
        ("sf__Id", texts(keys.iter().map(|_| None)), true),
        ("sf__Error", texts(keys.iter().map(error)), true),
        ("Ext__c", texts(keys.iter().map(written)), true),
        ("Name", texts(keys.iter().map(|_| Some("x".into()))), true),
    ];
    RecordBatch::try_from_iter_with_nullable(columns).unwrap()
}

fn written(key: usize, writing: usize) -> String {
    WRITINGS[writing % WRITINGS.len()].replace("{}", &key.to_string())
}

/// One job of these rows.
fn chunk(coercion: &Coercion, source: &RecordBatch) -> Chunk {
    let cells = coercion.apply(source).unwrap().batch;
    let mut chunker = Chunker::new(coercion.cells_schema(), 1_000_000, None).unwrap();
    chunker
        .push(&cells, RowOrdinals::From(FIRST), None)
        .unwrap();
    chunker.close().unwrap()
}

proptest! {
    #[test]
    fn keys_that_were_kept_say_what_the_rows_say(
        rows in prop::collection::vec((0_usize..12, 0_usize..4), 1..30),
        fates in prop::collection::vec(
            prop_oneof![Just(Fate::Failed), Just(Fate::Unprocessed), Just(Fate::Accepted), Just(Fate::Lost)],
            12,
        ),
        // Of rows of nobody.
        foreign in prop::collection::vec((20_usize..24, 0_usize..4), 0..3),
        successes in any::<bool>(),
        counted in any::<bool>(),
    ) {
        let coercion = coercion();
        let keys: Vec<String> = rows.iter().map(|(key, writing)| written(*key, *writing)).collect();
        let source = source(&keys);
        let keyed = chunk(&coercion, &source).by_key(coercion.key().unwrap()).unwrap();
        let merged = keyed.merge(&KeySet::default()).unwrap();
        let sent = merged.chunk.sent();
        let rows: Vec<_> = sent.iter().map(|row| rows[(row - FIRST) as usize]).collect();

        let of = |wanted: fn(Fate) -> bool| -> Vec<_> {
            rows.iter().copied().filter(|(key, _)| wanted(fates[*key])).collect()
        };
        let mut failed = of(|fate| matches!(fate, Fate::Failed));
        let unprocessed = of(|fate| matches!(fate, Fate::Unprocessed));
        let accepted = of(|fate| matches!(fate, Fate::Accepted));
        let counts = counted.then(|| JobCounts {
            accepted: accepted.len() as u64,
            failed: failed.len() as u64,
        });
        failed.extend(foreign);
        let files = [failed, unprocessed, accepted].map(|rows| file(&rows));
        let join = || {
            let firsts: Vec<_> = files.iter().filter(|file| file.num_rows() > 0).cloned().collect();
            let context = TaskContext::default();
            let mut join = JoinBack::new(Arc::clone(&coercion), &firsts, &context).unwrap();
            join.failed(&files[0]).unwrap();
            join.unprocessed(&files[1]).unwrap();
            if successes {
                join.succeeded(&files[2]).unwrap();
            }
            join
        };

        prop_assert!(join().has_keys());
        prop_assert_eq!(merged.keys.len() as u64, sent.len());
        let by_rows = join().join(&sent, [Ok((FIRST, source.clone()))], counts).unwrap();
        let by_keys = join().join_digests(&sent, merged.keys.into_iter(), counts).unwrap();
        prop_assert_eq!(by_keys, by_rows);
    }
}
