use arrow_salesforce::bulk::Flow;

use super::*;

fn login(variables: &[(&str, &str)]) -> Result<Credentials> {
    from_variables(&|name| {
        let found = variables.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| (*value).to_owned())
    })
}

#[test]
fn each_way_to_log_in_has_its_variables() {
    let own = "https://acme.my.salesforce.com";
    let token = login(&[
        (ACCESS_TOKEN, "00D!x"),
        (INSTANCE_URL, "acme.my.salesforce.com"),
    ]);
    let token = token.unwrap();
    assert_eq!(token.login_url.as_str(), "https://acme.my.salesforce.com/");
    assert!(matches!(token.flow, Flow::AccessToken { .. }));
    let app = [(CLIENT_ID, "id"), (CLIENT_SECRET, "s"), (LOGIN_URL, own)];
    assert!(matches!(
        login(&app).unwrap().flow,
        Flow::ClientCredentials { .. }
    ));
    let user = [
        (CLIENT_ID, "id"),
        (CLIENT_SECRET, "s"),
        (REFRESH_TOKEN, "r"),
    ];
    let user = login(&user).unwrap();
    assert_eq!(user.login_url.as_str(), "https://login.salesforce.com/");
    assert!(matches!(user.flow, Flow::RefreshToken { .. }));
    let signed = [(CLIENT_ID, "id"), (USERNAME, "u@x"), (PRIVATE_KEY, "pem")];
    assert!(matches!(
        login(&signed).unwrap().flow,
        Flow::JwtBearer { .. }
    ));
}

#[test]
fn what_is_lacking_is_named() {
    let wrong = |variables: &[(&str, &str)]| login(variables).unwrap_err().to_string();
    insta::assert_snapshot!(wrong(&[]), @"nothing says whose org it is: give --config FILE or --from-sf ALIAS, or set SF_CLIENT_ID and what else `arrow-salesforce load --help` names");
    insta::assert_snapshot!(wrong(&[(INSTANCE_URL, "https://x.my.salesforce.com")]), @"SF_ACCESS_TOKEN is not set; this way to log in needs it");
    insta::assert_snapshot!(wrong(&[(CLIENT_ID, "id"), (CLIENT_SECRET, " ")]), @"SF_LOGIN_URL is not set; this way to log in needs it");
    insta::assert_snapshot!(wrong(&[(ACCESS_TOKEN, "x"), (PRIVATE_KEY, "y")]), @"SF_ACCESS_TOKEN and SF_PRIVATE_KEY are set, and each is another way to log in; leave one of them");
    let no_file = [
        (CLIENT_ID, "id"),
        (USERNAME, "u"),
        (PRIVATE_KEY_FILE, "/nowhere/key.pem"),
    ];
    insta::assert_snapshot!(wrong(&no_file), @"SF_PRIVATE_KEY_FILE: /nowhere/key.pem cannot be read: No such file or directory (os error 2)");
    insta::assert_snapshot!(wrong(&[(ACCESS_TOKEN, "x"), (INSTANCE_URL, "https://")]), @"SF_INSTANCE_URL is not a URL: empty host");
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
