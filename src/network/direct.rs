//! Hosts that are reached without a proxy.

use std::ffi::OsString;
use std::net::{IpAddr, Ipv6Addr};

use url::{Host, Url};

use super::{NetworkError, Proxy};

/// What `NO_PROXY` lists.
#[derive(Debug, Default)]
pub(super) struct Direct(Vec<Entry>);

/// One entry, and the only port that it is for.
#[derive(Debug, PartialEq, Eq)]
struct Entry {
    hosts: Hosts,
    port: Option<u16>,
}

#[derive(Debug, PartialEq, Eq)]
enum Hosts {
    /// `*`.
    All,
    /// A host by its name, and all hosts below it.
    Name(String),
    /// The addresses that begin with as many bits of this one.
    Network(IpAddr, u8),
}

impl Direct {
    /// The list that one of two variables has: entries between commas or blanks.
    pub(super) fn named(
        names: [&'static str; 2],
        variable: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Self, NetworkError> {
        let Some((name, text)) = super::text(names, variable)? else {
            return Ok(Self::default());
        };
        let entries = text.split(|c: char| c == ',' || c.is_whitespace());
        let entries = entries.filter(|entry| !entry.is_empty()).map(|entry| {
            Entry::parse(entry).ok_or_else(|| NetworkError {
                variable: name,
                reason: format!(
                    "has the entry {entry:?}, which is no host; give entries such as example.com, \
                     .example.com, 192.0.2.7, 10.0.0.0/8, example.com:8080, or * for all"
                ),
            })
        });
        Ok(Self(entries.collect::<Result<_, _>>()?))
    }

    /// Whether a host is reached without `proxy`: it is listed, or only this machine can reach it.
    pub(super) fn takes(&self, url: &Url, proxy: &Proxy) -> bool {
        if is_link_local(url) || (is_local(url) && !proxy.is_local()) {
            return true;
        }
        self.0.iter().any(|entry| entry.matches(url))
    }
}

impl Entry {
    fn parse(text: &str) -> Option<Self> {
        if text == "*" {
            return Some(Self {
                hosts: Hosts::All,
                port: None,
            });
        }
        if let Some((address, bits)) = text.split_once('/') {
            let address: IpAddr = address.parse().ok()?;
            let bits = bits.parse().ok().filter(|bits| *bits <= width(address))?;
            return Some(Self {
                hosts: Hosts::Network(address, bits),
                port: None,
            });
        }
        let (host, port) = match text.rsplit_once(':') {
            // An address of version 6 has colons of its own.
            Some(_) if text.parse::<Ipv6Addr>().is_ok() || text.ends_with(']') => (text, None),
            Some((host, port)) => (host, Some(port.parse().ok()?)),
            None => (text, None),
        };
        let bare = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'));
        let hosts = match bare.unwrap_or(host).parse::<IpAddr>() {
            Ok(address) => Hosts::Network(address, width(address)),
            Err(_) if bare.is_some() => return None,
            Err(_) => Hosts::Name(name(host)?),
        };
        Some(Self { hosts, port })
    }

    fn matches(&self, url: &Url) -> bool {
        if self.port.is_some() && self.port != url.port_or_known_default() {
            return false;
        }
        match &self.hosts {
            Hosts::All => true,
            Hosts::Name(name) => {
                let host = url.host_str().unwrap_or_default().trim_end_matches('.');
                let above = host.strip_suffix(name.as_str());
                above.is_some_and(|above| above.is_empty() || above.ends_with('.'))
            }
            Hosts::Network(network, bits) => {
                address(url).is_some_and(|address| shares(*network, address, *bits))
            }
        }
    }
}

/// A name as hosts of URLs are written; an entry may begin with `*.` or a dot.
fn name(entry: &str) -> Option<String> {
    let name = entry.strip_prefix('*').unwrap_or(entry).trim_matches('.');
    let plain = |c: char| c.is_alphanumeric() || "-_.*".contains(c);
    (!name.is_empty() && name.chars().all(plain)).then(|| name.to_lowercase())
}

fn address(url: &Url) -> Option<IpAddr> {
    match url.host()? {
        Host::Ipv4(address) => Some(address.into()),
        Host::Ipv6(address) => Some(address.into()),
        Host::Domain(_) => None,
    }
}

fn width(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// Whether two addresses of one kind share their first bits.
fn shares(one: IpAddr, other: IpAddr, bits: u8) -> bool {
    let number = |address| match address {
        IpAddr::V4(address) => u128::from(u32::from(address)) << 96,
        IpAddr::V6(address) => u128::from(address),
    };
    let apart = number(one) ^ number(other);
    one.is_ipv4() == other.is_ipv4() && apart.leading_zeros() >= u32::from(bits)
}

/// Whether a host is this machine.
pub(crate) fn is_local(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// Whether an address means another host on each machine: there the platform offers credentials
/// (169.254.169.254, 169.254.170.2, 169.254.170.23, `fd00:ec2::`), which a proxy would get its own of.
fn is_link_local(url: &Url) -> bool {
    const PLATFORM: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0);
    match address(url) {
        Some(IpAddr::V4(address)) => address.is_link_local(),
        Some(IpAddr::V6(address)) => {
            address.is_unicast_link_local() || shares(PLATFORM.into(), address.into(), 32)
        }
        None => false,
    }
}
