//! The names of lanes, and which parents belong to which.

use crate::load::turns::{ANY, Parents};

/// Names a lane of a load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct LaneId(u32);

impl LaneId {
    /// The one that takes all rows.
    pub(super) const ALL: Self = Self(0);

    /// One of those that rows are spread over, counted from 1.
    pub(super) fn numbered(number: u32) -> Self {
        Self(number)
    }

    pub(super) fn index(self) -> usize {
        self.0 as usize
    }

    /// The parents that belong to it.
    pub(super) fn parents(self) -> Parents {
        match self.0 {
            0 => ANY,
            number => 1 << (number - 1),
        }
    }
}
