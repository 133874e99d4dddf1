//! What distinguishes the rows of a job, in what was sent as in what came back.

use std::sync::Arc;

use arrow::array::{Array as _, AsArray, BooleanArray, RecordBatch, StringArray, UInt64Array};
use arrow::compute::filter_record_batch;
use arrow::datatypes::Schema;

use super::defect::defect;
use super::groups::SentRows;
use super::probe::Probe;
use crate::chunk::Chunk;
use crate::coerce::{Coercion, Key, KeyForm};
use crate::error::Result;
use crate::load::LoadError;
use crate::load::picked::picked;
use crate::rows::{KeyDigest, RowDigests, RowSet};

/// Column of a result file that holds the Id of the record.
const RECORD_ID: &str = "sf__Id";

/// What the names of Salesforce's own columns in a result file begin with.
const OWN_COLUMNS: &str = "sf__";

/// How each row of a job becomes a digest.
#[derive(Debug)]
pub(super) enum Identity {
    /// By the canonical form of its cells in these columns.
    Cells {
        columns: Vec<Compared>,
        probe: Probe,
    },
    /// By its key alone, in the first of these columns that has it.
    Key { form: KeyForm, columns: Vec<String> },
}

/// A column that the rows sent and all result files have.
#[derive(Debug, Clone)]
pub(crate) struct Compared {
    name: String,
    /// A result has a value in it. A column that came back without values is as if it had not.
    has_values: bool,
}

impl Identity {
    /// Chooses by the first rows of each result file that has rows.
    ///
    /// Rows with a key are compared by it, or by the Id of the record. Rows without one, or whose
    /// key did not come back, are compared by the columns that came back in all files.
    ///
    /// # Errors
    /// A system error if the rows have no canonical form.
    pub(crate) fn of(coercion: &Coercion, firsts: &[RecordBatch]) -> Result<Self> {
        let cells = coercion.cells_schema();
        if let Some(key) = coercion.key() {
            let by_key = Self::of_key(key, cells);
            if key.form == KeyForm::Id || firsts.iter().all(|rows| by_key.is_in(rows)) {
                return Ok(by_key);
            }
        }
        let mut schemas = vec![Arc::clone(cells)];
        for rows in firsts {
            schemas.push(coercion.canonical(&rows.slice(0, 0))?.schema());
        }
        let schemas: Vec<&Schema> = schemas.iter().map(AsRef::as_ref).collect();
        Ok(Self::of_cells(&schemas))
    }

    /// By all cells, as [`row_digests`] does; or the columns that a result file, whose first rows these
    /// are, lacks.
    ///
    /// # Errors
    /// A system error if the rows have no canonical form.
    pub(crate) fn of_all_cells(
        coercion: &Coercion,
        firsts: &[RecordBatch],
    ) -> Result<Result<Self, Vec<String>>> {
        let cells = coercion.cells_schema();
        for rows in firsts {
            let schema = coercion.canonical(&rows.slice(0, 0))?.schema();
            let names = cells.fields().iter().map(|field| field.name());
            let lacking = names.filter(|name| schema.index_of(name).is_err());
            let lacking: Vec<String> = lacking.cloned().collect();
            if !lacking.is_empty() {
                return Ok(Err(lacking));
            }
        }
        Ok(Ok(Self::of_cells(&[cells.as_ref()])))
    }

    /// Whether results have values in all columns: rows then have the digests of [`row_digests`].
    pub(crate) fn has_all_cells(&self, coercion: &Coercion) -> bool {
        matches!(self, Self::Cells { .. }) && self.lacking(coercion).is_empty()
    }

    /// The columns of the rows sent of which the results have no value; none where a key is compared.
    pub(crate) fn lacking(&self, coercion: &Coercion) -> Vec<String> {
        let Self::Cells { columns, .. } = self else {
            return Vec::new();
        };
        let has_values = |name: &str| {
            let mut columns = columns.iter();
            columns.any(|column| column.has_values && column.name == name)
        };
        let sent = coercion.cells_schema().fields().iter();
        let names = sent.map(|field| field.name());
        names.filter(|name| !has_values(name)).cloned().collect()
    }

    /// By the columns that all have. They are in the order of their names, as those of [`row_digests`].
    fn of_cells(schemas: &[&Schema]) -> Self {
        let compared = |name| Compared {
            name,
            has_values: false,
        };
        let mut names = common_columns(schemas);
        names.sort_unstable();
        Self::Cells {
            columns: names.into_iter().map(compared).collect(),
            probe: Probe::default(),
        }
    }

    /// Rows of a job hold each key once.
    fn of_key(key: &Key, cells: &Schema) -> Self {
        let mut columns = vec![cells.field(key.column).name().clone()];
        if key.form == KeyForm::Id {
            columns.push(RECORD_ID.to_owned());
        }
        Self::Key {
            form: key.form.clone(),
            columns,
        }
    }

    pub(crate) fn is_key(&self) -> bool {
        matches!(self, Self::Key { .. })
    }

    /// Whether the key came back.
    fn is_in(&self, rows: &RecordBatch) -> bool {
        match self {
            Self::Cells { .. } => false,
            Self::Key { columns, .. } => key_columns(columns, rows)
                .iter()
                .any(|column| column.null_count() < column.len()),
        }
    }

    /// The digest of each row of a result file, all of which are to be read before the rows sent.
    ///
    /// # Errors
    /// A system error if the rows have no canonical form.
    pub(crate) fn of_results(
        &mut self,
        coercion: &Coercion,
        rows: &RecordBatch,
    ) -> Result<Vec<KeyDigest>> {
        match self {
            Self::Cells { columns, probe } => {
                let rows = coercion.canonical(rows)?;
                for column in columns.iter_mut() {
                    let cells = rows.column_by_name(&column.name);
                    column.has_values |=
                        cells.is_some_and(|cells| cells.null_count() < cells.len());
                }
                let compared = columns.iter().filter(|column| column.has_values);
                probe.note(coercion, compared.map(|column| column.name.as_str()), &rows);
                cell_digests(columns, &rows)
            }
            Self::Key { form, columns } => Ok(key_digests(form, columns, rows)),
        }
    }

    /// The rows that are in `sent` and in this source batch, whose first row has the ordinal `first`;
    /// apart from them those that can have no result.
    ///
    /// # Errors
    /// A system error if the rows have no canonical form.
    pub(crate) fn sent_rows(
        &mut self,
        coercion: &Coercion,
        first: u64,
        source: &RecordBatch,
        sent: &RowSet,
    ) -> Result<(SentRows, RowSet)> {
        let mut here = sent.within(first..first + source.num_rows() as u64);
        match self {
            Self::Key { form, .. } => {
                let keys = coercion.key_cells(source)?;
                let keys = keys.as_ref().and_then(|keys| keys.as_string_opt());
                let keys = keys.ok_or_else(|| defect("rows have no key"))?;
                let mut buffer = String::new();
                let digest = |row: u64| key_digest(form, keys, (row - first) as usize, &mut buffer);
                let rows = SentRows {
                    digests: here.iter().map(digest).collect(),
                    ordinals: UInt64Array::from_iter_values(here.iter()),
                    wholes: None,
                };
                Ok((rows, RowSet::new()))
            }
            Self::Cells { columns, probe } => {
                let rows = probe.candidates(coercion, first, source, &here)?;
                let (source, _) = picked(first, source, &rows)?;
                let (digests, wholes) = of_sent(columns, coercion, &coercion.cells(&source)?)?;
                here.remove_all(&rows);
                let rows = SentRows {
                    digests,
                    ordinals: UInt64Array::from_iter_values(rows.iter()),
                    wholes,
                };
                Ok((rows, here))
            }
        }
    }
}

/// The digest of each row sent; with them those of all cells, where not all are compared.
///
/// # Errors
/// A system error if the rows have no canonical form.
pub(super) fn of_sent(
    columns: &[Compared],
    coercion: &Coercion,
    cells: &RecordBatch,
) -> Result<(Vec<KeyDigest>, Option<Vec<KeyDigest>>)> {
    let cells = coercion.canonical(cells)?;
    let compared = columns.iter().filter(|column| column.has_values).count();
    let wholes = if compared < cells.num_columns() {
        Some(cell_digests(&Compared::all(&cells.schema()), &cells)?)
    } else {
        None
    };
    Ok((cell_digests(columns, &cells)?, wholes))
}

/// The digest of all cells of each row, of rows sent or of those of a result file, whatever the order
/// of the columns. `None` if the file has other columns than the rows that are sent, Salesforce's own
/// aside.
///
/// # Errors
/// A system error if the rows have no canonical form.
pub(crate) fn row_digests(
    coercion: &Coercion,
    rows: &RecordBatch,
) -> Result<Option<Vec<KeyDigest>>> {
    let cells = coercion.canonical(rows)?;
    let given = rows.schema_ref().fields().iter();
    let given = given.filter(|field| !field.name().starts_with(OWN_COLUMNS));
    let columns = coercion.cells_schema().fields().len();
    if cells.num_columns() != columns || given.count() != columns {
        return Ok(None);
    }
    cell_digests(&Compared::by_name(&cells.schema()), &cells).map(Some)
}

/// The ordinals of the rows of a chunk that are sent, and the digests of all their cells.
///
/// # Errors
/// A system error if the rows have no canonical form.
pub(crate) fn chunk_digests(
    coercion: &Coercion,
    chunk: &Chunk,
) -> Result<(Vec<u64>, Vec<KeyDigest>)> {
    let rows = chunk.rows() as usize;
    let mut all = (Vec::with_capacity(rows), Vec::with_capacity(rows));
    for part in chunk.parts() {
        let is_sent = |row: &usize| part.skip.as_ref().is_none_or(|skip| !skip.value(*row));
        let sent = (0..part.cells.num_rows()).filter(is_sent);
        all.0.extend(sent.map(|row| part.ordinals.of(row)));
        let cells = match &part.skip {
            Some(skip) => {
                let sent = BooleanArray::new(!skip, None);
                filter_record_batch(&part.cells, &sent).map_err(LoadError::from)?
            }
            None => part.cells.clone(),
        };
        all.1
            .extend(row_digests(coercion, &cells)?.unwrap_or_default());
    }
    Ok(all)
}

impl Compared {
    pub(super) fn all(schema: &Schema) -> Vec<Self> {
        let all = schema.fields().iter().map(|field| Self {
            name: field.name().clone(),
            has_values: true,
        });
        all.collect()
    }

    /// All, in the order of their names: another order of the columns makes no other digest.
    fn by_name(schema: &Schema) -> Vec<Self> {
        let mut all = Self::all(schema);
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }
}

/// Those of the columns that the rows have.
fn key_columns<'a>(columns: &[String], rows: &'a RecordBatch) -> Vec<&'a StringArray> {
    let position = |name: &String| {
        let mut fields = rows.schema_ref().fields().iter();
        fields.position(|field| field.name().eq_ignore_ascii_case(name))
    };
    let found = columns.iter().filter_map(position);
    found
        .filter_map(|index| rows.column(index).as_string_opt())
        .collect()
}

fn key_digests(form: &KeyForm, columns: &[String], rows: &RecordBatch) -> Vec<KeyDigest> {
    let columns = key_columns(columns, rows);
    let mut buffer = String::new();
    let digests = (0..rows.num_rows()).map(|row| {
        let key = columns.iter().find(|column| column.is_valid(row));
        key.map_or(KeyDigest::NONE, |key| {
            key_digest(form, key, row, &mut buffer)
        })
    });
    digests.collect()
}

fn key_digest(form: &KeyForm, keys: &StringArray, row: usize, buffer: &mut String) -> KeyDigest {
    if keys.is_valid(row) {
        form.digest(keys.value(row), buffer)
    } else {
        KeyDigest::NONE
    }
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

/// The digest of the cells of each row in those of the columns that results have values in.
pub(super) fn cell_digests(columns: &[Compared], cells: &RecordBatch) -> Result<Vec<KeyDigest>> {
    let mut digests = RowDigests::new(cells.num_rows());
    for (column, number) in columns.iter().zip(0..) {
        if column.has_values {
            let values = cells
                .column_by_name(&column.name)
                .and_then(|cells| cells.as_string_opt());
            digests.add(number, values.ok_or_else(|| defect("a column is gone"))?);
        }
    }
    Ok(digests.all())
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
    fn columns_are_compared_that_came_back() {
        let schema = |names: &[&str]| {
            let fields = names
                .iter()
                .map(|name| Field::new(*name, DataType::Utf8, true));
            Schema::new(fields.collect::<Vec<_>>())
        };
        let (first, second) = (schema(&["A", "B", "C"]), schema(&["C", "A"]));
        assert_eq!(common_columns(&[&first, &second]), ["A", "C"]);
    }

    #[test]
    fn a_null_is_as_if_its_column_were_not_compared() {
        let of = |columns: &[Compared], rows: &RecordBatch| cell_digests(columns, rows).unwrap();
        let sent = rows(&[
            ("A", &[Some("1")]),
            ("B", &[Some("2")]),
            ("C", &[Some("3")]),
        ]);
        let result = rows(&[("A", &[Some("1")]), ("B", &[None]), ("C", &[Some("3")])]);
        let mut columns = Compared::all(&sent.schema());
        assert_ne!(of(&columns, &sent), of(&columns, &result));
        columns[1].has_values = false;
        assert_eq!(
            of(&columns, &sent),
            of(&Compared::all(&result.schema()), &result)
        );
        let moved = rows(&[("A", &[None]), ("B", &[Some("1")]), ("C", &[Some("3")])]);
        let columns = Compared::all(&result.schema());
        assert_ne!(of(&columns, &moved), of(&columns, &result));
    }

    #[test]
    fn a_key_is_found_under_its_name_or_by_the_id_of_the_record() {
        let columns = ["Id".to_owned(), RECORD_ID.to_owned()];
        let of = |rows: &RecordBatch| key_digests(&KeyForm::Id, &columns, rows);
        let short: &[Option<&str>] = &[Some("00130000000xyzA"), None];
        let long: &[Option<&str>] = &[Some("00130000000xyzAAAQ"), Some("")];
        let sent = of(&rows(&[("Name", &[None, None]), ("Id", short)]));
        assert_eq!(sent[1], KeyDigest::NONE);
        let echoed = of(&rows(&[("sf__Id", &[None, None]), ("ID", long)]));
        assert_eq!(echoed[0], sent[0]);
        assert_eq!(of(&rows(&[("sf__Id", long)]))[0], sent[0]);
        assert_eq!(of(&rows(&[("Name", long)])), [KeyDigest::NONE; 2]);
        let blank: &[Option<&str>] = &[None, None];
        assert_eq!(of(&rows(&[("Id", blank), ("sf__Id", long)]))[0], sent[0]);
    }
}
