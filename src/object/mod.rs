//! Salesforce objects as data: fields, types, operations. No I/O.

mod describe;
mod error;
mod header;
mod id;
mod list;
mod lookup;
mod parents;
mod record_ids;
mod record_type;
mod related;

pub use error::ObjectError;
pub use header::{Header, HeaderColumn};
pub use id::RecordId;
pub use list::{ListedObject, list};
pub(crate) use record_ids::RecordIds;
pub use record_type::{RecordType, RecordTypes};
pub use related::RelatedObjects;

use std::collections::HashMap;

/// What a load does with each row.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Operation {
    /// Creates a record for each row.
    Insert,
    /// Changes the record that each row's `Id` names.
    Update,
    /// Changes the record whose key each row holds, or creates it.
    Upsert {
        /// The key: an external ID field of the object, or `Id`.
        external_id: String,
    },
    /// Moves the record that each row's `Id` names to the recycle bin.
    Delete,
    /// Deletes the record that each row's `Id` names, past the recycle bin. Takes the permission
    /// "Bulk API Hard Delete".
    HardDelete,
}

impl Operation {
    /// The word that Bulk API 2.0 has for it.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Insert => "insert",
            Self::Update => "update",
            Self::Upsert { .. } => "upsert",
            Self::Delete => "delete",
            Self::HardDelete => "hardDelete",
        }
    }

    /// The field whose value names the record of a row; `None` for an insert.
    pub fn key_field(&self) -> Option<&str> {
        match self {
            Self::Insert => None,
            Self::Update | Self::Delete | Self::HardDelete => Some("Id"),
            Self::Upsert { external_id } => Some(external_id),
        }
    }

    /// Whether it writes the fields of records.
    pub(crate) fn writes(&self) -> bool {
        !matches!(self, Self::Delete | Self::HardDelete)
    }
}

/// The type of a field, as describe names it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names are Salesforce's own")]
pub enum FieldType {
    AnyType,
    Base64,
    Boolean,
    Combobox,
    Currency,
    Date,
    DateTime,
    Double,
    Email,
    EncryptedString,
    Id,
    Int,
    Long,
    MultiPicklist,
    Percent,
    Phone,
    Picklist,
    Reference,
    String,
    TextArea,
    Time,
    Url,
    /// A type this version does not know, with its name: written as text.
    Other(String),
}

/// One field of an object, as the org describes it to this user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// API name in the exact case of the describe.
    pub name: String,
    /// Label, as people of the org see it.
    pub label: String,
    /// Type.
    pub field_type: FieldType,
    /// Longest text in characters as Salesforce counts them, in UTF-16 units; 0 where the type has
    /// no length.
    pub length: u32,
    /// Digits in all, of a decimal type.
    pub precision: u32,
    /// Digits after the point, of a decimal type.
    pub scale: u32,
    /// Digits of an int.
    pub digits: u32,
    /// May be null.
    pub nillable: bool,
    /// This user may set it on a new record.
    pub createable: bool,
    /// This user may change it.
    pub updateable: bool,
    /// Salesforce fills it when nothing is sent.
    pub defaulted_on_create: bool,
    /// An external ID: may be the key of an upsert.
    pub external_id: bool,
    /// May be used to look a record up.
    pub id_lookup: bool,
    /// Values are unique.
    pub unique: bool,
    /// Uniqueness and look-ups distinguish letter case.
    pub case_sensitive: bool,
    /// Objects that a reference may point to.
    pub reference_to: Vec<String>,
    /// Of a master-detail field: 0 for the first master of the object, 1 for the second.
    pub master_detail: Option<u32>,
    /// A record goes with the record that it refers to.
    pub cascade_delete: bool,
    /// A record that is referred to cannot be deleted.
    pub restricted_delete: bool,
    /// Name of the relationship, for columns such as `Account.Ext__c`.
    pub relationship_name: Option<String>,
    /// Only values of the picklist are accepted.
    pub restricted_picklist: bool,
    /// Active values of a picklist.
    pub picklist_values: Vec<String>,
}

impl Field {
    /// Whether an insert without this field fails: not nillable, settable, and not defaulted.
    pub fn required_on_create(&self) -> bool {
        !self.nillable && self.createable && !self.defaulted_on_create
    }

    /// Whether a value may name a record of the object: in an upsert, or in a relationship column
    /// of another object. True for `Id`, external IDs and the fields of `idLookup`.
    pub fn names_records(&self) -> bool {
        self.external_id || self.id_lookup || self.name.eq_ignore_ascii_case("Id")
    }
}

/// One object of the org and what this user may do with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectSchema {
    /// API name in the exact case of the describe.
    pub name: String,
    /// This user may create records.
    pub createable: bool,
    /// This user may change records.
    pub updateable: bool,
    /// This user may delete records.
    pub deletable: bool,
    /// Its record types, with the one called Master that every object has.
    pub record_types: Vec<RecordType>,
    fields: Vec<Field>,
    by_lower_name: HashMap<String, usize>,
}

impl ObjectSchema {
    /// An object of these fields, in their order.
    pub fn new(name: impl Into<String>, fields: Vec<Field>) -> Self {
        let by_lower_name = fields
            .iter()
            .enumerate()
            .map(|(index, field)| (field.name.to_ascii_lowercase(), index))
            .collect();
        Self {
            name: name.into(),
            createable: true,
            updateable: true,
            deletable: true,
            record_types: Vec::new(),
            fields,
            by_lower_name,
        }
    }

    /// Reads the response of `GET …/sobjects/<name>/describe`.
    ///
    /// # Errors
    /// [`ObjectError::Describe`] if the text is not such a response.
    pub fn from_describe(json: &[u8]) -> Result<Self, ObjectError> {
        describe::parse(json)
    }

    /// All fields, in the describe's order.
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// The field of this name, whatever the letter case.
    pub fn field(&self, name: &str) -> Option<&Field> {
        let index = self.by_lower_name.get(&name.to_ascii_lowercase())?;
        self.fields.get(*index)
    }

    /// The two names of an object with persons among its records, as an Account can be: a company
    /// has `Name`, a person `LastName`, and each record needs either. `None` for all other objects.
    pub(crate) fn either_name(&self) -> Option<[&Field; 2]> {
        let name = self
            .field("Name")
            .filter(|name| name.required_on_create())?;
        Some([name, self.field("LastName")?])
    }

    /// Field names closest to `name`, best first, at most three: for error messages.
    pub fn nearest(&self, name: &str) -> Vec<&str> {
        nearest(name, self.fields.iter().map(|field| field.name.as_str()))
    }
}

/// The names closest to `wanted`, best first, at most three: for error messages.
pub(crate) fn nearest<'a>(wanted: &str, names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let wanted = wanted.to_ascii_lowercase();
    let mut scored: Vec<(f64, &str)> = names
        .map(|name| {
            (
                strsim::jaro_winkler(&wanted, &name.to_ascii_lowercase()),
                name,
            )
        })
        .filter(|(score, _)| *score > 0.8)
        .collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0));
    scored.into_iter().take(3).map(|(_, name)| name).collect()
}

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
