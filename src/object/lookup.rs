//! Relationship columns: a lookup field filled by a field that names the related record.
//!
//! `[Type:]Relationship.Field`. A job takes `Type:` where the lookup points to several objects, and
//! only there; that is decided by the number of `referenceTo`, with which `polymorphicForeignKey` may
//! disagree.

use std::sync::Arc;

use super::{Field, FieldType, HeaderColumn, ObjectSchema, Operation, RecordTypes, RelatedObjects};

/// Names that a message lists at most.
const LISTED: usize = 20;

/// The parts of a column name that has a point in it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Path<'a> {
    column: &'a str,
    object: Option<&'a str>,
    relationship: &'a str,
    field: &'a str,
}

impl<'a> Path<'a> {
    pub(super) fn parse(column: &'a str) -> Option<Self> {
        let (path, field) = column.split_once('.')?;
        let (object, relationship) = match path.split_once(':') {
            Some((object, relationship)) => (Some(object), relationship),
            None => (None, path),
        };
        Some(Self {
            column,
            object,
            relationship,
            field,
        })
    }

    fn is_deep(&self) -> bool {
        self.field.contains('.')
    }
}

/// Names of the objects whose fields decide what a path means.
pub(super) fn objects<'a>(path: &Path<'_>, object: &'a ObjectSchema) -> Vec<&'a str> {
    match Lookup::find(object, path.relationship) {
        Some(lookup) if !path.is_deep() && lookup.record_types(path, object).is_none() => {
            lookup.targets(path)
        }
        _ => Vec::new(),
    }
}

/// The column, without its place in the source, or what is wrong with it.
pub(super) fn resolve(
    path: &Path<'_>,
    object: &ObjectSchema,
    operation: &Operation,
    related: &RelatedObjects,
) -> Result<HeaderColumn, String> {
    let column = path.column;
    if path.is_deep() {
        return Err(format!(
            "column {column}: a job follows one relationship only; write Relationship.Field with a \
             field of the related record itself, or map the record's Id to the lookup field"
        ));
    }
    let lookup = Lookup::find(object, path.relationship)
        .ok_or_else(|| no_such_relationship(path, object))?;
    if let Some(problem) = operation.not_writable(column, lookup.field) {
        return Err(problem);
    }
    if let Some(RecordTypeColumn { name, types }) = lookup.record_types(path, object) {
        let form = lookup.form(None, name);
        lookup.check_relationship(path, &form)?;
        let column = lookup.column(form, name_field(name, lookup.field));
        return Ok(match types {
            None => column,
            Some(types) => HeaderColumn {
                name: lookup.field.name.clone(),
                record_types: Some(Arc::new(types)),
                ..column
            },
        });
    }
    let (name, field) = lookup.target(path, object, related)?;
    lookup.check_relationship(path, &name)?;
    Ok(lookup.column(name, field))
}

/// A lookup field and the name of its relationship.
#[derive(Debug, Clone, Copy)]
struct Lookup<'a> {
    field: &'a Field,
    relationship: &'a str,
}

/// A column of names of record types.
struct RecordTypeColumn {
    /// Name of the field of the record type.
    name: &'static str,
    /// The Ids by these names; `None` if the describe does not have the names, so that Salesforce
    /// has to look them up.
    types: Option<RecordTypes>,
}

impl<'a> Lookup<'a> {
    fn all(object: &'a ObjectSchema) -> impl Iterator<Item = Self> {
        object.fields.iter().filter_map(|field| {
            let relationship = field.relationship_name.as_deref()?;
            (!field.reference_to.is_empty()).then_some(Self {
                field,
                relationship,
            })
        })
    }

    /// The lookup of this relationship, or else the one that was probably meant: `AccountId` for
    /// `Account`, `Parent__c` or `Parent` for `Parent__r`.
    fn find(object: &'a ObjectSchema, name: &str) -> Option<Self> {
        let same = |other: &str| other.eq_ignore_ascii_case(name);
        let stem = |lookup: &Self| lookup.relationship.strip_suffix("__r").is_some_and(same);
        Self::all(object)
            .find(|lookup| same(lookup.relationship))
            .or_else(|| Self::all(object).find(|lookup| same(&lookup.field.name)))
            .or_else(|| Self::all(object).find(stem))
    }

    /// The name of a column: the only places where one is put together.
    fn form(&self, object: Option<&str>, field: &str) -> String {
        match object {
            Some(object) if self.field.reference_to.len() > 1 => {
                format!("{object}:{}.{field}", self.relationship)
            }
            _ => format!("{}.{field}", self.relationship),
        }
    }

    /// Fails if the path has another name in the place of the relationship's.
    fn check_relationship(&self, path: &Path<'_>, name: &str) -> Result<(), String> {
        if self.relationship.eq_ignore_ascii_case(path.relationship) {
            return Ok(());
        }
        Err(format!(
            "column {}: {} is not the name of the relationship, {} is; write {name}",
            path.column, path.relationship, self.relationship
        ))
    }

    /// Objects that the path may mean: the one it names, or all that the lookup points to.
    fn targets(&self, path: &Path<'_>) -> Vec<&'a str> {
        let all = self.field.reference_to.iter().map(String::as_str);
        let named = |target: &&str| path.object.is_some_and(|o| o.eq_ignore_ascii_case(target));
        match all.clone().find(named) {
            Some(target) => vec![target],
            None => all.collect(),
        }
    }

    /// Name of the column and the field that names the related record.
    fn target(
        &self,
        path: &Path<'_>,
        object: &ObjectSchema,
        related: &RelatedObjects,
    ) -> Result<(String, Field), String> {
        let (mut seen, mut hidden) = (Vec::new(), Vec::new());
        for name in self.targets(path) {
            match related.get(name) {
                _ if name.eq_ignore_ascii_case(&object.name) => seen.push(object),
                Some(target) => seen.push(target),
                None => hidden.push(name.to_owned()),
            }
        }
        let found: Vec<(&ObjectSchema, &Field)> = seen
            .iter()
            .filter_map(|target| Some((*target, target.field(path.field)?)))
            .filter(|(_, field)| field.names_records())
            .collect();
        let problem = if let Some(stranger) = self.stranger(path) {
            let pointed = listed(&self.field.reference_to, "and");
            format!("points to {pointed}, not to {stranger}")
        } else if !hidden.is_empty() {
            format!(
                "points to {}, which the user may not see",
                listed(&hidden, "and")
            )
        } else {
            match found.as_slice() {
                [(target, field)] => {
                    let name = self.form(Some(&target.name), &field.name);
                    return Ok((name, (*field).clone()));
                }
                [] => no_such_key(path.field, &seen),
                _ => format!("points to several objects that have {}", path.field),
            }
        };
        let mut cure = self.cure(path, &seen, &found);
        if !hidden.is_empty() {
            cure += &format!(", or grant the user Read on {}", listed(&hidden, "and"));
        }
        let (column, lookup) = (path.column, &self.field.name);
        Err(format!("column {column}: {lookup} {problem}; {cure}"))
    }

    /// The object that the path names, if the lookup does not point to it.
    fn stranger<'p>(&self, path: &Path<'p>) -> Option<&'p str> {
        let named = path.object?;
        let points = |target: &String| target.eq_ignore_ascii_case(named);
        (!self.field.reference_to.iter().any(points)).then_some(named)
    }

    /// The right forms: with the field that the path names, or else with any that names a record.
    fn cure(
        &self,
        path: &Path<'_>,
        seen: &[&ObjectSchema],
        found: &[(&ObjectSchema, &Field)],
    ) -> String {
        let form =
            |target: &ObjectSchema, field: &Field| self.form(Some(&target.name), &field.name);
        let mut forms: Vec<String> = found.iter().map(|(o, field)| form(o, field)).collect();
        if forms.is_empty() {
            let all = seen.iter().flat_map(|target| {
                let keys = target.fields.iter().filter(|field| field.names_records());
                keys.map(|field| form(target, field))
            });
            forms = all.collect();
        }
        let by_id = format!("the Id of the related record to {}", self.field.name);
        match forms.as_slice() {
            [] => format!("map {by_id}"),
            forms if path.field.eq_ignore_ascii_case("Id") => {
                format!("write {}, or map {by_id}", listed(forms, "or"))
            }
            forms => format!("write {}", listed(forms, "or")),
        }
    }

    /// What a path becomes that names record types by `DeveloperName` or `Name`.
    fn record_types(&self, path: &Path<'_>, object: &ObjectSchema) -> Option<RecordTypeColumn> {
        let [target] = self.field.reference_to.as_slice() else {
            return None;
        };
        if !target.eq_ignore_ascii_case("RecordType") || self.stranger(path).is_some() {
            return None;
        }
        if path.field.eq_ignore_ascii_case("DeveloperName") {
            Some(RecordTypeColumn {
                name: "DeveloperName",
                types: RecordTypes::by_developer_name(&object.record_types),
            })
        } else if path.field.eq_ignore_ascii_case("Name") {
            Some(RecordTypeColumn {
                name: "Name",
                types: RecordTypes::by_name(&object.record_types),
            })
        } else {
            None
        }
    }

    /// A column that fills this lookup by a field of the related object.
    fn column(&self, name: String, field: Field) -> HeaderColumn {
        HeaderColumn {
            source: 0,
            name,
            field: Arc::new(field),
            lookup: Some(Arc::new(self.field.clone())),
            record_types: None,
        }
    }
}

/// The field of a record type that holds its name, which is not described: a text of any length.
fn name_field(name: &str, lookup: &Field) -> Field {
    Field {
        name: name.to_owned(),
        label: name.to_owned(),
        field_type: FieldType::String,
        length: 0,
        reference_to: Vec::new(),
        master_detail: None,
        cascade_delete: false,
        restricted_delete: false,
        relationship_name: None,
        ..lookup.clone()
    }
}

fn no_such_relationship(path: &Path<'_>, object: &ObjectSchema) -> String {
    let wanted = path.relationship.to_ascii_lowercase();
    let mut known: Vec<(f64, &str)> = Lookup::all(object)
        .filter(|lookup| lookup.field.createable || lookup.field.updateable)
        .map(|lookup| {
            let own = lookup.relationship.to_ascii_lowercase();
            (strsim::jaro_winkler(&wanted, &own), lookup.relationship)
        })
        .collect();
    known.sort_by(|a, b| b.0.total_cmp(&a.0));
    let known: Vec<String> = known.iter().map(|(_, name)| (*name).to_owned()).collect();
    let cure = match known.as_slice() {
        [] => "it has none; leave the column out".to_owned(),
        known => format!("use one of its relationships: {}", listed(known, "or")),
    };
    format!(
        "column {}: {} has no relationship {}; {cure}",
        path.column, object.name, path.relationship
    )
}

fn no_such_key(field: &str, targets: &[&ObjectSchema]) -> String {
    match targets {
        [target] if target.field(field).is_some() => format!(
            "points to {}, whose {field} is neither an external ID nor a lookup field",
            target.name
        ),
        [target] => format!("points to {}, which has no such field", target.name),
        _ => format!("points to objects that have no external ID or lookup field {field}"),
    }
}

/// `A`, `A or B`, `A, B or C`.
pub(super) fn listed(names: &[String], word: &str) -> String {
    match names {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] if names.len() <= LISTED => {
            format!("{} {word} {last}", first.join(", "))
        }
        _ => {
            let (first, rest) = names.split_at(LISTED);
            format!("{} and {} more", first.join(", "), rest.len())
        }
    }
}
