//! The join back: which rows of an ended job were accepted, which were not, and why.
//!
//! Result files hold no row numbers, stand in any order and do not echo every value as it was sent.
//! Rows are therefore distinguished by a digest: of their key, where they have one, or of the
//! canonical form of their cells in the columns that came back. Rows of one digest are a group: what
//! the results say of it is true of its rows one to one, if they are as many and alike. Where they
//! are not, it is proved by the successful rows and by the counts of the job, or it is not known.

mod defect;
mod ends;
mod groups;
mod identity;
mod join;
mod log;
mod message;
mod parts;
mod probe;
mod reason;
mod record_log;
mod retryable;
mod settlement;
mod verdict;

pub(crate) use defect::defect;
pub use ends::{Ends, JobCounts};
pub(crate) use identity::{chunk_digests, row_digests};
pub use join::JoinBack;
pub(crate) use join::Records;
pub(crate) use message::{Blame, JobFault, as_reason};
pub(crate) use record_log::{PartRecords, RecordLog, RowRecord};
pub(crate) use retryable::{Refusal, RetryCause, found_lock};
pub(crate) use verdict::{Belief, EndState, JobEnd, Needed, Reading};
