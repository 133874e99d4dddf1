//! Queries that are read, and what is none.

use super::*;

#[test]
fn texts_are_read_with_their_escapes() {
    let text = r"SELECT Id FROM X WHERE F IN ('O\'Neil\\','a\nb','\u0041') AND G = 1.5e3 LIMIT 2";
    let select = parse(text).unwrap();
    let Some(Filter::All(parts)) = select.filter else {
        panic!("{select:?}");
    };
    let texts = ["O'Neil\\", "a\nb", "A"].map(|text| Literal::Text(text.to_owned()));
    assert!(
        matches!(&parts[0], Filter::In(field, values) if field.is == "F" && values[..] == texts)
    );
    let number = Literal::Bare("1.5e3".to_owned());
    assert!(matches!(&parts[1], Filter::In(_, values) if values[..] == [number]));
    assert_eq!(select.limit, Some(2));
}

#[test]
fn what_is_no_query_is_refused() {
    for text in [
        "",
        "SELECT",
        "SELECT FROM X",
        "SELECT Id FROM X WHERE",
        "SELECT Id FROM X WHERE F = 'a",
        "SELECT Id FROM X WHERE F = 'it's'",
        r"SELECT Id FROM X WHERE F = 'a\x'",
        r"SELECT Id FROM X WHERE F = 'a\%'",
        "SELECT Id FROM X WHERE F IN ()",
        "SELECT Id FROM X WHERE F LIKE 5",
        "SELECT Id FROM X WHERE F INCLUDES (5)",
        "SELECT Id FROM X WHERE F = 1 AND G = 2 OR H = 3",
        "SELECT Id FROM X LIMIT a",
        "SELECT Id FROM X OFFSET 1 LIMIT 1",
        "SELECT Id FROM X ORDER BY Id NULLS",
        "SELECT Id FROM X WHERE F = \"a\"",
        "SELECT FORMAT(Id) FROM X",
        "SELECT Id FROM X GROUP BY Id HAVING",
    ] {
        assert_eq!(parse(text).unwrap_err().status, 400, "{text}");
    }
}

#[test]
fn an_error_shows_its_place() {
    let error = parse("SELECT Id\nFROM X WHERE F == 'a'").unwrap_err();
    let body = error.body();
    assert_eq!(body[0]["errorCode"], "MALFORMED_QUERY");
    assert_eq!(
        body[0]["message"],
        "\nFROM X WHERE F == 'a'\n                ^\nERROR at Row:2:Column:17\n\
         unexpected token: '='"
    );
}

#[test]
fn a_query_has_limits() {
    let query = |condition: &str| format!("SELECT Id FROM X WHERE {condition}");
    let deep = |open: &str, close: &str, levels: usize| {
        parse(&query(&format!(
            "{}F = 1{}",
            open.repeat(levels),
            close.repeat(levels)
        )))
    };
    assert!(deep("(", ")", 100).is_ok());
    // So deep that reading them all would need more stack than there is.
    for (open, close) in [("(", ")"), ("NOT ", "")] {
        let error = deep(open, close, 20_000).unwrap_err();
        assert!(error.message().contains("100 levels deep"), "{error:?}");
    }
    let long = |letters: usize| {
        let rest = letters - query("F = ''").len();
        parse(&query(&format!("F = '{}'", "é".repeat(rest))))
    };
    assert!(long(100_000).is_ok());
    assert_eq!(
        long(100_001).unwrap_err().message(),
        "SOQL statements can not be longer than 100000 characters."
    );
}
