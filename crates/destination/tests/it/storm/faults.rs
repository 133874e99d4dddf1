//! The faults of a plan, drawn from the tables of what may go wrong.

use std::time::Duration;

use fastrand::Rng;
use serde_json::{Value, json};
use testkit::bucket_faults::{BucketCall, BucketFault, Harm};

use super::cells::{self, Call, CallKind, JobKind, TOKEN, Turn};
use super::plan::StreamPlan;

/// A fault of the org.
#[derive(Debug)]
pub(super) struct OrgFault {
    /// Where and what, as the report names it.
    pub(super) cell: String,
    /// As the simulator takes it.
    pub(super) fault: Value,
    /// Whether it makes the org refuse rows for good though nothing is wrong with them.
    pub(super) refuses_rows: bool,
}

impl OrgFault {
    /// Whether it can hit rows of an object.
    pub(super) fn concerns(&self, object: &str) -> bool {
        let own = &self.fault["object"];
        own.is_null() || own == object
    }
}

/// What faults let a process come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// All faults pass.
    Passes,
    /// The process ends with an error of one of these kinds, unless the fault finds nothing to hit.
    Fails(&'static [&'static str]),
    /// Results say what cannot be true: it may end either way.
    Open,
}

/// What was drawn.
#[derive(Debug)]
pub(super) struct Drawn {
    pub(super) org: Vec<OrgFault>,
    pub(super) bucket: Vec<BucketFault>,
    pub(super) fate: Fate,
}

/// Draws the faults of a plan.
pub(super) fn draw(
    random: &mut Rng,
    streams: &[StreamPlan],
    rotates: bool,
    bucket: bool,
    turn: &Turn,
) -> Drawn {
    let mut drawn = Drawn {
        org: Vec::new(),
        bucket: Vec::new(),
        fate: Fate::Passes,
    };
    let cell = (turn.call, &turn.kind);
    drawn.call_and_needs(random, streams, rotates, cell, 0);
    for _ in 0..random.usize(..5) {
        drawn.call(random, streams, rotates);
    }
    if random.u8(..8) == 0 {
        drawn.span(random);
    }
    for _ in 0..random.usize(..3) {
        let kinds = cells::job_kinds();
        let kind = random.usize(..kinds.len());
        drawn.job(random, streams, &kinds[kind]);
    }
    if bucket {
        for _ in 0..random.usize(..4) {
            drawn.bucket(random);
        }
    }
    match random.u8(..12) {
        0 if drawn.fate == Fate::Passes => drawn.lasting(random, bucket),
        1 => drawn.odd(random, streams),
        2 => drawn.refused_rows(random, streams),
        _ => {}
    }
    drawn
}

impl Drawn {
    fn has(&self, cell: &str) -> bool {
        self.org.iter().any(|known| known.cell == cell)
    }

    fn add(&mut self, cell: &str, mut fault: Value, refuses_rows: bool) {
        // Two faults of one name could not be distinguished.
        if !self.has(cell) {
            fault["name"] = json!(cell);
            self.org.push(OrgFault {
                cell: cell.to_owned(),
                fault,
                refuses_rows,
            });
        }
    }

    /// A fault of one call that passes, and what brings a load to make that call.
    fn call(&mut self, random: &mut Rng, streams: &[StreamPlan], rotates: bool) {
        let call = &cells::CALLS[random.usize(..cells::CALLS.len())];
        let kinds = cells::call_kinds();
        let kinds = kinds.iter().filter(|kind| kind.of & call.of != 0);
        let kinds: Vec<&CallKind> = kinds.collect();
        let kind = kinds[random.usize(..kinds.len())];
        let skip = random.u32(..5).saturating_sub(2);
        self.call_and_needs(random, streams, rotates, (call, kind), skip);
    }

    fn call_and_needs(
        &mut self,
        random: &mut Rng,
        streams: &[StreamPlan],
        rotates: bool,
        (call, kind): (&Call, &CallKind),
        skip: u32,
    ) {
        // A token that is lost with its answer is lost for good.
        if call.of == TOKEN && rotates && kind.name == "hang" {
            return;
        }
        // What one call meets in a row must be few of each sort: one fault a call.
        let prefix = format!("{}/", call.name);
        if self.org.iter().any(|fault| fault.cell.starts_with(&prefix)) {
            return;
        }
        self.call_cell(random, call.name, skip, kind);
        for needed in call.needs {
            self.need(random, streams, needed);
        }
    }

    /// A fault that brings a load of the first stream to make a call.
    fn need(&mut self, random: &mut Rng, streams: &[StreamPlan], cell: &str) {
        let (call, name) = cell.split_once('/').unwrap_or_default();
        let of_calls = cells::call_kinds();
        let of_jobs = cells::job_kinds();
        let odd = cells::odd_kinds();
        let fault = |action| json!({"object": streams[0].shape.object, "times": 0, "do": action});
        if call != "job" {
            let kind = of_calls.iter().find(|kind| kind.name == name);
            kind.into_iter()
                .for_each(|kind| self.call_cell(random, call, 0, kind));
        } else if let Some(kind) = of_jobs.iter().find(|kind| kind.name == name) {
            self.add(cell, fault(&kind.action), false);
        } else if let Some((_, action)) = odd.iter().find(|(kind, _)| *kind == name) {
            self.add(cell, fault(action), false);
            self.fate = Fate::Open;
        }
    }

    fn call_cell(&mut self, random: &mut Rng, call: &str, skip: u32, kind: &CallKind) {
        let fault = json!({
            "calls": [call],
            "skip": skip,
            "times": random.u32(1..=kind.most),
            "after_work": kind.after_work,
            "do": kind.action,
        });
        self.add(&format!("{call}/{}", kind.name), fault, false);
    }

    /// All calls fail for a while.
    fn span(&mut self, random: &mut Rng) {
        let fault = json!({
            "skip": random.u32(2..40),
            "times": 0,
            "for_ms": random.u32(200..1_500),
            "do": {"page": {"code": 503}},
        });
        self.add(cells::SPAN, fault, false);
    }

    /// A fault of jobs that passes.
    fn job(&mut self, random: &mut Rng, streams: &[StreamPlan], kind: &JobKind) {
        let kinds = cells::job_kinds();
        let spent = kinds
            .iter()
            .any(|kind| kind.takes_attempts && self.has(&format!("job/{}", kind.name)));
        if kind.takes_attempts && spent {
            return;
        }
        let times = if kind.most == 0 {
            0
        } else {
            random.u32(1..=kind.most)
        };
        let fault = json!({
            "object": object(random, streams),
            "skip": random.u32(..4).saturating_sub(1),
            "times": times,
            "do": kind.action,
        });
        self.add(&format!("job/{}", kind.name), fault, false);
    }

    fn odd(&mut self, random: &mut Rng, streams: &[StreamPlan]) {
        let kinds = cells::odd_kinds();
        let (kind, action) = &kinds[random.usize(..kinds.len())];
        let fault = json!({"object": object(random, streams), "times": 2, "do": action});
        self.add(&format!("job/{kind}"), fault, false);
        self.fate = Fate::Open;
    }

    /// Rows that a rule of the org refuses for good.
    fn refused_rows(&mut self, random: &mut Rng, streams: &[StreamPlan]) {
        let refusals = cells::refusals();
        let (kind, error) = refusals[random.usize(..refusals.len())];
        let action = json!({"fail_rows": {"share": 0.3, "error": error}});
        let fault = json!({"object": object(random, streams), "times": 0, "do": action});
        self.add(&format!("job/{kind}"), fault, true);
    }

    fn lasting(&mut self, random: &mut Rng, bucket: bool) {
        if bucket && random.u8(..3) == 0 {
            let lasting = cells::BUCKET_LASTING;
            let (name, harm, ends) = lasting[random.usize(..lasting.len())];
            self.bucket.clear();
            self.bucket.push(BucketFault {
                name: format!("bucket/{name}"),
                call: None,
                skip: random.u32(..5),
                times: None,
                span: None,
                harm,
            });
            self.fate = Fate::Fails(ends);
            return;
        }
        let lasting = cells::lasting();
        let lasting = &lasting[random.usize(..lasting.len())];
        let mut fault = lasting.fault.clone();
        fault["times"] = json!(0);
        self.add(lasting.cell, fault, false);
        self.fate = Fate::Fails(lasting.ends);
    }

    /// A fault of the bucket that passes.
    fn bucket(&mut self, random: &mut Rng) {
        let (call_name, call) = cells::BUCKET_CALLS[random.usize(..cells::BUCKET_CALLS.len())];
        let (name, harm, most) = cells::BUCKET_KINDS[random.usize(..cells::BUCKET_KINDS.len())];
        if self.bucket.iter().any(|known| known.call == Some(call)) {
            return;
        }
        // The first call of each is the test of the bucket.
        let skip = random.u32(..3);
        let span = (random.u8(..8) == 0).then(|| Duration::from_millis(random.u64(100..900)));
        // Objects are only read where it is unclear who has written them.
        let reads = call == BucketCall::Get && self.bucket.is_empty();
        if reads && span.is_none() {
            self.bucket.push(BucketFault {
                name: "bucket_put/lose".to_owned(),
                call: Some(BucketCall::Put),
                skip: 1,
                times: Some(3),
                span: None,
                harm: Harm::Lose,
            });
        }
        let skip = if reads { 0 } else { skip };
        self.bucket.push(match span {
            None => BucketFault {
                name: format!("bucket_{call_name}/{name}"),
                call: Some(call),
                skip,
                times: Some(random.u32(1..=most)),
                span: None,
                harm,
            },
            Some(_) => BucketFault {
                name: cells::BUCKET_SPAN.to_owned(),
                call: None,
                skip,
                times: None,
                span,
                harm: cells::BUCKET_KINDS[0].1,
            },
        });
    }
}

/// The object of one of the streams.
fn object(random: &mut Rng, streams: &[StreamPlan]) -> &'static str {
    streams[random.usize(..streams.len())].shape.object
}
