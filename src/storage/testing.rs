//! An S3 server that checks signatures, over the loopback.

use std::sync::Arc;

use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use s3s::S3Result;
use s3s::access::{S3Access, S3AccessContext};
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::{Location, S3Credentials, S3Location};

pub(crate) const KEY_ID: &str = "AKIDEXAMPLEKEYID";
pub(crate) const SECRET: &str = "SecretThatMustNotBeShown";

/// Refuses as Amazon's servers do, by the bucket that a request names, and notes how objects are
/// to be encrypted.
#[derive(Default, Clone)]
pub(crate) struct Access {
    encryption: Arc<std::sync::Mutex<Vec<String>>>,
}

impl Access {
    /// `algorithm key` for each request that asks for encryption.
    pub(crate) fn encryption(&self) -> Vec<String> {
        std::mem::take(&mut self.encryption.lock().unwrap())
    }
}

#[async_trait::async_trait]
impl S3Access for Access {
    async fn check(&self, request: &mut S3AccessContext<'_>) -> S3Result<()> {
        let header = |name: &str| {
            let value = request.headers().get(name)?;
            value.to_str().ok().map(str::to_owned)
        };
        if let Some(algorithm) = header("x-amz-server-side-encryption") {
            let key = header("x-amz-server-side-encryption-aws-kms-key-id").unwrap_or_default();
            self.encryption
                .lock()
                .unwrap()
                .push(format!("{algorithm} {key}"));
        }
        match request.s3_path().get_bucket_name() {
            Some("bucket") => Ok(()),
            Some("old") if request.headers().contains_key("if-none-match") => {
                Err(s3s::s3_error!(NotImplemented))
            }
            Some("old") if request.s3_op().name() == "DeleteObjects" => {
                Err(s3s::s3_error!(MethodNotAllowed))
            }
            Some("unlisted") if request.s3_op().name() == "ListObjectsV2" => {
                Err(s3s::s3_error!(AccessDenied))
            }
            Some("old" | "unlisted") => Ok(()),
            Some("forbidden") => Err(s3s::s3_error!(AccessDenied)),
            Some("elsewhere") => Err(s3s::s3_error!(PermanentRedirect)),
            _ => Err(s3s::s3_error!(NoSuchBucket)),
        }
    }
}

/// An S3 server that checks signatures.
pub(crate) async fn serve_s3(root: &std::path::Path, access: Access) -> String {
    for bucket in ["bucket", "old", "unlisted"] {
        std::fs::create_dir(root.join(bucket)).unwrap();
    }
    let mut builder = S3ServiceBuilder::new(s3s_fs::FileSystem::new(root).unwrap());
    builder.set_auth(SimpleAuth::from_single(KEY_ID, SECRET));
    builder.set_access(access);
    let service = builder.build();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let service = service.clone();
            tokio::spawn(async move {
                let server = auto::Builder::new(TokioExecutor::new());
                let _ = server.serve_connection(TokioIo::new(socket), service).await;
            });
        }
    });
    format!("http://{address}")
}

/// A bucket of a server, under `rejected/`.
pub(crate) fn s3_location(endpoint: &str, bucket: &str, secret: &str) -> Location {
    Location::S3(S3Location {
        bucket: bucket.to_owned(),
        region: "us-east-1".to_owned(),
        endpoint: Some(endpoint.to_owned()),
        credentials: S3Credentials::Key {
            id: KEY_ID.into(),
            secret: secret.into(),
        },
        prefix: "rejected/".to_owned(),
    })
}

/// What a request begins with whose response is lost.
pub(crate) type Lost = Arc<std::sync::Mutex<Option<(&'static str, &'static str)>>>;

/// Passes everything on to a server, but for the response to the next request whose method and head
/// are as asked: it was carried out, and the connection breaks.
pub(crate) async fn losing(server: &str, lost: Lost) -> String {
    let server = server.strip_prefix("http://").unwrap().to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let upstream = TcpStream::connect(&server).await.unwrap();
            tokio::spawn(pass(client, upstream, Arc::clone(&lost)));
        }
    });
    format!("http://{address}")
}

async fn pass(mut client: TcpStream, mut upstream: TcpStream, lost: Lost) {
    let (mut request, mut response) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    let mut losing = false;
    loop {
        tokio::select! {
            read = client.read(&mut request) => {
                let Ok(length @ 1..) = read else { return };
                let text = String::from_utf8_lossy(&request[..length]).into_owned();
                let mut lost = lost.lock().unwrap().take_if(|(method, head)| {
                    text.starts_with(*method) && text.contains(*head)
                });
                losing |= lost.take().is_some();
                if upstream.write_all(&request[..length]).await.is_err() {
                    return;
                }
            }
            read = upstream.read(&mut response) => {
                let Ok(length @ 1..) = read else { return };
                if losing || client.write_all(&response[..length]).await.is_err() {
                    return;
                }
            }
        }
    }
}
