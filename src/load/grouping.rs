//! Which column of a load groups its rows.

use crate::chunk::Grouping;
use crate::coerce::{Coercion, Key, KeyForm};
use crate::error::{Error, Result};
use crate::object::{FieldType, HeaderColumn, Operation};

/// Columns that order rows of one parent among themselves.
const THEN: usize = 2;

/// Stands for no grouping.
const NONE: &str = "none";

/// What the rows of a load are grouped by, where `set` is the setting; `None` if by nothing. A deletion
/// sends Ids alone, which says nothing of parents.
///
/// # Errors
/// A config error if the setting names no lookup that a column fills.
pub(super) fn grouping(
    coercion: &Coercion,
    object: &str,
    set: Option<&str>,
) -> Result<Option<Grouping>> {
    let header = coercion.header();
    if matches!(header.operation, Operation::Delete | Operation::HardDelete) {
        return Ok(None);
    }
    let locking = header.locking(object);
    let wanted = set.and_then(|set| wanted(set, object));
    let by = match wanted {
        Some(name) if name.eq_ignore_ascii_case(NONE) => return Ok(None),
        Some(name) => {
            let mut lookups = header.lookups();
            let found = lookups.find(|(_, field)| field.eq_ignore_ascii_case(name));
            let (index, _) = found.ok_or_else(|| not_there(name, object, coercion))?;
            Some(index)
        }
        None => locking.first().copied(),
    };
    let key = |column: usize| {
        let form = form(header.columns.get(column)?);
        Some(Key { column, form })
    };
    let then = locking.iter().filter(|column| by != Some(**column));
    let then = then.take(THEN).filter_map(|column| key(*column));
    Ok(by.and_then(key).map(|by| Grouping {
        by,
        then: then.collect(),
    }))
}

/// What the setting says for an object: one of its entries may name the object, as in
/// `Contact.AccountId`.
fn wanted<'a>(set: &'a str, object: &str) -> Option<&'a str> {
    let entries = set.split(',').map(str::trim);
    let mut entries = entries.filter(|entry| !entry.is_empty());
    let own = |entry: &&'a str| match entry.split_once('.') {
        Some((of, _)) => of.eq_ignore_ascii_case(object),
        None => true,
    };
    let entry = entries.find(own)?;
    Some(entry.split_once('.').map_or(entry, |(_, field)| field))
}

fn not_there(name: &str, object: &str, coercion: &Coercion) -> Error {
    let choices = coercion.header().lookups().map(|(_, field)| field);
    let choices: Vec<&str> = choices.chain([NONE]).collect();
    Error::config(format!(
        "group_by names {name}, but no column of the load into {object} fills a lookup field of that \
         name; use one of: {}",
        choices.join(", ")
    ))
}

/// When two values of a column name one record.
fn form(column: &HeaderColumn) -> KeyForm {
    if column.field.field_type == FieldType::Reference {
        KeyForm::Id
    } else {
        KeyForm::of(&column.field)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::datatypes::{DataType, Field, Schema};

    use super::*;
    use crate::object::{ObjectSchema, RelatedObjects};
    use crate::options::ValueOptions;

    fn of(operation: &Operation, set: Option<&str>) -> Result<Option<Grouping>> {
        let contact = ObjectSchema::from_describe(
            br#"{"name":"Contact","fields":[
            {"name":"Id","type":"id","idLookup":true},{"name":"LastName","type":"string"},
            {"name":"ReportsToId","type":"reference"},
            {"name":"AccountId","type":"reference","relationshipName":"Account",
             "referenceTo":["Account"]},
            {"name":"Master__c","type":"reference","relationshipOrder":1}]}"#,
        )
        .unwrap();
        let account = ObjectSchema::from_describe(
            br#"{"name":"Account","fields":[{"name":"Ext__c","type":"string","externalId":true,
            "unique":true}]}"#,
        );
        let columns = [
            "Id",
            "LastName",
            "reportsToId",
            "Account.Ext__c",
            "Master__c",
        ];
        let columns = columns.into_iter().filter(|name| match operation {
            Operation::Insert => *name != "Id",
            _ => true,
        });
        let fields: Vec<Field> = columns
            .map(|name| Field::new(name, DataType::Utf8, true))
            .collect();
        let related: RelatedObjects = [account.unwrap()].into_iter().collect();
        let source = Arc::new(Schema::new(fields));
        let values = ValueOptions::default();
        let coercion = Coercion::plan(&source, &contact, operation, &related, values)?;
        grouping(&coercion, &contact.name, set)
    }

    /// The columns by number, and the form of the first.
    fn chosen(set: Option<&str>) -> Option<(usize, KeyForm, Vec<usize>)> {
        let grouping = of(&Operation::Insert, set).unwrap()?;
        let then = grouping.then.iter().map(|key| key.column).collect();
        Some((grouping.by.column, grouping.by.form, then))
    }

    #[test]
    fn the_field_that_locks_most_groups_and_others_order() {
        assert_eq!(chosen(None), Some((3, KeyForm::Id, vec![2])));
        let text = KeyForm::Text { ignore_case: true };
        assert_eq!(chosen(Some("accountid")), Some((2, text, vec![3])));
        assert_eq!(
            chosen(Some("ReportsToId")),
            Some((1, KeyForm::Id, vec![3, 2]))
        );
        assert_eq!(chosen(Some("None")), None);
    }

    #[test]
    fn an_entry_may_be_of_one_object() {
        let by = |set| chosen(Some(set)).map(|(column, ..)| column);
        assert_eq!(by("Task.WhoId, contact.ReportsToId"), Some(1));
        assert_eq!(by("Task.none"), Some(3));
        assert_eq!(by("Contact.none,AccountId"), None);
        assert_eq!(by(""), Some(3));
    }

    #[test]
    fn a_field_that_is_not_there_is_a_config_error_with_the_choices() {
        let error = of(&Operation::Insert, Some("OwnerId")).unwrap_err();
        insta::assert_snapshot!(error, @"group_by names OwnerId, but no column of the load into Contact fills a lookup field of that name; use one of: ReportsToId, AccountId, Master__c, none");
    }

    #[test]
    fn a_deletion_is_not_grouped() {
        assert_eq!(of(&Operation::Delete, Some("Whatever")).unwrap(), None);
    }
}
