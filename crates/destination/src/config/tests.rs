use serde::de::{Error as _, Visitor, value::Error as ValueError};
use serde_json::json;

use super::storage::S3File;
use super::*;
use arrow_salesforce::bulk::Flow;
use arrow_salesforce::error::ErrorKind;
use arrow_salesforce::reject::airbyte::{Envelope, FileType, Flattening};
use arrow_salesforce::reject::{Compression, RejectFormat};
use arrow_salesforce::storage::{Encryption, S3Credentials, S3Location};

pub(crate) fn valid() -> Value {
    json!({
        "client_id": "id", "client_secret": "s3cret", "refresh_token": "t0ken",
        "is_sandbox": false, "auth_type": "Client",
    })
}

pub(crate) fn parse(config: &Value) -> Result<Config> {
    Config::parse(config.to_string().as_bytes())
}

/// Keys of the config, Airbyte's own first.
pub(crate) fn config_keys() -> &'static [&'static str] {
    keys_of::<ConfigFile>()
}

/// Keys of an object storage of type S3, but for `storage_type`.
pub(crate) fn s3_keys() -> &'static [&'static str] {
    keys_of::<S3File>()
}

fn keys_of<'de, T: Deserialize<'de>>() -> &'static [&'static str] {
    let mut keys = Keys(&[]);
    assert!(T::deserialize(&mut keys).is_err());
    keys.0
}

/// A deserializer that only hears which keys a struct asks for.
struct Keys(&'static [&'static str]);

impl<'de> Deserializer<'de> for &mut Keys {
    type Error = ValueError;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, ValueError> {
        self.0 = fields;
        Err(ValueError::custom("only the keys were asked for"))
    }

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, ValueError> {
        Err(ValueError::custom("not a struct"))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

fn with(key: &str, value: Value) -> Value {
    let mut config = valid();
    config[key] = value;
    config
}

fn s3(more: &Value) -> Value {
    let mut storage = json!({
        "storage_type": "S3", "s3_bucket_name": "bucket", "s3_bucket_region": "eu-west-1",
        "bucket_path": "rejected/", "format": {"format_type": "CSV", "flattening": "No flattening"},
    });
    for (key, value) in more.as_object().unwrap() {
        storage[key] = value.clone();
    }
    with("object_storage_config", storage)
}

fn complaint_of(config: &Value) -> String {
    let error = parse(config).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    error.to_string()
}

fn s3_of(config: Config) -> S3Location {
    match config.rejects.unwrap().location {
        Location::S3(s3) => s3,
        other @ Location::Url(_) => panic!("not S3: {other:?}"),
    }
}

#[test]
fn the_example_of_the_docs_page_runs_as_it_stands() {
    let config = Config::parse(
        br#"{"client_id":"your_consumer_key","client_secret":"your_consumer_secret",
        "refresh_token":"your_refresh_token","is_sandbox":false,"object_storage_config":{
        "storage_type":"S3","access_key_id":"your_access_key_id",
        "secret_access_key":"your_secret_access_key","s3_bucket_name":"your_bucket_name",
        "s3_bucket_region":"us-east-1","bucket_path":"rejected_records/"}}"#,
    )
    .unwrap();
    let credentials = &config.credentials;
    let Flow::RefreshToken { client_secret, .. } = &credentials.flow else {
        panic!("{credentials:?}");
    };
    assert_eq!(
        credentials.login_url.as_str(),
        "https://login.salesforce.com/"
    );
    assert_eq!(client_secret.expose_secret(), "your_consumer_secret");
    assert_eq!(config.org, OrgOptions::default());
    assert_eq!(config.load, LoadOptions::default());
    assert_eq!(config.values, ValueOptions::default());
    let rejects = config.rejects.as_ref().unwrap();
    assert_eq!(rejects.format, RejectFormat::default());
    assert_eq!(rejects.encryption, Encryption::BucketDefault);
    let s3 = s3_of(config);
    assert_eq!(s3.prefix, "rejected_records/");
    let S3Credentials::Key { id, .. } = s3.credentials else {
        panic!("{s3:?}");
    };
    assert_eq!(id.expose_secret(), "your_access_key_id");
}

#[test]
fn whole_numbers_in_any_form() {
    let config: Value = serde_json::from_str(
        r#"{"client_id": "id", "client_secret": "s", "refresh_token": "t", "max_job_bytes": 5e7,
            "max_job_rows": 1000.0, "max_jobs_in_flight": 2}"#,
    )
    .unwrap();
    let Config { org, load, .. } = parse(&config).unwrap();
    assert_eq!(load.max_job_bytes, 50_000_000);
    assert_eq!(load.max_job_rows, Some(1_000));
    assert_eq!(org.max_jobs_in_flight, 2);
}

#[test]
fn what_may_be_left_out() {
    let config = parse(&json!({
        "client_id": "id", "client_secret": "s", "refresh_token": "t", "is_sandbox": null,
        "auth_type": null, "object_storage_config": null, "login_url": "",
        "max_job_rows": null, "a_key_of_tomorrow": {"x": 1},
    }))
    .unwrap();
    assert!(config.rejects.is_none());
    assert_eq!(
        config.credentials.login_url.host_str(),
        Some("login.salesforce.com")
    );
    assert!(
        parse(&with(
            "object_storage_config",
            json!({"storage_type": "None"})
        ))
        .is_ok()
    );
}

#[test]
fn a_sandbox_has_its_own_host() {
    let config = parse(&with("is_sandbox", json!(true))).unwrap();
    assert_eq!(
        config.credentials.login_url.host_str(),
        Some("test.salesforce.com")
    );
}

#[test]
fn the_type_of_login_selects_its_settings() {
    let my_domain = "https://acme.my.salesforce.com";
    let app = json!({
        "client_id": "id", "client_secret": "s3cret", "refresh_token": "",
        "auth_type": "ClientCredentials", "login_url": my_domain,
    });
    let flow = parse(&app).unwrap().credentials.flow;
    assert!(matches!(flow, Flow::ClientCredentials { .. }), "{flow:?}");
    let signed = json!({
        "client_id": "id", "auth_type": "JWT", "username": "u@acme.example", "private_key": "PEM",
    });
    let credentials = parse(&signed).unwrap().credentials;
    let Flow::JwtBearer { username, .. } = credentials.flow else {
        panic!("{:?}", credentials.flow);
    };
    assert_eq!(username, "u@acme.example");
    let lacking = |config: &Value, key: &str| {
        let mut config = config.clone();
        config.as_object_mut().unwrap().remove(key);
        complaint_of(&config)
    };
    let texts = [
        lacking(&app, "client_secret"),
        lacking(&app, "login_url"),
        lacking(&signed, "private_key"),
        lacking(&signed, "username"),
        complaint_of(&with("refresh_token", json!(null))),
    ];
    insta::assert_snapshot!(texts.join("\n"), @"
    the config lacks the key `client_secret`, which auth_type ClientCredentials needs
    login_url is needed by auth_type ClientCredentials: the My Domain of the org (https://<name>.my.salesforce.com)
    the config lacks the key `private_key`, which auth_type JWT needs
    the config lacks the key `username`, which auth_type JWT needs
    the config lacks the key `refresh_token`
    ");
}

#[test]
fn http_is_for_this_machine_only() {
    for url in [
        "http://localhost:8080",
        "http://127.0.0.1:1",
        "http://[::1]:1",
        "https://x.my.salesforce.com",
    ] {
        parse(&with("login_url", json!(url))).unwrap();
    }
    for url in [
        "http://login.salesforce.com",
        "ftp://localhost",
        "http://127.0.0.1.example.com",
    ] {
        assert!(complaint_of(&with("login_url", json!(url))).starts_with("login_url must"));
    }
    insta::assert_snapshot!(
        complaint_of(&with("login_url", json!("login.salesforce.com"))),
        @"login_url is not a URL: relative URL without a base"
    );
}

#[test]
fn errors_name_the_key_and_what_is_allowed() {
    let mut config = valid();
    config.as_object_mut().unwrap().remove("refresh_token");
    insta::assert_snapshot!(complaint_of(&config), @"the config lacks the key `refresh_token`");
    insta::assert_snapshot!(complaint_of(&with("client_id", json!(" "))), @"client_id is empty; it is required");
    insta::assert_snapshot!(complaint_of(&with("is_sandbox", json!("yes"))), @"is_sandbox must be a boolean");
    insta::assert_snapshot!(complaint_of(&with("auth_type", json!("Basic"))), @"auth_type must be one of `Client`, `ClientCredentials`, `JWT`");
    insta::assert_snapshot!(complaint_of(&with("max_job_rows", json!(1.5))), @"max_job_rows must be a whole number, 0 or more");
    insta::assert_snapshot!(complaint_of(&with("max_job_rows", json!("1000"))), @"max_job_rows must be a whole number, 0 or more");
    insta::assert_snapshot!(complaint_of(&with("max_job_bytes", json!(-1))), @"max_job_bytes must be a whole number, 0 or more");
    insta::assert_snapshot!(complaint_of(&with("max_job_bytes", json!(1))), @"max_job_bytes is 1; it must be between 10000 and 112500000");
    insta::assert_snapshot!(complaint_of(&with("flush_interval_seconds", json!(0))), @"flush_interval_seconds is 0; it must be between 1 and 86400");
    insta::assert_snapshot!(complaint_of(&with("null_handling", json!("keep"))), @"null_handling must be `leave` or `clear`");
    insta::assert_snapshot!(complaint_of(&with("timezone", json!("Mars"))), @"timezone is not known; give a name such as Europe/Berlin, or an offset such as +05:30");
    insta::assert_snapshot!(complaint_of(&with("assignment_rule_id", json!("01Q"))), @"assignment_rule_id is no Id; give the 15 or 18 letters and digits that the URL of the rule ends with");
    insta::assert_snapshot!(complaint_of(&json!([])), @"the config must be a JSON object");
    insta::assert_snapshot!(Config::parse(b"{\n,").unwrap_err(), @"the config is not JSON: see line 2, column 1 of the file");
}

#[test]
fn errors_of_the_object_storage_name_its_keys() {
    insta::assert_snapshot!(complaint_of(&with("object_storage_config", json!({}))), @"object_storage_config lacks the key `storage_type`");
    insta::assert_snapshot!(complaint_of(&with("object_storage_config", json!("S3"))), @"object_storage_config must be an object");
    insta::assert_snapshot!(complaint_of(&s3(&json!({"storage_type": "GCS"}))), @"object_storage_config.storage_type must be `None` or `S3`");
    insta::assert_snapshot!(complaint_of(&s3(&json!({"s3_bucket_name": 7}))), @"object_storage_config.s3_bucket_name must be a string");
    insta::assert_snapshot!(complaint_of(&s3(&json!({"s3_bucket_region": ""}))), @"object_storage_config.s3_bucket_region is empty; it is required");
    insta::assert_snapshot!(complaint_of(&s3(&json!({"format": {"format_type": "XML"}}))), @"object_storage_config.format.format_type must be `CSV` or `JSONL`");
    insta::assert_snapshot!(complaint_of(&s3(&json!({"access_key_id": "A0"}))), @"object_storage_config: access_key_id and secret_access_key come together; give both, or neither to use the credentials of the environment");
}

#[test]
fn keys_come_before_a_role_and_a_role_before_the_environment() {
    let role = "arn:aws:iam::1:role/x";
    let of = |storage| s3_of(parse(&s3(&storage)).unwrap()).credentials;
    let keys = json!({"access_key_id": "A0", "secret_access_key": "s", "role_arn": role});
    assert!(matches!(of(keys), S3Credentials::Key { .. }));
    let only_role = json!({"access_key_id": "", "role_arn": role});
    assert!(matches!(of(only_role), S3Credentials::Role(arn) if arn == role));
    let nothing = json!({"role_arn": ""});
    assert!(matches!(of(nothing), S3Credentials::Environment));
}

#[test]
fn every_format_flattening_and_compression() {
    for (format_type, file_type) in [("CSV", FileType::Csv), ("JSONL", FileType::Jsonl)] {
        for (name, flattening) in [
            ("No flattening", Flattening::No),
            ("Root level flattening", Flattening::RootLevel),
        ] {
            for (kind, compression) in [
                ("No Compression", Compression::No),
                ("GZIP", Compression::Gzip),
            ] {
                let config = s3(&json!({
                    "format": {"format_type": format_type, "flattening": name},
                    "compression": {"compression_type": kind},
                }));
                let expected = Envelope {
                    file_type,
                    flattening,
                    compression,
                };
                let rejects = parse(&config).unwrap().rejects.unwrap();
                assert_eq!(rejects.format, RejectFormat::Airbyte(expected));
            }
        }
    }
}

#[test]
fn encryption_of_rejected_records() {
    let encryption = |kind: &str, key: &str| {
        let mut config = s3(&json!({}));
        config["rejected_records_encryption"] = json!(kind);
        config["rejected_records_kms_key_id"] = json!(key);
        parse(&config).map(|config| config.rejects.unwrap().encryption)
    };
    let key_id = Some("arn:aws:kms:eu-west-1:1:key/k".to_owned());
    for (kind, key, expected) in [
        ("", "", Encryption::BucketDefault),
        ("none", "", Encryption::BucketDefault),
        ("SSE-S3", " ", Encryption::SseS3),
        ("SSE-KMS", "", Encryption::SseKms { key_id: None }),
        (
            "SSE-KMS",
            " arn:aws:kms:eu-west-1:1:key/k ",
            Encryption::SseKms { key_id },
        ),
    ] {
        assert_eq!(encryption(kind, key).unwrap(), expected);
    }
    insta::assert_snapshot!(encryption("SSE-S3", "k").unwrap_err(), @r#"rejected_records_kms_key_id is for the rejected_records_encryption "SSE-KMS"; choose that, or leave the key out"#);
    insta::assert_snapshot!(encryption("AES256", "").unwrap_err(), @"rejected_records_encryption must be one of `none`, `SSE-S3`, `SSE-KMS`");
}

#[test]
fn a_store_like_s3_needs_no_region() {
    let config = s3(&json!({
        "s3_bucket_region": "", "s3_endpoint": "http://localhost:9000",
    }));
    let s3 = s3_of(parse(&config).unwrap());
    assert_eq!(s3.region, "");
    assert_eq!(s3.endpoint.as_deref(), Some("http://localhost:9000"));
}

#[test]
fn a_url_takes_the_place_of_the_object_storage() {
    let mut config = s3(&json!({"storage_type": "unread"}));
    config["rejected_records_url"] = json!("file:///data/rejected");
    let Location::Url(url) = parse(&config).unwrap().rejects.unwrap().location else {
        panic!("no URL");
    };
    assert_eq!(url.path(), "/data/rejected");
}

#[test]
fn no_secret_in_an_error_or_in_debug() {
    let config = s3(&json!({"access_key_id": "AKIASECRET", "secret_access_key": "s3cret"}));
    let debug = format!("{:?}", parse(&config).unwrap());
    let mut wrong = config;
    wrong["client_secret"] = json!({"s3cret": "t0ken"});
    let error = complaint_of(&wrong);
    for secret in ["s3cret", "t0ken", "AKIASECRET"] {
        assert!(!debug.contains(secret), "{debug}");
        assert!(!error.contains(secret), "{error}");
    }
}

#[test]
fn a_new_refresh_token_changes_nothing_else() {
    let came = with("a_key_of_tomorrow", json!({"x": 1}));
    let config = parse(&came).unwrap();
    let written = config.text.with_refresh_token(&"n3w".into()).unwrap();
    let mut expected = came;
    expected["refresh_token"] = json!("n3w");
    let written: Value = serde_json::from_str(written.get()).unwrap();
    assert_eq!(written, expected);
}
