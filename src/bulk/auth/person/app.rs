//! An app that a person logs in by, and what a login grants.

use std::fmt;
use std::time::Duration;

use reqwest::Method;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use url::Url;

use crate::bulk::auth::credentials::Credentials;
use crate::bulk::auth::session::{Grant, Session};
use crate::bulk::error::{BulkError, LoginRefused};
use crate::bulk::http::{
    Call, Clock, Hosts, Http, Payload, Policy, Progress, Resource, read_body, redirect_target,
    retry_after,
};
use crate::options::Waits;

/// What is asked of a login: calls of the API, and to log in again without the person.
pub(super) const SCOPE: &str = "api refresh_token";

pub(super) const LOGIN: &str = "logging in";

/// An app that a person logs in by.
#[derive(Debug, Clone)]
pub struct App {
    /// `https://login.salesforce.com`, `https://test.salesforce.com` (sandbox) or the org's My Domain.
    pub login_url: Url,
    /// Consumer key.
    pub client_id: String,
    /// Consumer secret, where the app asks for it.
    pub client_secret: Option<SecretString>,
    /// As [`Credentials::instance_hosts`].
    pub instance_hosts: Vec<String>,
}

/// What a login by a person grants.
#[derive(Debug)]
pub struct Granted {
    app: App,
    session: Session,
    refresh_token: SecretString,
}

/// The token endpoint, as a person's login asks it.
pub(super) struct Endpoint {
    http: Http,
    hosts: Hosts,
    pub(super) app: App,
}

/// What the endpoint answered.
pub(super) enum Answer {
    /// With success.
    Done(Vec<u8>),
    /// With an error of OAuth, as it is and in words.
    Refused(String, String),
}

#[derive(Default, Deserialize)]
struct Refusal {
    error: String,
    #[serde(default)]
    error_description: String,
}

impl Refusal {
    /// Reads JSON, or the form that some addresses answer with.
    fn read(body: &[u8]) -> Option<Self> {
        if let Ok(refusal) = serde_json::from_slice(body) {
            return Some(refusal);
        }
        let mut refusal = Self::default();
        for (name, value) in url::form_urlencoded::parse(body.trim_ascii()) {
            match &*name {
                "error" => refusal.error = value.into_owned(),
                "error_description" => refusal.error_description = value.into_owned(),
                _ => {}
            }
        }
        (!refusal.error.is_empty()).then_some(refusal)
    }
}

impl App {
    /// Ends a refresh token with all its sessions. False if it was no valid one.
    ///
    /// # Errors
    /// [`BulkError::LoginUrl`]; [`BulkError::Network`] and [`BulkError::Unavailable`] after half a
    /// minute; [`BulkError::Login`] if Salesforce refuses it.
    pub async fn revoke(&self, refresh_token: &SecretString) -> Result<bool, BulkError> {
        const REVOKE: &str = "logging out";
        let endpoint = Endpoint::new(self.clone())?;
        let form = [("token", refresh_token.expose_secret().to_owned())];
        let once = || endpoint.ask_once(REVOKE, Resource::Revoke, &form);
        match endpoint.http.repeat(REVOKE, Policy::Start, once).await? {
            Answer::Done(_) => Ok(true),
            Answer::Refused(error, _)
                if matches!(
                    &*error,
                    "unsupported_token_type" | "invalid_token" | "invalid_grant"
                ) =>
            {
                Ok(false)
            }
            Answer::Refused(error, words) => Err(endpoint.refused(&error, &words)),
        }
    }
}

impl Granted {
    /// What logs in again, without the person.
    pub fn credentials(&self) -> Credentials {
        let app = &self.app;
        let secret = app.client_secret.clone().unwrap_or_default();
        let (id, token) = (&*app.client_id, self.refresh_token.clone());
        Credentials::refresh_token(app.login_url.clone(), id, secret, token)
            .with_instance_hosts(app.instance_hosts.clone())
    }

    /// The session that came with it, which needs no other login.
    pub fn session(&self) -> Credentials {
        let session = &self.session;
        Credentials::access_token(session.instance.clone(), session.access_token.clone())
            .with_instance_hosts(self.app.instance_hosts.clone())
    }

    /// The refresh token.
    pub fn refresh_token(&self) -> &SecretString {
        &self.refresh_token
    }

    /// Root of the org's API.
    pub fn instance(&self) -> &Url {
        &self.session.instance
    }

    /// Id of the org, if the login said it.
    pub fn org_id(&self) -> Option<&str> {
        self.session.org_id.as_deref()
    }

    /// Id of the user, if the login said it.
    pub fn user_id(&self) -> Option<&str> {
        self.session.user_id.as_deref()
    }
}

impl Endpoint {
    /// # Errors
    /// [`BulkError::LoginUrl`], [`BulkError::InstanceHosts`], [`BulkError::Environment`],
    /// [`BulkError::Setup`].
    pub(super) fn new(app: App) -> Result<Self, BulkError> {
        let hosts = Hosts::new(&app.instance_hosts)?;
        hosts.check_login(&app.login_url)?;
        let http = Http::new(Clock::new(Waits::default()))?;
        Ok(Self { http, hosts, app })
    }

    /// The fields that name the app, and these.
    pub(super) fn form<'a>(&self, fields: &[(&'a str, &str)]) -> Vec<(&'a str, String)> {
        let secret = self.app.client_secret.as_ref();
        let secret = secret.map(|secret| ("client_secret", secret.expose_secret().to_owned()));
        let fields = fields
            .iter()
            .map(|(name, value)| (*name, (*value).to_owned()));
        let id = ("client_id", self.app.client_id.clone());
        std::iter::once(id).chain(secret).chain(fields).collect()
    }

    /// Asks, and again as long as a person waits for what passes.
    ///
    /// # Errors
    /// As [`Endpoint::ask_once`].
    pub(super) async fn ask(&self, form: &[(&str, String)]) -> Result<Answer, BulkError> {
        let once = || self.ask_once(LOGIN, Resource::Token, form);
        self.http.repeat(LOGIN, Policy::Start, once).await
    }

    /// Asks once.
    ///
    /// # Errors
    /// [`BulkError::Network`], [`BulkError::Obstacle`], [`BulkError::Unavailable`],
    /// [`BulkError::LoginUrl`], [`BulkError::LoginRedirect`].
    pub(super) async fn ask_once(
        &self,
        action: &str,
        resource: Resource<'_>,
        form: &[(&str, String)],
    ) -> Result<Answer, BulkError> {
        let call = Call {
            action,
            method: Method::POST,
            resource,
            query: &[],
            payload: Payload::Fields(form),
            policy: Policy::Once,
        };
        let login = &self.app.login_url;
        let progress = Progress::default();
        let mut answer = self.http.send(&call, login, None, &progress).await?;
        let status = answer.status().as_u16();
        let retry_after = retry_after(&answer);
        let body = read_body(action, self.http.clock(), &mut answer).await?;
        let origin = || login.origin().ascii_serialization();
        match status {
            200..=299 => return Ok(Answer::Done(body)),
            300..=399 => {
                return Err(BulkError::LoginRedirect {
                    url: origin(),
                    target: redirect_target(&answer),
                });
            }
            404 => {
                return Err(BulkError::LoginUrl {
                    url: origin(),
                    reason: "it has no token endpoint, so it is not a login host",
                });
            }
            _ => {}
        }
        let refusal = Refusal::read(&body);
        match refusal.filter(|_| (400..500).contains(&status) && status != 429) {
            Some(refusal) => Ok(Answer::Refused(refusal.error, refusal.error_description)),
            None => Err(BulkError::Unavailable {
                action: action.to_owned(),
                status,
                detail: "an answer of another form".to_owned(),
                retry_after,
            }),
        }
    }

    /// What an answer with success grants.
    ///
    /// # Errors
    /// [`BulkError::Answer`], [`BulkError::Instance`], [`BulkError::Login`] if there is no refresh token.
    pub(super) fn granted(&self, body: &[u8]) -> Result<Granted, BulkError> {
        let unreadable = |reason: &str| BulkError::Answer {
            action: LOGIN.to_owned(),
            reason: reason.to_owned(),
        };
        let mut grant = Grant::read(body).map_err(unreadable)?;
        let refresh_token = grant.refresh_token.take();
        let instance = grant.instance().map_err(unreadable)?;
        self.hosts.check_instance(&self.app.login_url, &instance)?;
        let session = grant.into_session(1, instance).map_err(unreadable)?;
        let Some(refresh_token) = refresh_token else {
            let words = "the answer has no refresh token";
            return Err(self.refused("invalid_scope", words));
        };
        Ok(Granted {
            app: self.app.clone(),
            session,
            refresh_token,
        })
    }

    /// The error of a refusal.
    pub(super) fn refused(&self, error: &str, words: &str) -> BulkError {
        let host = self.app.login_url.host_str().unwrap_or_default();
        LoginRefused::of_person(host, error, words).into()
    }

    /// Spends a pause.
    pub(super) async fn pause(&self, length: Duration) {
        self.http.clock().pause(length).await;
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint")
            .field("app", &self.app)
            .finish_non_exhaustive()
    }
}
