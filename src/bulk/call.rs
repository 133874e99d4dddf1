//! One request to the API, before it is sent.

use reqwest::Method;
use url::Url;

use super::API_VERSION;
use super::body::Form;
use super::retry::Policy;
use crate::chunk::Chunk;

/// One request, and how often it may be repeated.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    /// For errors: what is being done.
    pub(crate) action: &'a str,
    pub(crate) method: Method,
    /// Segments after `/services/data/v62.0/`; they are URL-encoded.
    pub(crate) path: &'a [&'a str],
    /// Names and values after the question mark.
    pub(crate) query: &'a [(&'a str, &'a str)],
    pub(crate) payload: Payload<'a>,
    /// More than one try only where a repetition changes nothing.
    pub(crate) policy: Policy,
}

/// The body of a request.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Payload<'a> {
    None,
    Json(&'a str),
    Csv(&'a Chunk),
    Form(&'a Form),
}

impl<'a> Call<'a> {
    /// Reads something.
    pub(crate) fn get(action: &'a str, path: &'a [&'a str], policy: Policy) -> Self {
        Self {
            action,
            method: Method::GET,
            path,
            query: &[],
            payload: Payload::None,
            policy,
        }
    }

    /// Its address at an instance.
    pub(crate) fn url(&self, instance: &Url) -> Url {
        let mut url = instance.clone();
        url.set_path("");
        if let Ok(mut segments) = url.path_segments_mut() {
            segments
                .extend(["services", "data", API_VERSION])
                .extend(self.path);
        }
        url.set_query(None);
        if !self.query.is_empty() {
            url.query_pairs_mut().extend_pairs(self.query);
        }
        url
    }
}
