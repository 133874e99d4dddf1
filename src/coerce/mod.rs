//! Source RecordBatches -> cells, by DataFusion expressions.
//!
//! [`Coercion::plan`] makes one physical expression a target column, from the source's Arrow schema
//! and the object's describe. An expression answers a literal of the field's type or null, and the
//! column itself, not a copy, where every value already is a literal. A row is rejected if a column
//! has a value and no cell, which the counts of nulls show for a whole column at once; only where
//! they differ are rows looked at. Batches are never filtered.

mod canonical;
mod error;
mod function;
mod json;
mod key;
mod literal;
mod number;
mod reason;
mod record_type;
mod rules;
mod source;
mod target;
mod temporal;
mod zone;

pub use error::CoerceError;
pub use function::register_udfs;
pub use key::{Key, KeyForm};
pub use reason::{Reason, Stage};

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{DataType, Field as ArrowField, Schema, SchemaRef};
use datafusion::common::DFSchema;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::execution_props::ExecutionProps;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::create_physical_expr;
use datafusion::physical_expr_common::physical_expr::fmt_sql;

use crate::error::Result;
use crate::object::{Header, ObjectSchema, Operation, RecordTypes, RelatedObjects};
use crate::options::{Validate, ValueOptions};
use crate::source::{EXPLICIT_NULL_OF, RAW_ERROR};
use literal::{Outcome, Problem};
use target::Target;

/// How the batches of one source become the cells of one object: planned once, used for each batch.
#[derive(Debug)]
pub struct Coercion {
    header: Header,
    key: Option<Key>,
    columns: Vec<Column>,
    cells_schema: SchemaRef,
    raw_error: Option<usize>,
}

#[derive(Debug)]
struct Column {
    source: usize,
    name: String,
    target: Target,
    record_types: Option<Arc<RecordTypes>>,
    /// The source's column that says which nulls of this one are stated; all are without it.
    explicit_null: Option<usize>,
    text: Arc<dyn PhysicalExpr>,
    cell: Arc<dyn PhysicalExpr>,
    /// Over a batch of this column alone.
    canonical: Arc<dyn PhysicalExpr>,
}

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
    /// Resolves the header and plans an expression for each of its columns.
    ///
    /// # Errors
    /// A config error that names every column that no field takes, or whose Arrow type has no plain
    /// meaning in its field; with strict validation, one that names the required fields of an
    /// insert that no column feeds.
    pub fn plan(
        source: &SchemaRef,
        object: &ObjectSchema,
        operation: &Operation,
        related: &RelatedObjects,
        options: ValueOptions,
    ) -> Result<Self> {
        let names: Vec<&str> = source.fields().iter().map(|f| f.name().as_str()).collect();
        let header = Header::resolve(&names, object, operation, related)?;
        if options.validate == Validate::Strict && !header.missing_required.is_empty() {
            let fields = header.missing_required;
            return Err(CoerceError::MissingRequired { fields }.into());
        }
        let columns = plan_columns(source, &header, operation, options)?;
        let fields = header.columns.iter();
        let cells_schema = Schema::new(fields.map(|c| text_field(&c.name)).collect::<Vec<_>>());
        let key = header.key.and_then(|column| {
            let field = &header.columns.get(column)?.field;
            let form = KeyForm::of(field);
            Some(Key { column, form })
        });
        Ok(Self {
            header,
            key,
            columns,
            cells_schema: Arc::new(cells_schema),
            raw_error: names.iter().position(|name| *name == RAW_ERROR),
        })
    }

    /// The columns of every job.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The key of each row; `None` if the operation has none.
    pub fn key(&self) -> Option<&Key> {
        self.key.as_ref()
    }

    /// Schema of the cells: nullable Utf8 columns, named as the header is.
    pub fn cells_schema(&self) -> &SchemaRef {
        &self.cells_schema
    }

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
        let mut rejects: BTreeMap<usize, Reason> = problems
            .into_iter()
            .map(|(row, problems)| (row, reason(&problems)))
            .collect();
        rejects.extend(self.unreadable(source));
        let rows = RecordBatchOptions::new().with_row_count(Some(source.num_rows()));
        let schema = SchemaRef::clone(&self.cells_schema);
        let batch = RecordBatch::try_new_with_options(schema, cells, &rows).map_err(evaluation)?;
        Ok(Cells {
            batch,
            rejects: rejects.into_iter().collect(),
        })
    }

    /// The canonical form of cells, or of their echo in a job's results: equal texts for values
    /// that Salesforce holds equal. Takes Utf8 columns, named as the header is in any letter case;
    /// leaves out those that the header lacks, and answers the rest in the header's order.
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
            let field = text_field(&column.name);
            let schema = Arc::new(Schema::new(vec![field.clone()]));
            let one = RecordBatch::try_new(schema, vec![Arc::clone(cells.column(index))]);
            values.push(evaluate(&column.canonical, &one.map_err(evaluation)?)?);
            fields.push(field);
        }
        let rows = RecordBatchOptions::new().with_row_count(Some(cells.num_rows()));
        RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), values, &rows)
            .map_err(evaluation)
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

/// One expression a column, and what settings add to it: `LastName: sf_text(last_name), needed`.
impl fmt::Display for Coercion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, column) in self.columns.iter().enumerate() {
            let end = if index == 0 { "" } else { "\n" };
            let cell = fmt_sql(column.cell.as_ref());
            write!(f, "{end}{}: {cell}{}", column.name, column.target)?;
        }
        Ok(())
    }
}

impl Column {
    /// Whether a value has no cell, or a null that needs one: known by counts of nulls alone.
    fn is_suspect(&self, source: &RecordBatch, written: &ArrayRef) -> bool {
        let empty = written.null_count();
        if self.target.needed().is_some() {
            return empty > 0;
        }
        let nulls = source.column(self.source).logical_null_count();
        if !self.target.clears() {
            return empty != nulls;
        }
        let told = self.explicit_null.map(|index| source.column(index));
        let stated = told.and_then(|told| told.as_boolean_opt());
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
            let outcome = match text {
                _ if is_null => Outcome::Null,
                None => Outcome::Invalid(source::unwritable(given.data_type())),
                Some(text) => {
                    buffer.clear();
                    self.target.literal(text, &mut buffer)
                }
            };
            let problem = match outcome {
                Outcome::Invalid(problem) => Some(Wrong::value(&self.name, problem)),
                Outcome::Null => self.target.needed().map(|p| Wrong::value(&self.name, p)),
                Outcome::Same | Outcome::Written => text.and_then(|text| self.no_record_type(text)),
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

/// The source's column that says which nulls of another are stated.
fn explicit_null_of(source: &Schema, column: &str) -> Option<usize> {
    let of = |field: &Arc<ArrowField>| field.metadata().get(EXPLICIT_NULL_OF).cloned();
    let mut fields = source.fields().iter();
    fields.position(|field| of(field).as_deref() == Some(column))
}

fn plan_columns(
    source: &SchemaRef,
    header: &Header,
    operation: &Operation,
    options: ValueOptions,
) -> Result<Vec<Column>, CoerceError> {
    let source_schema = DFSchema::try_from(Arc::clone(source)).map_err(CoerceError::Plan)?;
    let mut columns = Vec::with_capacity(header.columns.len());
    let mut problems = Vec::new();
    for (index, column) in header.columns.iter().enumerate() {
        let Some(from) = source.fields().get(column.source) else {
            continue;
        };
        let field = &column.field;
        let text = match rules::source_text(from, field) {
            Ok(text) => text,
            Err(problem) => {
                problems.push(problem);
                continue;
            }
        };
        let target = Target::new(column, header.key == Some(index), operation, options);
        let explicit_null = explicit_null_of(source, from.name());
        let told = explicit_null.map(|index| source.field(index));
        let own = Schema::new(vec![text_field(&field.name)]);
        let own = DFSchema::try_from(own).map_err(CoerceError::Plan)?;
        let cell = rules::cell(text.clone(), target.clone(), told);
        columns.push(Column {
            source: column.source,
            name: column.name.clone(),
            text: physical(&text, &source_schema)?,
            cell: physical(&record_type::cell(cell, column), &source_schema)?,
            record_types: column.record_types.clone(),
            canonical: physical(&rules::canonical(field), &own)?,
            explicit_null,
            target,
        });
    }
    if problems.is_empty() {
        Ok(columns)
    } else {
        Err(CoerceError::SourceTypes { problems })
    }
}

fn physical(expr: &Expr, schema: &DFSchema) -> Result<Arc<dyn PhysicalExpr>, CoerceError> {
    let context = PhysicalPlanningContext::default();
    create_physical_expr(expr, schema, &ExecutionProps::new(), &context).map_err(CoerceError::Plan)
}

fn evaluate(expr: &Arc<dyn PhysicalExpr>, batch: &RecordBatch) -> Result<ArrayRef, CoerceError> {
    let value = expr.evaluate(batch).map_err(CoerceError::Evaluate)?;
    value
        .into_array(batch.num_rows())
        .map_err(CoerceError::Evaluate)
}

fn evaluation(error: arrow::error::ArrowError) -> CoerceError {
    CoerceError::Evaluate(DataFusionError::from(error))
}

fn text_field(name: &str) -> ArrowField {
    ArrowField::new(name, DataType::Utf8, true)
}

#[cfg(test)]
mod policies;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod tables;
#[cfg(test)]
mod tests;
