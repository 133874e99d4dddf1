//! Where rejected records go: any object store, proved before the first record.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    MultipartUpload, ObjectStore, ObjectStoreExt as _, ObjectStoreScheme, PutMode, PutPayload,
    RetryConfig,
};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::Mutex;
use url::Url;

use super::envelope::{Envelope, Format};
use super::error::{Cause, RejectError};
use super::path::{FileParts, Layout};

/// Larger objects are sent in parts of this size, in bytes.
const PART_BYTES: usize = 5 << 20;
/// Rows rendered at a time.
const SLICE_ROWS: usize = 1_024;
/// Tries of a request after the first.
const MAX_RETRIES: usize = 6;
/// Longest time that a request and its retries take.
const RETRY_TIMEOUT: Duration = Duration::from_secs(90);

/// Where rejected records are stored, and under which names.
#[derive(Debug, Clone)]
pub struct RejectConfig {
    /// Bucket or URL.
    pub place: Place,
    /// How they are written.
    pub format: Format,
    /// Directory of a stream, such as `{sync_id}/{namespace}/{stream_name}/`, which is the default.
    pub path_format: Option<String>,
    /// Name of an object; `{date}_{timestamp}_{part_number}{format_extension}` by default.
    pub file_name_format: Option<String>,
}

/// A bucket, or any URL.
#[derive(Debug, Clone)]
pub enum Place {
    /// A bucket of S3, or of a server that speaks S3.
    S3(S3Place),
    /// `file:///directory`, `s3://bucket/prefix` with the environment's credentials, or another
    /// URL that object_store takes.
    Url(Url),
}

/// A bucket, its keys and the prefix.
#[derive(Debug, Clone)]
pub struct S3Place {
    /// Name of the bucket.
    pub bucket: String,
    /// Region; empty takes the environment's.
    pub region: String,
    /// Address of a server that is not Amazon's, such as `http://localhost:9000`; empty is absent.
    pub endpoint: Option<String>,
    /// Key and secret. If absent, the environment's: web identity, pod identity, instance profile.
    pub keys: Option<(SecretString, SecretString)>,
    /// Prefix of every key.
    pub bucket_path: String,
}

/// A stream, as far as its rejected records show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RejectStream {
    /// Name.
    pub name: String,
    /// Namespace.
    pub namespace: Option<String>,
    /// Sync, as the catalog gives it.
    pub sync_id: i64,
    /// Generation, as the catalog gives it.
    pub generation_id: i64,
}

/// The store of rejected records, shared by all streams of a sync.
pub struct RejectStore {
    store: Arc<dyn ObjectStore>,
    /// What keys are told after: `s3://bucket`, or a URL without secrets.
    place: String,
    prefix: String,
    layout: Layout,
    format: Format,
    directories: Mutex<HashMap<String, Directory>>,
}

/// A file name as the template gives it, and the free one reserved for it.
struct Name {
    base: String,
    free: String,
}

/// What is known of a directory's objects.
#[derive(Default)]
struct Directory {
    next_part: u64,
    names: HashSet<String>,
}

impl RejectStore {
    /// Opens the place for a sync that began at `start`; nothing is sent yet.
    ///
    /// # Errors
    /// A config error for templates or a place that cannot be.
    pub fn open(config: &RejectConfig, start: DateTime<Utc>) -> Result<Self, RejectError> {
        let (store, place, prefix) = match &config.place {
            Place::S3(s3) => open_s3(s3)?,
            Place::Url(url) => open_url(url)?,
        };
        let path_format = config.path_format.as_deref();
        let file_name_format = config.file_name_format.as_deref();
        Ok(Self {
            store,
            place,
            prefix,
            layout: Layout::new(path_format, file_name_format, start)?,
            format: config.format,
            directories: Mutex::default(),
        })
    }

    /// Proves the place as Airbyte's `check` does: puts a test object, finds it by listing its
    /// directory, deletes it.
    ///
    /// # Errors
    /// [`RejectError::Store`] with the object, the cause and the cure;
    /// [`RejectError::NotListed`] if the listing lacks the object.
    pub async fn prove(&self) -> Result<(), RejectError> {
        let stream = RejectStream {
            name: "test".to_owned(),
            namespace: Some("testing".to_owned()),
            sync_id: 1,
            generation_id: 1,
        };
        let directory = self.layout.directory(&self.prefix, &stream);
        let key = key(&directory, "_check_test")?;
        self.store
            .put(&key, PutPayload::from_static(b"{\"data\":1}"))
            .await
            .map_err(|error| self.failed("write", key.as_ref(), &error))?;
        let names = self.list(&directory).await;
        self.store
            .delete(&key)
            .await
            .map_err(|error| self.failed("delete", key.as_ref(), &error))?;
        if names?.iter().any(|name| name == "_check_test") {
            return Ok(());
        }
        Err(RejectError::NotListed {
            object: self.shown(key.as_ref()),
        })
    }

    /// Stores rejected records, at least one, in one new object, and answers where.
    ///
    /// # Errors
    /// [`RejectError::Store`] once the retries are used up; nothing is to be taken for stored then.
    pub async fn write(
        &self,
        stream: &RejectStream,
        batches: &[RecordBatch],
    ) -> Result<String, RejectError> {
        let mut body = Body::new(self.format, stream, batches);
        let directory = self.layout.directory(&self.prefix, stream);
        let name = self.reserve(&directory, stream.sync_id).await?;
        let first = body.next_part()?;
        let key = if first.len() < PART_BYTES {
            self.put_new(&directory, name, first).await?
        } else {
            self.put_large(&directory, name, first, body).await?
        };
        Ok(self.shown(key.as_ref()))
    }

    /// A name with the directory's next part number that no known object has.
    async fn reserve(&self, directory: &str, sync_id: i64) -> Result<Name, RejectError> {
        let mut directories = self.directories.lock().await;
        if !directories.contains_key(directory) {
            let names = self.list(directory).await?;
            let last = names
                .iter()
                .filter_map(|name| self.layout.part_number(name));
            let known = Directory {
                next_part: last.max().map_or(0, |last| last.saturating_add(1)),
                names: names.into_iter().collect(),
            };
            directories.insert(directory.to_owned(), known);
        }
        let known = directories.entry(directory.to_owned()).or_default();
        let base = self.layout.file_name(FileParts {
            timestamp: Utc::now().timestamp_millis(),
            part_number: known.next_part,
            sync_id,
            extension: self.format.extension(),
        });
        known.next_part = known.next_part.saturating_add(1);
        let free = known.take(&base);
        Ok(Name { base, free })
    }

    /// The next free `-1`, `-2`, ... after a name that another process took.
    async fn rename(&self, directory: &str, taken: &str) -> String {
        let mut directories = self.directories.lock().await;
        directories
            .entry(directory.to_owned())
            .or_default()
            .take(taken)
    }

    /// Puts a small object under the first name that is free. A server that cannot put on
    /// condition is trusted with the listing's word.
    async fn put_new(
        &self,
        directory: &str,
        mut name: Name,
        bytes: Bytes,
    ) -> Result<Path, RejectError> {
        let payload = PutPayload::from_bytes(bytes);
        loop {
            let key = key(directory, &name.free)?;
            let mut put = self
                .store
                .put_opts(&key, payload.clone(), PutMode::Create.into())
                .await;
            if put.as_ref().is_err_and(lacks_conditions) {
                put = self.store.put(&key, payload.clone()).await;
            }
            match put {
                Ok(_) => return Ok(key),
                Err(object_store::Error::AlreadyExists { .. }) => {
                    name.free = self.rename(directory, &name.base).await;
                }
                Err(error) => return Err(self.failed("write", key.as_ref(), &error)),
            }
        }
    }

    /// Sends a large object in parts. Parts cannot be put on condition: the name is asked first.
    async fn put_large(
        &self,
        directory: &str,
        name: Name,
        first: Bytes,
        body: Body<'_>,
    ) -> Result<Path, RejectError> {
        let mut key = self::key(directory, &name.free)?;
        while self.store.head(&key).await.is_ok() {
            key = self::key(directory, &self.rename(directory, &name.base).await)?;
        }
        let failed = |error| self.failed("write", key.as_ref(), &error);
        let mut upload = self.store.put_multipart(&key).await.map_err(failed)?;
        let sent = self.put_parts(upload.as_mut(), &key, first, body).await;
        if sent.is_err()
            && let Err(error) = upload.abort().await
        {
            let cause = Cause::of(&error);
            tracing::warn!(%key, %cause, "an unfinished upload could not be aborted");
        }
        sent.map(|()| key)
    }

    async fn put_parts(
        &self,
        upload: &mut dyn MultipartUpload,
        key: &Path,
        first: Bytes,
        mut body: Body<'_>,
    ) -> Result<(), RejectError> {
        let failed = |error| self.failed("write", key.as_ref(), &error);
        let mut part = first;
        while !part.is_empty() {
            upload.put_part(part.into()).await.map_err(failed)?;
            part = body.next_part()?;
        }
        upload.complete().await.map_err(failed)?;
        Ok(())
    }

    /// Names of the objects right in a directory.
    async fn list(&self, directory: &str) -> Result<Vec<String>, RejectError> {
        let path = key(directory, "")?;
        let listed = self
            .store
            .list_with_delimiter(Some(&path))
            .await
            .map_err(|error| self.failed("list", directory, &error))?;
        let names = listed
            .objects
            .iter()
            .filter_map(|object| object.location.filename());
        Ok(names.map(str::to_owned).collect())
    }

    fn shown(&self, key: &str) -> String {
        format!("{}/{key}", self.place)
    }

    fn failed(&self, action: &'static str, key: &str, error: &object_store::Error) -> RejectError {
        RejectError::Store {
            action,
            object: self.shown(key),
            cause: Cause::of(error),
        }
    }
}

impl fmt::Debug for RejectStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RejectStore")
            .field("place", &self.place)
            .field("prefix", &self.prefix)
            .field("format", &self.format)
            .finish_non_exhaustive()
    }
}

impl Directory {
    /// Reserves `name`, or its first free `-1`, `-2`, ...
    fn take(&mut self, name: &str) -> String {
        let mut free = name.to_owned();
        let mut count = 0_u64;
        while !self.names.insert(free.clone()) {
            count += 1;
            free = format!("{name}-{count}");
        }
        free
    }
}

/// The bytes of one object, rendered as they are sent.
struct Body<'a> {
    envelope: Envelope,
    slices: Box<dyn Iterator<Item = RecordBatch> + Send + 'a>,
    buffer: Vec<u8>,
}

impl<'a> Body<'a> {
    fn new(format: Format, stream: &RejectStream, batches: &'a [RecordBatch]) -> Self {
        let slices = batches.iter().flat_map(|batch| {
            let rows = batch.num_rows();
            (0..rows)
                .step_by(SLICE_ROWS)
                .map(move |first| batch.slice(first, SLICE_ROWS.min(rows - first)))
        });
        Self {
            envelope: Envelope {
                sync_id: stream.sync_id,
                generation_id: stream.generation_id,
                format,
            },
            slices: Box::new(slices),
            buffer: format.header().to_vec(),
        }
    }

    /// One part, or what is left; empty after the end. All but the last have one size, which
    /// some servers ask for.
    fn next_part(&mut self) -> Result<Bytes, RejectError> {
        while self.buffer.len() < PART_BYTES {
            let Some(slice) = self.slices.next() else {
                break;
            };
            self.envelope.write(&slice, &mut self.buffer)?;
        }
        let rest = self.buffer.split_off(PART_BYTES.min(self.buffer.len()));
        Ok(std::mem::replace(&mut self.buffer, rest).into())
    }
}

type Opened = (Arc<dyn ObjectStore>, String, String);

fn open_s3(s3: &S3Place) -> Result<Opened, RejectError> {
    let place = format!("s3://{}", s3.bucket);
    let mut builder = match &s3.keys {
        Some((id, secret)) => AmazonS3Builder::new()
            .with_access_key_id(id.expose_secret())
            .with_secret_access_key(secret.expose_secret()),
        None => AmazonS3Builder::from_env(),
    };
    builder = builder.with_bucket_name(&s3.bucket);
    if !s3.region.is_empty() {
        builder = builder.with_region(&s3.region);
    }
    let endpoint = s3.endpoint.as_deref().map(str::trim).unwrap_or_default();
    if !endpoint.is_empty() {
        builder = builder
            .with_endpoint(endpoint.trim_end_matches('/'))
            .with_allow_http(endpoint.starts_with("http://"))
            .with_virtual_hosted_style_request(false);
    }
    let store = build_s3(builder, &place)?;
    Ok((store, place, s3.bucket_path.clone()))
}

fn open_url(url: &Url) -> Result<Opened, RejectError> {
    let mut shown = url.clone();
    // A URL that cannot hold a user name holds no secret either.
    let _ = (shown.set_username(""), shown.set_password(None));
    shown.set_query(None);
    let place = shown.as_str().trim_end_matches('/').to_owned();
    let refused = |reason: String| RejectError::Place {
        place: place.clone(),
        reason,
    };
    let (scheme, path) = ObjectStoreScheme::parse(url).map_err(|_| {
        refused("this is no URL of an object store; use file:///directory or s3://bucket".into())
    })?;
    let prefix = path.to_string();
    match scheme {
        ObjectStoreScheme::Local => {
            let directory = url
                .to_file_path()
                .map_err(|()| refused("a file URL needs an absolute path".into()))?;
            let store = std::fs::create_dir_all(&directory)
                .map_err(|error| refused(format!("{error}; choose another directory")))
                .and_then(|()| {
                    LocalFileSystem::new_with_prefix(&directory)
                        .map_err(|error| refused(Cause::of(&error).to_string()))
                })?;
            Ok((
                Arc::new(store.with_automatic_cleanup(true)),
                place,
                String::new(),
            ))
        }
        ObjectStoreScheme::AmazonS3 => {
            let builder = AmazonS3Builder::from_env().with_url(url.as_str());
            Ok((build_s3(builder, &place)?, root_of(&place, &prefix), prefix))
        }
        _ => {
            let (store, _) = object_store::parse_url(url).map_err(|_| {
                refused("this kind of store is not built in; use file:/// or s3://".into())
            })?;
            Ok((Arc::from(store), root_of(&place, &prefix), prefix))
        }
    }
}

/// A URL without the path in its store.
fn root_of(place: &str, prefix: &str) -> String {
    let root = place.strip_suffix(prefix).unwrap_or(place);
    root.trim_end_matches('/').to_owned()
}

fn build_s3(builder: AmazonS3Builder, place: &str) -> Result<Arc<dyn ObjectStore>, RejectError> {
    let retry = RetryConfig {
        max_retries: MAX_RETRIES,
        retry_timeout: RETRY_TIMEOUT,
        ..RetryConfig::default()
    };
    let region = builder.get_config_value(&AmazonS3ConfigKey::Region);
    let store = builder
        .with_retry(retry)
        .build()
        .map_err(|_| RejectError::Place {
            place: place.to_owned(),
            reason: format!(
                "the settings make no S3 client (region {}); check the bucket, s3_bucket_region, \
             s3_endpoint, and that both keys are set or neither",
                region.as_deref().unwrap_or("not set")
            ),
        })?;
    Ok(Arc::new(store))
}

/// Whether a server refused because it knows no `If-None-Match`.
fn lacks_conditions(error: &object_store::Error) -> bool {
    matches!(
        error,
        object_store::Error::NotImplemented { .. } | object_store::Error::NotSupported { .. }
    ) || matches!(Cause::of(error), Cause::Other(Some(code)) if code == "NotImplemented")
}

fn key(directory: &str, name: &str) -> Result<Path, RejectError> {
    let key = format!("{directory}{name}");
    Path::parse(&key).map_err(|error| RejectError::Key {
        key,
        reason: error.to_string(),
    })
}

#[cfg(test)]
mod tests;
