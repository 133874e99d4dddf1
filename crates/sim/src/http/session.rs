//! Sessions and refresh tokens.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

/// Access tokens, the refresh token, and how many were requested.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    /// Valid access tokens, and when they were issued.
    tokens: HashMap<String, Instant>,
    /// The refresh token that is valid now, if it is not that of the options.
    pub(super) refresh_token: Option<String>,
    /// Refresh tokens that are just being used.
    refreshing: HashSet<String>,
    /// Requests for an access token, refused ones included.
    pub(super) requests: u64,
    /// Access tokens issued.
    pub(super) issued: u64,
}

impl Sessions {
    /// Adds a session.
    pub(super) fn add(&mut self, token: String) {
        self.issued += 1;
        self.tokens.insert(token, Instant::now());
    }

    /// Whether an access token is valid, if each lives this long, or for ever.
    pub(super) fn is_valid(&self, token: &str, lifetime: Option<Duration>) -> bool {
        let is_live =
            |issued: &Instant| lifetime.is_none_or(|lifetime| issued.elapsed() < lifetime);
        self.tokens.get(token).is_some_and(is_live)
    }

    /// Ends a session.
    pub(super) fn end(&mut self, token: &str) {
        self.tokens.remove(token);
    }

    /// Ends all sessions.
    pub(super) fn clear(&mut self) {
        self.tokens.clear();
    }

    /// Begins to use a refresh token; false if it is in use already.
    pub(super) fn begin_refresh(&mut self, token: &str) -> bool {
        self.refreshing.insert(token.to_owned())
    }

    /// Ends the use of a refresh token.
    pub(super) fn end_refresh(&mut self, token: &str) {
        self.refreshing.remove(token);
    }

    /// Forgets the counters; sessions stay valid.
    pub(super) fn reset(&mut self) {
        self.requests = 0;
        self.issued = 0;
        self.refreshing.clear();
    }
}
