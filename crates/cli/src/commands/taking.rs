//! Records from where they come from to whoever takes them, batch by batch.

use std::time::Duration;

use arrow_salesforce::Error;
use arrow_salesforce::arrow::array::RecordBatch;
use arrow_salesforce::arrow::datatypes::SchemaRef;
use arrow_salesforce::bulk::{BulkError, Query, QueryHandle};
use futures::stream::{self, BoxStream, StreamExt as _};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};

use super::interrupt::Interrupt;
use crate::error::{CliError, Result};
use crate::watch::TakenWatch;

/// How often progress is shown.
const SHOWN_EACH: Duration = Duration::from_millis(200);

/// Batches that are read ahead of whoever takes them.
const AHEAD: usize = 2;

/// Records that an org gives.
pub(super) struct Records {
    pub(super) object: String,
    pub(super) schema: SchemaRef,
    /// Sees how far their jobs are; none if there is no job.
    pub(super) handle: Option<QueryHandle>,
    /// Its results stay in the org whatever happens: who takes them deletes them.
    keep: bool,
    stream: BoxStream<'static, Result<RecordBatch, BulkError>>,
}

impl Records {
    /// Those of a query whose job runs.
    pub(super) fn of(query: Query) -> Self {
        Self {
            object: query.object().to_owned(),
            schema: SchemaRef::clone(query.schema()),
            handle: Some(query.handle()),
            keep: false,
            stream: query.stream(),
        }
    }

    /// The same, with results that stay in the org.
    pub(super) fn kept(self) -> Self {
        Self { keep: true, ..self }
    }

    /// Those that are here already.
    pub(super) fn at_once(records: RecordBatch) -> Self {
        Self {
            object: "answer".to_owned(),
            schema: records.schema(),
            handle: None,
            keep: false,
            stream: stream::iter([Ok(records)]).boxed(),
        }
    }

    /// Ids of the jobs so far.
    pub(super) fn jobs(&self) -> Vec<String> {
        jobs(self.handle.as_ref()).0
    }
}

/// Ids of the jobs so far, and whether these are all.
pub(super) fn jobs(handle: Option<&QueryHandle>) -> (Vec<String>, bool) {
    match handle {
        // Asked in this order, a job that is made in between is not missed.
        Some(handle) => {
            let all = handle.progress().waiting == 0;
            (handle.jobs(), all)
        }
        None => (Vec::new(), true),
    }
}

/// Hands each batch to `take`, until that says it has enough. Returns how many records the org has
/// found, if it says so.
///
/// # Errors
/// That of the query or of `take`; [`CliError::Failed`] if an end was asked for.
pub(super) async fn each(
    records: Records,
    interrupt: &Interrupt,
    watch: &mut TakenWatch,
    mut take: impl AsyncFnMut(RecordBatch) -> Result<bool>,
) -> Result<Option<u64>> {
    watch.begin(&records.object, &records.jobs());
    let (handle, keep) = (records.handle.clone(), records.keep);
    let found = || Some(handle.as_ref()?.progress().found).filter(|found| *found > 0);
    let (sender, mut batches) = mpsc::channel(AHEAD);
    let mut stream = records.stream;
    let reading = tokio::spawn(async move {
        while let Some(batch) = stream.next().await {
            if sender.send(batch).await.is_err() {
                return;
            }
        }
    });
    let mut shown = interval(SHOWN_EACH);
    shown.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut taken = 0;
    let mut all = false;
    let ended = loop {
        tokio::select! {
            batch = batches.recv() => match batch {
                None => {
                    all = true;
                    break Ok(());
                }
                Some(Err(error)) => break Err(Error::from(error).into()),
                Some(Ok(batch)) => {
                    taken += batch.num_rows() as u64;
                    match take(batch).await {
                        Ok(true) => break Ok(()),
                        Ok(false) => {}
                        Err(error) => break Err(error),
                    }
                }
            },
            _ = shown.tick() => watch.progress(taken, found()),
            () = interrupt.asked() => break Err(CliError::failed("stopped, as asked for")),
        }
    };
    // Its jobs are not needed any more: those that run are aborted.
    reading.abort();
    let panicked = reading.await.is_err_and(|error| error.is_panic());
    if !all
        && !keep
        && let Some(handle) = &handle
    {
        discard(handle).await;
    }
    match ended {
        Ok(()) if panicked => Err(CliError::failed("reading the records ended early")),
        ended => ended.map(|()| found()),
    }
}

/// Deletes results that nobody reads to their end.
async fn discard(handle: &QueryHandle) {
    let progress = handle.progress();
    if progress.complete < progress.jobs {
        return;
    }
    if let Err(error) = handle.delete().await {
        tracing::debug!(%error, "jobs whose records are not needed could not be deleted");
    }
}
