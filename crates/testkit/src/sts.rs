//! AWS STS, as far as roles are assumed.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{RawForm, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use chrono::{TimeDelta, Utc};

use crate::s3::{ACCESS_KEY, SECRET_KEY};

/// A server that gives the keys of the [S3 server](crate::s3), or refuses.
#[derive(Debug)]
pub struct StsServer {
    /// Its URL.
    pub endpoint: String,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// How long a session lasts; without it no role is given.
    lifetime: Option<TimeDelta>,
    seen: Mutex<Vec<String>>,
}

impl StsServer {
    /// A server whose sessions last so long; without a lifetime it refuses every role.
    pub async fn start(lifetime: Option<TimeDelta>) -> Self {
        let shared = Arc::new(Shared {
            lifetime,
            seen: Mutex::default(),
        });
        let app = Router::new()
            .route("/", post(respond))
            .with_state(Arc::clone(&shared));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { endpoint, shared }
    }

    /// Authorization header and form of each request.
    pub fn seen(&self) -> Vec<String> {
        self.shared.seen.lock().unwrap().clone()
    }
}

async fn respond(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    RawForm(form): RawForm,
) -> (StatusCode, String) {
    let signed = headers["authorization"].to_str().unwrap();
    let form = std::str::from_utf8(&form).unwrap();
    shared
        .seen
        .lock()
        .unwrap()
        .push(format!("{signed}\n{form}"));
    let Some(lifetime) = shared.lifetime else {
        let refusal = "<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code>\
            <Message>not authorized</Message></Error></ErrorResponse>";
        return (StatusCode::FORBIDDEN, refusal.to_owned());
    };
    let expires = (Utc::now() + lifetime).to_rfc3339();
    let granted = format!(
        "<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\
         <AssumeRoleResult><Credentials><AccessKeyId>{ACCESS_KEY}</AccessKeyId>\
         <SecretAccessKey>{SECRET_KEY}</SecretAccessKey><SessionToken>session-of-the-role</SessionToken>\
         <Expiration>{expires}</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>"
    );
    (StatusCode::OK, granted)
}
