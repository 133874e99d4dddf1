//! `logout`.

use arrow_salesforce::bulk::App;

use crate::cli::orgs::LogoutArgs;
use crate::error::{CliError, Result};
use crate::orgs::{KeptOrg, Store};
use crate::watch::{say, show};

/// Ends logins, there and here.
///
/// # Errors
/// If no org has the name; if Salesforce cannot be asked to end a login, which stays here then.
pub(crate) async fn logout(args: LogoutArgs) -> Result<()> {
    let store = Store::of_user()?;
    let orgs = store.read()?;
    let names: Vec<String> = match &args.name {
        Some(name) => {
            orgs.get(name)?;
            vec![name.clone()]
        }
        None => orgs.orgs.keys().cloned().collect(),
    };
    if names.is_empty() {
        say("no org is logged in to");
    }
    let mut failed = Vec::new();
    for name in names {
        if let Err(error) = end(&store, &name, args.force).await {
            failed.push(format!("{name}: {error}"));
        }
    }
    if failed.is_empty() {
        return Ok(());
    }
    Err(CliError::failed(format!(
        "{}. The login is kept; --force forgets it here, and it stays valid until an admin ends it in Setup \
         > Connected Apps OAuth Usage",
        failed.join("; ")
    )))
}

/// Ends one login.
async fn end(store: &Store, name: &str, force: bool) -> Result<()> {
    let logins = {
        let (store, name) = (store.clone(), name.to_owned());
        tokio::task::spawn_blocking(move || store.hold_logins(&name))
    };
    // Nobody logs in by the token while it ends, so that it is the newest.
    let _logins = logins
        .await
        .map_err(|error| CliError::failed(error.to_string()))??;
    let orgs = store.read()?;
    let org = orgs.get(name)?;
    let ended = app(org).revoke(&org.refresh_token).await;
    let said = match ended {
        Ok(true) => format!("{name} is logged out"),
        Ok(false) => format!("{name} is logged out; Salesforce had ended its login before"),
        Err(error) if force => {
            format!("{name} is forgotten here; Salesforce did not end its login ({error})")
        }
        Err(error) => return Err(arrow_salesforce::Error::from(error).into()),
    };
    let mut held = store.hold()?;
    held.orgs.remove(name);
    held.write()?;
    show(&said);
    Ok(())
}

fn app(org: &KeptOrg) -> App {
    App {
        login_url: org.login_url.clone(),
        client_id: org.client_id.clone(),
        client_secret: org.client_secret.clone(),
        instance_hosts: org.instance_hosts.clone(),
    }
}
