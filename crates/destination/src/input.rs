//! stdin -> feeds: one thread reads blocks, another puts lines together, decodes them and sends
//! batches on. Neither waits for Salesforce but through the bounds of their channels.

mod long;
mod pending;
mod read;
mod reading;
mod router;
mod stream;

use std::io::{self, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};

use tokio::sync::oneshot;

use crate::failure::Failure;
use crate::protocol::MessageDecoder;
use arrow_salesforce::error::{Error, Result};

pub(crate) use pending::DueState;
use read::{BLOCK_BYTES, Block, read_blocks};
pub(crate) use reading::Reading;
use router::Router;
pub(crate) use stream::InputStream;

/// Blocks on their way between the two threads.
const BLOCKS: usize = 4;

/// The two threads, from outside.
#[derive(Debug)]
pub(crate) struct Input {
    reading: Arc<Reading>,
    blocks: SyncSender<Block>,
    ended: oneshot::Receiver<Option<Failure>>,
}

impl Input {
    /// Starts reading `source`. Stream `i` of the decoder is `streams[i]`.
    ///
    /// # Errors
    /// A system error if a thread cannot be started.
    pub(crate) fn start(
        source: impl Read + Send + 'static,
        decoder: MessageDecoder,
        streams: Vec<InputStream>,
        reading: Arc<Reading>,
    ) -> Result<Self> {
        let (block_sender, blocks) = sync_channel(BLOCKS);
        let (spare_sender, spares) = sync_channel(BLOCKS);
        for _ in 0..BLOCKS {
            // The channel has room for all of them.
            let _ = spare_sender.try_send(vec![0; BLOCK_BYTES]);
        }
        let (ended_sender, ended) = oneshot::channel();
        let router = Router::new(decoder, streams, Arc::clone(&reading));
        spawn("decode", move || {
            // Nobody waits for the end only when the process ends.
            let _ = ended_sender.send(router.run(&blocks, &spare_sender));
        })?;
        let reader = block_sender.clone();
        spawn("read", move || {
            let reading = AssertUnwindSafe(|| read_blocks(source, &reader, &spares));
            if catch_unwind(reading).is_err() {
                // Whoever waits for a block would wait for ever.
                let panicked = io::Error::other("the thread that reads it panicked");
                let _ = reader.send(Block::End(Err(panicked)));
            }
        })?;
        Ok(Self {
            reading,
            blocks: block_sender,
            ended,
        })
    }

    /// Ends reading soon, and stops the loads: their jobs in flight still end.
    pub(crate) fn stop(&self) {
        self.reading.stop.cancel();
        match self.blocks.try_send(Block::Wake) {
            // A full channel has a block for the other thread to wake up by.
            Ok(()) | Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {}
        }
    }

    /// Waits for the end of the input, once, and returns what was wrong with it.
    ///
    /// # Errors
    /// A system error if the decoding thread died.
    pub(crate) async fn ended(&mut self) -> Result<Option<Failure>> {
        (&mut self.ended).await.map_err(|_| {
            Error::system("reading records stopped without a reason; report it, it is a defect")
        })
    }
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Result<()> {
    let thread = std::thread::Builder::new().name(name.to_owned()).spawn(run);
    thread.map(drop).map_err(|error| {
        Error::system(format!("the thread {name} cannot be started: {error}")).with_source(error)
    })
}

#[cfg(test)]
mod tests;
