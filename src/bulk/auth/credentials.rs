//! What a login sends: one of the OAuth flows that need nobody at a browser, or a session that is
//! there already.

use secrecy::SecretString;
use url::Url;

/// How to log in to an org.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// `https://login.salesforce.com`, `https://test.salesforce.com` (sandbox) or the org's My
    /// Domain; of a ready access token the instance that it is for. Plain http is taken on this machine
    /// only.
    pub login_url: Url,
    /// Consumer key of the app; empty for a ready access token.
    pub client_id: String,
    /// What else is sent.
    pub flow: Flow,
    /// Hosts beside Salesforce's own that may be logged in at and be the org's instance, each with
    /// all hosts below it: `api.example.com`. Empty by default.
    pub instance_hosts: Vec<String>,
}

/// An OAuth flow, with its secrets.
#[derive(Debug, Clone)]
pub enum Flow {
    /// A user has approved the app in a browser before.
    RefreshToken {
        /// Consumer secret of the app.
        client_secret: SecretString,
        /// Refresh token of the user for this app.
        refresh_token: SecretString,
    },
    /// The app itself, as its Run As user. The login URL must be the org's My Domain.
    ClientCredentials {
        /// Consumer secret of the app.
        client_secret: SecretString,
    },
    /// A user whom the app is approved for beforehand, vouched for by a signature.
    JwtBearer {
        /// Name of the user.
        username: String,
        /// RSA key in PEM form; the app holds its certificate.
        private_key: SecretString,
    },
    /// The session of somebody else's login, as long as it lasts: it cannot be renewed.
    AccessToken {
        /// The access token.
        access_token: SecretString,
    },
}

impl Credentials {
    /// A login by a refresh token.
    pub fn refresh_token(
        login_url: Url,
        client_id: impl Into<String>,
        client_secret: impl Into<SecretString>,
        refresh_token: impl Into<SecretString>,
    ) -> Self {
        Self {
            login_url,
            client_id: client_id.into(),
            flow: Flow::RefreshToken {
                client_secret: client_secret.into(),
                refresh_token: refresh_token.into(),
            },
            instance_hosts: Vec::new(),
        }
    }

    /// A login as the app's Run As user. `my_domain` is `https://<name>.my.salesforce.com`.
    pub fn client_credentials(
        my_domain: Url,
        client_id: impl Into<String>,
        client_secret: impl Into<SecretString>,
    ) -> Self {
        Self {
            login_url: my_domain,
            client_id: client_id.into(),
            flow: Flow::ClientCredentials {
                client_secret: client_secret.into(),
            },
            instance_hosts: Vec::new(),
        }
    }

    /// A login by a signed token (JWT). `private_key` is an RSA key of 2,048 bits or more in PEM
    /// form.
    pub fn jwt_bearer(
        login_url: Url,
        client_id: impl Into<String>,
        username: impl Into<String>,
        private_key: impl Into<SecretString>,
    ) -> Self {
        Self {
            login_url,
            client_id: client_id.into(),
            flow: Flow::JwtBearer {
                username: username.into(),
                private_key: private_key.into(),
            },
            instance_hosts: Vec::new(),
        }
    }

    /// A session that somebody else has logged in for. `instance` is the org's My Domain
    /// (`https://<name>.my.salesforce.com`). Once the session expires, calls fail by
    /// [`BulkError::Login`](crate::bulk::BulkError::Login).
    pub fn access_token(instance: Url, access_token: impl Into<SecretString>) -> Self {
        Self {
            login_url: instance,
            client_id: String::new(),
            flow: Flow::AccessToken {
                access_token: access_token.into(),
            },
            instance_hosts: Vec::new(),
        }
    }

    /// Sets [`Credentials::instance_hosts`]: hosts of your own that stand before Salesforce's.
    /// Tokens are sent to them.
    #[must_use]
    pub fn with_instance_hosts(mut self, hosts: Vec<String>) -> Self {
        self.instance_hosts = hosts;
        self
    }
}

impl Flow {
    /// Salesforce's name for the flow.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::RefreshToken { .. } => "refresh token",
            Self::ClientCredentials { .. } => "client credentials",
            Self::JwtBearer { .. } => "JWT bearer",
            Self::AccessToken { .. } => "access token",
        }
    }

    pub(super) fn client_secret(&self) -> Option<&SecretString> {
        match self {
            Self::RefreshToken { client_secret, .. }
            | Self::ClientCredentials { client_secret } => Some(client_secret),
            Self::JwtBearer { .. } | Self::AccessToken { .. } => None,
        }
    }

    pub(super) fn refresh_token(&self) -> Option<&SecretString> {
        match self {
            Self::RefreshToken { refresh_token, .. } => Some(refresh_token),
            Self::ClientCredentials { .. } | Self::JwtBearer { .. } | Self::AccessToken { .. } => {
                None
            }
        }
    }
}
