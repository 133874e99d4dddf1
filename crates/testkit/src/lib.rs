//! What the tests of all packages share: simulated orgs, S3 and STS servers, TLS and a forward proxy
//! before them, the faults of the fault tables, files of rejected records read back without the library's help, the cases of the
//! table of values, and processes.
//!
//! It knows neither the library nor the destination, so that both can be tested with it. What goes
//! wrong in it panics: then the test that uses it fails.

#![allow(
    clippy::missing_panics_doc,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on must fail"
)]

use std::time::Duration;

pub mod bucket_faults;
pub mod faults;
pub mod forward;
pub mod gate;
pub mod process;
pub mod rejected;
pub mod s3;
pub mod sim;
pub mod sts;
pub mod tls;
pub mod values;

/// Longest wait for anything. It ends a test that would hang; none passes by it.
pub const PATIENCE: Duration = Duration::from_secs(180);

/// Field that identifies the records of the tests: a unique external ID of every object.
pub const KEY: &str = "Ext_Id__c";

/// An RSA key for the assertions of the JWT bearer grant.
pub const JWT_PRIVATE_KEY: &str = include_str!("jwt_key.pem");
/// The other half of [`JWT_PRIVATE_KEY`].
pub const JWT_PUBLIC_KEY: &str = include_str!("jwt_key.pub.pem");
