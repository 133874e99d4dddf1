//! What a run has sent beside what an org has now.
//!
//! ```text
//! sent (a row a record) ─┐
//!                        ├─► joined by Id ─► equal, changed, gone
//! now (a row a record) ──┘
//! ```
