//! A simulated Salesforce over real HTTP: OAuth, describe, limits, the life cycle of Bulk API 2.0
//! ingest jobs with strict CSV and row validation, queries, faults on demand, and an inspection
//! API.
//!
//! It shares no code with the loader, so that one misreading of Salesforce is not made twice. By
//! default it is as awkward as the original: concurrent jobs, their batches and rows are processed
//! and listed in an order of their own, numbers come back through a double, half of the failed
//! updates come back without an Id, and some of identical rows are refused.
//!
//! ```no_run
//! # async fn example() -> std::io::Result<()> {
//! use salesforce_sim::{Action, Call, Fault, Sim, SimOptions};
//!
//! let lost_close = Fault { calls: vec![Call::Close], ..Fault::new(Action::Lose {}) };
//! let sim = Sim::start(SimOptions { faults: vec![lost_close], ..SimOptions::default() }).await?;
//! println!("log in at {}", sim.url());
//! # Ok(())
//! # }
//! ```
//!
//! `docs/simulator.md` has an example of each kind of fault.
//!
//! # The tour
//! * [`SimOptions`]: how the org behaves. [`Sim`]: a running simulator.
//! * [`Fault`]: what goes wrong, which requests ([`Call`]) or jobs it hits, and how often.
//!   [`Action`]: all kinds of faults.
//! * [`Contention`]: jobs that lock the same records fight over them, in simulated time.
//!   [`ContentionCounts`]: what came of it.
//! * [`Profile`]: what an org is like, as a named file: times, slots, limits, faults.
//! * [`Calibration`]: makes a profile of a real sandbox.
//! * [`describe`]: the describe response of an object of the embedded org, without a server.
//! * [`cli`]: the command line of the binary `salesforce-sim`.
//!
//! Inside, each layer knows those after it alone: `http` (requests and responses), `exports` (query
//! jobs), `jobs` (ingest jobs and their rows), `soql` (queries), `org` (objects and records). `http`
//! and jobs ask `faults` what goes wrong. `contention` is the clock of an org whose jobs fight over records; `jobs` does their work.
//!
//! # Inspection API
//! It needs no session and is not counted as API calls.
//!
//! | request | what it does |
//! |---|---|
//! | `GET /sim/state` | counters and all jobs |
//! | `GET /sim/objects/{object}` | how many records there are, and how many of them differ |
//! | `GET /sim/objects/{object}/rows?offset=&limit=` | the records, 1,000 unless `limit` says otherwise |
//! | `POST /sim/objects/{object}/rows` | adds records from CSV, as another user |
//! | `GET /sim/objects/{object}/deleted` | the records in the recycle bin |
//! | `GET /sim/objects/{object}/column/{field}` | one field of all records, a JSON value per line |
//! | `GET /sim/log?from=` | when rows were written: a JSON object per transaction |
//! | `GET /sim/profile` | the [`Profile`] in use |
//! | `GET /sim/faults` | the [`Fault`]s, and how many matches and hits each had |
//! | `POST /sim/faults`, `DELETE /sim/faults` | adds a list of faults, or removes all |
//! | `GET /sim/options`, `POST /sim/options` | shows [`SimOptions`], or changes the keys given |
//! | `POST /sim/hold` `{"hold":true}` | closed jobs wait until `{"hold":false}` |
//! | `POST /sim/reset` | forgets jobs, records, faults and counters |
//!
//! Options that shape the org when it starts (`listen`, `org`, `data`, `state`,
//! `extra_objects`, `forget`, `profile`)
//! cannot be changed.

mod calibrate;
pub mod cli;
mod contention;
mod csv;
mod error;
mod exports;
mod faults;
mod http;
mod jobs;
mod keeper;
mod options;
mod org;
mod profile;
mod server;
mod share;
mod soql;
#[cfg(test)]
mod tests;
mod usage;

pub use calibrate::{Calibration, CalibrationError, Checked, ROWS as CALIBRATION_ROWS};
pub use contention::{Contention, ContentionCounts};
pub use faults::{Action, Call, Case, Chosen, End, Fault, Order, PageFault, ResultFile};
pub use options::{AppPolicy, SimOptions};
pub use org::describe;
pub use profile::{Profile, ProfileError};
pub use server::Sim;
