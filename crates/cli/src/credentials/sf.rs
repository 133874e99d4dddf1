//! Sessions of the sf command line.

use std::process::Stdio;

use arrow_salesforce::Credentials;
use serde::Deserialize;
use tokio::process::Command;

use super::parse_url;
use crate::error::{CliError, Result};

/// Where the sf command line is.
const SF: &str = if cfg!(windows) { "sf.cmd" } else { "sf" };

/// What `sf … --json` prints. Secrets are in it.
#[derive(Deserialize)]
struct Answer {
    result: Option<SfOrg>,
    message: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SfOrg {
    access_token: Option<String>,
    instance_url: Option<String>,
}

/// The session of an org that the sf command line is logged in to.
///
/// # Errors
/// If sf is not there, or knows no such org.
pub(super) async fn credentials(alias: &str) -> Result<Credentials> {
    let shown = sf(&["org", "display", "--target-org", alias, "--json"]).await?;
    let instance = shown.instance_url.as_deref();
    let instance = instance.ok_or_else(|| CliError::failed("sf names no instance of the org"))?;
    let instance = parse_url("the instance that sf names", instance)?;
    // Since 2.136 sf shows the token by a command of its own alone.
    let is_token = |token: &String| !token.starts_with('[');
    let token = match shown.access_token.filter(is_token) {
        Some(token) => token,
        None => {
            let asked = [
                "org",
                "auth",
                "show-access-token",
                "--target-org",
                alias,
                "--json",
            ];
            let shown = sf(&asked).await?;
            let token = shown.access_token.filter(is_token);
            token.ok_or_else(|| {
                CliError::failed(format!(
                    "sf shows no access token of {alias}; log in again by `sf org login web \
                     --alias {alias}`"
                ))
            })?
        }
    };
    Ok(Credentials::access_token(instance, token))
}

/// Runs the sf command line; what it prints is a secret.
async fn sf(args: &[&str]) -> Result<SfOrg> {
    let run = Command::new(SF)
        .args(args)
        .stdin(Stdio::null())
        // Without these it may colour its JSON.
        .env("NO_COLOR", "1")
        .env_remove("FORCE_COLOR")
        .output();
    let output = run.await.map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => CliError::usage(
            "--from-sf asks the sf command line, which is not on the PATH: install it, or give \
             credentials by --config or the environment",
        ),
        _ => CliError::failed(format!("sf cannot be started: {error}")),
    })?;
    let command = args.join(" ");
    let answer: Answer = serde_json::from_slice(&output.stdout).map_err(|_| {
        let said = String::from_utf8_lossy(&output.stderr);
        let said = said.lines().find(|line| !line.trim().is_empty());
        let said = said.unwrap_or("nothing that can be read").trim();
        CliError::failed(format!("`sf {command}` failed: {said}"))
    })?;
    match answer.result {
        Some(org) if output.status.success() => Ok(org),
        _ => {
            let said = answer.message.unwrap_or_else(|| output.status.to_string());
            Err(CliError::failed(format!("`sf {command}` failed: {said}")))
        }
    }
}
