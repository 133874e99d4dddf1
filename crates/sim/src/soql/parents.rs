//! Fields of parents, which a query names by the path of their relationships: `Account.Owner.Name`.
//!
//! A record is read together with them: its own fields come first, then the Id of each parent and
//! the fields of parents, in the order in which the query names them.

use std::collections::HashMap;
use std::sync::Arc;

use crate::org::records::{self, Record};
use crate::org::{Field, Object, Org, Schema, name};

/// The [most](https://developer.salesforce.com/docs/atlas.en-us.soql_sosl.meta/soql_sosl/sforce_api_calls_soql_relationships_query_limits.htm)
/// relationships one after another.
pub(super) const MAX_LEVELS: usize = 5;
/// The most relationships of a query.
pub(super) const MAX_RELATIONS: usize = 55;
/// How many parents are remembered while records are read.
const KNOWN: usize = 10_000;

/// The relationships and the fields of parents that a query names.
#[derive(Debug, Default)]
pub(crate) struct Parents {
    relations: Vec<Relation>,
    fields: Vec<ParentField>,
}

/// A relationship from a record, or from a parent of it, to a parent.
#[derive(Debug)]
struct Relation {
    /// The relationship to the record that has the lookup; nothing if the record itself has it.
    from: Option<usize>,
    lookup: usize,
    name: String,
    /// What is seen of the parent: its object, or `Name`.
    seen: Arc<Object>,
    /// The objects of which it may be.
    objects: Vec<Arc<Object>>,
}

#[derive(Debug)]
struct ParentField {
    relation: usize,
    field: usize,
}

impl Parents {
    /// Finds the relationship of a name from a record or a parent, and adds it if it is new.
    /// Nothing if there is none.
    pub(super) fn relation(
        &mut self,
        schema: &Schema,
        object: &Object,
        from: Option<usize>,
        name: &str,
    ) -> Option<usize> {
        let seen = from.map_or(object, |from| &self.relations[from].seen);
        let lookup = seen.relationship(name)?;
        let known = |known: &Relation| (known.from, known.lookup) == (from, lookup);
        if let Some(known) = self.relations.iter().position(known) {
            return Some(known);
        }
        let Field {
            reference_to,
            relationship,
            ..
        } = &seen.fields[lookup];
        let objects = reference_to.iter().filter_map(|name| schema.object(name));
        let objects: Vec<Arc<Object>> = objects.cloned().collect();
        let seen = match &reference_to[..] {
            [_] => Arc::clone(objects.first()?),
            _ => name::object()?,
        };
        self.relations.push(Relation {
            from,
            lookup,
            name: relationship.clone()?,
            seen: Arc::clone(&seen),
            objects,
        });
        let relation = self.relations.len() - 1;
        self.column(object, relation, seen.field("Id")?);
        Some(relation)
    }

    /// How many relationships there are.
    pub(super) fn relations(&self) -> usize {
        self.relations.len()
    }

    /// The object of which a parent is seen.
    pub(super) fn seen(&self, relation: usize) -> &Object {
        &self.relations[relation].seen
    }

    /// The place of a parent's field in the record that is read with it.
    pub(super) fn column(&mut self, object: &Object, relation: usize, field: usize) -> usize {
        let known = |known: &ParentField| (known.relation, known.field) == (relation, field);
        let place = self.fields.iter().position(known).unwrap_or_else(|| {
            self.fields.push(ParentField { relation, field });
            self.fields.len() - 1
        });
        object.fields.len() + place
    }
}

/// The columns of a query: the fields of its object, then those of parents.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Columns<'a> {
    pub(super) object: &'a Object,
    pub(super) parents: &'a Parents,
}

impl<'a> Columns<'a> {
    fn of_parent(self, column: usize) -> Option<&'a ParentField> {
        let place = column.checked_sub(self.object.fields.len())?;
        self.parents.fields.get(place)
    }

    /// The description of a column.
    pub(crate) fn field(self, column: usize) -> &'a Field {
        match self.of_parent(column) {
            None => &self.object.fields[column],
            Some(ParentField { relation, field }) => &self.parents.seen(*relation).fields[*field],
        }
    }

    /// The name of a column, with the relationships that lead to it.
    pub(crate) fn name(self, column: usize) -> String {
        let names = self.path(column).into_iter();
        let mut names: Vec<&str> = names.map(|relation| self.relation(relation)).collect();
        names.push(&self.field(column).name);
        names.join(".")
    }

    /// The relationships that lead to a column, from the record on.
    fn path(self, column: usize) -> Vec<usize> {
        let last = self.of_parent(column).map(|field| field.relation);
        let before = |relation: &usize| self.parents.relations[*relation].from;
        let mut path: Vec<usize> = std::iter::successors(last, before).collect();
        path.reverse();
        path
    }

    /// The name of a relationship.
    pub(crate) fn relation(self, relation: usize) -> &'a str {
        &self.parents.relations[relation].name
    }

    /// The column with the Id of a parent.
    fn id(self, relation: usize) -> Option<usize> {
        let id = self.parents.seen(relation).field("Id")?;
        let is_id = |field: &ParentField| (field.relation, field.field) == (relation, id);
        let place = self.parents.fields.iter().position(is_id)?;
        Some(self.object.fields.len() + place)
    }

    /// The columns with the Ids of the parents, in the order of their relationships.
    pub(super) fn ids(self) -> impl Iterator<Item = Option<usize>> + 'a {
        (0..self.parents.relations()).map(move |relation| self.id(relation))
    }

    /// What a parent is seen as, and the name of the object whose record it is.
    pub(crate) fn kind(self, relation: usize, id: &str) -> (&'a str, &'a str) {
        let relation = &self.parents.relations[relation];
        let seen = relation.seen.name.as_str();
        let object = relation.object(id).map_or(seen, |object| &object.name);
        (seen, object)
    }

    /// Columns as records in JSON have them: those of a parent together.
    pub(crate) fn parts(self, columns: &[usize]) -> Vec<Part> {
        let mut parts = Vec::new();
        for (place, column) in columns.iter().enumerate() {
            add(&mut parts, &self.path(*column), Part::Field(place, *column));
        }
        parts
    }
}

/// A part of a record.
#[derive(Debug)]
pub(crate) enum Part {
    /// A field: its place among the columns asked for, and the column.
    Field(usize, usize),
    /// A parent: its relationship and its parts.
    Parent(usize, Vec<Part>),
}

/// Adds a part to those of a record, within the parents to which a path leads.
fn add(parts: &mut Vec<Part>, path: &[usize], part: Part) {
    let [relation, path @ ..] = path else {
        parts.push(part);
        return;
    };
    for known in parts.iter_mut() {
        if let Part::Parent(known, within) = known
            && known == relation
        {
            return add(within, path, part);
        }
    }
    let mut within = Vec::new();
    add(&mut within, path, part);
    parts.push(Part::Parent(*relation, within));
}

impl Relation {
    /// The object of an Id.
    fn object(&self, id: &str) -> Option<&Arc<Object>> {
        let mut objects = self.objects.iter();
        objects.find(|object| id.starts_with(&object.key_prefix))
    }
}

/// Reads the parents of records.
pub(super) struct Reader<'a> {
    org: &'a Org,
    columns: Columns<'a>,
    with_deleted: bool,
    known: HashMap<String, Option<Arc<Record>>>,
}

impl<'a> Reader<'a> {
    /// Reads parents in the recycle bin too, or none of them.
    pub(super) fn new(org: &'a Org, columns: Columns<'a>, with_deleted: bool) -> Reader<'a> {
        Reader {
            org,
            columns,
            with_deleted,
            known: HashMap::new(),
        }
    }

    /// A record with the fields of its parents.
    pub(super) fn joined(&mut self, mut record: Record) -> Record {
        let Parents { relations, fields } = self.columns.parents;
        let mut found: Vec<Option<(&Object, Arc<Record>)>> = Vec::with_capacity(relations.len());
        for relation in relations {
            let id = match relation.from {
                None => record[relation.lookup].clone(),
                Some(from) => found[from]
                    .as_ref()
                    .and_then(|(_, parent)| parent[relation.lookup].clone()),
            };
            let parent = id.and_then(|id| {
                let object: &Object = relation.object(&id)?;
                Some((object, self.parent(object, id)?))
            });
            found.push(parent);
        }
        for ParentField { relation, field } in fields {
            let parent = found[*relation].as_ref();
            let seen = &relations[*relation].seen;
            record.push(parent.and_then(|(object, parent)| {
                if seen.name == object.name {
                    parent[*field].clone()
                } else {
                    name::value(&seen.fields[*field].name, object, parent)
                }
            }));
        }
        record
    }

    fn parent(&mut self, object: &Object, id: String) -> Option<Arc<Record>> {
        if let Some(known) = self.known.get(&id) {
            return known.clone();
        }
        if self.known.len() >= KNOWN {
            self.known.clear();
        }
        let found = records::one(self.org, object, &id, self.with_deleted).map(Arc::new);
        self.known.insert(id, found.clone());
        found
    }
}
