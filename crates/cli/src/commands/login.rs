//! `login`.

use std::io::{self, IsTerminal as _};
use std::time::Duration;

use arrow_salesforce::bulk::{
    App, BulkError, Client, CodeLogin, DeviceLogin, Granted, LoginRefused, Organization, User,
};
use chrono::Utc;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines, Stdin};
use url::Url;

use crate::cli::orgs::LoginArgs;
use crate::credentials::{login_variables, parse_url};
use crate::error::{CliError, Result};
use crate::login::{Answered, Callback, open, typed};
use crate::orgs::{KeptOrg, Orgs, Store};
use crate::watch::{say, show};

/// Where general logins go, and those of sandboxes.
const LOGIN: &str = "https://login.salesforce.com";
const SANDBOX: &str = "https://test.salesforce.com";

/// Logs in, and keeps the login.
///
/// # Errors
/// If nobody logs in, or the login cannot be kept.
pub(crate) async fn login(args: LoginArgs) -> Result<()> {
    if args
        .name
        .as_deref()
        .is_some_and(|name| name.trim().is_empty())
    {
        return Err(CliError::usage("--as is empty; give the org a name"));
    }
    let store = Store::of_user()?;
    // What cannot be kept need not be asked for.
    let orgs = store.hold()?.orgs;
    let app = app(&args, &orgs)?;
    let granted = match args.device {
        true => by_device(app.clone()).await?,
        false => by_browser(app.clone(), &args).await?,
    };
    keep(&store, &args, app, &granted).await
}

/// The app: as typed, as it was at the last login of this name, or as the environment says.
fn app(args: &LoginArgs, orgs: &Orgs) -> Result<App> {
    let variables = login_variables();
    let kept = args.name.as_ref().and_then(|name| orgs.orgs.get(name));
    let typed = args.client_id.clone();
    let kept = kept.filter(|kept| typed.as_ref().is_none_or(|id| *id == kept.client_id));
    let client_id = typed
        .or_else(|| kept.map(|kept| kept.client_id.clone()))
        .or(variables.client_id);
    let client_id = client_id.ok_or_else(|| {
        CliError::usage(
            "nothing says which app to log in by: give --client-id, the consumer key of an app of the org \
             (docs/login.md says how to make one)",
        )
    })?;
    let login_url = match (args.sandbox, &args.url, kept) {
        (true, ..) => parse_url("--sandbox", SANDBOX)?,
        (false, Some(url), _) => parse_url("--url", url)?,
        (false, None, Some(kept)) => kept.login_url.clone(),
        (false, None, None) => parse_url(
            "SF_LOGIN_URL",
            variables.login_url.as_deref().unwrap_or(LOGIN),
        )?,
    };
    let secret = kept.and_then(|kept| kept.client_secret.clone());
    let hosts = kept.map_or(&[][..], |kept| &kept.instance_hosts);
    Ok(App {
        login_url,
        client_id,
        client_secret: variables.client_secret.or(secret),
        instance_hosts: match variables.instance_hosts.is_empty() {
            true => hosts.to_vec(),
            false => variables.instance_hosts,
        },
    })
}

async fn by_device(app: App) -> Result<Granted> {
    let login = DeviceLogin::begin(app).await.map_err(refused)?;
    say(&format!(
        "Open this address on any device, and type the code {}:\n\n  {}\n",
        login.user_code(),
        login.address()
    ));
    login.granted().await.map_err(refused)
}

async fn by_browser(app: App, args: &LoginArgs) -> Result<Granted> {
    let url = match &args.callback {
        Some(url) => parse_url("--callback", url)?,
        None => parse_url(
            "--port",
            &format!("http://localhost:{}/OauthRedirect", args.port),
        )?,
    };
    let mut callback = Callback::listen(url).await?;
    let login = CodeLogin::new(app, callback.url().clone()).map_err(refused)?;
    let address = login.address();
    let opened = !args.no_browser && open(&address);
    let how = match opened {
        true => "A browser opens for the login. If none does, open this address:",
        false => "Open this address in a browser of this machine:",
    };
    say(&format!("{how}\n\n  {address}\n"));
    let answering = answer(&mut callback, args.no_browser);
    let answered = tokio::time::timeout(Duration::from_secs(args.timeout), answering).await;
    let Ok(answered) = answered else {
        return Err(nobody(args.timeout, callback.url()));
    };
    match login.redeem(&answered.address).await.map_err(refused) {
        Ok(granted) => {
            let sentence = "You can close this page, and go on at the command line.";
            answered.show("You are logged in", sentence).await;
            Ok(granted)
        }
        Err(error) => {
            answered
                .show("Nobody is logged in", &error.to_string())
                .await;
            Err(error)
        }
    }
}

/// The address that the browser is sent to; or that it shows, on another machine, if a person types it here.
async fn answer(callback: &mut Callback, no_browser: bool) -> Answered {
    let url = callback.url().clone();
    if !no_browser && !io::stdin().is_terminal() {
        return callback.answered().await;
    }
    say(&format!(
        "With a browser of another machine, copy the address that it ends at ({url}?code=...), and paste it here."
    ));
    tokio::select! {
        answered = callback.answered() => answered,
        address = type_in(BufReader::new(tokio::io::stdin()).lines(), &url) => Answered::typed(address),
    }
}

/// Waits for an address on stdin, for ever if it is closed.
async fn type_in(mut lines: Lines<BufReader<Stdin>>, callback: &Url) -> Url {
    while let Ok(Some(line)) = lines.next_line().await {
        if let Some(address) = typed(&line, callback) {
            return address;
        }
        if !line.trim().is_empty() {
            say(&format!(
                "this is not it: the address has {callback}?code= in it"
            ));
        }
    }
    std::future::pending().await
}

fn nobody(seconds: u64, callback: &Url) -> CliError {
    CliError::failed(format!(
        "nobody logged in within {seconds} s. If the browser showed an error: \
         redirect_uri_mismatch means that {callback} is none of the app's callbacks (add it, or give \
         --callback); invalid_client_id, that --client-id is another app's or the org is a sandbox \
         (--sandbox) or has a login page of its own (--url); OAUTH_APPROVAL_ERROR_GENERIC or \
         OAUTH_EC_APP_NOT_FOUND, that the app is not installed in the org"
    ))
}

/// A refusal, with the flags that cure it.
fn refused(error: BulkError) -> CliError {
    let hint = match &error {
        BulkError::Login(refused) => hint(refused),
        BulkError::LoginUrl { .. } => Some("--url or --sandbox gives another"),
        _ => None,
    };
    match hint {
        Some(hint) => CliError::usage(format!("{error} ({hint})")),
        None => arrow_salesforce::Error::from(error).into(),
    }
}

fn hint(refused: &LoginRefused) -> Option<&'static str> {
    match &*refused.error {
        "redirect_uri_mismatch" => Some("--callback or --port names another"),
        "invalid_client" => Some("SF_CLIENT_SECRET is the secret"),
        "invalid_client_id" => {
            Some("--client-id is the key; --sandbox or --url says where to log in")
        }
        _ if refused.cure.ends_with("at a browser") => Some("that is, without --device"),
        _ => None,
    }
}

/// Writes the login into the file, and says so.
async fn keep(store: &Store, args: &LoginArgs, app: App, granted: &Granted) -> Result<()> {
    let (user, organization) = whose(granted).await;
    let host = granted.instance().host_str().unwrap_or_default().to_owned();
    let username = user.username;
    let name = args.name.clone().or_else(|| username.clone());
    let name = name.unwrap_or_else(|| host.clone());
    let org = KeptOrg {
        username: username.clone(),
        login_url: app.login_url,
        instance_url: granted.instance().clone(),
        client_id: app.client_id,
        client_secret: app.client_secret,
        refresh_token: granted.refresh_token().clone(),
        org_id: granted.org_id().map(str::to_owned).or(user.org_id),
        user_id: granted.user_id().map(str::to_owned).or(user.id),
        sandbox: organization.and_then(|organization| organization.is_sandbox),
        instance_hosts: app.instance_hosts,
        since: Utc::now(),
    };
    let mut held = store.hold()?;
    let new_id = org.org_id.clone();
    let before = held.orgs.orgs.insert(name.clone(), org);
    if args.default || held.orgs.default.is_none() {
        held.orgs.default = Some(name.clone());
    }
    held.write()?;
    if let Some(before) = before.filter(|before| before.org_id != new_id) {
        let host = before.instance_url.host_str().unwrap_or_default();
        say(&format!(
            "{name} was the name of another org until now: {host}"
        ));
    }
    let who = username.unwrap_or_else(|| "the user".to_owned());
    let how = match held.orgs.default.as_ref() == Some(&name) {
        true => "is the default org: commands that name none use it".to_owned(),
        false => format!("is its name: --org {name}"),
    };
    show(&format!("{who} is logged in to {host}; {name} {how}"));
    Ok(())
}

/// Who is logged in, and where, as far as the session may be asked.
async fn whose(granted: &Granted) -> (User, Option<Organization>) {
    let client = match Client::connect(granted.session()).await {
        Ok(client) => client,
        Err(error) => {
            tracing::debug!(%error, "the new session cannot be asked whose it is");
            return (User::default(), None);
        }
    };
    let (user, organization) = (client.user().await, client.organization().await);
    (user.unwrap_or_default(), organization.ok())
}
