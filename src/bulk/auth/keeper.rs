//! Who keeps the refresh token of a login, for the case that it is replaced.

use std::io;
use std::sync::Arc;

use secrecy::SecretString;

use crate::bulk::error::BulkError;

/// Called with each refresh token that a login returns in place of the one it was given.
pub(in crate::bulk) type OnRotated = Arc<dyn Fn(&SecretString) + Send + Sync>;

/// Keeps a refresh token that several processes log in by.
///
/// Where refresh tokens rotate, each login kills the token that it was given, and to show a dead one
/// revokes the newest. So a login holds the token, reads the newest, puts the new one in its place,
/// and then lets go.
pub trait TokenKeeper: Send + Sync {
    /// Waits until nobody else holds the token, and keeps others from it until the result is dropped.
    /// It may block its thread.
    ///
    /// # Errors
    /// If the token cannot be read or held. The text names the cause and the cure, and no secret.
    fn hold(&self) -> io::Result<Box<dyn HeldToken>>;

    /// What to do once Salesforce refuses the token for good.
    fn cure(&self) -> String;
}

/// A refresh token that nobody else logs in by for now.
pub trait HeldToken: Send {
    /// The newest token.
    fn token(&self) -> SecretString;

    /// Puts a new one in its place. The session that came with it is used only after this.
    ///
    /// # Errors
    /// If it cannot be written.
    fn replace(&mut self, token: &SecretString) -> io::Result<()>;
}

/// Those who keep the token of one client.
#[derive(Clone, Default)]
pub(in crate::bulk) struct Keepers {
    pub(in crate::bulk) on_rotated: Option<OnRotated>,
    pub(in crate::bulk) shared: Option<Arc<dyn TokenKeeper>>,
}

impl Keepers {
    /// Holds the token, where it is shared.
    ///
    /// # Errors
    /// [`BulkError::TokenKept`].
    pub(super) async fn hold(&self) -> Result<Option<Box<dyn HeldToken>>, BulkError> {
        let Some(keeper) = self.shared.clone() else {
            return Ok(None);
        };
        let failed = |reason: String| BulkError::TokenKept { reason };
        let held = tokio::task::spawn_blocking(move || keeper.hold()).await;
        let held = held.map_err(|error| failed(error.to_string()))?;
        held.map(Some).map_err(|error| failed(error.to_string()))
    }

    /// Hands a new token to those who keep the old one, which is dead.
    pub(super) fn keep(&self, held: Option<Box<dyn HeldToken>>, token: &SecretString) {
        if let Some(mut held) = held
            && let Err(error) = held.replace(token)
        {
            tracing::error!(
                %error,
                "the new refresh token could not be kept, and the one that is kept is not valid any more"
            );
        }
        if let Some(notify) = &self.on_rotated {
            notify(token);
        }
    }

    /// What to do about a token that is not valid any more, if its keeper knows.
    pub(super) fn cure(&self) -> Option<String> {
        self.shared.as_ref().map(|keeper| keeper.cure())
    }
}
