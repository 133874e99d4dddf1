//! States that came and are not yet printed: each waits until the loads of all streams that it stands
//! for have acknowledged it, when all rows before it have their end.

use std::collections::BTreeMap;

use parking_lot::Mutex;

use crate::protocol::{State, Statistics};
use arrow_salesforce::load::{Counts, Reservation};

/// The states on their way, by the id of their checkpoints, in the order received.
#[derive(Debug, Default)]
pub(crate) struct PendingStates {
    states: Mutex<BTreeMap<u64, Pending>>,
}

/// A state whose records all have their end.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct DueState {
    pub(crate) state: State,
    pub(crate) statistics: Statistics,
    /// How many records of each of its streams stand before it, by the number of the stream.
    pub(crate) covered: Vec<(usize, u64)>,
}

#[derive(Debug)]
struct Pending {
    state: State,
    /// Streams that have not acknowledged it yet.
    streams: usize,
    /// Over the streams that have.
    statistics: Statistics,
    /// Of each of these, how many records stand before the state.
    covered: Vec<(usize, u64)>,
    /// The memory it takes.
    _memory: Option<Reservation>,
}

impl PendingStates {
    /// Keeps a state, which takes `memory`, until `streams` streams have acknowledged it.
    pub(crate) fn keep(&self, id: u64, state: State, streams: usize, memory: Option<Reservation>) {
        let pending = Pending {
            state,
            streams,
            statistics: Statistics::default(),
            covered: Vec::new(),
            _memory: memory,
        };
        self.states.lock().insert(id, pending);
    }

    /// The stream of this number has acknowledged the checkpoint `id`. Returns the state, with what
    /// became of the rows of all its streams, if this was the last one; `Err` if no state waits for the
    /// checkpoint.
    pub(crate) fn acknowledge(
        &self,
        id: u64,
        stream: usize,
        counts: Counts,
    ) -> Result<Option<DueState>, ()> {
        let mut states = self.states.lock();
        let pending = states.get_mut(&id).ok_or(())?;
        pending.streams -= 1;
        pending.statistics.add(counts);
        let rows = counts.total_accepted + counts.total_rejected;
        pending.covered.push((stream, rows));
        if pending.streams > 0 {
            return Ok(None);
        }
        let pending = states.remove(&id).ok_or(())?;
        Ok(Some(DueState {
            state: pending.state,
            statistics: pending.statistics,
            covered: pending.covered,
        }))
    }

    /// How many states are kept.
    pub(crate) fn len(&self) -> usize {
        self.states.lock().len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(text: &str) -> State {
        let line = format!(r#"{{"type":"STATE","state":{text}}}"#);
        State::read(line.as_bytes()).unwrap().unwrap()
    }

    fn counts(accepted: u64, total_accepted: u64) -> Counts {
        Counts {
            accepted,
            total_accepted,
            rejected: 1,
            total_rejected: 2,
            total_bytes: 10,
        }
    }

    #[test]
    fn a_state_of_all_streams_waits_for_each_and_adds_their_counts() {
        let pending = PendingStates::default();
        pending.keep(1, state(r#"{"type":"GLOBAL","global":{}}"#), 2, None);
        assert_eq!(pending.acknowledge(1, 1, counts(3, 5)), Ok(None));
        assert_eq!(pending.len(), 1);
        let due = pending.acknowledge(1, 0, counts(4, 4)).unwrap().unwrap();
        let expected = Statistics {
            accepted: 7,
            rejected: 2,
            total_accepted: 9,
            total_rejected: 4,
            total_bytes: 20,
        };
        assert_eq!(due.statistics, expected);
        assert_eq!(due.covered, [(1, 7), (0, 6)]);
        assert_eq!(
            pending.acknowledge(1, 0, counts(0, 0)),
            Err(()),
            "each is acknowledged once"
        );
        assert_eq!(pending.len(), 0);
    }
}
