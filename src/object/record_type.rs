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
    /// By lower name; where several share it, what is wrong with it.
    ids: BTreeMap<String, Result<String, String>>,
    unknown: String,
}

impl RecordTypes {
    /// Record types by developer name; `None` if the describe has no such names.
    pub(super) fn by_developer_name(types: &[RecordType]) -> Option<Self> {
        let named = types.iter().filter_map(|record_type| {
            let name = record_type.developer_name.as_deref()?;
            Some((name, record_type))
        });
        Self::new(named.collect(), "developer name", "")
    }

    /// Record types by label; `None` if the describe has no developer names, which those of an
    /// old version lack.
    pub(super) fn by_name(types: &[RecordType]) -> Option<Self> {
        let named = types.iter().filter_map(|record_type| {
            record_type.developer_name.as_deref()?;
            Some((record_type.name.as_str(), record_type))
        });
        Self::new(named.collect(), "name", "use RecordType.DeveloperName, or ")
    }

    /// `cure` is what helps where several share a name of this kind, besides their Ids.
    fn new(mut named: Vec<(&str, &RecordType)>, kind: &str, cure: &str) -> Option<Self> {
        named.sort_by_key(|(_, record_type)| !record_type.usable);
        let mut sharing: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        let mut listed = Vec::new();
        for &(name, RecordType { id, usable, .. }) in &named {
            let ids = sharing.entry(name.to_lowercase()).or_default();
            if ids.is_empty() || *usable && !ids.contains(&id.as_str()) {
                ids.push(id);
            }
            if *usable && !listed.contains(&name) {
                listed.push(name);
            }
        }
        let ids = sharing.into_iter().map(|(name, ids)| match *ids {
            [id] => (name, Ok(id.to_owned())),
            _ => (name, Err(ambiguous(kind, &ids, cure))),
        });
        let ids: BTreeMap<_, _> = ids.collect();
        (!ids.is_empty()).then(|| Self {
            ids,
            unknown: format!(
                "not the {kind} of a record type (known: {})",
                first(&listed)
            ),
        })
    }

    /// The Id of the record type of this name.
    ///
    /// # Errors
    /// What is wrong with the name, without the name, if there is no such record type or several.
    pub fn id(&self, name: &str) -> Result<&str, &str> {
        match self.ids.get(&name.trim().to_lowercase()) {
            Some(Ok(id)) => Ok(id),
            Some(Err(ambiguous)) => Err(ambiguous),
            None => Err(&self.unknown),
        }
    }
}

/// What is wrong with a name that several record types have.
fn ambiguous(kind: &str, ids: &[&str], cure: &str) -> String {
    format!(
        "the {kind} of {} record types, whose Ids are {}; {cure}map the Id of the right one to \
         RecordTypeId",
        ids.len(),
        first(ids)
    )
}

/// The first of some names, and how many more there are.
fn first(names: &[&str]) -> String {
    let (listed, more) = names.split_at(LISTED.min(names.len()));
    match more.len() {
        0 => listed.join(", "),
        more => format!("{} and {more} more", listed.join(", ")),
    }
}
