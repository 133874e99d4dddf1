use arrow_salesforce::coerce::Stage;

use super::*;

fn outcome() -> Outcome {
    let reason = |code: &str, field: &str, count, message: &str| RejectCount {
        stage: Stage::Salesforce,
        code: code.to_owned(),
        fields: vec![field.to_owned()],
        count,
        message: Some(message.to_owned()),
    };
    Outcome {
        run: "20260102-030405-abcd".to_owned(),
        object: "Contact".to_owned(),
        state: RunState::Finished,
        counts: RunCounts {
            read: 1_000_000,
            accepted: 998_766,
            rejected: 1_234,
            jobs: 12,
            api_calls: 61,
        },
        elapsed: Duration::from_secs(83),
        reasons: vec![
            reason(
                "INVALID_EMAIL_ADDRESS",
                "Email",
                1_233,
                "Email: invalid email address: ada@",
            ),
            reason("STRING_TOO_LONG", "LastName", 1, "too long:\n\"x\""),
        ],
        rejects: Some("/runs/1/rejects/".to_owned()),
        receipts: None,
        next: vec!["arrow-salesforce rejects 20260102-030405-abcd".to_owned()],
        error: None,
    }
}

#[test]
fn a_person_reads_what_to_do_next() {
    let wide = Page {
        unicode: true,
        width: 100,
    };
    insta::assert_snapshot!(outcome().text(wide), @r#"
    Contact: 1,000,000 read, 998,766 accepted, 1,234 rejected; 12 jobs, 61 API calls, 1 min 23 s

    ────────────────────────────────────────────────────────────────────────────────────────────
     Stage        Code                    Fields      Rows   For example                        
    ════════════════════════════════════════════════════════════════════════════════════════════
     salesforce   INVALID_EMAIL_ADDRESS   Email      1,233   Email: invalid email address: ada@ 
     salesforce   STRING_TOO_LONG         LastName       1   too long: "x"                      
    ────────────────────────────────────────────────────────────────────────────────────────────

    Rejected records: /runs/1/rejects/
    Run: 20260102-030405-abcd
    Next: arrow-salesforce rejects 20260102-030405-abcd
    "#);
    let narrow = Page {
        unicode: false,
        width: 50,
    };
    insta::assert_snapshot!(outcome().text(narrow), @r#"
    Contact: 1,000,000 read, 998,766 accepted, 1,234 rejected; 12 jobs, 61 API calls, 1 min 23 s

    1233 x salesforce INVALID_EMAIL_ADDRESS [Email]: Email: invalid email address: ada@
    1 x salesforce STRING_TOO_LONG [LastName]: too long:
    "x"

    Rejected records: /runs/1/rejects/
    Run: 20260102-030405-abcd
    Next: arrow-salesforce rejects 20260102-030405-abcd
    "#);
}

#[test]
fn a_program_reads_one_line() {
    let line = serde_json::to_string(&outcome().json()).unwrap();
    insta::assert_snapshot!(line, @r#"{"type":"finished","run":"20260102-030405-abcd","object":"Contact","state":"finished","read":1000000,"accepted":998766,"rejected":1234,"jobs":12,"api_calls":61,"seconds":83.0,"reasons":[{"stage":"salesforce","code":"INVALID_EMAIL_ADDRESS","fields":["Email"],"count":1233,"message":"Email: invalid email address: ada@"},{"stage":"salesforce","code":"STRING_TOO_LONG","fields":["LastName"],"count":1,"message":"too long:\n\"x\""}],"rejects":"/runs/1/rejects/","receipts":null,"next":["arrow-salesforce rejects 20260102-030405-abcd"],"error":null}"#);
}

#[test]
fn a_long_message_is_cut_between_characters() {
    assert_eq!(short(&"ä".repeat(300)), format!("{}...", "ä".repeat(200)));
}
