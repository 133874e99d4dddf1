//! `orgs`: those that are logged in to.

use chrono::Local;
use serde_json::json;

use crate::cli::orgs::{OrgsArgs, OrgsTask};
use crate::error::Result;
use crate::orgs::{KeptOrg, Store};
use crate::watch::{Page, print, say, show};

/// Lists the orgs that are logged in to, or makes one the default.
///
/// # Errors
/// If the file of orgs cannot be read or written; if no org has the name.
pub(crate) fn orgs(args: &OrgsArgs) -> Result<()> {
    let store = Store::of_user()?;
    if let Some(OrgsTask::Default { name }) = &args.task {
        let mut held = store.hold()?;
        held.orgs.get(name)?;
        held.orgs.default = Some(name.clone());
        held.write()?;
        show(&format!("{name} is the default org now"));
        return Ok(());
    }
    let orgs = store.read()?;
    let is_default = |name: &String| orgs.default.as_ref() == Some(name);
    if args.json {
        for (name, org) in &orgs.orgs {
            print(&json!({
                "name": name, "default": is_default(name), "username": org.username,
                "instance_url": org.instance_url.as_str(), "login_url": org.login_url.as_str(),
                "org_id": org.org_id, "user_id": org.user_id, "sandbox": org.sandbox,
                "client_id": org.client_id, "since": org.since,
            }));
        }
        return Ok(());
    }
    if orgs.orgs.is_empty() {
        say("no org is logged in to: `arrow-salesforce login` adds one");
        return Ok(());
    }
    let mut table = Page::of_stdout().table(&["Org", "User", "Address", "Kind", "Since"]);
    for (name, org) in &orgs.orgs {
        table.add_row([
            match is_default(name) {
                true => format!("{name} (default)"),
                false => name.clone(),
            },
            org.username.clone().unwrap_or_default(),
            org.instance_url.host_str().unwrap_or_default().to_owned(),
            kind(org).to_owned(),
            org.since
                .with_timezone(&Local)
                .format("%Y-%m-%d %H:%M")
                .to_string(),
        ]);
    }
    show(&table.to_string());
    Ok(())
}

/// What an org is, in a word.
fn kind(org: &KeptOrg) -> &'static str {
    match org.sandbox {
        Some(true) => "sandbox",
        Some(false) => "production",
        None => "",
    }
}
