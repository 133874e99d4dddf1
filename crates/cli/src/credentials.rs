//! Whose org a command is about, and how to log in: a config file, the sf command line, or the
//! environment.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;

use arrow_salesforce::bulk::Client;
use arrow_salesforce::{Credentials, Org, OrgOptions};
use destination_salesforce::config::{Config, ConfigText};
use secrecy::SecretString;
use serde::Deserialize;
use tokio::process::Command;
use url::Url;

use crate::cli::OrgArgs;
use crate::error::{CliError, Result};
use crate::spec::LoadSpec;

const LOGIN_URL: &str = "SF_LOGIN_URL";
const INSTANCE_URL: &str = "SF_INSTANCE_URL";
const ACCESS_TOKEN: &str = "SF_ACCESS_TOKEN";
const CLIENT_ID: &str = "SF_CLIENT_ID";
const CLIENT_SECRET: &str = "SF_CLIENT_SECRET";
const REFRESH_TOKEN: &str = "SF_REFRESH_TOKEN";
const USERNAME: &str = "SF_USERNAME";
const PRIVATE_KEY: &str = "SF_PRIVATE_KEY";
const PRIVATE_KEY_FILE: &str = "SF_PRIVATE_KEY_FILE";
const INSTANCE_HOSTS: &str = "SF_INSTANCE_HOSTS";

/// Where the sf command line is.
const SF: &str = if cfg!(windows) { "sf.cmd" } else { "sf" };

/// Where general logins go.
const LOGIN: &str = "https://login.salesforce.com";

/// A login, and the options of the process.
struct Login {
    credentials: Credentials,
    options: OrgOptions,
    /// Who keeps the refresh token, for the case that it is replaced.
    keeper: Keeper,
}

/// Who keeps a refresh token.
enum Keeper {
    /// A config file.
    File(PathBuf, ConfigText),
    /// A variable of the environment.
    Environment,
}

/// Logs in to the org that the arguments, or else the environment, name.
///
/// # Errors
/// A usage error that names what is lacking or wrong; any of a login's.
pub(crate) async fn org(args: &OrgArgs, spec: &LoadSpec) -> Result<Org> {
    let mut login = login(args).await?;
    if let Some(jobs) = spec.write.max_jobs_in_flight {
        login.options.max_jobs_in_flight = jobs;
    }
    let options = login.options.clone();
    Ok(Org::new(login.connect().await?, options)?)
}

/// The same, without the engine: for commands that load nothing.
///
/// # Errors
/// As [`org`].
pub(crate) async fn client(args: &OrgArgs) -> Result<Client> {
    login(args).await?.connect().await
}

/// The login that the arguments, or else the environment, name.
async fn login(args: &OrgArgs) -> Result<Login> {
    // A variable that is empty says nothing.
    let config = args.config.as_ref().filter(|path| !path.is_empty());
    let mut login = match (&args.from_sf, config) {
        (Some(alias), _) => Login::of(from_sf(alias).await?),
        (None, Some(path)) => from_file(Path::new(path))?,
        (None, None) => Login::of(from_variables(&|name| std::env::var(name).ok())?),
    };
    if let Some(memory) = &args.memory {
        login.options.memory_limit_bytes = bytes(memory)?;
    }
    Ok(login)
}

/// An error of options, with the names of flags.
#[expect(clippy::needless_pass_by_value, reason = "map_err hands it over")]
fn as_typed(error: arrow_salesforce::Error) -> CliError {
    let text = error.to_string();
    let text = text.replace("max_jobs_in_flight", "--max-jobs-in-flight");
    CliError::usage(text.replace("memory_limit_bytes", "--memory"))
}

impl Login {
    fn of(credentials: Credentials) -> Self {
        Self {
            credentials,
            options: OrgOptions::default(),
            keeper: Keeper::Environment,
        }
    }

    /// Logs in.
    async fn connect(self) -> Result<Client> {
        self.options.validate().map_err(as_typed)?;
        let keeper = self.keeper;
        let client = Client::builder(self.credentials)
            .waits(self.options.waits)
            .on_rotated_refresh_token(Arc::new(move |token| keeper.keep(token)));
        let client = client.connect().await;
        Ok(client.map_err(arrow_salesforce::Error::from)?)
    }
}

fn from_file(path: &Path) -> Result<Login> {
    let config = Config::read(path)?;
    Ok(Login {
        credentials: config.credentials,
        options: config.org,
        keeper: Keeper::File(path.to_owned(), config.text),
    })
}

/// The credentials that variables hold, each read by `variable`.
fn from_variables(variable: &dyn Fn(&str) -> Option<String>) -> Result<Credentials> {
    let variables = Variables(variable);
    let kinds = [
        (ACCESS_TOKEN, variables.has(ACCESS_TOKEN)),
        (REFRESH_TOKEN, variables.has(REFRESH_TOKEN)),
        (PRIVATE_KEY_FILE, variables.has(PRIVATE_KEY_FILE)),
        (PRIVATE_KEY, variables.has(PRIVATE_KEY)),
    ];
    let kinds: Vec<&str> = kinds
        .iter()
        .filter(|kind| kind.1)
        .map(|kind| kind.0)
        .collect();
    let credentials = match kinds.as_slice() {
        [ACCESS_TOKEN] => {
            let instance = parse_url(INSTANCE_URL, &variables.need(INSTANCE_URL)?)?;
            Credentials::access_token(instance, variables.need(ACCESS_TOKEN)?)
        }
        [REFRESH_TOKEN] => Credentials::refresh_token(
            variables.login_url()?,
            variables.need(CLIENT_ID)?,
            variables.get(CLIENT_SECRET).unwrap_or_default(),
            variables.need(REFRESH_TOKEN)?,
        ),
        [PRIVATE_KEY_FILE | PRIVATE_KEY] => Credentials::jwt_bearer(
            variables.login_url()?,
            variables.need(CLIENT_ID)?,
            variables.need(USERNAME)?,
            variables.private_key()?,
        ),
        [] if variables.has(CLIENT_ID) || variables.has(CLIENT_SECRET) => {
            let my_domain = parse_url(LOGIN_URL, &variables.need(LOGIN_URL)?)?;
            let (id, secret) = (variables.need(CLIENT_ID)?, variables.need(CLIENT_SECRET)?);
            Credentials::client_credentials(my_domain, id, secret)
        }
        [] if variables.has(INSTANCE_URL) => return Err(lacking(ACCESS_TOKEN)),
        [] => {
            return Err(CliError::usage(format!(
                "nothing says whose org it is: give --config FILE or --from-sf ALIAS, or set \
                 {CLIENT_ID} and what else `arrow-salesforce load --help` names"
            )));
        }
        several => {
            return Err(CliError::usage(format!(
                "{} are set, and each is another way to log in; leave one of them",
                several.join(" and ")
            )));
        }
    };
    Ok(credentials.with_instance_hosts(variables.instance_hosts()))
}

/// Variables of the environment; an empty one counts as none.
struct Variables<'a>(&'a dyn Fn(&str) -> Option<String>);

impl Variables<'_> {
    fn get(&self, name: &str) -> Option<String> {
        (self.0)(name).filter(|value| !value.trim().is_empty())
    }

    fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    fn need(&self, name: &str) -> Result<String> {
        self.get(name).ok_or_else(|| lacking(name))
    }

    fn login_url(&self) -> Result<Url> {
        let url = self.get(LOGIN_URL).or_else(|| self.get(INSTANCE_URL));
        parse_url(LOGIN_URL, url.as_deref().unwrap_or(LOGIN))
    }

    fn private_key(&self) -> Result<SecretString> {
        if let Some(key) = self.get(PRIVATE_KEY) {
            return Ok(key.into());
        }
        let path = self.need(PRIVATE_KEY_FILE)?;
        let key = fs::read_to_string(&path).map_err(|error| {
            CliError::usage(format!(
                "{PRIVATE_KEY_FILE}: {path} cannot be read: {error}"
            ))
        })?;
        Ok(key.into())
    }

    fn instance_hosts(&self) -> Vec<String> {
        let hosts = self.get(INSTANCE_HOSTS).unwrap_or_default();
        let hosts = hosts
            .split(',')
            .map(str::trim)
            .filter(|host| !host.is_empty());
        hosts.map(str::to_owned).collect()
    }
}

fn lacking(name: &str) -> CliError {
    CliError::usage(format!("{name} is not set; this way to log in needs it"))
}

fn parse_url(name: &str, text: &str) -> Result<Url> {
    let text = text.trim();
    let url = match text.contains("://") {
        true => Url::parse(text),
        false => Url::parse(&format!("https://{text}")),
    };
    url.map_err(|error| CliError::usage(format!("{name} is not a URL: {error}")))
}

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
async fn from_sf(alias: &str) -> Result<Credentials> {
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

impl Keeper {
    /// A login returned another refresh token, and the one before is dead.
    fn keep(&self, token: &SecretString) {
        match self {
            Self::Environment => tracing::warn!(
                "the login gave a new refresh token, and {REFRESH_TOKEN} is not valid any more; \
                 where refresh tokens rotate, use --config: the new one is written into the file"
            ),
            Self::File(path, text) => {
                if let Err(error) = rewrite(path, text, token) {
                    tracing::error!(
                        %error, file = %path.display(),
                        "the new refresh token could not be written into the config file, and the \
                         one in it is not valid any more"
                    );
                }
            }
        }
    }
}

/// Puts the file with the new token in the place of the old one, at once.
fn rewrite(path: &Path, text: &ConfigText, token: &SecretString) -> Result<(), CliError> {
    let text = text.with_refresh_token(token)?;
    let failed = |error: std::io::Error| CliError::failed(error.to_string());
    let path = path.canonicalize().map_err(failed)?;
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
    file.write_all(text.get().as_bytes()).map_err(failed)?;
    let permissions = fs::metadata(&path).map_err(failed)?.permissions();
    file.as_file()
        .set_permissions(permissions)
        .map_err(failed)?;
    file.as_file().sync_all().map_err(failed)?;
    file.persist(&path).map_err(|error| failed(error.error))?;
    Ok(())
}

/// A number of bytes: `512MiB`, `2g`, `100000000`.
///
/// # Errors
/// A usage error that says what is allowed.
fn bytes(text: &str) -> Result<u64> {
    let wrong = || {
        CliError::usage(format!(
            "--memory {text}: it is a number with a unit, such as 512MiB or 2GB"
        ))
    };
    let text = text.trim();
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let factor: u64 = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        _ => return Err(wrong()),
    };
    number.checked_mul(factor).ok_or_else(wrong)
}

#[cfg(test)]
mod tests;
