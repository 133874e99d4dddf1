//! Refresh tokens that rotate: a login may return a new one, and the configured one is dead.

use std::sync::Arc;

use crate::config::Config;
use crate::protocol::message::Message;
use crate::protocol::output::Output;
use arrow_salesforce::bulk::{Client, ClientBuilder};

/// A login with the credentials of `config`. Each refresh token that replaces the configured one is
/// passed on to the platform, now and later, before the session that came with it is used: here
/// alone a secret is printed.
pub(super) fn login(config: &Config, output: &Output) -> ClientBuilder {
    let (text, output) = (config.text.clone(), output.clone());
    Client::builder(config.credentials.clone())
        .waits(config.org.waits)
        .on_rotated_refresh_token(Arc::new(move |token| {
            let printed = text
                .with_refresh_token(token)
                .and_then(|config| output.print(&Message::new_config(&config)));
            if let Err(error) = printed {
                tracing::error!(%error, "the new refresh token could not be passed on to the platform");
            }
        }))
}
