//! The refresh token of an org in the file, as logins use it.

use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use arrow_salesforce::bulk::{HeldToken, TokenKeeper};
use secrecy::{ExposeSecret as _, SecretString};

use super::store::Store;

/// Tokens that this process holds.
static HELD: AtomicUsize = AtomicUsize::new(0);

/// How often it is looked whether a token is held.
const LOOK: Duration = Duration::from_millis(20);

/// Waits until this process holds no token: a token that rotates would be lost with the process.
pub(crate) async fn tokens_at_rest() {
    while HELD.load(Ordering::SeqCst) > 0 {
        tokio::time::sleep(LOOK).await;
    }
}

/// The refresh token of one org, which all processes of this user log in by.
#[derive(Debug)]
pub(crate) struct KeptToken {
    store: Store,
    name: String,
}

/// The same, while no other process has it.
struct HeldKept {
    store: Store,
    name: String,
    token: SecretString,
    _lock: File,
}

impl KeptToken {
    /// The token of the org of this name.
    pub(crate) fn new(store: Store, name: &str) -> Self {
        Self {
            store,
            name: name.to_owned(),
        }
    }
}

impl TokenKeeper for KeptToken {
    fn hold(&self) -> io::Result<Box<dyn HeldToken>> {
        let lock = self.store.hold_logins(&self.name);
        let lock = lock.map_err(io::Error::other)?;
        let orgs = self.store.read().map_err(io::Error::other)?;
        let org = orgs.get(&self.name).map_err(io::Error::other)?;
        HELD.fetch_add(1, Ordering::SeqCst);
        Ok(Box::new(HeldKept {
            token: org.refresh_token.clone(),
            name: self.name.clone(),
            store: self.store.clone(),
            _lock: lock,
        }))
    }

    fn cure(&self) -> String {
        let name = &self.name;
        format!(
            "the login of the org {name} is not valid any more: it was revoked, was not used for too long, \
             or was pushed out by later logins (Salesforce keeps five of a user and an app). Log in again: \
             arrow-salesforce login --as {name}"
        )
    }
}

impl HeldToken for HeldKept {
    fn token(&self) -> SecretString {
        self.token.clone()
    }

    fn replace(&mut self, token: &SecretString) -> io::Result<()> {
        let mut held = self.store.hold().map_err(io::Error::other)?;
        let org = held.orgs.orgs.get_mut(&self.name);
        // The user may have logged out, or in anew, in the meantime.
        if let Some(org) = org.filter(|org| is_same(&org.refresh_token, &self.token)) {
            org.refresh_token = token.clone();
            held.write().map_err(io::Error::other)?;
        }
        Ok(())
    }
}

impl Drop for HeldKept {
    fn drop(&mut self) {
        HELD.fetch_sub(1, Ordering::SeqCst);
    }
}

fn is_same(one: &SecretString, other: &SecretString) -> bool {
    one.expose_secret() == other.expose_secret()
}
