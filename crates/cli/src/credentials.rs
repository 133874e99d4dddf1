//! Whose org a command is about, and how to log in. What is typed comes first: the sf command line, a
//! config file, an org that is logged in to. Then the environment, and at last the default org.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_salesforce::bulk::Client;
use arrow_salesforce::{Credentials, Org, OrgOptions};
use destination_salesforce::config::{Config, ConfigText};
use secrecy::SecretString;
use url::Url;

use crate::cli::OrgArgs;
use crate::error::{CliError, Result};
use crate::orgs::{KeptToken, Orgs, Store};
use crate::spec::LoadSpec;
use variables::{REFRESH_TOKEN, Variables};

pub(crate) use variables::login_variables;

mod sf;
mod variables;

/// A config file, where nothing is typed.
const CONFIG: &str = "ARROW_SALESFORCE_CONFIG";
/// The name of an org, where nothing is typed.
const ORG: &str = "ARROW_SALESFORCE_ORG";

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
    /// The file of orgs.
    Orgs(Arc<KeptToken>),
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
    let options = login.options;
    Ok(Org::new(login.connect().await?, options)?)
}

/// The same, without the engine: for commands that load nothing.
///
/// # Errors
/// As [`org`].
pub(crate) async fn client(args: &OrgArgs) -> Result<Client> {
    login(args).await?.connect().await
}

/// Where it is said whose org it is.
#[derive(Debug, PartialEq, Eq)]
enum Said {
    Sf(String),
    File(String),
    Org(String),
    /// Variables, or the default org.
    Nowhere,
}

impl Said {
    /// What is typed, or else what `variable` says.
    fn of(args: &OrgArgs, variable: &dyn Fn(&str) -> Option<String>) -> Self {
        // What is empty says nothing.
        let given = |typed: &Option<String>| typed.clone().filter(|value| !value.is_empty());
        let typed = [
            given(&args.from_sf).map(Self::Sf),
            given(&args.config).map(Self::File),
            given(&args.org).map(Self::Org),
        ];
        let set = |name| given(&variable(name));
        typed.into_iter().flatten().next().unwrap_or_else(|| {
            let file = set(CONFIG).map(Self::File);
            let org = || set(ORG).map(Self::Org);
            file.or_else(org).unwrap_or(Self::Nowhere)
        })
    }
}

/// The login that the arguments, or else the environment, name.
async fn login(args: &OrgArgs) -> Result<Login> {
    let variable = |name: &str| std::env::var(name).ok();
    let mut login = match Said::of(args, &variable) {
        Said::Sf(alias) => Login::of(sf::credentials(&alias).await?),
        Said::File(path) => from_file(Path::new(&path))?,
        Said::Org(name) => named(Store::of_user()?, |_| Some(name))?,
        Said::Nowhere => said_nowhere(&Variables(&variable))?,
    };
    if let Some(memory) = &args.memory {
        login.options.memory_limit_bytes = bytes(memory)?;
    }
    Ok(login)
}

/// The login that variables say whole, or the default org's.
fn said_nowhere(variables: &Variables<'_>) -> Result<Login> {
    if !variables.say_whose() {
        let store = Store::of_user()?;
        if store.read()?.default.is_some() {
            return named(store, |orgs| orgs.default.clone());
        }
    }
    Ok(Login::of(variables.credentials()?))
}

/// The login of an org of the store.
fn named(store: Store, name: impl FnOnce(&Orgs) -> Option<String>) -> Result<Login> {
    let orgs = store.read()?;
    let name = name(&orgs).unwrap_or_default();
    let org = orgs.get(&name)?;
    let keeper = Arc::new(KeptToken::new(store, &name));
    Ok(Login {
        credentials: org.credentials(),
        options: OrgOptions::default(),
        keeper: Keeper::Orgs(keeper),
    })
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
        let mut client = Client::builder(self.credentials).waits(self.options.waits);
        if let Keeper::Orgs(token) = &keeper {
            client = client.shared_refresh_token(Arc::<KeptToken>::clone(token));
        }
        let client = client.on_rotated_refresh_token(Arc::new(move |token| keeper.keep(token)));
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

impl Keeper {
    /// A login returned another refresh token, and the one before is dead.
    fn keep(&self, token: &SecretString) {
        match self {
            // It has written it.
            Self::Orgs(_) => {}
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

/// The URL that `name` gives; https where it names no scheme.
///
/// # Errors
/// A usage error that names it.
pub(crate) fn parse_url(name: &str, text: &str) -> Result<Url> {
    let text = text.trim();
    let url = match text.contains("://") {
        true => Url::parse(text),
        false => Url::parse(&format!("https://{text}")),
    };
    url.map_err(|error| CliError::usage(format!("{name} is not a URL: {error}")))
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
