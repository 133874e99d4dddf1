//! Sessions and refresh tokens.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::org::user::User;

/// Access tokens, the refresh token, and how many were requested.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    /// Valid access tokens, when they were issued, and for whom.
    tokens: HashMap<String, (Instant, Arc<User>)>,
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
    pub(super) fn add(&mut self, token: String, user: Arc<User>) {
        self.issued += 1;
        self.tokens.insert(token, (Instant::now(), user));
    }

    /// The user of an access token that is valid, if each lives this long, or for ever.
    pub(super) fn user(&self, token: &str, lifetime: Option<Duration>) -> Option<Arc<User>> {
        let (issued, user) = self.tokens.get(token)?;
        let is_live = lifetime.is_none_or(|lifetime| issued.elapsed() < lifetime);
        is_live.then(|| Arc::clone(user))
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
