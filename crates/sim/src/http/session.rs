//! Sessions, and the approvals that refresh tokens stand for.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::org::user::User;

/// Access tokens, approvals, and how many tokens were requested.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    /// Valid access tokens.
    tokens: HashMap<String, Session>,
    /// Every approval, revoked ones too: its number is its place.
    approvals: Vec<Known>,
    /// Refresh tokens that are just being used.
    refreshing: HashSet<String>,
    /// Requests for an access token, refused ones included.
    pub(super) requests: u64,
    /// Access tokens issued.
    pub(super) issued: u64,
}

/// What an access token stands for.
#[derive(Debug)]
struct Session {
    issued: Instant,
    user: Arc<User>,
    /// The approval that it comes from.
    approval: Option<usize>,
}

/// That a user lets an app act in the user's name, until it is revoked.
#[derive(Debug, Clone)]
pub(super) struct Approval {
    pub(super) client: String,
    pub(super) user: Arc<User>,
    pub(super) scope: String,
    /// The refresh token that is valid now.
    pub(super) refresh_token: String,
}

/// An approval, and what became of it.
#[derive(Debug)]
struct Known {
    approval: Approval,
    /// Refresh tokens that a rotation ended.
    ended: HashSet<String>,
    /// It is of a refresh token that the options or the org's file give.
    is_given: bool,
    is_revoked: bool,
}

impl Known {
    fn had(&self, token: &str) -> bool {
        self.approval.refresh_token == token || self.ended.contains(token)
    }
}

impl Sessions {
    /// Adds a session, of an approval if it comes from one.
    pub(super) fn add(&mut self, token: String, user: Arc<User>, approval: Option<usize>) {
        self.issued += 1;
        let issued = Instant::now();
        let session = Session {
            issued,
            user,
            approval,
        };
        self.tokens.insert(token, session);
    }

    /// The user of an access token that is valid, if each lives this long, or for ever.
    pub(super) fn user(&self, token: &str, lifetime: Option<Duration>) -> Option<Arc<User>> {
        let session = self.tokens.get(token)?;
        let is_live = lifetime.is_none_or(|lifetime| session.issued.elapsed() < lifetime);
        is_live.then(|| Arc::clone(&session.user))
    }

    /// Ends all sessions.
    pub(super) fn clear(&mut self) {
        self.tokens.clear();
    }

    /// Adds an approval, and returns its number. Of those of a user and an app only the newest
    /// stay, as many as given; what the options or the org's file give is not counted.
    pub(super) fn approve(&mut self, approval: Approval, most: usize) -> usize {
        let of_both = |known: &Known| {
            !known.is_revoked
                && !known.is_given
                && known.approval.client == approval.client
                && known.approval.user.id == approval.user.id
        };
        let known = self.approvals.iter().enumerate();
        let live = known.filter(|(_, known)| of_both(known));
        let live: Vec<usize> = live.map(|(number, _)| number).collect();
        let surplus = (live.len() + 1).saturating_sub(most.max(1));
        for number in live.into_iter().take(surplus) {
            self.revoke(number);
        }
        self.keep(approval, false)
    }

    /// Makes the approval of a refresh token that the options or the org's file give, unless it was
    /// made before.
    pub(super) fn give(&mut self, approval: Approval) {
        if self.approval_of(&approval.refresh_token).is_none() {
            self.keep(approval, true);
        }
    }

    /// Forgets the approvals that the options or the org's file gave, for others are to be given.
    pub(super) fn forget_given(&mut self) {
        for known in self.approvals.iter_mut().filter(|known| known.is_given) {
            known.is_revoked = true;
            known.approval.refresh_token.clear();
            known.ended.clear();
        }
    }

    fn keep(&mut self, approval: Approval, is_given: bool) -> usize {
        self.approvals.push(Known {
            approval,
            ended: HashSet::new(),
            is_given,
            is_revoked: false,
        });
        self.approvals.len() - 1
    }

    /// The number of the approval whose refresh token this is, or was.
    fn approval_of(&self, token: &str) -> Option<usize> {
        self.approvals.iter().position(|known| known.had(token))
    }

    /// Uses a refresh token of an app, which `next` follows if they rotate. Returns the approval
    /// with its number; nothing if the token is not valid. One that a rotation ended revokes its
    /// approval.
    pub(super) fn refresh(
        &mut self,
        token: &str,
        client: &str,
        next: Option<String>,
    ) -> Option<(usize, Approval)> {
        let number = self.approval_of(token)?;
        let known = &mut self.approvals[number];
        if known.approval.client != client || known.is_revoked {
            return None;
        }
        if known.approval.refresh_token != token {
            self.revoke(number);
            return None;
        }
        if let Some(next) = next {
            let ended = std::mem::replace(&mut known.approval.refresh_token, next);
            known.ended.insert(ended);
        }
        Some((number, known.approval.clone()))
    }

    /// Ends an approval, with all its sessions.
    fn revoke(&mut self, number: usize) {
        self.approvals[number].is_revoked = true;
        self.tokens
            .retain(|_, session| session.approval != Some(number));
    }

    /// Ends a session, or the approval of a refresh token; false if the token is not valid.
    pub(super) fn end(&mut self, token: &str) -> bool {
        if self.tokens.remove(token).is_some() {
            return true;
        }
        let number = self.approval_of(token);
        let Some(number) = number.filter(|number| !self.approvals[*number].is_revoked) else {
            return false;
        };
        self.revoke(number);
        true
    }

    /// Begins to use a refresh token; false if it is in use already.
    pub(super) fn begin_refresh(&mut self, token: &str) -> bool {
        self.refreshing.insert(token.to_owned())
    }

    /// Ends the use of a refresh token.
    pub(super) fn end_refresh(&mut self, token: &str) {
        self.refreshing.remove(token);
    }

    /// Forgets the counters; sessions and approvals stay valid.
    pub(super) fn reset(&mut self) {
        self.requests = 0;
        self.issued = 0;
        self.refreshing.clear();
    }
}
