//! How often rows were sent, and what that allows.

use crate::load::settle::RetryCause;

/// How often rows were sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Attempt {
    /// Which of their jobs it is, counted from 1.
    pub(super) number: u32,
    /// Most jobs that they may be in.
    pub(super) most: u32,
    /// They were sent again for a limit of their transaction, which is done once.
    pub(super) after_limit: bool,
    /// It is not known what became of them in a job before, or in a call whose answer was lost.
    pub(super) may_be_done: bool,
    /// How often they were sent again since an allocation of the day was used up.
    pub(super) quota_pauses: u32,
}

impl Attempt {
    /// The first of at most so many.
    pub(super) fn first(most: u32) -> Self {
        Self {
            number: 1,
            most,
            after_limit: false,
            may_be_done: false,
            quota_pauses: 0,
        }
    }

    pub(super) fn is_last(self) -> bool {
        self.number >= self.most
    }

    /// Whether rows refused for this cause are sent once more.
    pub(super) fn allows(self, cause: RetryCause) -> bool {
        !(self.is_last() || self.after_limit && cause == RetryCause::Limit)
    }
}
