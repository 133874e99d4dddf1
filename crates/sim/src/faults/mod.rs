//! Faults: what goes wrong on purpose, and how often.

mod call;
mod fault;
mod page;
#[cfg(test)]
mod tests;
mod verdict;

use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::error::ApiError;

pub use call::Call;
pub(crate) use call::{Asked, Content};
pub use fault::{Action, Case, Chosen, End, Fault, Order, ResultFile};
pub use page::PageFault;
pub(crate) use verdict::{Answer, Move, Status, Verdict};

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
    set: Instant,
    /// When it hit for the first time.
    first: Option<Instant>,
    seen: u32,
    hit: u32,
}

impl Armed {
    /// Whether it can hit now.
    fn is_live(&self) -> bool {
        let Fault {
            times,
            after_ms,
            for_ms,
            ..
        } = self.fault;
        let is_over = |first: Instant, ms: u64| first.elapsed() >= Duration::from_millis(ms);
        (times == 0 || self.hit < times)
            && is_over(self.set, after_ms)
            && !self
                .first
                .zip(for_ms)
                .is_some_and(|(first, ms)| is_over(first, ms))
    }
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
        let set = Instant::now();
        self.0.lock().armed.extend(faults.iter().map(|fault| Armed {
            fault: fault.clone(),
            set,
            first: None,
            seen: 0,
            hit: 0,
        }));
    }

    pub(crate) fn clear(&self) {
        self.0.lock().armed.clear();
    }

    /// All faults, each with the number of its matches and hits.
    pub(crate) fn inspected(&self) -> Value {
        let armed = &self.0.lock().armed;
        armed
            .iter()
            .map(|armed| json!({"fault": armed.fault, "seen": armed.seen, "hit": armed.hit}))
            .collect()
    }

    /// What happens to a request.
    pub(crate) fn of_request(&self, asked: &Asked) -> Verdict {
        let hits = self.hits(|fault| {
            let can_hit = match fault.action {
                Action::OauthError { .. } => asked.call == Call::Token,
                Action::ResultPage(_) => asked.call == Call::QueryResults,
                _ => !fault.action.hits_jobs(),
            };
            can_hit && matches_request(fault, asked)
        });
        let mut verdict = Verdict::default();
        for (action, after_work) in hits {
            verdict.add(action, after_work);
        }
        verdict
    }

    /// The error of a describe inside another request, by faults that name it or its path.
    pub(crate) fn of_subrequest(&self, path: &str, object: Option<&str>) -> Option<ApiError> {
        let asked = Asked {
            method: "GET".to_owned(),
            path: path.to_owned(),
            call: if object.is_some() {
                Call::Describe
            } else {
                Call::Other
            },
            job: None,
            object: object.map(str::to_owned),
        };
        let hits = self.hits(|fault| {
            let is_named = fault.path.is_some() || fault.calls.contains(&Call::Describe);
            is_named
                && matches!(fault.action, Action::ApiError { .. })
                && matches_request(fault, &asked)
        });
        hits.into_iter().find_map(|(action, _)| match action {
            Action::ApiError {
                status,
                code,
                message,
            } => Some(ApiError::new(status, &code, &message)),
            _ => None,
        })
    }

    /// What happens to an ingest job of an object.
    pub(crate) fn of_job(&self, object: &str) -> Vec<Action> {
        self.of_any_job(object, false)
    }

    /// What happens to a query job of an object: by faults that name the call to create it.
    pub(crate) fn of_export(&self, object: &str) -> Vec<Action> {
        self.of_any_job(object, true)
    }

    fn of_any_job(&self, object: &str, is_query: bool) -> Vec<Action> {
        let hits = self.hits(|fault| {
            fault.action.hits_jobs()
                && fault.calls.contains(&Call::QueryCreate) == is_query
                && is_or_any(fault.object.as_deref(), object)
        });
        hits.into_iter().map(|(action, _)| action).collect()
    }

    /// The faults that match and hit now: what each does, and whether after the work.
    fn hits(&self, matches: impl Fn(&Fault) -> bool) -> Vec<(Action, bool)> {
        let Inner { armed, random } = &mut *self.0.lock();
        let mut hits = Vec::new();
        for armed in armed {
            if !matches(&armed.fault) || !armed.is_live() {
                continue;
            }
            armed.seen += 1;
            let Fault { skip, chance, .. } = armed.fault;
            if armed.seen > skip && (chance >= 1.0 || random.f64() < chance) {
                armed.hit += 1;
                armed.first.get_or_insert_with(Instant::now);
                hits.push((armed.fault.action.clone(), armed.fault.after_work));
            }
        }
        hits
    }
}

/// Whether a request is one that a fault hits.
fn matches_request(fault: &Fault, asked: &Asked) -> bool {
    let pattern = fault.path.as_deref();
    let is_about = |wanted: &Option<String>, found: &Option<String>| {
        wanted.is_none() || is_or_any(wanted.as_deref(), found.as_deref().unwrap_or_default())
    };
    (fault.calls.is_empty() || fault.calls.contains(&asked.call))
        && is_or_any(fault.method.as_deref(), &asked.method)
        && pattern.is_none_or(|pattern| matches_pattern(pattern, &asked.path))
        && is_about(&fault.object, &asked.object)
        && is_about(&fault.job, &asked.job)
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
