//! The flow of one load: rows taken in, checkpoints acknowledged, the report at its end.

use std::sync::Arc;

use tokio::sync::mpsc;

use crate::error::Error;

use super::LoadError;
use super::event::{Event, EventSender};
use super::feed::FeedMessage;
use super::intake::Intake;
use super::report::LoadReport;
use super::state::Load;

/// A load from its first row to its last event.
pub(super) async fn run(
    load: Arc<Load>,
    messages: mpsc::Receiver<FeedMessage>,
    events: EventSender,
) {
    let acknowledging = tokio::spawn(acknowledge(Arc::clone(&load), events.clone()));
    let outcome = match Intake::new(Arc::clone(&load), events.clone()) {
        Ok(intake) => intake.run(messages).await,
        Err(error) => Err(error),
    };
    if outcome.is_err() {
        load.stop.cancel();
    }
    load.ledger.close();
    let acknowledged = acknowledging
        .await
        .map_err(|error| LoadError::from(error).into());
    let last = outcome
        .and(acknowledged)
        .and_then(|()| load.ledger.report(&load.plan, load.client.usage()))
        .inspect(LoadReport::warn)
        .map(|report| Event::Finished(Box::new(report)))
        .map_err(|error| {
            let seconds = load.ledger.elapsed().as_secs();
            error
                .with_context(Error::STREAM, &load.plan.name)
                .with_context(Error::ELAPSED, &seconds)
        });
    // Nobody may be listening any more; then nobody needs the outcome.
    let _ = events.send(last).await;
}

/// Acknowledges checkpoints as they become due, in order.
async fn acknowledge(load: Arc<Load>, events: EventSender) {
    while let Some(due) = load.ledger.next_due().await {
        let event = Event::Durable {
            checkpoint: due.id,
            counts: due.counts,
        };
        if events.send(Ok(event)).await.is_err() {
            load.stop.cancel();
            return;
        }
    }
}
