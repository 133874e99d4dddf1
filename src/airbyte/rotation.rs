//! Refresh tokens that rotate: a login may answer a new one, and the configured one is dead.

use secrecy::{ExposeSecret, SecretString};

use super::config::Config;
use super::message::{Message, Output};
use crate::bulk::Client;
use crate::error::Result;

/// Tells the platform of each new refresh token, once. The only place where a secret is printed.
#[derive(Debug)]
pub(super) struct Rotation<'a> {
    config: &'a Config,
    output: &'a Output,
    client: Client,
    told: Option<SecretString>,
}

impl<'a> Rotation<'a> {
    /// Watches the logins of `client`, which began with those of `config`.
    pub(super) fn new(config: &'a Config, client: &Client, output: &'a Output) -> Self {
        Self {
            config,
            output,
            client: client.clone(),
            told: None,
        }
    }

    /// Asks the platform to keep the token of the last login, unless it keeps it already.
    ///
    /// # Errors
    /// If stdout is closed.
    pub(super) fn tell(&mut self) -> Result<()> {
        let Some(token) = self.client.rotated_refresh_token() else {
            return Ok(());
        };
        let told = self.told.as_ref().map(ExposeSecret::expose_secret);
        if told == Some(token.expose_secret()) {
            return Ok(());
        }
        let config = self.config.with_refresh_token(&token)?;
        self.output.print(&Message::new_config(&config))?;
        self.told = Some(token);
        Ok(())
    }
}
