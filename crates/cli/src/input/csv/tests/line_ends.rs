//! Line ends, found from the whole file.

use super::{read, refused, rows};

#[test]
fn a_lone_cr_in_a_file_with_lf_is_part_of_its_value() {
    for end in ["\n", "\r\n", "\r\r\n"] {
        let csv = ["k,v", "a,foo\rbar", "b,\"q\"", "c,x\ry,z", ""].join(end);
        let given = rows(csv);
        assert_eq!(given[0], ["a", "foo\rbar"], "{end:?}");
        assert_eq!(given[1], ["b", "q"]);
        assert_eq!(
            given[2],
            ["c,x\ry,z", "! 3 values, and the header has 2 columns"]
        );
    }
    // CR may end the lines of a file with LF in quotes.
    assert_eq!(rows("k,v\ra,\"x\ny\"\rb,z\r"), [["a", "x\ny"], ["b", "z"]]);
    refused("k,v\ra,1\rb,x\ny\rc,2\r");
    assert!(refused("k,v\ra,1\rb,x\ny,z,p\rc,2\r").contains("some line breaks are CR"));
    // As may CR in doubled line ends: nothing is lost.
    assert_eq!(rows("k,v\r\r\na,1\r\r\n"), [["a", "1"]]);
}

#[test]
fn a_lone_lf_in_a_file_with_crlf_is_part_of_its_value() {
    let given = rows("k,v\r\na,foo\nbar\r\nc,z\r\nd,zz\r\n");
    assert_eq!(given, [["a", "foo\nbar"], ["c", "z"], ["d", "zz"]]);
    let given = rows("k,v\r\na,foo\nbar\r\nonly\r\nd,zz\r\n");
    assert_eq!(given[0], ["a", "foo\nbar"]);
    assert_eq!(given[1][0], "only");
    assert_eq!(given[2], ["d", "zz"]);
    // In a column with quotes and another delimiter in the header.
    let given = read("k;v, w\r\na;\"x\ny\"\r\nb;2\r\n");
    assert_eq!(given.rows, [["a", "x\ny"], ["b", "2"]]);
}

#[test]
fn a_file_that_mixes_lf_and_crlf_is_loaded() {
    for csv in [
        "k,v\r\na,1\nb,2\r\nc,3\n",
        "k,v\na,1\r\nb,2\r\nc,3\r\n",
        "k,v\r\na,1\r\nb,2\r\nc,3\n",
        "k,v\na,1\nb,2\r\nc,3",
    ] {
        assert_eq!(rows(csv), [["a", "1"], ["b", "2"], ["c", "3"]], "{csv:?}");
    }
    // A line that cannot be read changes nothing where the first line ends with LF.
    assert_eq!(rows("k,v\na,1\nb\nc,3\r\n")[2], ["c", "3"]);
}

#[test]
fn line_ends_that_are_not_clear_are_refused() {
    for csv in [
        "k\r\nfoo\nbar\r\nbaz\r\n",
        "k,v\r\na,1\nb,2\nc,foo\nbar\r\nd,4\ne,5\r\nf,6\ng,7\r\n",
    ] {
        let error = refused(csv);
        assert!(
            error.contains("some line breaks are LF and others are not"),
            "{error}"
        );
    }
}
