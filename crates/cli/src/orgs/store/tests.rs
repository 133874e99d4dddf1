use std::fs;
use std::sync::Arc;
use std::thread;

use arrow_salesforce::bulk::TokenKeeper as _;
use secrecy::ExposeSecret as _;
use tempfile::TempDir;

use super::super::KeptToken;
use super::*;

fn org(token: &str) -> KeptOrg {
    KeptOrg {
        username: Some("ann@acme.example".to_owned()),
        login_url: Url::parse("https://test.salesforce.com").unwrap(),
        instance_url: Url::parse("https://acme--uat.sandbox.my.salesforce.com").unwrap(),
        client_id: "3MVG9.id".to_owned(),
        client_secret: None,
        refresh_token: token.into(),
        org_id: Some("00D5g0000000001EAA".to_owned()),
        user_id: None,
        sandbox: Some(true),
        instance_hosts: Vec::new(),
        since: DateTime::UNIX_EPOCH,
    }
}

fn store_with(orgs: &[(&str, &str)]) -> (TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::at(&folder.path().join("settings"));
    let mut held = store.hold().unwrap();
    for (name, token) in orgs {
        held.orgs.orgs.insert((*name).to_owned(), org(token));
    }
    held.write().unwrap();
    (folder, store)
}

fn token(store: &Store, name: &str) -> String {
    let orgs = store.read().unwrap();
    let org = orgs.get(name).unwrap();
    org.refresh_token.expose_secret().to_owned()
}

#[test]
fn what_is_written_is_read() {
    let (_folder, store) = store_with(&[("uat", "5Aep861")]);
    let orgs = store.read().unwrap();
    let read = orgs.get("uat").unwrap();
    assert_eq!(read.refresh_token.expose_secret(), "5Aep861");
    assert_eq!(read.sandbox, Some(true));
    let shown = format!("{orgs:?}");
    assert!(!shown.contains("5Aep861"), "{shown}");
    let error = orgs.get("prod").unwrap_err();
    insta::assert_snapshot!(error, @r#"there is no org "prod"; those that are logged in to are uat; `arrow-salesforce login` adds one"#);
    insta::assert_snapshot!(Orgs::default().no_org("prod"), @r#"there is no org "prod"; log in by `arrow-salesforce login`"#);
}

#[cfg(unix)]
#[test]
fn the_file_is_of_this_user_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let (_folder, store) = store_with(&[("uat", "5Aep861")]);
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&store.path()), 0o600);
    assert_eq!(mode(&store.folder), 0o700);
    fs::set_permissions(store.path(), fs::Permissions::from_mode(0o644)).unwrap();
    store.read().unwrap();
    assert_eq!(mode(&store.path()), 0o600, "others had a look");
}

#[test]
fn many_who_write_lose_nothing() {
    let (_folder, store) = store_with(&[]);
    let writers = (0..8).map(|writer| {
        let store = store.clone();
        thread::spawn(move || {
            for number in 0..4 {
                let mut held = store.hold().unwrap();
                let name = format!("org{writer}-{number}");
                held.orgs.orgs.insert(name, org("5Aep861"));
                held.write().unwrap();
            }
        })
    });
    let writers: Vec<_> = writers.collect();
    for writer in writers {
        writer.join().unwrap();
    }
    assert_eq!(store.read().unwrap().orgs.len(), 32);
}

#[test]
fn each_login_finds_the_token_that_the_one_before_left() {
    let (_folder, store) = store_with(&[("uat", "0"), ("prod", "stays")]);
    let keeper = Arc::new(KeptToken::new(store.clone(), "uat"));
    let logins = (0..8).map(|_| {
        let keeper = Arc::clone(&keeper);
        thread::spawn(move || {
            let mut held = keeper.hold().unwrap();
            let number: u32 = held.token().expose_secret().parse().unwrap();
            held.replace(&(number + 1).to_string().into()).unwrap();
        })
    });
    let logins: Vec<_> = logins.collect();
    for login in logins {
        login.join().unwrap();
    }
    assert_eq!(token(&store, "uat"), "8");
    assert_eq!(token(&store, "prod"), "stays");
}

#[test]
fn a_new_login_is_not_written_over() {
    let (_folder, store) = store_with(&[("uat", "old")]);
    let keeper = KeptToken::new(store.clone(), "uat");
    let mut renewing = keeper.hold().unwrap();
    let mut held = store.hold().unwrap();
    held.orgs.orgs.insert("uat".to_owned(), org("anew"));
    held.write().unwrap();
    drop(held);
    renewing.replace(&"renewed".into()).unwrap();
    assert_eq!(token(&store, "uat"), "anew");
}

#[test]
fn files_that_cannot_be() {
    let (folder, store) = store_with(&[]);
    let read = |text: &str| {
        fs::write(store.path(), text).unwrap();
        let error = store.read().unwrap_err().to_string();
        error.replace(folder.path().to_str().unwrap(), "FOLDER")
    };
    insta::assert_snapshot!(read(r#"{"version":1,"orgs":{"a":{"refresh_token":"5Aep"#), @"FOLDER/settings/orgs.json is damaged (line 1 column 47): delete it, and log in again by `arrow-salesforce login`");
    insta::assert_snapshot!(read(r#"{"version":2,"orgs":7}"#), @"FOLDER/settings/orgs.json has version 2 and this is for version 1: use a newer arrow-salesforce");
}
