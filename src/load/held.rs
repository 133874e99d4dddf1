//! Rows that are held until their parents may be there.
//!
//! The keys of a load have them, as they have rows that wait for their key: a later row of the key of
//! one that is held waits too. The row store has their columns.

use std::collections::BTreeSet;

use parking_lot::Mutex;

use crate::coerce::Coercion;
use crate::load::org::{Budget, Reservation};
use crate::rows::RowSet;

use super::family::{Family, Place, Standing};

/// What holding rows of one load needs to know.
#[derive(Debug)]
pub(super) struct Held {
    place: Place,
    lookups: Vec<Lookup>,
    /// Most rows at once.
    most: u64,
    rows: Mutex<Rows>,
}

/// A column by which rows refer to records of other objects.
#[derive(Debug)]
struct Lookup {
    column: usize,
    objects: Vec<String>,
}

#[derive(Debug)]
struct Rows {
    /// Held rows that were sent again and have no end yet.
    again: RowSet,
    /// Rows of the load have come in since they were sent.
    some_came_in: bool,
    /// When they were sent, only rows of the load itself could still be their parents.
    parents_are_own: bool,
    memory: Reservation,
    /// Rows before this ordinal are held no more.
    let_go: u64,
    /// Rows that were held so far.
    total: u64,
    /// Those of them that are in Salesforce now.
    accepted: u64,
    /// The log says that there are more.
    too_many: bool,
    /// The log says that rows were let go before their parents came.
    given_up: bool,
}

/// Rows that were held and are refused once more.
#[derive(Debug)]
pub(super) struct CameBack {
    pub(super) rows: RowSet,
    /// They are the last of their turn, which got none in, and no other load would: sent again, they
    /// would be refused again.
    pub(super) in_vain: bool,
}

impl Held {
    /// Joins the load of `object` to its family.
    pub(super) fn new(
        family: &Family,
        object: &str,
        coercion: &Coercion,
        most: u64,
        budget: &Budget,
    ) -> Self {
        let header = coercion.header();
        let columns = header.columns.iter().enumerate();
        let lookups = columns.filter_map(|(column, header)| {
            let objects = header.refers_to();
            (!objects.is_empty()).then_some(Lookup { column, objects })
        });
        let lookups: Vec<Lookup> = lookups.filter(|_| most > 0).collect();
        let all = lookups.iter().flat_map(|lookup| lookup.objects.iter());
        let refers: BTreeSet<String> = all.cloned().collect();
        Self {
            place: family.join(object, header.operation.writes(), refers),
            lookups,
            most,
            rows: Mutex::new(Rows::new(budget)),
        }
    }

    /// What says to its family how far the load is.
    pub(super) fn standing(&self) -> Standing {
        self.place.standing()
    }

    /// Whether rows of a job that is made now may find their parents later.
    pub(super) fn may_hold(&self) -> bool {
        !self.lookups.is_empty() && !self.place.parents_ended()
    }

    /// Columns in which a value refers to a record that a load of the family may bring.
    pub(super) fn columns(&self) -> Vec<usize> {
        let brings = |lookup: &&Lookup| lookup.objects.iter().any(|name| self.place.brings(name));
        let lookups = self.lookups.iter().filter(brings);
        lookups.map(|lookup| lookup.column).collect()
    }

    /// How many rows may be held beside `held` ones.
    pub(super) fn room(&self, held: u64) -> u64 {
        let again = self.rows.lock().again.len();
        self.most.saturating_sub(held + again)
    }

    /// Rows before this ordinal are held no more.
    pub(super) fn from(&self) -> u64 {
        self.rows.lock().let_go
    }

    /// Of these rows, which were refused, those that were held before.
    pub(super) fn came_back(&self, refused: &RowSet) -> CameBack {
        let mut rows = self.rows.lock();
        let mut back = rows.again.clone();
        rows.again.remove_all(refused);
        back.remove_all(&rows.again);
        rows.account();
        let none_came_in = rows.again.is_empty() && !rows.some_came_in;
        CameBack {
            in_vain: none_came_in && back == *refused && rows.parents_are_own,
            rows: back,
        }
    }

    /// So many rows are held for the first time.
    pub(super) fn count(&self, rows: u64) {
        self.rows.lock().total += rows;
    }

    /// These rows, which were held, are sent again.
    pub(super) fn send(&self, held: &RowSet) {
        let mut rows = self.rows.lock();
        // A parent that another load brings from now on may be too late for them.
        let parents_are_own = self.place.waits_for_itself_alone();
        rows.parents_are_own = parents_are_own && (rows.again.is_empty() || rows.parents_are_own);
        rows.some_came_in &= !rows.again.is_empty();
        rows.again.insert_all(held);
        rows.account();
    }

    /// Rows before this ordinal are held no more.
    pub(super) fn let_go(&self, before: u64) {
        self.rows.lock().let_go = before;
    }

    /// These rows have their end.
    pub(super) fn end(&self, ended: &RowSet, accepted: bool) {
        let mut rows = self.rows.lock();
        if rows.again.is_empty() {
            return;
        }
        let before = rows.again.len();
        rows.again.remove_all(ended);
        if accepted {
            rows.accepted += before - rows.again.len();
            rows.some_came_in |= !ended.is_empty();
        }
        rows.account();
    }

    /// Whether it is the first time that there are more rows than may be held.
    pub(super) fn are_too_many(&self) -> bool {
        !std::mem::replace(&mut self.rows.lock().too_many, true)
    }

    /// Whether it is the first time that rows are let go before their parents came.
    pub(super) fn are_given_up(&self) -> bool {
        !std::mem::replace(&mut self.rows.lock().given_up, true)
    }

    /// Rows that were held so far, and those of them that are in Salesforce now.
    pub(super) fn counts(&self) -> (u64, u64) {
        let rows = self.rows.lock();
        (rows.total, rows.accepted)
    }
}

impl Rows {
    fn new(budget: &Budget) -> Self {
        Self {
            again: RowSet::new(),
            some_came_in: false,
            parents_are_own: false,
            memory: budget.reserve(0),
            let_go: 0,
            total: 0,
            accepted: 0,
            too_many: false,
            given_up: false,
        }
    }

    /// Reserves what the rows that were sent again take.
    fn account(&mut self) {
        self.memory.resize(self.again.memory());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::family::Phase;
    use crate::load::org::Signal;

    fn held(family: &Family, object: &str, refers: &str) -> Held {
        let budget = Budget::new(1 << 30, Signal::default());
        Held {
            place: family.join(object, true, BTreeSet::from([refers.to_owned()])),
            lookups: Vec::new(),
            most: 10,
            rows: Mutex::new(Rows::new(&budget)),
        }
    }

    #[test]
    fn a_parent_that_came_while_its_child_was_on_its_way_is_no_proof_against_the_child() {
        let family = Family::new();
        let (parent, child) = (
            held(&family, "Account", "Contact"),
            held(&family, "Contact", "Account"),
        );
        let row = RowSet::from(3..4);
        child.send(&row);
        parent.standing().is(Phase::Ended, 1);
        assert!(!child.came_back(&row).in_vain);
        child.send(&row);
        assert!(child.came_back(&row).in_vain);
    }
}
