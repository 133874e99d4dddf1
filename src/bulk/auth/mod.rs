//! Logging in: credentials become a session, which all callers share until it expires.

mod credentials;
mod jwt;
mod keeper;
mod login;
mod person;
mod refusal;
mod session;
#[cfg(test)]
mod tests;

pub use credentials::{Credentials, Flow};
pub(super) use keeper::Keepers;
pub use keeper::{HeldToken, TokenKeeper};
pub(super) use login::Auth;
pub use person::{App, CodeLogin, DeviceLogin, Granted};
pub(super) use session::Session;
