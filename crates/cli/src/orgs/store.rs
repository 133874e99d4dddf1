//! The file of orgs, read and changed.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::PathBuf;

use arrow_salesforce::Credentials;
use chrono::{DateTime, Utc};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use url::Url;

use super::{place, written};

const FILE: &str = "orgs.json";

/// Folder of the locks: one of the file, and one of each org's logins.
const LOCKS: &str = "locks";
const FILE_LOCK: &str = "orgs.lock";

/// Version of the file.
const VERSION: u32 = 1;

/// What can be wrong with orgs.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OrgError {
    /// No org has this name.
    #[error("there is no org {name:?}; {}", shown(.known))]
    NoOrg {
        /// As it was typed.
        name: String,
        /// Those that are there.
        known: Vec<String>,
    },
    /// The file is of another form.
    #[error(
        "{path} is damaged ({reason}): delete it, and log in again by `arrow-salesforce login`"
    )]
    Damaged {
        /// The file.
        path: String,
        /// What is wrong.
        reason: String,
    },
    /// A newer version has written it.
    #[error(
        "{path} has version {version} and this is for version {VERSION}: use a newer arrow-salesforce"
    )]
    Newer {
        /// The file.
        path: String,
        /// Its version.
        version: u32,
    },
    /// The file cannot be read or written.
    #[error(
        "the orgs that are logged in to cannot be kept in {path}: {source}; make it yours, or set \
         ARROW_SALESFORCE_HOME to another folder"
    )]
    Place {
        /// The file or its folder.
        path: String,
        /// The cause.
        source: io::Error,
    },
}

fn shown(names: &[String]) -> String {
    if names.is_empty() {
        return "log in by `arrow-salesforce login`".to_owned();
    }
    format!(
        "those that are logged in to are {}; `arrow-salesforce login` adds one",
        names.join(", ")
    )
}

/// An org that is logged in to.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct KeptOrg {
    /// Name of the user.
    pub(crate) username: Option<String>,
    /// Where logins go.
    #[serde(with = "written::address")]
    pub(crate) login_url: Url,
    /// The org's own address.
    #[serde(with = "written::address")]
    pub(crate) instance_url: Url,
    /// Consumer key of the app.
    pub(crate) client_id: String,
    /// Consumer secret, if the app asks for it.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "written::optional_secret"
    )]
    pub(crate) client_secret: Option<SecretString>,
    /// The newest refresh token.
    #[serde(with = "written::secret")]
    pub(crate) refresh_token: SecretString,
    /// Id of the org.
    pub(crate) org_id: Option<String>,
    /// Id of the user.
    pub(crate) user_id: Option<String>,
    /// Whether it is a sandbox, where that is known.
    pub(crate) sandbox: Option<bool>,
    /// Hosts beside Salesforce's own that tokens may be sent to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) instance_hosts: Vec<String>,
    /// When the user logged in.
    pub(crate) since: DateTime<Utc>,
}

impl KeptOrg {
    /// What logs in to it.
    pub(crate) fn credentials(&self) -> Credentials {
        let secret = self.client_secret.clone();
        Credentials::refresh_token(
            self.login_url.clone(),
            &*self.client_id,
            secret.unwrap_or_default(),
            self.refresh_token.clone(),
        )
        .with_instance_hosts(self.instance_hosts.clone())
    }
}

/// What the file holds.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Orgs {
    version: u32,
    /// The org of commands that name none.
    pub(crate) default: Option<String>,
    /// By name.
    pub(crate) orgs: BTreeMap<String, KeptOrg>,
}

impl Orgs {
    /// The org of this name.
    ///
    /// # Errors
    /// [`OrgError::NoOrg`].
    pub(crate) fn get(&self, name: &str) -> Result<&KeptOrg, OrgError> {
        self.orgs.get(name).ok_or_else(|| self.no_org(name))
    }

    /// The error of a name that no org has.
    pub(crate) fn no_org(&self, name: &str) -> OrgError {
        OrgError::NoOrg {
            name: name.to_owned(),
            known: self.orgs.keys().cloned().collect(),
        }
    }

    /// Takes an org out.
    pub(crate) fn remove(&mut self, name: &str) {
        self.orgs.remove(name);
        self.default.take_if(|default| default == name);
    }
}

/// Where the file is.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    folder: PathBuf,
}

/// The file, which no other process changes for now.
#[derive(Debug)]
pub(crate) struct Held {
    store: Store,
    /// As it is, or is to be.
    pub(crate) orgs: Orgs,
    _lock: File,
}

impl Store {
    /// The one of this user.
    ///
    /// # Errors
    /// [`OrgError::Place`].
    pub(crate) fn of_user() -> Result<Self, OrgError> {
        let folder = place::folder().map_err(|source| OrgError::Place {
            path: FILE.to_owned(),
            source,
        })?;
        Ok(Self { folder })
    }

    /// A folder of tests.
    #[cfg(test)]
    pub(super) fn at(folder: &std::path::Path) -> Self {
        Self {
            folder: folder.to_owned(),
        }
    }

    fn path(&self) -> PathBuf {
        self.folder.join(FILE)
    }

    /// What the file holds now.
    ///
    /// # Errors
    /// Any but [`OrgError::NoOrg`].
    pub(crate) fn read(&self) -> Result<Orgs, OrgError> {
        let path = self.path();
        let shown = || path.display().to_string();
        let bytes = place::read(&path).map_err(|source| OrgError::Place {
            path: shown(),
            source,
        })?;
        let Some(bytes) = bytes else {
            return Ok(Orgs::default());
        };
        // The text of the error could hold a part of a token.
        let damaged = |error: serde_json::Error| OrgError::Damaged {
            path: shown(),
            reason: format!("line {} column {}", error.line(), error.column()),
        };
        let version: Version = serde_json::from_slice(&bytes).map_err(damaged)?;
        if version.version > VERSION {
            return Err(OrgError::Newer {
                path: shown(),
                version: version.version,
            });
        }
        serde_json::from_slice(&bytes).map_err(damaged)
    }

    /// Waits until no other process changes the file, and keeps others from it, for a short time. Blocks.
    ///
    /// # Errors
    /// As [`Store::read`].
    pub(crate) fn hold(&self) -> Result<Held, OrgError> {
        let lock = self.lock(FILE_LOCK)?;
        Ok(Held {
            orgs: self.read()?,
            store: self.clone(),
            _lock: lock,
        })
    }

    /// Waits until no other process logs in to an org, and keeps others from it. Blocks.
    ///
    /// # Errors
    /// [`OrgError::Place`].
    pub(crate) fn hold_logins(&self, name: &str) -> Result<File, OrgError> {
        // A name may have any character, and a file may not.
        let name: String = url::form_urlencoded::byte_serialize(name.as_bytes()).collect();
        self.lock(&format!("{name}.login.lock"))
    }

    fn lock(&self, name: &str) -> Result<File, OrgError> {
        let folder = self.folder.join(LOCKS);
        let lock = place::make(&folder).and_then(|()| place::lock(&folder.join(name)));
        lock.map_err(|source| OrgError::Place {
            path: folder.display().to_string(),
            source,
        })
    }
}

#[derive(Deserialize)]
struct Version {
    version: u32,
}

impl Held {
    /// Writes what it holds.
    ///
    /// # Errors
    /// [`OrgError::Place`]; the file is as it was then.
    pub(crate) fn write(&mut self) -> Result<(), OrgError> {
        self.orgs.version = VERSION;
        let path = self.store.path();
        let text = serde_json::to_vec_pretty(&self.orgs).map_err(io::Error::from);
        let written = text.and_then(|text| place::replace(&path, &text));
        written.map_err(|source| OrgError::Place {
            path: path.display().to_string(),
            source,
        })
    }
}

#[cfg(test)]
mod tests;
