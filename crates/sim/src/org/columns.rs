//! The columns of an upload: which fields its header names, directly or through a relationship.

use std::borrow::Cow;
use std::collections::HashSet;

use super::{Object, Schema};

/// What a column of the upload writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Column {
    /// A field, by its index in the object.
    Field(usize),
    /// A lookup field, found through an indexed field of its parent.
    Lookup {
        /// The lookup field, by its index in the object.
        field: usize,
        /// The parent object's name.
        parent: String,
        /// The parent's field, by its index in the parent, and its name.
        by: usize,
        by_name: String,
    },
}

impl Column {
    /// The field that the column writes, by its index in the object.
    pub(crate) fn field(&self) -> usize {
        match self {
            Column::Field(field) | Column::Lookup { field, .. } => *field,
        }
    }
}

/// Finds what each column of a header writes.
///
/// # Errors
/// If Salesforce would fail the whole job: the text for its `errorMessage`.
pub(crate) fn columns(
    schema: &Schema,
    object: &Object,
    header: &[Cow<'_, str>],
) -> Result<Vec<Column>, String> {
    let mut seen = HashSet::new();
    header
        .iter()
        .map(|name| {
            if !seen.insert(name.to_ascii_lowercase()) {
                return Err(format!(
                    "InvalidBatch : Duplicate field name found : {name}"
                ));
            }
            match name.split_once('.') {
                Some((relation, by)) => lookup(schema, object, name, relation, by),
                None => object
                    .field(name)
                    .map(Column::Field)
                    .ok_or_else(|| not_found(name)),
            }
        })
        .collect()
}

fn not_found(name: &str) -> String {
    format!("InvalidBatch : Field name not found : {name}")
}

fn lookup(
    schema: &Schema,
    object: &Object,
    name: &str,
    relation: &str,
    by: &str,
) -> Result<Column, String> {
    let (parent, relation) = match relation.split_once(':') {
        Some((parent, relation)) => (Some(parent), relation),
        None => (None, relation),
    };
    let unknown = || format!("InvalidBatch : Unable to find relationship: {relation}");
    let field = object.relationship(relation).ok_or_else(unknown)?;
    let parents = &object.fields[field].reference_to;
    let parent = match (parent, parents.as_slice()) {
        (None, [only]) => only,
        (Some(_), [_]) => {
            return Err(format!(
                "InvalidBatch : type is not needed for non polymorphic foreign key references: \
                 {relation}"
            ));
        }
        (None, _) => {
            return Err(format!(
                "InvalidBatch : type is needed for polymorphic foreign key references: {relation}"
            ));
        }
        (Some(given), many) => many
            .iter()
            .find(|known| known.eq_ignore_ascii_case(given))
            .ok_or_else(unknown)?,
    };
    let described = schema.object(parent).ok_or_else(unknown)?;
    let by = described.field(by).ok_or_else(|| not_found(name))?;
    if !(described.fields[by].external_id || described.fields[by].id_lookup) {
        return Err(not_found(name));
    }
    Ok(Column::Lookup {
        field,
        parent: described.name.clone(),
        by,
        by_name: described.fields[by].name.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_find_their_fields() {
        let schema = Schema::embedded().unwrap();
        let contact = schema.object("Contact").unwrap();
        let task = schema.object("Task").unwrap();
        let find = |object: &Object, name: &str| columns(&schema, object, &[name.into()]);
        assert!(matches!(
            find(contact, "LASTNAME").unwrap()[..],
            [Column::Field(_)]
        ));
        assert!(matches!(
            find(contact, "Account.Ext_Id__c").unwrap()[..],
            [Column::Lookup { .. }]
        ));
        assert!(matches!(
            find(task, "Lead:Who.Email").unwrap()[..],
            [Column::Lookup { .. }]
        ));
        for (object, name, text) in [
            (
                contact,
                "Nope",
                "InvalidBatch : Field name not found : Nope",
            ),
            (contact, "\u{feff}LastName", "Field name not found"),
            (
                contact,
                "Account:Account.Ext_Id__c",
                "type is not needed for non polymorphic",
            ),
            (
                contact,
                "Acount.Ext_Id__c",
                "Unable to find relationship: Acount",
            ),
            (contact, "Account.Description", "Field name not found"),
            (task, "Who.Email", "type is needed"),
        ] {
            let error = find(object, name).unwrap_err();
            assert!(error.contains(text), "{name}: {error}");
        }
        assert!(columns(&schema, contact, &["Email".into(), "EMAIL".into()]).is_err());
    }
}
