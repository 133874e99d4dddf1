//! Faults: what goes wrong on purpose, and how often.

mod fault;
#[cfg(test)]
mod tests;

use std::time::Duration;

use parking_lot::Mutex;

use crate::error::ApiError;

pub use fault::{Action, Case, Chosen, Fault, Order, ResultFile};

/// The faults of a simulator.
#[derive(Debug)]
pub(crate) struct Faults(Mutex<Inner>);

#[derive(Debug)]
struct Inner {
    armed: Vec<Armed>,
    random: fastrand::Rng,
}

/// A fault, how many matches it has seen, and how many of them it hit.
#[derive(Debug)]
struct Armed {
    fault: Fault,
    seen: u32,
    hit: u32,
}

/// What happens to one request. Where several responses are set, the first in this order is sent.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    pub(crate) delay: Duration,
    /// All sessions end.
    pub(crate) expire_tokens: bool,
    /// The connection is closed before the work.
    pub(crate) close: bool,
    /// The connection is closed after the work.
    pub(crate) lose: bool,
    pub(crate) oauth_error: Option<OauthError>,
    pub(crate) status: Option<Status>,
    pub(crate) error: Option<ApiError>,
}

/// An error of the token endpoint.
#[derive(Debug)]
pub(crate) struct OauthError {
    pub(crate) error: String,
    pub(crate) description: String,
}

/// A response without the work.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Status {
    pub(crate) code: u16,
    pub(crate) body: Option<String>,
    /// Seconds.
    pub(crate) retry_after: Option<u64>,
}

impl Faults {
    pub(crate) fn new(faults: &[Fault], seed: u64) -> Faults {
        let new = Faults(Mutex::new(Inner {
            armed: Vec::new(),
            random: fastrand::Rng::with_seed(seed),
        }));
        new.add(faults);
        new
    }

    pub(crate) fn add(&self, faults: &[Fault]) {
        self.0.lock().armed.extend(faults.iter().map(|fault| Armed {
            fault: fault.clone(),
            seen: 0,
            hit: 0,
        }));
    }

    pub(crate) fn clear(&self) {
        self.0.lock().armed.clear();
    }

    /// What happens to a request.
    pub(crate) fn of_request(&self, method: &str, path: &str) -> Verdict {
        let for_tokens = path.starts_with("/services/oauth2/token");
        let hits = self.hits(|fault| {
            let can_hit = match fault.action {
                Action::OauthError { .. } => for_tokens,
                _ => !fault.action.hits_jobs(),
            };
            can_hit
                && is_or_any(fault.method.as_deref(), method)
                && fault
                    .path
                    .as_deref()
                    .is_none_or(|pattern| matches_pattern(pattern, path))
        });
        let mut verdict = Verdict::default();
        for action in hits {
            verdict.add(action);
        }
        verdict
    }

    /// The error of a describe inside another request, by faults that name its path.
    pub(crate) fn of_subrequest(&self, path: &str) -> Option<ApiError> {
        let hits = self.hits(|fault| {
            let pattern = fault.path.as_deref();
            matches!(fault.action, Action::ApiError { .. })
                && pattern.is_some_and(|pattern| matches_pattern(pattern, path))
        });
        let mut verdict = Verdict::default();
        // The first of them counts.
        hits.into_iter()
            .rev()
            .for_each(|action| verdict.add(action));
        verdict.error
    }

    /// What happens to a job of an object.
    pub(crate) fn of_job(&self, object: &str) -> Vec<Action> {
        self.hits(|fault| fault.action.hits_jobs() && is_or_any(fault.object.as_deref(), object))
    }

    /// The actions of the faults that match and hit now.
    fn hits(&self, matches: impl Fn(&Fault) -> bool) -> Vec<Action> {
        let Inner { armed, random } = &mut *self.0.lock();
        let mut actions = Vec::new();
        for Armed { fault, seen, hit } in armed {
            if !matches(fault) || (fault.times > 0 && *hit >= fault.times) {
                continue;
            }
            *seen += 1;
            if *seen > fault.skip && (fault.chance >= 1.0 || random.f64() < fault.chance) {
                *hit += 1;
                actions.push(fault.action.clone());
            }
        }
        actions
    }
}

impl Verdict {
    fn add(&mut self, action: Action) {
        match action {
            Action::Status {
                code,
                body,
                retry_after,
            } => {
                self.status = Some(Status {
                    code,
                    body,
                    retry_after,
                });
            }
            Action::ApiError {
                status,
                code,
                message,
            } => self.error = Some(ApiError::new(status, &code, &message)),
            Action::OauthError { error, description } => {
                self.oauth_error = Some(OauthError { error, description });
            }
            Action::Close {} => self.close = true,
            Action::Lose {} => self.lose = true,
            Action::Delay { ms } => self.delay += Duration::from_millis(ms),
            Action::ExpireTokens {} => self.expire_tokens = true,
            _ => {}
        }
    }
}

/// Whether a name is the one that a fault has, in any letter case, or the fault has none.
fn is_or_any(known: Option<&str>, name: &str) -> bool {
    known.is_none_or(|known| known.eq_ignore_ascii_case(name))
}

/// Whether a text fits a pattern in which `*` stands for any text.
fn matches_pattern(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or("");
    let Some(mut rest) = text.strip_prefix(first) else {
        return false;
    };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else {
        return rest.is_empty();
    };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}
