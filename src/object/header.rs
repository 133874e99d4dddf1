//! Source columns -> the header of a job.

use std::collections::HashSet;
use std::sync::Arc;

use super::lookup::{self, Path, listed};
use super::{Field, ObjectError, ObjectSchema, Operation, RecordTypes, RelatedObjects};
use crate::source;
use crate::text;

/// One column of a job: where it comes from and the field it goes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderColumn {
    /// Index of the column in the source schema.
    pub source: usize,
    /// Text of the header in the describe's exact case: `LastName`, `Account.Ext__c`,
    /// `Lead:Who.Email`.
    pub name: String,
    /// The field whose type the values have: of the object, or, in a relationship column and in one
    /// of record type names, of the related object.
    pub field: Arc<Field>,
    /// The lookup field of the object that the column fills; `None` where `field` is the object's
    /// own.
    pub lookup: Option<Arc<Field>>,
    /// Where the values are names of record types: the Ids that are written in their place.
    pub record_types: Option<Arc<RecordTypes>>,
}

impl HeaderColumn {
    /// The object's own field that the column fills.
    pub fn fills(&self) -> &Field {
        self.lookup.as_deref().unwrap_or(&self.field)
    }

    /// Objects whose records the values may name; none for a field of the object's own.
    pub(crate) fn refers_to(&self) -> Vec<String> {
        let Some(lookup) = self.lookup.as_ref().filter(|_| self.record_types.is_none()) else {
            return Vec::new();
        };
        match self.name.split_once(':') {
            Some((object, _)) => vec![object.to_owned()],
            None => lookup.reference_to.clone(),
        }
    }

    /// Whether the values are those of the object's own field.
    pub(crate) fn holds(&self, field: &Field) -> bool {
        self.lookup.is_none() && self.field.name == field.name
    }
}

/// The columns of every job of a load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// The operation, its key written as the describe writes it.
    pub operation: Operation,
    /// Columns in the order of the source schema.
    pub columns: Vec<HeaderColumn>,
    /// Index of the column that holds the key; `None` for an insert.
    pub key: Option<usize>,
    /// Names of required fields that no column feeds: worth a warning.
    pub missing_required: Vec<String>,
}

impl Header {
    /// Names of the other objects whose describe [`Header::resolve`] needs, each once: those that
    /// relationship columns point to.
    pub fn related(columns: &[&str], object: &ObjectSchema, operation: &Operation) -> Vec<String> {
        let mut names: Vec<&str> = Vec::new();
        if operation.sends_key_only() {
            return Vec::new();
        }
        let paths = columns.iter().filter_map(|column| Path::parse(column));
        for name in paths.flat_map(|path| lookup::objects(&path, object)) {
            let known = |other: &str| other.eq_ignore_ascii_case(name);
            if !known(&object.name) && !names.iter().any(|other| known(other)) {
                names.push(name);
            }
        }
        names.into_iter().map(str::to_owned).collect()
    }

    /// Matches source column names to fields without regard to letter case.
    ///
    /// A deletion sends the column `Id` alone. Columns that match no field and whose names begin
    /// with [`source::PREFIX`] are left out.
    ///
    /// # Errors
    /// [`ObjectError::Operation`] if the user may not do the operation on the object;
    /// [`ObjectError::Columns`] naming *every* column that the object lacks, that the user may not
    /// write, that names no record of a related object, or that feeds the same field as another;
    /// or saying what is wrong with the key, or that there is no column at all.
    pub fn resolve(
        columns: &[&str],
        object: &ObjectSchema,
        operation: &Operation,
        related: &RelatedObjects,
    ) -> Result<Self, ObjectError> {
        operation.permitted_on(object)?;
        let mut problems = Vec::new();
        let key = operation.key_in(object).unwrap_or_else(|problem| {
            problems.push(problem);
            None
        });
        let mut resolved: Vec<HeaderColumn> = Vec::with_capacity(columns.len());
        for (source, column) in columns.iter().enumerate() {
            let made = match resolve_column(column, object, operation, key, related) {
                Ok(None) => continue,
                Ok(Some(made)) => HeaderColumn { source, ..made },
                Err(problem) => {
                    problems.push(problem);
                    continue;
                }
            };
            let same = |other: &&HeaderColumn| other.fills().name == made.fills().name;
            match resolved.iter().find(same) {
                Some(other) => problems.push(fed_twice(column, columns, other)),
                None => resolved.push(made),
            }
        }
        let position = key.and_then(|key| resolved.iter().position(|column| column.holds(key)));
        if let (Some(key), None) = (key, position) {
            problems.push(missing_key(operation, key, object));
        } else if resolved.is_empty() && problems.is_empty() {
            problems.push("no column of the source is a field of it; map at least one".into());
        }
        if !problems.is_empty() {
            return Err(ObjectError::Columns {
                object: object.name.clone(),
                problems,
            });
        }
        Ok(Self {
            operation: operation.with_key(key),
            missing_required: missing_required(object, operation, &resolved),
            columns: resolved,
            key: position,
        })
    }
}

impl Operation {
    fn permitted_on(&self, object: &ObjectSchema) -> Result<(), ObjectError> {
        let (permitted, permission) = match self {
            Self::Insert => (object.createable, "Create on it"),
            Self::Update => (object.updateable, "Edit on it"),
            Self::Upsert { .. } => {
                let permitted = object.createable || object.updateable;
                (permitted, "Create and Edit on it")
            }
            Self::Delete => (object.deletable, "Delete on it"),
            Self::HardDelete => (object.deletable, "Delete on it and Bulk API Hard Delete"),
        };
        permitted.then_some(()).ok_or(ObjectError::Operation {
            object: object.name.clone(),
            operation: self.as_str(),
            permission,
        })
    }

    /// Whether columns besides the key stay here.
    fn sends_key_only(&self) -> bool {
        matches!(self, Self::Delete | Self::HardDelete)
    }

    /// The key field as the object has it.
    fn key_in<'a>(&self, object: &'a ObjectSchema) -> Result<Option<&'a Field>, String> {
        let Some(name) = self.key_field() else {
            return Ok(None);
        };
        match object.field(name) {
            Some(field) if field.names_records() => Ok(Some(field)),
            Some(field) => Err(no_key(&field.name, "is not an external ID", object)),
            None => Err(no_key(name, "is not a field", object)),
        }
    }

    fn with_key(&self, key: Option<&Field>) -> Self {
        match (self, key) {
            (Self::Upsert { .. }, Some(key)) => Self::Upsert {
                external_id: key.name.clone(),
            },
            _ => self.clone(),
        }
    }

    /// What is wrong with a column that fills this field, if the user may not write the field.
    pub(super) fn not_writable(&self, column: &str, field: &Field) -> Option<String> {
        let (writable, verb) = match self {
            Self::Insert => (field.createable, "create"),
            Self::Update => (field.updateable, "update"),
            Self::Upsert { .. } => (field.createable || field.updateable, "write"),
            Self::Delete | Self::HardDelete => (true, "delete"),
        };
        let what = match column.contains('.') {
            true => &field.name,
            false => "it",
        };
        (!writable).then(|| {
            format!(
                "column {column}: the user may not {verb} {what}; leave the column out, or, \
                 unless Salesforce fills the field by itself, give the user edit access to it"
            )
        })
    }
}

/// The column without its place in the source; `None` if it stays here.
fn resolve_column(
    column: &str,
    object: &ObjectSchema,
    operation: &Operation,
    key: Option<&Field>,
    related: &RelatedObjects,
) -> Result<Option<HeaderColumn>, String> {
    let Some(field) = object.field(column) else {
        if operation.sends_key_only() || column.starts_with(source::PREFIX) {
            return Ok(None);
        }
        if let Some(escaped) = text::escaped(column) {
            return Err(unseen(column, &escaped, object));
        }
        return match Path::parse(column) {
            Some(path) => lookup::resolve(&path, object, operation, related).map(Some),
            None => Err(no_such_field(column, object)),
        };
    };
    if key != Some(field) {
        if operation.sends_key_only() {
            return Ok(None);
        }
        if let Some(problem) = operation.not_writable(column, field) {
            return Err(problem);
        }
    }
    Ok(Some(HeaderColumn {
        source: 0,
        name: field.name.clone(),
        field: Arc::new(field.clone()),
        lookup: None,
        record_types: None,
    }))
}

/// What is wrong with a column whose name has characters that cannot be seen: no field's has.
fn unseen(column: &str, escaped: &str, object: &ObjectSchema) -> String {
    let visible: String = column.chars().filter(char::is_ascii_graphic).collect();
    let meant = match object.field(&visible) {
        Some(field) => format!(", so that it is {}", field.name),
        None => String::new(),
    };
    format!(
        "column {escaped}: its name has characters that cannot be seen, written as escapes here, \
         or blanks around it; rename it in the source without them{meant}"
    )
}

fn no_such_field(column: &str, object: &ObjectSchema) -> String {
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

fn fed_twice(column: &str, columns: &[&str], other: &HeaderColumn) -> String {
    let earlier = columns.get(other.source).copied().unwrap_or_default();
    format!(
        "column {column}: column {earlier} feeds the same field {}; keep one of them",
        other.fills().name
    )
}

fn no_key(name: &str, problem: &str, object: &ObjectSchema) -> String {
    let external_ids = object.fields.iter().filter(|field| field.external_id);
    let mut keys: Vec<String> = external_ids.map(|field| field.name.clone()).collect();
    let cure = match keys.as_slice() {
        [] => ", or let the user see an external ID of it",
        _ => "",
    };
    keys.push("Id".to_owned());
    let name = text::shown(name);
    format!(
        "key {name}: it {problem} of {}; use {}{cure}",
        object.name,
        listed(&keys, "or")
    )
}

fn missing_key(operation: &Operation, key: &Field, object: &ObjectSchema) -> String {
    format!(
        "no column feeds {}, by which {} finds the records of {}; map a column to it",
        key.name,
        operation.as_str(),
        object.name
    )
}

fn missing_required(
    object: &ObjectSchema,
    operation: &Operation,
    columns: &[HeaderColumn],
) -> Vec<String> {
    if *operation != Operation::Insert {
        return Vec::new();
    }
    let fed: HashSet<&str> = columns
        .iter()
        .map(|column| column.fills().name.as_str())
        .collect();
    let required = object.fields.iter().filter(|f| f.required_on_create());
    let missing = required.filter(|field| !fed.contains(field.name.as_str()));
    let Some(names) = object.either_name() else {
        return missing.map(|field| field.name.clone()).collect();
    };
    let named = names.iter().any(|name| fed.contains(name.name.as_str()));
    let missing = missing.filter_map(|field| match names {
        [first, _] if *field == *first => (!named).then(|| names.map(|n| &*n.name).join(" or ")),
        [_, second] if *field == *second => None,
        _ => Some(field.name.clone()),
    });
    missing.collect()
}
