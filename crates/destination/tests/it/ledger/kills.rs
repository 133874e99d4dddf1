//! `kill -9` at seeded moments, and a repetition from the last printed states with other jobs and in
//! another order: no row is lost, and none is doubled but those of states that were covered and not
//! yet printed.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::StreamExt as _;

use super::source::{Done, STREAMS, Source};
use super::world::{World, other_jobs};
use crate::kills::seeds;

const KILLS: u64 = 6;
/// Loads that run at once.
const AT_ONCE: usize = 2;
const RECORDS: usize = 400;
const RECORDS_A_STATE: usize = 80;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_append_that_is_repeated_loses_and_doubles_nothing() {
    let seeds = seeds(KILLS);
    let kills = futures::stream::iter(0..seeds).map(|seed| tokio::spawn(kill_and_repeat(seed)));
    let runs: Vec<(usize, usize)> = kills
        .buffer_unordered(AT_ONCE)
        .map(Result::unwrap)
        .collect()
        .await;
    let kills: usize = runs.iter().map(|(kills, _)| kills).sum();
    let doubled: Vec<usize> = runs.iter().map(|(_, doubled)| *doubled).collect();
    let count = doubled.iter().filter(|doubled| **doubled > 0).count();
    println!("{kills} kills in {seeds} runs: {count} fell between the cursor and the print");
    assert!(
        count as u64 <= 1 + seeds / 4,
        "{count} of {seeds} doubled rows: {doubled:?}"
    );
}

/// Returns how often a process was killed, and how many rows are doubled.
async fn kill_and_repeat(seed: u64) -> (usize, usize) {
    let mut random = fastrand::Rng::with_seed(seed);
    let world = World::start().await;
    let source = Source::new(seed % 2 == 1, RECORDS, RECORDS_A_STATE);
    let mut job = world.job(&source);
    let mut done: Done = [0; STREAMS];
    let (mut outputs, mut kills) = (Vec::new(), 0);
    let (mut known, mut not_printed) = (BTreeSet::new(), 0);
    let mut ended = false;
    for number in 0..1 + usize::from(seed.is_multiple_of(3)) {
        job = other_jobs(job, &mut random);
        let mut running = job.start_write();
        running.feed(source.lines(done, &mut random));
        // Near the end, few states are left to wait for.
        if random.bool() && number == 0 {
            let states = random.usize(1..=RECORDS / RECORDS_A_STATE / 2);
            running.wait_for_states(states).await;
            tokio::time::sleep(Duration::from_millis(random.u64(0..300))).await;
        } else {
            running.wait_for_log("the org is ready").await;
            tokio::time::sleep(Duration::from_millis(random.u64(0..2_000))).await;
        }
        let killed = running.kill().await;
        // On a busy machine a load may be through before it is killed.
        ended = killed.code == Some(0);
        kills += usize::from(!ended);
        let before: usize = done.iter().sum();
        done = source.done(&killed, done);
        outputs.push(killed);
        if !ended {
            let covered = world.covered().into_iter();
            let own = covered.filter(|(attempt, _)| known.insert(attempt.clone()));
            let covered: u64 = own.map(|(_, covered)| covered).sum();
            let printed = done.iter().sum::<usize>() - before;
            not_printed += (covered as usize).saturating_sub(printed);
        }
        if ended {
            break;
        }
    }
    if !ended {
        job = other_jobs(job, &mut random);
        let lines = source.lines(done, &mut random);
        outputs.push(job.write(&lines).await.succeeded());
    }
    assert!(
        world.ledger().is_empty(),
        "seed {seed}: {:?}",
        world.ledger()
    );
    let judged = source.judge(&world.sim).await;
    let (all, by_rule) = source.judge_rejects(&world.s3.objects(), &outputs);
    assert_eq!(judged.lost, 0, "seed {seed}");
    assert_eq!((all.lost, by_rule.lost), (0, 0), "seed {seed}");
    assert!(
        judged.doubled + by_rule.doubled <= not_printed,
        "seed {seed}: {judged:?}, rejected ones {by_rule:?}, {not_printed} were covered and not printed"
    );
    if judged.doubled > 0 {
        println!("seed {seed}: {} rows are doubled", judged.doubled);
    }
    (kills, judged.doubled)
}
