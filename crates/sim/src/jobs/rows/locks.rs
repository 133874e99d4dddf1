//! Which records a transaction locks for a row.

use std::borrow::Cow;

use super::{Checked, Rules};
use crate::org::table::Stored;
use crate::org::{Object, Org, id, reference};

/// Lookups that lock the parent of a record that is created, changed or deleted, besides those to
/// a master.
const LOCKING_LOOKUPS: &[(&str, &str)] = &[
    ("Asset", "AccountId"),
    ("CampaignMember", "CampaignId"),
    ("Case", "AccountId"),
    ("Contact", "AccountId"),
    ("Event", "WhatId"),
    ("Opportunity", "AccountId"),
    ("Task", "WhatId"),
];

/// The lookups of an object that lock, by their index in the object. `more` are the lookups that
/// lock in this org besides, as `Object.Field`.
pub(super) fn lookups(object: &Object, more: &[String]) -> Vec<usize> {
    let is_named = |known: &str, field: &str, name: &str| {
        known.eq_ignore_ascii_case(&object.name) && field.eq_ignore_ascii_case(name)
    };
    let fields = object.fields.iter().enumerate();
    let locking = fields.filter(|(_, field)| {
        let mut known = LOCKING_LOOKUPS.iter();
        let mut more = more.iter().filter_map(|name| name.split_once('.'));
        field.to_master
            || known.any(|(object, lookup)| is_named(object, lookup, &field.name))
            || more.any(|(object, lookup)| is_named(object, lookup, &field.name))
    });
    locking.map(|(index, _)| index).collect()
}

impl Rules {
    /// The Ids of the records that a row locks: its own record, if it has one already, and the
    /// parents of that record before and after. A row that fails in any case locks nothing.
    pub(crate) fn locks(&self, org: &Org, values: &[Cow<'_, str>], row: &Checked) -> Vec<String> {
        if row.is_bad() || row.vanishes {
            return Vec::new();
        }
        let columns = self.upload.columns.iter().zip(values);
        let named = columns
            .filter(|(column, value)| !value.is_empty() && self.locking.contains(&column.field()));
        let mut parents: Vec<Stored> = named
            .map(|(column, value)| Stored::of(&self.object, column, value))
            .collect();
        let mut ids = Vec::new();
        // The table is released before others are asked for the parents.
        if let Some(table) = org.table(&self.object.name)
            && let Ok(Some(number)) = self.find(&table, &row.key)
        {
            ids.push(table.id(number));
            let mut stored = table.values(number);
            parents.extend(self.locking.iter().filter_map(|field| stored.remove(field)));
        }
        let parents = parents.iter().filter_map(|parent| {
            let id = reference::id_of(org, &self.object, parent)?;
            id::normal(&id).or(Some(id))
        });
        ids.extend(parents);
        ids.sort_unstable();
        ids.dedup();
        ids
    }
}
