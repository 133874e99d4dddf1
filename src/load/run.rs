//! The flow of one load: rows taken in, checkpoints acknowledged, the report at its end.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::error::{Error, Result};

use super::LoadError;
use super::event::{Event, EventSender};
use super::feed::FeedMessage;
use super::intake::Intake;
use super::report::LoadReport;
use super::report_file;
use super::state::Load;

/// A load from its first row to its last event, which comes even if a part of it panics.
pub(super) async fn run(
    load: Arc<Load>,
    messages: mpsc::Receiver<FeedMessage>,
    events: EventSender,
) {
    let stop = load.stop.clone();
    let running = tokio::spawn(to_its_end(load, messages, events.clone()));
    last_event_of(running, &stop, &events).await;
}

/// Sees to it that the last event is one.
async fn last_event_of(running: JoinHandle<()>, stop: &CancellationToken, events: &EventSender) {
    if let Err(panicked) = running.await {
        stop.cancel();
        let _ = events.send(Err(LoadError::from(panicked).into())).await;
    }
}

async fn to_its_end(load: Arc<Load>, messages: mpsc::Receiver<FeedMessage>, events: EventSender) {
    let acknowledging = tokio::spawn(acknowledge(Arc::clone(&load), events.clone()));
    let outcome = tokio::select! {
        outcome = take_in(&load, messages, &events) => outcome,
        cut_off = end_of_grace(&load) => Err(cut_off),
    };
    if outcome.is_err() {
        load.stop.cancel();
    }
    load.books.close();
    let acknowledged = acknowledging
        .await
        .map_err(|error| LoadError::from(error).into());
    let (usage, held, jobs) = (load.client.usage(), load.held.as_ref(), load.jobs.lowered());
    let ended = outcome
        .and(acknowledged)
        .and_then(|()| load.books.report(&load.plan, usage, held, jobs));
    match &ended {
        Ok(report) => report_file::store(&load, report, None).await,
        Err(error) => {
            let report = load.books.so_far(&load.plan, usage, held, jobs);
            report_file::store(&load, &report, Some(error)).await;
        }
    }
    let last = ended
        .inspect(LoadReport::warn)
        .map(|report| Event::Finished(Box::new(report)))
        .map_err(|error| {
            let seconds = load.books.elapsed().as_secs();
            error
                .with_context(Error::STREAM, &load.plan.name)
                .with_context(Error::ELAPSED, &seconds)
        });
    // Nobody may be listening any more; then nobody needs the outcome.
    let _ = events.send(last).await;
}

/// Takes rows until each has its end.
async fn take_in(
    load: &Arc<Load>,
    messages: mpsc::Receiver<FeedMessage>,
    events: &EventSender,
) -> Result<()> {
    let intake = Intake::new(Arc::clone(load), events.clone())?;
    intake.run(messages).await
}

/// Waits for the end of the time that jobs in flight have after a stop of the org. Returns what the
/// load says then, made before its jobs are given up.
async fn end_of_grace(load: &Load) -> Error {
    load.org.stopping().cancelled().await;
    sleep(load.org.options().waits.grace_of_jobs()).await;
    cut_off(load)
}

/// What a load that is cut off says: which of its jobs go on.
fn cut_off(load: &Load) -> Error {
    let left = load.org.in_flight().of(load.id);
    if left.is_empty() {
        return LoadError::Stopped.into();
    }
    let jobs = left.join(", ");
    LoadError::StillRunning { jobs }.into()
}

/// Acknowledges checkpoints as they become due, in order.
async fn acknowledge(load: Arc<Load>, events: EventSender) {
    // A load whose checkpoints nobody acknowledges any more is to end.
    let stop = load.stop.clone().drop_guard();
    while let Some(due) = load.books.next_due().await {
        let event = Event::Durable {
            checkpoint: due.id,
            counts: due.counts,
        };
        if events.send(Ok(event)).await.is_err() {
            return;
        }
    }
    stop.disarm();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;
    use crate::load::event;

    #[tokio::test]
    async fn a_load_that_panics_ends_with_an_error() {
        let (sender, mut events) = event::channel();
        let stop = CancellationToken::new();
        let running = tokio::spawn(async { panic!("a value of a record") });
        last_event_of(running, &stop, &sender).await;
        drop(sender);
        let error = events.next().await.unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::System);
        assert!(!error.is_stopped());
        assert!(!format!("{error:?}").contains("a value"), "{error:?}");
        assert!(stop.is_cancelled());
        assert!(events.next().await.is_none());
    }
}
