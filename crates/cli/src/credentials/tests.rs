use super::*;

#[test]
fn what_is_typed_comes_first() {
    let set = |name: &str| Some(format!("{name} is set"));
    let said = |args: OrgArgs| Said::of(&args, &set);
    let word = |text: &str| Some(text.to_owned());
    let org = OrgArgs {
        org: word("uat"),
        ..OrgArgs::default()
    };
    assert_eq!(said(org), Said::Org("uat".to_owned()));
    let empty = OrgArgs {
        config: word(""),
        ..OrgArgs::default()
    };
    assert_eq!(said(empty), Said::File(format!("{CONFIG} is set")));
    let org_alone = |name: &str| (name == ORG).then(|| "uat".to_owned());
    let nothing = OrgArgs::default();
    assert_eq!(Said::of(&nothing, &org_alone), Said::Org("uat".to_owned()));
    assert_eq!(Said::of(&nothing, &|_| Some(String::new())), Said::Nowhere);
}

#[test]
fn sizes_have_units() {
    for (text, expected) in [
        ("1000", 1_000),
        ("512MiB", 512 << 20),
        ("128m", 128 << 20),
        ("2 GB", 2_000_000_000),
    ] {
        assert_eq!(bytes(text).unwrap(), expected, "{text}");
    }
    for wrong in ["", "MiB", "1.5GB", "-1", "7 apples", "99999999999999GiB"] {
        assert!(bytes(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn a_new_refresh_token_is_written_into_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.json");
    let config = r#"{"client_id":"id","client_secret":"s","refresh_token":"old","mine":1}"#;
    fs::write(&path, config).unwrap();
    let login = from_file(&path).unwrap();
    login.keeper.keep(&"new".into());
    let written: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    assert_eq!(written["refresh_token"], "new");
    assert_eq!(written["mine"], 1);
}
