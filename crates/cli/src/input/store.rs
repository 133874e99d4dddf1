//! URLs -> the object stores that they lie in.

use std::sync::Arc;

use arrow_salesforce::object_store::path::Path;
use arrow_salesforce::object_store::{ClientOptions, ObjectStore};
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::http::HttpBuilder;
use url::Url;

use super::environment::{Environment, is_loopback};
use super::place::shown;
use super::{InputError, aws};

/// A store, and a key in it.
#[derive(Debug, Clone)]
pub(crate) struct Remote {
    pub(crate) store: Arc<dyn ObjectStore>,
    /// What is shown before a key.
    pub(crate) root: String,
    /// As it was typed: a key, what keys begin with, or a glob.
    pub(crate) key: String,
    /// Whether it can list keys. Web servers cannot, and may lack other things.
    pub(crate) lists: bool,
}

impl Remote {
    /// The store of a URL, with the credentials of the environment.
    ///
    /// # Errors
    /// [`InputError::Usage`] if the URL or the environment is wrong.
    pub(crate) fn connect(url: &str, environment: &Environment) -> Result<Self, InputError> {
        let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
        if matches!(scheme, "http" | "https") {
            return web(url);
        }
        let (authority, key) = rest.split_once('/').unwrap_or((rest, ""));
        let place = format!("{scheme}://{authority}");
        if authority.is_empty() {
            return Err(InputError::Usage(format!(
                "{url} names no bucket: write {scheme}://bucket/path"
            )));
        }
        let store: Result<Arc<dyn ObjectStore>, _> = match scheme {
            "s3" | "s3a" => aws::store(&place, environment).map(|store| Arc::new(store) as _),
            "gs" => {
                let mut builder = GoogleCloudStorageBuilder::new().with_url(&place);
                if let Some(path) = environment.get("SERVICE_ACCOUNT") {
                    builder = builder.with_service_account_path(path);
                }
                for (name, value) in environment.with_prefix("GOOGLE_") {
                    if let Ok(key) = name.parse() {
                        builder = builder.with_config(key, value);
                    }
                }
                builder.build().map(|store| Arc::new(store) as _)
            }
            _ => {
                let mut builder = MicrosoftAzureBuilder::new().with_url(&place);
                for (name, value) in environment.with_prefix("AZURE_") {
                    if let Ok(key) = name.parse() {
                        builder = builder.with_config(key, value);
                    }
                }
                builder.build().map(|store| Arc::new(store) as _)
            }
        };
        let store = store.map_err(|error| InputError::Usage(format!("{place}: {error}")))?;
        Ok(Self {
            store,
            root: place,
            key: key.to_owned(),
            lists: true,
        })
    }

    /// A key as messages show it.
    pub(crate) fn url(&self, key: &Path) -> String {
        match self.lists {
            true => format!("{}/{key}", self.root),
            false => self.root.clone(),
        }
    }
}

/// A web server. It is a store of one file, so that the query of its URL goes with each request.
fn web(url: &str) -> Result<Remote, InputError> {
    let wrong = |reason: String| InputError::Usage(format!("{}: {reason}", shown(url)));
    let mut base = Url::parse(url).map_err(|error| wrong(error.to_string()))?;
    if base.scheme() == "http" && !is_loopback(&base) {
        return Err(wrong(
            "what comes by http can be read and changed on its way; use https, or download it first"
                .to_owned(),
        ));
    }
    let key = Path::from_url_path(base.path()).map_err(|error| wrong(error.to_string()))?;
    base.set_path("");
    base.set_fragment(None);
    let allow_http = base.scheme() == "http";
    let store = HttpBuilder::new()
        .with_url(base)
        .with_client_options(
            ClientOptions::new()
                .with_allow_http(allow_http)
                // A server that cannot give parts gives all at once, however long that takes.
                .with_timeout_disabled(),
        )
        .build()
        .map_err(|error| wrong(error.to_string()))?;
    Ok(Remote {
        store: Arc::new(store),
        root: shown(url),
        key: key.to_string(),
        lists: false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connect(url: &str, environment: &Environment) -> Result<Remote, String> {
        Remote::connect(url, environment).map_err(|error| error.to_string())
    }

    #[test]
    fn a_key_is_taken_as_it_is_typed() {
        let azure = Environment::from([
            ("AZURE_STORAGE_ACCOUNT_NAME", "me"),
            ("AZURE_STORAGE_ACCOUNT_KEY", "a2V5"),
        ]);
        for (url, environment) in [
            ("s3://bucket/a b?c%20.csv", Environment::default()),
            ("gs://bucket/a b?c%20.csv", Environment::default()),
            ("az://box/a b?c%20.csv", azure),
        ] {
            let remote = connect(url, &environment).unwrap();
            assert_eq!(remote.key, "a b?c%20.csv", "{url}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_url_is_said() {
        let none = Environment::default();
        assert_eq!(
            connect("s3:///a.csv", &none).unwrap_err(),
            "s3:///a.csv names no bucket: write s3://bucket/path"
        );
        let plain = connect("http://example.com/a.csv?key=1", &none).unwrap_err();
        assert!(plain.starts_with("http://example.com/a.csv: ") && plain.contains("use https"));
        assert!(connect("http://127.0.0.1:1/a.csv", &none).is_ok());
        // No account is named.
        assert!(connect("az://box/a.csv", &none).is_err());
    }
}
