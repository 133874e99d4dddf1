//! `kill -9` at seeded moments, and a repetition from the last printed states with other jobs and in
//! another order: no row is lost, and none is doubled but those of states that were covered and not
//! yet printed.
//!
//! Most moments are random: any one of the time that an append takes, measured by one of the same seed
//! that nobody kills. Some are aimed: shortly after a state came. They are counted apart.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use futures::StreamExt as _;

use super::source::{Done, STREAMS, Source};
use super::world::{World, ended, other_jobs, printed};
use crate::harness::process::{Job, Output};
use crate::kills::seeds;

/// Appends that the suite kills at a random moment. By hand, `SIGNALS` says how many.
const KILLS: u64 = 4;
/// Loads that run at once.
const AT_ONCE: usize = 2;
const RECORDS: usize = 800;
const RECORDS_A_STATE: usize = 80;

/// Where kills fall.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moment {
    Random,
    Aimed,
}

/// What came of a run.
#[derive(Debug)]
struct Run {
    moment: Moment,
    /// How often a process was killed.
    kills: usize,
    doubled: usize,
}

/// How long an append takes that nobody kills.
#[derive(Debug, Clone, Copy)]
struct Length {
    start: Duration,
    load: Duration,
}

// Threads enough that no judge keeps a server from answering: that would widen the window.
#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn a_killed_append_that_is_repeated_loses_and_doubles_nothing() {
    let random = seeds(KILLS);
    let moments = (0..random).map(|seed| (seed, Moment::Random));
    let aimed = (0..=random / 4).map(|seed| (random + seed, Moment::Aimed));
    let runs = futures::stream::iter(moments.chain(aimed))
        .map(|(seed, moment)| tokio::spawn(kill_and_repeat(seed, moment)));
    let runs: Vec<Run> = runs
        .buffer_unordered(AT_ONCE)
        .map(Result::unwrap)
        .collect()
        .await;
    for moment in [Moment::Random, Moment::Aimed] {
        let runs: Vec<&Run> = runs.iter().filter(|run| run.moment == moment).collect();
        let kills: usize = runs.iter().map(|run| run.kills).sum();
        let doubled = runs.iter().map(|run| run.doubled);
        let doubled: Vec<usize> = doubled.filter(|doubled| *doubled > 0).collect();
        println!(
            "{moment:?}: {kills} kills in {} runs; between the cursor and the print fell {}: {doubled:?}",
            runs.len(),
            doubled.len()
        );
        assert!(
            moment == Moment::Aimed || doubled.len() <= 1 + kills / 50,
            "{} of {kills} kills doubled rows",
            doubled.len()
        );
    }
}

async fn kill_and_repeat(seed: u64, moment: Moment) -> Run {
    let source = Source::new(seed % 2 == 1, RECORDS, RECORDS_A_STATE);
    let mut random = fastrand::Rng::with_seed(seed);
    let length = match moment {
        Moment::Random => Some(measure(&source, random.clone()).await),
        Moment::Aimed => None,
    };
    let world = World::start_open().await;
    let mut job = world.job(&source);
    let mut done: Done = [0; STREAMS];
    let (mut outputs, mut kills) = (Vec::new(), 0);
    let (mut known, mut not_printed) = (BTreeSet::new(), 0);
    let mut has_ended = false;
    for number in 0..1 + usize::from(seed.is_multiple_of(3)) {
        job = other_jobs(job, &mut random);
        let lines = source.lines(done, &mut random);
        let killed = match length {
            Some(length) if number == 0 => kill_within(&job, lines, length, &mut random).await,
            Some(length) => {
                let left = RECORDS * STREAMS - done.iter().sum::<usize>();
                let share = left as f64 / (RECORDS * STREAMS) as f64;
                kill_after_start(&job, lines, length, share, &mut random).await
            }
            None => kill_behind_a_state(&job, lines, &mut random).await,
        };
        // On a busy machine a load may be through before it is killed.
        has_ended = killed.code == Some(0);
        let before: usize = done.iter().sum();
        done = source.done(&killed, done);
        outputs.push(killed);
        if has_ended {
            break;
        }
        kills += 1;
        // What the process had asked for last may still be done.
        tokio::time::sleep(Duration::from_millis(200)).await;
        let covered = world.covered().into_iter();
        let own = covered.filter(|(attempt, _)| known.insert(attempt.clone()));
        let covered: u64 = own.map(|(_, covered)| covered).sum();
        let printed = done.iter().sum::<usize>() - before;
        not_printed += (covered as usize).saturating_sub(printed);
    }
    if !has_ended {
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
    Run {
        moment,
        kills,
        doubled: judged.doubled,
    }
}

/// Loads all in a world of its own.
async fn measure(source: &Source, mut random: fastrand::Rng) -> Length {
    let world = World::start_open().await;
    let job = other_jobs(world.job(source), &mut random);
    let lines = source.lines([0; STREAMS], &mut random);
    let began = Instant::now();
    let mut running = job.start_write();
    running.wait_for_log("the org is ready").await;
    let start = began.elapsed();
    running.feed(lines);
    running.finish().await.succeeded();
    Length {
        start,
        load: began.elapsed() - start,
    }
}

/// Kills at any moment of the load.
async fn kill_within(
    job: &Job,
    lines: Vec<String>,
    length: Length,
    random: &mut fastrand::Rng,
) -> Output {
    let mut running = job.start_write();
    running.wait_for_log("the org is ready").await;
    running.feed(lines);
    tokio::select! {
        () = tokio::time::sleep(length.load.mul_f64(random.f64())) => running.kill().await,
        () = ended(&running) => running.finish().await,
    }
}

/// Kills at any moment of a repetition, in which older jobs are resolved before a share of the rows
/// comes again.
async fn kill_after_start(
    job: &Job,
    lines: Vec<String>,
    length: Length,
    share: f64,
    random: &mut fastrand::Rng,
) -> Output {
    let length = 2 * length.start + length.load.mul_f64(share);
    let mut running = job.start_write();
    running.feed(lines);
    tokio::select! {
        () = tokio::time::sleep(length.mul_f64(random.f64())) => running.kill().await,
        () = ended(&running) => running.finish().await,
    }
}

/// Kills shortly after a state came, and so, rather often, while the next one is covered.
async fn kill_behind_a_state(job: &Job, lines: Vec<String>, random: &mut fastrand::Rng) -> Output {
    let mut running = job.start_write();
    running.feed(lines);
    // Near the end, few states are left to wait for.
    let least = random.usize(1..=RECORDS / RECORDS_A_STATE / 2);
    let behind = Duration::from_millis(random.u64(0..300));
    tokio::select! {
        () = printed(&running, least) => {
            tokio::time::sleep(behind).await;
            running.kill().await
        }
        () = ended(&running) => running.finish().await,
    }
}
