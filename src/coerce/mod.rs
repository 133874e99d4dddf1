//! Source RecordBatches -> cells, by DataFusion expressions.
//!
//! [`Coercion::plan`] makes one physical expression for each target column, from the source's Arrow
//! schema and the object's describe. An expression returns literals of the field's type and nulls;
//! where every value already is a literal, it returns the column itself, not a copy.
//!
//! A row is rejected if a column has a value and no cell. The counts of nulls show that for a whole
//! column at once; only where they differ does [`Coercion::apply`] look at rows. Batches are never
//! filtered.

mod apply;
mod canonical;
mod comparison;
mod error;
mod form;
mod function;
mod json;
mod key;
mod literal;
mod number;
mod plan;
mod reason;
mod record_type;
mod rules;
mod source;
mod target;
mod temporal;
mod zone;

pub use apply::Cells;
pub use comparison::{ComparedField, Comparison, LeftOut};
pub use error::CoerceError;
pub use function::register_udfs;
pub use key::{Key, KeyForm};
pub use literal::CLEAR;
pub use reason::{Reason, Stage};

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field as ArrowField, SchemaRef};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr_common::physical_expr::fmt_sql;

use crate::object::{Header, RecordTypes};
use target::Target;

/// How the batches of one source become the cells of one object: planned once, used for each batch.
#[derive(Debug)]
pub struct Coercion {
    header: Header,
    key: Option<Key>,
    columns: Vec<Column>,
    cells_schema: SchemaRef,
    /// The columns of two names of which each row needs either, by strict validation.
    either_name: Option<[usize; 2]>,
    raw_error: Option<usize>,
}

#[derive(Debug)]
struct Column {
    source: usize,
    name: String,
    target: Target,
    /// How its values are written, for a later attempt.
    form: String,
    record_types: Option<Arc<RecordTypes>>,
    /// The source's flag column that says which nulls of this one are stated; all are without it.
    explicit_null: Option<usize>,
    text: Arc<dyn PhysicalExpr>,
    cell: Arc<dyn PhysicalExpr>,
    /// Over a batch of this column alone.
    canonical: Arc<dyn PhysicalExpr>,
}

impl Coercion {
    /// The columns of every job.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The key of each row; `None` if the operation has none.
    pub fn key(&self) -> Option<&Key> {
        self.key.as_ref()
    }

    /// The columns of the cells: the name of each, and how its values are written.
    pub(crate) fn forms(&self) -> impl Iterator<Item = (&str, &str)> {
        let columns = self.columns.iter();
        columns.map(|column| (column.name.as_str(), column.form.as_str()))
    }

    /// Schema of the cells: nullable Utf8 columns, named as the header is.
    pub fn cells_schema(&self) -> &SchemaRef {
        &self.cells_schema
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

fn text_field(name: &str) -> ArrowField {
    ArrowField::new(name, DataType::Utf8, true)
}

#[cfg(test)]
mod tests;
