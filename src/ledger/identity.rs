//! What a load is, so that a later attempt knows its own rows again and touches no others.

use std::fmt;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_128;

/// What is loaded, whichever attempt loads it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LoadIdentity {
    /// Id of the org.
    pub org: String,
    /// API name of the object.
    pub object: String,
    /// What is done with each row: only inserts need a ledger.
    pub operation: String,
    /// Namespace of the stream, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Name of the stream.
    pub stream: String,
    /// Generation of the stream's data: another one is a new load.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<i64>,
    /// Distinguishes equal streams of different connections.
    pub ledger_id: String,
    /// Nobody chose `ledger_id`: it was made of all that is known of the stream, its columns included,
    /// so that with another mapping it is another one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub derived: bool,
}

impl LoadIdentity {
    /// A stream whose rows are inserted into an object of an org.
    pub fn new(
        org: impl Into<String>,
        object: impl Into<String>,
        stream: impl Into<String>,
        ledger_id: impl Into<String>,
    ) -> Self {
        Self {
            org: org.into(),
            object: object.into(),
            operation: "insert".to_owned(),
            namespace: None,
            stream: stream.into(),
            generation: None,
            ledger_id: ledger_id.into(),
            derived: false,
        }
    }

    /// Sets [`LoadIdentity::derived`].
    #[must_use]
    pub fn with_derived(mut self, derived: bool) -> Self {
        self.derived = derived;
        self
    }

    /// Sets [`LoadIdentity::namespace`].
    #[must_use]
    pub fn with_namespace(mut self, namespace: impl Into<Option<String>>) -> Self {
        self.namespace = namespace.into();
        self
    }

    /// Sets [`LoadIdentity::generation`].
    #[must_use]
    pub fn with_generation(mut self, generation: impl Into<Option<i64>>) -> Self {
        self.generation = generation.into();
        self
    }

    /// A [`LoadIdentity::ledger_id`] of a text, such as all that is known of where the rows come from.
    pub fn id_of(text: &str) -> String {
        format!("{:032x}", xxh3_128(text.as_bytes()))
    }

    /// The name of the directory of its entries: 32 hexadecimal digits, or twice that with a line
    /// between for a derived `ledger_id`.
    pub fn directory(&self) -> String {
        if self.derived {
            let ledger_id = Self::id_of(&self.ledger_id);
            format!("{}-{ledger_id}", self.digest(None))
        } else {
            self.digest(Some(&self.ledger_id))
        }
    }

    /// What the directories of the same stream begin with, whatever its derived `ledger_id`.
    pub(super) fn alike(&self) -> Option<String> {
        self.derived.then(|| format!("{}-", self.digest(None)))
    }

    fn digest(&self, ledger_id: Option<&str>) -> String {
        let mut framed = Vec::new();
        let generation = self.generation.map(|generation| generation.to_string());
        let parts = [
            Some(self.org.as_str()),
            Some(self.object.as_str()),
            Some(self.operation.as_str()),
            self.namespace.as_deref(),
            Some(self.stream.as_str()),
            generation.as_deref(),
            ledger_id,
        ];
        for part in parts {
            // An absent part is no empty one.
            let length = part.map_or(u64::MAX, |part| part.len() as u64);
            framed.extend_from_slice(&length.to_le_bytes());
            framed.extend_from_slice(part.unwrap_or_default().as_bytes());
        }
        format!("{:032x}", xxh3_128(&framed))
    }
}

impl fmt::Display for LoadIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(namespace) = &self.namespace {
            write!(f, "{namespace}.")?;
        }
        write!(f, "{} into {}", self.stream, self.object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_makes_another_load() {
        let load = LoadIdentity::new("00D1", "Contact", "people", "a");
        let others = [
            LoadIdentity::new("00D2", "Contact", "people", "a"),
            LoadIdentity::new("00D1", "Lead", "people", "a"),
            LoadIdentity::new("00D1", "Contact", "persons", "a"),
            LoadIdentity::new("00D1", "Contact", "people", "b"),
            load.clone().with_namespace(String::new()),
            load.clone().with_namespace("n".to_owned()),
            load.clone().with_generation(0),
            load.clone().with_generation(1),
        ];
        let mut directories: Vec<String> = others.iter().map(LoadIdentity::directory).collect();
        directories.push(load.directory());
        let derived = |id| LoadIdentity::new("00D1", "Contact", "people", id).with_derived(true);
        for id in ["a", "b"] {
            let directory = derived(id).directory();
            assert!(
                directory.starts_with(&derived("c").alike().unwrap()),
                "{directory}"
            );
            directories.push(directory);
        }
        directories.sort();
        directories.dedup();
        assert_eq!(directories.len(), 11);
        assert_eq!(load.directory(), load.clone().directory());
        assert_eq!(load.directory().len(), 32);
    }
}
