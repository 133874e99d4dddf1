//! `kill -9` at chosen requests, before and after they are done, and a repetition with other jobs and
//! in another order: no row is lost, and none is doubled but those of states that were covered and not
//! printed.

use std::collections::BTreeMap;

use futures::StreamExt as _;
use testkit::gate::{Halt, Seen, Side};

use super::source::{Done, STREAMS, Source};
use super::world::{World, ended, has, is_named, other_jobs, printed};
use crate::harness::process::{Job, Output};

const RECORDS: usize = 120;
const RECORDS_A_STATE: usize = 30;
/// Loads that run at once.
const AT_ONCE: usize = 2;

/// Where a process is killed.
#[derive(Debug, Clone, Copy)]
enum Point {
    /// At a request of this name.
    Request(&'static str, Side, fn(&Seen<'_>) -> bool),
    /// After a state was printed.
    Print,
}

impl Point {
    fn name(&self) -> String {
        match self {
            Self::Request(name, side, _) => format!("{side:?} {name}"),
            Self::Print => "After print".to_owned(),
        }
    }

    /// A state that was covered before the kill may not have been printed.
    fn may_double(&self) -> bool {
        matches!(self, Self::Request("cursor", Side::After, _) | Self::Print)
    }
}

type Requests = (&'static str, fn(&Seen<'_>) -> bool);

/// Requests of an attempt, in the order of a job's life.
const OF_A_JOB: [Requests; 9] = [
    ("create", |seen| {
        seen.method == "POST" && seen.path.ends_with("/jobs/ingest")
    }),
    ("entry", |seen| {
        seen.method == "PUT" && seen.path.contains("_ledger/entries/") && is_named(seen, ".entry")
    }),
    ("upload", |seen| {
        seen.method == "PUT" && seen.path.ends_with("/batches")
    }),
    ("close", |seen| {
        seen.method == "PATCH" && has(seen.body, "UploadComplete")
    }),
    ("poll", |seen| {
        seen.method == "GET" && seen.path.contains("/jobs/ingest") && !is_of_results(seen)
    }),
    ("results", is_of_results),
    ("rejects", |seen| {
        let is_test = seen.path.contains("_check_test") || seen.path.contains("_ledger/");
        seen.method == "PUT" && seen.path.contains("rejected_records/") && !is_test
    }),
    ("marker", |seen| {
        seen.method == "PUT" && seen.path.contains("_ledger/") && is_named(seen, ".rejected")
    }),
    ("cursor", |seen| {
        seen.method == "PUT" && seen.path.contains("_ledger/cursors/")
    }),
];

/// Requests of an attempt that finds what an earlier one has left, and of its end.
const OF_A_REPETITION: [Requests; 10] = [
    ("claim", |seen| {
        seen.method == "PUT" && seen.path.contains("_ledger/owners/")
    }),
    ("claim deleted", |seen| is_deleted(seen, "_ledger/owners/")),
    ("list of entries", |seen| {
        seen.method == "GET" && seen.path.contains("list-type=2") && seen.path.contains("entries")
    }),
    ("entry read", |seen| {
        seen.method == "GET" && seen.path.contains("_ledger/entries/") && is_named(seen, ".entry")
    }),
    ("abort", |seen| {
        seen.method == "PATCH" && has(seen.body, "Aborted")
    }),
    ("results", is_of_results),
    ("cursor", |seen| {
        seen.method == "PUT" && seen.path.contains("_ledger/cursors/")
    }),
    ("entry deleted", |seen| is_deleted(seen, "_ledger/entries/")),
    ("cursor deleted", |seen| {
        is_deleted(seen, "_ledger/cursors/")
    }),
    ("sign of life deleted", |seen| {
        is_deleted(seen, "_ledger/attempts/")
    }),
];

fn is_of_results(seen: &Seen<'_>) -> bool {
    seen.method == "GET" && seen.path.contains("Results")
}

fn is_deleted(seen: &Seen<'_>, part: &str) -> bool {
    match seen.method {
        "DELETE" => seen.path.contains(part),
        "POST" => seen.path.contains("delete") && has(seen.body, part),
        _ => false,
    }
}

/// What a run came to.
#[derive(Debug, Default)]
struct Run {
    /// Points that were hit.
    hit: Vec<String>,
    /// Rows that are doubled though no kill fell between a cursor and a print, and those where one did.
    doubled: [usize; 2],
    lost: usize,
    faults: Vec<String>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_row_is_lost_or_doubled_wherever_a_process_is_killed() {
    // `POINTS=5` hits each point so often. The suite hits each request on one side.
    let times = std::env::var("POINTS").map(|times| times.parse().unwrap());
    let sides = [Side::Before, Side::After];
    let few = times.is_err();
    let points = OF_A_JOB
        .iter()
        .enumerate()
        .flat_map(|(number, (name, at))| {
            let of_suite = move |side: &usize| !few || *side == number % 2;
            let sides = (0..2).filter(of_suite).map(move |side| sides[side]);
            sides.map(|side| Point::Request(name, side, *at))
        });
    let points = points.chain([Point::Print]);
    let times = times.unwrap_or(1);
    let runs = points.flat_map(|point| (0..times).map(move |time| (point, time)));
    let runs = runs
        .enumerate()
        .map(|(seed, (point, _))| tokio::spawn(kill_and_repeat(seed as u64, point)));
    let mut hits = BTreeMap::<String, usize>::new();
    let (mut faults, mut doubled, mut count) = (Vec::new(), [0; 2], 0);
    let mut runs = futures::stream::iter(runs).buffer_unordered(AT_ONCE);
    while let Some(run) = runs.next().await {
        let run = run.unwrap();
        count += 1;
        for point in run.hit {
            *hits.entry(point).or_default() += 1;
        }
        for (all, of_run) in doubled.iter_mut().zip(run.doubled) {
            *all += usize::from(of_run > 0);
        }
        faults.extend(run.faults);
    }
    println!("{count} runs; hits: {hits:#?}");
    println!("{} runs doubled rows between cursor and print", doubled[1]);
    assert!(faults.is_empty(), "{faults:#?}");
    let first: usize = hits
        .iter()
        .filter(|(point, _)| !point.starts_with("2nd"))
        .map(|(_, hits)| hits)
        .sum();
    assert_eq!(first, count, "a point was not hit");
}

async fn kill_and_repeat(seed: u64, point: Point) -> Run {
    let random = &mut fastrand::Rng::with_seed(seed);
    let world = World::start().await;
    let source = Source::new(random.bool(), RECORDS, RECORDS_A_STATE);
    let mut job = world.job(&source);
    let mut run = Run::default();
    let mut may_double = false;
    let mut done: Done = [0; STREAMS];
    let mut outputs = Vec::new();
    let mut points = vec![point];
    if random.u8(0..3) == 0 {
        let (name, at) = *random.choice(&OF_A_REPETITION).unwrap();
        let side = *random.choice(&[Side::Before, Side::After]).unwrap();
        points.push(Point::Request(name, side, at));
    }
    let mut ended = false;
    for (number, point) in points.into_iter().enumerate() {
        job = other_jobs(job, random);
        if number == 0 {
            // So many that the point is reached.
            job = job.set("max_job_rows", random.u32(8..30));
        }
        let skip = random.usize(0..2);
        let (output, is_hit) = until(&world, &job, source.lines(done, random), point, skip).await;
        ended = output.code == Some(0);
        if is_hit {
            let time = if number == 0 { "" } else { "2nd: " };
            run.hit.push(format!("{time}{}", point.name()));
            may_double |= point.may_double();
        } else if !ended {
            run.faults
                .push(format!("seed {seed}: {point:?} is not hit: {output:#?}"));
        }
        done = source.done(&output, done);
        outputs.push(output);
        if ended {
            break;
        }
    }
    world.halts.arm(None);
    if !ended {
        job = other_jobs(job, random);
        let output = job.write(&source.lines(done, random)).await;
        if output.code != Some(0) {
            run.faults
                .push(format!("seed {seed}, {point:?}: {output:#?}"));
        }
        outputs.push(output);
    }
    let judged = source.judge(&world.sim).await;
    run.lost = judged.lost;
    run.doubled[usize::from(may_double)] = judged.doubled;
    let most = if may_double { STREAMS * RECORDS } else { 0 };
    if judged.lost > 0 || judged.doubled > most {
        run.faults
            .push(format!("seed {seed}, {:?}: {judged:?}", run.hit));
    }
    let (all, by_rule) = source.judge_rejects(&world.s3.objects(), &outputs);
    if all.lost > 0 {
        run.faults.push(format!(
            "seed {seed}, {:?}: rejected records: {all:?}",
            run.hit
        ));
    }
    if by_rule.lost > 0 || (by_rule.doubled > 0 && !may_double) {
        run.faults.push(format!(
            "seed {seed}, {:?}: by the rule: {by_rule:?}",
            run.hit
        ));
    }
    if !world.ledger().is_empty() {
        run.faults
            .push(format!("seed {seed}, {:?}: {:?}", run.hit, world.ledger()));
    }
    run
}

/// Runs an attempt until it is killed at a point. Returns whether it was.
async fn until(
    world: &World,
    job: &Job,
    lines: Vec<String>,
    point: Point,
    skip: usize,
) -> (Output, bool) {
    let halt = match point {
        Point::Request(_, side, at) => Some(Halt { at, skip, side }),
        Point::Print => None,
    };
    world.halts.arm(halt);
    let mut running = job.start_write();
    running.feed(lines);
    let hit = tokio::select! {
        () = world.halts.hit() => true,
        () = printed(&running, skip + 1), if halt.is_none() => true,
        () = ended(&running) => false,
    };
    let output = if hit {
        running.kill().await
    } else {
        running.finish().await
    };
    let hit = hit && output.code.is_none();
    (output, hit)
}
