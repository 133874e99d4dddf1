//! Inserted rows without a result are looked for in the org itself, by their external ID.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, AsArray};

use super::ended::Job;
use crate::bulk::KeyedBy;
use crate::error::Result;
use crate::load::LoadError;
use crate::load::plan::ExternalId;
use crate::load::recoerce::recoerced;
use crate::load::state::Load;
use crate::object::RecordId;
use crate::rows::{KeyDigest, KeyMap, RowSet};
use crate::text;

/// Most rows that are looked for: a call finds some hundred of them.
const MOST_ROWS: u64 = 100_000;

/// Rows that are looked for at once.
const ROWS_AT_ONCE: usize = 2_000;

/// A row with its external ID.
struct Keyed {
    row: u64,
    key: String,
    digest: KeyDigest,
}

/// Those of the `unknown` rows that are proved to be in the org: one record has their external ID,
/// which no other row `sent` in the job has, and it was created by the user of the job, not before
/// the job. That a row is not found proves nothing.
///
/// # Errors
/// Those of reading rows back. That Salesforce cannot be asked leaves rows unknown.
pub(super) async fn found_in_org(
    load: &Arc<Load>,
    job: &Job,
    unknown: &RowSet,
    sent: &RowSet,
) -> Result<RowSet> {
    let mut found = RowSet::new();
    let Some(id) = &load.plan.external_id else {
        return Ok(found);
    };
    if unknown.len() > MOST_ROWS {
        return Ok(found);
    }
    let (of, rows, sent) = (Arc::clone(load), unknown.clone(), sent.clone());
    let keyed = tokio::task::spawn_blocking(move || keyed(&of, &rows, &sent));
    let keyed = keyed.await.map_err(LoadError::from)??;
    for keyed in keyed.chunks(ROWS_AT_ONCE) {
        match records(load, job, id, keyed).await {
            Ok(records) => {
                let once = |keyed: &&Keyed| records.get(&keyed.digest) == Some(&1);
                found.extend(keyed.iter().filter(once).map(|keyed| keyed.row));
            }
            Err(error) => {
                tracing::warn!(
                    stream = %load.plan.name, job = %job.id, %error,
                    "rows without a result could not be looked for in the org"
                );
                break;
            }
        }
    }
    tracing::warn!(
        stream = %load.plan.name, job = %job.id, rows = unknown.len(), found = found.len(),
        "rows without a result were looked for in the org by their external ID"
    );
    Ok(found)
}

/// How many records that the job can have created have each external ID.
async fn records(
    load: &Load,
    job: &Job,
    id: &ExternalId,
    keyed: &[Keyed],
) -> Result<HashMap<KeyDigest, u32>> {
    let by = KeyedBy {
        object: &load.plan.target.object,
        field: &id.field,
        numeric: id.numeric,
    };
    let keys: Vec<String> = keyed.iter().map(|keyed| keyed.key.clone()).collect();
    let (mut counts, mut buffer) = (HashMap::new(), String::new());
    for record in load.client.records_by_key(by, &keys).await? {
        let by_job = job.created_by.as_deref().and_then(RecordId::parse);
        let by_us = by_job.is_some() && by_job == RecordId::parse(&record.created_by);
        // Salesforce says both in whole seconds.
        let created = job.created_at.map(|at| at.timestamp());
        if by_us && created.is_some_and(|job| record.created_at.timestamp() >= job) {
            let digest = id.key.form.digest(&record.key, &mut buffer);
            *counts.entry(digest).or_default() += 1;
        }
    }
    Ok(counts)
}

/// The `unknown` rows that have an external ID which no other row `sent` has.
fn keyed(load: &Load, unknown: &RowSet, sent: &RowSet) -> Result<Vec<Keyed>> {
    let mut all = Vec::new();
    each_key(load, unknown, |row, key, digest| {
        all.push(Keyed {
            row,
            key: key.to_owned(),
            digest,
        });
    })?;
    let mut times: KeyMap<u32> = all.iter().map(|keyed| (keyed.digest, 0)).collect();
    each_key(load, sent, |_, _, digest| {
        if let Some(times) = times.get_mut(&digest) {
            *times += 1;
        }
    })?;
    all.retain(|keyed| times.get(&keyed.digest) == Some(&1));
    Ok(all)
}

/// Shows the external ID of each row that has one.
fn each_key(load: &Load, rows: &RowSet, mut show: impl FnMut(u64, &str, KeyDigest)) -> Result<()> {
    let Some(id) = &load.plan.external_id else {
        return Ok(());
    };
    let mut buffer = String::new();
    for read in recoerced(load, rows) {
        let read = read?;
        let cells = read.cells.column(id.key.column).as_string::<i32>();
        for index in (0..cells.len()).filter(|index| cells.is_valid(*index)) {
            // Salesforce keeps it so; an insert sends it as it came.
            let cell = text::trim(cells.value(index));
            let digest = id.key.form.digest(cell, &mut buffer);
            show(read.ordinals.of(index), cell, digest);
        }
    }
    Ok(())
}
