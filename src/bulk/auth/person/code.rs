//! The authorisation code flow (RFC 6749, 4.1) with PKCE (RFC 7636), for apps without a secret too.

use base64::engine::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom as _, SystemRandom};
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::app::{Answer, App, Endpoint, Granted, LOGIN, SCOPE};
use crate::bulk::error::BulkError;

/// A login at a browser. The person opens [`CodeLogin::address`], and the browser is sent to the app's
/// callback, whose address [`CodeLogin::redeem`] takes.
#[derive(Debug)]
pub struct CodeLogin {
    endpoint: Endpoint,
    callback: Url,
    /// Proves at the end that it is who began.
    verifier: SecretString,
    /// Comes back with the answer to this login alone.
    state: String,
}

impl CodeLogin {
    /// Begins a login; nothing is sent. `callback` is one of the app's.
    ///
    /// # Errors
    /// [`BulkError::LoginUrl`], [`BulkError::InstanceHosts`], [`BulkError::Environment`],
    /// [`BulkError::Setup`].
    pub fn new(app: App, callback: Url) -> Result<Self, BulkError> {
        Ok(Self {
            endpoint: Endpoint::new(app)?,
            callback,
            verifier: random()?.into(),
            state: random()?,
        })
    }

    /// What the person opens in a browser.
    pub fn address(&self) -> Url {
        let app = &self.endpoint.app;
        let mut url = app.login_url.clone();
        url.set_path("/services/oauth2/authorize");
        url.set_fragment(None);
        let proof = digest(&SHA256, self.verifier.expose_secret().as_bytes());
        url.query_pairs_mut()
            .clear()
            .append_pair("response_type", "code")
            .append_pair("client_id", &app.client_id)
            .append_pair("redirect_uri", self.callback.as_str())
            .append_pair("scope", SCOPE)
            .append_pair("state", &self.state)
            .append_pair("code_challenge", &URL_SAFE_NO_PAD.encode(proof))
            .append_pair("code_challenge_method", "S256")
            // A session of another org that the browser has is not taken.
            .append_pair("prompt", "login");
        url
    }

    /// Turns the address that the browser was sent to into a login.
    ///
    /// # Errors
    /// [`BulkError::Callback`] if it answers another login; [`BulkError::Login`] if the person or
    /// Salesforce refused it; [`BulkError::Network`] and [`BulkError::Unavailable`] after half a minute;
    /// [`BulkError::Answer`], [`BulkError::Instance`].
    pub async fn redeem(&self, answer: &Url) -> Result<Granted, BulkError> {
        let code = self.code(answer)?;
        let form = self.endpoint.form(&[
            ("grant_type", "authorization_code"),
            ("code", code.expose_secret()),
            ("redirect_uri", self.callback.as_str()),
            ("code_verifier", self.verifier.expose_secret()),
        ]);
        match self.endpoint.ask(&form).await? {
            Answer::Done(body) => self.endpoint.granted(&body),
            Answer::Refused(error, words) => Err(self.endpoint.refused(&error, &words)),
        }
    }

    /// What must stay hidden until the end.
    #[cfg(test)]
    pub(super) fn shown_verifier(&self) -> &str {
        self.verifier.expose_secret()
    }

    /// The code in the address that the browser was sent to.
    fn code(&self, answer: &Url) -> Result<SecretString, BulkError> {
        let value = |name: &str| {
            let mut pairs = answer.query_pairs();
            pairs.find(|(known, _)| known == name).map(|pair| pair.1)
        };
        let wrong = |reason| Err(BulkError::Callback { reason });
        if value("state").as_deref() != Some(&*self.state) {
            return wrong("it answers another login (its state differs)");
        }
        if let Some(error) = value("error") {
            let words = value("error_description").unwrap_or_default();
            return Err(self.endpoint.refused(&error, &words));
        }
        match value("code") {
            Some(code) if !code.is_empty() => Ok(SecretString::from(code.into_owned())),
            _ => wrong("it has no code"),
        }
    }
}

/// 43 letters, digits, `-` and `_` that nobody can guess.
fn random() -> Result<String, BulkError> {
    let mut bytes = [0; 32];
    let filled = SystemRandom::new().fill(&mut bytes);
    filled.map_err(|_| BulkError::Setup {
        reason: format!("{LOGIN}: this machine gives no random numbers"),
    })?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}
