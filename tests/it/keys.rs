//! Update, upsert and delete: rows of one key act as if they were sent one after the other, however
//! small the jobs are and however many run at once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arrow_salesforce::Error;
use arrow_salesforce::arrow::array::{ArrayRef, AsArray, RecordBatch, StringArray};
use arrow_salesforce::arrow::datatypes::UInt64Type;
use arrow_salesforce::load::{Event, LoadReport, Loader, Org};
use arrow_salesforce::object::Operation;
use arrow_salesforce::options::{LoadOptions, OrgOptions, Waits};
use serde_json::{Value, json};
use testkit::KEY;
use testkit::sim::TestSim;

use crate::library::org;

/// Columns of an upsert and of an update, whose key is the first.
const UPSERT: [&str; 4] = [KEY, "LastName", "FirstName", "Email"];
const UPDATE: [&str; 4] = ["Id", "LastName", "FirstName", "Email"];

type Row = Vec<Option<String>>;

fn upsert() -> Operation {
    Operation::Upsert {
        external_id: KEY.to_owned(),
    }
}

/// A row: a cell for each word, null for `-`.
fn row(words: &str) -> Row {
    let cells = words.split(' ');
    cells
        .map(|cell| (cell != "-").then(|| cell.to_owned()))
        .collect()
}

fn batch(columns: &[&str], rows: &[Row]) -> RecordBatch {
    let column = |index: usize| -> ArrayRef {
        Arc::new(
            rows.iter()
                .map(|row| row[index].clone())
                .collect::<StringArray>(),
        )
    };
    let columns = columns.iter().enumerate();
    let columns = columns.map(|(index, name)| (*name, column(index), true));
    RecordBatch::try_from_iter_with_nullable(columns).unwrap()
}

/// An org, and how loads into it run.
struct Target {
    org: Org,
    options: LoadOptions,
}

async fn target(sim: &TestSim) -> Target {
    let mut waits = Waits::default();
    waits.wait_permille = 5;
    Target {
        org: org(sim, OrgOptions::default().with_waits(waits)).await,
        options: LoadOptions::default(),
    }
}

/// Four jobs at once, of few rows each.
async fn tiny(sim: &TestSim, rows: u64) -> Target {
    Target {
        options: LoadOptions::default().with_max_job_rows(rows),
        ..target(sim).await
    }
}

/// Loads rows into Contact, a few in each batch.
async fn load(target: &Target, operation: Operation, columns: &[&str], rows: &[Row]) -> LoadReport {
    let loading = try_load(target, operation, columns, rows);
    let report = tokio::time::timeout(Duration::from_secs(120), loading).await;
    let report = report.expect("the load hangs").unwrap();
    assert_eq!(report.read, rows.len() as u64);
    assert_eq!(
        report.read,
        report.accepted + report.merged + report.rejected,
        "{report}"
    );
    assert_eq!(target.org.reserved_bytes(), 0, "memory was not given back");
    report
}

async fn try_load(
    target: &Target,
    operation: Operation,
    columns: &[&str],
    rows: &[Row],
) -> Result<LoadReport, Error> {
    let batches: Vec<RecordBatch> = rows.chunks(7).map(|rows| batch(columns, rows)).collect();
    let building = Loader::builder(&target.org)
        .object("Contact")
        .operation(operation)
        .options(target.options.clone())
        .schema(batch(columns, &[]).schema())
        .build();
    let loader = building.await?;
    let batches = futures::stream::iter(batches.into_iter().map(Ok::<_, Error>));
    Ok(loader.load(batches).await?.report)
}

/// Records by the last word of their key, as `LastName FirstName Email`.
async fn records(sim: &TestSim) -> BTreeMap<String, String> {
    let rows = sim.rows("Contact").await;
    let text = |row: &Value, field: &str| row[field].as_str().unwrap_or("-").to_owned();
    let count = rows.len();
    let records: BTreeMap<String, String> = rows
        .iter()
        .map(|row| {
            let fields = UPSERT[1..].iter().map(|field| text(row, field));
            (text(row, KEY), fields.collect::<Vec<_>>().join(" "))
        })
        .collect();
    assert_eq!(records.len(), count, "a record is doubled");
    records
}

async fn ids(sim: &TestSim) -> BTreeMap<String, String> {
    let rows = sim.rows("Contact").await;
    let text = |row: &Value, field: &str| row[field].as_str().unwrap().to_owned();
    rows.iter()
        .map(|row| (text(row, KEY), text(row, "Id")))
        .collect()
}

/// What the rows make of records when they are applied one after the other.
fn apply(records: &mut BTreeMap<String, String>, rows: &[Row]) {
    for row in rows {
        let key = row[0].clone().unwrap();
        let record = records.entry(key).or_insert_with(|| "- - -".to_owned());
        let cells = record.split(' ').zip(&row[1..]);
        let cells: Vec<String> = cells
            .map(|(old, new)| new.clone().unwrap_or_else(|| old.to_owned()))
            .collect();
        *record = cells.join(" ");
    }
}

/// Rows that write a few keys many times, some cells at a time.
fn repeated(rows: usize, keys: usize) -> Vec<Row> {
    (0..rows)
        .map(|number| {
            let cell = |every: usize| number.is_multiple_of(every).then(|| format!("v{number}"));
            let key = (number * 7 + number / 5) % keys;
            vec![
                Some(format!("K-{key}")),
                Some(format!("Ng{number}")),
                cell(2),
                cell(3).map(|cell| format!("{cell}@example.com")),
            ]
        })
        .collect()
}

/// Fails unless the org is as if the rows had been sent one after the other.
async fn assert_applied(sim: &TestSim, rows: &[Row]) {
    let mut expected = BTreeMap::new();
    apply(&mut expected, rows);
    assert_eq!(records(sim).await, expected);
}

#[tokio::test]
async fn upserts_of_repeated_keys_end_with_the_last_value_of_each_field() {
    let sim = TestSim::with_job_time(Duration::from_millis(30)).await;
    let rows = repeated(200, 11);

    let report = load(&tiny(&sim, 5).await, upsert(), &UPSERT, &rows).await;

    assert_applied(&sim, &rows).await;
    assert_eq!(report.rejected, 0);
    assert!(report.merged > 0, "{report}");
    assert!(sim.most_jobs_at_once().await > 1, "no two jobs ran at once");
    for job in sim.jobs().await {
        assert!(job["rows"].as_u64().unwrap() <= 5, "{job}");
    }
}

#[tokio::test]
async fn rows_of_one_key_in_one_job_are_merged_by_cell() {
    let sim = TestSim::start().await;
    let rows = [
        row("K-1 Ng Ada -"),
        row("K-2 Li - -"),
        row("K-1 - - ada@example.com"),
        row("K-1 Ngo - -"),
    ];

    let report = load(&target(&sim).await, upsert(), &UPSERT, &rows).await;

    let records = records(&sim).await;
    assert_eq!(records["K-1"], "Ngo Ada ada@example.com");
    assert_eq!(records["K-2"], "Li - -");
    assert_eq!((report.accepted, report.merged), (2, 2));
    assert_eq!(report.nulls_left, 7);
    let jobs = sim.jobs().await;
    assert_eq!(jobs.len(), 1);
    assert_eq!(jobs[0]["rows"], 2);
}

#[tokio::test]
async fn updates_and_deletes_find_records_by_either_form_of_their_id() {
    let sim = TestSim::with_job_time(Duration::from_millis(30)).await;
    let org = tiny(&sim, 3).await;
    let created: Vec<Row> = (0..9).map(|n| row(&format!("K-{n} Ng - -"))).collect();
    load(&org, upsert(), &UPSERT, &created).await;
    let ids = ids(&sim).await;
    let id = |key: usize, length: usize| ids[&format!("K-{key}")][..length].to_owned();

    let updates: Vec<Row> = (0..36)
        .map(|n| {
            let id = id(n % 9, if n % 2 == 0 { 15 } else { 18 });
            let (first, email) = (format!("v{n}"), format!("{n}@example.com"));
            let mut cells = vec![Some(id), None, Some(first), Some(email)];
            cells[2 + n % 2] = None;
            cells
        })
        .collect();
    let report = load(&org, Operation::Update, &UPDATE, &updates).await;
    assert_eq!(report.rejected, 0);
    let mut expected = BTreeMap::new();
    apply(&mut expected, &created);
    let keyed: Vec<Row> = (0..36)
        .map(|n| {
            let mut cells = updates[n].clone();
            cells[0] = Some(format!("K-{}", n % 9));
            cells
        })
        .collect();
    apply(&mut expected, &keyed);
    assert_eq!(records(&sim).await, expected);

    let deletes: Vec<Row> = [0, 1, 0, 2, 1, 0]
        .iter()
        .enumerate()
        .map(|(n, key)| vec![Some(id(*key, if n % 2 == 0 { 18 } else { 15 }))])
        .collect();
    let report = load(&org, Operation::Delete, &["Id"], &deletes).await;
    assert_eq!(report.rejected, 0, "what is gone is done: {report}");
    expected.retain(|key, _| !["K-0", "K-1", "K-2"].contains(&key.as_str()));
    assert_eq!(records(&sim).await, expected);
}

#[tokio::test]
async fn a_row_without_key_is_rejected_here() {
    let sim = TestSim::start().await;
    let rows = [row("K-1 Ng - -"), row("- Li - -"), row("K-1 - Ada -")];

    let report = load(&target(&sim).await, upsert(), &UPSERT, &rows).await;

    assert_eq!((report.accepted, report.merged, report.rejected), (1, 1, 1));
    assert_eq!(report.rejects[0].code, "MISSING_KEY");
    assert_eq!(records(&sim).await["K-1"], "Ng Ada -");
}

#[tokio::test]
async fn a_merged_row_that_is_refused_takes_its_parts_with_it() {
    let sim = TestSim::start().await;
    let org = org(&sim, OrgOptions::default()).await;
    let rows = [
        row("K-1 - Ada -"),
        row("K-2 Li - -"),
        row("K-1 - Eve -"),
        row("K-1 - - e@example.com"),
    ];
    let building = Loader::builder(&org)
        .object("Contact")
        .operation(upsert())
        .schema(batch(&UPSERT, &[]).schema())
        .build();
    let (mut feed, mut events) = building.await.unwrap().start();
    feed.send(batch(&UPSERT, &rows)).await.unwrap();
    feed.checkpoint(1).await.unwrap();
    feed.finish().await.unwrap();

    let (mut rejected, mut durable) = (Vec::new(), None);
    while let Some(event) = events.next().await {
        match event.unwrap() {
            Event::Rejected(batch) => {
                let ordinals = batch.column_by_name("_reject_ordinal").unwrap();
                let names = batch.column_by_name("FirstName").unwrap();
                for (ordinal, name) in ordinals
                    .as_primitive::<UInt64Type>()
                    .iter()
                    .zip(names.as_string::<i32>())
                {
                    rejected.push((ordinal.unwrap(), name.map(str::to_owned)));
                }
            }
            Event::Durable { counts, .. } => durable = Some((counts.accepted, counts.rejected)),
            Event::Finished(report) => assert_eq!((report.accepted, report.merged), (1, 0)),
            other => panic!("{other:?}"),
        }
    }
    let name = |name: &str| Some(name.to_owned());
    assert_eq!(rejected, [(0, name("Ada")), (2, name("Eve")), (3, None)]);
    assert_eq!(durable, Some((1, 3)));
}

#[tokio::test]
async fn locked_rows_are_retried_and_let_newer_rows_of_their_key_wait_for_them() {
    let sim = TestSim::with_job_time(Duration::from_millis(20)).await;
    let fault = json!({"object": "Contact", "times": 3, "do": {"lock_rows": {"share": 0.7}}});
    sim.fault(&fault).await;
    let rows = repeated(120, 9);

    let report = load(&tiny(&sim, 6).await, upsert(), &UPSERT, &rows).await;

    assert_applied(&sim, &rows).await;
    assert_eq!(report.rejected, 0);
}

#[tokio::test]
async fn rows_without_a_known_end_are_retried_since_they_have_a_key() {
    let sim = TestSim::start().await;
    for action in [
        json!({"withhold_rows": {"count": 2}}),
        json!({"fail_job": {"after_batches": 0}}),
    ] {
        sim.fault(&json!({"object": "Contact", "do": action})).await;
    }
    let rows: Vec<Row> = (0..20)
        .map(|n| {
            row(&format!(
                "K-{} {} - -",
                n % 15,
                if n == 14 { "-" } else { "Ng" }
            ))
        })
        .collect();

    let report = load(&target(&sim).await, upsert(), &UPSERT, &rows).await;

    assert_eq!(
        (report.accepted, report.merged, report.rejected),
        (14, 5, 1)
    );
    assert_eq!(records(&sim).await.len(), 14);
    assert_eq!(sim.jobs().await.len() as u64, report.jobs);
}

#[tokio::test]
async fn one_key_in_every_row_is_one_record() {
    let sim = TestSim::with_job_time(Duration::from_millis(10)).await;
    let rows: Vec<Row> = (0..60).map(|n| row(&format!("K Ng{n} v{n} -"))).collect();

    let report = load(&tiny(&sim, 4).await, upsert(), &UPSERT, &rows).await;

    assert_eq!(records(&sim).await["K"], "Ng59 v59 -");
    assert_eq!(report.merged + report.accepted, 60);
}

/// Rows of several jobs that hold mostly the same keys take more memory than there is: those that
/// wait go to disk, and come back in their order.
#[tokio::test]
async fn waiting_rows_do_not_need_memory() {
    let sim = TestSim::with_job_time(Duration::from_millis(200)).await;
    let options = OrgOptions::default().with_memory_limit_bytes(128 << 20);
    let org = org(&sim, options).await;
    let filler = "x".repeat(3_000);
    let columns = [KEY, "LastName", "FirstName", "Description"];
    let cells = |number: usize| -> Row {
        let first = (number < 5_000 || number.is_multiple_of(3)).then(|| format!("v{number}"));
        vec![
            Some(format!("K-{}", number % 5_000)),
            Some(format!("Ng{number}")),
            first,
            Some(filler.clone()),
        ]
    };
    let building = Loader::builder(&org)
        .object("Contact")
        .operation(upsert())
        .schema(batch(&columns, &[]).schema())
        .build();
    let loader = building.await.unwrap();
    let batches = (0..30).map(|part| {
        let rows: Vec<Row> = (part * 1_000..(part + 1) * 1_000).map(cells).collect();
        Ok::<_, Error>(batch(&columns, &rows))
    });
    let loading = loader.load(futures::stream::iter(batches.collect::<Vec<_>>()));
    let report = tokio::time::timeout(Duration::from_secs(300), loading).await;
    let report = report.expect("the load hangs").unwrap().report;

    assert_eq!(report.accepted + report.merged, 30_000, "{report}");
    assert!(report.spilled > 0, "{report}");
    assert_eq!(org.reserved_bytes(), 0);
    let names = records(&sim).await;
    for key in 0..5_000_usize {
        let last = 25_000 + key;
        let writers = (0..6).map(|turn| turn * 5_000 + key);
        let first = writers
            .filter(|n: &usize| n.is_multiple_of(3) || *n < 5_000)
            .max()
            .unwrap();
        assert_eq!(names[&format!("K-{key}")], format!("Ng{last} v{first} -"));
    }
}

/// Loads of one operation each, one after the other, over a few keys, while jobs find locks: the
/// org ends as if each row had been applied by itself.
#[tokio::test]
async fn any_sequence_of_loads_ends_as_if_rows_were_applied_one_by_one() {
    for seed in 1..=3 {
        println!("seed {seed}");
        let mut random = fastrand::Rng::with_seed(seed);
        let sim = TestSim::with_job_time(Duration::from_millis(5)).await;
        let org = tiny(&sim, random.u64(1..6)).await;
        let mut expected = BTreeMap::new();
        for phase in 0..8 {
            if random.f64() < 0.3 {
                let times = random.u32(1..3);
                let fault = json!({"times": times, "do": {"lock_rows": {"share": random.f64()}}});
                sim.fault(&fault).await;
            }
            let ids = ids(&sim).await;
            let keys: Vec<String> = (0..6).map(|key| format!("K-{key}")).collect();
            let known: Vec<&String> = keys.iter().filter(|key| ids.contains_key(*key)).collect();
            let count = random.usize(1..60);
            if phase == 0 || known.is_empty() || random.f64() < 0.5 {
                let mut named: Vec<&String> = known.clone();
                let rows: Vec<Row> = (0..count)
                    .map(|number| {
                        let key = &keys[random.usize(..keys.len())];
                        let mut cells = cells(&mut random, key, number);
                        if !named.contains(&key) {
                            cells[1] = Some(format!("New{number}"));
                            named.push(key);
                        }
                        cells
                    })
                    .collect();
                let report = load(&org, upsert(), &UPSERT, &rows).await;
                assert_eq!(report.rejected, 0, "seed {seed} phase {phase}: {report}");
                apply(&mut expected, &rows);
            } else if random.bool() {
                let rows: Vec<Row> = (0..count)
                    .map(|number| {
                        let key = known[random.usize(..known.len())];
                        cells(&mut random, key, number)
                    })
                    .collect();
                let by_id: Vec<Row> = rows
                    .iter()
                    .map(|row| {
                        let mut row = row.clone();
                        row[0] = row[0].take().map(|key| ids[&key].clone());
                        row
                    })
                    .collect();
                let report = load(&org, Operation::Update, &UPDATE, &by_id).await;
                assert_eq!(report.rejected, 0, "seed {seed} phase {phase}: {report}");
                apply(&mut expected, &rows);
            } else {
                let gone: Vec<&String> = (0..count.min(8))
                    .map(|_| known[random.usize(..known.len())])
                    .collect();
                let rows: Vec<Row> = gone
                    .iter()
                    .map(|key| vec![Some(ids[*key].clone())])
                    .collect();
                let report = load(&org, Operation::Delete, &["Id"], &rows).await;
                assert_eq!(report.rejected, 0, "seed {seed} phase {phase}: {report}");
                expected.retain(|key, _| !gone.contains(&key));
            }
            assert_eq!(records(&sim).await, expected, "seed {seed} phase {phase}");
        }
    }
}

/// A row of a key with some of its cells.
fn cells(random: &mut fastrand::Rng, key: &str, number: usize) -> Row {
    let mut cell = |text: String| random.bool().then_some(text);
    vec![
        Some(key.to_owned()),
        cell(format!("Ng{number}")),
        cell(format!("v{number}")),
        cell(format!("{number}@example.com")),
    ]
}
