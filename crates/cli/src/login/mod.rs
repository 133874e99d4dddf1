//! A login at a browser: what opens it, and what it is sent back to.

mod browser;
mod callback;
mod page;

pub(crate) use browser::open;
pub(crate) use callback::{Answered, Callback, typed};
