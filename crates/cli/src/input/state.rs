//! What a file was when it was read, to find out later whether it still is.

use serde::{Deserialize, Serialize};

/// A file, and what changes when its content does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FileState {
    /// The path or URL, without what is secret in it.
    pub(crate) name: String,
    /// Bytes, as they are stored.
    pub(crate) size: u64,
    /// What the store calls this content, if it has a name for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) etag: Option<String>,
    /// When it was last changed (RFC 3339), where there is no `etag`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) modified: Option<String>,
}

impl FileState {
    /// What distinguishes the files of now from those of earlier, as a sentence for each; nothing if
    /// they are the same files with the same content, in the same order.
    pub(crate) fn changes(earlier: &[Self], now: &[Self]) -> Vec<String> {
        let find = |states: &[Self], name: &str| states.iter().position(|one| one.name == name);
        let mut changes: Vec<String> = earlier
            .iter()
            .filter_map(|was| match find(now, &was.name).map(|at| &now[at]) {
                None => Some(format!("{} is not there any more", was.name)),
                Some(is) if is == was => None,
                Some(is) if is.size != was.size => Some(format!(
                    "{} had {} bytes and has {}",
                    was.name, was.size, is.size
                )),
                Some(_) => Some(format!("{} was written again", was.name)),
            })
            .collect();
        let new = now.iter().filter(|is| find(earlier, &is.name).is_none());
        changes.extend(new.map(|is| format!("{} is new", is.name)));
        if changes.is_empty() && earlier != now {
            changes.push("the files stand in another order".to_owned());
        }
        changes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(name: &str, size: u64, etag: &str) -> FileState {
        FileState {
            name: name.into(),
            size,
            etag: Some(etag.into()),
            modified: None,
        }
    }

    #[test]
    fn a_change_of_files_is_a_sentence() {
        let (a, b) = (state("a", 1, "x"), state("b", 2, "y"));
        let same = [a.clone(), b.clone()];
        assert!(FileState::changes(&same, &same).is_empty());
        assert_eq!(
            FileState::changes(&same, &[b.clone(), a.clone()]),
            ["the files stand in another order"]
        );
        assert_eq!(
            FileState::changes(&same, &[state("a", 3, "z"), state("c", 1, "x")]),
            [
                "a had 1 bytes and has 3",
                "b is not there any more",
                "c is new"
            ]
        );
        assert_eq!(
            FileState::changes(&[a], &[state("a", 1, "z")]),
            ["a was written again"]
        );
    }

    #[test]
    fn it_is_kept_as_json() {
        let text = serde_json::to_string(&state("a", 1, "x")).unwrap();
        assert_eq!(text, r#"{"name":"a","size":1,"etag":"x"}"#);
        let read: FileState = serde_json::from_str(&text).unwrap();
        assert_eq!(read, state("a", 1, "x"));
    }
}
