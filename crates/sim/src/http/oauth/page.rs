//! The pages that a person sees in a browser.

use axum::extract::RawQuery;
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};

use super::Form;

/// Where Salesforce sends a browser whose login cannot go on.
pub(super) const ERROR_PATH: &str = "/setup/secur/RemoteAccessErrorPage.apexp";

const STYLE: &str = "body{font:16px sans-serif;background:#f4f6f9;color:#16325c}\
main{max-width:24em;margin:4em auto;padding:2em;background:#fff;border-radius:4px}\
label,input[type=text],input[type=password]{display:block;width:100%;box-sizing:border-box}\
input{font:inherit;margin:.3em 0 1em;padding:.5em}.error{color:#c23934}";

fn page(title: &str, content: &str) -> Response {
    let text = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>{title} | \
         Simulated Salesforce</title><style>{STYLE}</style></head>\n<body><main>\n\
         <h1>{title}</h1>\n{content}\n</main></body>\n</html>\n"
    );
    ([(header::CACHE_CONTROL, "no-store")], Html(text)).into_response()
}

/// Text inside of HTML, or of an attribute in quotes.
fn escaped(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    text.replace('>', "&gt;").replace('"', "&quot;")
}

/// A form that is sent to its own address, with values that the person does not see.
fn form(hidden: &[(&str, &str)], content: &str) -> String {
    let given = hidden.iter().filter(|(_, value)| !value.is_empty());
    let hidden = given.map(|(name, value)| {
        let value = escaped(value);
        format!("<input type=\"hidden\" name=\"{name}\" value=\"{value}\">\n")
    });
    let hidden: String = hidden.collect();
    format!("<form method=\"post\">\n{hidden}{content}\n</form>")
}

/// Asks for a user's name and password.
pub(super) fn login(hidden: &[(&str, &str)], username: &str, is_wrong: bool) -> Response {
    let error = if is_wrong {
        "<p class=\"error\" id=\"error\">Please check your username and password. If you still \
         can't log in, contact your Salesforce administrator.</p>\n"
    } else {
        ""
    };
    let username = escaped(username);
    let fields = format!(
        "{error}<label for=\"username\">Username</label>\n<input type=\"text\" id=\"username\" \
         name=\"username\" value=\"{username}\" autocomplete=\"username\">\n<label \
         for=\"password\">Password</label>\n<input type=\"password\" id=\"password\" name=\"pw\" \
         autocomplete=\"current-password\">\n<input type=\"submit\" id=\"Login\" value=\"Log In\">"
    );
    page("Log In", &form(hidden, &fields))
}

/// Asks a person who logged in whether an app may act in the person's name.
pub(super) fn consent(hidden: &[(&str, &str)], app: &str, username: &str, scope: &str) -> Response {
    let wishes = scope.split(' ').map(|part| match part {
        "api" => "Manage user data via APIs",
        "refresh_token" | "offline_access" => "Perform requests at any time",
        "id" | "openid" | "profile" | "email" => "Access the identity URL service",
        "web" => "Manage user data via Web browsers",
        "full" => "Full access",
        _ => "Other access",
    });
    let wishes: String = wishes.map(|wish| format!("<li>{wish}</li>")).collect();
    let content = format!(
        "<p>{} is asking to:</p>\n<ul>{wishes}</ul>\n<p>Do you want to allow access for {}?</p>\n{}",
        escaped(app),
        escaped(username),
        form(
            hidden,
            "<input type=\"submit\" id=\"oadeny\" name=\"decision\" value=\"Deny\">\n<input \
             type=\"submit\" id=\"oaapprove\" name=\"decision\" value=\"Allow\">"
        )
    );
    page("Allow Access?", &content)
}

/// Asks for the code that a device shows.
pub(super) fn connect(user_code: &str, is_wrong: bool) -> Response {
    let error = if is_wrong {
        "<p class=\"error\" id=\"error\">The code is invalid or has expired. Check the code on \
         your device and enter it again.</p>\n"
    } else {
        ""
    };
    let user_code = escaped(user_code);
    let fields = format!(
        "{error}<label for=\"user_code\">Code</label>\n<input type=\"text\" id=\"user_code\" \
         name=\"user_code\" value=\"{user_code}\">\n<input type=\"submit\" id=\"connect\" \
         value=\"Connect\">"
    );
    page("Connect Your Device", &form(&[], &fields))
}

/// Says how the login of a device ended.
pub(super) fn connected(is_allowed: bool) -> Response {
    if is_allowed {
        page(
            "You're Connected",
            "<p>You can close this page and go on at your device.</p>",
        )
    } else {
        page("Access Denied", "<p>The device has no access.</p>")
    }
}

/// `GET /services/oauth2/success`: where an app without an address of its own sends the browser.
pub(super) async fn success() -> Response {
    page(
        "Remote Access Authorized",
        "<p>The address of this page has the code that the app asks for.</p>",
    )
}

/// Sends a browser to the page of an error.
pub(super) fn failed(error: &str, description: &str) -> Response {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.append_pair("error", error);
    query.append_pair("error_description", description);
    found(&format!("{ERROR_PATH}?{}", query.finish()))
}

/// A redirect.
pub(super) fn found(location: &str) -> Response {
    (StatusCode::FOUND, [(header::LOCATION, location)]).into_response()
}

/// The page of an error: it answers the person, and the app hears nothing of it.
pub(super) async fn oauth_error(RawQuery(query): RawQuery) -> Response {
    let given = Form::read(query.unwrap_or_default().as_bytes());
    let (error, description) = (given.field("error"), given.field("error_description"));
    let shown = match (error, description) {
        ("invalid_client", "app must be installed into org") => {
            "OAUTH_APPROVAL_ERROR_GENERIC : An unexpected error has occured during authentication. \
             Please try again."
                .to_owned()
        }
        ("invalid_client", "external client app is not installed in this org") => {
            "OAUTH_EC_APP_NOT_FOUND : External client app is not installed in this org".to_owned()
        }
        _ => format!("{} : {}", escaped(error), escaped(description)),
    };
    page(
        "OAuth Error",
        &format!(
            "<p>We can't authorize you because of an OAuth error. For more information, contact \
             your Salesforce administrator.</p>\n<p class=\"error\" id=\"error\">{shown}</p>"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_page_shows_is_no_html() {
        let shown = form(&[("state", "\"><b>&"), ("scope", "")], "");
        assert!(
            shown.contains("name=\"state\" value=\"&quot;&gt;&lt;b&gt;&amp;\""),
            "{shown}"
        );
        assert!(!shown.contains("scope"), "{shown}");
    }
}
