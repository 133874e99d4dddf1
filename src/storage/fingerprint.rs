//! Whether an object is the one that was sent.

use xxhash_rust::xxh3::Xxh3;

/// Length and content of an object.
#[derive(Clone, Default)]
pub(super) struct Fingerprint {
    length: u64,
    hash: Xxh3,
}

impl Fingerprint {
    pub(super) fn of(content: &[u8]) -> Self {
        let mut fingerprint = Self::default();
        fingerprint.add(content);
        fingerprint
    }

    pub(super) fn add(&mut self, bytes: &[u8]) {
        self.length += bytes.len() as u64;
        self.hash.update(bytes);
    }

    /// Bytes.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    pub(super) fn is(&self, other: &Self) -> bool {
        self.length == other.length && self.hash.digest128() == other.hash.digest128()
    }
}
