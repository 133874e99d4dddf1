//! One request, before it is sent.

use reqwest::Method;
use url::Url;

use super::body::Form;
use super::patience::Policy;
use crate::chunk::Chunk;

/// Version of Salesforce's REST and Bulk API, as every call names it.
pub const API_VERSION: &str = "v62.0";

/// One request, and how long it may be repeated.
#[derive(Debug)]
pub(in crate::bulk) struct Call<'a> {
    /// For errors: what is being done.
    pub(in crate::bulk) action: &'a str,
    pub(in crate::bulk) method: Method,
    pub(in crate::bulk) resource: Resource<'a>,
    /// Names and values after the question mark.
    pub(in crate::bulk) query: &'a [(&'a str, &'a str)],
    pub(in crate::bulk) payload: Payload<'a>,
    /// More than one attempt only where a repetition changes nothing.
    pub(in crate::bulk) policy: Policy,
}

/// What a stop of the load does to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::bulk) enum AtStop {
    /// It is about a job that is there: it goes on.
    GoesOn,
    /// It makes a job: it is not sent any more, but once it is sent, its answer is waited for.
    NotBegun,
    /// It fills a job that will not be closed: it is cut.
    Cut,
}

/// What is asked for at a host.
#[derive(Debug, Clone, Copy)]
pub(in crate::bulk) enum Resource<'a> {
    /// The segments after `/services/data/v62.0/`; they are URL-encoded.
    Api(&'a [&'a str]),
    /// The token endpoint, which logs in.
    Token,
    /// Where tokens are ended.
    Revoke,
    /// Who a session belongs to.
    UserInfo,
}

/// The body of a request.
#[derive(Clone, Copy)]
pub(in crate::bulk) enum Payload<'a> {
    None,
    /// Names and values of a form; they may be secrets.
    Fields(&'a [(&'a str, String)]),
    Json(&'a str),
    Csv(&'a Chunk),
    /// The form that creates a job with its rows.
    Form(&'a Form),
}

impl std::fmt::Debug for Payload<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Fields(_) => "Fields",
            Self::Json(_) => "Json",
            Self::Csv(_) => "Csv",
            Self::Form(_) => "Form",
        })
    }
}

impl<'a> Call<'a> {
    /// Reads something of the API.
    pub(in crate::bulk) fn get(action: &'a str, path: &'a [&'a str], policy: Policy) -> Self {
        Self {
            action,
            method: Method::GET,
            resource: Resource::Api(path),
            query: &[],
            payload: Payload::None,
            policy,
        }
    }

    /// Sends something to the API, once: the caller decides what an error means.
    pub(in crate::bulk) fn send(
        action: &'a str,
        method: Method,
        path: &'a [&'a str],
        payload: Payload<'a>,
    ) -> Self {
        Self {
            action,
            method,
            resource: Resource::Api(path),
            query: &[],
            payload,
            policy: Policy::Once,
        }
    }

    /// What a stop of the load does to it.
    pub(in crate::bulk) fn at_stop(&self) -> AtStop {
        match (self.payload, self.resource) {
            (Payload::Csv(_), _) => AtStop::Cut,
            (Payload::Form(_), _) => AtStop::NotBegun,
            (_, Resource::Api(["jobs", "ingest"])) if self.method == Method::POST => {
                AtStop::NotBegun
            }
            _ => AtStop::GoesOn,
        }
    }

    /// Whether it brings rows along.
    pub(in crate::bulk) fn is_upload(&self) -> bool {
        matches!(self.payload, Payload::Csv(_) | Payload::Form(_))
    }

    /// Its address at a host.
    pub(super) fn url(&self, root: &Url) -> Url {
        let mut url = root.clone();
        match self.resource {
            Resource::Api(path) => {
                url.set_path("");
                if let Ok(mut segments) = url.path_segments_mut() {
                    segments
                        .extend(["services", "data", API_VERSION])
                        .extend(path);
                }
            }
            Resource::Token => url.set_path("/services/oauth2/token"),
            Resource::Revoke => url.set_path("/services/oauth2/revoke"),
            Resource::UserInfo => url.set_path("/services/oauth2/userinfo"),
        }
        url.set_fragment(None);
        url.set_query(None);
        if !self.query.is_empty() {
            url.query_pairs_mut().extend_pairs(self.query);
        }
        url
    }
}
