//! `check`: whether a config works.

use std::path::Path;

use super::config::Config;
use super::message::{ConnectionStatus, Message, Output};
use super::rotation::Rotation;
use crate::bulk::Client;
use crate::error::Result;

/// Tries the config at `path` and prints what came of it.
///
/// # Errors
/// Only if the answer cannot be printed: a config that does not work is an answer.
pub(super) async fn run(path: &Path, output: &Output) -> Result<()> {
    let connection_status = match attempt(path, output).await {
        Ok(()) => ConnectionStatus::Succeeded,
        Err(error) => ConnectionStatus::Failed {
            message: error.to_string(),
        },
    };
    output.print(&Message::ConnectionStatus { connection_status })
}

/// Salesforce first, the place for rejected records second. The list of objects is what any user
/// who may use the API can read.
async fn attempt(path: &Path, output: &Output) -> Result<()> {
    let config = Config::read(path)?;
    let client = Client::connect(config.credentials.clone()).await?;
    Rotation::new(&config, &client, output).tell()?;
    client.sobjects().await?;
    config.reject_store().await?;
    Ok(())
}
