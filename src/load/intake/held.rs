//! Rows that are held go on when the loads of their parents have ended, or are at rest.

use crate::error::Result;
use crate::load::LoadError;
use crate::load::family::{Phase, Turn};

use super::Intake;

impl Intake {
    /// Says how far the load is, and lets go what it holds if it is time.
    ///
    /// # Errors
    /// [`LoadError::Stopped`] if a load failed that might have brought the parents of what it holds.
    pub(super) fn let_go_due(&mut self) -> Result<()> {
        let phase = self.phase();
        let Some(standing) = &mut self.standing else {
            return Ok(());
        };
        let load = &self.load;
        standing.is(phase, load.books.accepted());
        if load.keys.held_rows() == 0 {
            return Ok(());
        }
        match standing.turn() {
            Turn::Wait => {}
            Turn::Send => self.let_go(),
            Turn::Last => self.let_go_for_good(),
            Turn::Never => return Err(LoadError::Stopped.into()),
        }
        Ok(())
    }

    /// What is held, or waits for it, takes too much memory: lets it go, whether or not its parents came.
    pub(super) fn give_up_held(&mut self) {
        let load = &self.load;
        if let Some(held) = &load.held
            && load.keys.held_rows() > 0
            && held.are_given_up()
        {
            tracing::warn!(
                stream = %load.plan.name, rows = load.keys.held_rows(),
                "records that are held until their parents come, and the states and records that wait \
                 behind them, take too much memory: they are sent at once, for the last time, and \
                 those whose parents are not there yet are rejected. Send parents before their \
                 children, or fewer states, or raise the memory limit"
            );
        }
        self.let_go_for_good();
    }

    /// Lets go what is held: sent again, rows that are refused once more are rejected.
    fn let_go_for_good(&mut self) {
        if let Some(held) = &self.load.held {
            held.let_go(self.load.books.next_ordinal());
            self.let_go();
        }
    }

    fn let_go(&mut self) {
        let load = &self.load;
        let rows = load.keys.let_go();
        load.member.set_held(0);
        if let Some(held) = &load.held {
            held.send(&rows);
        }
        tracing::info!(
            stream = %load.plan.name, rows = rows.len(),
            "records that were held are sent again"
        );
    }

    fn phase(&self) -> Phase {
        let keys = &self.load.keys;
        let all_done =
            self.complete && self.jobs.is_empty() && self.lanes.is_empty() && !keys.has_ready();
        match (all_done, keys.held_rows()) {
            (false, _) => Phase::Loading,
            (true, 0) => Phase::Ended,
            (true, _) => Phase::AtRest,
        }
    }
}
