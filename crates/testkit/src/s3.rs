//! An S3 server in this process that stores in a directory and checks every signature; and a proxy
//! that loses responses.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use s3s::access::{S3Access, S3AccessContext};
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use s3s::{S3Result, s3_error};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::bucket_faults::{BucketFault, BucketFaults};

/// The only key id that is accepted.
pub const ACCESS_KEY: &str = "TESTKEY000EXAMPLE";
/// Its secret.
pub const SECRET_KEY: &str = "signature+secret/with=marks";

/// A bucket that takes everything.
pub const BUCKET: &str = "rejected-records";
/// A bucket of a server without conditional puts, and without deleting many objects at once.
pub const OLD_BUCKET: &str = "old";
/// A bucket whose objects may not be listed.
pub const UNLISTED_BUCKET: &str = "unlisted";
/// A bucket whose objects may not be read.
pub const UNREADABLE_BUCKET: &str = "unreadable";
/// A bucket that every call is denied to.
pub const FORBIDDEN_BUCKET: &str = "forbidden";
/// A bucket in another region.
pub const ELSEWHERE_BUCKET: &str = "elsewhere";

const ENCRYPTION: &str = "x-amz-server-side-encryption";
const ENCRYPTION_KEY: &str = "x-amz-server-side-encryption-aws-kms-key-id";

/// Refuses as Amazon's servers do, by the bucket that a request names: the file store would make
/// a bucket on the first write to it. What objects are to be encrypted with is noted.
#[derive(Debug, Clone, Default)]
struct Access {
    encryption: Arc<Mutex<Vec<String>>>,
    /// How many of the next requests are refused since the server is busy.
    busy: Arc<AtomicUsize>,
}

#[async_trait::async_trait]
impl S3Access for Access {
    async fn check(&self, request: &mut S3AccessContext<'_>) -> S3Result<()> {
        let header = |name| request.headers().get(name)?.to_str().ok();
        if let Some(algorithm) = header(ENCRYPTION) {
            let key = header(ENCRYPTION_KEY).unwrap_or_default();
            let mut encryption = self.encryption.lock().unwrap();
            encryption.push(format!("{algorithm} {key}"));
        }
        let one_less = |busy: usize| busy.checked_sub(1);
        if (self.busy)
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less)
            .is_ok()
        {
            return Err(s3_error!(SlowDown));
        }
        if request.credentials().is_none() {
            return Err(s3_error!(AccessDenied));
        }
        let operation = request.s3_op().name();
        match request.s3_path().get_bucket_name() {
            Some(OLD_BUCKET) if header("if-none-match").is_some() => Err(s3_error!(NotImplemented)),
            Some(OLD_BUCKET) if operation == "DeleteObjects" => Err(s3_error!(MethodNotAllowed)),
            Some(UNLISTED_BUCKET) if operation == "ListObjectsV2" => Err(s3_error!(AccessDenied)),
            Some(UNREADABLE_BUCKET) if operation == "GetObject" => Err(s3_error!(AccessDenied)),
            Some(BUCKET | OLD_BUCKET | UNLISTED_BUCKET | UNREADABLE_BUCKET) => Ok(()),
            Some(FORBIDDEN_BUCKET) => Err(s3_error!(AccessDenied)),
            Some(ELSEWHERE_BUCKET) => Err(s3_error!(PermanentRedirect)),
            _ => Err(s3_error!(NoSuchBucket)),
        }
    }
}

/// A running server with the buckets above.
#[derive(Debug)]
pub struct S3Server {
    endpoint: String,
    root: TempDir,
    accepting: JoinHandle<()>,
    access: Access,
    faults: BucketFaults,
}

impl S3Server {
    /// Starts a server whose buckets are empty.
    pub async fn start() -> Self {
        let root = TempDir::new().unwrap();
        for bucket in [BUCKET, OLD_BUCKET, UNLISTED_BUCKET, UNREADABLE_BUCKET] {
            fs::create_dir(root.path().join(bucket)).unwrap();
        }
        let access = Access::default();
        let mut service = S3ServiceBuilder::new(s3s_fs::FileSystem::new(root.path()).unwrap());
        service.set_auth(SimpleAuth::from_single(ACCESS_KEY, SECRET_KEY));
        service.set_access(access.clone());
        let service = service.build();
        let faults = BucketFaults::default();
        let armed = faults.clone();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let accepting = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (service, armed) = (service.clone(), armed.clone());
                tokio::spawn(async move {
                    let http = auto::Builder::new(TokioExecutor::new());
                    let service =
                        service_fn(move |request| armed.clone().answer(service.clone(), request));
                    // A client that goes away ends its connection with an error.
                    let _ = http.serve_connection(TokioIo::new(socket), service).await;
                });
            }
        });
        Self {
            endpoint,
            root,
            accepting,
            access,
            faults,
        }
    }

    /// Its URL.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// From now on it has these faults and no others.
    pub fn set_faults(&self, faults: Vec<BucketFault>) {
        self.faults.set(faults);
    }

    /// How often each of its faults hit a call, by its name.
    pub fn fault_hits(&self) -> Vec<(String, u32)> {
        self.faults.hits()
    }

    /// Where the objects of a bucket are, each a file named by its key.
    pub fn directory(&self, bucket: &str) -> PathBuf {
        self.root.path().join(bucket)
    }

    /// All objects of [`BUCKET`]: key and content, decompressed where it is gzip.
    pub fn objects(&self) -> BTreeMap<String, String> {
        files(&self.directory(BUCKET))
    }

    /// The next requests, as many as this, are refused by a server that is too busy.
    pub fn be_busy(&self, requests: usize) {
        self.access.busy.store(requests, Ordering::Relaxed);
    }

    /// How many requests are still to be refused so.
    pub fn busy(&self) -> usize {
        self.access.busy.load(Ordering::Relaxed)
    }

    /// `algorithm key` of each request since the last call that asked for encryption.
    pub fn encryption(&self) -> Vec<String> {
        std::mem::take(&mut self.access.encryption.lock().unwrap())
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// All files below a directory: relative path and content, decompressed where it is gzip. Those of a
/// ledger are left out.
pub fn files(root: &Path) -> BTreeMap<String, String> {
    let names = names(root).into_iter();
    names
        .filter(|name| !is_of_ledger(name))
        .map(|name| {
            let text = text(&root.join(&name));
            (name, text)
        })
        .collect()
}

/// Whether an object belongs to a ledger, which is no text.
fn is_of_ledger(name: &str) -> bool {
    name.split('/').any(|part| part.ends_with("_ledger"))
}

/// Names of all files below a directory, sorted. Those that go away meanwhile are left out.
pub fn names(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut waiting: Vec<PathBuf> = vec![root.to_owned()];
    while let Some(directory) = waiting.pop() {
        let Ok(entries) = fs::read_dir(&directory) else {
            continue;
        };
        for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
            if path.is_dir() {
                waiting.push(path);
            } else {
                let name = path.strip_prefix(root).unwrap().to_str().unwrap();
                found.push(name.to_owned());
            }
        }
    }
    found.sort();
    found
}

/// A file's text, whether it is compressed or not.
fn text(path: &Path) -> String {
    let content = fs::read(path).unwrap();
    if !content.starts_with(&[0x1f, 0x8b]) {
        return String::from_utf8(content).unwrap();
    }
    let mut text = String::new();
    let mut decoder = flate2::read::MultiGzDecoder::new(content.as_slice());
    decoder.read_to_string(&mut text).unwrap();
    text
}

/// A proxy in front of a server. It passes everything on, but for the response to the request that it
/// is to lose: that request is carried out, and its connection breaks.
#[derive(Debug)]
pub struct LosingProxy {
    /// Its URL.
    pub endpoint: String,
    lost: Lost,
    accepting: JoinHandle<()>,
}

/// Method of the next request whose response is lost, and a part of its head.
type Lost = Arc<Mutex<Option<(&'static str, &'static str)>>>;

impl LosingProxy {
    /// Starts a proxy for the server at `endpoint`, which loses nothing yet.
    pub async fn start(endpoint: &str) -> Self {
        let server = endpoint.strip_prefix("http://").unwrap().to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let lost = Lost::default();
        let pending = Arc::clone(&lost);
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let upstream = TcpStream::connect(&server).await.unwrap();
                tokio::spawn(pass(client, upstream, Arc::clone(&pending)));
            }
        });
        Self {
            endpoint,
            lost,
            accepting,
        }
    }

    /// Loses the response to the next request of this method whose head has this part.
    pub fn lose(&self, method: &'static str, head: &'static str) {
        *self.lost.lock().unwrap() = Some((method, head));
    }

    /// Whether no response is left to lose.
    pub fn has_lost(&self) -> bool {
        self.lost.lock().unwrap().is_none()
    }
}

impl Drop for LosingProxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn pass(mut client: TcpStream, mut upstream: TcpStream, lost: Lost) {
    let (mut request, mut response) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    let mut losing = false;
    loop {
        tokio::select! {
            read = client.read(&mut request) => {
                let Ok(length @ 1..) = read else { return };
                let text = String::from_utf8_lossy(&request[..length]).into_owned();
                let found = lost.lock().unwrap().take_if(|(method, head)| {
                    text.starts_with(*method) && text.contains(*head)
                });
                losing |= found.is_some();
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
