//! What a load says of its rows while it runs.

use std::pin::Pin;
use std::task::{Context, Poll};

use arrow::array::RecordBatch;
use futures::Stream;
use tokio::sync::mpsc;

use crate::error::{Error, Result};

use super::checkpoint::Counts;
use super::report::LoadReport;

/// Events that may wait to be read.
const EVENTS: usize = 64;

/// What became of the rows.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// Records that were rejected, with their columns as they came and the reason
    /// ([`crate::reject`] names the columns). Only with [`Rejects::Events`](super::Rejects::Events).
    Rejected(RecordBatch),
    /// Receipts of records that were accepted: the record that each became
    /// ([`crate::receipt`] names the columns). Only with [`Receipts::Events`](super::Receipts::Events),
    /// and before the checkpoint behind them is durable.
    Accepted(RecordBatch),
    /// All rows before a checkpoint are in Salesforce or rejected, and the rejected ones stored.
    Durable {
        /// The checkpoint.
        checkpoint: u64,
        /// Rows of its interval, and of the load up to it.
        counts: Counts,
    },
    /// All rows have their end. The last event of a load.
    Finished(Box<LoadReport>),
}

/// The events of a load, in order: a stream whose last item is [`Event::Finished`] or an error.
///
/// Once it is dropped, the load stops when it has an event to emit.
#[derive(Debug)]
pub struct Events {
    events: mpsc::Receiver<Result<Event>>,
}

/// Where a load puts its events.
pub(super) type EventSender = mpsc::Sender<Result<Event>>;

/// Events, and where they come from.
pub(super) fn channel() -> (EventSender, Events) {
    let (sender, events) = mpsc::channel(EVENTS);
    (sender, Events { events })
}

/// A load that cannot start: says why.
pub(super) async fn refuse(events: EventSender, error: Error) {
    // Nobody may be listening any more.
    let _ = events.send(Err(error)).await;
}

impl Events {
    /// The next event; an error is the last. `None` after the end. Cancelled, it loses none.
    pub async fn next(&mut self) -> Option<Result<Event>> {
        self.events.recv().await
    }
}

impl Stream for Events {
    type Item = Result<Event>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.events.poll_recv(context)
    }
}
