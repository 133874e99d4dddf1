use super::*;

fn parse(text: &str) -> Result<File, String> {
    File::parse(text.to_owned(), b',', false).map_err(|refused| refused.reason)
}

fn values(file: &File, row: usize) -> Vec<String> {
    let mut values = Vec::new();
    file.split(row, &mut values);
    values.into_iter().map(Cow::into_owned).collect()
}

#[test]
fn rows_are_found_where_they_are() {
    let file = parse("A,\"b\",C\n1,\"x\"\"y\n,z\",\n,,\"\"").unwrap();
    assert_eq!((file.rows(), file.header()), (2, "A,\"b\",C"));
    assert_eq!(values(&file, 0), ["1", "x\"y\n,z", ""]);
    assert_eq!(values(&file, 1), ["", "", ""]);
    assert_eq!(file.row(1), ",,\"\"");
    assert_eq!(values(&file.with_rows(&[1]), 0), ["", "", ""]);
}

#[test]
fn what_salesforce_refuses_is_refused() {
    for (text, reason) in [
        ("", "Records not found"),
        ("A,B\n", "Records not found"),
        (
            "A\r\nx\r\n",
            "LineEnding is invalid on user data. Current LineEnding setting is LF",
        ),
        ("A\n\"x\r\ny\"\n", "LineEnding"),
        ("A,B\n1,x\"y\n", "unescaped quote"),
        ("A,B\n1, \"y\"\n", "unescaped quote"),
        ("A,B\n1,\"y\" \n", "unescaped quote"),
        ("A,B\n1,\"y\n", "unescaped quote"),
        ("\u{feff}\"A\",B\n1,2\n", "unescaped quote"),
        ("A,B\n1\n", "Found 1 columns"),
        ("A,B\n1,2,3\n", "Found 3 columns"),
        ("A\n\n\n", "Records not found"),
    ] {
        let error = parse(text).unwrap_err();
        assert!(error.contains(reason), "{text:?}: {error}");
    }
}

#[test]
fn blank_lines_are_no_rows() {
    let file = parse("A\n1\n\n\n\"\"\n2\n\n").unwrap();
    let found: Vec<_> = (0..file.rows()).map(|row| file.row(row)).collect();
    assert_eq!(found, ["1", "\"\"", "2"]);
    let file = File::parse("A\r\n\r\n1\r\n\r\n".to_owned(), b',', true).unwrap();
    assert_eq!((file.rows(), file.row(0)), (1, "1"));
}

#[test]
fn the_longest_value_passes_and_a_longer_one_fails() {
    let longest = "ä".repeat(MAX_VALUE_CHARS);
    assert!(parse(&format!("A\n\"{longest}\"\n")).is_ok());
    let error = parse(&format!("A\n\"{longest}b\"\n")).unwrap_err();
    assert!(error.contains("131072"), "{error}");
    let pairs = "🎉".repeat(MAX_VALUE_CHARS / 2);
    assert!(parse(&format!("A\n{pairs}\n")).is_ok());
    assert!(parse(&format!("A\n{pairs}b\n")).is_err());
    let quotes = "\"\"".repeat(MAX_VALUE_CHARS);
    assert!(parse(&format!("A\n\"{quotes}\"\n")).is_ok());
}

#[test]
fn crlf_and_other_delimiters() {
    let file = File::parse("A|B\r\n1|2\r\n3|4\r\n".to_owned(), b'|', true).unwrap();
    assert_eq!((file.rows(), file.row(1)), (2, "3|4"));
    assert!(
        File::parse("A\nx\n".to_owned(), b',', true)
            .unwrap_err()
            .reason
            .contains("is CRLF")
    );
}
