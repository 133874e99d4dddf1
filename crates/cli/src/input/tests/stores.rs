//! Files in an S3 server, and on web servers.

use std::convert::Infallible;
use std::io::Read as _;
use std::net::TcpListener;

use testkit::s3::{ACCESS_KEY, BUCKET, S3Server, SECRET_KEY};

use super::*;

fn environment(server: &S3Server) -> Environment {
    Environment::from([
        ("AWS_ENDPOINT_URL", server.endpoint()),
        ("AWS_ACCESS_KEY_ID", ACCESS_KEY),
        ("AWS_SECRET_ACCESS_KEY", SECRET_KEY),
        ("AWS_REGION", "us-east-1"),
    ])
}

async fn open(typed: &str, environment: Environment) -> Result<Inputs, InputError> {
    let folder = tempfile::TempDir::new().unwrap().keep();
    let typed = [typed.to_owned()];
    Inputs::open_in(
        &typed,
        &ReadSpec::default(),
        &folder.join("stdin"),
        environment,
    )
    .await
}

#[tokio::test]
async fn objects_are_read_as_files_are() {
    let server = S3Server::start().await;
    let bucket = server.directory(BUCKET);
    let rows = 0..20_000;
    for (key, bytes) in [
        ("a.parquet", parquet(&people(rows.clone()))),
        ("a b.csv.gz", gzip(&csv(&people(rows.clone())))),
        ("d/dt=1/a.jsonl", json_lines(&people(0..2))),
        ("d/dt=2/a.jsonl", json_lines(&people(2..3))),
    ] {
        write(&bucket.join(key), &bytes);
    }
    for key in ["a.parquet", "a b.csv.gz"] {
        let inputs = open(&format!("s3://{BUCKET}/{key}"), environment(&server))
            .await
            .unwrap();
        let found = rows_of(&inputs, "select * from input").await.unwrap();
        assert_eq!(found, expected(rows.clone()), "{key}");
        let states = inputs.states();
        assert_eq!(states[0].name, format!("s3://{BUCKET}/{key}"));
        assert!(states[0].etag.is_some() || states[0].modified.is_some());
    }
    for (key, expected) in [
        (
            "d/",
            &[
                "id=0 name=n0 dt=1",
                "id=1 name=n1 dt=1",
                "id=2 name=n2 dt=2",
            ][..],
        ),
        ("d/*=2", &["id=2 name=n2 dt=2"]),
        (
            "d/dt=?/*.jsonl",
            &[
                "id=0 name=n0 dt=1",
                "id=1 name=n1 dt=1",
                "id=2 name=n2 dt=2",
            ],
        ),
    ] {
        let inputs = open(&format!("s3://{BUCKET}/{key}"), environment(&server))
            .await
            .unwrap();
        let rows = rows_of(&inputs, "select * from input").await.unwrap();
        assert_eq!(rows, expected, "{key}");
    }
    let sql = format!("select name from 's3://{BUCKET}/a.parquet' where id = 7");
    let inputs = open(&format!("s3://{BUCKET}/d/"), environment(&server))
        .await
        .unwrap();
    assert_eq!(rows_of(&inputs, &sql).await.unwrap(), ["name=n7"]);
    let folder = Folder::new();
    let here = folder.write("here.parquet", parquet(&people(0..2)));
    let there = format!("s3://{BUCKET}/a.parquet");
    let both = [here, there.clone(), there];
    let spool = folder.path("stdin");
    let inputs = Inputs::open_in(&both, &ReadSpec::default(), &spool, environment(&server))
        .await
        .unwrap();
    let all = rows_of(&inputs, "select * from input").await.unwrap();
    let twice = [expected(0..2), expected(rows.clone()), expected(rows)].concat();
    assert!(all == twice, "{} rows", all.len());
    let gone = open(&format!("s3://{BUCKET}/none.csv"), environment(&server)).await;
    let gone = gone.unwrap_err().to_string();
    assert!(gone.contains("none.csv cannot be read"), "{gone}");
}

#[tokio::test]
async fn wrong_credentials_are_called_so() {
    let server = S3Server::start().await;
    write(&server.directory(BUCKET).join("a.csv"), &csv(&people(0..1)));
    let environment = Environment::from([
        ("AWS_ENDPOINT_URL", server.endpoint()),
        ("AWS_ACCESS_KEY_ID", ACCESS_KEY),
        ("AWS_SECRET_ACCESS_KEY", "wrong"),
    ]);
    let error = open(&format!("s3://{BUCKET}/a.csv"), environment)
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("s3://{BUCKET}/a.csv cannot be read: these credentials may not read it")
    );
}

/// A server that knows no ranges, as the simplest ones.
fn web_server(files: Vec<(&'static str, Vec<u8>)>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || -> Result<Infallible, std::io::Error> {
        loop {
            let (mut socket, _) = listener.accept()?;
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                if socket.read(&mut byte)? == 0 {
                    break;
                }
                request.extend(byte);
            }
            let request = String::from_utf8_lossy(&request).into_owned();
            let file = files
                .iter()
                .find(|(path, _)| request.contains(&format!(" {path} ")));
            let (status, body) =
                file.map_or(("404 Not Found", &[][..]), |(_, body)| ("200 OK", body));
            let head = format!(
                "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                body.len()
            );
            let body = if request.starts_with("HEAD") {
                &[]
            } else {
                body
            };
            // A client may go away before it has all.
            let _ = socket
                .write_all(head.as_bytes())
                .and_then(|()| socket.write_all(body));
        }
    });
    url
}

#[tokio::test]
async fn web_servers_may_know_no_ranges() {
    let rows = 0..20_000;
    let url = web_server(vec![
        ("/d/a.csv?key=secret", csv(&people(rows.clone()))),
        ("/a.parquet", parquet(&people(rows.clone()))),
    ]);
    for path in ["d/a.csv?key=secret", "a.parquet"] {
        let inputs = open(&format!("{url}/{path}"), Environment::default())
            .await
            .unwrap();
        let found = rows_of(&inputs, "select * from input").await.unwrap();
        assert_eq!(found, expected(rows.clone()), "{path}");
        let shown = path.split('?').next().unwrap();
        assert_eq!(inputs.states()[0].name, format!("{url}/{shown}"));
        assert!(!inputs.found().join(" ").contains("secret"));
    }
    let gone = open(&format!("{url}/gone.csv"), Environment::default()).await;
    assert_eq!(
        gone.unwrap_err().to_string(),
        format!("{url}/gone.csv cannot be read: it is not there")
    );
}
