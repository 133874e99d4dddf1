//! The files of a table as one object store, wherever each of them lies.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use arrow_salesforce::object_store::path::Path;
use arrow_salesforce::object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload,
    OBJECT_STORE_COALESCE_DEFAULT, ObjectMeta, ObjectStore, ObjectStoreExt as _,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, coalesce_ranges,
};
use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt as _, stream};

/// Each file is named by its number. It only reads, and only what is as it was when it was opened.
#[derive(Debug)]
pub(crate) struct FilesStore(Vec<(Arc<dyn ObjectStore>, ObjectMeta)>);

impl FilesStore {
    pub(crate) fn new(files: Vec<(Arc<dyn ObjectStore>, ObjectMeta)>) -> Self {
        Self(files)
    }

    /// The files by the names that they have here.
    pub(crate) fn files(&self) -> impl Iterator<Item = ObjectMeta> {
        let numbered = self.0.iter().enumerate();
        numbered.map(|(number, (_, meta))| ObjectMeta {
            location: Path::from(number.to_string()),
            ..meta.clone()
        })
    }

    fn find(&self, location: &Path) -> Result<&(Arc<dyn ObjectStore>, ObjectMeta)> {
        let number = location.as_ref().parse::<usize>().ok();
        let found = number.and_then(|number| self.0.get(number));
        found.ok_or_else(|| Error::NotFound {
            path: location.to_string(),
            source: "no such file".into(),
        })
    }

    fn only_reads<T>(&self, operation: &str) -> Result<T> {
        Err(Error::NotImplemented {
            operation: operation.to_owned(),
            implementer: self.to_string(),
        })
    }
}

impl fmt::Display for FilesStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("inputs")
    }
}

#[async_trait]
impl ObjectStore for FilesStore {
    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let (store, meta) = self.find(location)?;
        let options = options.with_if_match(meta.e_tag.clone());
        store.get_opts(&meta.location, options).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let (store, meta) = self.find(location)?;
        match meta.e_tag {
            None => store.get_ranges(&meta.location, ranges).await,
            Some(_) => {
                let get = |range| self.get_range(location, range);
                coalesce_ranges(ranges, get, OBJECT_STORE_COALESCE_DEFAULT).await
            }
        }
    }

    async fn put_opts(&self, _: &Path, _: PutPayload, _: PutOptions) -> Result<PutResult> {
        self.only_reads("put")
    }

    async fn put_multipart_opts(
        &self,
        _: &Path,
        _: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.only_reads("put")
    }

    fn delete_stream(
        &self,
        _: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        stream::iter([self.only_reads("delete")]).boxed()
    }

    fn list(&self, _: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        stream::iter([self.only_reads("list")]).boxed()
    }

    async fn list_with_delimiter(&self, _: Option<&Path>) -> Result<ListResult> {
        self.only_reads("list")
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> Result<()> {
        self.only_reads("copy")
    }
}
