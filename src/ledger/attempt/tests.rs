use std::sync::Arc;
use std::time::Duration;

use object_store::memory::InMemory;

use super::*;
use crate::disk::Disk;
use crate::ledger::entry::SentColumn;
use crate::ledger::handle::LoadLedger;
use crate::ledger::leftover::{LeftEnd, LeftoversBuilder, Origin};
use crate::ledger::testing::EndingStore;
use crate::object::RecordIds;
use crate::rows::{KeyDigest, RowSet};

/// A thousandth of the real times: a minute of silence is 60 ms, a sign of life comes each 15 ms.
fn waits() -> Waits {
    Waits {
        wait_permille: 1,
        patience: Duration::from_secs(10),
        ..Waits::default()
    }
}

fn contacts() -> LoadIdentity {
    LoadIdentity::new("00D1", "Contact", "people", "a")
}

fn accounts() -> LoadIdentity {
    LoadIdentity::new("00D1", "Account", "firms", "a")
}

fn digest(number: u64) -> KeyDigest {
    KeyDigest::of(&number.to_le_bytes())
}

fn columns() -> Vec<SentColumn> {
    vec![SentColumn {
        name: "LastName".to_owned(),
        form: "1".to_owned(),
    }]
}

async fn begin_at(
    store: &EndingStore,
    attempt: &str,
    loads: &[LoadIdentity],
) -> Result<Ledger, LedgerError> {
    let storage = Storage::of(Arc::new(store.clone()), "rejected/").beside("_ledger");
    let storage = storage.with_waits(waits());
    Ledger::begin(storage, attempt, loads, waits()).await
}

async fn begin(store: &EndingStore, attempt: &str, loads: &[LoadIdentity]) -> Ledger {
    begin_at(store, attempt, loads).await.unwrap()
}

fn store() -> (Arc<InMemory>, EndingStore) {
    let memory = Arc::new(InMemory::new());
    let store = EndingStore::new(Arc::clone(&memory));
    (memory, store)
}

async fn enter(ledger: &LoadLedger, job: &str, rows: std::ops::Range<u64>) {
    let digests: Vec<_> = rows.clone().map(digest).collect();
    ledger
        .enter(job, &columns(), &RowSet::from(rows), &digests)
        .await
        .unwrap();
}

/// Rows of older attempts that may come again, as a new attempt finds them.
async fn open(ledger: &LoadLedger) -> u64 {
    let cursors = ledger.older_cursors().await.unwrap();
    let mut open = 0;
    for name in ledger.older().await.unwrap() {
        let entry = ledger.entry(&name).await.unwrap().unwrap();
        open += cursors.open_rows(&name, &entry.rows).len();
    }
    open
}

/// Expects all open rows of older attempts, as if all were accepted.
async fn expect(ledger: &LoadLedger) {
    let cursors = ledger.older_cursors().await.unwrap();
    let names = ledger.older().await.unwrap();
    let mut rows = LeftoversBuilder::new(Disk::shared());
    for (number, name) in names.iter().enumerate() {
        let entry = ledger.entry(name).await.unwrap().unwrap();
        let open = cursors.open_rows(name, &entry.rows);
        for (row, digest) in entry.rows.iter().zip(entry.digests.iter()) {
            if open.contains(row) {
                let origin = Origin {
                    entry: number as u32,
                    row,
                    end: LeftEnd::Accepted,
                    record: 0,
                };
                rows.add(digest, origin).unwrap();
            }
        }
    }
    let ids = RecordIds::default();
    ledger.expect(names, rows.build().unwrap(), ids).unwrap();
}

fn objects(memory: &InMemory) -> Vec<String> {
    let listed = futures::executor::block_on(async {
        use object_store::ObjectStore as _;
        memory.list(None).try_collect::<Vec<_>>().await.unwrap()
    });
    let mut names: Vec<String> = listed
        .into_iter()
        .map(|meta| meta.location.to_string())
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_place_that_lets_nothing_be_deleted_takes_no_ledger() {
    let (_, store) = store();
    let storage = || Storage::of(Arc::new(store.clone()), "ledger");
    Ledger::prove(storage()).await.unwrap();
    store.end_after(1);
    let error = Ledger::prove(storage()).await.unwrap_err();
    assert_eq!(error.kind(), crate::error::ErrorKind::Config);
    assert!(error.to_string().contains("delete"), "{error}");
}

#[tokio::test]
async fn a_later_attempt_sees_what_was_not_covered() {
    let (memory, store) = store();
    let first = begin(&store, "a1", &[contacts()]).await;
    let load = first.load(&contacts()).unwrap();
    assert!(first.load(&accounts()).is_none());
    enter(&load, "750A", 0..10).await;
    enter(&load, "750B", 10..20).await;
    load.rejected("750B", &RowSet::from(11..12)).await.unwrap();
    let covered = Covered {
        load: &contacts(),
        rows: 5,
    };
    first.cover(&[covered]).await.unwrap();
    first.release().await.unwrap();
    let names = objects(&memory);
    assert!(
        names
            .iter()
            .all(|name| name.starts_with("rejected_ledger/"))
    );

    let second = begin(&store, "a2", &[contacts()]).await;
    let load = second.load(&contacts()).unwrap();
    assert_eq!(open(&load).await, 15);
    let names = load.older().await.unwrap();
    assert_eq!(names[1].attempt(), "a1");
    assert_eq!(load.stored(&names[1]).await.unwrap(), RowSet::from(11..12));
    let entry = load.entry(&names[0]).await.unwrap().unwrap();
    assert_eq!(entry.head.load, contacts());
    assert_eq!(entry.head.columns, columns());
    // What a store has already is never overwritten.
    load.enter("750C", &columns(), &RowSet::new(), &[])
        .await
        .unwrap();
    let rows = RowSet::from(0..1);
    let again = load.enter("750C", &columns(), &rows, &[digest(0)]).await;
    assert!(matches!(again, Err(LedgerError::Taken { .. })), "{again:?}");
}

#[tokio::test]
async fn a_third_attempt_starts_from_the_truth() {
    let (_, store) = store();
    let first = begin(&store, "a1", &[contacts()]).await;
    enter(&first.load(&contacts()).unwrap(), "750A", 0..10).await;
    first.release().await.unwrap();

    let second = begin(&store, "a2", &[contacts()]).await;
    let load = second.load(&contacts()).unwrap();
    expect(&load).await;
    assert_eq!(load.left(), 10);
    // Rows 3, 7 and 8 come again, among others; the first two of them are covered.
    let came = [
        (0, digest(99)),
        (1, digest(3)),
        (2, digest(7)),
        (3, digest(8)),
    ];
    let taken = load.take(0, &came, false).unwrap();
    assert_eq!(taken.rows[&LeftEnd::Accepted], RowSet::from(1..4));
    assert_eq!(load.left(), 7);
    assert!(load.memory() > 0);
    let covered = Covered {
        load: &contacts(),
        rows: 3,
    };
    second.cover(&[covered]).await.unwrap();
    second.release().await.unwrap();

    let third = begin(&store, "a3", &[contacts()]).await;
    let load = third.load(&contacts()).unwrap();
    assert_eq!(open(&load).await, 8, "row 8 was not covered");
    expect(&load).await;
    for (row, found) in [(3, false), (7, false), (8, true), (0, true)] {
        let taken = load.take(0, &[(0, digest(row))], false).unwrap();
        assert_eq!(!taken.rows.is_empty(), found, "row {row}");
    }
}

#[tokio::test]
async fn who_is_at_work_is_not_disturbed_and_who_is_silent_is_replaced() {
    let (_, store) = store();
    let first = begin(&store, "a1", &[contacts(), accounts()]).await;
    let load = first.load(&contacts()).unwrap();
    load.check_held().await.unwrap();
    let busy = begin_at(&store, "a2", &[contacts()]).await.unwrap_err();
    insta::assert_snapshot!(busy, @"another attempt of this sync is at work (a1): two at once would insert rows twice. Wait for its end, or stop it");
    load.check_held().await.unwrap();
    // Without a sign of life it has ended, also if it has not.
    first.0.beating.abort();
    let third = begin(&store, "a3", &[contacts()]).await;
    let lost = load.check_held().await.unwrap_err();
    insta::assert_snapshot!(lost, @"a later attempt of this sync has taken over, since this one showed no sign of life for a minute; it sends what this one has not");
    third.load(&contacts()).unwrap().check_held().await.unwrap();
    // The loads that nobody has taken are still its own.
    first.load(&accounts()).unwrap().check_held().await.unwrap();
    assert!(matches!(first.finish().await, Err(LedgerError::Lost)));
    let covered = Covered {
        load: &contacts(),
        rows: 1,
    };
    sleep(waits().scaled(SILENCE)).await;
    let covering = first.cover(&[covered]).await;
    assert!(matches!(covering, Err(LedgerError::Lost)), "{covering:?}");
}

#[tokio::test]
async fn who_was_silent_once_asks_before_it_covers_anything() {
    let (_, store) = store();
    let first = begin(&store, "a1", &[contacts()]).await;
    first.0.beating.abort();
    begin(&store, "a2", &[contacts()]).await;
    // It goes on after a while in which it stood still, and shows that it lives.
    sleep(waits().scaled(SILENCE)).await;
    first.0.place.put_beat("a1", 7).await.unwrap();
    first.0.life.shown(&waits());
    let load = contacts();
    let covered = Covered {
        load: &load,
        rows: 1,
    };
    let covering = first.cover(&[covered]).await;
    assert!(matches!(covering, Err(LedgerError::Lost)), "{covering:?}");
}

/// Of three attempts the first stands still, and the second ends while it claims the load, after each
/// change that it makes.
#[tokio::test]
async fn a_claim_is_lost_whoever_was_cut_in_between() {
    for changes in 0..5 {
        let (memory, store) = store();
        let first = begin(&store, "a1", &[contacts()]).await;
        first.0.beating.abort();
        store.end_after(changes);
        let second = begin_at(&store, "a2", &[contacts()]).await;
        drop(second);
        let store = EndingStore::new(Arc::clone(&memory));
        let third = begin(&store, "a3", &[contacts()]).await;
        let of_first = first.load(&contacts()).unwrap().check_held().await;
        assert!(
            matches!(of_first, Err(LedgerError::Lost)),
            "after {changes} changes: {of_first:?}"
        );
        third.finish().await.unwrap();
        let mut left = objects(&memory);
        // What has shown that it lives, and claimed nothing, is found after a week.
        left.retain(|name| !name.ends_with("attempts/a2"));
        assert_eq!(left, Vec::<String>::new(), "after {changes} changes");
    }
}

#[tokio::test]
async fn other_loads_are_not_touched() {
    let (memory, store) = store();
    let others = [
        accounts(),
        contacts().with_generation(2),
        LoadIdentity::new("00D1", "Contact", "people", "b"),
    ];
    let first = begin(&store, "a1", &others).await;
    for load in &others {
        enter(&first.load(load).unwrap(), "750A", 0..10).await;
    }
    let covered = Covered {
        load: &accounts(),
        rows: 4,
    };
    first.cover(&[covered]).await.unwrap();
    first.release().await.unwrap();
    let before = objects(&memory);

    let second = begin(&store, "a2", &[contacts()]).await;
    let load = second.load(&contacts()).unwrap();
    assert_eq!(open(&load).await, 0);
    enter(&load, "750B", 0..10).await;
    assert_eq!(second.finish().await.unwrap(), 0);
    assert_eq!(objects(&memory), before, "nothing of its own is left");

    let third = begin(&store, "a3", &[accounts()]).await;
    assert_eq!(open(&third.load(&accounts()).unwrap()).await, 6);
}

#[tokio::test]
async fn a_cursor_is_kept_as_long_as_an_entry_needs_it() {
    let (memory, store) = store();
    let both = [contacts(), accounts()];
    let first = begin(&store, "a1", &both).await;
    for load in &both {
        enter(&first.load(load).unwrap(), "750A", 0..10).await;
    }
    let covered = both.each_ref().map(|load| Covered { load, rows: 10 });
    first.cover(&covered).await.unwrap();
    first.release().await.unwrap();
    let second = begin(&store, "a2", &[contacts()]).await;
    second.finish().await.unwrap();
    let third = begin(&store, "a3", &[accounts()]).await;
    assert_eq!(open(&third.load(&accounts()).unwrap()).await, 0);
    third.finish().await.unwrap();
    // The claim of the load that was finished first is the second's, and gone.
    assert_eq!(objects(&memory), Vec::<String>::new());
}

/// Ends the process after each change that the end of an attempt makes: either the next attempt
/// expects all that was not covered, or nothing.
#[tokio::test]
async fn the_end_is_one_step_wherever_it_is_cut() {
    let mut steps = 0;
    for changes in 0.. {
        let (memory, store) = store();
        let first = begin(&store, "a1", &[contacts(), accounts()]).await;
        enter(&first.load(&contacts()).unwrap(), "750A", 0..10).await;
        enter(&first.load(&accounts()).unwrap(), "750B", 0..10).await;
        first.release().await.unwrap();
        let second = begin(&store, "a2", &[contacts()]).await;
        let load = second.load(&contacts()).unwrap();
        expect(&load).await;
        load.take(0, &[(0, digest(3))], false).unwrap();
        enter(&load, "750C", 1..6).await;
        second.0.beating.abort();
        store.end_after(changes);
        let finished = second.finish().await;
        let ended = store.has_ended();
        drop(second);

        let store = EndingStore::new(memory);
        let third = begin(&store, "a3", &[contacts(), accounts()]).await;
        let left = open(&third.load(&contacts()).unwrap()).await;
        if changes == 0 {
            finished.unwrap_err();
            assert_eq!(left, 15);
        } else {
            assert_eq!(left, 0, "after {changes} changes");
        }
        assert_eq!(open(&third.load(&accounts()).unwrap()).await, 10);
        if !ended {
            break;
        }
        steps += 1;
    }
    assert!(steps >= 5, "{steps} steps");
}

#[tokio::test]
async fn a_store_that_refuses_is_said() {
    let (_, store) = store();
    store.end_after(0);
    let storage = Storage::of(Arc::new(store.clone()), "").with_waits(waits());
    let refused = Ledger::prove(storage).await.unwrap_err();
    assert!(matches!(refused, LedgerError::Storage(_)), "{refused}");
    store.end_after(usize::MAX);
    let storage = Storage::of(Arc::new(store), "").beside("_ledger");
    let proved = Ledger::prove(storage).await.unwrap();
    assert_eq!(proved.prefix(), "_ledger/");
}

#[tokio::test]
async fn a_place_that_cannot_be_listed_takes_no_ledger() {
    let (_, store) = store();
    let storage = Storage::of(Arc::new(store.unlisted()), "ledger");
    let error = Ledger::prove(storage).await.unwrap_err();
    assert_eq!(error.kind(), crate::error::ErrorKind::Config);
    assert!(error.to_string().contains("cannot list"), "{error}");
}

/// A server that knows no conditions says so, or puts all the same.
#[tokio::test]
async fn a_store_that_forgets_its_conditions_is_found_out() {
    let (_, store) = store();
    let storage = Storage::of(Arc::new(store.clone()), "ledger");
    let proved = Ledger::prove(storage).await.unwrap();
    assert!(proved.is_conditional());
    let storage = Storage::of(Arc::new(store.careless()), "ledger");
    let proved = Ledger::prove(storage).await.unwrap();
    assert!(!proved.is_conditional());
}

/// The clock of this machine is a month ahead: what others have entered is not deleted as old, and
/// an attempt whose id is of a later time is an older one all the same.
#[tokio::test]
async fn clocks_that_differ_do_no_harm() {
    let (memory, store) = store();
    let store = store.behind(chrono::TimeDelta::days(30));
    let other = begin(&store, "b", &[accounts()]).await;
    enter(&other.load(&accounts()).unwrap(), "750B", 0..10).await;
    let first = begin(&store, "z1", &[contacts()]).await;
    enter(&first.load(&contacts()).unwrap(), "750A", 0..10).await;
    let load = contacts();
    let covered = Covered {
        load: &load,
        rows: 4,
    };
    first.cover(&[covered]).await.unwrap();
    first.release().await.unwrap();
    drop(first);

    let second = begin(&store, "a2", &[contacts()]).await;
    assert_eq!(open(&second.load(&contacts()).unwrap()).await, 6);
    second.finish().await.unwrap();
    let held = other.load(&accounts()).unwrap().check_held().await;
    held.unwrap();
    assert!(
        objects(&memory)
            .iter()
            .any(|name| name.ends_with("b.750B.entry"))
    );
    other.finish().await.unwrap();
    assert_eq!(objects(&memory), Vec::<String>::new());
}
