//! Records of an org beside the run that wrote them.

pub(crate) mod compare;
pub(crate) mod sent;
