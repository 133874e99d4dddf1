//! Which format and which compression a file has: by its name, or by its first bytes.

use std::fmt;

use datafusion::datasource::file_format::file_compression_type::FileCompressionType;

use crate::spec::Format;

/// So many bytes at the beginning of a file say what they can.
pub(crate) const HEAD: usize = 64;

/// Endings of the names of compressed files. What the first bytes say counts more.
const COMPRESSED: [&str; 7] = ["gz", "gzip", "zst", "zstd", "bz2", "bzip2", "xz"];

/// The format that a name stands for.
pub(crate) fn by_name(name: &str) -> Option<Format> {
    let name = name.to_ascii_lowercase();
    let file = name.rsplit(['/', '\\']).next().unwrap_or(&name);
    let mut endings = file.rsplit('.');
    let mut ending = endings.next()?;
    if COMPRESSED.contains(&ending) {
        ending = endings.next()?;
    }
    endings.next()?;
    match ending {
        "parquet" | "parq" | "pq" => Some(Format::Parquet),
        "csv" | "tsv" | "tab" | "psv" => Some(Format::Csv),
        "jsonl" | "ndjson" | "jsonlines" | "ldjson" | "json" => Some(Format::Jsonl),
        "arrow" | "arrows" | "ipc" | "feather" => Some(Format::Arrow),
        _ => None,
    }
}

/// The format that bytes have beyond doubt, no longer compressed.
pub(crate) fn by_magic(head: &[u8]) -> Option<Format> {
    match head {
        [b'P', b'A', b'R', b'1' | b'E', ..] => Some(Format::Parquet),
        [b'A', b'R', b'R', b'O', b'W', b'1', ..] | [0xFF, 0xFF, 0xFF, 0xFF, ..] => {
            Some(Format::Arrow)
        }
        _ => None,
    }
}

/// The format that bytes look like, where nothing else says it.
pub(crate) fn by_look(head: &[u8]) -> Option<Format> {
    let head = head.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(head);
    let mut bytes = head.iter().filter(|byte| !byte.is_ascii_whitespace());
    match (bytes.next(), bytes.next()) {
        (Some(b'{'), Some(b'"' | b'}')) => Some(Format::Jsonl),
        _ => None,
    }
}

/// How the bytes are compressed.
pub(crate) fn compression(head: &[u8]) -> FileCompressionType {
    match head {
        [0x1F, 0x8B, ..] => FileCompressionType::GZIP,
        [0x28, 0xB5, 0x2F, 0xFD, ..] | [0x50..=0x5F, 0x2A, 0x4D, 0x18, ..] => {
            FileCompressionType::ZSTD
        }
        [
            b'B',
            b'Z',
            b'h',
            b'1'..=b'9',
            0x31,
            0x41,
            0x59,
            0x26,
            0x53,
            0x59,
            ..,
        ] => FileCompressionType::BZIP2,
        [0xFD, b'7', b'z', b'X', b'Z', 0, ..] => FileCompressionType::XZ,
        _ => FileCompressionType::UNCOMPRESSED,
    }
}

/// What cannot be read, but is known for what it is: the name of the format, and what to do.
pub(crate) fn refused(head: &[u8]) -> Option<(&'static str, &'static str)> {
    match head {
        [b'P', b'K', 3, 4, ..] => Some((
            "a ZIP archive or an Excel workbook",
            "unpack it, or save the sheet as CSV",
        )),
        [0xD0, 0xCF, 0x11, 0xE0, ..] => Some(("an old Excel workbook", "save the sheet as CSV")),
        [b'O', b'b', b'j', 1, ..] => Some(("Avro", "write it as Parquet")),
        [b'O', b'R', b'C', ..] => Some(("ORC", "write it as Parquet")),
        [b'F', b'E', b'A', b'1', ..] => Some((
            "Feather of the first version",
            "write it as Arrow IPC (Feather version 2)",
        )),
        _ => None,
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Parquet => "Parquet",
            Self::Csv => "CSV",
            Self::Jsonl => "JSON lines",
            Self::Arrow => "Arrow IPC",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_the_format_below_the_compression() {
        for (name, format) in [
            ("a.parquet", Some(Format::Parquet)),
            ("b/A.CSV.GZ", Some(Format::Csv)),
            ("s3://b/x.y.jsonl.zst", Some(Format::Jsonl)),
            ("a.feather", Some(Format::Arrow)),
            ("a.gz", None),
            ("csv", None),
            ("x.csv/part-0", None),
            ("a.txt", None),
        ] {
            assert_eq!(by_name(name), format, "{name}");
        }
    }

    #[test]
    fn first_bytes_say_what_they_can() {
        assert_eq!(by_magic(b"PAR1\x15"), Some(Format::Parquet));
        assert_eq!(by_magic(b"ARROW1\0\0"), Some(Format::Arrow));
        assert_eq!(by_magic(b"\xFF\xFF\xFF\xFF\x10"), Some(Format::Arrow));
        assert_eq!(by_magic(b"PART,NAME"), None);
        assert_eq!(by_look(b"\xEF\xBB\xBF { \"a\": 1}"), Some(Format::Jsonl));
        assert_eq!(by_look(b"{}\n"), Some(Format::Jsonl));
        assert_eq!(by_look(b"{x},y"), None);
        assert_eq!(by_look(b""), None);
        assert_eq!(compression(b"BZh9,x"), FileCompressionType::UNCOMPRESSED);
        assert!(refused(b"PK\x03\x04").is_some() && refused(b"PK,Name").is_none());
    }
}
