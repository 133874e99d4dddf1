//! `check`: whether a config works, and whether the org lets the user load.

use std::path::Path;

use super::stop::Stop;
use super::{proof, rotation};
use crate::config::Config;
use crate::protocol::message::{ConnectionStatus, Message};
use crate::protocol::output::Output;
use arrow_salesforce::bulk::{BulkError, Client, Limit, Limits, Organization};
use arrow_salesforce::error::{Error, Result};
use arrow_salesforce::object::{self, ListedObject};

/// Tries the config at `path` and prints what came of it.
///
/// # Errors
/// Only if the result cannot be printed, or a signal comes first: a config that does not work is a
/// result.
pub(super) async fn run(path: &Path, output: &Output, stop: &Stop) -> Result<()> {
    let connection_status = match attempt(path, output, stop).await {
        Ok(()) => ConnectionStatus::Succeeded,
        Err(error) if stop.is_asked() => return Err(error),
        Err(error) => ConnectionStatus::Failed {
            message: error.to_string(),
        },
    };
    output.print(&Message::ConnectionStatus { connection_status })
}

/// Salesforce first, the locations of rejected records, of the ledger and of receipts second. Anyone who may use the API can list
/// the objects; the other questions are left out where the user may not ask them.
async fn attempt(path: &Path, output: &Output, stop: &Stop) -> Result<()> {
    let config = Config::read(path)?;
    let login = rotation::login(&config, output).connect();
    let client = stop
        .unless_asked_for_long(login)
        .await?
        .map_err(Error::from)?;
    stop.unless_asked(org(&config, &client)).await??;
    let store = config.reject_store()?;
    if let Some(store) = &store {
        stop.unless_asked_for_long(store.prove()).await??;
    }
    let ledger = proof::ledger_storage(&config, store.as_ref(), false);
    stop.unless_asked_for_long(ledger).await??;
    let receipts = proof::receipt_store(&config, false);
    stop.unless_asked_for_long(receipts).await??;
    Ok(())
}

/// What the org has to say to the config.
async fn org(config: &Config, client: &Client) -> Result<()> {
    writable(&client.sobjects().await?)?;
    kind_of_org(config.is_sandbox, &client.organization().await?)?;
    allowances(client).await
}

/// Whether the user may write anything that a stream can load into.
fn writable(list: &[u8]) -> Result<()> {
    let listed = object::list(list)?;
    let writable: Vec<&ListedObject> = listed
        .iter()
        .filter(|object| object.is_writable() && !object.is_systems_own())
        .collect();
    if writable.is_empty() {
        return Err(Error::config(format!(
            "the user can log in, but may write none of the {} objects that it sees: give it a \
             permission set with Create, Edit or Delete on the objects to load, and a licence that \
             allows them",
            listed.len()
        )));
    }
    let count = |may: fn(&ListedObject) -> bool| writable.iter().filter(|&&it| may(it)).count();
    tracing::info!(
        create = count(|object| object.createable),
        edit = count(|object| object.updateable),
        delete = count(|object| object.deletable),
        "objects whose records the user may write"
    );
    Ok(())
}

/// Whether the switch of the config is what the org says of itself.
fn kind_of_org(is_sandbox: Option<bool>, org: &Organization) -> Result<()> {
    let Organization { host, edition, .. } = org;
    let edition = edition.as_deref().unwrap_or("unknown");
    tracing::info!(host, edition, is_sandbox = org.is_sandbox, "the org");
    let (Some(switch), Some(is)) = (is_sandbox, org.is_sandbox) else {
        return Ok(());
    };
    if switch == is {
        return Ok(());
    }
    Err(Error::config(if is {
        format!(
            "is_sandbox is off, but the org at {host} says that it is a sandbox: switch is_sandbox \
             on (sandboxes log in at test.salesforce.com), or give the credentials of the \
             production org"
        )
    } else {
        format!(
            "is_sandbox is on, but the org at {host} says that it is no sandbox: switch is_sandbox \
             off (other orgs log in at login.salesforce.com), or give the credentials of the \
             sandbox"
        )
    }))
}

/// Whether the org has API calls and batches left for today.
async fn allowances(client: &Client) -> Result<()> {
    let limits: Limits = match client.limits().await {
        Ok(limits) => limits,
        Err(error @ BulkError::Refused { .. }) => {
            tracing::warn!(%error, "the limits of the org are not known");
            return Ok(());
        }
        Err(error) => return Err(error.into()),
    };
    let all = [
        ("API requests", limits.daily_api_requests()),
        ("Bulk API batches", limits.daily_bulk_batches()),
    ];
    for (what, limit) in all {
        let Some(limit) = limit.filter(|limit| limit.max > 0) else {
            continue;
        };
        if let Some(warning) = little(what, limit)? {
            tracing::warn!("{warning}");
        }
    }
    Ok(())
}

/// A warning where less than a tenth of an allowance is left, an error where nothing is.
fn little(what: &str, limit: Limit) -> Result<Option<String>> {
    let Limit { max, remaining } = limit;
    if remaining <= 0 {
        return Err(Error::transient(format!(
            "none of the {max} {what} that the org has for 24 hours is left: try again later, \
             find out in Setup what uses them up, or ask Salesforce for more"
        )));
    }
    let little = remaining.saturating_mul(10) < max;
    Ok(little.then(|| {
        format!("only {remaining} of the {max} {what} that the org has for 24 hours are left")
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn org(host: &str, is_sandbox: Option<bool>) -> Organization {
        Organization {
            host: host.to_owned(),
            is_sandbox,
            edition: None,
        }
    }

    #[test]
    fn objects_that_the_user_may_write() {
        let list = |flags: [bool; 3]| {
            let object = |flags: [bool; 3]| {
                let [createable, updateable, deletable] = flags;
                serde_json::json!({"name": "X", "createable": createable,
                    "updateable": updateable, "deletable": deletable})
            };
            serde_json::json!({"sobjects": [object([false; 3]), object(flags)]}).to_string()
        };
        for flags in [
            [true, false, false],
            [false, true, false],
            [false, false, true],
        ] {
            writable(list(flags).as_bytes()).unwrap();
        }
        let error = writable(list([false; 3]).as_bytes()).unwrap_err();
        insta::assert_snapshot!(error, @"the user can log in, but may write none of the 2 objects that it sees: give it a permission set with Create, Edit or Delete on the objects to load, and a licence that allows them");
        let share = br#"{"sobjects":[{"name":"AccountShare","createable":true}]}"#;
        writable(share).unwrap_err();
        writable(b"<html>").unwrap_err();
    }

    #[test]
    fn the_switch_is_compared_with_what_is_known() {
        let sandbox = org("acme--uat.sandbox.my.salesforce.com", Some(true));
        let production = org("acme.my.salesforce.com", Some(false));
        for (switch, org) in [
            (Some(true), &sandbox),
            (Some(false), &production),
            (None, &sandbox),
            (Some(true), &org("127.0.0.1", None)),
        ] {
            kind_of_org(switch, org).unwrap();
        }
        let texts = [
            kind_of_org(Some(false), &sandbox).unwrap_err().to_string(),
            kind_of_org(Some(true), &production)
                .unwrap_err()
                .to_string(),
        ];
        insta::assert_snapshot!(texts.join("\n"), @"
        is_sandbox is off, but the org at acme--uat.sandbox.my.salesforce.com says that it is a sandbox: switch is_sandbox on (sandboxes log in at test.salesforce.com), or give the credentials of the production org
        is_sandbox is on, but the org at acme.my.salesforce.com says that it is no sandbox: switch is_sandbox off (other orgs log in at login.salesforce.com), or give the credentials of the sandbox
        ");
    }

    #[test]
    fn what_is_left_of_an_allowance() {
        let said = |remaining| {
            let max = 15_000;
            match little("API requests", Limit { max, remaining }) {
                Ok(warning) => warning.unwrap_or_else(|| "enough".to_owned()),
                Err(error) => error.to_string(),
            }
        };
        let texts = [said(1_500), said(1_499), said(0), said(-3)];
        insta::assert_snapshot!(texts.join("\n"), @"
        enough
        only 1499 of the 15000 API requests that the org has for 24 hours are left
        none of the 15000 API requests that the org has for 24 hours is left: try again later, find out in Setup what uses them up, or ask Salesforce for more
        none of the 15000 API requests that the org has for 24 hours is left: try again later, find out in Setup what uses them up, or ask Salesforce for more
        ");
    }
}
