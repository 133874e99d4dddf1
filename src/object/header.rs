//! Source columns -> the header of a job.

use std::collections::HashMap;
use std::sync::Arc;

use super::{Field, ObjectError, ObjectSchema, Operation};

/// One column of a job: where it comes from and the field it goes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderColumn {
    /// Index of the column in the source schema.
    pub source: usize,
    /// Text of the header: the field's name in the describe's exact case.
    pub name: String,
    /// The field whose type the values have.
    pub field: Arc<Field>,
}

/// The columns of every job of a load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Columns in the order of the source schema.
    pub columns: Vec<HeaderColumn>,
    /// Index of the column that holds the key; `None` for an insert.
    pub key: Option<usize>,
    /// Names of required fields that no column feeds: worth a warning.
    pub missing_required: Vec<String>,
}

impl Header {
    /// Matches source column names to fields without regard to letter case.
    ///
    /// # Errors
    /// [`ObjectError::Operation`] if the user may not do the operation on the object;
    /// [`ObjectError::Columns`] naming *every* column that the object lacks, that the user may not
    /// write, or that feeds the same field as another, or saying that there is no column at all.
    /// Columns named `_airbyte_*` that match no field are left out.
    pub fn resolve(
        columns: &[&str],
        object: &ObjectSchema,
        operation: &Operation,
    ) -> Result<Self, ObjectError> {
        if !may(object, operation) {
            return Err(ObjectError::Operation {
                object: object.name.clone(),
                operation: operation.as_str(),
            });
        }
        let mut resolved: Vec<HeaderColumn> = Vec::with_capacity(columns.len());
        let mut fed_by: HashMap<usize, &str> = HashMap::with_capacity(columns.len());
        let mut problems = Vec::new();
        for (source, column) in columns.iter().enumerate() {
            let Some((index, field)) = find(object, column) else {
                if !column.starts_with("_airbyte_") {
                    problems.push(no_such_field(column, object));
                }
                continue;
            };
            if let Some(problem) = not_writable(column, field, operation) {
                problems.push(problem);
            } else if let Some(other) = fed_by.insert(index, column) {
                problems.push(format!(
                    "column {column}: column {other} feeds the same field {}; keep one of them",
                    field.name
                ));
            } else {
                resolved.push(HeaderColumn {
                    source,
                    name: field.name.clone(),
                    field: Arc::new(field.clone()),
                });
            }
        }
        if resolved.is_empty() && problems.is_empty() {
            problems.push("no column of the source is a field of it; map at least one".into());
        }
        if !problems.is_empty() {
            return Err(ObjectError::Columns {
                object: object.name.clone(),
                problems,
            });
        }
        Ok(Self {
            key: operation
                .key_field()
                .and_then(|key| resolved.iter().position(|column| column.name == key)),
            columns: resolved,
            missing_required: missing_required(object, operation, &fed_by),
        })
    }
}

fn may(object: &ObjectSchema, operation: &Operation) -> bool {
    match operation {
        Operation::Insert => object.createable,
        Operation::Update => object.updateable,
        Operation::Upsert { .. } => object.createable || object.updateable,
        Operation::Delete | Operation::HardDelete => object.deletable,
    }
}

fn find<'a>(object: &'a ObjectSchema, column: &str) -> Option<(usize, &'a Field)> {
    let index = *object.by_lower_name.get(&column.to_ascii_lowercase())?;
    Some((index, object.fields.get(index)?))
}

fn no_such_field(column: &str, object: &ObjectSchema) -> String {
    if let Some((relationship, _)) = column.split_once('.') {
        return relationship_column(column, relationship, object);
    }
    let nearest = object.nearest(column).join(", ");
    if nearest.is_empty() {
        format!(
            "column {column}: {} has no such field, or the user may not see it; map the column to \
             another field, or leave it out",
            object.name
        )
    } else {
        format!(
            "column {column}: {} has no such field; map the column to another, nearest: {nearest}",
            object.name
        )
    }
}

fn relationship_column(column: &str, relationship: &str, object: &ObjectSchema) -> String {
    let lookup = object.fields.iter().find(|field| {
        field
            .relationship_name
            .as_deref()
            .is_some_and(|name| name.eq_ignore_ascii_case(relationship))
    });
    let instead = lookup.map_or("the lookup field", |field| field.name.as_str());
    format!(
        "column {column}: relationship columns are not written by this version; \
         map the Id of the related record to {instead} instead"
    )
}

fn not_writable(column: &str, field: &Field, operation: &Operation) -> Option<String> {
    let (writable, verb) = match operation {
        Operation::Insert => (field.createable, "create"),
        Operation::Update => (field.updateable, "update"),
        Operation::Upsert { .. } => (field.createable || field.updateable, "write"),
        Operation::Delete | Operation::HardDelete => (true, "delete"),
    };
    (!writable).then(|| {
        format!(
            "column {column}: the user may not {verb} it; leave the column out, or, unless \
             Salesforce fills the field by itself, give the user edit access to it"
        )
    })
}

fn missing_required(
    object: &ObjectSchema,
    operation: &Operation,
    fed_by: &HashMap<usize, &str>,
) -> Vec<String> {
    match operation {
        Operation::Insert => object
            .fields
            .iter()
            .enumerate()
            .filter(|(index, field)| field.required_on_create() && !fed_by.contains_key(index))
            .map(|(_, field)| field.name.clone())
            .collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contact() -> ObjectSchema {
        ObjectSchema::from_describe(
            br#"{"name":"Contact","fields":[
            {"name":"Id","type":"id","nillable":false,"createable":false},
            {"name":"LastName","type":"string","nillable":false},
            {"name":"Email","type":"email"},
            {"name":"AccountId","type":"reference","relationshipName":"Account"},
            {"name":"Key__c","type":"string","nillable":false},
            {"name":"OwnerId","type":"reference","nillable":false,"defaultedOnCreate":true},
            {"name":"CreatedDate","type":"datetime","nillable":false,"createable":false}]}"#,
        )
        .unwrap()
    }

    fn refused(columns: &[&str]) -> Vec<String> {
        match Header::resolve(columns, &contact(), &Operation::Insert) {
            Err(ObjectError::Columns { object, problems }) => {
                assert_eq!(object, "Contact");
                problems
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn names_take_the_case_of_the_describe_and_keep_the_order_of_the_source() {
        let columns = ["email", "_airbyte_raw", "LASTNAME"];
        let header = Header::resolve(&columns, &contact(), &Operation::Insert).unwrap();
        let found: Vec<_> = header
            .columns
            .iter()
            .map(|column| {
                (
                    column.source,
                    column.name.as_str(),
                    column.field.name.as_str(),
                )
            })
            .collect();
        assert_eq!(found, [(0, "Email", "Email"), (2, "LastName", "LastName")]);
        assert_eq!(header.missing_required, ["Key__c"]);
    }

    #[test]
    fn every_problem_is_named_at_once() {
        let problems = refused(&[
            "Lastname__c",
            "CreatedDate",
            "Email",
            "EMAIL",
            "Account.Key__c",
            "Boss.Key__c",
            "Zzz",
            "Id",
        ]);
        let expected = [
            "column Lastname__c: Contact has no such field; map the column to another, nearest: LastName",
            "column CreatedDate: the user may not create it; leave the column out",
            "column EMAIL: column Email feeds the same field Email; keep one of them",
            "column Account.Key__c: relationship columns are not written by this version; \
             map the Id of the related record to AccountId instead",
            "column Boss.Key__c: relationship columns are not written by this version; \
             map the Id of the related record to the lookup field instead",
            "column Zzz: Contact has no such field, or the user may not see it",
            "column Id: the user may not create it",
        ];
        assert_eq!(problems.len(), expected.len(), "{problems:?}");
        for (problem, start) in problems.iter().zip(expected) {
            assert!(problem.starts_with(start), "{problem}");
        }
    }

    #[test]
    fn a_header_needs_a_column() {
        assert_eq!(refused(&["_airbyte_raw"]).len(), 1);
        assert_eq!(refused(&[]).len(), 1);
    }

    #[test]
    fn the_object_must_allow_the_operation() {
        let mut object = contact();
        object.createable = false;
        let error = Header::resolve(&["LastName"], &object, &Operation::Insert).unwrap_err();
        assert!(error.to_string().contains("may not insert"), "{error}");
    }
}
