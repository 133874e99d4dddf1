//! Which cells need quotes in CSV, found a column at a time.
//!
//! arrow-csv looks at each byte of each cell to see whether the cell needs quotes. Text that is
//! adjacent in memory is looked at many bytes at a time here. Most columns turn out to need no quotes,
//! short texts of the others are put in quotes here, and then the writer need not look.

use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch, StringArray};
use arrow::buffer::{OffsetBuffer, ScalarBuffer};
use arrow_csv::QuoteStyle;
use memchr::memchr;

use super::size::next_special;
use super::{ChunkError, Part};

/// The cells of these rows for the writer, and the style in which it has to write them: as they are,
/// or with quotes where they are needed. Those of rows that are not sent may lack them.
pub(super) fn quoted(rows: &Part) -> Result<(RecordBatch, QuoteStyle), ChunkError> {
    let columns = rows.cells.columns().iter();
    let texts = columns.map(|column| column.as_string_opt::<i32>().map(Text::of));
    let texts: Option<Vec<Text>> = texts.collect();
    let Some(texts) = texts else {
        return Ok((rows.cells.clone(), QuoteStyle::Necessary));
    };
    let need_quotes = || {
        let texts = texts.iter().enumerate();
        texts.filter(|(_, text)| text.special < text.bytes.len())
    };
    let all: usize = texts.iter().map(|text| text.bytes.len()).sum();
    let to_copy: usize = need_quotes().map(|(_, text)| text.bytes.len()).sum();
    if to_copy > all / 2 {
        // To copy so much takes longer than the writer's look: it ends at the first byte that needs
        // quotes.
        return Ok((rows.cells.clone(), QuoteStyle::Necessary));
    }
    let mut columns = rows.cells.columns().to_vec();
    for (index, text) in need_quotes() {
        let is_skipped = |row| rows.skip.as_ref().is_some_and(|skip| skip.value(row));
        columns[index] = Arc::new(text.quoted(is_skipped)?);
    }
    let cells = RecordBatch::try_new(rows.cells.schema(), columns)?;
    Ok((cells, QuoteStyle::Never))
}

/// A column of text.
struct Text<'a> {
    column: &'a StringArray,
    /// The text of all values, which are adjacent in memory.
    bytes: &'a [u8],
    /// No value has a CR.
    no_cr: bool,
    /// Position of the first byte that makes arrow-csv quote a value, or the end.
    special: usize,
}

impl<'a> Text<'a> {
    fn of(column: &'a StringArray) -> Self {
        let offsets = column.value_offsets();
        let first = offsets.first().map_or(0, |offset| *offset as usize);
        let last = offsets.last().map_or(0, |offset| *offset as usize);
        let bytes = column.value_data().get(first..last).unwrap_or_default();
        let no_cr = memchr(b'\r', bytes).is_none();
        Self {
            column,
            bytes,
            no_cr,
            special: next_special(bytes, 0, no_cr),
        }
    }

    /// The column with quotes where they are needed. What is between two values that need them is
    /// copied at once.
    fn quoted(&self, is_skipped: impl Fn(usize) -> bool) -> Result<StringArray, ChunkError> {
        let &Self { column, bytes, .. } = self;
        let mut out = Vec::with_capacity(bytes.len() + bytes.len() / 8);
        let mut offsets = Vec::with_capacity(column.len() + 1);
        offsets.push(0);
        let mut special = self.special;
        // Up to here all has been copied.
        let mut copied = 0;
        let mut start = 0;
        for (row, length) in column.offsets().lengths().enumerate() {
            let end = start + length;
            if special < end {
                if column.is_valid(row) && !is_skipped(row) {
                    out.extend_from_slice(&bytes[copied..start]);
                    quote(&bytes[start..end], &mut out);
                    copied = end;
                }
                special = next_special(bytes, end, self.no_cr);
            }
            offsets.push((out.len() + end - copied) as i32);
            start = end;
        }
        out.extend_from_slice(&bytes[copied..]);
        let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
        let nulls = column.nulls().cloned();
        Ok(StringArray::try_new(offsets, out.into(), nulls)?)
    }
}

/// Appends a text in quotes, its own quotes doubled.
fn quote(value: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    let mut rest = value;
    while let Some((part, behind)) =
        memchr(b'"', rest).and_then(|quote| rest.split_at_checked(quote + 1))
    {
        out.extend_from_slice(part);
        out.push(b'"');
        rest = behind;
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use arrow::buffer::BooleanBuffer;
    use proptest::prelude::*;

    use super::super::RowOrdinals;
    use super::super::csv::write;
    use super::super::testing::{cells, columns, written};
    use super::*;

    fn part(cells: RecordBatch, skip: Option<BooleanBuffer>) -> Part {
        Part {
            cells,
            ordinals: RowOrdinals::From(0),
            skip,
        }
    }

    #[test]
    fn texts_of_every_kind_are_written_as_arrow_csv_writes_them() {
        let texts = [
            Some("plain"),
            Some(""),
            None,
            Some(","),
            Some("\""),
            Some("\"\""),
            Some("\n"),
            Some("\r"),
            Some("\r\n"),
            Some(" leading"),
            Some("trailing "),
            Some("\t"),
            Some("#N/A"),
            Some("é, 東京 🎉"),
            Some("\u{0}"),
            Some("say \"x\", then \"y\""),
            Some("-1.5"),
        ];
        // Texts that need quotes are most of all text, or little of it.
        let long = "x".repeat(200);
        let plain = vec![Some(long.as_str()); texts.len()];
        for columns in [
            vec![texts.to_vec()],
            vec![texts.to_vec(), texts.to_vec()],
            vec![plain.clone(), texts.to_vec()],
            vec![texts.to_vec(), plain.clone(), texts.to_vec()],
            vec![plain],
        ] {
            let batch = cells(&columns);
            let mut out = Vec::new();
            write(&part(batch.clone(), None), &mut out).unwrap();
            assert_eq!(out, written(&batch));
        }
    }

    proptest! {
        #[test]
        fn a_slice_is_written_as_arrow_csv_writes_it(
            (columns, from, to, skip) in columns(5, 60).prop_flat_map(|columns| {
                let rows = columns[0].len();
                let skip = prop::collection::vec(prop::bool::weighted(0.2), rows);
                (Just(columns), 0..=rows, 0..=rows, skip)
            })
        ) {
            let batch = cells(&columns);
            let (from, to) = (from.min(to), from.max(to));
            let skip = BooleanBuffer::from(skip);
            let part = part(batch, Some(skip.clone())).slice(from, to - from);
            let mut out = Vec::new();
            write(&part, &mut out).unwrap();
            let mut expected = Vec::new();
            for row in (0..to - from).filter(|row| !skip.value(from + row)) {
                expected.extend(written(&part.cells.slice(row, 1)));
            }
            prop_assert_eq!(out, expected);
        }
    }
}
