//! Contention: jobs that run at the same time fight over the same records.
//!
//! With it the org has a clock of its own, and what its jobs do is a list of events in simulated
//! time: no time passes in reality, and the same jobs closed at the same moments give the same
//! result. Nothing here knows what a row is: [`Work`] does a job's part.

mod clock;
mod engine;
mod locks;
mod settings;
#[cfg(test)]
mod tests;

pub use self::settings::{Contention, ContentionCounts};

pub(crate) use self::clock::Clock;
pub(crate) use self::engine::{Asked, End, Fate, Job, Work};
