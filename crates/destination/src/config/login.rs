//! Whose org a config is about, and what the login shows.

use std::net::IpAddr;

use secrecy::SecretString;
use serde::Deserialize;
use url::{Host, Url};

use super::{ConfigFile, absent_if_empty, parse_url, required};
use arrow_salesforce::bulk::Credentials;
use arrow_salesforce::error::{Error, Result};

/// The OAuth flow. Airbyte's own value is `Client`.
#[derive(Clone, Copy, Default, Deserialize)]
pub(super) enum AuthType {
    /// Refresh token.
    #[default]
    Client,
    /// Client credentials.
    ClientCredentials,
    /// JWT bearer.
    #[serde(rename = "JWT")]
    Jwt,
}

impl AuthType {
    fn name(self) -> &'static str {
        match self {
            Self::Client => "Client",
            Self::ClientCredentials => "ClientCredentials",
            Self::Jwt => "JWT",
        }
    }
}

/// The login of the config; settings of other flows are left alone.
pub(super) fn credentials(file: &mut ConfigFile) -> Result<Credentials> {
    let flow = file.auth_type;
    let is_sandbox = file.is_sandbox.unwrap_or_default();
    let own_url = absent_if_empty(file.login_url.take());
    if matches!(flow, AuthType::ClientCredentials) && own_url.is_none() {
        return Err(Error::config(
            "login_url is needed by auth_type ClientCredentials: the My Domain of the org \
             (https://<name>.my.salesforce.com)",
        ));
    }
    let url = login_url(own_url.as_deref(), is_sandbox)?;
    let instance_hosts = std::mem::take(&mut file.instance_hosts);
    let id = required("client_id", std::mem::take(&mut file.client_id))?;
    let mut setting = |key: &str| {
        let value = match key {
            "client_secret" => file.client_secret.take(),
            "refresh_token" => file.refresh_token.take(),
            "username" => file.username.take(),
            _ => file.private_key.take(),
        };
        let lacking = || match flow {
            AuthType::Client => Error::config(format!("the config lacks the key `{key}`")),
            _ => Error::config(format!(
                "the config lacks the key `{key}`, which auth_type {} needs",
                flow.name()
            )),
        };
        required(key, value.ok_or_else(lacking)?)
    };
    let mut secret = |key| setting(key).map(SecretString::from);
    let credentials = match flow {
        AuthType::Client => {
            let client_secret = secret("client_secret")?;
            Credentials::refresh_token(url, id, client_secret, secret("refresh_token")?)
        }
        AuthType::ClientCredentials => {
            Credentials::client_credentials(url, id, secret("client_secret")?)
        }
        AuthType::Jwt => {
            let private_key = secret("private_key")?;
            Credentials::jwt_bearer(url, id, setting("username")?, private_key)
        }
    };
    Ok(credentials.with_instance_hosts(instance_hosts))
}

fn login_url(own: Option<&str>, is_sandbox: bool) -> Result<Url> {
    let default = if is_sandbox {
        "https://test.salesforce.com"
    } else {
        "https://login.salesforce.com"
    };
    let url = parse_url("login_url", own.unwrap_or(default))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Error::config(
            "login_url must not hold a user name or a password",
        ));
    }
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_loopback(&url) => Ok(url),
        _ => Err(Error::config(
            "login_url must begin with https:// (http:// is for a server on this machine only, \
             such as http://localhost:8080)",
        )),
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => IpAddr::V4(address).is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::V6(address).is_loopback(),
        None => false,
    }
}
