//! The response of the call that lists an org's objects.

use serde::Deserialize;

use super::ObjectError;

/// An object in the list of those that the user sees.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListedObject {
    /// API name.
    pub name: String,
    /// This user may create records.
    #[serde(default)]
    pub createable: bool,
    /// This user may change records.
    #[serde(default)]
    pub updateable: bool,
    /// This user may delete records.
    #[serde(default)]
    pub deletable: bool,
    /// Salesforce is about to take it away.
    #[serde(default)]
    pub deprecated_and_hidden: bool,
    /// What it is to another object: `History`, `Share`, `Feed`, `ChangeEvent`.
    #[serde(default)]
    pub associate_entity_type: Option<String>,
}

impl ListedObject {
    /// Whether the user may do anything to its records.
    pub fn is_writable(&self) -> bool {
        (self.createable || self.updateable || self.deletable) && !self.deprecated_and_hidden
    }

    /// Whether Salesforce keeps it for another object: histories, shares, feeds, change events.
    pub fn is_systems_own(&self) -> bool {
        const KINDS: [&str; 4] = ["History", "Share", "Feed", "ChangeEvent"];
        let kind = self.associate_entity_type.as_deref().unwrap_or_default();
        KINDS.contains(&kind) || KINDS.iter().any(|kind| self.name.ends_with(kind))
    }
}

/// Reads the list, in Salesforce's order.
///
/// # Errors
/// [`ObjectError::List`] if it is none.
pub fn list(json: &[u8]) -> Result<Vec<ListedObject>, ObjectError> {
    #[derive(Deserialize)]
    struct List {
        sobjects: Vec<ListedObject>,
    }
    let list: List = serde_json::from_slice(json).map_err(|error| ObjectError::List {
        reason: error.to_string(),
    })?;
    Ok(list.sobjects)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_user_may_write_and_whose_it_is() {
        let objects = list(
            br#"{"encoding":"UTF-8","sobjects":[
            {"name":"Contact","createable":true,"updateable":true,"deletable":false,"urls":{}},
            {"name":"ContactHistory","createable":false},
            {"name":"X__Feed","deletable":true,"associateEntityType":null},
            {"name":"Odd","createable":true,"associateEntityType":"Share"},
            {"name":"Market_Share__c","createable":true},
            {"name":"Old","createable":true,"deprecatedAndHidden":true}]}"#,
        )
        .unwrap();
        let writable: Vec<bool> = objects.iter().map(ListedObject::is_writable).collect();
        assert_eq!(writable, [true, false, true, true, true, false]);
        let systems: Vec<bool> = objects.iter().map(ListedObject::is_systems_own).collect();
        assert_eq!(systems, [false, true, true, true, false, false]);
    }

    #[test]
    fn what_is_no_list_says_why() {
        let error = list(b"[]").unwrap_err().to_string();
        assert!(error.contains("list of objects"), "{error}");
    }
}
