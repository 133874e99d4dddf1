//! Which hosts may see a token.

use std::net::IpAddr;

use url::{Host, Url};

use crate::bulk::error::BulkError;
use crate::network::is_local;

/// Domains whose subdomains serve Salesforce's API and login. Lightning, Setup and Visualforce
/// hosts serve neither.
const DOMAINS: [&str; 6] = [
    "salesforce.com",
    "cloudforce.com",
    "salesforce.mil",
    "cloudforce.mil",
    "sfcrmproducts.cn",
    "sfcrmapps.cn",
];

/// Where tokens may be sent: to Salesforce's hosts, and to those that a setting allows.
#[derive(Debug, Default)]
pub(in crate::bulk) struct Hosts {
    /// Names in lower case, and addresses.
    allowed: Vec<String>,
}

impl Hosts {
    /// Salesforce's hosts, and `allowed` ones: a name with a dot stands for all below it too.
    ///
    /// # Errors
    /// [`BulkError::InstanceHosts`].
    pub(in crate::bulk) fn new(allowed: &[String]) -> Result<Self, BulkError> {
        let allowed = allowed.iter().map(|entry| {
            host_name(entry.trim()).ok_or_else(|| BulkError::InstanceHosts {
                entry: entry.clone(),
            })
        });
        Ok(Self {
            allowed: allowed.collect::<Result<_, _>>()?,
        })
    }

    /// Checks the URL that secrets are sent to.
    ///
    /// # Errors
    /// [`BulkError::LoginUrl`].
    pub(in crate::bulk) fn check_login(&self, url: &Url) -> Result<(), BulkError> {
        self.check(url, is_local(url)).map_err(|reason| {
            let mut shown = url.clone();
            let _ = shown.set_username("");
            let _ = shown.set_password(None);
            shown.set_query(None);
            shown.set_fragment(None);
            BulkError::LoginUrl {
                url: shown.to_string(),
                reason,
            }
        })
    }

    /// Checks the instance that a login returned. One on this machine is taken only from a login on
    /// this machine.
    ///
    /// # Errors
    /// [`BulkError::Instance`].
    pub(in crate::bulk) fn check_instance(
        &self,
        login: &Url,
        instance: &Url,
    ) -> Result<(), BulkError> {
        let local = is_local(login) && is_local(instance);
        self.check(instance, local)
            .map_err(|reason| BulkError::Instance {
                host: instance.host_str().unwrap_or("without a host").to_owned(),
                reason,
            })
    }

    /// `local`: on this machine, where plain http is taken too, for a simulated org.
    fn check(&self, url: &Url, local: bool) -> Result<(), &'static str> {
        if !url.username().is_empty() || url.password().is_some() {
            return Err("it has a user part");
        }
        if local {
            return match url.scheme() {
                "http" | "https" => Ok(()),
                _ => Err("it is neither http nor https"),
            };
        }
        if url.scheme() != "https" {
            return Err("it is not https");
        }
        if url.host_str().is_some_and(|host| self.allows(host)) {
            return Ok(());
        }
        if url.port().is_some() {
            return Err("it names a port");
        }
        match url.host() {
            Some(Host::Domain(name)) if is_salesforce(name) => Ok(()),
            _ => Err("it is not a host of Salesforce's API"),
        }
    }

    fn allows(&self, host: &str) -> bool {
        let is_name = host.parse::<IpAddr>().is_err();
        self.allowed.iter().any(|allowed| {
            let above = host.strip_suffix(allowed.as_str());
            above.is_some_and(|above| match above {
                "" => true,
                // A name without a dot is a host of the own network, or all of a country's.
                above => above.ends_with('.') && allowed.contains('.') && is_name,
            })
        })
    }
}

/// An allowed host as hosts of URLs are written.
fn host_name(entry: &str) -> Option<String> {
    let name = entry.strip_prefix("*.").unwrap_or(entry);
    let name = name.strip_prefix('.').unwrap_or(name);
    let url = Url::parse(&format!("https://{name}")).ok()?;
    let host = url.host_str()?;
    let alone = url.as_str() == format!("https://{host}/") && !name.ends_with('/');
    let plain = alone && !host.contains('*');
    plain.then(|| host.to_owned())
}

fn is_salesforce(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    DOMAINS.iter().any(|domain| {
        name.strip_suffix(domain)
            .is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    fn hosts(allowed: &[&str]) -> Hosts {
        let allowed: Vec<String> = allowed.iter().map(|&host| host.to_owned()).collect();
        Hosts::new(&allowed).unwrap()
    }

    #[test]
    fn instances_of_salesforce() {
        let login = url("https://login.salesforce.com");
        for instance in [
            "https://acme.my.salesforce.com",
            "https://acme--uat.sandbox.my.salesforce.com/",
            "https://acme-dev-ed.develop.my.salesforce.com",
            "https://NA123.salesforce.com:443",
            "https://x.cloudforce.com",
            "https://x.my.salesforce.mil",
            "https://acme.my.sfcrmproducts.cn",
        ] {
            hosts(&[]).check_instance(&login, &url(instance)).unwrap();
        }
    }

    #[test]
    fn other_instances() {
        let login = url("https://login.salesforce.com");
        for instance in [
            "http://acme.my.salesforce.com",
            "https://acme.my.salesforce.com:8443",
            "https://user@acme.my.salesforce.com",
            "https://evilsalesforce.com",
            "https://salesforce.com",
            "https://.salesforce.com",
            "https://acme.my.salesforce.com.evil.example",
            "https://acme.lightning.force.com",
            "https://192.0.2.7",
            "https://127.0.0.1",
            "http://localhost:8080",
            "ftp://acme.my.salesforce.com",
        ] {
            if let Ok(instance) = Url::parse(instance) {
                let error = hosts(&[]).check_instance(&login, &instance).unwrap_err();
                assert!(matches!(error, BulkError::Instance { .. }), "{instance}");
            }
        }
    }

    #[test]
    fn this_machine_only_with_a_login_on_it() {
        let login = url("http://127.0.0.1:9000");
        let hosts = hosts(&[]);
        hosts.check_login(&login).unwrap();
        for instance in [
            "http://127.0.0.1:9001",
            "http://localhost:1",
            "http://[::1]:80",
        ] {
            hosts.check_instance(&login, &url(instance)).unwrap();
        }
        hosts
            .check_instance(&login, &url("http://acme.my.salesforce.com"))
            .unwrap_err();
        hosts
            .check_login(&url("http://login.salesforce.com"))
            .unwrap_err();
    }

    #[test]
    fn a_refused_login_url_is_shown_without_its_secrets() {
        let refused = url("https://me:hunter2@login.salesforce.com/?p=hunter2");
        let error = hosts(&[]).check_login(&refused);
        let text = error.unwrap_err().to_string();
        assert!(text.contains("it has a user part"), "{text}");
        assert!(!text.contains("hunter2"), "{text}");
    }

    #[test]
    fn hosts_that_a_setting_allows() {
        let login = url("https://login.salesforce.com");
        let hosts = hosts(&[
            " API.Example.com",
            "*.corp.example",
            ".vanity.example",
            "gateway",
            "192.0.2.7",
        ]);
        for instance in [
            "https://api.example.com",
            "https://x.api.example.com:8443",
            "https://corp.example",
            "https://org.corp.example",
            "https://vanity.example",
            "https://gateway",
            "https://192.0.2.7:8443",
            "https://acme.my.salesforce.com",
        ] {
            hosts.check_instance(&login, &url(instance)).unwrap();
            hosts.check_login(&url(instance)).unwrap();
        }
        for instance in [
            "https://example.com",
            "https://evilapi.example.com",
            "https://api.example.com.evil.example",
            "https://x.gateway",
            "http://api.example.com",
            "https://me@api.example.com",
            "https://1.192.0.2.7.example",
            "https://192.0.2.8",
            "https://acme.my.salesforce.com:8443",
        ] {
            hosts.check_instance(&login, &url(instance)).unwrap_err();
            hosts.check_login(&url(instance)).unwrap_err();
        }
    }

    #[test]
    fn what_is_no_host_is_not_allowed() {
        for entry in [
            "",
            "https://api.example.com",
            "api.example.com/x",
            "a.example:8443",
            "a b",
            "*",
        ] {
            let error = Hosts::new(&[entry.to_owned()]).unwrap_err().to_string();
            assert!(error.starts_with("instance_hosts has"), "{entry}: {error}");
        }
    }
}
