//! Fields of parents in a query (`Account.Name`, `Parent__r.Owner.Name`): they are added to the
//! fields of the object, as columns that are looked up in the parents of each record.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::parse::{Filter, Item, Place, Select};
use crate::org::records::{self, Record};
use crate::org::{Field, Object, Org, Schema};

/// The most relationships in a path.
const MAX_STEPS: usize = 5;

/// The columns of parents that a query has.
#[derive(Debug, Default)]
pub(super) struct Joins {
    /// Names of relationships, and then of a field.
    paths: Vec<Vec<String>>,
    /// The index of the first of them among the fields.
    first: usize,
}

/// The path without the object's own name or alias before it.
pub(super) fn own<'a>(name: &'a str, object: &Object, alias: Option<&str>) -> &'a str {
    let is_own = |prefix: &str| {
        let mut own = [Some(object.name.as_str()), alias].into_iter().flatten();
        own.any(|known| known.eq_ignore_ascii_case(prefix))
    };
    match name.split_once('.') {
        Some((prefix, rest)) if is_own(prefix) => rest,
        _ => name,
    }
}

/// The object with the columns of parents that a query names. What is none of a parent is left out:
/// it is found wrong where it is used.
pub(super) fn joined(
    schema: &Schema,
    object: &Arc<Object>,
    select: &Select,
) -> (Arc<Object>, Joins) {
    let mut names = Vec::new();
    names_of(select, &mut names);
    let mut paths: BTreeSet<Vec<String>> = BTreeSet::new();
    for name in names {
        let name = own(&name.is, object, select.alias.as_deref());
        let parts: Vec<&str> = name.split('.').collect();
        if parts.len() < 2 || parts.len() > MAX_STEPS + 1 {
            continue;
        }
        let Some((path, _)) = resolve(schema, object, &parts) else {
            continue;
        };
        // The Ids of the parents show whether there are any.
        for steps in 1..path.len() {
            let id = path[..steps].iter().cloned().chain(["Id".to_owned()]);
            paths.insert(id.collect());
        }
        paths.insert(path);
    }
    if paths.is_empty() {
        return (Arc::clone(object), Joins::default());
    }
    let first = object.fields.len();
    let mut extended = Object::clone(object);
    let paths: Vec<Vec<String>> = paths.into_iter().collect();
    for path in &paths {
        let parts: Vec<&str> = path.iter().map(String::as_str).collect();
        if let Some((_, field)) = resolve(schema, object, &parts) {
            extended.add(Field {
                name: path.join("."),
                createable: false,
                updateable: false,
                external_id: false,
                unique: false,
                relationship: None,
                ..field
            });
        }
    }
    (Arc::new(extended), Joins { paths, first })
}

/// The names of fields in a query.
fn names_of<'a>(select: &'a Select, names: &mut Vec<&'a Place<String>>) {
    for item in &select.what {
        match item {
            Item::Field(name) | Item::Total(_, name, _) => names.push(name),
            Item::Fields(_) | Item::Count => {}
        }
    }
    names.extend(&select.group);
    for order in &select.order {
        names.push(&order.field);
    }
    if let Some(filter) = &select.filter {
        filtered(filter, names);
    }
}

fn filtered<'a>(filter: &'a Filter, names: &mut Vec<&'a Place<String>>) {
    match filter {
        Filter::All(parts) | Filter::Any(parts) => {
            for part in parts {
                filtered(part, names);
            }
        }
        Filter::Not(part) => filtered(part, names),
        Filter::In(name, _)
        | Filter::Compare(name, _, _)
        | Filter::Like(name, _)
        | Filter::Includes(name, _) => names.push(name),
    }
}

/// The path with the names as the org has them, and the field at its end.
fn resolve(schema: &Schema, object: &Object, parts: &[&str]) -> Option<(Vec<String>, Field)> {
    let (first, rest) = parts.split_first()?;
    if rest.is_empty() {
        let field = &object.fields[object.field(first)?];
        return Some((vec![field.name.clone()], field.clone()));
    }
    let lookup = &object.fields[object.relationship(first)?];
    let parents = lookup.reference_to.iter();
    let mut parents = parents.filter_map(|parent| schema.object(parent));
    let (mut path, field) = match parents.find_map(|parent| resolve(schema, parent, rest)) {
        Some(found) => found,
        None if lookup.reference_to.len() > 1 && rest[0].eq_ignore_ascii_case("Type") => {
            let name = &object.fields[object.field("Name")?];
            (vec!["Type".to_owned()], name.clone())
        }
        None => return None,
    };
    path.insert(0, lookup.relationship.clone()?);
    Some((path, field))
}

/// Parents that were read already, by Id.
pub(super) type Parents = HashMap<String, Option<Record>>;

impl Joins {
    /// Adds the columns of parents to a record.
    pub(super) fn fill(
        &self,
        org: &Org,
        object: &Object,
        record: &mut Record,
        known: &mut Parents,
    ) {
        for (at, path) in self.paths.iter().enumerate() {
            let value = value(org, object, record, path, known);
            record[self.first + at] = value;
        }
    }
}

/// The value at the end of a path from a record.
fn value(
    org: &Org,
    object: &Object,
    record: &Record,
    path: &[String],
    known: &mut Parents,
) -> Option<String> {
    let (first, rest) = path.split_first()?;
    if rest.is_empty() {
        return record[object.field(first)?].clone();
    }
    let lookup = object.relationship(first)?;
    let id = record[lookup].as_deref()?;
    let parents = object.fields[lookup].reference_to.iter();
    let mut parents = parents.filter_map(|parent| org.object(parent));
    let parent = parents.find(|parent| id.starts_with(&parent.key_prefix))?;
    if rest.len() == 1 && rest[0] == "Type" && parent.field("Type").is_none() {
        return Some(parent.name.clone());
    }
    let found = match known.get(id) {
        Some(found) => found.clone()?,
        None => {
            let found = records::one(org, parent, id);
            known.insert(id.to_owned(), found.clone());
            found?
        }
    };
    value(org, parent, &found, rest, known)
}
