use arrow::array::{ArrayRef, StringArray};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use object_store::memory::InMemory;
use s3s::S3Result;
use s3s::access::{S3Access, S3AccessContext};
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use tokio::net::TcpListener;

use super::*;
use crate::coerce::{Reason, Stage};
use crate::error::ErrorKind;
use crate::reject::{RejectedRow, rejected};

const KEY_ID: &str = "AKIDEXAMPLEKEYID";
const SECRET: &str = "SecretThatMustNotBeShown";

fn start() -> DateTime<Utc> {
    DateTime::from_timestamp_millis(1_772_323_201_023).unwrap()
}

fn memory(file_name_format: Option<&str>) -> (Arc<InMemory>, RejectStore) {
    let memory = Arc::new(InMemory::new());
    let store = RejectStore {
        store: Arc::<InMemory>::clone(&memory),
        place: "memory://".to_owned(),
        prefix: "rejected/".to_owned(),
        layout: Layout::new(None, file_name_format, start()).unwrap(),
        format: Format::Jsonl,
        directories: Mutex::default(),
    };
    (memory, store)
}

fn contacts() -> RejectStream {
    RejectStream {
        name: "contacts".to_owned(),
        namespace: None,
        sync_id: 42,
        generation_id: 1,
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
    let directory = store.layout.directory(&store.prefix, &contacts());
    store.list(&directory).await.unwrap()
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
    let config = RejectConfig {
        place: Place::Url(Url::from_file_path(&directory).unwrap()),
        format: Format::Csv,
        path_format: None,
        file_name_format: None,
    };
    let store = RejectStore::open(&config, start()).unwrap();
    store.prove().await.unwrap();
    assert_eq!(std::fs::read_dir(&directory).unwrap().count(), 0);
    let url = store.write(&contacts(), &[batch(&["a"])]).await.unwrap();
    let path = Url::parse(&url).unwrap().to_file_path().unwrap();
    let text = std::fs::read_to_string(path).unwrap();
    assert!(text.starts_with("\"_airbyte_raw_id\",") && text.ends_with("\r\n"));
}

#[test]
fn a_place_that_is_a_file_is_a_config_error() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let config = RejectConfig {
        place: Place::Url(Url::from_file_path(file.path()).unwrap()),
        format: Format::Csv,
        path_format: None,
        file_name_format: None,
    };
    let error = RejectStore::open(&config, start()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("choose another directory"));
}

#[test]
fn urls_of_other_stores_are_named_without_their_secrets() {
    let config = RejectConfig {
        place: Place::Url(Url::parse("gs://user:secret@bucket/a?token=secret").unwrap()),
        format: Format::Csv,
        path_format: None,
        file_name_format: None,
    };
    let message = RejectStore::open(&config, start()).unwrap_err().to_string();
    assert_eq!(
        message,
        "rejected records cannot be stored in gs://bucket/a: this kind of store is not built in; \
         use file:/// or s3://"
    );
}

/// Refuses as Amazon's servers do, by the bucket that a request names.
struct Refusing;

#[async_trait::async_trait]
impl S3Access for Refusing {
    async fn check(&self, request: &mut S3AccessContext<'_>) -> S3Result<()> {
        match request.s3_path().get_bucket_name() {
            Some("bucket") => Ok(()),
            Some("old") if request.headers().contains_key("if-none-match") => {
                Err(s3s::s3_error!(NotImplemented))
            }
            Some("old") => Ok(()),
            Some("forbidden") => Err(s3s::s3_error!(AccessDenied)),
            Some("elsewhere") => Err(s3s::s3_error!(PermanentRedirect)),
            _ => Err(s3s::s3_error!(NoSuchBucket)),
        }
    }
}

/// An S3 server that checks signatures.
async fn serve_s3(root: &std::path::Path) -> String {
    std::fs::create_dir(root.join("bucket")).unwrap();
    std::fs::create_dir(root.join("old")).unwrap();
    let mut builder = S3ServiceBuilder::new(s3s_fs::FileSystem::new(root).unwrap());
    builder.set_auth(SimpleAuth::from_single(KEY_ID, SECRET));
    builder.set_access(Refusing);
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

fn s3_config(endpoint: &str, bucket: &str, secret: &str) -> RejectConfig {
    RejectConfig {
        place: Place::S3(S3Place {
            bucket: bucket.to_owned(),
            region: "us-east-1".to_owned(),
            endpoint: Some(endpoint.to_owned()),
            keys: Some((KEY_ID.into(), secret.into())),
            bucket_path: "rejected/".to_owned(),
        }),
        format: Format::Jsonl,
        path_format: None,
        file_name_format: Some("x{format_extension}".to_owned()),
    }
}

#[tokio::test]
async fn a_real_s3_server() {
    let root = tempfile::tempdir().unwrap();
    let endpoint = serve_s3(root.path()).await;
    let open =
        |bucket, secret| RejectStore::open(&s3_config(&endpoint, bucket, secret), start()).unwrap();

    let store = open("bucket", SECRET);
    store.prove().await.unwrap();
    let write = async |value: &str| store.write(&contacts(), &[batch(&[value])]).await.unwrap();
    assert_eq!(write("a").await, "s3://bucket/rejected/42/contacts/x.jsonl");
    let large = write(&"w".repeat(PART_BYTES)).await;
    assert_eq!(large, "s3://bucket/rejected/42/contacts/x.jsonl-1");
    // A second process, which does not know the first one's names.
    let second = open("bucket", SECRET);
    let third = second.write(&contacts(), &[batch(&["b"])]).await.unwrap();
    assert_eq!(third, "s3://bucket/rejected/42/contacts/x.jsonl-2");
    let size = |name| {
        let path = root.path().join("bucket/rejected/42/contacts").join(name);
        std::fs::metadata(path).unwrap().len()
    };
    assert!(size("x.jsonl-1") > PART_BYTES as u64 && size("x.jsonl-2") < 1_000);
    let mut names = keys(&store).await;
    names.sort();
    assert_eq!(names, ["x.jsonl", "x.jsonl-1", "x.jsonl-2"]);

    // A server without conditional puts.
    let old = open("old", SECRET);
    for expected in ["x.jsonl", "x.jsonl-1"] {
        let url = old.write(&contacts(), &[batch(&["a"])]).await.unwrap();
        assert_eq!(url, format!("s3://old/rejected/42/contacts/{expected}"));
    }
}

#[tokio::test]
async fn what_an_s3_server_refuses_is_explained_without_secrets() {
    let root = tempfile::tempdir().unwrap();
    let endpoint = serve_s3(root.path()).await;
    for (bucket, secret, cause) in [
        (
            "bucket",
            "AnotherSecret",
            "access denied (SignatureDoesNotMatch); check access_key_id and secret_access_key",
        ),
        ("forbidden", SECRET, "access denied (AccessDenied); check"),
        ("absent", SECRET, "no such bucket; check s3_bucket_name"),
        (
            "elsewhere",
            SECRET,
            "the bucket is in another region; set s3_bucket_region",
        ),
    ] {
        let store = RejectStore::open(&s3_config(&endpoint, bucket, secret), start()).unwrap();
        let error = store.prove().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        let key = format!("s3://{bucket}/rejected/1/testing/test/_check_test");
        let expected = format!("cannot write {key} for rejected records: {cause}");
        assert!(error.to_string().starts_with(&expected), "{error}");
        let told = format!("{store:?} {error:?} {error}");
        assert!(!told.contains(secret) && !told.contains(KEY_ID), "{told}");
    }
}

#[tokio::test]
async fn an_endpoint_that_does_not_answer() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let mut config = s3_config(&endpoint, "bucket", SECRET);
    config.path_format = Some("{namespace}/".to_owned());
    let store = RejectStore::open(&config, start()).unwrap();
    let error = store.prove().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Transient);
    assert!(error.to_string().contains("not reachable"), "{error}");
    assert!(error.to_string().contains("s3_endpoint"), "{error}");
}
