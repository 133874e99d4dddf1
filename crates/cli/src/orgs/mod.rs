//! Orgs that a person has logged in to, by the names they gave them.
//!
//! One file of this user alone holds them with their refresh tokens. Who changes it holds a lock beside
//! it, and puts a whole new file in its place: several processes may log in at the same time.

mod kept;
mod place;
mod store;
mod written;

pub(crate) use kept::{KeptToken, tokens_at_rest};
pub(crate) use store::{KeptOrg, OrgError, Orgs, Store};
