//! Loads that run side by side, of which some load the parents of others' rows.
//!
//! A row may name a parent that another load brings later, or a later row of its own load. Refused, it
//! is held; when the loads of its parents have ended, it is sent once more. Loads whose rows name
//! each other's wait until all are at rest, and send what they hold in turns as long as one of them gets
//! rows in.

use std::collections::BTreeSet;
use std::future;
use std::sync::Arc;

use tokio::sync::watch;

/// Turns that a load takes at most with rows whose parents are its own rows, or those of loads that
/// wait for it: more than any chain of parents is long.
const MOST_TURNS: u32 = 50;

/// Loads that run side by side, such as the streams of one sync. Rows that are refused since their
/// parent, named by an external ID in a relationship column, is not there are held while another load
/// of the family, or their own, may still bring it; then they are sent once more. See
/// [`LoadOptions::held_rows`](crate::LoadOptions::held_rows).
///
/// Start all loads of a family before the first of them is fed, and feed them side by side: a load that
/// holds rows ends after those of their parents. If one of these fails, it ends as stopped.
#[derive(Debug, Clone)]
pub struct Family {
    loads: Arc<watch::Sender<Vec<Kin>>>,
}

/// How far a load is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// More rows come, or some that came have no end and are not held.
    Loading,
    /// All its rows that are not held have their end, and no more come.
    AtRest,
    /// At rest, and it holds none.
    Ended,
    /// It ended early.
    Failed,
}

/// What a load may do with the rows that it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// Parents of them may still come.
    Wait,
    /// Send them.
    Send,
    /// Send them; those refused again are rejected.
    Last,
    /// A load failed that might have brought their parents.
    Never,
}

/// A load, as its family sees it.
#[derive(Debug)]
struct Kin {
    object: String,
    /// Whether it may bring records that others refer to.
    brings: bool,
    /// Objects that its rows may refer to.
    refers: BTreeSet<String>,
    phase: Phase,
    /// Its rows that are in Salesforce, as of its last phase.
    accepted: u64,
    turns: u32,
    /// Rows that its circle had in Salesforce when it took its last turn.
    before_turn: Option<u64>,
}

impl Kin {
    /// Whether its next turn would be like its last.
    fn is_stuck(&self, accepted: u64) -> bool {
        self.phase == Phase::Ended || self.turns >= MOST_TURNS || self.before_turn == Some(accepted)
    }
}

impl Default for Family {
    fn default() -> Self {
        Self::new()
    }
}

impl Family {
    /// A family without loads: [`LoaderBuilder::family`](super::LoaderBuilder::family) adds them.
    pub fn new() -> Self {
        Self {
            loads: Arc::new(watch::Sender::new(Vec::new())),
        }
    }

    /// A load of `object` begins, whose rows may refer to records of others; `brings` says that it may
    /// make or change records.
    pub(super) fn join(&self, object: &str, brings: bool, refers: BTreeSet<String>) -> Place {
        let mut number = 0;
        self.loads.send_modify(|loads| {
            number = loads.len();
            loads.push(Kin {
                object: object.to_owned(),
                brings,
                refers,
                phase: Phase::Loading,
                accepted: 0,
                turns: 0,
                before_turn: None,
            });
        });
        Place {
            family: self.clone(),
            number,
        }
    }
}

/// The place of a load in its family.
#[derive(Debug, Clone)]
pub(super) struct Place {
    family: Family,
    number: usize,
}

impl Place {
    /// Whether a load of the family brings records of this object.
    pub(super) fn brings(&self, object: &str) -> bool {
        let loads = self.family.loads.borrow();
        loads.iter().any(|kin| kin.brings && kin.object == object)
    }

    /// Whether each load that brings parents of this one has ended.
    pub(super) fn parents_ended(&self) -> bool {
        parents_ended(&self.family.loads.borrow(), self.number)
    }

    /// Whether the parents of its rows are rows of its own, or of loads that have ended.
    pub(super) fn waits_for_itself_alone(&self) -> bool {
        let loads = self.family.loads.borrow();
        parents(&loads, self.number)
            .all(|parent| parent == self.number || loads[parent].phase == Phase::Ended)
    }

    /// What says to its family how far the load is.
    pub(super) fn standing(&self) -> Standing {
        Standing {
            place: self.clone(),
            changes: self.family.loads.subscribe(),
            said: (Phase::Loading, 0),
        }
    }
}

/// Says to a family how far a load is: that it has failed, if it is dropped before the load has ended.
#[derive(Debug)]
pub(super) struct Standing {
    place: Place,
    changes: watch::Receiver<Vec<Kin>>,
    said: (Phase, u64),
}

impl Standing {
    /// Waits until something changes in the family, if there is one.
    pub(super) async fn changed(standing: &mut Option<Self>) {
        match standing {
            // It fails if the family is gone, of which this is a part.
            Some(standing) => drop(standing.changes.changed().await),
            None => future::pending().await,
        }
    }

    /// The load is in this phase, with so many rows in Salesforce.
    pub(super) fn is(&mut self, phase: Phase, accepted: u64) {
        if (self.said.0, phase) == (Phase::Loading, Phase::Loading)
            || self.said == (phase, accepted)
        {
            return;
        }
        self.say(phase, accepted);
    }

    fn say(&mut self, phase: Phase, accepted: u64) {
        self.said = (phase, accepted);
        let number = self.place.number;
        self.place.family.loads.send_modify(|loads| {
            loads[number].phase = phase;
            loads[number].accepted = accepted;
        });
    }

    /// What the load may do with the rows that it holds now. If they may go, it is loading again.
    pub(super) fn turn(&mut self) -> Turn {
        let number = self.place.number;
        let mut turn = Turn::Wait;
        self.place.family.loads.send_if_modified(|loads| {
            turn = turn_of(loads, number);
            if matches!(turn, Turn::Wait | Turn::Never) {
                return false;
            }
            let accepted = accepted(loads, &circle(loads, number));
            let kin = &mut loads[number];
            kin.before_turn = Some(accepted);
            kin.turns += 1;
            let changed = kin.phase != Phase::Loading;
            kin.phase = Phase::Loading;
            changed
        });
        if matches!(turn, Turn::Send | Turn::Last) {
            self.said.0 = Phase::Loading;
        }
        turn
    }
}

impl Drop for Standing {
    fn drop(&mut self) {
        if self.said.0 != Phase::Ended {
            self.say(Phase::Failed, self.said.1);
        }
    }
}

/// Those of the loads that bring parents of a load, itself among them if it does.
fn parents(loads: &[Kin], number: usize) -> impl Iterator<Item = usize> {
    let refers = &loads[number].refers;
    let brings = loads.iter().enumerate();
    let brings = brings.filter(|(_, kin)| kin.brings && refers.contains(&kin.object));
    brings.map(|(parent, _)| parent)
}

fn parents_ended(loads: &[Kin], number: usize) -> bool {
    parents(loads, number).all(|parent| loads[parent].phase == Phase::Ended)
}

/// All loads that a load waits for, itself among them if its rows refer to each other.
fn ancestors(loads: &[Kin], number: usize) -> BTreeSet<usize> {
    let mut found = BTreeSet::new();
    let mut left = vec![number];
    while let Some(next) = left.pop() {
        left.extend(parents(loads, next).filter(|parent| found.insert(*parent)));
    }
    found
}

/// Those of the loads that a load waits for and that wait for it; none without any.
fn circle(loads: &[Kin], number: usize) -> BTreeSet<usize> {
    let waits = |other: &usize| ancestors(loads, *other).contains(&number);
    let all = ancestors(loads, number).into_iter();
    all.filter(waits).collect()
}

fn accepted(loads: &[Kin], of: &BTreeSet<usize>) -> u64 {
    of.iter().map(|number| loads[*number].accepted).sum()
}

fn turn_of(loads: &[Kin], number: usize) -> Turn {
    if parents_ended(loads, number) {
        return Turn::Send;
    }
    let ancestors = ancestors(loads, number);
    let failed = |other: &usize| loads[*other].phase == Phase::Failed;
    if ancestors.iter().any(failed) {
        return Turn::Never;
    }
    if loads[number].phase == Phase::Loading {
        return Turn::Wait;
    }
    let circle = circle(loads, number);
    let mut others = ancestors.difference(&circle);
    if circle.is_empty() || others.any(|other| loads[*other].phase != Phase::Ended) {
        return Turn::Wait;
    }
    let mut kin = circle.iter().map(|number| &loads[*number]);
    if kin.clone().any(|kin| kin.phase == Phase::Loading) {
        return Turn::Wait;
    }
    let accepted = accepted(loads, &circle);
    if !loads[number].is_stuck(accepted) {
        Turn::Send
    } else if kin.all(|kin| kin.is_stuck(accepted)) {
        Turn::Last
    } else {
        Turn::Wait
    }
}

#[cfg(test)]
mod tests;
