//! Where receipts are: an object a job, and one report a load.

use std::fmt;

use bytes::{Bytes, BytesMut};
use futures::stream::{Stream, TryStreamExt as _};
use object_store::path::Path;

use super::ReceiptError;
use crate::storage::names::{not_relative, safe};
use crate::storage::{PART_BYTES, Storage, StorageError, key_in};

/// Name and content of the object that [`ReceiptStore::prove`] puts and deletes.
const TEST_NAME: &str = "_check_receipts";
const TEST_CONTENT: &[u8] = b"receipts are stored here\n";

/// Name of the report of a load.
const REPORT: &str = "report.json";

/// A load, as far as the names of its objects show it: `<run>/<namespace>/<name>/<attempt>/`, without
/// those that are absent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReceiptStream {
    /// The run of which the load is a part.
    pub run: Option<String>,
    /// Namespace.
    pub namespace: Option<String>,
    /// Name.
    pub name: String,
    /// Id of the attempt, if it has one: a run that ends early and is repeated has several.
    pub attempt: Option<String>,
}

/// The store of receipts, shared by all loads of a run.
pub struct ReceiptStore {
    storage: Storage,
}

impl ReceiptStore {
    /// Receipts go below the prefix of `storage`; nothing is sent yet.
    pub fn new(storage: Storage) -> Self {
        Self { storage }
    }

    /// Proves the location: puts a test object, finds it by listing its directory, deletes it.
    ///
    /// # Errors
    /// [`ReceiptError::Storage`] with the object, the cause and the cure.
    pub async fn prove(&self) -> Result<(), ReceiptError> {
        let content = Bytes::from_static(TEST_CONTENT);
        let directory = self.storage.directory();
        Ok(self.storage.prove(&directory, TEST_NAME, content).await?)
    }

    /// Stores the receipts of a job, whose bytes are made as they are taken: two parts of 5 MiB are held
    /// at most.
    ///
    /// # Errors
    /// [`ReceiptError::Storage`] once patience has run out, and whatever error the pieces end with:
    /// nothing is to be taken for stored then.
    pub(crate) async fn write_job<E: From<ReceiptError>>(
        &self,
        stream: &ReceiptStream,
        job: &str,
        pieces: impl Stream<Item = Result<Bytes, E>> + Send,
    ) -> Result<(), E> {
        let mut pieces = std::pin::pin!(pieces);
        let key = self.key(stream, &format!("{}.parquet", safe(job)))?;
        let mut buffer = BytesMut::new();
        let mut upload = None;
        while let Some(piece) = pieces.try_next().await? {
            buffer.extend_from_slice(&piece);
            while buffer.len() > PART_BYTES {
                let part = buffer.split_to(PART_BYTES).freeze();
                let mut begun = match upload.take() {
                    Some(begun) => begun,
                    None => self.storage.upload(&key).await.map_err(failed)?,
                };
                begun.put(part).await.map_err(failed)?;
                upload = Some(begun);
            }
        }
        let last = buffer.freeze();
        let stored = match upload {
            None => self.storage.put(&key, last).await,
            Some(mut upload) => match upload.put(last).await {
                Ok(()) => upload.complete().await,
                Err(error) => Err(error),
            },
        };
        stored.map_err(failed)
    }

    /// Stores the report of a load, over an older one.
    ///
    /// # Errors
    /// [`ReceiptError::Storage`].
    pub(crate) async fn write_report(
        &self,
        stream: &ReceiptStream,
        report: Bytes,
    ) -> Result<(), ReceiptError> {
        let key = self.key(stream, REPORT)?;
        Ok(self.storage.put(&key, report).await?)
    }

    fn key(&self, stream: &ReceiptStream, name: &str) -> Result<Path, ReceiptError> {
        let directory = format!("{}{}", self.storage.directory(), stream.directory());
        Ok(key_in(&directory, name)?)
    }
}

impl ReceiptStream {
    /// Its directory, which ends with a slash.
    fn directory(&self) -> String {
        let names = [
            self.run.as_deref(),
            self.namespace.as_deref(),
            Some(self.name.as_str()),
            self.attempt.as_deref(),
        ];
        let mut directory = String::new();
        for name in names.into_iter().flatten() {
            let name = safe(name);
            for segment in name.split('/').filter(|segment| !segment.is_empty()) {
                directory.push_str(&not_relative(segment));
                directory.push('/');
            }
        }
        directory
    }
}

fn failed<E: From<ReceiptError>>(error: StorageError) -> E {
    ReceiptError::from(error).into()
}

impl fmt::Debug for ReceiptStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReceiptStore")
            .field("storage", &self.storage)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures::stream;
    use object_store::memory::InMemory;

    use super::*;

    fn contacts() -> ReceiptStream {
        ReceiptStream {
            run: Some("42".to_owned()),
            namespace: None,
            name: "crm/Kontakte & Räume".to_owned(),
            attempt: Some("20260301T000000000Z-0a1b2c3d".to_owned()),
        }
    }

    #[tokio::test]
    async fn objects_have_names_of_their_load() {
        let store = Arc::new(InMemory::new());
        let receipts = ReceiptStore::new(Storage::in_memory(Arc::clone(&store), "/a//receipts"));
        receipts.prove().await.unwrap();
        let small = stream::iter([Ok::<_, ReceiptError>(Bytes::from_static(b"PAR1"))]);
        receipts
            .write_job(&contacts(), "750A", small)
            .await
            .unwrap();
        let piece = Bytes::from(vec![7; 2 << 20]);
        let large = stream::iter((0..6).map(|_| Ok::<_, ReceiptError>(piece.clone())));
        receipts
            .write_job(&contacts(), "750B", large)
            .await
            .unwrap();
        for report in [&b"{}"[..], b"{\"read\":1}"] {
            let report = Bytes::from_static(report);
            receipts.write_report(&contacts(), report).await.unwrap();
        }
        let mut found = Vec::new();
        let everything = Storage::in_memory(store, "");
        for (path, _) in everything.list_all("").await.unwrap() {
            let length = everything.content(&path).await.unwrap().unwrap().len();
            found.push(format!("{path} {length}"));
        }
        found.sort();
        let directory = "a/receipts/42/crm/Kontakte_&_Raume/20260301T000000000Z-0a1b2c3d";
        assert_eq!(
            found,
            [
                format!("{directory}/750A.parquet 4"),
                format!("{directory}/750B.parquet 12582912"),
                format!("{directory}/report.json 10"),
            ]
        );
    }
}
