//! Random streams whose records name each other.

use serde_json::{Value, json};
use testkit::KEY;
use testkit::sim::TestSim;

use super::{configured, naming, rejects};
use crate::harness::lines::Stream;
use crate::harness::process::Job;

/// A record, with the key that it has and the parents that it names.
struct Made {
    stream: usize,
    data: Value,
}

/// Records of all streams, each of which names parents that come somewhere in the same sync.
fn made(random: &mut fastrand::Rng, objects: &[&str]) -> Vec<Made> {
    let (mut all, mut keys) = (Vec::new(), Vec::<(String, String)>::new());
    for (stream, object) in objects.iter().enumerate() {
        for number in 0..random.usize(1..40) {
            let key = format!("K-{stream}-{number}");
            let earlier = keys.clone();
            let mut parent = |wanted: &str, random: &mut fastrand::Rng| {
                let of_object = earlier.iter().filter(|(object, _)| object == wanted);
                let of_object: Vec<_> = of_object.map(|(_, key)| key.clone()).collect();
                random.choice(of_object).filter(|_| random.u8(0..4) > 0)
            };
            let data = match *object {
                "Account" => json!({
                    KEY: key, "Name": "Acme", "Parent.Ext_Id__c": parent("Account", random),
                }),
                "Contact" => json!({
                    KEY: key,
                    "LastName": "Ng",
                    "Account.Ext_Id__c": parent("Account", random),
                    "ReportsTo.Ext_Id__c": parent("Contact", random),
                }),
                _ => json!({
                    KEY: key,
                    "Subject": "Help",
                    "Contact.Ext_Id__c": parent("Contact", random),
                    "Parent.Ext_Id__c": parent("Case", random),
                }),
            };
            keys.push(((*object).to_owned(), key));
            all.push(Made { stream, data });
        }
    }
    all
}

/// Any streams of any of three objects whose records name each other, interleaved in any order, with
/// states of each kind among them.
#[tokio::test]
async fn each_record_finds_its_parents_wherever_they_come() {
    for seed in seeds() {
        let mut random = fastrand::Rng::with_seed(seed);
        let objects: Vec<&str> = (0..random.usize(2..6))
            .map(|_| random.choice(["Account", "Contact", "Case"]).unwrap())
            .collect();
        let streams: Vec<Stream> = objects.iter().enumerate().map(stream_of).collect();
        let mut records = made(&mut random, &objects);
        random.shuffle(&mut records);
        let (upsert, global) = (random.bool(), random.bool());
        let mut lines = Vec::new();
        let mut since = vec![0; streams.len()];
        for (number, record) in records.iter().enumerate() {
            let (id, stream) = (number as u64 + 1, &streams[record.stream]);
            lines.push(stream.record(&record.data));
            since[record.stream] += 1;
            if random.u8(0..8) == 0 {
                lines.push(if global {
                    format!(r#"{{"type":"STATE","state":{{"type":"GLOBAL","global":{{"stream_states":[]}},"id":{id}}}}}"#)
                } else {
                    stream.state(id, std::mem::take(&mut since[record.stream]))
                });
            }
        }
        let sent = lines
            .iter()
            .filter(|line| line.contains(r#""type":"STATE""#))
            .count();
        let mut ends: Vec<String> = streams.iter().map(Stream::complete).collect();
        random.shuffle(&mut ends);
        lines.extend(ends);
        let sim = TestSim::start().await;
        let of_job: Vec<&Stream> = streams.iter().collect();
        let job = Job::with_catalog(&sim, configured(&of_job, upsert))
            .set("max_job_rows", random.u64(5..50))
            .rejects_to_folder();

        let output = job.write(&lines).await.succeeded();

        assert_eq!(rejects(&job).len(), 0, "seed {seed}: {output:#?}");
        assert_eq!(output.states().len(), sent, "seed {seed}");
        for (object, names) in [
            ("Account", &[("Parent.Ext_Id__c", "ParentId")][..]),
            (
                "Contact",
                &[
                    ("Account.Ext_Id__c", "AccountId"),
                    ("ReportsTo.Ext_Id__c", "ReportsToId"),
                ],
            ),
            (
                "Case",
                &[
                    ("Contact.Ext_Id__c", "ContactId"),
                    ("Parent.Ext_Id__c", "ParentId"),
                ],
            ),
        ] {
            let of_object = records.iter().filter(|made| objects[made.stream] == object);
            assert_eq!(
                sim.rows(object).await.len(),
                of_object.clone().count(),
                "seed {seed}"
            );
            for (column, field) in names {
                let named = of_object
                    .clone()
                    .filter(|made| made.data[column].is_string());
                assert_eq!(
                    naming(&sim, object, field).await,
                    named.count(),
                    "seed {seed}: {field}"
                );
            }
        }
    }
}

fn stream_of((number, object): (usize, &&str)) -> Stream {
    let columns: &[&str] = match *object {
        "Account" => &[KEY, "Name", "Parent.Ext_Id__c"],
        "Contact" => &[KEY, "LastName", "Account.Ext_Id__c", "ReportsTo.Ext_Id__c"],
        _ => &[KEY, "Subject", "Contact.Ext_Id__c", "Parent.Ext_Id__c"],
    };
    Stream::new(&format!("s{number}"), object, columns)
}

/// Few, or `PARENTS_SEEDS` of them.
fn seeds() -> std::ops::Range<u64> {
    let many = std::env::var("PARENTS_SEEDS").ok();
    0..many.and_then(|many| many.parse().ok()).unwrap_or(6)
}
