//! Stores for tests of the ledger.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use chrono::TimeDelta;
use futures::stream::BoxStream;
use futures::{StreamExt as _, TryStreamExt as _};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

/// A store that carries out so many changes and refuses all later ones: as if the process had ended.
#[derive(Debug, Clone)]
pub(crate) struct EndingStore {
    inner: Arc<InMemory>,
    left: Arc<AtomicUsize>,
    /// It puts whatever the condition is.
    is_careless: bool,
    /// It lets nothing be listed.
    is_unlisted: bool,
    /// Its clock is so far behind that of this machine.
    behind: TimeDelta,
}

impl EndingStore {
    pub(crate) fn new(inner: Arc<InMemory>) -> Self {
        let left = Arc::new(AtomicUsize::new(usize::MAX));
        Self {
            inner,
            left,
            is_careless: false,
            is_unlisted: false,
            behind: TimeDelta::zero(),
        }
    }

    /// One that puts an object though it is to be put only where there is none.
    pub(crate) fn careless(self) -> Self {
        Self {
            is_careless: true,
            ..self
        }
    }

    /// One that lets nothing be listed.
    pub(crate) fn unlisted(self) -> Self {
        Self {
            is_unlisted: true,
            ..self
        }
    }

    /// One whose clock is behind that of this machine.
    pub(crate) fn behind(self, behind: TimeDelta) -> Self {
        Self { behind, ..self }
    }

    /// Only so many changes from now on.
    pub(crate) fn end_after(&self, changes: usize) {
        self.left.store(changes, Ordering::Relaxed);
    }

    /// Whether a change was refused.
    pub(crate) fn has_ended(&self) -> bool {
        self.left.load(Ordering::Relaxed) == 0
    }

    fn change(&self) -> Result<()> {
        let less = |left: usize| left.checked_sub(1);
        let changed = self
            .left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        changed
            .map(drop)
            .map_err(|_| object_store::Error::PermissionDenied {
                path: "object".to_owned(),
                source: "the process has ended".into(),
            })
    }
}

impl fmt::Display for EndingStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a store that ends")
    }
}

#[async_trait]
impl ObjectStore for EndingStore {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        mut options: PutOptions,
    ) -> Result<PutResult> {
        self.change()?;
        if self.is_careless {
            options.mode = PutMode::Overwrite;
        }
        self.inner.put_opts(location, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.inner.get_opts(location, options).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        let store = self.clone();
        let allowed = locations.and_then(move |path| {
            let changed = store.change().map(|()| path);
            async move { changed }
        });
        self.inner.delete_stream(allowed.boxed())
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let behind = self.behind;
        let listed = self.inner.list(prefix);
        let shifted = listed.map_ok(move |mut meta| {
            meta.last_modified -= behind;
            meta
        });
        shifted.boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        if self.is_unlisted {
            return Err(object_store::Error::PermissionDenied {
                path: "directory".to_owned(),
                source: "nothing may be listed".into(),
            });
        }
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}
