//! The thread that reads stdin, block by block, into buffers that come back to it.

use std::io::{self, Read};
use std::sync::mpsc::{Receiver, SyncSender};

/// Bytes that are read at once, at most: few enough that a block is still in the core's cache when
/// its lines are decoded.
pub(super) const BLOCK_BYTES: usize = 256 << 10;

/// What goes from the reading thread to the other one.
#[derive(Debug)]
pub(super) enum Block {
    /// The first bytes of a buffer, as many as the number says.
    Bytes(Vec<u8>, usize),
    /// Nothing more comes.
    End(io::Result<()>),
    /// Look whether to stop.
    Wake,
}

/// Reads `source` to its end, into the buffers of `spares`.
pub(super) fn read_blocks(
    mut source: impl Read,
    blocks: &SyncSender<Block>,
    spares: &Receiver<Vec<u8>>,
) {
    let end = loop {
        let Ok(mut buffer) = spares.recv() else {
            return;
        };
        let read = loop {
            match source.read(&mut buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read,
            }
        };
        match read {
            Ok(0) => break Ok(()),
            Ok(length) => {
                if blocks.send(Block::Bytes(buffer, length)).is_err() {
                    return;
                }
            }
            Err(error) => break Err(error),
        }
    };
    // Whoever does not listen any more has stopped already.
    let _ = blocks.send(Block::End(end));
}
