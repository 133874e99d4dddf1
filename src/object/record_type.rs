//! Record types: their names, and the Ids that a job takes in their place.

use std::collections::BTreeMap;

/// Names that a message lists at most.
const LISTED: usize = 20;

/// A record type of an object, as its describe lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordType {
    /// Id.
    pub id: String,
    /// Label, in the language of the user.
    pub name: String,
    /// API name; absent before API version 43.
    pub developer_name: Option<String>,
    /// It is active, and this user may give it to records.
    pub usable: bool,
}

/// The Ids of an object's record types by one kind of name, letter case ignored.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RecordTypes {
    /// By lower name; `None` where several share it.
    ids: BTreeMap<String, Option<String>>,
    unknown: String,
}

impl RecordTypes {
    /// What is wrong with a name that several record types have.
    const AMBIGUOUS: &str = "several record types have this name; use RecordType.DeveloperName";

    /// Record types by developer name; `None` if the describe has no such names.
    pub(super) fn by_developer_name(types: &[RecordType]) -> Option<Self> {
        let named = types.iter().filter_map(|record_type| {
            let name = record_type.developer_name.as_deref()?;
            Some((name, record_type))
        });
        Self::new(named.collect(), "developer name")
    }

    /// Record types by label; `None` if the describe has no developer names, which those of an
    /// old version lack.
    pub(super) fn by_name(types: &[RecordType]) -> Option<Self> {
        let named = types.iter().filter_map(|record_type| {
            record_type.developer_name.as_deref()?;
            Some((record_type.name.as_str(), record_type))
        });
        Self::new(named.collect(), "name")
    }

    fn new(mut named: Vec<(&str, &RecordType)>, kind: &str) -> Option<Self> {
        named.sort_by_key(|(_, record_type)| !record_type.usable);
        let mut ids: BTreeMap<String, Option<String>> = BTreeMap::new();
        let mut listed = Vec::new();
        for &(name, record_type) in &named {
            let id = Some(record_type.id.clone());
            ids.entry(name.to_lowercase())
                .and_modify(|known| {
                    if record_type.usable && *known != id {
                        *known = None;
                    }
                })
                .or_insert(id);
            if record_type.usable && !listed.contains(&name) {
                listed.push(name);
            }
        }
        let more = listed.len().saturating_sub(LISTED);
        listed.truncate(LISTED);
        let more = match more {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        (!ids.is_empty()).then(|| Self {
            ids,
            unknown: format!(
                "not the {kind} of a record type (known: {}{more})",
                listed.join(", ")
            ),
        })
    }

    /// The Id of the record type of this name.
    ///
    /// # Errors
    /// What is wrong with the name, without the name, if there is no such record type or several.
    pub fn id(&self, name: &str) -> Result<&str, &str> {
        match self.ids.get(&name.trim().to_lowercase()) {
            Some(Some(id)) => Ok(id),
            Some(None) => Err(Self::AMBIGUOUS),
            None => Err(&self.unknown),
        }
    }
}
