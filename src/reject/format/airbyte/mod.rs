//! Airbyte's envelope: what reads the rejected records of Airbyte's connectors reads ours.

mod columns;
mod read;
mod write;

use std::collections::BTreeMap;

use super::{Compression, TestObject};
use crate::reject::RejectStream;

pub(super) use read::Batches;

/// Version of `_airbyte_meta.rejected`, which every line carries.
pub const SCHEMA_VERSION: u32 = 2;

/// Label of a stream: the sync, as the catalog gives it. Stands in `_airbyte_meta`.
const SYNC_ID: &str = "sync_id";
/// Label of a stream: its generation, as the catalog gives it. Stands in `_airbyte_generation_id`.
const GENERATION_ID: &str = "generation_id";

/// Labels that templates may use.
pub(super) const VARIABLES: &[&str] = &[SYNC_ID];

/// All labels that the envelope shows.
pub(super) const LABELS: &[&str] = &[SYNC_ID, GENERATION_ID];

/// Directory of a stream by default: the platform links to `<bucket_path>/<job id>/`, and the job
/// id is the sync id.
pub(super) const PATH_FORMAT: &str = "{sync_id}/{namespace}/{stream_name}/";

/// Every extension, none before another that begins with it.
pub(super) const EXTENSIONS: &[&str] = &[".csv.gz", ".jsonl.gz", ".csv", ".jsonl"];

/// The labels that the envelope needs of a stream.
pub fn labels(sync_id: i64, generation_id: i64) -> BTreeMap<String, i64> {
    let labels = [(SYNC_ID, sync_id), (GENERATION_ID, generation_id)];
    labels.map(|(name, id)| (name.to_owned(), id)).into()
}

/// The test object of Airbyte's own `check`, which the permissions of a bucket may be made for.
pub(super) fn test_object() -> TestObject {
    TestObject {
        stream: RejectStream {
            name: "test".to_owned(),
            namespace: Some("testing".to_owned()),
            labels: labels(1, 1),
            attempt: None,
        },
        name: "_check_test",
        content: b"{\"data\":1}",
    }
}

/// What the lines of a file are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum FileType {
    /// A header, then a line a record that ends in CRLF; everything but numbers is quoted.
    #[default]
    Csv,
    /// One JSON object a line.
    Jsonl,
}

/// Where the source columns stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Flattening {
    /// All in `_airbyte_data`, as a JSON object.
    #[default]
    No,
    /// Each in a column or key of its own, beside the envelope's.
    RootLevel,
}

/// How files of the envelope are written; by default CSV, neither flattened nor compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Envelope {
    /// Lines of what.
    pub file_type: FileType,
    /// Where the source columns stand.
    pub flattening: Flattening,
    /// Whether the whole file is compressed.
    pub compression: Compression,
}

impl Envelope {
    pub(super) fn extension(self) -> &'static str {
        match (self.file_type, self.compression) {
            (FileType::Csv, Compression::No) => ".csv",
            (FileType::Csv, Compression::Gzip) => ".csv.gz",
            (FileType::Jsonl, Compression::No) => ".jsonl",
            (FileType::Jsonl, Compression::Gzip) => ".jsonl.gz",
        }
    }

    pub(super) fn of_name(self, name: &str) -> Self {
        let file_types = [FileType::Csv, FileType::Jsonl];
        let compressions = [Compression::Gzip, Compression::No];
        let all = compressions.iter().flat_map(|&compression| {
            file_types.iter().map(move |&file_type| Self {
                file_type,
                compression,
                ..self
            })
        });
        all.into_iter()
            .find(|envelope| name.contains(envelope.extension()))
            .unwrap_or(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_extension_shows_type_and_compression() {
        let flat = Envelope {
            flattening: Flattening::RootLevel,
            ..Envelope::default()
        };
        for name in EXTENSIONS {
            let of_name = flat.of_name(&format!("2026_03_01_1_0{name}-2"));
            assert_eq!(of_name.extension(), *name);
            assert_eq!(of_name.flattening, Flattening::RootLevel);
        }
        assert_eq!(flat.of_name("all"), flat);
    }
}
