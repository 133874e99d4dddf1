//! Logins by variables of the environment.

use std::fs;

use arrow_salesforce::Credentials;
use secrecy::SecretString;
use url::Url;

use super::parse_url;
use crate::error::{CliError, Result};

const LOGIN_URL: &str = "SF_LOGIN_URL";
const INSTANCE_URL: &str = "SF_INSTANCE_URL";
const ACCESS_TOKEN: &str = "SF_ACCESS_TOKEN";
const CLIENT_ID: &str = "SF_CLIENT_ID";
const CLIENT_SECRET: &str = "SF_CLIENT_SECRET";
pub(super) const REFRESH_TOKEN: &str = "SF_REFRESH_TOKEN";
const USERNAME: &str = "SF_USERNAME";
const PRIVATE_KEY: &str = "SF_PRIVATE_KEY";
const PRIVATE_KEY_FILE: &str = "SF_PRIVATE_KEY_FILE";
const INSTANCE_HOSTS: &str = "SF_INSTANCE_HOSTS";

/// Where general logins go.
const LOGIN: &str = "https://login.salesforce.com";

/// What variables say of an app that a person logs in by.
pub(crate) struct LoginVariables {
    pub(crate) client_id: Option<String>,
    pub(crate) client_secret: Option<SecretString>,
    pub(crate) login_url: Option<String>,
    pub(crate) instance_hosts: Vec<String>,
}

/// Those of this process.
pub(crate) fn login_variables() -> LoginVariables {
    let variables = Variables(&|name| std::env::var(name).ok());
    LoginVariables {
        client_id: variables.get(CLIENT_ID),
        client_secret: variables.get(CLIENT_SECRET).map(SecretString::from),
        login_url: variables.get(LOGIN_URL),
        instance_hosts: variables.instance_hosts(),
    }
}

/// Variables of the environment; an empty one counts as none.
pub(super) struct Variables<'a>(pub(super) &'a dyn Fn(&str) -> Option<String>);

impl Variables<'_> {
    /// Whether they say whole how to log in, or as much of it that nothing else can be meant.
    pub(super) fn say_whose(&self) -> bool {
        let app = [CLIENT_ID, CLIENT_SECRET, LOGIN_URL];
        !self.kinds().is_empty() || app.into_iter().all(|name| self.has(name))
    }

    /// The variables that are set of those each of which is another way to log in.
    fn kinds(&self) -> Vec<&'static str> {
        let kinds = [ACCESS_TOKEN, REFRESH_TOKEN, PRIVATE_KEY_FILE, PRIVATE_KEY];
        kinds.into_iter().filter(|name| self.has(name)).collect()
    }

    /// The credentials that they hold.
    ///
    /// # Errors
    /// A usage error that names what is lacking or wrong.
    pub(super) fn credentials(&self) -> Result<Credentials> {
        let credentials = match self.kinds().as_slice() {
            [ACCESS_TOKEN] => {
                let instance = parse_url(INSTANCE_URL, &self.need(INSTANCE_URL)?)?;
                Credentials::access_token(instance, self.need(ACCESS_TOKEN)?)
            }
            [REFRESH_TOKEN] => Credentials::refresh_token(
                self.login_url()?,
                self.need(CLIENT_ID)?,
                self.get(CLIENT_SECRET).unwrap_or_default(),
                self.need(REFRESH_TOKEN)?,
            ),
            [PRIVATE_KEY_FILE | PRIVATE_KEY] => Credentials::jwt_bearer(
                self.login_url()?,
                self.need(CLIENT_ID)?,
                self.need(USERNAME)?,
                self.private_key()?,
            ),
            [] if self.has(CLIENT_ID) || self.has(CLIENT_SECRET) => {
                let my_domain = parse_url(LOGIN_URL, &self.need(LOGIN_URL)?)?;
                let (id, secret) = (self.need(CLIENT_ID)?, self.need(CLIENT_SECRET)?);
                Credentials::client_credentials(my_domain, id, secret)
            }
            [] if self.has(INSTANCE_URL) => return Err(lacking(ACCESS_TOKEN)),
            [] => {
                return Err(CliError::usage(format!(
                    "nothing says whose org it is: log in by `arrow-salesforce login`, or give --org NAME, \
                     --config FILE or --from-sf ALIAS, or set {CLIENT_ID} and what else \
                     `arrow-salesforce load --help` names"
                )));
            }
            several => {
                return Err(CliError::usage(format!(
                    "{} are set, and each is another way to log in; leave one of them",
                    several.join(" and ")
                )));
            }
        };
        Ok(credentials.with_instance_hosts(self.instance_hosts()))
    }

    fn get(&self, name: &str) -> Option<String> {
        (self.0)(name).filter(|value| !value.trim().is_empty())
    }

    fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    fn need(&self, name: &str) -> Result<String> {
        self.get(name).ok_or_else(|| lacking(name))
    }

    fn login_url(&self) -> Result<Url> {
        let url = self.get(LOGIN_URL).or_else(|| self.get(INSTANCE_URL));
        parse_url(LOGIN_URL, url.as_deref().unwrap_or(LOGIN))
    }

    fn private_key(&self) -> Result<SecretString> {
        if let Some(key) = self.get(PRIVATE_KEY) {
            return Ok(key.into());
        }
        let path = self.need(PRIVATE_KEY_FILE)?;
        let key = fs::read_to_string(&path).map_err(|error| {
            CliError::usage(format!(
                "{PRIVATE_KEY_FILE}: {path} cannot be read: {error}"
            ))
        })?;
        Ok(key.into())
    }

    fn instance_hosts(&self) -> Vec<String> {
        let hosts = self.get(INSTANCE_HOSTS).unwrap_or_default();
        let hosts = hosts
            .split(',')
            .map(str::trim)
            .filter(|host| !host.is_empty());
        hosts.map(str::to_owned).collect()
    }
}

fn lacking(name: &str) -> CliError {
    CliError::usage(format!("{name} is not set; this way to log in needs it"))
}

#[cfg(test)]
mod tests;
