//! What every test needs: an org, a bucket, the built binary, and lines to feed it.

pub(crate) mod lines;
pub(crate) mod process;
pub(crate) mod rejected;
pub(crate) mod s3;
pub(crate) mod sim;
pub(crate) mod sts;
