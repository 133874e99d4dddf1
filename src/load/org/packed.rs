//! Batches in little memory: as Arrow IPC in blocks of LZ4.
//!
//! IPC can compress by itself, but reads each buffer into memory of its own, which is new each time. Here
//! a batch is read at once into the memory that the batch before it had, and its arrays are parts of
//! that.

use std::io;

use arrow::array::RecordBatch;
use arrow::buffer::{Buffer, MutableBuffer};
use arrow::error::ArrowError;
use arrow_ipc::reader::StreamDecoder;
use arrow_ipc::writer::StreamWriter;
use lz4_flex::block::{
    CompressTable, compress_into_with_table, decompress_into, get_maximum_output_size,
};

/// Bytes of IPC that are compressed at once: no more is there plain beside the batch.
const BLOCK_BYTES: usize = 256 << 10;

/// A block of LZ4 is shorter than what it becomes by this at most.
const MOST_RATIO: usize = 255;

/// Memory that batches are packed in, one after the other.
#[derive(Default)]
pub(super) struct Packer {
    packed: Vec<u8>,
    /// Bytes that are not packed yet, less than a block.
    open: Vec<u8>,
    length: u64,
    table: CompressTable,
}

impl Packer {
    /// The batch packed: the length of its IPC, then each block of it with its length.
    ///
    /// # Errors
    /// Those of writing IPC.
    pub(super) fn pack(&mut self, batch: &RecordBatch) -> Result<&[u8], ArrowError> {
        self.open.clear();
        self.packed.clear();
        self.packed.extend_from_slice(&[0; size_of::<u64>()]);
        self.length = 0;
        let mut writer = StreamWriter::try_new(&mut *self, batch.schema_ref())?;
        writer.write(batch)?;
        writer.finish()?;
        drop(writer);
        let open = std::mem::take(&mut self.open);
        self.add(&open)?;
        self.open = open;
        self.packed[..size_of::<u64>()].copy_from_slice(&self.length.to_le_bytes());
        Ok(&self.packed)
    }

    /// Adds a block, if it has a byte.
    fn add(&mut self, block: &[u8]) -> io::Result<()> {
        if block.is_empty() {
            return Ok(());
        }
        let prefix = self.packed.len();
        let from = prefix + size_of::<u32>();
        let most = from + get_maximum_output_size(block.len());
        self.packed.resize(most, 0);
        let packed = &mut self.packed[from..];
        let length =
            compress_into_with_table(block, packed, &mut self.table).map_err(io::Error::other)?;
        self.packed.truncate(from + length);
        self.packed[prefix..from].copy_from_slice(&(length as u32).to_le_bytes());
        self.length += block.len() as u64;
        Ok(())
    }
}

impl io::Write for Packer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = BLOCK_BYTES - self.open.len();
        let (taken, _) = bytes.split_at(room.min(bytes.len()));
        if taken.len() == BLOCK_BYTES {
            self.add(taken)?;
            return Ok(taken.len());
        }
        self.open.extend_from_slice(taken);
        if self.open.len() == BLOCK_BYTES {
            let mut open = std::mem::take(&mut self.open);
            self.add(&open)?;
            open.clear();
            self.open = open;
        }
        Ok(taken.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Memory that batches are unpacked in, one after the other: as much as the last one took, until this
/// goes.
#[derive(Debug, Default)]
pub(crate) struct Unpacker {
    plain: Buffer,
}

impl Unpacker {
    /// The batch that was packed. Where the one before it is gone, this one takes its memory.
    ///
    /// # Errors
    /// [`ArrowError`] if the bytes are not those of a packed batch.
    pub(super) fn unpack(&mut self, packed: &[u8]) -> Result<RecordBatch, ArrowError> {
        let (length, mut left) = packed.split_first_chunk().ok_or_else(changed)?;
        let length = usize::try_from(u64::from_le_bytes(*length)).map_err(|_| changed())?;
        if length / MOST_RATIO > left.len() {
            return Err(changed());
        }
        let mut plain = self.memory(length);
        for block in plain[..length].chunks_mut(BLOCK_BYTES) {
            let (packed, rest) = left.split_first_chunk().ok_or_else(changed)?;
            let packed_length = u32::from_le_bytes(*packed) as usize;
            let (packed, rest) = rest.split_at_checked(packed_length).ok_or_else(changed)?;
            let read = decompress_into(packed, block)
                .map_err(|error| ArrowError::from_external_error(Box::new(error)))?;
            if read < block.len() {
                return Err(changed());
            }
            left = rest;
        }
        self.plain = plain.into();
        let mut stream = self.plain.slice_with_length(0, length);
        let mut decoder = StreamDecoder::new();
        while !stream.is_empty() {
            if let Some(batch) = decoder.decode(&mut stream)? {
                return Ok(batch);
            }
        }
        Err(changed())
    }

    /// At least so many bytes, of any content: those of the last batch if nobody has it any more, and
    /// if they are not many more.
    fn memory(&mut self, length: usize) -> MutableBuffer {
        let last = std::mem::take(&mut self.plain).into_mutable().ok();
        last.filter(|last| (length..=length.saturating_mul(2)).contains(&last.len()))
            .unwrap_or_else(|| MutableBuffer::from_len_zeroed(length))
    }
}

fn changed() -> ArrowError {
    ArrowError::IpcError("a packed batch is not whole: the file was changed".into())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{
        ArrayRef, BooleanArray, DictionaryArray, Int64Array, ListArray, StringArray,
        StringViewArray, StructArray,
    };
    use arrow::datatypes::{Int32Type, Schema};
    use proptest::prelude::*;

    use super::*;

    fn batch(cells: &[Option<String>]) -> RecordBatch {
        let texts: StringArray = cells.iter().map(Option::as_deref).collect();
        let views: StringViewArray = cells.iter().map(Option::as_deref).collect();
        let lengths: Int64Array = texts.iter().map(|cell| Some(cell?.len() as i64)).collect();
        let is_long: BooleanArray = lengths.iter().map(|length| Some(length? > 5)).collect();
        let named: DictionaryArray<Int32Type> = cells.iter().map(Option::as_deref).collect();
        let lists = ListArray::from_iter_primitive::<arrow::datatypes::Int64Type, _, _>(
            lengths.iter().map(|length| Some(vec![length, None])),
        );
        let inner = [
            ("texts", Arc::new(texts.clone()) as ArrayRef),
            ("lists", Arc::new(lists)),
        ];
        let columns: [(&str, ArrayRef); 6] = [
            ("texts", Arc::new(texts)),
            ("views", Arc::new(views)),
            ("lengths", Arc::new(lengths)),
            ("is_long", Arc::new(is_long)),
            ("named", Arc::new(named)),
            (
                "inner",
                Arc::new(StructArray::try_from(inner.to_vec()).unwrap()),
            ),
        ];
        RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true)))
            .unwrap()
    }

    fn repeated(text: &str, rows: usize) -> RecordBatch {
        batch(&vec![Some(text.to_owned()); rows])
    }

    #[test]
    fn batches_come_back_in_the_memory_of_the_one_before() {
        let (mut packer, mut unpacker) = (Packer::default(), Unpacker::default());
        // More than one block.
        let first = repeated("a longer text than fits into a view", 60_000);
        let second = repeated("another text of about the same length", 60_000);
        let packed: Vec<Vec<u8>> = [&first, &second]
            .map(|batch| packer.pack(batch).unwrap().to_vec())
            .to_vec();
        assert!(packed[0].len() < first.get_array_memory_size() / 4);
        let back = unpacker.unpack(&packed[0]).unwrap();
        assert_eq!(back, first);
        let place = unpacker.plain.as_ptr();
        assert_eq!(unpacker.unpack(&packed[1]).unwrap(), second);
        assert_eq!(back, first, "who has the batch keeps it");
        assert_ne!(unpacker.plain.as_ptr(), place);
        let place = unpacker.plain.as_ptr();
        assert_eq!(unpacker.unpack(&packed[0]).unwrap(), first);
        assert_eq!(unpacker.plain.as_ptr(), place);
    }

    #[test]
    fn a_small_batch_keeps_no_large_memory() {
        let (mut packer, mut unpacker) = (Packer::default(), Unpacker::default());
        let large = packer.pack(&repeated("text", 10_000)).unwrap().to_vec();
        unpacker.unpack(&large).unwrap();
        let small = packer.pack(&repeated("text", 10)).unwrap();
        unpacker.unpack(small).unwrap();
        assert!(unpacker.plain.len() < 10_000);
    }

    #[test]
    fn rows_without_columns_are_counted() {
        let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(7));
        let schema = Arc::new(Schema::empty());
        let batch = RecordBatch::try_new_with_options(schema, Vec::new(), &options).unwrap();
        let mut packer = Packer::default();
        let back = Unpacker::default().unpack(packer.pack(&batch).unwrap());
        assert_eq!(back.unwrap().num_rows(), 7);
    }

    #[test]
    fn bytes_that_were_changed_are_an_error() {
        let mut packer = Packer::default();
        let packed = packer.pack(&repeated("text", 1_000)).unwrap().to_vec();
        for length in [0, 7, 8, 11, 20, packed.len() - 1] {
            Unpacker::default().unpack(&packed[..length]).unwrap_err();
        }
        for place in [5, 8] {
            let mut packed = packed.clone();
            packed[place] ^= 0xff;
            Unpacker::default().unpack(&packed).unwrap_err();
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn any_part_of_a_batch_comes_back(
            cells in prop::collection::vec(prop::option::of("\\PC{0,20}"), 0..60),
            from in 0_usize..60,
            rows in 0_usize..60,
        ) {
            let from = from.min(cells.len());
            let part = batch(&cells).slice(from, rows.min(cells.len() - from));
            let mut packer = Packer::default();
            let back = Unpacker::default().unpack(packer.pack(&part).unwrap()).unwrap();
            prop_assert_eq!(back, part);
        }
    }
}
