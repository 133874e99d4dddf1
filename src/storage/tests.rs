use bytes::Bytes;
use object_store::memory::InMemory;
use testkit::bucket_faults::{BucketCall, BucketFault, Harm};
use testkit::s3::{
    ACCESS_KEY, BUCKET, ELSEWHERE_BUCKET, FORBIDDEN_BUCKET, LosingProxy, OLD_BUCKET, S3Server,
    SECRET_KEY, UNLISTED_BUCKET,
};
use tokio::net::TcpListener;
use url::Url;

use super::testing::s3_location;
use super::*;
use crate::error::ErrorKind;
use crate::waits::Waits;

const DIRECTORY: &str = "rejected/1/";
const NAME: &str = "_test";

fn open(location: &Location) -> Storage {
    let waits = Waits {
        wait_permille: 5,
        ..Waits::default()
    };
    let storage = Storage::open(location, &Encryption::default()).unwrap();
    storage.with_waits(waits)
}

fn url(url: &str) -> Location {
    Location::Url(Url::parse(url).unwrap())
}

fn key(name: &str) -> Path {
    key_in(DIRECTORY, name).unwrap()
}

async fn prove(storage: &Storage) -> Result<(), StorageError> {
    let content = Bytes::from_static(b"test");
    storage.prove(DIRECTORY, NAME, content).await
}

async fn content(storage: &Storage, key: &Path) -> Vec<u8> {
    let pieces = storage.read(key).await.unwrap();
    let pieces: Vec<Bytes> = pieces.try_collect().await.unwrap();
    pieces.concat()
}

#[tokio::test]
async fn an_object_is_made_once() {
    let storage = Storage::in_memory(Arc::default(), "");
    let (ours, theirs) = (Bytes::from_static(b"ours"), Bytes::from_static(b"theirs"));
    let key = key("a");
    assert!(!storage.exists(&key).await.unwrap());
    assert!(storage.create(&key, ours.clone()).await.unwrap());
    assert!(!storage.create(&key, theirs).await.unwrap());
    // The content is there, whoever put it.
    assert!(storage.create(&key, ours).await.unwrap());
    assert_eq!(content(&storage, &key).await, b"ours");
    storage.delete(&key).await.unwrap();
    assert!(!storage.exists(&key).await.unwrap());
}

#[tokio::test]
async fn all_files_of_a_directory_are_found() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::create_dir(directory.path().join("a")).unwrap();
    std::fs::write(directory.path().join("a/b"), "").unwrap();
    let url = url::Url::from_directory_path(directory.path()).unwrap();
    let storage = open(&Location::Url(url));
    for of in ["", "a", "a/b"] {
        let found = storage.find(&key_in(of, "").unwrap()).await.unwrap();
        assert_eq!(found, [Path::from("a/b")], "{of}");
    }
}

#[tokio::test]
async fn one_object_is_found_or_all_below() {
    let storage = Storage::in_memory(Arc::default(), "");
    for name in ["b", "a", "c/d"] {
        let created = storage.create(&key(name), Bytes::new()).await.unwrap();
        assert!(created);
    }
    let found = async |url: &str| {
        let key = storage.key_of(url).unwrap();
        let found = storage.find(&key).await.unwrap();
        found.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let all = ["rejected/1/a", "rejected/1/b", "rejected/1/c/d"];
    assert_eq!(found("rejected/1").await, all);
    assert_eq!(found("/rejected/").await, all);
    assert_eq!(found(&storage.url("rejected/1/a")).await, all[..1]);
    assert!(found("none").await.is_empty());
    assert_eq!(storage.list(DIRECTORY).await.unwrap(), ["a", "b"]);
}

#[tokio::test]
async fn an_upload_is_an_object_when_it_is_complete() {
    let memory = Arc::<InMemory>::default();
    let storage = Storage::in_memory(memory, "");
    let parts = [Bytes::from(vec![1; PART_BYTES]), Bytes::from_static(b"2")];
    let key = key("a");
    let put = async || {
        let mut upload = storage.upload(&key).await.unwrap();
        for part in parts.clone() {
            upload.put(part).await.unwrap();
        }
        upload
    };
    put().await.abort().await;
    assert!(!storage.exists(&key).await.unwrap());
    put().await.complete().await.unwrap();
    assert_eq!(content(&storage, &key).await, parts.concat());
    let error = put().await.complete().await.unwrap_err();
    assert!(matches!(error, StorageError::Taken { .. }), "{error}");
    assert_eq!(error.kind(), ErrorKind::Transient);
}

#[tokio::test]
async fn proving_leaves_nothing_behind() {
    let root = tempfile::tempdir().unwrap();
    let directory = root.path().join("not yet");
    let storage = open(&Location::Url(Url::from_file_path(&directory).unwrap()));
    prove(&storage).await.unwrap();
    assert_eq!(std::fs::read_dir(&directory).unwrap().count(), 0);
}

#[test]
fn a_location_that_is_a_file_is_a_config_error() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let location = Location::Url(Url::from_file_path(file.path()).unwrap());
    let error = Storage::open(&location, &Encryption::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("choose another directory"));
}

#[test]
fn urls_of_other_stores_are_named_without_their_secrets() {
    let location = url("ftp://user:secret@bucket/a?token=secret");
    let error = Storage::open(&location, &Encryption::default()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot store in ftp://bucket/a: this is no URL of an object store; use file:///directory or \
         s3://bucket"
    );
    // Whether this kind is built in is a matter of who else is built with object_store.
    let location = url("gs://user:secret@bucket/a?token=secret");
    let shown = match Storage::open(&location, &Encryption::default()) {
        Err(error) => error.to_string(),
        Ok(storage) => storage.url("b"),
    };
    let refused =
        "cannot store in gs://bucket/a: this kind of store is not built in; use file:/// or s3://";
    assert!(
        [refused, "gs://bucket/b"].contains(&shown.as_str()),
        "{shown}"
    );
}

#[test]
fn files_cannot_be_encrypted_as_s3_does() {
    let root = tempfile::tempdir().unwrap();
    let location = Location::Url(Url::from_file_path(root.path()).unwrap());
    let error = Storage::open(&location, &Encryption::SseS3).unwrap_err();
    assert!(matches!(error, StorageError::Encryption { .. }), "{error}");
    assert_eq!(error.kind(), ErrorKind::Config);
}

#[tokio::test]
async fn a_server_without_conditional_puts_and_deleting_many() {
    let s3 = S3Server::start().await;
    let storage = open(&s3_location(s3.endpoint(), OLD_BUCKET, SECRET_KEY));
    prove(&storage).await.unwrap();
    assert!(storage.list(DIRECTORY).await.unwrap().is_empty());
    let created = storage.create(&key("a"), Bytes::from_static(b"a")).await;
    assert!(created.unwrap());
    assert_eq!(content(&storage, &key("a")).await, b"a");
}

#[tokio::test]
async fn a_deletion_that_fails_for_a_reason_that_passes_is_repeated() {
    for harm in [
        Harm::Error(503, "SlowDown"),
        Harm::Error(429, "x"),
        Harm::Cut,
    ] {
        let s3 = S3Server::start().await;
        s3.set_faults(vec![BucketFault {
            name: String::new(),
            call: Some(BucketCall::Delete),
            // The request to delete many, which this server does not know.
            skip: 1,
            times: Some(1),
            span: None,
            harm,
        }]);
        let storage = open(&s3_location(s3.endpoint(), OLD_BUCKET, SECRET_KEY));
        prove(&storage).await.unwrap();
        assert!(storage.list(DIRECTORY).await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn what_an_s3_server_refuses_is_explained_without_secrets() {
    let s3 = S3Server::start().await;
    let storage = open(&s3_location(s3.endpoint(), UNLISTED_BUCKET, SECRET_KEY));
    let error = prove(&storage).await.unwrap_err();
    let expected = "cannot list s3://unlisted/rejected/1/: access denied (AccessDenied); check \
                    access_key_id";
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().starts_with(expected), "{error}");

    for (bucket, secret, cause) in [
        (
            BUCKET,
            "AnotherSecret",
            "access denied (SignatureDoesNotMatch); check access_key_id and secret_access_key",
        ),
        (
            FORBIDDEN_BUCKET,
            SECRET_KEY,
            "access denied (AccessDenied); check",
        ),
        ("absent", SECRET_KEY, "no such bucket; check s3_bucket_name"),
        (
            ELSEWHERE_BUCKET,
            SECRET_KEY,
            "the bucket is in another region; set s3_bucket_region",
        ),
    ] {
        let storage = open(&s3_location(s3.endpoint(), bucket, secret));
        let error = prove(&storage).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        let expected = format!("cannot write s3://{bucket}/rejected/1/_test: {cause}");
        assert!(error.to_string().starts_with(&expected), "{error}");
        let shown = format!("{storage:?} {error:?} {error}");
        assert!(
            !shown.contains(secret) && !shown.contains(ACCESS_KEY),
            "{shown}"
        );
    }
}

#[tokio::test]
async fn an_endpoint_that_does_not_respond() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let storage = open(&s3_location(&endpoint, BUCKET, SECRET_KEY));
    let error = prove(&storage).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Transient);
    assert!(error.to_string().contains("not reachable"), "{error}");
    assert!(error.to_string().contains("s3_endpoint"), "{error}");
}

#[tokio::test]
async fn what_was_put_is_found_though_the_response_was_lost() {
    let s3 = S3Server::start().await;
    let proxy = LosingProxy::start(s3.endpoint()).await;
    let storage = open(&s3_location(&proxy.endpoint, BUCKET, SECRET_KEY));
    proxy.lose("PUT", "if-none-match");
    let created = storage.create(&key("a"), Bytes::from_static(b"a")).await;
    assert!(created.unwrap());
    assert!(proxy.has_lost(), "no response was lost");

    let mut upload = storage.upload(&key("b")).await.unwrap();
    upload.put(Bytes::from_static(b"b")).await.unwrap();
    proxy.lose("POST", "uploadId=");
    upload.complete().await.unwrap();
    assert!(proxy.has_lost(), "no response was lost");
    assert_eq!(content(&storage, &key("b")).await, b"b");
}

#[tokio::test]
async fn a_busy_store_is_waited_for() {
    let s3 = S3Server::start().await;
    let storage = open(&s3_location(s3.endpoint(), BUCKET, SECRET_KEY));
    // As long as a minute, unscaled.
    let busy = || s3.be_busy(8);
    busy();
    assert!(storage.list(DIRECTORY).await.unwrap().is_empty());
    busy();
    let created = storage.create(&key("a"), Bytes::from_static(b"a")).await;
    assert!(created.unwrap());

    busy();
    let mut upload = storage.upload(&key("b")).await.unwrap();
    let parts = [Bytes::from(vec![1; PART_BYTES]), Bytes::from_static(b"2")];
    for part in parts.clone() {
        busy();
        upload.put(part).await.unwrap();
    }
    busy();
    upload.complete().await.unwrap();
    assert_eq!(content(&storage, &key("b")).await, parts.concat());
    assert_eq!(s3.busy(), 0);
    assert_eq!(storage.list(DIRECTORY).await.unwrap(), ["a", "b"]);
}

#[tokio::test]
async fn patience_has_an_end() {
    let s3 = S3Server::start().await;
    let storage = open(&s3_location(s3.endpoint(), BUCKET, SECRET_KEY));
    s3.be_busy(usize::MAX);
    let error = prove(&storage).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Transient);
    insta::assert_snapshot!(error, @"cannot write s3://rejected-records/rejected/1/_test: the store answered with an error (SlowDown); try again later");
    let asked = usize::MAX - s3.busy();
    assert!(asked < 10, "{asked} requests in ten seconds of patience");
}

#[tokio::test]
async fn an_upload_that_is_dropped_leaves_no_parts() {
    let s3 = S3Server::start().await;
    let storage = open(&s3_location(s3.endpoint(), BUCKET, SECRET_KEY));
    let mut upload = storage.upload(&key("a")).await.unwrap();
    upload.put(Bytes::from_static(b"a")).await.unwrap();
    let parts = || {
        let files = std::fs::read_dir(s3.directory("")).unwrap();
        files
            .filter(|file| {
                let name = file.as_ref().unwrap().file_name();
                name.to_string_lossy().contains("part")
            })
            .count()
    };
    assert_eq!(parts(), 1);
    drop(upload);
    while parts() > 0 {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}
