//! How an object of rejected records is written: format, flattening, compression.

/// Format of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Format {
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

/// Compression of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Compression {
    /// None.
    #[default]
    No,
    /// gzip around the whole object.
    Gzip,
}

/// How objects of rejected records are written; by default CSV, neither flattened nor compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct FileFormat {
    /// Lines of what.
    pub format: Format,
    /// Where the source columns stand.
    pub flattening: Flattening,
    /// Whether the lines are compressed.
    pub compression: Compression,
}

impl FileFormat {
    /// Extension of an object's name, with its dot.
    pub fn extension(self) -> &'static str {
        match (self.format, self.compression) {
            (Format::Csv, Compression::No) => ".csv",
            (Format::Csv, Compression::Gzip) => ".csv.gz",
            (Format::Jsonl, Compression::No) => ".jsonl",
            (Format::Jsonl, Compression::Gzip) => ".jsonl.gz",
        }
    }

    /// The same flattening in the format that an object's name tells: one made by an earlier config
    /// may be of another.
    pub(crate) fn of_name(self, name: &str) -> Self {
        let format = [Format::Csv, Format::Jsonl];
        let compression = [Compression::Gzip, Compression::No];
        let all = compression.iter().flat_map(|&compression| {
            format.iter().map(move |&format| Self {
                format,
                compression,
                ..self
            })
        });
        all.into_iter()
            .find(|file| name.contains(file.extension()))
            .unwrap_or(self)
    }
}

/// Every extension, none before another that begins with it.
pub(crate) const EXTENSIONS: [&str; 4] = [".csv.gz", ".jsonl.gz", ".csv", ".jsonl"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_the_format() {
        let flat = FileFormat {
            flattening: Flattening::RootLevel,
            ..FileFormat::default()
        };
        for name in EXTENSIONS {
            let told = flat.of_name(&format!("2026_03_01_1_0{name}-2"));
            assert_eq!(told.extension(), name);
            assert_eq!(told.flattening, Flattening::RootLevel);
        }
        assert_eq!(flat.of_name("all"), flat);
    }
}
