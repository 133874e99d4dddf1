//! Deleting by the request for one object: object_store sends the one for many, which not every
//! server that speaks S3 has.

use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use object_store::ClientOptions;
use object_store::aws::{AmazonS3, AwsAuthorizer};
use object_store::client::{HttpClient, HttpConnector as _, HttpRequest};
use object_store::path::Path;
use object_store::signer::Signer as _;

use super::cause::{passes, refused};
use super::connect::Connector;

/// Any time: what it signs is thrown away.
const EXPIRES: Duration = Duration::from_secs(60);

/// A bucket whose objects can be deleted one by one.
pub(super) struct DeleteOne {
    bucket: AmazonS3,
    region: String,
    http: HttpClient,
}

impl DeleteOne {
    pub(super) fn new(
        bucket: AmazonS3,
        region: String,
        connector: &Connector,
    ) -> object_store::Result<Self> {
        // Whether http is allowed was decided when the bucket was opened.
        let options = ClientOptions::new().with_allow_http(true);
        Ok(Self {
            bucket,
            region,
            http: connector.connect(&options)?,
        })
    }

    /// Deletes an object.
    ///
    /// # Errors
    /// What went wrong, if that may pass; `None` if the server does not do it.
    pub(super) async fn delete(&self, key: &Path) -> Result<(), Option<object_store::Error>> {
        let request = self.request(key).await.map_err(|_| None)?;
        let source: Box<dyn Error + Send + Sync> = match self.http.execute(request).await {
            Ok(response) if response.status().is_success() => return Ok(()),
            Ok(response) => refused(response.status()).into(),
            Err(error) => error.into(),
        };
        let store = "S3";
        let error = object_store::Error::Generic { store, source };
        Err(passes(&error).then_some(error))
    }

    /// Signed in the header, as the requests of object_store are: its signed URL has the address.
    async fn request(&self, key: &Path) -> Result<HttpRequest, Box<dyn Error + Send + Sync>> {
        let mut url = self.bucket.signed_url(Method::DELETE, key, EXPIRES).await?;
        url.set_query(None);
        let credential = self.bucket.credentials().get_credential().await?;
        let mut request = HttpRequest::new(Bytes::new().into());
        *request.method_mut() = Method::DELETE;
        *request.uri_mut() = url.as_str().parse()?;
        AwsAuthorizer::new(&credential, "s3", &self.region).authorize(&mut request, None);
        Ok(request)
    }
}
