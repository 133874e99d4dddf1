use super::*;

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
        .map(|_| faults.of_request("GET", "/x1").close)
        .collect();
    assert_eq!(closed, [false, true, true, false]);
    let status = faults.of_request("POST", "/y").status;
    let expected = Status {
        code: 503,
        body: None,
        retry_after: Some(2),
    };
    assert_eq!(status, Some(expected));
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
