//! Which records the rows of an ended job became.

use std::sync::Arc;
use std::time::Duration;

use futures::stream::StreamExt as _;
use tokio::time::sleep;

use super::judge::{SentIn, SettlePermit, add, begin, opened};
use crate::bulk::EndedJob;
use crate::error::Result;
use crate::ledger::Entry;
use crate::load::LoadError;
use crate::load::settle::{RecordLog, Records};
use crate::load::state::Load;
use crate::object::RecordIds;
use crate::rows::RowSet;

/// Pause before the results are read for the second time. Later ones are longer.
const FIRST_PAUSE: Duration = Duration::from_secs(5);

/// Longest of these pauses.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// How long results are waited for that lag behind the end of their job. The rows are written.
const PATIENCE: Duration = Duration::from_secs(60);

/// Reads which records the rows `written` in a job became. Results that are fewer than these rows are
/// read again, after pauses, during which the permit to settle is given back.
///
/// # Errors
/// Any of reading the results and of joining them to the rows.
pub(super) async fn records(
    load: &Arc<Load>,
    ended: &mut EndedJob,
    written: &RowSet,
    permit: &mut Option<SettlePermit>,
) -> Result<Records> {
    let waits = load.org.options().waits;
    let patience = PATIENCE.min(waits.patience);
    let (mut waited, mut pause) = (Duration::ZERO, FIRST_PAUSE);
    let sent = SentIn::Load(written.clone());
    loop {
        if permit.is_none() {
            *permit = Some(load.org.admission().settle_permit().await);
        }
        let results = opened(ended, ended.successful_results().await).await?;
        let mut results = results.peekable();
        let mut join = begin(load, &sent, [&mut results]).await?;
        join.expect_successes();
        let found = add(&mut results, |rows| join.succeeded(rows)).await?;
        if found >= written.len() || waited >= patience {
            let (of, written) = (Arc::clone(load), written.clone());
            let joined = tokio::task::spawn_blocking(move || {
                let sources = of.books.rows().read(&written);
                join.records(&written, sources.map(|read| Ok(read?)))
            });
            return joined.await.map_err(LoadError::from)?;
        }
        drop((join, results));
        *permit = None;
        tracing::warn!(
            stream = %load.plan.name, job = %ended.id, pause_s = pause.as_secs(),
            rows = written.len(), results = found,
            "the job has written more rows than its results show: they are read again for the receipts"
        );
        sleep(waits.scaled(pause)).await;
        waited += pause;
        pause = (pause * 2).min(LONGEST_PAUSE);
        *ended = ended.read_again().await?;
    }
}

/// Which records the rows `written` of an entry of an older attempt became; none if its results have not
/// all columns. Their numbers go on from those of `ids`.
///
/// # Errors
/// As [`records`].
pub(in crate::load) async fn records_of_entry(
    load: &Arc<Load>,
    ended: &mut EndedJob,
    entry: &Arc<Entry>,
    written: &RowSet,
    ids: &mut RecordIds,
) -> Result<Option<RecordLog>> {
    let _permit = load.org.admission().settle_permit().await;
    let results = opened(ended, ended.successful_results().await).await?;
    let mut results = results.peekable();
    let sent = SentIn::Entry(Arc::clone(entry));
    let Ok(join) = begin(load, &sent, [&mut results]).await else {
        return Ok(None);
    };
    let mut join = join.with_ids(std::mem::take(ids));
    join.expect_successes();
    add(&mut results, |rows| join.succeeded(rows)).await?;
    let (entry, written) = (Arc::clone(entry), written.clone());
    let joined = tokio::task::spawn_blocking(move || {
        join.records_of_digests(&entry.rows, entry.digests.iter(), &written)
    });
    let Records { log, ids: known } = joined.await.map_err(LoadError::from)??;
    *ids = known;
    Ok(Some(log))
}
