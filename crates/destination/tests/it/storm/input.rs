//! The input of a plan: its records, what each is to come to, and the lines in their order.

use std::collections::BTreeMap;

use fastrand::Rng;
use serde_json::{Map, Value, json};
use testkit::KEY;

use super::plan::{Operation, Plan, StatesOf, StreamPlan};
use super::records::{self, Cell};
use super::shapes::Shape;
use crate::harness::lines::Stream;

/// All that is fed to a process.
#[derive(Debug)]
pub(super) struct Input {
    pub(super) streams: Vec<InputStream>,
    pub(super) states: Vec<State>,
    pub(super) lines: Vec<Line>,
}

#[derive(Debug)]
pub(super) struct InputStream {
    pub(super) lines: Stream,
    pub(super) records: Vec<Record>,
}

/// A record, and what the org is to make of it.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) line: String,
    /// None if the line cannot be decoded.
    pub(super) data: Option<Map<String, Value>>,
    /// What distinguishes it from others; equal in copies.
    pub(super) identity: String,
    pub(super) end: End,
    /// The record of the org that it is for, in the form in which keys compare.
    pub(super) key: Option<String>,
    /// What it changes there.
    pub(super) cells: BTreeMap<&'static str, Cell>,
}

/// What becomes of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Accepted,
    Rejected,
    /// One of both.
    Either,
}

/// A state and what it stands for.
#[derive(Debug)]
pub(super) struct State {
    /// The stream; all when absent.
    pub(super) stream: Option<usize>,
    /// A text that it must come back with.
    pub(super) blob: String,
    /// How many records of each stream came before it.
    pub(super) before: Vec<usize>,
}

/// A line of the input.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) text: String,
    pub(super) what: What,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    /// A record: its stream and its number there.
    Record(usize, usize),
    State(usize),
    Status,
}

impl Input {
    /// The input of a plan, given the Ids of the records that are in the org, by stream.
    pub(super) fn new(plan: &Plan, ids: &[Vec<String>]) -> Self {
        let random = &mut Rng::with_seed(plan.seed ^ 0x5eed);
        let streams: Vec<InputStream> = plan
            .streams
            .iter()
            .enumerate()
            .map(|(number, stream)| {
                let lines = configured(stream);
                let makes = records::Maker {
                    stream,
                    lines: &lines,
                    number,
                    ids: &ids[number],
                    clears: plan.clears,
                };
                InputStream {
                    records: makes.records(random),
                    lines,
                }
            })
            .collect();
        let mut input = Self {
            streams,
            states: Vec::new(),
            lines: Vec::new(),
        };
        input.interleave(plan, random);
        input
    }

    /// Puts the records of all streams into one order, with states between them.
    fn interleave(&mut self, plan: &Plan, random: &mut Rng) {
        let mut done = vec![0; self.streams.len()];
        let mut open: Vec<usize> = (0..done.len()).collect();
        while !open.is_empty() {
            let at = random.usize(..open.len());
            let stream = open[at];
            for _ in 0..random.usize(1..60) {
                let Some(record) = self.streams[stream].records.get(done[stream]) else {
                    break;
                };
                let text = record.line.clone();
                let what = What::Record(stream, done[stream]);
                self.lines.push(Line { text, what });
                done[stream] += 1;
                if random.usize(..plan.records_a_state) == 0 {
                    self.add_state(plan, stream, &done);
                }
            }
            if done[stream] == self.streams[stream].records.len() {
                if plan.states == StatesOf::Streams || random.bool() {
                    self.add_state(plan, stream, &done);
                }
                let text = self.streams[stream].lines.complete();
                let what = What::Status;
                self.lines.push(Line { text, what });
                open.swap_remove(at);
            }
        }
        if plan.states != StatesOf::Streams {
            self.add_state(plan, 0, &done);
        }
    }

    fn add_state(&mut self, plan: &Plan, stream: usize, before: &[usize]) {
        let number = self.states.len();
        let padding = "é".repeat(plan.state_size / 2);
        let blob =
            format!(r#"{{"cursor": {number},"n":12345678901234567890.10,"t":"\u00e9{padding}"}}"#);
        let global = plan.states != StatesOf::Streams;
        let earlier = self.states.iter().rev();
        let mut earlier = earlier.filter(|state| global || state.stream == Some(stream));
        let since = earlier.next().map_or(&[][..], |state| &state.before);
        let counts = before.iter().enumerate();
        let counts =
            counts.map(|(stream, count)| count - since.get(stream).copied().unwrap_or_default());
        let counts: Vec<usize> = counts.collect();
        let count = if global {
            counts.iter().sum()
        } else {
            counts[stream]
        };
        let stats = format!(r#""sourceStats":{{"recordCount":{count}.0}},"id":{number}"#);
        let text = match plan.states {
            StatesOf::Streams => self.streams[stream]
                .lines
                .state_text(number as u64, count, &blob),
            StatesOf::Global => format!(
                r#"{{"type":"STATE","state":{{"type":"GLOBAL","global":{{"shared_state":{blob},"stream_states":[]}},{stats}}}}}"#
            ),
            StatesOf::Legacy => {
                format!(r#"{{"type":"STATE","state":{{"type":"LEGACY","data":{blob},{stats}}}}}"#)
            }
        };
        self.states.push(State {
            stream: (!global).then_some(stream),
            blob,
            before: before.to_vec(),
        });
        let what = What::State(number);
        self.lines.push(Line { text, what });
    }

    /// The configured catalog.
    pub(super) fn catalog(&self, plan: &Plan) -> Value {
        let streams = self.streams.iter().zip(&plan.streams);
        let streams: Vec<Value> = streams
            .map(|(stream, planned)| {
                let mut configured = stream.lines.configured();
                let operation = planned.operation;
                configured["destination_sync_mode"] = json!(operation.mode());
                if operation.is_keyed() {
                    let key = Shape::key(operation.needs_records());
                    configured["primary_key"] = json!([[key]]);
                }
                configured
            })
            .collect();
        json!({"streams": streams})
    }
}

/// The stream as the catalog has it.
fn configured(planned: &StreamPlan) -> Stream {
    let shape = planned.shape;
    let mut columns: Vec<(&str, &str)> = Vec::new();
    match planned.operation {
        Operation::Insert if planned.with_key => columns.push((KEY, "string")),
        Operation::Insert => {}
        operation => columns.push((Shape::key(operation.needs_records()), "string")),
    }
    if planned.operation != Operation::Delete {
        columns.extend(
            shape
                .fields()
                .iter()
                .map(|name| (*name, shape.json_type(name))),
        );
    }
    let mut stream = Stream::new(&planned.name, shape.object, &[]);
    stream.namespace.clone_from(&planned.namespace);
    stream.columns = columns
        .into_iter()
        .map(|(name, json_type)| {
            let schema = match json_type {
                "date" => json!({"type": ["null", "string"], "format": "date"}),
                plain => json!({"type": ["null", plain]}),
            };
            (name.to_owned(), schema)
        })
        .collect();
    stream
}
