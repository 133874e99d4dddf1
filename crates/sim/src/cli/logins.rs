//! The options of logins.

use std::time::Duration;

use clap::{Args, ValueEnum};

use super::seconds;
use crate::{AppPolicy, SimOptions};

/// How persons and apps log in.
#[derive(Debug, Args)]
pub(super) struct Logins {
    /// Each refresh ends the refresh token and returns another
    #[arg(long)]
    rotate: bool,
    /// Seconds that a session is valid; for ever by default
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    session_seconds: Option<Duration>,
    /// Apps have to send their secret with codes and refresh tokens
    #[arg(long)]
    require_secret: bool,
    /// Apps have to use PKCE
    #[arg(long)]
    require_pkce: bool,
    /// Address to which a browser may be sent back; by default any http address of this machine
    #[arg(long, value_name = "URI")]
    redirect_uri: Vec<String>,
    /// Whether users may let the app in
    #[arg(long, value_enum, default_value = "installed")]
    app: App,
    /// User who is logged in in every browser, and let the app in before
    #[arg(long, value_name = "USERNAME")]
    signed_in: Option<String>,
    /// The org does not allow the device flow
    #[arg(long)]
    no_device_flow: bool,
}

/// Whether users may let the app in.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum App {
    Installed,
    NotInstalled,
    NotFound,
}

impl Logins {
    /// Sets the options that are given.
    pub(super) fn set(self, options: &mut SimOptions) {
        options.rotate_refresh_token = self.rotate;
        options.token_lifetime = self.session_seconds;
        options.require_secret = self.require_secret;
        options.require_pkce = self.require_pkce;
        options.redirect_uris = self.redirect_uri;
        options.app = match self.app {
            App::Installed => AppPolicy::Installed,
            App::NotInstalled => AppPolicy::NotInstalled,
            App::NotFound => AppPolicy::NotFound,
        };
        options.signed_in = self.signed_in;
        options.device_flow = !self.no_device_flow;
    }
}
