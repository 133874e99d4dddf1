//! What stands between this process and a host, as errors of HTTP clients show it.

use std::error::Error as StdError;

use super::Proxy;
use super::roots;

/// What stood between this process and a host: nothing was sent to the host.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub(crate) struct Obstacle {
    /// What it was and what to do.
    pub(crate) reason: String,
    /// The settings of the proxy or of the certificates do not fit, unless they did before.
    pub(crate) lasting: bool,
}

impl Obstacle {
    /// What the errors of hyper-util's tunnel (through a proxy), of rustls and of connecting say.
    /// Their types are private or behind features, so they are known by their words.
    pub(super) fn of(
        error: &(dyn StdError + 'static),
        host: &str,
        proxy: Option<&Proxy>,
    ) -> Option<Self> {
        let texts: Vec<String> = sources(error).map(ToString::to_string).collect();
        let find = |words: &str| {
            let found = texts.iter().rev().find_map(|text| text.split_once(words));
            found.map(|(_, rest)| rest.trim().to_owned())
        };
        let certificate = find("invalid peer certificate:");
        let Some(proxy) = proxy else {
            return Some(Self::untrusted(host, &certificate?));
        };
        let tunnel = find("tunnel error:");
        let connecting = find("tcp connect error").or_else(|| find("dns error"));
        match (tunnel.as_deref(), certificate) {
            (None, Some(reason)) => Some(Self::untrusted(host, &reason)),
            (Some(_), Some(reason)) => Some(Self::untrusted(&proxy.to_string(), &reason)),
            (Some("proxy authorization required"), None) => Some(Self::asks_for_password(proxy)),
            (Some("unsuccessful"), None) => Some(Self::passing(format!(
                "{proxy} did not connect to {host}; allow the host there, or list it in NO_PROXY"
            ))),
            (Some("failed to create underlying connection"), None) => {
                Some(Self::not_reached(proxy, texts.last()?))
            }
            (Some(words), None) => Some(Self::passing(format!(
                "{proxy} broke the connection to {host} ({words})"
            ))),
            (None, None) if connecting.is_some() => Some(Self::not_reached(proxy, texts.last()?)),
            (None, None) if find("operation timed out").is_some() => Some(Self::passing(format!(
                "no connection to {host} came about in time through {proxy}"
            ))),
            (None, None) => None,
        }
    }

    /// A proxy lets through only who has a password.
    pub(super) fn asks_for_password(proxy: &Proxy) -> Self {
        let variable = proxy.variable();
        let address = proxy.address();
        let cure = match address.username().is_empty() && address.password().is_none() {
            true => format!("put them into {variable} as http://user:password@host:port"),
            false => format!("correct those in {variable}"),
        };
        Self {
            reason: format!("{proxy} asks for a user name and a password (HTTP 407); {cure}"),
            lasting: true,
        }
    }

    fn not_reached(proxy: &Proxy, reason: &str) -> Self {
        Self::passing(format!("{proxy} cannot be reached: {reason}"))
    }

    fn untrusted(host: &str, reason: &str) -> Self {
        let cure = if reason.contains("UnknownIssuer") {
            format!(
                "if a private authority signed it, name the file of the authority's certificate, in \
                 PEM form, by {} (only what it holds is trusted then)",
                roots::FILE
            )
        } else {
            format!(
                "check the clock of this machine, what answers in place of the host, and {}",
                roots::FILE
            )
        };
        Self {
            reason: format!("the certificate of {host} is not trusted ({reason}); {cure}"),
            lasting: true,
        }
    }

    fn passing(reason: String) -> Self {
        Self {
            reason,
            lasting: false,
        }
    }
}

/// An error and what caused it.
fn sources<'a>(
    error: &'a (dyn StdError + 'static),
) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |error| (*error).source())
}
