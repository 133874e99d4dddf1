//! What a seed means: streams, settings, the org and its faults, and how the process ends.

use std::ops::RangeInclusive;
use std::time::Duration;

use fastrand::Rng;
use serde_json::{Map, Value, json};
use testkit::bucket_faults::BucketFault;

use super::cells::{self, From, Turn};
use super::faults::{self, Fate, OrgFault};
use super::shapes::{SHAPES, Shape};

/// A process and its surroundings, all of it drawn from a seed.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) seed: u64,
    pub(super) streams: Vec<StreamPlan>,
    pub(super) states: StatesOf,
    /// Records between two states, roughly.
    pub(super) records_a_state: usize,
    /// Characters that a state has beside its cursor.
    pub(super) state_size: usize,
    /// Settings of the destination.
    pub(super) settings: Map<String, Value>,
    /// Whether a null clears a field.
    pub(super) clears: bool,
    pub(super) rejects: RejectsTo,
    /// Options of the org.
    pub(super) org: Value,
    pub(super) faults: Vec<OrgFault>,
    pub(super) bucket_faults: Vec<BucketFault>,
    /// What the faults let the process come to.
    pub(super) fate: Fate,
    pub(super) ending: Ending,
    pub(super) reader: Reader,
}

/// A stream and its size.
#[derive(Debug)]
pub(super) struct StreamPlan {
    pub(super) name: String,
    pub(super) namespace: Option<String>,
    pub(super) shape: &'static Shape,
    pub(super) operation: Operation,
    pub(super) rows: usize,
    /// Records that are in the org before, whose Ids updates and deletes name.
    pub(super) existing: usize,
    /// Keys that the rows of an upsert share.
    pub(super) keys: usize,
    /// Whether inserted records have a unique key, by which the org refuses a second one.
    pub(super) with_key: bool,
    /// The share of records that are refused for what they hold.
    pub(super) bad: f64,
    /// Characters of a long text, in the share of records that has one.
    pub(super) long_text: usize,
    pub(super) long_share: f64,
}

impl StreamPlan {
    /// Has its load make calls that not every load makes.
    fn make(&mut self, from: From) {
        const ROWS: RangeInclusive<usize> = 20..=200;
        match from {
            From::Any => return,
            From::Insert => self.operation = Operation::Insert,
            From::Small => {
                self.operation = Operation::Upsert;
                self.rows = self.rows.min(*ROWS.end());
                self.long_share = 0.0;
            }
        }
        self.rows = self.rows.max(*ROWS.start());
        self.with_key = true;
        self.existing = 0;
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    Insert,
    Upsert,
    Update,
    Delete,
}

impl Operation {
    /// As the catalog names it.
    pub(super) fn mode(self) -> &'static str {
        match self {
            Self::Insert => "append",
            Self::Upsert => "append_dedup",
            Self::Update => "update",
            Self::Delete => "soft_delete",
        }
    }

    /// Whether records are found by a key.
    pub(super) fn is_keyed(self) -> bool {
        self != Self::Insert
    }

    /// Whether the records must be there before.
    pub(super) fn needs_records(self) -> bool {
        matches!(self, Self::Update | Self::Delete)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StatesOf {
    Streams,
    Global,
    Legacy,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RejectsTo {
    Nowhere,
    Folder,
    Bucket,
}

/// How the process comes to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// All input is read.
    Itself,
    /// stdin is closed after a share of the lines, in thousandths, perhaps within a line.
    Cut {
        permille: usize,
        within_a_line: bool,
    },
    /// SIGKILL.
    Kill(Moment),
    /// SIGTERM.
    Terminate(Moment),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moment {
    /// This many states are printed.
    States(usize),
    /// This many jobs were created.
    Jobs(usize),
    /// So long after the start.
    Time(Duration),
}

/// How stdout is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reader {
    /// As soon as there is something.
    Fast,
    /// Not for so long at the start.
    Blocked(Duration),
    /// Now and then.
    Slow,
}

/// Rows of all streams, at most.
const MOST_ROWS: usize = 20_000;
/// Most bytes of long texts, of all streams.
const MOST_TEXT: f64 = 24e6;

impl Plan {
    pub(super) fn new(seed: u64) -> Self {
        let random = &mut Rng::with_seed(seed);
        let turn = Turn::of(seed);
        let mut streams = streams(random);
        streams[0].make(turn.call.from);
        let rows: usize = streams.iter().map(|stream| stream.rows).sum();
        let clears = random.u8(..4) == 0;
        let rejects = match random.u8(..10) {
            0..2 => RejectsTo::Nowhere,
            2..6 => RejectsTo::Folder,
            _ => RejectsTo::Bucket,
        };
        let mut settings = settings(random, rows);
        if clears {
            settings.insert("null_handling".into(), json!("clear"));
        }
        if random.u8(..4) == 0 {
            settings.insert("validate".into(), json!("strict"));
        }
        let mut org = org(random);
        if streams
            .iter()
            .any(|stream| stream.operation == Operation::Delete)
            && random.bool()
        {
            settings.insert("hard_delete".into(), json!(true));
            org["hard_delete"] = json!(true);
        }
        let rotates = org["rotate_refresh_token"] == json!(true);
        let drawn = faults::draw(
            random,
            &streams,
            rotates,
            rejects == RejectsTo::Bucket,
            &turn,
        );
        if drawn
            .org
            .iter()
            .any(|fault| fault.cell == cells::NEVER_ENDS)
        {
            settings.insert("job_timeout_seconds".into(), json!(100));
        }
        Self {
            seed,
            states: match random.u8(..10) {
                0..6 => StatesOf::Streams,
                6..9 => StatesOf::Global,
                _ => StatesOf::Legacy,
            },
            records_a_state: (rows / random.usize(2..40)).max(1),
            state_size: match random.u8(..20) {
                0 => 300_000,
                1..4 => 3_000,
                _ => 0,
            },
            settings,
            clears,
            rejects,
            org,
            faults: drawn.org,
            bucket_faults: drawn.bucket,
            fate: drawn.fate,
            ending: match ending(random, rows) {
                _ if turn.is_whole => Ending::Itself,
                ending => ending,
            },
            reader: match random.u8(..10) {
                0 => Reader::Blocked(Duration::from_millis(random.u64(50..2_000))),
                1 => Reader::Slow,
                _ => Reader::Fast,
            },
            streams,
        }
    }

    /// The plan of a seed without its faults, whose process is stopped on the way.
    pub(super) fn stopped(seed: u64, signal: fn(Moment) -> Ending) -> Self {
        let random = &mut Rng::with_seed(seed ^ 0x5709);
        let mut plan = Self::new(seed);
        plan.faults.clear();
        plan.bucket_faults.clear();
        plan.fate = Fate::Passes;
        plan.ending = signal(moment(random));
        plan.org["job_time"] = milliseconds(random.u64(50..800));
        plan
    }

    /// Whether records of a stream may be refused though nothing is wrong with them.
    /// The faults of the org, as it is given them.
    pub(super) fn org_faults(&self) -> Vec<Value> {
        let faults = self.faults.iter();
        faults.map(|fault| fault.fault.clone()).collect()
    }

    pub(super) fn may_refuse_good_rows(&self, stream: usize) -> bool {
        let object = self.streams[stream].shape.object;
        let mut faults = self.faults.iter();
        faults.any(|fault| fault.refuses_rows && fault.concerns(object))
    }
}

fn streams(random: &mut Rng) -> Vec<StreamPlan> {
    let count = match random.u8(..50) {
        0 => 40,
        1..20 => 1,
        20..35 => 2,
        _ => random.usize(3..=6),
    };
    let mut rows_left = MOST_ROWS;
    let mut text_left = MOST_TEXT;
    // Two streams of one object are as likely as not.
    let objects = if random.bool() { SHAPES.len() } else { 1 };
    let first = random.usize(..SHAPES.len());
    (0..count)
        .map(|number| {
            let operation = match random.u8(..10) {
                0..4 => Operation::Insert,
                4..7 => Operation::Upsert,
                7..9 => Operation::Update,
                _ => Operation::Delete,
            };
            let rows = match random.u8(..100) {
                _ if count > 6 => random.usize(0..60),
                0..5 => 0,
                5..10 => 1,
                10..25 => 10,
                25..75 => random.usize(20..300),
                75..99 => random.usize(300..1_500),
                _ => 20_000,
            };
            let rows = rows.min(rows_left);
            rows_left -= rows;
            let long_text = *random.choice(&[0, 0, 200, 3_000, 20_000]).unwrap_or(&0);
            let long_share = (text_left / (rows * long_text).max(1) as f64).min(random.f64());
            text_left -= long_share * (rows * long_text) as f64;
            let keys = match random.u8(..4) {
                0 => rows.div_ceil(20),
                1 => rows.div_ceil(2),
                _ => rows,
            }
            .max(1);
            StreamPlan {
                name: format!("stream_{number}"),
                namespace: (random.u8(..3) == 0).then(|| "marts".to_owned()),
                shape: &SHAPES[(first + random.usize(..objects)) % SHAPES.len()],
                operation,
                rows,
                existing: if operation.needs_records() { keys } else { 0 },
                keys,
                with_key: random.bool(),
                bad: match random.u8(..8) {
                    0 => 0.9,
                    1..3 => 0.2,
                    3..6 => 0.02,
                    _ => 0.0,
                },
                long_text,
                long_share,
            }
        })
        .collect()
}

fn settings(random: &mut Rng, rows: usize) -> Map<String, Value> {
    let mut settings = Map::new();
    // So many jobs at most, since each costs a few calls.
    let least_rows = rows.div_ceil(60).max(1);
    match random.u8(..10) {
        0..5 => {
            let job_rows = least_rows.max(random.usize(1..2_000));
            settings.insert("max_job_rows".into(), json!(job_rows));
        }
        5..8 => {
            let job_bytes = random.usize(200_000..4_000_000);
            settings.insert("max_job_bytes".into(), json!(job_bytes));
        }
        _ => {}
    }
    settings.insert("max_jobs_in_flight".into(), json!(random.usize(1..=8)));
    let memory = *random.choice(&[128, 192, 1024]).unwrap_or(&128);
    settings.insert("memory_limit_bytes".into(), json!(memory << 20_u32));
    settings.insert("flush_interval_seconds".into(), json!(random.usize(1..20)));
    settings.insert("stop_grace_seconds".into(), json!(random.usize(0..4)));
    settings.insert("wait_permille".into(), json!(WAIT_PERMILLE));
    settings
}

/// All pauses of the process are this much of their length.
const WAIT_PERMILLE: u32 = 40;

fn org(random: &mut Rng) -> Value {
    let mut org = json!({
        "job_time": milliseconds(*random.choice(&[0, 0, 20, 150, 600]).unwrap_or(&0)),
        "shuffle": random.bool(),
        "shuffle_processing": random.u8(..4) > 0,
        "refuse_duplicates": random.bool(),
        "reformat_numbers": random.bool(),
    });
    if random.u8(..6) == 0 {
        org["rotate_refresh_token"] = json!(true);
    }
    if random.u8(..6) == 0 {
        org["token_lifetime"] = milliseconds(random.u64(2_000..6_000));
    }
    org
}

fn milliseconds(ms: u64) -> Value {
    json!({"secs": ms / 1000, "nanos": ms % 1000 * 1_000_000})
}

fn moment(random: &mut Rng) -> Moment {
    match random.u8(..3) {
        0 => Moment::States(random.usize(1..12)),
        1 => Moment::Jobs(random.usize(1..12)),
        _ => Moment::Time(Duration::from_millis(random.u64(20..2_500))),
    }
}

fn ending(random: &mut Rng, rows: usize) -> Ending {
    match random.u8(..20) {
        _ if rows == 0 => Ending::Itself,
        0..3 => Ending::Kill(moment(random)),
        3..6 => Ending::Terminate(moment(random)),
        6..8 => Ending::Cut {
            permille: random.usize(..1000),
            within_a_line: random.bool(),
        },
        _ => Ending::Itself,
    }
}
