//! Receipts as events of a load.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_salesforce::arrow::array::{ArrayRef, AsArray, RecordBatch, StringArray};
use arrow_salesforce::arrow::datatypes::Int64Type;
use arrow_salesforce::load::{Event, Loader, Receipts};
use arrow_salesforce::options::{LoadOptions, OrgOptions};
use arrow_salesforce::receipt::{RECEIPT_ID, RECEIPT_ORDINAL};
use arrow_salesforce::{Error, ErrorKind, FeedBatch, LoaderBuilder, Org};
use testkit::KEY;
use testkit::sim::TestSim;

use crate::library;

/// Contacts, of which each third lacks its required name.
fn contacts(rows: usize) -> RecordBatch {
    let keys: StringArray = (0..rows).map(|row| Some(format!("C-{row}"))).collect();
    let names = (0..rows).map(|row| (row % 3 != 2).then(|| format!("Ng {row}")));
    let names: StringArray = names.collect();
    RecordBatch::try_from_iter_with_nullable([
        (KEY, Arc::new(keys) as ArrayRef, true),
        ("LastName", Arc::new(names) as ArrayRef, true),
    ])
    .unwrap()
}

fn builder(org: &Org, options: LoadOptions) -> LoaderBuilder {
    Loader::builder(org)
        .object("Contact")
        .schema(contacts(1).schema())
        .options(options.with_receipt_columns(vec![KEY.to_owned()]))
        .receipts(Receipts::Events)
}

/// Ordinals and Ids.
fn ids(receipts: &RecordBatch) -> Vec<(usize, String)> {
    let ordinals = receipts.column_by_name(RECEIPT_ORDINAL).unwrap();
    let ids = receipts.column_by_name(RECEIPT_ID).unwrap();
    let keys = receipts.column_by_name(KEY).unwrap();
    let ordinals = ordinals.as_primitive::<Int64Type>();
    (0..receipts.num_rows())
        .map(|row| {
            let ordinal = ordinals.value(row) as usize;
            assert_eq!(keys.as_string::<i32>().value(row), format!("C-{ordinal}"));
            (ordinal, ids.as_string::<i32>().value(row).to_owned())
        })
        .collect()
}

#[tokio::test]
async fn receipts_come_before_the_checkpoint_behind_them() {
    let sim = TestSim::start().await;
    let org = library::org(&sim, OrgOptions::default()).await;
    let options = LoadOptions::default().with_max_job_rows(20);
    let loader = builder(&org, options).build().await.unwrap();
    let (mut feed, mut events) = loader.start();
    let feeding = async move {
        let batch = contacts(90);
        let bytes = batch.get_array_memory_size();
        let permit = feed.ready(bytes).await.unwrap();
        let batch = FeedBatch::new(batch).checkpoint(45, 45, 1).received(90);
        permit.send(batch).unwrap();
        feed.checkpoint(2).await.unwrap();
        feed.finish().await.unwrap();
    };
    let reading = async move {
        let mut receipts = BTreeMap::new();
        while let Some(event) = events.next().await {
            match event.unwrap() {
                Event::Accepted(batch) => {
                    for (ordinal, id) in ids(&batch) {
                        assert_eq!(receipts.insert(ordinal, id), None);
                    }
                }
                Event::Durable { counts, .. } => {
                    let rows = counts.total_accepted + counts.total_rejected;
                    let before = (0..rows as usize).filter(|row| row % 3 != 2);
                    before.for_each(|row| assert!(receipts.contains_key(&row), "{row}"));
                }
                Event::Finished(report) => {
                    assert_eq!((report.accepted, report.receipts), (60, 60));
                    assert_eq!(report.receipts_without_id, 0);
                }
                _ => {}
            }
        }
        receipts
    };
    let ((), receipts) = tokio::join!(feeding, reading);
    let records = sim.rows("Contact").await;
    assert_eq!(records.len(), receipts.len());
    for record in records {
        let key = record[KEY].as_str().unwrap().strip_prefix("C-").unwrap();
        let id = record["Id"].as_str().unwrap();
        assert_eq!(receipts[&key.parse().unwrap()], id, "{key}");
    }
}

#[tokio::test]
async fn a_short_load_returns_them() {
    let sim = TestSim::start().await;
    let org = library::org(&sim, OrgOptions::default()).await;
    let loader = builder(&org, LoadOptions::default()).build().await.unwrap();
    let batches = futures::stream::iter([Ok::<_, Error>(contacts(9))]);
    let loaded = loader.load(batches).await.unwrap();
    let ids: Vec<_> = loaded.accepted.iter().flat_map(ids).collect();
    let ordinals: Vec<usize> = ids.iter().map(|(ordinal, _)| *ordinal).collect();
    assert_eq!(ordinals, [0, 1, 3, 4, 6, 7]);

    let options = LoadOptions::default().with_receipt_columns(vec!["Nmae".to_owned()]);
    let loader = builder(&org, LoadOptions::default()).options(options);
    let error = loader.build().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("Nmae"), "{error}");
}
