//! HTTP clients of object_store, which reach their hosts by the same proxies as Salesforce is
//! reached by.

use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use http::Uri;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService,
    ReqwestConnector,
};
use object_store::{ClientConfigKey, ClientOptions};
use url::Url;

use super::time_limit::in_time;
use crate::network::{Network, Obstacle, Proxy};

/// Every host: what a client that uses no proxy is given as the hosts to reach without.
const EVERY_HOST: &str = "*,0.0.0.0/0,::/0";

/// Makes the clients.
#[derive(Debug, Clone)]
pub(super) struct Connector(Network);

impl Connector {
    pub(super) fn new(network: Network) -> Self {
        Self(network)
    }
}

impl HttpConnector for Connector {
    /// A client for any host. `AWS_PROXY_URL`, which object_store has of its own, takes all.
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let connector = ReqwestConnector::default();
        // By size instead.
        let options = options.clone().with_timeout_disabled();
        if options
            .get_config_value(&ClientConfigKey::ProxyUrl)
            .is_some()
        {
            return Ok(HttpClient::new(InTime(connector.connect(&options)?)));
        }
        let direct = options
            .clone()
            .with_proxy_url("http://localhost")
            .with_proxy_excludes(EVERY_HOST);
        let through = |proxy: Option<&Proxy>| {
            let proxied = |proxy: &Proxy| options.clone().with_proxy_url(proxy.address().as_str());
            let client = proxy.map(|proxy| connector.connect(&proxied(proxy)));
            Ok::<_, object_store::Error>(client.transpose()?.map(InTime))
        };
        let [https, http] = self.0.proxies();
        Ok(HttpClient::new(Routed {
            network: self.0.clone(),
            direct: InTime(connector.connect(&direct)?),
            https: through(https)?,
            http: through(http)?,
            reached: AtomicBool::new(false),
        }))
    }
}

/// A client whose requests have the time that their size asks for.
#[derive(Debug)]
struct InTime(HttpClient);

#[async_trait]
impl HttpService for InTime {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        in_time(request, |request| self.0.execute(request)).await
    }
}

/// A client for each way.
#[derive(Debug)]
struct Routed {
    network: Network,
    direct: InTime,
    /// Through the proxy for https.
    https: Option<InTime>,
    /// Through the proxy for http.
    http: Option<InTime>,
    /// Whether there was a response before: then obstacles pass.
    reached: AtomicBool,
}

#[async_trait]
impl HttpService for Routed {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let Some(url) = url(request.uri()) else {
            return self.direct.call(request).await;
        };
        let proxied = self.network.proxy_for(&url).and(match url.scheme() {
            "https" => self.https.as_ref(),
            _ => self.http.as_ref(),
        });
        let response = proxied.unwrap_or(&self.direct).call(request).await;
        let obstacle = match &response {
            Ok(response) => {
                let status = response.status().as_u16();
                self.network.obstacle_of_status(status, &url)
            }
            Err(error) => self.network.obstacle(error, &url),
        };
        match (response, obstacle) {
            (_, Some(obstacle)) => Err(self.stopped(obstacle)),
            (response, None) => {
                self.reached.fetch_or(response.is_ok(), Ordering::Relaxed);
                response
            }
        }
    }
}

impl Routed {
    /// The error of a request that an obstacle stopped: what lasts is not retried.
    fn stopped(&self, mut obstacle: Obstacle) -> HttpError {
        obstacle.lasting &= !self.reached.load(Ordering::Relaxed);
        let kind = match obstacle.lasting {
            true => HttpErrorKind::Unknown,
            false => HttpErrorKind::Connect,
        };
        HttpError::new(kind, obstacle)
    }
}

fn url(uri: &Uri) -> Option<Url> {
    Url::parse(&uri.to_string()).ok()
}
