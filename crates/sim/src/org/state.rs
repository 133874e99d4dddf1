//! The records of an org between two runs: a file of JSON lines for each object.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::Path;

use super::table::{Fingerprint, Place, Saved, Stamp};
use super::{Object, Org, USER_ID, reference};

/// Records that are read under one lock.
const CHUNK: u32 = 1_000;
/// How the names of files end.
const EXTENSION: &str = "jsonl";

/// What was saved last of each object.
#[derive(Debug, Default)]
pub(crate) struct Written(BTreeMap<String, Fingerprint>);

/// Reads what was saved in a directory, if anything was.
///
/// # Errors
/// If a file cannot be read, or is not of this org.
pub(crate) fn load(org: &Org, directory: &Path) -> io::Result<Written> {
    let mut written = Written::default();
    for object in &org.schema.objects {
        let path = directory.join(&object.name).with_extension(EXTENSION);
        let file = match fs::File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        let invalid = |line: usize, error: &dyn std::fmt::Display| {
            let place = format!("{}: line {}: {error}", path.display(), line + 1);
            io::Error::new(io::ErrorKind::InvalidData, place)
        };
        let mut saved: Vec<Saved> = Vec::new();
        for (number, line) in BufReader::new(file).lines().enumerate() {
            let record = serde_json::from_str(&line?);
            saved.push(record.map_err(|error| invalid(number, &error))?);
        }
        if let Some(mut table) = org.emptied(object) {
            table
                .restore(&saved)
                .map_err(|error| invalid(saved.len(), &error))?;
            written.0.insert(object.name.clone(), table.fingerprint());
        }
    }
    Ok(written)
}

/// Saves the objects whose records changed.
///
/// # Errors
/// If a file cannot be written.
pub(crate) fn save(org: &Org, directory: &Path, written: &mut Written) -> io::Result<()> {
    for object in &org.schema.objects {
        let Some(now) = org.table(&object.name).map(|table| table.fingerprint()) else {
            continue;
        };
        if written.0.get(&object.name) == Some(&now) {
            continue;
        }
        fs::create_dir_all(directory)?;
        let path = directory.join(&object.name).with_extension(EXTENSION);
        let draft = path.with_extension("draft");
        let mut file = BufWriter::new(fs::File::create(&draft)?);
        let total = org.table(&object.name).map_or(0, |table| table.total());
        for first in (0..total).step_by(CHUNK as usize) {
            let end = total.min(first.saturating_add(CHUNK));
            for record in records(org, object, first..end) {
                serde_json::to_writer(&mut file, &record)?;
                file.write_all(b"\n")?;
            }
        }
        file.into_inner()?.sync_all()?;
        fs::rename(draft, path)?;
        written.0.insert(object.name.clone(), now);
    }
    Ok(())
}

/// Records with the Ids of the parents that their lookups find.
fn records(org: &Org, object: &Object, numbers: std::ops::Range<u32>) -> Vec<Saved> {
    let Some(table) = org.table(&object.name) else {
        return Vec::new();
    };
    let rows = numbers.map(|number| {
        let stamps = table.stamps(number).map(|stamps| stamps.map(Stamp::clone));
        (table.place(number), stamps, table.values(number))
    });
    let rows: Vec<_> = rows.collect();
    // The Ids of parents are looked up without the lock: they may be in the same table.
    drop(table);
    let saved = rows.into_iter().map(|(place, stamps, values)| {
        let [created, changed] = stamps.unwrap_or_else(|| {
            let now = Stamp::now(USER_ID);
            [now.clone(), now]
        });
        let values = values.into_iter().filter(|_| place != Place::Gone);
        let values = values.filter_map(|(field, stored)| {
            let text = reference::id_of(org, object, &stored)?;
            Some((object.fields[field].name.clone(), text))
        });
        Saved {
            place,
            created,
            changed,
            values: values.collect(),
        }
    });
    saved.collect()
}
