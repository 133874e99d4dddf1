use futures::FutureExt;

use super::*;
use crate::options::MIN_MEMORY;

fn admission(jobs: usize) -> Arc<Admission> {
    let options = OrgOptions::default()
        .with_max_jobs_in_flight(jobs)
        .with_memory_limit_bytes(MIN_MEMORY);
    Arc::new(Admission::new(&options))
}

#[tokio::test]
async fn who_waits_for_a_slot_and_is_cancelled_crowds_no_longer() {
    let (admission, stop) = (admission(1), CancellationToken::new());
    let [contacts, accounts] = ["Contact", "Account"].map(|of| admission.jobs_into(of, false));
    let slot = admission.job_slot(&contacts, &stop).await;
    assert!(!admission.is_crowded(&contacts));
    let mut waiting = Box::pin(admission.job_slot(&accounts, &stop));
    assert!(waiting.as_mut().now_or_never().is_none());
    assert!(admission.is_crowded(&contacts) && admission.is_crowded(&accounts));
    let changed = admission.changed().changed();
    drop(waiting);
    assert!(!admission.is_crowded(&contacts));
    changed.await;
    drop(slot);
}

/// Memory that is used up, and by what.
fn used_up(admission: &Admission) -> Reservation {
    let all = usize::try_from(MIN_MEMORY).unwrap();
    admission.budget().reserve(all)
}

fn member(admission: &Admission) -> Arc<Member> {
    admission.register(&Arc::new(RowStore::default()))
}

#[tokio::test]
async fn an_open_chunk_that_grows_after_the_pressure_is_closed_all_the_same() {
    let admission = admission(1);
    let load = member(&admission);
    let (all, moving) = (used_up(&admission), admission.under_way());
    let (waiting, own) = (Arc::clone(&admission), Arc::clone(&load));
    let waiting = tokio::spawn(async move { waiting.memory(1, &own).await.map(drop) });
    // It finds nothing to close at first.
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    load.set_open_bytes(100);
    assert_eq!(load.pressure().await, Pressure::Memory);
    drop((all, moving));
    waiting.await.unwrap().unwrap();
}

/// Whether `wanted` gets what it waits for without any change.
async fn at_once<T>(wanted: impl Future<Output = T>) -> bool {
    let soon = std::time::Duration::from_millis(50);
    tokio::time::timeout(soon, wanted).await.is_ok()
}

#[tokio::test]
async fn who_waits_while_something_moves_gets_memory_when_nothing_does() {
    let admission = admission(1);
    let (one, two) = (member(&admission), member(&admission));
    let _all = used_up(&admission);
    let ask = || admission.memory(1 << 20, &one);
    assert!(at_once(ask()).await, "nothing would free any");

    let chunk = admission.under_way();
    assert!(!at_once(ask()).await, "a chunk is under way");
    drop(chunk);
    assert!(at_once(ask()).await);

    let granted = admission.memory(1 << 20, &two).await.unwrap();
    assert!(!at_once(ask()).await, "one at a time");
    let waits = two.wait();
    assert!(at_once(ask()).await, "it waits for memory with its intake");
    drop(waits);
    assert!(!at_once(ask()).await);
    two.set_open_bytes(1);
    drop(granted);
    assert!(!at_once(ask()).await, "a chunk can be closed");
    two.set_open_bytes(0);
    assert!(at_once(ask()).await);
}

#[tokio::test]
async fn who_asks_for_much_is_not_overtaken_by_who_asks_for_little() {
    let admission = admission(1);
    let load = member(&admission);
    let most = 4 * admission.budget().worth_a_job();
    let (rows, moving) = (
        admission.budget().reserve(most - (1 << 20)),
        admission.under_way(),
    );
    assert!(at_once(admission.memory(1, &load)).await, "there is some");
    let (waiting, own) = (Arc::clone(&admission), Arc::clone(&load));
    let much = tokio::spawn(async move { waiting.memory(8 << 20, &own).await.map(drop) });
    tokio::task::yield_now().await;
    assert!(!at_once(admission.memory(1, &load)).await);
    drop((rows, moving));
    much.await.unwrap().unwrap();
    assert!(at_once(admission.memory(1, &load)).await);
}

#[tokio::test]
async fn chunks_that_wait_for_memory_do_not_wait_for_each_other() {
    let admission = admission(1);
    let _all = used_up(&admission);
    let chunks = [admission.under_way(), admission.under_way()];
    assert!(!at_once(chunks[0].memory(1)).await, "the other one moves");
    let both = chunks.map(|chunk| {
        tokio::spawn(async move {
            let memory = chunk.memory(1).await;
            // Now it moves, and ends.
            tokio::task::yield_now().await;
            drop(memory);
        })
    });
    for chunk in both {
        let soon = std::time::Duration::from_secs(30);
        tokio::time::timeout(soon, chunk).await.unwrap().unwrap();
    }
    assert!(admission.nothing_moves());
}
