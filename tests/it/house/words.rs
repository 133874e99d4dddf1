//! Words of comments that mean too many things; ARCHITECTURE has a glossary of better ones.

use std::fs;

use super::metadata::{members, metadata};
use super::none_of;
use super::sources::{folder, rust_files};
use super::tokens::{comments, tokens};

/// A word, and what is meant by it.
const VAGUE: &[(&str, &str)] = &[
    ("tell", "say, report, pass on, notify, emit, distinguish"),
    (
        "tells",
        "says, reports, passes on, notifies, emits, distinguishes",
    ),
    ("telling", "saying, reporting, passing on"),
    (
        "told",
        "said, reported, acknowledged, notified, emitted, distinguished",
    ),
];

#[test]
fn comments_use_words_of_one_meaning() {
    let metadata = metadata();
    let mut wrong = Vec::new();
    for package in members(&metadata).into_values() {
        for file in rust_files(&folder(package)) {
            let text = fs::read_to_string(&file).unwrap();
            let found = vague(&text);
            wrong.extend(
                found
                    .into_iter()
                    .map(|words| format!("{}: {words}", file.display())),
            );
        }
    }
    none_of(&wrong, "vague");
}

/// Packages whose texts users read.
const SAID: [&str; 3] = ["", "crates/decode", "crates/destination"];

/// What has to be read twice in a message.
const READ_TWICE: [&str; 4] = ["tell", "tells", "told", "does not count"];

#[test]
fn messages_are_read_once() {
    let mut wrong = Vec::new();
    for folder in SAID {
        let folder = super::root().join(folder);
        let files = rust_files(&folder).into_iter();
        for file in files.filter(|file| file.starts_with(folder.join("src"))) {
            let text = fs::read_to_string(&file).unwrap();
            let found = read_twice(&text).into_iter();
            wrong.extend(found.map(|message| format!("{}: {message}", file.display())));
        }
    }
    none_of(&wrong, "has to be read twice");
}

/// The messages of a source that have to be read twice, those of its tests aside.
fn read_twice(source: &str) -> Vec<String> {
    let messages = tokens(source).into_iter().map(|token| token.text);
    let mut messages: Vec<String> = messages.filter(|text| text.starts_with('"')).collect();
    messages.retain(|message| {
        let bare = message.replace(|c: char| !c.is_alphanumeric(), " ");
        let words: Vec<&str> = bare.split_whitespace().collect();
        let text = format!(" {} ", words.join(" "));
        READ_TWICE
            .iter()
            .any(|words| text.contains(&format!(" {words} ")))
    });
    messages
}

#[test]
fn words_of_messages_are_found_in_literals_alone() {
    let source = "// told\nfn tell() { say(\"is told\"); log(\"retold\"); fail(\"it does \\\n    not count\"); }";
    assert_eq!(read_twice(source).len(), 2);
}

/// What is vague in the comments of a source.
fn vague(source: &str) -> Vec<String> {
    let mut found = Vec::new();
    for comment in comments(source) {
        let mut words = comment.split(|c: char| !(c.is_alphanumeric() || "_`'".contains(c)));
        let vague = words.find_map(|word| {
            let word = word.to_lowercase();
            VAGUE.iter().find(|(vague, _)| *vague == word)
        });
        if let Some((word, better)) = vague {
            found.push(format!("{word:?} ({better}): {}", comment.trim()));
        }
        // Functions return; people answer.
        if comment.starts_with("/// Answers ") {
            found.push(format!("\"Answers\" (Returns): {}", comment.trim()));
        }
    }
    found
}

#[test]
fn vague_words_are_found_in_comments_alone() {
    let source = "/// Tells it.\nfn tell() { say(\"told\"); } // as told\n//! `tell` and retell\n/// Answers x.";
    let found = vague(source);
    let comments: Vec<&str> = found
        .iter()
        .map(|text| text.split("): ").last().unwrap())
        .collect();
    assert_eq!(comments, ["/// Tells it.", "// as told", "/// Answers x."]);
}
