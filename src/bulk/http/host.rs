//! Which hosts may see a token.

use url::{Host, Url};

use crate::bulk::error::BulkError;

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

/// Checks the URL that secrets are sent to.
///
/// # Errors
/// [`BulkError::LoginUrl`].
pub(in crate::bulk) fn check_login(url: &Url) -> Result<(), BulkError> {
    check(url, is_loopback(url)).map_err(|reason| {
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
pub(in crate::bulk) fn check_instance(login: &Url, instance: &Url) -> Result<(), BulkError> {
    check(instance, is_loopback(login) && is_loopback(instance)).map_err(|reason| {
        BulkError::Instance {
            host: instance.host_str().unwrap_or("without a host").to_owned(),
            reason,
        }
    })
}

fn check(url: &Url, loopback: bool) -> Result<(), &'static str> {
    if !url.username().is_empty() || url.password().is_some() {
        return Err("it has a user part");
    }
    if loopback {
        return match url.scheme() {
            "http" | "https" => Ok(()),
            _ => Err("it is neither http nor https"),
        };
    }
    if url.scheme() != "https" {
        return Err("it is not https");
    }
    if url.port().is_some() {
        return Err("it names a port");
    }
    match url.host() {
        Some(Host::Domain(name)) if is_salesforce(name) => Ok(()),
        _ => Err("it is not a host of Salesforce's API"),
    }
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
            check_instance(&login, &url(instance)).unwrap();
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
                let error = check_instance(&login, &instance).unwrap_err();
                assert!(matches!(error, BulkError::Instance { .. }), "{instance}");
            }
        }
    }

    #[test]
    fn this_machine_only_with_a_login_on_it() {
        let login = url("http://127.0.0.1:9000");
        check_login(&login).unwrap();
        for instance in [
            "http://127.0.0.1:9001",
            "http://localhost:1",
            "http://[::1]:80",
        ] {
            check_instance(&login, &url(instance)).unwrap();
        }
        check_instance(&login, &url("http://acme.my.salesforce.com")).unwrap_err();
        check_login(&url("http://login.salesforce.com")).unwrap_err();
    }

    #[test]
    fn a_refused_login_url_is_shown_without_its_secrets() {
        let error = check_login(&url("https://me:hunter2@login.salesforce.com/?p=hunter2"));
        let text = error.unwrap_err().to_string();
        assert!(text.contains("it has a user part"), "{text}");
        assert!(!text.contains("hunter2"), "{text}");
    }
}
