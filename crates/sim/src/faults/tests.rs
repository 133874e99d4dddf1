use super::*;

fn request(faults: &Faults, method: &str, path: &str) -> Verdict {
    faults.of_request(&Asked {
        method: method.to_owned(),
        path: path.to_owned(),
        call: Call::of(method, path, &Content::default()),
        job: None,
        object: None,
    })
}

#[test]
fn patterns() {
    for (pattern, text, expected) in [
        ("/a", "/a", true),
        ("/a", "/ab", false),
        ("*/failedResults*", "/x/failedResults/?locator=1", true),
        (
            "*/jobs/ingest/*/batches",
            "/v/jobs/ingest/750/batches",
            true,
        ),
        ("*/jobs/ingest", "/v/jobs/ingest/750", false),
        ("*a", "ba", true),
    ] {
        assert_eq!(matches_pattern(pattern, text), expected, "{pattern} {text}");
    }
}

#[test]
fn a_fault_hits_as_often_as_it_says() {
    let faults: Vec<Fault> = serde_json::from_str(
        r#"[{"method":"GET","path":"/x*","skip":1,"times":2,"do":{"close":{}}},
            {"object":"Contact","do":{"lock_rows":{"share":0.5}}},
            {"times":0,"do":{"status":{"code":503,"retry_after":2}}}]"#,
    )
    .unwrap();
    let faults = Faults::new(&faults, 1);
    let closed: Vec<bool> = (0..4)
        .map(|_| matches!(request(&faults, "GET", "/x1").before, Some(Answer::Cut)))
        .collect();
    assert_eq!(closed, [false, true, true, false]);
    let status = request(&faults, "POST", "/y").before;
    let Some(Answer::Status(status)) = status else {
        panic!("{status:?}");
    };
    assert_eq!((status.code, status.retry_after), (503, Some(2)));
    assert_eq!(faults.of_job("Account"), []);
    assert_eq!(
        faults.of_job("contact"),
        [Action::LockRows {
            share: 0.5,
            attempts: None
        }]
    );
    assert_eq!(faults.of_job("contact"), []);
}

#[test]
fn a_fault_hits_calls_for_a_time() {
    let faults: Vec<Fault> = serde_json::from_str(
        r#"[{"name":"a","calls":["poll","list"],"times":0,"for_ms":3600000,"do":{"page":{}}},
            {"calls":["poll"],"times":0,"for_ms":0,"after_work":true,"do":{"hang":{"ms":1}}},
            {"times":0,"after_ms":3600000,"do":{"close":{}}}]"#,
    )
    .unwrap();
    let faults = Faults::new(&faults, 1);
    let base = "/services/data/v62.0/jobs/ingest";
    let poll = format!("{base}/750x");
    let first = request(&faults, "GET", &poll);
    assert!(matches!(first.after, Some(Answer::Hang(_))), "{first:?}");
    for path in [&poll, base] {
        let verdict = request(&faults, "GET", path);
        assert!(
            matches!(verdict.before, Some(Answer::Status(_))),
            "{verdict:?}"
        );
        assert!(verdict.after.is_none(), "{verdict:?}");
    }
    assert!(request(&faults, "POST", base).before.is_none());
    let counts = faults.inspected();
    let hits: Vec<_> = (0..3).map(|fault| counts[fault]["hit"].clone()).collect();
    assert_eq!(hits, [3, 1, 0]);
    assert_eq!(counts[0]["fault"]["name"], "a");
}

#[test]
fn calls_are_known_by_method_path_and_body() {
    let closing = Content {
        state: Some("UploadComplete".to_owned()),
        ..Content::default()
    };
    let with_data = Content {
        has_data: true,
        ..Content::default()
    };
    let none = Content::default();
    for (method, path, content, expected) in [
        ("GET", "limits", &none, Call::Limits),
        ("GET", "query", &none, Call::Query),
        ("POST", "jobs/ingest", &none, Call::Create),
        ("POST", "jobs/ingest", &with_data, Call::CreateMultipart),
        ("PUT", "jobs/ingest/750/batches", &none, Call::Upload),
        ("PATCH", "jobs/ingest/750", &closing, Call::Close),
        ("PATCH", "jobs/ingest/750", &none, Call::Other),
        ("DELETE", "jobs/ingest/750", &none, Call::Delete),
        (
            "GET",
            "jobs/ingest/750/failedResults/",
            &none,
            Call::FailedResults,
        ),
        ("GET", "sobjects/Lead/describe", &none, Call::Describe),
    ] {
        let path = format!("/services/data/v62.0/{path}");
        assert_eq!(
            Call::of(method, &path, content),
            expected,
            "{method} {path}"
        );
    }
    assert_eq!(
        Call::of("POST", "/services/oauth2/token", &none),
        Call::Token
    );
}
