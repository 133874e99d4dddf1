//! The checks of a row's values, each alone and together with the others.

use std::borrow::Cow;
use std::sync::Arc;

use crate::jobs::job::Operation;
use crate::org::columns::Column;
use crate::org::table::{Stored, Upload};
use crate::org::{Field, Kind, Object, Org, record_type, reference, value};

/// What is checked in every row of a job.
#[derive(Debug)]
pub(crate) struct Cells {
    object: Arc<Object>,
    operation: Operation,
    upload: Arc<Upload>,
    /// Required fields, each with the columns that may fill it.
    required: Vec<(usize, Vec<usize>)>,
    /// Columns that fill the same lookup, one by Id and one by another field of the parent.
    pairs: Vec<(usize, usize)>,
    /// Columns that name the record type.
    record_types: Vec<usize>,
    /// Columns of an upsert that name a master, which a record cannot change.
    masters: Vec<usize>,
    /// Lookups by Id need a record.
    check_references: bool,
}

/// The fields that fill a required one: itself and, for the name of an account that may be a
/// person's, the person's last name.
fn instead(object: &Object, required: usize) -> impl Iterator<Item = usize> {
    let is_name = object.fields[required].name == "Name";
    let has_persons = object.field("IsPersonAccount").is_some();
    let last_name = object.field("LastName");
    [Some(required), last_name.filter(|_| is_name && has_persons)]
        .into_iter()
        .flatten()
}

impl Cells {
    pub(crate) fn new(
        object: &Arc<Object>,
        operation: Operation,
        upload: &Arc<Upload>,
        check_references: bool,
    ) -> Cells {
        let columns = &upload.columns;
        let filling = |index: usize| {
            let columns = columns.iter().enumerate();
            let filling = columns.filter(move |(_, column)| column.field() == index);
            filling.map(|(position, _)| position)
        };
        let fields = object.fields.iter().enumerate();
        let required = fields.filter(|(_, field)| field.required);
        let lookups = columns.iter().enumerate();
        let pairs = lookups.filter_map(|(position, column)| match column {
            Column::Lookup { field, .. } => Some((upload.position(*field)?, position)),
            Column::Field(_) => None,
        });
        let record_type = object.field(record_type::FIELD);
        let masters = columns.iter().enumerate().filter(|(_, column)| {
            let field = &object.fields[column.field()];
            let fixed = field.to_master && !field.updateable;
            fixed && operation == Operation::Upsert
        });
        Cells {
            required: required
                .map(|(index, _)| (index, instead(object, index).flat_map(filling).collect()))
                .collect(),
            pairs: pairs.collect(),
            record_types: record_type
                .map(|index| filling(index).collect())
                .unwrap_or_default(),
            masters: masters.map(|(position, _)| position).collect(),
            object: Arc::clone(object),
            operation,
            upload: Arc::clone(upload),
            check_references,
        }
    }

    /// The first error among the values, in the order of the columns.
    pub(crate) fn error(&self, org: &Org, values: &[Cow<'_, str>]) -> Option<String> {
        let columns = self.upload.columns.iter().zip(values).enumerate();
        for (position, (column, value)) in columns {
            if value.is_empty() {
                continue;
            }
            let field = &self.object.fields[column.field()];
            if let Err(error) = self.check_value(org, position, column, field, value) {
                return Some(error);
            }
        }
        self.pair_error(values)
            .or_else(|| self.record_type_error(values))
    }

    /// The error of a row that names a parent by its Id and by another field too.
    fn pair_error(&self, values: &[Cow<'_, str>]) -> Option<String> {
        let filled = |position: usize| !values[position].is_empty();
        let (by_id, _) = self
            .pairs
            .iter()
            .find(|(by_id, by_key)| filled(*by_id) && filled(*by_key))?;
        let field = &self.object.fields[self.upload.columns[*by_id].field()];
        let relationship = field.relationship.as_deref().unwrap_or_default();
        let name = &field.name;
        Some(format!(
            "INVALID_FIELD:cannot specify both an external ID reference {relationship} and a \
             salesforce id, {name}:{name} --"
        ))
    }

    /// The error of the first picklist value that the row's record type does not allow.
    fn record_type_error(&self, values: &[Cow<'_, str>]) -> Option<String> {
        let named = self.record_types.iter();
        let position = *named
            .clone()
            .find(|position| !values[**position].is_empty())?;
        let value = &values[position];
        let record_type = match &self.upload.columns[position] {
            Column::Field(_) => record_type::by_id(&self.object, value).ok().flatten(),
            Column::Lookup { by_name, .. } => {
                record_type::by_field(&self.object, by_name, value).next()
            }
        }?;
        let columns = self.upload.columns.iter().zip(values);
        columns.into_iter().find_map(|(column, value)| {
            let field = &self.object.fields[column.field()];
            let refused = field.restricted.is_some()
                && !value.is_empty()
                && !value::is_null(value)
                && !record_type.allows(&field.name, value);
            refused.then(|| value::bad_choice(field, value))
        })
    }

    /// The masters that an upsert names: the field, and the Id of the master.
    pub(crate) fn masters(
        &self,
        org: &Org,
        values: &[Cow<'_, str>],
    ) -> Vec<(usize, Option<String>)> {
        let filled = self
            .masters
            .iter()
            .filter(|position| !values[**position].is_empty());
        filled
            .map(|&position| {
                let column = &self.upload.columns[position];
                let stored = Stored::of(&self.object, column, &values[position]);
                (column.field(), reference::id_of(org, &self.object, &stored))
            })
            .collect()
    }

    /// Checks one value against its column.
    fn check_value(
        &self,
        org: &Org,
        position: usize,
        column: &Column,
        field: &Field,
        value: &str,
    ) -> Result<(), String> {
        if field.kind == Kind::Id {
            if self.operation == Operation::Insert {
                let text = "INVALID_FIELD_FOR_INSERT_UPDATE:cannot specify Id in an insert call";
                return Err(format!("{text}:Id --"));
            }
            value::check(field, position, value)?;
            return if value.starts_with(&self.object.key_prefix) || value::is_null(value) {
                Ok(())
            } else {
                Err(value::malformed_id(field, value))
            };
        }
        let writable = match self.operation {
            Operation::Update => field.updateable,
            _ => field.createable,
        };
        if !writable {
            let name = &field.name;
            return Err(format!(
                "INVALID_FIELD_FOR_INSERT_UPDATE:Unable to create/update fields: {name}. Please \
                 check the security settings of this field and verify that it is read/write for \
                 your profile or permission set.:{name} --"
            ));
        }
        match column {
            Column::Lookup { .. } if value::is_null(value) => value::check(field, position, value),
            Column::Lookup { parent, by, .. } => {
                reference::by_key(org, &self.object, parent, *by, value)
            }
            Column::Field(_) => {
                value::check(field, position, value)?;
                if field.kind == Kind::Reference && !value::is_null(value) {
                    reference::by_id(org, &self.object, field, value, self.check_references)?;
                }
                Ok(())
            }
        }
    }

    /// The error of a row that would make a record without its required fields.
    pub(crate) fn missing(&self, values: &[Cow<'_, str>]) -> Option<String> {
        let filled =
            |positions: &[usize]| positions.iter().any(|&at| !values[at].trim().is_empty());
        let missing: Vec<&str> = self
            .required
            .iter()
            .filter(|(_, positions)| !filled(positions))
            .map(|(field, _)| self.object.fields[*field].name.as_str())
            .collect();
        (!missing.is_empty()).then(|| value::required(&missing))
    }
}
