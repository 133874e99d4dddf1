//! Random streams whose records name each other.

use std::collections::BTreeMap;
use std::ops::Range;

use fastrand::Rng;
use serde_json::{Map, Value, json};
use testkit::KEY;
use testkit::sim::TestSim;

use super::{configured, rejects};
use crate::harness::lines::Stream;
use crate::harness::process::Job;

/// A column that names a parent, the object of the parent, and the field that it fills.
type Lookup = (&'static str, &'static str, &'static str);

/// An object, the column of its name, and its lookups.
struct Object {
    name: &'static str,
    label: &'static str,
    lookups: &'static [Lookup],
}

const OBJECTS: [Object; 3] = [
    Object {
        name: "Account",
        label: "Name",
        lookups: &[("Parent.Ext_Id__c", "Account", "ParentId")],
    },
    Object {
        name: "Contact",
        label: "LastName",
        lookups: &[
            ("Account.Ext_Id__c", "Account", "AccountId"),
            ("ReportsTo.Ext_Id__c", "Contact", "ReportsToId"),
        ],
    },
    Object {
        name: "Case",
        label: "Subject",
        lookups: &[
            ("Contact.Ext_Id__c", "Contact", "ContactId"),
            ("Parent.Ext_Id__c", "Case", "ParentId"),
        ],
    },
];

/// A record of a stream.
struct Made {
    stream: usize,
    data: Map<String, Value>,
}

/// Records of all streams in any order, each of which names parents that come somewhere. Some come
/// more than once, if they are `repeated`.
fn made(random: &mut Rng, streams: &[&Object], repeated: bool) -> Vec<Made> {
    let (mut all, mut keys) = (Vec::new(), BTreeMap::<&str, Vec<String>>::new());
    for (stream, object) in streams.iter().enumerate() {
        for number in 0..random.usize(1..40) {
            let key = format!("K-{stream}-{number}");
            let times = if repeated && random.u8(0..4) == 0 {
                3
            } else {
                1
            };
            for time in 0..times {
                let mut data = Map::new();
                data.insert(KEY.into(), json!(key));
                data.insert(object.label.into(), json!(format!("{key} {time}")));
                for (column, parent, _) in object.lookups {
                    let parents = keys.get(parent).map_or(&[][..], Vec::as_slice);
                    let parent = random.choice(parents).filter(|_| random.u8(0..4) > 0);
                    data.insert((*column).into(), json!(parent));
                }
                all.push(Made { stream, data });
            }
            keys.entry(object.name).or_default().push(key);
        }
    }
    random.shuffle(&mut all);
    all
}

/// The records as lines, with states among them, of one kind.
fn lines(random: &mut Rng, streams: &[Stream], records: &[Made]) -> (Vec<String>, usize) {
    let global = random.bool();
    let (mut lines, mut states) = (Vec::new(), 0);
    let mut since = vec![0; streams.len()];
    for record in records {
        let stream = &streams[record.stream];
        lines.push(stream.record(&Value::Object(record.data.clone())));
        since[record.stream] += 1;
        if random.u8(0..8) == 0 {
            states += 1;
            lines.push(if global {
                json!({"type": "STATE", "state": {
                    "type": "GLOBAL", "global": {"stream_states": []}, "id": states,
                }})
                .to_string()
            } else {
                let count = std::mem::take(&mut since[record.stream]);
                stream.state(states as u64, count)
            });
        }
    }
    let mut ends: Vec<String> = streams.iter().map(Stream::complete).collect();
    random.shuffle(&mut ends);
    lines.extend(ends);
    (lines, states)
}

/// What the records of an object are in the end, by key: the last value of each column.
fn expected<'a>(records: &'a [Made], streams: &[&Object], object: &Object) -> Values<'a> {
    let mut values = Values::new();
    for made in records {
        if streams[made.stream].name == object.name {
            let of_key = values.entry(made.data[KEY].as_str().unwrap()).or_default();
            let set = made.data.iter().filter(|(_, value)| !value.is_null());
            of_key.extend(set.map(|(column, value)| (column.as_str(), value.as_str().unwrap())));
        }
    }
    values
}

type Values<'a> = BTreeMap<&'a str, BTreeMap<&'a str, &'a str>>;

/// Any streams of any of three objects whose records name each other, interleaved in any order, with
/// states of each kind among them.
#[tokio::test]
async fn each_record_finds_its_parents_wherever_they_come() {
    for seed in seeds() {
        let mut random = Rng::with_seed(seed);
        let objects: Vec<&Object> = (0..random.usize(2..6))
            .map(|_| random.choice(&OBJECTS).unwrap())
            .collect();
        let streams = objects.iter().enumerate();
        let streams: Vec<Stream> = streams.map(|(number, of)| stream(number, of)).collect();
        let upsert = random.bool();
        let records = made(&mut random, &objects, upsert);
        let (lines, states) = lines(&mut random, &streams, &records);
        let sim = TestSim::start().await;
        let of_job: Vec<&Stream> = streams.iter().collect();
        let job = Job::with_catalog(&sim, configured(&of_job, upsert))
            .set("max_job_rows", random.u64(5..50))
            .rejects_to_folder();

        let output = job.write(&lines).await.succeeded();

        assert_eq!(rejects(&job).len(), 0, "seed {seed}: {output:#?}");
        assert_eq!(output.states().len(), states, "seed {seed}");
        let mut keys = BTreeMap::new();
        for object in &OBJECTS {
            for row in sim.rows(object.name).await {
                keys.insert(row["Id"].as_str().unwrap().to_owned(), row[KEY].clone());
            }
        }
        for object in &OBJECTS {
            let expected = expected(&records, &objects, object);
            let rows = sim.rows(object.name).await;
            assert_eq!(rows.len(), expected.len(), "seed {seed}");
            for row in rows {
                let values = &expected[row[KEY].as_str().unwrap()];
                assert_eq!(
                    row[object.label], values[object.label],
                    "seed {seed}: {row}"
                );
                for (column, _, field) in object.lookups {
                    let parent = row[*field].as_str().map(|id| keys[id].as_str().unwrap());
                    let named = values.get(column).copied();
                    assert_eq!(parent, named, "seed {seed}: {row} {column}");
                }
            }
        }
    }
}

fn stream(number: usize, object: &Object) -> Stream {
    let lookups = object.lookups.iter().map(|(column, ..)| *column);
    let columns: Vec<&str> = [KEY, object.label].into_iter().chain(lookups).collect();
    Stream::new(&format!("s{number}"), object.name, &columns)
}

/// Few, or as many as `PARENTS_SEEDS` says.
fn seeds() -> Range<u64> {
    let many = std::env::var("PARENTS_SEEDS").ok();
    0..many.and_then(|many| many.parse().ok()).unwrap_or(6)
}
