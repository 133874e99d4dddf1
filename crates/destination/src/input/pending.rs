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

#[derive(Debug)]
struct Pending {
    state: State,
    /// Streams that have not acknowledged it yet.
    streams: usize,
    /// Over the streams that have.
    statistics: Statistics,
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
            _memory: memory,
        };
        self.states.lock().insert(id, pending);
    }

    /// A stream has acknowledged the checkpoint `id`. Returns the state, with what became of the rows
    /// of all its streams, if this was the last one; `Err` if no state waits for the checkpoint.
    pub(crate) fn acknowledge(
        &self,
        id: u64,
        counts: Counts,
    ) -> Result<Option<(State, Statistics)>, ()> {
        let mut states = self.states.lock();
        let pending = states.get_mut(&id).ok_or(())?;
        pending.streams -= 1;
        pending.statistics.add(counts);
        if pending.streams > 0 {
            return Ok(None);
        }
        let pending = states.remove(&id).ok_or(())?;
        Ok(Some((pending.state, pending.statistics)))
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
        assert_eq!(pending.acknowledge(1, counts(3, 5)), Ok(None));
        assert_eq!(pending.len(), 1);
        let (_, statistics) = pending.acknowledge(1, counts(4, 4)).unwrap().unwrap();
        let expected = Statistics {
            accepted: 7,
            rejected: 2,
            total_accepted: 9,
            total_rejected: 4,
            total_bytes: 20,
        };
        assert_eq!(statistics, expected);
        assert_eq!(
            pending.acknowledge(1, counts(0, 0)),
            Err(()),
            "each is acknowledged once"
        );
        assert_eq!(pending.len(), 0);
    }
}
