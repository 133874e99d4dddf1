use arrow::array::{ArrayRef, StringArray};
use insta::assert_snapshot;
use object_store::memory::InMemory;
use object_store::{ObjectStore, ObjectStoreExt as _, PutPayload};
use testkit::s3::{
    BUCKET, FORBIDDEN_BUCKET, LosingProxy, OLD_BUCKET, S3Server, SECRET_KEY, UNLISTED_BUCKET,
};
use url::Url;

use super::*;
use crate::coerce::{Reason, Stage};
use crate::error::ErrorKind;
use crate::reject::airbyte::{Envelope, FileType, Flattening, labels};
use crate::reject::{Compression, RejectedRow, rejected};
use crate::storage::testing::s3_location;

fn jsonl() -> RejectFormat {
    RejectFormat::Airbyte(Envelope {
        file_type: FileType::Jsonl,
        ..Envelope::default()
    })
}

fn s3_config(endpoint: &str, bucket: &str) -> RejectConfig {
    RejectConfig {
        format: jsonl(),
        file_name_format: Some("x{format_extension}".to_owned()),
        ..RejectConfig::new(s3_location(endpoint, bucket, SECRET_KEY))
    }
}

fn start() -> DateTime<Utc> {
    DateTime::from_timestamp_millis(1_772_323_201_023).unwrap()
}

fn memory(file_name_format: Option<&str>) -> (Arc<InMemory>, RejectStore) {
    let memory = Arc::new(InMemory::new());
    let store = RejectStore {
        storage: Storage::in_memory(Arc::clone(&memory), "rejected/"),
        layout: Layout::new(jsonl(), None, file_name_format, start()).unwrap(),
        format: jsonl(),
        directories: Mutex::default(),
    };
    (memory, store)
}

fn contacts() -> RejectStream {
    RejectStream {
        name: "contacts".to_owned(),
        namespace: None,
        labels: labels(42, 1),
        attempt: None,
    }
}

fn batch(values: &[&str]) -> RecordBatch {
    let column: ArrayRef = Arc::new(StringArray::from(values.to_vec()));
    let source = RecordBatch::try_from_iter([("Name", column)]).unwrap();
    let reason = Arc::new(Reason {
        stage: Stage::Coerce,
        code: "INVALID_VALUE".into(),
        message: "no".to_owned(),
        fields: Vec::new(),
    });
    let rows: Vec<RejectedRow> = (0..values.len() as u64)
        .map(|ordinal| RejectedRow {
            ordinal,
            reason: Arc::clone(&reason),
            job_id: None,
        })
        .collect();
    rejected(source, &rows, start()).unwrap()
}

async fn text(store: &dyn ObjectStore, key: &str) -> String {
    let bytes = store
        .get(&Path::parse(key).unwrap())
        .await
        .unwrap()
        .bytes()
        .await
        .unwrap();
    String::from_utf8(bytes.to_vec()).unwrap()
}

async fn keys(store: &RejectStore) -> Vec<String> {
    let storage = &store.storage;
    let directory = store
        .layout
        .directory(storage.prefix(), &contacts())
        .unwrap();
    storage.list(&directory).await.unwrap()
}

#[tokio::test]
async fn part_numbers_go_on_where_the_directory_ends() {
    let (memory, store) = memory(Some("{sync_id}_{part_number}{format_extension}"));
    let earlier = Path::parse("rejected/42/contacts/41_6.jsonl").unwrap();
    memory
        .put(&earlier, PutPayload::from_static(b"earlier"))
        .await
        .unwrap();
    let rows = [batch(&["a", "b"]), batch(&["c"])];
    let first = store.write(&contacts(), &rows).await.unwrap();
    let second = store.write(&contacts(), &rows).await.unwrap();
    assert_eq!(first, "memory:///rejected/42/contacts/42_7.jsonl");
    assert_eq!(second, "memory:///rejected/42/contacts/42_8.jsonl");
    let lines = text(memory.as_ref(), "rejected/42/contacts/42_7.jsonl").await;
    assert_eq!(lines.lines().count(), 3);
}

#[tokio::test]
async fn no_object_is_overwritten() {
    let (memory, store) = memory(Some("all{format_extension}"));
    let write = async |value: &str| store.write(&contacts(), &[batch(&[value])]).await.unwrap();
    assert!(write("a").await.ends_with("/all.jsonl"));
    // Another process takes the next name after the directory was listed.
    let other = Path::parse("rejected/42/contacts/all.jsonl-1").unwrap();
    memory
        .put(&other, PutPayload::from_static(b"other"))
        .await
        .unwrap();
    assert!(write("b").await.ends_with("/all.jsonl-2"));
    let wide = "w".repeat(PART_BYTES);
    let last = Path::parse("rejected/42/contacts/all.jsonl-3").unwrap();
    memory
        .put(&last, PutPayload::from_static(b"other"))
        .await
        .unwrap();
    assert!(write(&wide).await.ends_with("/all.jsonl-4"));
    assert_eq!(text(memory.as_ref(), other.as_ref()).await, "other");
    assert_eq!(text(memory.as_ref(), last.as_ref()).await, "other");
    let large = text(memory.as_ref(), "rejected/42/contacts/all.jsonl-4").await;
    assert!(large.contains(&wide) && large.ends_with("}\n"));
}

#[tokio::test]
async fn proving_leaves_nothing_behind() {
    let (memory, store) = memory(None);
    store.prove().await.unwrap();
    let listed = memory.list_with_delimiter(None).await.unwrap();
    assert!(listed.objects.is_empty() && listed.common_prefixes.is_empty());
}

#[tokio::test]
async fn a_directory_of_files() {
    let root = tempfile::tempdir().unwrap();
    let directory = root.path().join("not yet");
    let config = RejectConfig::new(Location::Url(Url::from_file_path(&directory).unwrap()));
    let store = RejectStore::open(&config, start()).unwrap();
    store.prove().await.unwrap();
    assert_eq!(std::fs::read_dir(&directory).unwrap().count(), 0);
    let url = store.write(&contacts(), &[batch(&["a"])]).await.unwrap();
    let path = Url::parse(&url).unwrap().to_file_path().unwrap();
    let text = std::fs::read_to_string(path).unwrap();
    assert!(text.starts_with("\"_airbyte_raw_id\",") && text.ends_with("\r\n"));
}

#[tokio::test]
async fn a_name_that_another_takes_during_a_large_upload_is_left_alone() {
    let (memory, store) = memory(Some("all{format_extension}"));
    let other = Path::parse("rejected/42/contacts/all.jsonl").unwrap();
    let wide = "w".repeat(PART_BYTES);
    let batches = stream::iter(0..2).then(|number| {
        let (memory, other, wide) = (Arc::clone(&memory), &other, &wide);
        async move {
            if number == 1 {
                let payload = PutPayload::from_static(b"other");
                memory.put(other, payload).await.unwrap();
            }
            Ok::<_, RejectError>(batch(&[wide]))
        }
    });
    let error = store.write_stream(&contacts(), batches).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Transient);
    assert!(
        matches!(error, RejectError::Storage(StorageError::Taken { .. })),
        "{error}"
    );
    assert_eq!(text(memory.as_ref(), other.as_ref()).await, "other");
    assert_eq!(keys(&store).await, ["all.jsonl"]);
}

#[tokio::test]
async fn batches_that_end_with_an_error_leave_no_object() {
    let (_, store) = memory(None);
    let wide = "w".repeat(PART_BYTES);
    for first in ["a", &wide] {
        let lost = RejectError::Temporary("gone".to_owned());
        let batches = stream::iter([Ok(batch(&[first])), Err(lost)]);
        let error = store.write_stream(&contacts(), batches).await.unwrap_err();
        assert!(matches!(error, RejectError::Temporary(_)), "{error}");
        assert!(keys(&store).await.is_empty());
    }
    let none = stream::iter([Ok::<_, RejectError>(batch(&[]))]);
    assert_eq!(store.write_stream(&contacts(), none).await.unwrap(), None);
    assert!(store.write(&contacts(), &[]).await.is_err());
    assert!(keys(&store).await.is_empty());
}

fn folder(root: &std::path::Path) -> RejectStore {
    let config = RejectConfig::new(Location::Url(Url::from_file_path(root).unwrap()));
    RejectStore::open(&config, start()).unwrap()
}

fn bytes_below(directory: &std::path::Path) -> u64 {
    let entries = std::fs::read_dir(directory).into_iter().flatten();
    entries
        .map(|entry| {
            let (path, metadata) = entry.map(|e| (e.path(), e.metadata().unwrap())).unwrap();
            if path.is_dir() {
                bytes_below(&path)
            } else {
                metadata.len()
            }
        })
        .sum()
}

/// Rows of 60 MB are never in memory together: what was taken and is not in the file
/// yet is a bounded part of it.
#[tokio::test]
async fn rows_are_written_as_they_are_taken() {
    let root = tempfile::tempdir().unwrap();
    let store = folder(root.path());
    let values: Vec<String> = (0..100).map(|n| format!("{n:0>4000}")).collect();
    let values: Vec<&str> = values.iter().map(String::as_str).collect();
    let one = batch(&values);
    let mut taken = 0;
    let batches = stream::iter(0..150).map(|_| {
        let held = taken - bytes_below(root.path()).min(taken);
        assert!(held <= 3 * PART_BYTES as u64, "{held} bytes are held");
        taken += 4_000 * 100;
        Ok::<_, RejectError>(one.clone())
    });
    let written = store.write_stream(&contacts(), batches).await.unwrap();
    let source = Arc::new(one.schema().project(&[0]).unwrap());
    let read = store.read(&written.unwrap(), source).await.unwrap();
    let rows = read.try_fold(0, |rows, batch| async move { Ok(rows + batch.num_rows()) });
    assert_eq!(rows.await.unwrap(), 15_000);
}

#[tokio::test]
async fn what_was_written_is_read_back_in_every_format() {
    let (_, mut store) = memory(None);
    let source = Arc::new(batch(&[]).schema().project(&[0]).unwrap());
    let mut expected = 0;
    for file_type in [FileType::Csv, FileType::Jsonl] {
        for compression in [Compression::No, Compression::Gzip] {
            store.format = RejectFormat::Airbyte(Envelope {
                file_type,
                flattening: Flattening::RootLevel,
                compression,
            });
            let rows = [batch(&["a", ""]), batch(&["é"])];
            let written = store.write(&contacts(), &rows).await.unwrap();
            assert!(written.ends_with(store.format.extension()), "{written}");
            let read = store.read(&written, Arc::clone(&source)).await.unwrap();
            let read: Vec<RecordBatch> = read.try_collect().await.unwrap();
            let schema = rows[0].schema();
            let all = arrow::compute::concat_batches(&schema, &rows).unwrap();
            assert_eq!(read, [all]);
            expected += 3;
        }
    }
    let read = store.read("rejected/42", source).await.unwrap();
    let read: Vec<RecordBatch> = read.try_collect().await.unwrap();
    assert_eq!(
        read.iter().map(RecordBatch::num_rows).sum::<usize>(),
        expected
    );
}

#[tokio::test]
async fn gzip_shrinks_large_objects_too() {
    let (memory, mut store) = memory(Some("all{format_extension}"));
    store.format = RejectFormat::Airbyte(Envelope {
        file_type: FileType::Jsonl,
        compression: Compression::Gzip,
        ..Envelope::default()
    });
    let random = |_| {
        std::iter::repeat_with(fastrand::alphanumeric)
            .take(10_000)
            .collect()
    };
    let values: Vec<String> = (0..800).map(random).collect();
    let values: Vec<&str> = values.iter().map(String::as_str).collect();
    let one = batch(&values);
    store
        .write(&contacts(), std::slice::from_ref(&one))
        .await
        .unwrap();
    let key = Path::parse("rejected/42/contacts/all.jsonl.gz").unwrap();
    let size = memory.head(&key).await.unwrap().size;
    assert!((PART_BYTES as u64..12_000_000).contains(&size), "{size}");
    let source = Arc::new(one.schema().project(&[0]).unwrap());
    let read = store.read(key.as_ref(), source).await.unwrap();
    let read: Vec<RecordBatch> = read.try_collect().await.unwrap();
    let read = arrow::compute::concat_batches(&one.schema(), &read).unwrap();
    assert_eq!(read, one);
}

#[tokio::test]
async fn a_real_s3_server() {
    let s3 = S3Server::start().await;
    let open = |bucket| RejectStore::open(&s3_config(s3.endpoint(), bucket), start()).unwrap();

    let store = open(BUCKET);
    store.prove().await.unwrap();
    let write = async |value: &str| store.write(&contacts(), &[batch(&[value])]).await.unwrap();
    assert_eq!(
        write("a").await,
        format!("s3://{BUCKET}/rejected/42/contacts/x.jsonl")
    );
    let large = write(&"w".repeat(PART_BYTES)).await;
    assert_eq!(
        large,
        format!("s3://{BUCKET}/rejected/42/contacts/x.jsonl-1")
    );
    // A second process, which does not know the first one's names.
    let second = open(BUCKET);
    let third = second.write(&contacts(), &[batch(&["b"])]).await.unwrap();
    assert_eq!(
        third,
        format!("s3://{BUCKET}/rejected/42/contacts/x.jsonl-2")
    );
    let size = |name| {
        let directory = s3.directory(BUCKET).join("rejected/42/contacts");
        std::fs::metadata(directory.join(name)).unwrap().len()
    };
    assert!(size("x.jsonl-1") > PART_BYTES as u64 && size("x.jsonl-2") < 1_000);
    let mut names = keys(&store).await;
    names.sort();
    assert_eq!(names, ["x.jsonl", "x.jsonl-1", "x.jsonl-2"]);

    // A server without conditional puts.
    let old = open(OLD_BUCKET);
    for expected in ["x.jsonl", "x.jsonl-1"] {
        let url = old.write(&contacts(), &[batch(&["a"])]).await.unwrap();
        assert_eq!(
            url,
            format!("s3://{OLD_BUCKET}/rejected/42/contacts/{expected}")
        );
    }
}

#[tokio::test]
async fn a_put_whose_response_was_lost_makes_no_second_copy() {
    let s3 = S3Server::start().await;
    let proxy = LosingProxy::start(s3.endpoint()).await;
    let store = RejectStore::open(&s3_config(&proxy.endpoint, BUCKET), start()).unwrap();
    let wide = "w".repeat(PART_BYTES);
    for (method, head, value, expected) in [
        ("PUT", "if-none-match", "a", "x.jsonl"),
        ("POST", "uploadId=", wide.as_str(), "x.jsonl-1"),
        ("PUT", "if-none-match", "b", "x.jsonl-2"),
    ] {
        proxy.lose(method, head);
        let url = store.write(&contacts(), &[batch(&[value])]).await.unwrap();
        assert!(proxy.has_lost(), "no response was lost");
        assert_eq!(
            url,
            format!("s3://{BUCKET}/rejected/42/contacts/{expected}")
        );
    }
    let mut names = keys(&store).await;
    names.sort();
    assert_eq!(names, ["x.jsonl", "x.jsonl-1", "x.jsonl-2"]);
}

#[tokio::test]
async fn every_object_asks_for_its_encryption() {
    let s3 = S3Server::start().await;
    let wide = "w".repeat(PART_BYTES);
    for (encryption, expected) in [
        (Encryption::BucketDefault, None),
        (Encryption::SseS3, Some("AES256 ")),
        (Encryption::SseKms { key_id: None }, Some("aws:kms ")),
        (
            Encryption::SseKms {
                key_id: Some("arn:aws:kms:eu-west-1:1:key/k".to_owned()),
            },
            Some("aws:kms arn:aws:kms:eu-west-1:1:key/k"),
        ),
    ] {
        let mut config = s3_config(s3.endpoint(), BUCKET);
        config.encryption = encryption;
        let store = RejectStore::open(&config, start()).unwrap();
        store.prove().await.unwrap();
        for value in ["a", &wide] {
            store.write(&contacts(), &[batch(&[value])]).await.unwrap();
        }
        // The test object, the small one, and the beginning of the upload in parts.
        let expected: Vec<&str> = expected.into_iter().flat_map(|one| [one; 3]).collect();
        assert_eq!(s3.encryption(), expected);
    }
}

#[tokio::test]
async fn errors_of_the_store_are_about_rejected_records() {
    let s3 = S3Server::start().await;
    let store = RejectStore::open(&s3_config(s3.endpoint(), FORBIDDEN_BUCKET), start()).unwrap();
    let refused = store.prove().await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Config);
    assert_snapshot!(refused, @"cannot write s3://forbidden/rejected/1/testing/test/_check_test for rejected records: access denied (AccessDenied); check access_key_id and secret_access_key, and that the key may put, get, list and delete objects under this prefix");
    let unlisted = RejectStore::open(&s3_config(s3.endpoint(), UNLISTED_BUCKET), start()).unwrap();
    let refused = unlisted.prove().await.unwrap_err();
    assert_snapshot!(refused, @"cannot list s3://unlisted/rejected/1/testing/test/ for rejected records: access denied (AccessDenied); check access_key_id and secret_access_key, and that the key may put, get, list and delete objects under this prefix");

    let files = Location::Url(Url::from_file_path(s3.directory(BUCKET)).unwrap());
    let encrypted = RejectConfig {
        encryption: Encryption::SseS3,
        ..RejectConfig::new(files)
    };
    let refused = RejectStore::open(&encrypted, start())
        .unwrap_err()
        .to_string();
    let reason = refused.strip_prefix("rejected records cannot be stored in file:///");
    let reason = reason.unwrap().split_once(": ").unwrap().1;
    assert_eq!(
        reason,
        "rejected_records_encryption is for S3 alone; leave it out, or store them in S3"
    );
    let google = RejectConfig::new(Location::Url(Url::parse("gs://bucket/a").unwrap()));
    let refused = RejectStore::open(&google, start()).unwrap_err();
    assert_snapshot!(refused, @"rejected records cannot be stored in gs://bucket/a: this kind of store is not built in; use file:/// or s3://");
}
