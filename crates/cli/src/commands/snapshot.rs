//! `load --snapshot`: the former values of the fields that a load writes, read before its first job.

use arrow_salesforce::Operation;
use arrow_salesforce::arrow::array::AsArray as _;
use arrow_salesforce::coerce::{Comparison, KeyForm};
use futures::StreamExt as _;

use super::prepare::Prepared;
use crate::error::{CliError, Result};
use crate::records::look::{KeyList, Keys, Look};
use crate::run::{RunFolder, RunRecord};
use crate::watch::Watch;
use crate::watch::numbers::counted;

/// Keeps the former values of the records that the rows name, if that was asked for and is not done.
///
/// # Errors
/// Those of reading the rows and the org, and of writing the file.
pub(super) async fn take(prepared: &Prepared, folder: &RunFolder, watch: &Watch) -> Result<()> {
    let path = folder.snapshot_path();
    if !prepared.spec.write.snapshot || path.exists() {
        return Ok(());
    }
    if prepared.spec.operation() == Operation::Insert {
        watch.say("inserts change no record that is there: `undo` deletes theirs by the receipts");
        return Ok(());
    }
    if prepared.volatile && !prepared.spec.materialize {
        return Err(CliError::usage(
            "the query gives other rows each time (random(), now() or the like), so --snapshot cannot say \
             which records will be changed: add --materialize, which keeps the rows",
        ));
    }
    let comparison = prepared.comparison().await?;
    let look = look(prepared, &comparison);
    let keys = keys(prepared, &comparison).await?;
    let how = look.choose(&keys).await;
    watch.say(&format!("the former values are read {}", how.said()));
    folder.local()?;
    let kept = look.keep(how, keys, &path).await?;
    watch.say(&format!("{} kept", counted(kept, "former record")));
    Ok(())
}

/// Says what became of the former values, where a run goes on without them.
pub(super) fn missing(folder: &RunFolder, record: &RunRecord, watch: &Watch) {
    let snapshot = record.spec.write.snapshot && record.spec.operation() != Operation::Insert;
    if snapshot && !record.attempts.is_empty() && !folder.snapshot_path().exists() {
        watch.say(&format!(
            "{} is gone: `undo` will not be able to restore what this run changes",
            folder.snapshot_path().display()
        ));
    }
}

/// The records that the rows name, and the fields that are written.
fn look(prepared: &Prepared, comparison: &Comparison) -> Look {
    let operation = prepared.spec.operation();
    let coercion = comparison.coercion();
    let key = coercion.header().operation.key_field();
    let key = key.or(operation.key_field()).unwrap_or("Id");
    let filled = comparison.fields().iter();
    let filled = filled.map(|field| field.fills.name.as_str());
    let columns = Look::columns_of(std::iter::once(key).chain(filled));
    let form = coercion.key().map(|key| &key.form);
    Look {
        client: prepared.org.client().clone(),
        object: prepared.object.name.clone(),
        key: key.to_owned(),
        numeric: matches!(form, Some(KeyForm::Number { .. })),
        columns,
    }
}

/// The keys of the rows, as they are sent.
async fn keys(prepared: &Prepared, comparison: &Comparison) -> Result<Keys> {
    let coercion = comparison.coercion();
    let mut keys = KeyList::default();
    let Some(key) = coercion.key() else {
        return Ok(keys.finish());
    };
    let mut rows = prepared.stream().await?;
    while let Some(batch) = rows.next().await {
        let cells = coercion.apply(&batch?);
        let cells = cells.map_err(arrow_salesforce::Error::from)?;
        let texts = cells.batch.column(key.column).as_string::<i32>();
        if !texts.iter().flatten().all(|key| keys.push(key)) {
            break;
        }
    }
    Ok(keys.finish())
}
