use super::*;

/// Loads of these objects, each with the objects that its rows refer to.
struct Loads {
    standings: Vec<Standing>,
}

impl Loads {
    fn new(loads: &[(&str, &[&str])]) -> Self {
        let family = Family::new();
        let join = |(object, refers): &(&str, &[&str])| {
            let refers = refers.iter().map(|object| (*object).to_owned()).collect();
            family.join(object, true, refers).standing()
        };
        Self {
            standings: loads.iter().map(join).collect(),
        }
    }

    fn is(&mut self, number: usize, phase: Phase, accepted: u64) {
        self.standings[number].is(phase, accepted);
    }

    fn turn(&mut self, number: usize) -> Turn {
        self.standings[number].turn()
    }
}

use Phase::{AtRest, Ended, Loading};
use Turn::{Last, Never, Send, Wait};

#[test]
fn children_wait_until_each_load_of_their_parents_has_ended() {
    let objects: [(&str, &[&str]); 4] = [
        ("Case", &["Contact", "Account"]),
        ("Contact", &["Account"]),
        ("Account", &[]),
        ("Account", &[]),
    ];
    let mut loads = Loads::new(&objects);
    loads.is(0, AtRest, 5);
    assert_eq!(loads.turn(0), Wait);
    loads.is(2, Ended, 9);
    assert_eq!(loads.turn(1), Wait, "there are two streams of accounts");
    loads.is(3, Ended, 9);
    assert_eq!(loads.turn(1), Send);
    assert_eq!(loads.turn(0), Wait, "contacts may come in");
    loads.is(1, Ended, 3);
    assert_eq!(loads.turn(0), Send);
}

#[test]
fn a_load_that_only_deletes_brings_no_parents() {
    let family = Family::new();
    let refers = || ["Account".to_owned()].into();
    let contacts = family.join("Contact", true, refers());
    let _accounts = family.join("Account", false, BTreeSet::new());
    assert!(contacts.parents_ended() && !contacts.brings("Account"));
    let accounts = family.join("Account", true, BTreeSet::new());
    assert!(!contacts.parents_ended() && contacts.brings("Account"));
    accounts.standing().is(Ended, 0);
    assert!(contacts.parents_ended());
}

#[test]
fn rows_whose_parents_load_fails_wait_for_nothing() {
    let objects: [(&str, &[&str]); 3] = [
        ("Case", &["Contact"]),
        ("Contact", &["Account"]),
        ("Account", &[]),
    ];
    let mut loads = Loads::new(&objects);
    loads.is(1, AtRest, 3);
    drop(loads.standings.pop());
    assert_eq!((loads.turn(0), loads.turn(1)), (Never, Never));
    drop(loads.standings.pop());
    assert_eq!(loads.turn(0), Never);
}

#[test]
fn rows_of_one_load_are_sent_as_long_as_some_get_in() {
    let mut loads = Loads::new(&[("Account", &["Account"])]);
    assert_eq!(loads.turn(0), Wait);
    for accepted in [10, 11, 12] {
        loads.is(0, AtRest, accepted);
        assert_eq!(loads.turn(0), Send);
        assert_eq!(loads.turn(0), Wait, "they are on their way");
    }
    loads.is(0, AtRest, 12);
    assert_eq!(loads.turn(0), Last);
}

#[test]
fn the_turns_of_a_load_are_bounded() {
    let mut loads = Loads::new(&[("Account", &["Account"])]);
    let turns = (0..1_000).map(|accepted| {
        loads.is(0, AtRest, accepted);
        loads.turn(0)
    });
    let turns: Vec<Turn> = turns.take_while(|turn| *turn == Send).collect();
    assert_eq!(turns.len(), MOST_TURNS as usize);
    assert_eq!(loads.turn(0), Wait);
}

#[test]
fn loads_that_wait_for_each_other_take_turns_until_none_gets_a_row_in() {
    let objects: [(&str, &[&str]); 3] = [("A", &["B"]), ("B", &["A", "C"]), ("C", &[])];
    let mut loads = Loads::new(&objects);
    loads.is(0, AtRest, 1);
    loads.is(1, AtRest, 1);
    assert_eq!(loads.turn(0), Wait, "its parents may wait for another load");
    loads.is(2, Ended, 1);
    assert_eq!(loads.turn(0), Send);
    assert_eq!(loads.turn(1), Wait, "the other one moves");
    loads.is(0, AtRest, 2);
    assert_eq!(loads.turn(1), Send);
    assert_eq!(loads.turn(0), Wait);
    loads.is(1, AtRest, 1);
    assert_eq!(loads.turn(1), Wait, "its turn got none in, the other's may");
    assert_eq!(loads.turn(0), Send);
    loads.is(0, AtRest, 2);
    assert_eq!(loads.turn(1), Last);
    loads.is(1, Ended, 1);
    assert_eq!(loads.turn(0), Send, "its parents have ended");
}

#[tokio::test]
async fn who_waits_hears_of_each_change() {
    let mut loads = Loads::new(&[("Contact", &["Account"]), ("Account", &[])]);
    loads.standings[0].changes.mark_unchanged();
    loads.is(1, Loading, 7);
    assert!(!loads.standings[0].changes.has_changed().unwrap());
    loads.is(1, Ended, 7);
    let mut standing = loads.standings.into_iter().next();
    Standing::changed(&mut standing).await;
}
