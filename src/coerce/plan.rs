//! The expressions of a coercion, from the schema of its source and the header of its jobs.

use std::sync::{Arc, LazyLock};

use arrow::datatypes::{Field as ArrowField, Schema, SchemaRef};
use datafusion::common::DFSchema;
use datafusion::config::ConfigOptions;
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::execution_props::ExecutionProps;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::physical_expr::{PhysicalExpr, create_physical_expr};

use super::form::form;
use super::target::{Part, Required, Target};
use super::{CoerceError, Coercion, Column, Key, KeyForm, record_type, rules, text_field};
use crate::error::Result;
use crate::object::{Field, Header, ObjectSchema, Operation, RelatedObjects};
use crate::options::{Validate, ValueOptions};
use crate::source::{EXPLICIT_NULL_OF, RAW_ERROR};

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
        let either = Names::of(&header, object);
        let columns = plan_columns(source, &header, either, operation, options)?;
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
            either_name: either.both().filter(|_| {
                options.validate == Validate::Strict && *operation == Operation::Insert
            }),
            raw_error: names.iter().position(|name| *name == RAW_ERROR),
        })
    }
}

/// The columns of the two names of an object with persons among its records, of which each record
/// needs either.
#[derive(Debug, Clone, Copy, Default)]
struct Names([Option<usize>; 2]);

impl Names {
    fn of(header: &Header, object: &ObjectSchema) -> Self {
        let column = |field: &Field| header.columns.iter().position(|column| column.holds(field));
        object
            .either_name()
            .map_or_else(Self::default, |names| Self(names.map(column)))
    }

    /// Both, if both have a column.
    fn both(self) -> Option<[usize; 2]> {
        let [name, last_name] = self.0;
        Some([name?, last_name?])
    }

    /// Whether a record needs a value in a column.
    fn required(self, column: usize, field: &Field) -> Required {
        match (self.0.contains(&Some(column)), self.both()) {
            (true, Some(_)) => Required::Either,
            (true, None) => Required::Yes,
            (false, _) if field.required_on_create() => Required::Yes,
            (false, _) => Required::No,
        }
    }
}

fn plan_columns(
    source: &SchemaRef,
    header: &Header,
    names: Names,
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
        let part = if header.key == Some(index) {
            Part::Key
        } else if header.columns.len() == 1 {
            Part::Alone
        } else {
            Part::Other
        };
        let required = names.required(index, field);
        let target = Target::new(column, part, required, operation, options);
        let explicit_null = explicit_null_of(source, from.name());
        let flag = explicit_null.map(|index| source.field(index));
        let own = Schema::new(vec![text_field(&field.name)]);
        let own = DFSchema::try_from(own).map_err(CoerceError::Plan)?;
        let cell = rules::cell(text.clone(), target.clone(), flag);
        columns.push(Column {
            source: column.source,
            name: column.name.clone(),
            text: physical(&text, &source_schema)?,
            cell: physical(&record_type::cell(cell, column), &source_schema)?,
            record_types: column.record_types.clone(),
            canonical: physical(&rules::canonical(field), &own)?,
            explicit_null,
            form: form(from, &target, column.record_types.is_some()),
            target,
        });
    }
    if problems.is_empty() {
        Ok(columns)
    } else {
        Err(CoerceError::SourceTypes { problems })
    }
}

/// The source's flag column that says which nulls of another are stated.
fn explicit_null_of(source: &Schema, column: &str) -> Option<usize> {
    let of = |field: &Arc<ArrowField>| field.metadata().get(EXPLICIT_NULL_OF).cloned();
    let mut fields = source.fields().iter();
    fields.position(|field| of(field).as_deref() == Some(column))
}

fn physical(expr: &Expr, schema: &DFSchema) -> Result<Arc<dyn PhysicalExpr>, CoerceError> {
    // Without options of its own, each function would get a set of all defaults: some 2 KB.
    static OPTIONS: LazyLock<Arc<ConfigOptions>> = LazyLock::new(Arc::default);
    let context = PhysicalPlanningContext::default();
    let mut properties = ExecutionProps::new();
    properties.config_options = Some(Arc::clone(&OPTIONS));
    create_physical_expr(expr, schema, &properties, &context).map_err(CoerceError::Plan)
}
