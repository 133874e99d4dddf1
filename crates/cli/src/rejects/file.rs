//! Files of rejected records -> records.

use std::io::{BufRead, BufReader, Read, Write as _};

use flate2::read::MultiGzDecoder;
use tempfile::NamedTempFile;

use super::{Rejected, RejectsError};

/// A file of rejected records, copied to this machine: it may be larger than memory.
#[derive(Debug)]
pub(crate) struct RejectFile {
    /// The file, as messages show it.
    pub(crate) name: String,
    content: NamedTempFile,
    format: FileFormat,
    gzip: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FileFormat {
    Csv,
    Jsonl,
}

/// The records of a file, in its order.
pub(crate) type Records = Box<dyn Iterator<Item = Result<Rejected, RejectsError>> + Send>;

impl RejectFile {
    /// Takes the pieces of a file; none if its name is not that of a file of rejected records.
    pub(crate) fn new(name: String) -> Result<Option<Self>, RejectsError> {
        let last = name.rsplit('/').next().unwrap_or_default();
        // A name that was taken has a number behind its extension.
        let format = if last.contains(".jsonl") {
            FileFormat::Jsonl
        } else if last.contains(".csv") {
            FileFormat::Csv
        } else {
            return Ok(None);
        };
        let gzip = last.contains(".gz");
        let content = NamedTempFile::new().map_err(RejectsError::Temporary)?;
        Ok(Some(Self {
            name,
            content,
            format,
            gzip,
        }))
    }

    /// Whether it is CSV, and not JSON lines.
    pub(crate) fn is_csv(&self) -> bool {
        self.format == FileFormat::Csv
    }

    /// Adds a piece of the content.
    pub(crate) fn push(&mut self, piece: &[u8]) -> Result<(), RejectsError> {
        self.content
            .write_all(piece)
            .map_err(RejectsError::Temporary)
    }

    /// The content, no longer compressed. Readers do not disturb each other.
    pub(crate) fn reader(&self) -> Result<Box<dyn Read + Send>, RejectsError> {
        let content = self.content.reopen().map_err(RejectsError::Temporary)?;
        Ok(match self.gzip {
            true => Box::new(MultiGzDecoder::new(BufReader::new(content))),
            false => Box::new(content),
        })
    }

    /// Its records; none if it is another kind of file.
    pub(crate) fn records(&self) -> Result<Option<Records>, RejectsError> {
        let reader = self.reader()?;
        match self.format {
            FileFormat::Jsonl => self.lines(BufReader::new(reader)),
            FileFormat::Csv => self.rows(csv::Reader::from_reader(reader)),
        }
    }

    fn lines(
        &self,
        reader: impl BufRead + Send + 'static,
    ) -> Result<Option<Records>, RejectsError> {
        let mut lines = reader.lines().peekable();
        let known = match lines.peek() {
            None => return Ok(Some(Box::new(std::iter::empty()))),
            Some(Ok(line)) => line.starts_with(r#"{"_airbyte_"#) && line.contains("_airbyte_meta"),
            Some(Err(error)) => return Err(self.unreadable(1, error)),
        };
        if !known {
            return Ok(None);
        }
        let name = self.name.clone();
        let records = lines.zip(1..).map(move |(line, record)| {
            let problem = |problem| RejectsError::Content {
                file: name.clone(),
                record,
                problem,
            };
            let line = line.map_err(|error| problem(error.to_string()))?;
            Rejected::from_json(&line).map_err(problem)
        });
        Ok(Some(Box::new(records)))
    }

    fn rows(
        &self,
        mut reader: csv::Reader<Box<dyn Read + Send>>,
    ) -> Result<Option<Records>, RejectsError> {
        let header = reader
            .headers()
            .map_err(|error| self.unreadable(1, &error))?;
        let names: Vec<String> = header.iter().map(str::to_owned).collect();
        if !Rejected::knows(names.iter().map(String::as_str)) {
            return Ok(None);
        }
        let name = self.name.clone();
        let records = reader.into_records().zip(1..).map(move |(row, record)| {
            let problem = |problem| RejectsError::Content {
                file: name.clone(),
                record,
                problem,
            };
            let row = row.map_err(|error| problem(error.to_string()))?;
            Rejected::from_cells(&names, &row).map_err(problem)
        });
        Ok(Some(Box::new(records)))
    }

    fn unreadable(&self, record: u64, error: &impl ToString) -> RejectsError {
        RejectsError::Content {
            file: self.name.clone(),
            record,
            problem: error.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, content: &str) -> RejectFile {
        let mut file = RejectFile::new(name.to_owned()).unwrap().unwrap();
        file.push(content.as_bytes()).unwrap();
        file
    }

    const LINE: &str = r#"{"_airbyte_raw_id":"r","_airbyte_meta":{"rejected":{"stage":"coerce","code":"C","message":"m","fields":[]}},"_airbyte_data":{"a":"1"}}"#;

    #[test]
    fn names_say_the_format() {
        assert!(
            RejectFile::new("a/report.json".to_owned())
                .unwrap()
                .is_none()
        );
        let records = file("a/2026_0.jsonl-1", &format!("{LINE}\n{LINE}\n")).records();
        let records: Vec<_> = records.unwrap().unwrap().map(Result::unwrap).collect();
        assert_eq!(records.len(), 2);
    }

    #[test]
    fn files_of_others_are_passed_over() {
        assert!(file("x.jsonl", "{\"a\":1}\n").records().unwrap().is_none());
        assert!(file("x.csv", "a,b\n1,2\n").records().unwrap().is_none());
    }

    #[test]
    fn a_cut_line_is_an_error_that_names_it() {
        let records = file("x.jsonl", &format!("{LINE}\n{}", &LINE[..40])).records();
        let last = records.unwrap().unwrap().last().unwrap();
        assert!(
            last.unwrap_err()
                .to_string()
                .starts_with("x.jsonl, record 2:")
        );
    }

    #[test]
    fn gzip_is_read() {
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(format!("{LINE}\n").as_bytes()).unwrap();
        let mut file = RejectFile::new("x.jsonl.gz".to_owned()).unwrap().unwrap();
        file.push(&packed.finish().unwrap()).unwrap();
        assert_eq!(file.records().unwrap().unwrap().count(), 1);
    }
}
