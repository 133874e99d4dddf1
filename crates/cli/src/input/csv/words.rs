//! Words of messages about files.

/// A delimiter in a message.
pub(super) fn show(delimiter: u8) -> String {
    match delimiter {
        b'\t' => "tab".to_owned(),
        other => format!("'{}'", char::from(other)),
    }
}

pub(super) fn count(number: u64, thing: &str) -> String {
    format!("{number} {thing}{}", if number == 1 { "" } else { "s" })
}

pub(super) fn are(number: u64, thing: &str) -> String {
    format!(
        "{} {}",
        count(number, thing),
        if number == 1 { "is" } else { "are" }
    )
}

pub(super) fn verb(number: u64, thing: &str, verb: &str) -> String {
    format!(
        "{} {verb}{}",
        count(number, thing),
        if number == 1 { "s" } else { "" }
    )
}
