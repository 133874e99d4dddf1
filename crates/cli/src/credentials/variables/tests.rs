use arrow_salesforce::bulk::Flow;

use super::*;

fn login(variables: &[(&str, &str)]) -> Result<Credentials> {
    let variable = |name: &str| {
        let found = variables.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| (*value).to_owned())
    };
    Variables(&variable).credentials()
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
    insta::assert_snapshot!(wrong(&[]), @"nothing says whose org it is: log in by `arrow-salesforce login`, or give --org NAME, --config FILE or --from-sf ALIAS, or set SF_CLIENT_ID and what else `arrow-salesforce load --help` names");
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
fn what_is_not_whole_leaves_the_default_org() {
    let whole = |variables: &[(&str, &str)]| {
        let variable = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        Variables(&variable).say_whose()
    };
    assert!(whole(&[(ACCESS_TOKEN, "x")]));
    let app = [(CLIENT_ID, "id"), (CLIENT_SECRET, "s"), (LOGIN_URL, "x")];
    assert!(whole(&app));
    assert!(!whole(&app[..2]), "`login` needs these");
    assert!(!whole(&[(CLIENT_ID, "id")]));
}
