//! An S3 server in this process that stores in a directory and checks every signature.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto;
use s3s::access::{S3Access, S3AccessContext};
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use s3s::{S3Result, s3_error};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

pub(crate) const ACCESS_KEY: &str = "TESTKEY000EXAMPLE";
pub(crate) const SECRET_KEY: &str = "signature+secret/with=marks";
const ENCRYPTION: &str = "x-amz-server-side-encryption";
const ENCRYPTION_KEY: &str = "x-amz-server-side-encryption-aws-kms-key-id";
pub(crate) const BUCKET: &str = "rejected-records";

/// The file store makes a bucket on the first write to it; S3 does not.
/// What objects are to be encrypted with is noted.
struct OneBucket {
    encryption: Arc<Mutex<BTreeSet<String>>>,
}

#[async_trait::async_trait]
impl S3Access for OneBucket {
    async fn check(&self, context: &mut S3AccessContext<'_>) -> S3Result<()> {
        for name in [ENCRYPTION, ENCRYPTION_KEY] {
            if let Some(value) = context.headers().get(name) {
                let value = value.to_str().unwrap().to_owned();
                self.encryption.lock().unwrap().insert(value);
            }
        }
        match (context.credentials(), context.s3_path().get_bucket_name()) {
            (None, _) => Err(s3_error!(AccessDenied)),
            (_, Some(BUCKET)) => Ok(()),
            _ => Err(s3_error!(NoSuchBucket)),
        }
    }
}

/// A running server with one bucket, [`BUCKET`].
pub(crate) struct S3Server {
    endpoint: String,
    root: TempDir,
    accepting: JoinHandle<()>,
    encryption: Arc<Mutex<BTreeSet<String>>>,
}

impl S3Server {
    pub(crate) async fn start() -> Self {
        let root = TempDir::new().unwrap();
        fs::create_dir(root.path().join(BUCKET)).unwrap();
        let mut service = S3ServiceBuilder::new(s3s_fs::FileSystem::new(root.path()).unwrap());
        service.set_auth(SimpleAuth::from_single(ACCESS_KEY, SECRET_KEY));
        let encryption = Arc::default();
        service.set_access(OneBucket {
            encryption: Arc::clone(&encryption),
        });
        let service = service.build();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let accepting = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let service = service.clone();
                tokio::spawn(async move {
                    let http = auto::Builder::new(hyper_util::rt::TokioExecutor::new());
                    // A client that goes away ends its connection with an error.
                    let _ = http.serve_connection(TokioIo::new(socket), service).await;
                });
            }
        });
        Self {
            endpoint,
            root,
            accepting,
            encryption,
        }
    }

    /// `object_storage_config` for this server, in the shape of the connector's docs page.
    pub(crate) fn config(&self) -> Value {
        json!({
            "storage_type": "S3",
            "access_key_id": ACCESS_KEY,
            "secret_access_key": SECRET_KEY,
            "s3_bucket_name": BUCKET,
            "s3_bucket_region": "us-east-1",
            "s3_endpoint": self.endpoint,
            "bucket_path": "rejected_records/",
        })
    }

    /// All objects of the bucket: key and content, decompressed where it is gzip.
    pub(crate) fn objects(&self) -> BTreeMap<String, String> {
        files(&self.root.path().join(BUCKET))
    }

    /// Algorithms and keys that requests asked to encrypt with.
    pub(crate) fn encryption(&self) -> Vec<String> {
        self.encryption.lock().unwrap().iter().cloned().collect()
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// All files below a directory: relative path and content.
pub(crate) fn files(root: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut waiting: Vec<PathBuf> = vec![root.to_owned()];
    while let Some(directory) = waiting.pop() {
        for entry in fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                waiting.push(path);
            } else {
                let key = path
                    .strip_prefix(root)
                    .unwrap()
                    .to_str()
                    .unwrap()
                    .to_owned();
                found.insert(key, text(&path));
            }
        }
    }
    found
}

/// A file's text, whether it is compressed or not.
fn text(path: &Path) -> String {
    let content = fs::read(path).unwrap();
    let mut text = String::new();
    if content.starts_with(&[0x1f, 0x8b]) {
        let mut decoder = flate2::read::MultiGzDecoder::new(content.as_slice());
        decoder.read_to_string(&mut text).unwrap();
    } else {
        content.as_slice().read_to_string(&mut text).unwrap();
    }
    text
}
