//! What a login has used, of its own and of the org's allowance.

use std::sync::atomic::{AtomicU64, Ordering};

/// What a client has used so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Usage {
    /// Requests that count against the org's daily limit, repeated ones included.
    pub api_calls: u64,
    /// Those of them that asked for the state of a running job.
    pub polls: u64,
    /// Bytes of CSV sent, repeated uploads included.
    pub uploaded_bytes: u64,
    /// Logins after the first one.
    pub refreshes: u64,
    /// API requests of the whole org, as the last answer said.
    pub org: Option<ApiUsage>,
}

/// API requests of the org in 24 hours, as the header `Sforce-Limit-Info` of every REST answer says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ApiUsage {
    /// Requests made by everyone.
    pub used: u64,
    /// Requests allowed.
    pub allowed: u64,
}

impl ApiUsage {
    /// Reads `api-usage=25/5000; per-app-api-usage=17/250(appName=x)`, in any order.
    pub(super) fn parse(header: &str) -> Option<Self> {
        // Names of apps, in parentheses, may hold anything.
        let outside = header.split('(').flat_map(|part| {
            let part = part.rsplit_once(')').map_or(part, |(_, after)| after);
            part.split([';', ','])
        });
        outside.into_iter().find_map(|part| {
            let (used, allowed) = part.trim().strip_prefix("api-usage=")?.split_once('/')?;
            Some(Self {
                used: used.trim().parse().ok()?,
                allowed: allowed.trim().parse().ok()?,
            })
        })
    }
}

/// Counts that only grow.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) api_calls: AtomicU64,
    pub(super) polls: AtomicU64,
    pub(super) uploaded_bytes: AtomicU64,
    pub(super) refreshes: AtomicU64,
}

impl Counters {
    /// The counts so far, without the org's.
    pub(super) fn usage(&self) -> Usage {
        Usage {
            api_calls: self.api_calls.load(Ordering::Relaxed),
            polls: self.polls.load(Ordering::Relaxed),
            uploaded_bytes: self.uploaded_bytes.load(Ordering::Relaxed),
            refreshes: self.refreshes.load(Ordering::Relaxed),
            org: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_in_each_form() {
        let usage = Some(ApiUsage {
            used: 25,
            allowed: 5000,
        });
        assert_eq!(ApiUsage::parse("api-usage=25/5000"), usage);
        assert_eq!(
            ApiUsage::parse("api-usage=25/5000; per-app-api-usage=17/250(appName=x)"),
            usage
        );
        assert_eq!(
            ApiUsage::parse("per-app-api-usage=17/250(appName=x);api-usage=25/5000;new=1"),
            usage
        );
        assert_eq!(
            ApiUsage::parse("per-app-api-usage=1/2(appName=a;api-usage=3/4), api-usage=25/5000"),
            usage
        );
        for broken in ["", "api-usage=", "api-usage=a/b", "per-app-api-usage=1/2"] {
            assert_eq!(ApiUsage::parse(broken), None, "{broken}");
        }
    }
}
