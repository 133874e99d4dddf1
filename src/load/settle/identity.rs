//! What tells the rows of a job apart, in what was sent as in what came back.

use arrow::array::{Array as _, AsArray, RecordBatch, StringArray};
use arrow::datatypes::Schema;
use xxhash_rust::xxh3::xxh3_128;

use super::defect;
use crate::coerce::{Coercion, Key, KeyForm};
use crate::error::Result;

/// Column of a result file that holds the Id of the record.
const RECORD_ID: &str = "sf__Id";

/// The digest of a row without a value to tell it by: no row that was sent has it.
const NAMELESS: u128 = 0;

/// How each row of a job becomes a digest.
#[derive(Debug, Clone)]
pub(crate) enum Identity {
    /// By the canonical form of its cells in these columns.
    Cells(Vec<String>),
    /// By its key alone, in the first of these columns that is there.
    Key { form: KeyForm, columns: Vec<String> },
}

impl Identity {
    /// Rows without a key are compared by the columns that all schemas have: result files may lack
    /// some that were sent.
    pub(crate) fn of_cells(schemas: &[&Schema]) -> Self {
        Self::Cells(common_columns(schemas))
    }

    /// Rows of a job hold each key once.
    pub(crate) fn of_key(key: &Key, cells: &Schema) -> Self {
        let mut columns = vec![cells.field(key.column).name().clone()];
        if key.form == KeyForm::Id {
            columns.push(RECORD_ID.to_owned());
        }
        Self::Key {
            form: key.form.clone(),
            columns,
        }
    }

    /// The digest of each row of cells, or of their echo in a result file.
    ///
    /// # Errors
    /// A system error if the rows lack the columns.
    pub(crate) fn digests(&self, coercion: &Coercion, rows: &RecordBatch) -> Result<Vec<u128>> {
        match self {
            Self::Cells(columns) => cell_digests(columns, &coercion.canonical(rows)?),
            Self::Key { form, columns } => Ok(key_digests(form, columns, rows)),
        }
    }
}

fn key_digests(form: &KeyForm, columns: &[String], rows: &RecordBatch) -> Vec<u128> {
    let schema = rows.schema_ref();
    let position = |name: &String| {
        let mut fields = schema.fields().iter();
        fields.position(|field| field.name().eq_ignore_ascii_case(name))
    };
    let column = columns.iter().find_map(position);
    let keys = column.and_then(|index| rows.column(index).as_string_opt::<i32>());
    let Some(keys) = keys else {
        return vec![NAMELESS; rows.num_rows()];
    };
    let mut buffer = String::new();
    let digests = keys.iter().map(|key| match key {
        Some(key) => form.digest(key, &mut buffer),
        None => NAMELESS,
    });
    digests.collect()
}

/// Names of the columns that all schemas have, in the order of the first.
fn common_columns(schemas: &[&Schema]) -> Vec<String> {
    let Some((first, others)) = schemas.split_first() else {
        return Vec::new();
    };
    let names = first.fields().iter().map(|field| field.name());
    names
        .filter(|name| others.iter().all(|schema| schema.index_of(name).is_ok()))
        .cloned()
        .collect()
}

/// The digest of the cells of each row in these columns.
pub(super) fn cell_digests(columns: &[String], cells: &RecordBatch) -> Result<Vec<u128>> {
    let columns: Vec<&StringArray> = columns
        .iter()
        .map(|name| cells.column_by_name(name)?.as_string_opt())
        .collect::<Option<_>>()
        .filter(|columns: &Vec<_>| !columns.is_empty())
        .ok_or_else(|| defect("the rows share no columns"))?;
    let mut frame = Vec::new();
    let rows = 0..cells.num_rows();
    Ok(rows.map(|row| digest(&columns, row, &mut frame)).collect())
}

/// Each cell is framed by its length or by its being null: `a|b` and `ab|` differ.
fn digest(columns: &[&StringArray], row: usize, frame: &mut Vec<u8>) -> u128 {
    frame.clear();
    for column in columns {
        if column.is_null(row) {
            frame.push(0);
        } else {
            let cell = column.value(row);
            frame.push(1);
            frame.extend_from_slice(&(cell.len() as u64).to_le_bytes());
            frame.extend_from_slice(cell.as_bytes());
        }
    }
    xxh3_128(frame)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::ArrayRef;
    use arrow::datatypes::{DataType, Field};

    use super::*;

    fn rows(columns: &[(&str, &[Option<&str>])]) -> RecordBatch {
        let columns = columns.iter().map(|(name, cells)| {
            let cells: StringArray = cells.iter().copied().collect();
            (*name, Arc::new(cells) as ArrayRef, true)
        });
        RecordBatch::try_from_iter_with_nullable(columns).unwrap()
    }

    #[test]
    fn rows_without_a_common_column_are_not_compared() {
        let schema = |names: &[&str]| {
            let fields = names
                .iter()
                .map(|name| Field::new(*name, DataType::Utf8, true));
            Schema::new(fields.collect::<Vec<_>>())
        };
        let (first, second) = (schema(&["A", "B", "C"]), schema(&["C", "A"]));
        assert_eq!(common_columns(&[&first, &second]), ["A", "C"]);
        let error = cell_digests(&[], &rows(&[("A", &[Some("1")])])).unwrap_err();
        assert_eq!(error.kind(), crate::error::ErrorKind::System);
    }

    #[test]
    fn a_key_is_found_under_its_name_or_by_the_id_of_the_record() {
        let columns = ["Id".to_owned(), RECORD_ID.to_owned()];
        let of = |rows: &RecordBatch| key_digests(&KeyForm::Id, &columns, rows);
        let short: &[Option<&str>] = &[Some("00130000000xyzA"), None];
        let long: &[Option<&str>] = &[Some("00130000000xyzAAAQ"), Some("")];
        let sent = of(&rows(&[("Name", &[None, None]), ("Id", short)]));
        assert_eq!(sent[1], NAMELESS);
        let echoed = of(&rows(&[("sf__Id", &[None, None]), ("ID", long)]));
        assert_eq!(echoed[0], sent[0]);
        assert_eq!(of(&rows(&[("sf__Id", long)]))[0], sent[0]);
        assert_eq!(of(&rows(&[("Name", long)])), [NAMELESS; 2]);
    }
}
