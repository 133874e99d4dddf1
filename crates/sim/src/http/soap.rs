//! The login of the SOAP API, which clients use that have a user's name and password.
//!
//! [Its documentation](https://developer.salesforce.com/docs/atlas.en-us.api.meta/api/sforce_api_calls_login.htm)
//! names the elements; of the SOAP API there is no other call.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::{App, body, oauth};
use crate::error::ApiError;
use crate::org::ORG_ID;

/// `POST /services/Soap/u/{version}`.
pub(super) async fn login(
    State(app): State<Arc<App>>,
    Path(version): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let body = body::read(body).await?;
    let text = String::from_utf8_lossy(&body);
    if element(&text, "login").is_none() {
        let message = "this simulator knows login alone of the SOAP API";
        return Ok(fault("UNKNOWN_EXCEPTION", message));
    }
    let given = |name: &str| unescaped(element(&text, name).unwrap_or_default());
    let Some(user) = oauth::by_password(&app, &given("username"), &given("password")) else {
        let message = "Invalid username, password, security token; or user locked out.";
        return Ok(fault("INVALID_LOGIN", message));
    };
    let id = user.id.clone();
    let token = oauth::session(&app, user, None);
    let url = app.instance_url(&headers);
    let org = &ORG_ID[..15];
    let answer = format!(
        "<loginResponse><result><passwordExpired>false</passwordExpired><sandbox>{}</sandbox>\
         <serverUrl>{url}/services/Soap/u/{version}/{org}</serverUrl>\
         <sessionId>{token}</sessionId><userId>{id}</userId><userInfo>\
         <organizationId>{ORG_ID}</organizationId><userId>{id}</userId>\
         <sessionSecondsValid>7200</sessionSecondsValid></userInfo></result></loginResponse>",
        app.options().sandbox
    );
    Ok(envelope(StatusCode::OK, &answer))
}

/// The answer that refuses.
fn fault(code: &str, message: &str) -> Response {
    let answer = format!(
        "<soapenv:Fault><faultcode>sf:{code}</faultcode><faultstring>{code}: {message}\
         </faultstring><detail><sf:LoginFault xmlns:sf=\"urn:fault.partner.soap.sforce.com\">\
         <sf:exceptionCode>{code}</sf:exceptionCode><sf:exceptionMessage>{message}\
         </sf:exceptionMessage></sf:LoginFault></detail></soapenv:Fault>"
    );
    envelope(StatusCode::INTERNAL_SERVER_ERROR, &answer)
}

fn envelope(status: StatusCode, answer: &str) -> Response {
    let text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><soapenv:Envelope \
         xmlns:soapenv=\"http://schemas.xmlsoap.org/soap/envelope/\" \
         xmlns=\"urn:partner.soap.sforce.com\"><soapenv:Body>{answer}</soapenv:Body>\
         </soapenv:Envelope>"
    );
    let kind = [(header::CONTENT_TYPE, "text/xml;charset=UTF-8")];
    (status, kind, text).into_response()
}

/// The text of the first element of a name, with any prefix.
fn element<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    let mut rest = xml;
    loop {
        let (_, after) = rest.split_once('<')?;
        let (tag, inside) = after.split_once('>')?;
        let full = tag.split_whitespace().next().unwrap_or_default();
        if full.rsplit(':').next() == Some(name) && !tag.starts_with('/') {
            return inside
                .split_once(&format!("</{full}"))
                .map(|(text, _)| text);
        }
        rest = after;
    }
}

fn unescaped(text: &str) -> String {
    let text = text.replace("&lt;", "<").replace("&gt;", ">");
    let text = text.replace("&quot;", "\"").replace("&apos;", "'");
    text.replace("&#39;", "'").replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_found_with_any_prefix() {
        let xml = "<?xml version=\"1.0\"?><a:b xmlns:a=\"x\"><n1:login><n1:username>me&amp;you\
                   </n1:username><password/></n1:login></a:b>";
        assert_eq!(
            element(xml, "username").map(unescaped),
            Some("me&you".to_owned())
        );
        assert!(element(xml, "login").is_some());
        assert_eq!(element(xml, "token"), None);
    }
}
