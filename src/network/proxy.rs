//! The address of a proxy.

use std::ffi::OsString;
use std::fmt;

use url::Url;

use super::{NetworkError, is_local};

/// A forward proxy, and the variable that names it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Proxy {
    address: Url,
    variable: &'static str,
}

/// The proxy that one of two variables names.
pub(super) fn named(
    names: [&'static str; 2],
    variable: impl Fn(&str) -> Option<OsString>,
) -> Result<Option<Proxy>, NetworkError> {
    let text = super::text(names, variable)?;
    text.map(|(name, text)| Proxy::parse(name, &text))
        .transpose()
}

impl Proxy {
    /// Reads `http://host:port`, also with a user and a password, or without `http://`.
    fn parse(variable: &'static str, text: &str) -> Result<Self, NetworkError> {
        const GIVE: &str = "give http://host:port or https://host:port, with user:password@ before \
            the host if it asks for them, and special characters of both percent-encoded";
        let wrong = |reason: String| NetworkError {
            variable,
            reason: format!("{reason}; {GIVE}"),
        };
        let address = match text.contains("://") {
            true => Url::parse(text),
            false => Url::parse(&format!("http://{text}")),
        };
        let address =
            address.map_err(|error| wrong(format!("is no address of a proxy ({error})")))?;
        match address.scheme() {
            "http" | "https" if address.has_host() => Ok(Self { address, variable }),
            "http" | "https" => Err(wrong("names no host".to_owned())),
            other => Err(wrong(format!(
                "names a proxy of the kind {other}, which is not supported"
            ))),
        }
    }

    /// Its address, with the password.
    pub(crate) fn address(&self) -> &Url {
        &self.address
    }

    /// The variable that names it.
    pub(super) fn variable(&self) -> &'static str {
        self.variable
    }

    /// Whether it runs on this machine.
    pub(super) fn is_local(&self) -> bool {
        is_local(&self.address)
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = self.address.host_str().unwrap_or_default();
        let port = self.address.port_or_known_default().unwrap_or_default();
        write!(f, "the proxy {host}:{port} ({})", self.variable)
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}
