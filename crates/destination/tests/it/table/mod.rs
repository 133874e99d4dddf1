//! The fault table: what a load does about each fault of each call.

mod cell;
mod faults;
mod scenario;

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use self::faults::{Course, FAULTS};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn probe() {
    let only = std::env::var("CELLS").unwrap_or_default();
    let mut tasks = JoinSet::new();
    let slots = Arc::new(Semaphore::new(12));
    let waiting = Arc::new(Semaphore::new(64));
    for scenario in scenario::all() {
        for (fault, _) in FAULTS {
            for course in [Course::Passes, Course::Lasts] {
                let name = format!("{}\t{}\t{}\t{course:?}", scenario.call, if scenario.keyed {"keyed"} else {"insert"}, fault);
                if !only.split(',').all(|part| name.contains(part)) {
                    continue;
                }
                let slots = Arc::clone(if fault == "no_answer" { &waiting } else { &slots });
                tasks.spawn(async move {
                    let _slot = slots.acquire_owned().await.unwrap();
                    let found = cell::run(scenario, fault, course).await;
                    println!("{name}\t{}\t{:?}\t{}", found.end, found.wrong, found.message);
                });
            }
        }
    }
    while let Some(done) = tasks.join_next().await {
        if let Err(error) = done {
            println!("PANIC {error}");
        }
    }
}
