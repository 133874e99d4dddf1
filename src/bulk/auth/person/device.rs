//! The device flow (RFC 8628): a code that is typed on another device. Salesforce blocks it in new orgs.

use std::time::{Duration, Instant};

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use url::Url;

use super::app::{Answer, App, Endpoint, Granted, LOGIN, SCOPE};
use crate::bulk::error::BulkError;

/// Time between two questions where Salesforce names none.
const INTERVAL: Duration = Duration::from_secs(5);

/// Longest life of a code where Salesforce names none.
const LIFE: Duration = Duration::from_secs(600);

/// A login by a code that a person types on another device.
#[derive(Debug)]
pub struct DeviceLogin {
    endpoint: Endpoint,
    device_code: SecretString,
    user_code: String,
    address: Url,
    interval: Duration,
    life: Duration,
}

#[derive(Deserialize)]
struct Begun {
    device_code: String,
    user_code: String,
    verification_uri: String,
    /// In seconds.
    interval: Option<u64>,
    /// In seconds.
    expires_in: Option<u64>,
}

impl DeviceLogin {
    /// Asks for a code.
    ///
    /// # Errors
    /// [`BulkError::Login`] if the org or the app does not allow it; any of [`super::CodeLogin::redeem`].
    pub async fn begin(app: App) -> Result<Self, BulkError> {
        let endpoint = Endpoint::new(app)?;
        let form = endpoint.form(&[("response_type", "device_code"), ("scope", SCOPE)]);
        let body = match endpoint.ask(&form).await? {
            Answer::Done(body) => body,
            Answer::Refused(error, words) => return Err(endpoint.refused_device(&error, &words)),
        };
        let unreadable = || BulkError::Answer {
            action: LOGIN.to_owned(),
            reason: "it is not JSON with device_code, user_code and verification_uri".to_owned(),
        };
        let begun: Begun = serde_json::from_slice(&body).map_err(|_| unreadable())?;
        let seconds = |seconds: Option<u64>, other| seconds.map_or(other, Duration::from_secs);
        Ok(Self {
            address: Url::parse(&begun.verification_uri).map_err(|_| unreadable())?,
            device_code: begun.device_code.into(),
            user_code: begun.user_code,
            interval: seconds(begun.interval, INTERVAL),
            life: seconds(begun.expires_in, LIFE),
            endpoint,
        })
    }

    /// What the person opens.
    pub fn address(&self) -> &Url {
        &self.address
    }

    /// What the person types there.
    pub fn user_code(&self) -> &str {
        &self.user_code
    }

    /// Waits until the person has typed the code, as long as it lives.
    ///
    /// # Errors
    /// As [`super::CodeLogin::redeem`]; [`BulkError::Callback`] if nobody typed it.
    pub async fn granted(&self) -> Result<Granted, BulkError> {
        let form = self.endpoint.form(&[
            ("grant_type", "device"),
            ("code", self.device_code.expose_secret()),
        ]);
        let (began, mut interval) = (Instant::now(), self.interval);
        loop {
            self.endpoint.pause(interval).await;
            match self.endpoint.ask(&form).await? {
                Answer::Done(body) => return self.endpoint.granted(&body),
                Answer::Refused(error, _) if error == "authorization_pending" => {}
                Answer::Refused(error, _) if error == "slow_down" => interval += INTERVAL,
                Answer::Refused(error, words) => {
                    return Err(self.endpoint.refused_code(&error, &words));
                }
            }
            if began.elapsed() > self.life {
                let reason = "nobody typed the code while it was valid";
                return Err(BulkError::Callback { reason });
            }
        }
    }
}
