//! Formats of the files that hold rejected records.

pub mod airbyte;

mod value;
mod wire;

use std::io::Read;

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};

use super::{RejectError, RejectStream};
use airbyte::Envelope;

/// A format of files of rejected records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RejectFormat {
    /// Airbyte's envelope. Its streams need the [`labels`](airbyte::labels) of a sync.
    Airbyte(Envelope),
}

/// Compression of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Compression {
    /// None.
    #[default]
    No,
    /// gzip around the whole file.
    Gzip,
}

/// What proves that a store takes files of a format.
pub(super) struct TestObject {
    /// The stream in whose directory it is put.
    pub(super) stream: RejectStream,
    pub(super) name: &'static str,
    pub(super) content: &'static [u8],
}

/// The batches of a file, in the order of its records.
pub(super) type Batches = Box<dyn Iterator<Item = Result<RecordBatch, RejectError>> + Send>;

impl Default for RejectFormat {
    fn default() -> Self {
        Self::Airbyte(Envelope::default())
    }
}

impl RejectFormat {
    /// What a file of batches of this schema begins with, before it is compressed.
    ///
    /// # Errors
    /// [`RejectError::Batch`] if it is not the schema of [`rejected`](super::rejected) batches.
    pub fn header(self, schema: &Schema) -> Result<Vec<u8>, RejectError> {
        match self {
            Self::Airbyte(envelope) => envelope.header(schema),
        }
    }

    /// Appends the rows of a batch made by [`rejected`](super::rejected), not compressed.
    ///
    /// # Errors
    /// [`RejectError::Batch`] if the batch was made otherwise; [`RejectError::Label`] if the stream
    /// lacks a label that the format shows.
    pub fn write(
        self,
        stream: &RejectStream,
        batch: &RecordBatch,
        out: &mut Vec<u8>,
    ) -> Result<(), RejectError> {
        match self {
            Self::Airbyte(envelope) => envelope.write(stream, batch, out),
        }
    }

    /// The batches of a file that is not compressed (any more).
    pub(super) fn read(
        self,
        reader: Box<dyn Read + Send>,
        source: SchemaRef,
    ) -> Result<Batches, RejectError> {
        Ok(match self {
            Self::Airbyte(envelope) => Box::new(airbyte::Batches::open(reader, envelope, source)?),
        })
    }

    /// How the whole file is compressed.
    pub fn compression(self) -> Compression {
        match self {
            Self::Airbyte(envelope) => envelope.compression,
        }
    }

    /// Extension of a file's name, with its dot.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Airbyte(envelope) => envelope.extension(),
        }
    }

    /// Extensions of all files of this kind of format, none before another that begins with it.
    pub(super) fn extensions(self) -> &'static [&'static str] {
        match self {
            Self::Airbyte(_) => airbyte::EXTENSIONS,
        }
    }

    /// The same kind of format, as the name of a file shows it: an earlier config may have made the
    /// file.
    pub(super) fn of_name(self, name: &str) -> Self {
        match self {
            Self::Airbyte(envelope) => Self::Airbyte(envelope.of_name(name)),
        }
    }

    /// Labels that a stream needs.
    pub(super) fn labels(self) -> &'static [&'static str] {
        match self {
            Self::Airbyte(_) => airbyte::LABELS,
        }
    }

    /// Labels that are variables of path and name templates.
    pub(super) fn variables(self) -> &'static [&'static str] {
        match self {
            Self::Airbyte(_) => airbyte::VARIABLES,
        }
    }

    /// Template of a stream's directory, where the user gives none.
    pub(super) fn path_format(self) -> &'static str {
        match self {
            Self::Airbyte(_) => airbyte::PATH_FORMAT,
        }
    }

    pub(super) fn test_object(self) -> TestObject {
        match self {
            Self::Airbyte(_) => airbyte::test_object(),
        }
    }
}
