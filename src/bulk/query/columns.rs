//! What a query selects -> columns, named and typed as the objects' describes say.

use std::collections::{BTreeSet, HashSet};

use super::options::Types;
use super::soql::{Group, Item, Soql};
use super::values::Kind;
use crate::bulk::connection::Connection;
use crate::bulk::error::BulkError;
use crate::bulk::org;
use crate::object::{Field, FieldType, ObjectSchema, RelatedObjects};

/// Objects that one relationship may lead to, for its fields to be typed.
const MOST_TARGETS: usize = 3;

/// Relationships that may follow each other in a path (SOQL and SOSL Reference, "Relationship Query
/// Limitations").
const MOST_STEPS: usize = 5;

/// A column of the results.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Column {
    /// In the letter case of the describe: `LastName`, `Account.Name`.
    pub(super) name: String,
    /// As the query has it.
    pub(super) text: String,
    pub(super) kind: Kind,
    /// It is a field, or a path to one: results name it so.
    pub(super) is_field: bool,
}

impl Column {
    /// The Id of the record.
    pub(super) fn id() -> Self {
        Self {
            name: "Id".to_owned(),
            text: "Id".to_owned(),
            kind: Kind::Text,
            is_field: true,
        }
    }

    /// Whether results may name it so.
    pub(super) fn is(&self, name: &str) -> bool {
        let names = [&self.name, &self.text];
        names.iter().any(|own| own.eq_ignore_ascii_case(name))
    }
}

/// Something that is selected, groups of fields apart.
struct Wanted {
    /// As the query has it.
    text: String,
    /// The name of what is no path.
    name: Option<String>,
}

impl Wanted {
    fn path(&self) -> Option<&str> {
        self.name.is_none().then_some(self.text.as_str())
    }
}

/// The columns of a query, and the object.
pub(super) struct Selected {
    pub(super) object: ObjectSchema,
    pub(super) columns: Vec<Column>,
}

/// Reads the describes that a query needs, and names and types what it selects.
pub(super) async fn resolve(
    connection: &Connection,
    soql: &Soql,
    types: Types,
) -> Result<Selected, BulkError> {
    let object = describe(connection, &soql.object).await?;
    let items = expanded(soql, &object)?;
    let related = match types {
        Types::Described => related(connection, soql, &object, &items).await?,
        Types::Text => RelatedObjects::default(),
    };
    let mut seen = HashSet::new();
    let columns = items
        .iter()
        .map(|item| column(soql, &object, &related, types, item))
        .filter(|column| seen.insert(column.name.to_ascii_lowercase()))
        .collect();
    Ok(Selected { object, columns })
}

async fn describe(connection: &Connection, name: &str) -> Result<ObjectSchema, BulkError> {
    let json = org::describe(connection, name).await?;
    ObjectSchema::from_describe(&json).map_err(|error| BulkError::Answer {
        action: format!("describing {name}"),
        reason: error.to_string(),
    })
}

/// What is selected, with groups of fields as the fields that they stand for.
fn expanded(soql: &Soql, object: &ObjectSchema) -> Result<Vec<Wanted>, BulkError> {
    let path = |text: &str| Wanted {
        text: text.to_owned(),
        name: None,
    };
    let mut items = Vec::new();
    for item in &soql.items {
        match item {
            Item::Fields(group) => {
                let fields = object.fields().iter().filter(|field| group.has(field));
                items.extend(fields.map(|field| path(&field.name)));
            }
            Item::Path(text) => {
                let field = object.field(soql.own(text));
                if let Some(field) = field.filter(|field| field.field_type.is_compound()) {
                    return Err(compound(object, field));
                }
                items.push(path(text));
            }
            Item::Other { text, name } => items.push(Wanted {
                text: text.clone(),
                name: Some(name.clone()),
            }),
        }
    }
    if items.is_empty() {
        return Err(BulkError::Soql {
            reason: format!("{} has no fields of that group", object.name),
        });
    }
    Ok(items)
}

fn compound(object: &ObjectSchema, field: &Field) -> BulkError {
    let stem = field.name.trim_end_matches("__c");
    let stem = stem.strip_suffix("Address").unwrap_or(stem);
    let parts: Vec<&str> = object
        .fields()
        .iter()
        .filter(|part| part.name.starts_with(stem) && !part.field_type.is_compound())
        .map(|part| part.name.as_str())
        .collect();
    let cure = match parts.is_empty() {
        true => "select the fields that are its parts".to_owned(),
        false => format!("select the fields that are its parts: {}", parts.join(", ")),
    };
    BulkError::NotForBulk {
        what: format!("{}, a compound field", field.name),
        cure,
        aggregate: false,
    }
}

impl Group {
    fn has(self, field: &Field) -> bool {
        // Names of custom fields, and of the parts of custom places, end in `__c`, `__pc` or `__s`.
        let is_custom = field.name.contains("__");
        let is_wanted = match self {
            Self::All => true,
            Self::Standard => !is_custom,
            Self::Custom => is_custom,
        };
        is_wanted && !field.field_type.is_compound() && field.field_type != FieldType::Base64
    }
}

impl FieldType {
    /// Whether its values have parts, which are fields too.
    fn is_compound(&self) -> bool {
        matches!(self, Self::Other(name)
            if ["address", "location", "complexvalue"]
                .iter()
                .any(|compound| name.eq_ignore_ascii_case(compound)))
    }
}

impl Soql {
    /// A path without the name of the object in front of it.
    fn own<'a>(&self, path: &'a str) -> &'a str {
        let Some((first, rest)) = path.split_once('.') else {
            return path;
        };
        let is_alias = self
            .alias
            .as_deref()
            .is_some_and(|alias| alias.eq_ignore_ascii_case(first));
        match is_alias || self.object.eq_ignore_ascii_case(first) {
            true => rest,
            false => path,
        }
    }
}

/// Describes the objects that the paths lead through. One that the user may not see is left out.
async fn related(
    connection: &Connection,
    soql: &Soql,
    object: &ObjectSchema,
    items: &[Wanted],
) -> Result<RelatedObjects, BulkError> {
    let mut related: RelatedObjects = std::iter::once(object.clone()).collect();
    let mut asked = BTreeSet::from([object.name.to_ascii_lowercase()]);
    for _ in 0..MOST_STEPS {
        let paths = items
            .iter()
            .filter_map(Wanted::path)
            .map(|path| soql.own(path));
        let mut missing: BTreeSet<String> = BTreeSet::new();
        for path in paths {
            let steps: Vec<&str> = path.split('.').collect();
            let (_, relationships) = steps.split_last().unwrap_or((&"", &[]));
            missing.extend(objects(object, &related, relationships));
        }
        missing.retain(|name| asked.insert(name.to_ascii_lowercase()));
        if missing.is_empty() {
            break;
        }
        let missing: Vec<String> = missing.into_iter().collect();
        for names in missing.chunks(org::COMPOSITE_REQUESTS) {
            let described = org::describe_many(connection, names).await?;
            let known = described.into_iter().filter_map(|one| {
                let json = one.describe.ok()?;
                ObjectSchema::from_describe(json.get().as_bytes()).ok()
            });
            related.extend(known);
        }
    }
    Ok(related)
}

/// The names of the objects that these relationships lead to or through, as far as they are known.
fn objects(object: &ObjectSchema, related: &RelatedObjects, relationships: &[&str]) -> Vec<String> {
    let mut names = Vec::new();
    let mut here = vec![object];
    for relationship in relationships {
        let targets: Vec<&String> = here
            .iter()
            .filter_map(|object| lookup(object, relationship))
            .flat_map(|field| &field.reference_to)
            .collect();
        if targets.len() > MOST_TARGETS {
            break;
        }
        names.extend(targets.iter().map(|name| (*name).clone()));
        here = targets
            .iter()
            .filter_map(|name| related.get(name))
            .collect();
    }
    names
}

/// The field of an object that holds this relationship.
fn lookup<'a>(object: &'a ObjectSchema, relationship: &str) -> Option<&'a Field> {
    object.fields().iter().find(|field| {
        let name = field.relationship_name.as_deref();
        name.is_some_and(|name| name.eq_ignore_ascii_case(relationship))
    })
}

fn column(
    soql: &Soql,
    object: &ObjectSchema,
    related: &RelatedObjects,
    types: Types,
    item: &Wanted,
) -> Column {
    if let Some(name) = &item.name {
        return Column {
            name: name.clone(),
            text: item.text.clone(),
            kind: Kind::Text,
            is_field: false,
        };
    }
    let path = &item.text;
    let own = soql.own(path);
    let steps: Vec<&str> = own.split('.').collect();
    let (last, relationships) = steps.split_last().unwrap_or((&own, &[]));
    let mut name = String::new();
    let mut here = vec![object];
    for relationship in relationships {
        let lookups: Vec<&Field> = here
            .iter()
            .filter_map(|object| lookup(object, relationship))
            .collect();
        let known = lookups
            .first()
            .and_then(|field| field.relationship_name.as_deref());
        name.push_str(known.unwrap_or(relationship));
        name.push('.');
        let targets = lookups.iter().flat_map(|field| &field.reference_to);
        here = targets.filter_map(|name| related.get(name)).collect();
    }
    let fields: Vec<&Field> = here
        .iter()
        .filter_map(|object| object.field(last))
        .collect();
    let kinds: Vec<Kind> = fields.iter().map(|field| Kind::of(field)).collect();
    let same = kinds.windows(2).all(|pair| pair[0] == pair[1]);
    name.push_str(fields.first().map_or(last, |field| &field.name));
    Column {
        name,
        text: path.clone(),
        kind: match (types, kinds.first()) {
            (Types::Described, Some(kind)) if same => *kind,
            _ => Kind::Text,
        },
        is_field: true,
    }
}
