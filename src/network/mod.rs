//! How this process reaches other hosts: through which proxy, and whose certificates it trusts. The
//! environment says so, and Salesforce and S3 are reached by the same rules.

mod direct;
mod obstacle;
mod proxy;
mod roots;

pub(crate) use direct::is_local;
pub(crate) use obstacle::Obstacle;
pub(crate) use proxy::Proxy;

use std::error::Error as StdError;
use std::ffi::OsString;
use std::sync::Arc;

use url::Url;

use direct::Direct;

/// A variable of the environment that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{variable} {reason}")]
pub(crate) struct NetworkError {
    /// Name of the variable.
    pub(crate) variable: &'static str,
    /// What is wrong with it, and what to do.
    pub(crate) reason: String,
}

/// What the environment says of the network.
#[derive(Debug, Clone)]
pub(crate) struct Network(Arc<Rules>);

#[derive(Debug, Default)]
struct Rules {
    /// For hosts that are reached over https.
    https: Option<Proxy>,
    /// For hosts that are reached over http.
    http: Option<Proxy>,
    direct: Direct,
}

impl Network {
    /// Reads the proxy variables, and proves that the certificates that the environment names are
    /// there.
    ///
    /// # Errors
    /// [`NetworkError`].
    pub(crate) fn from_environment() -> Result<Self, NetworkError> {
        Self::of(|name| std::env::var_os(name))
    }

    fn of(variable: impl Fn(&str) -> Option<OsString>) -> Result<Self, NetworkError> {
        roots::check(&variable)?;
        let all = || proxy::named(["ALL_PROXY", "all_proxy"], &variable);
        let https = proxy::named(["HTTPS_PROXY", "https_proxy"], &variable)?;
        let http = proxy::named(["HTTP_PROXY", "http_proxy"], &variable)?;
        let rules = Rules {
            // Of an address for all that cannot be used, https alone makes an error: hardly anything
            // is reached over http.
            http: http.or_else(|| all().ok().flatten()),
            https: match https {
                Some(proxy) => Some(proxy),
                None => all()?,
            },
            direct: Direct::named(["NO_PROXY", "no_proxy"], &variable)?,
        };
        Ok(Self(Arc::new(rules)))
    }

    /// The proxy through which a host is reached, if there is one.
    pub(crate) fn proxy_for(&self, url: &Url) -> Option<&Proxy> {
        let proxy = match url.scheme() {
            "https" => self.0.https.as_ref()?,
            _ => self.0.http.as_ref()?,
        };
        (!self.0.direct.takes(url, proxy)).then_some(proxy)
    }

    /// The proxies that there are, for https and for http.
    pub(crate) fn proxies(&self) -> [Option<&Proxy>; 2] {
        [self.0.https.as_ref(), self.0.http.as_ref()]
    }

    /// What stood between this process and a host, if `error` of an HTTP client shows it.
    pub(crate) fn obstacle(&self, error: &(dyn StdError + 'static), url: &Url) -> Option<Obstacle> {
        let host = url.host_str().unwrap_or_default();
        Obstacle::of(error, host, self.proxy_for(url))
    }

    /// What a proxy says by an answer of its own in place of the host's, where it passes requests on
    /// as they are.
    pub(crate) fn obstacle_of_status(&self, status: u16, url: &Url) -> Option<Obstacle> {
        let proxy = self.proxy_for(url).filter(|_| status == 407)?;
        Some(Obstacle::asks_for_password(proxy))
    }
}

/// The text of the first of two variables that is set and not empty.
fn text(
    names: [&'static str; 2],
    variable: impl Fn(&str) -> Option<OsString>,
) -> Result<Option<(&'static str, String)>, NetworkError> {
    for name in names {
        let Some(value) = variable(name) else {
            continue;
        };
        let text = value.into_string().map_err(|_| NetworkError {
            variable: name,
            reason: "is not text; correct it, or unset it".to_owned(),
        })?;
        if !text.trim().is_empty() {
            return Ok(Some((name, text.trim().to_owned())));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests;
