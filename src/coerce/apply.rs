//! A source batch becomes cells, with the reasons of the rows that cannot be sent.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{Field as ArrowField, Schema, SchemaRef};
use arrow::error::ArrowError;
use datafusion::error::DataFusionError;
use datafusion::physical_expr::PhysicalExpr;

use super::literal::{Problem, Rewrite};
use super::{CoerceError, Coercion, Column, Reason, Stage, source, text_field};

/// What a source batch became.
#[derive(Debug, Clone)]
pub struct Cells {
    /// A row for each source row, columns as the header has them, Utf8: literals and nulls, never
    /// an empty text. Rejected rows are in it, with what could be written of them.
    pub batch: RecordBatch,
    /// Rows that cannot be sent, ascending, with everything that is wrong with each.
    pub rejects: Vec<(usize, Reason)>,
}

impl Coercion {
    /// The cells of a source batch, and its rows that cannot be sent.
    ///
    /// # Errors
    /// [`CoerceError::Evaluate`] if the batch has other columns than the source planned for.
    pub fn apply(&self, source: &RecordBatch) -> Result<Cells, CoerceError> {
        let mut problems = BTreeMap::new();
        let mut cells = Vec::with_capacity(self.columns.len());
        for column in &self.columns {
            let written = evaluate(&column.cell, source)?;
            if column.is_suspect(source, &written) {
                column.problems(source, &written, &mut problems)?;
            }
            cells.push(written);
        }
        self.nameless(&cells, &mut problems);
        let mut rejects: BTreeMap<usize, Reason> = problems
            .into_iter()
            .map(|(row, problems)| (row, reason(&problems)))
            .collect();
        rejects.extend(self.unreadable(source));
        Ok(Cells {
            batch: self.batch(cells, source)?,
            rejects: rejects.into_iter().collect(),
        })
    }

    /// The cells of a source batch; which of its rows cannot be sent is not looked for.
    ///
    /// # Errors
    /// As [`Coercion::apply`].
    pub(crate) fn cells(&self, source: &RecordBatch) -> Result<RecordBatch, CoerceError> {
        let columns = self.columns.iter();
        let cells = columns.map(|column| evaluate(&column.cell, source));
        self.batch(cells.collect::<Result<_, _>>()?, source)
    }

    /// The cells of all columns, as a batch: one row for each of the source.
    fn batch(
        &self,
        cells: Vec<ArrayRef>,
        source: &RecordBatch,
    ) -> Result<RecordBatch, CoerceError> {
        let rows = RecordBatchOptions::new().with_row_count(Some(source.num_rows()));
        let schema = SchemaRef::clone(&self.cells_schema);
        RecordBatch::try_new_with_options(schema, cells, &rows).map_err(evaluation)
    }

    /// The canonical form of the cells in one column, by its number among those of the header.
    ///
    /// # Errors
    /// As [`Coercion::apply`].
    pub(crate) fn canonical_column(
        &self,
        column: usize,
        source: &RecordBatch,
    ) -> Result<ArrayRef, CoerceError> {
        let cells = evaluate(&self.column(column)?.cell, source)?;
        self.column(column)?.canonical(cells)
    }

    /// The canonical form of cells of one column, by its number among those of the header.
    ///
    /// # Errors
    /// [`CoerceError::Evaluate`] if there is no such column, or they are not Utf8.
    pub(super) fn canonical_cells(
        &self,
        column: usize,
        cells: &ArrayRef,
    ) -> Result<ArrayRef, CoerceError> {
        self.column(column)?.canonical(Arc::clone(cells))
    }

    fn column(&self, column: usize) -> Result<&Column, CoerceError> {
        let column = self.columns.get(column);
        column.ok_or_else(|| evaluation(ArrowError::SchemaError("no such column".into())))
    }

    /// The cells of the key alone; `None` if the operation has no key.
    ///
    /// # Errors
    /// As [`Coercion::apply`].
    pub(crate) fn key_cells(&self, source: &RecordBatch) -> Result<Option<ArrayRef>, CoerceError> {
        let key = self.key.as_ref();
        let column = key.and_then(|key| self.columns.get(key.column));
        column
            .map(|column| evaluate(&column.cell, source))
            .transpose()
    }

    /// The canonical form of cells, or of their echo in a job's results: equal texts for values
    /// that Salesforce holds equal. Takes Utf8 columns, named as the header is in any letter case;
    /// leaves out those that the header lacks, and returns the rest in the header's order.
    ///
    /// # Errors
    /// [`CoerceError::Evaluate`] if a column of the header is not Utf8.
    pub fn canonical(&self, cells: &RecordBatch) -> Result<RecordBatch, CoerceError> {
        let mut fields = Vec::with_capacity(self.columns.len());
        let mut values = Vec::with_capacity(self.columns.len());
        let given = cells.schema_ref().fields();
        for column in &self.columns {
            let same = |field: &Arc<ArrowField>| field.name().eq_ignore_ascii_case(&column.name);
            let Some(index) = given.iter().position(same) else {
                continue;
            };
            values.push(column.canonical(Arc::clone(cells.column(index)))?);
            fields.push(text_field(&column.name));
        }
        let rows = RecordBatchOptions::new().with_row_count(Some(cells.num_rows()));
        RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), values, &rows)
            .map_err(evaluation)
    }

    /// Adds the rows that have neither of two names.
    fn nameless<'a>(&'a self, cells: &[ArrayRef], problems: &mut BTreeMap<usize, Vec<Wrong<'a>>>) {
        let Some(names) = self.either_name else {
            return;
        };
        let [Some(first), Some(second)] = names.map(|column| cells.get(column)) else {
            return;
        };
        let [Some(field), Some(other)] = names.map(|column| self.columns.get(column)) else {
            return;
        };
        let nulls = (0..first.len()).filter(|row| first.is_null(*row) && second.is_null(*row));
        for row in nulls {
            let words = format!("no value, nor has {}; the record needs either", other.name);
            problems.entry(row).or_insert_with(|| {
                vec![Wrong {
                    field: &field.name,
                    code: Reason::INVALID_VALUE,
                    words: Cow::Owned(words),
                }]
            });
        }
    }

    /// Rows whose line was no readable record.
    fn unreadable(&self, source: &RecordBatch) -> Vec<(usize, Reason)> {
        let column = self.raw_error.and_then(|index| source.columns().get(index));
        let Some(errors) = column.and_then(|column| column.as_string_opt::<i32>()) else {
            return Vec::new();
        };
        let rows = errors.iter().enumerate();
        rows.filter_map(|(row, error)| {
            let message = error?.to_owned();
            let reason = Reason::local(Stage::Decode, Reason::INVALID_RECORD, message, Vec::new());
            Some((row, reason))
        })
        .collect()
    }
}

impl Column {
    /// The canonical form of cells of this column.
    fn canonical(&self, cells: ArrayRef) -> Result<ArrayRef, CoerceError> {
        let schema = Arc::new(Schema::new(vec![text_field(&self.name)]));
        let one = RecordBatch::try_new(schema, vec![cells]).map_err(evaluation)?;
        evaluate(&self.canonical, &one)
    }

    /// Whether a value has no cell, or a null that needs one: by counts of nulls alone.
    fn is_suspect(&self, source: &RecordBatch, written: &ArrayRef) -> bool {
        let empty = written.null_count();
        if self.target.needed().is_some() {
            return empty > 0;
        }
        let nulls = source.column(self.source).logical_null_count();
        if !self.target.clears() {
            return empty != nulls;
        }
        let flags = self.explicit_null.map(|index| source.column(index));
        let stated = flags.and_then(|flags| flags.as_boolean_opt());
        empty + stated.map_or(nulls, BooleanArray::true_count) != nulls
    }

    /// Adds what is wrong with each value that has no cell, and each null that needs one.
    fn problems<'a>(
        &'a self,
        source: &RecordBatch,
        written: &ArrayRef,
        problems: &mut BTreeMap<usize, Vec<Wrong<'a>>>,
    ) -> Result<(), CoerceError> {
        let given = source.column(self.source);
        let nulls = given.logical_nulls();
        let texts = evaluate(&self.text, source)?;
        let texts = texts.as_string_opt::<i32>();
        let mut buffer = String::new();
        for row in (0..source.num_rows()).filter(|row| written.is_null(*row)) {
            let is_null = nulls.as_ref().is_some_and(|nulls| nulls.is_null(row));
            let text = texts.filter(|texts| texts.is_valid(row));
            let text = text.map(|texts| texts.value(row));
            let rewrite = match text {
                _ if is_null => Rewrite::Null,
                None => Rewrite::Invalid(source::unwritable(given.data_type())),
                Some(text) => {
                    buffer.clear();
                    self.target.literal(text, &mut buffer)
                }
            };
            let problem = match rewrite {
                Rewrite::Invalid(problem) => Some(Wrong::value(&self.name, problem)),
                Rewrite::Null => self.target.needed().map(|p| Wrong::value(&self.name, p)),
                Rewrite::Same | Rewrite::Written => text.and_then(|text| self.no_record_type(text)),
            };
            if let Some(problem) = problem {
                problems.entry(row).or_default().push(problem);
            }
        }
        Ok(())
    }

    /// What is wrong with a text that names no record type, where it should.
    fn no_record_type(&self, name: &str) -> Option<Wrong<'_>> {
        let problem = self.record_types.as_ref()?.id(name).err()?;
        Some(Wrong {
            field: &self.name,
            code: Reason::INVALID_VALUE,
            words: Cow::Borrowed(problem),
        })
    }
}

/// What is wrong with the value of a field.
struct Wrong<'a> {
    field: &'a str,
    code: &'static str,
    words: Cow<'a, str>,
}

impl<'a> Wrong<'a> {
    fn value(field: &'a str, problem: Problem) -> Self {
        Self {
            field,
            code: match problem {
                Problem::NoKey => Reason::MISSING_KEY,
                _ => Reason::INVALID_VALUE,
            },
            words: Cow::Owned(problem.to_string()),
        }
    }
}

fn reason(problems: &[Wrong<'_>]) -> Reason {
    let messages: Vec<String> = problems
        .iter()
        .map(|wrong| format!("{}: {}", wrong.field, wrong.words))
        .collect();
    let fields = problems.iter().map(|wrong| wrong.field.to_owned());
    let missing_key = problems.iter().find(|w| w.code == Reason::MISSING_KEY);
    let code = missing_key.map_or(Reason::INVALID_VALUE, |wrong| wrong.code);
    Reason::local(Stage::Coerce, code, messages.join("; "), fields.collect())
}

fn evaluate(expr: &Arc<dyn PhysicalExpr>, batch: &RecordBatch) -> Result<ArrayRef, CoerceError> {
    let value = expr.evaluate(batch).map_err(CoerceError::Evaluate)?;
    value
        .into_array(batch.num_rows())
        .map_err(CoerceError::Evaluate)
}

pub(super) fn evaluation(error: ArrowError) -> CoerceError {
    CoerceError::Evaluate(DataFusionError::from(error))
}
