//! Generated Airbyte input: what a warehouse would send, as fast as a loader can take it.
//!
//! A record is a pure function of seed, stream and row, so a test can ask what must become of row
//! 4,711 without keeping what was sent. Lines are formatted straight into a buffer.

use std::collections::BTreeMap;
use std::io::{self, BufRead, Read};

use serde_json::{Value, json};

mod shapes;

pub(crate) use shapes::Shape;

/// Bytes formatted at a time.
const BUFFER: usize = 256 << 10;

/// Records of one stream in a row, before the next stream has its turn.
const TURN: u64 = 100;

/// `emitted_at` of row 0, in ms; each row is one later.
const EMITTED_AT: u64 = 1_772_323_200_000;

/// What must become of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fate {
    /// It ends in the org.
    Accepted,
    /// A value has no Salesforce literal: rejected before upload.
    Invalid,
    /// Salesforce refuses it.
    Refused,
    /// Its line is no JSON: rejected as it came.
    Garbled,
}

/// One stream of generated records.
#[derive(Debug, Clone)]
pub(crate) struct Stream {
    /// What the records look like.
    pub(crate) shape: Shape,
    /// Row to begin at: where an earlier sync ended.
    pub(crate) first: u64,
    /// Row to end before.
    pub(crate) rows: u64,
    /// The same seed makes the same records.
    pub(crate) seed: u64,
    /// Share of the records that end as [`Fate::Invalid`], from 0 to 1.
    pub(crate) invalid: f64,
    /// Share of the records that end as [`Fate::Refused`].
    pub(crate) refused: f64,
    /// Share of the records that end as [`Fate::Garbled`].
    pub(crate) garbled: f64,
    /// Records between two states; no state at all if 0.
    pub(crate) states_every: u64,
}

impl Stream {
    /// `rows` good records, without states.
    pub(crate) fn new(shape: Shape, rows: u64) -> Self {
        Self {
            shape,
            first: 0,
            rows,
            seed: 1,
            invalid: 0.0,
            refused: 0.0,
            garbled: 0.0,
            states_every: 0,
        }
    }

    /// What must become of record `row`.
    pub(crate) fn fate(&self, row: u64) -> Fate {
        Draw::new(self, row).fate(self)
    }

    /// The value of `Ext_Id__c` in record `row`, in ASCII: no two records share it.
    pub(crate) fn ext_id(&self, row: u64) -> [u8; 12] {
        let mut id = *b"?-0000000000";
        id[0] = self.shape.prefix();
        let mut rest = row;
        for digit in id[2..].iter_mut().rev() {
            *digit = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        id
    }

    /// Writes the line of record `row`.
    fn record(&self, row: u64, out: &mut Vec<u8>) {
        let start = out.len();
        let mut draw = Draw::new(self, row);
        let fate = draw.fate(self);
        let flaws = match fate {
            Fate::Invalid => self.shape.invalid(),
            Fate::Refused => self.shape.refused(),
            Fate::Accepted | Fate::Garbled => &[],
        };
        let flaw = (!flaws.is_empty()).then(|| draw.of(flaws));

        out.extend_from_slice(br#"{"type":"RECORD","record":{"stream":""#);
        out.extend_from_slice(self.shape.name().as_bytes());
        out.extend_from_slice(br#"","emitted_at":"#);
        number(out, EMITTED_AT + row, 0);
        out.extend_from_slice(br#","data":{"Ext_Id__c":""#);
        out.extend_from_slice(&self.ext_id(row));
        out.push(b'"');
        for column in self.shape.columns() {
            match flaw.filter(|flaw| flaw.column == column.name) {
                None => column.write(out, &mut draw),
                Some(flaw) => flaw.write(out),
            }
        }
        out.extend_from_slice(b"}}}\n");
        if fate == Fate::Garbled {
            garble(out, start, draw.below(2) == 0);
        }
    }

    /// Writes the state behind record `row - 1`, `records` after the one before.
    fn state(&self, row: u64, records: u64, id: u64, out: &mut Vec<u8>) {
        let name = self.shape.name();
        let state = format!(
            r#"{{"type":"STATE","state":{{"type":"STREAM","stream":{{"stream_descriptor":{{"name":"{name}"}},"stream_state":{{"cursor":{row}}}}},"sourceStats":{{"recordCount":{records}.0}},"id":{id}}}}}"#
        );
        out.extend_from_slice(state.as_bytes());
        out.push(b'\n');
    }

    fn status(&self, status: &str, out: &mut Vec<u8>) {
        let name = self.shape.name();
        let trace = format!(
            r#"{{"type":"TRACE","trace":{{"type":"STREAM_STATUS","emitted_at":{EMITTED_AT}.0,"stream_status":{{"stream_descriptor":{{"name":"{name}"}},"status":"{status}"}}}}}}"#
        );
        out.extend_from_slice(trace.as_bytes());
        out.push(b'\n');
    }
}

/// The messages of all streams of a sync, interleaved in proportion to their rows: what comes on
/// stdin. States are numbered over all streams in the order they come.
#[derive(Debug)]
pub(crate) struct Messages {
    streams: Vec<Progress>,
    states: u64,
    buffer: Vec<u8>,
    read: usize,
}

#[derive(Debug)]
struct Progress {
    stream: Stream,
    next: u64,
    stated: u64,
    complete: bool,
}

impl Messages {
    /// The messages of a sync of `streams`.
    pub(crate) fn new(streams: Vec<Stream>) -> Self {
        let mut buffer = Vec::with_capacity(BUFFER + (64 << 10));
        let start = |stream: Stream| {
            stream.status("STARTED", &mut buffer);
            let first = stream.first;
            Progress {
                stream,
                next: first,
                stated: first,
                complete: false,
            }
        };
        let streams = streams.into_iter().map(start).collect();
        Self {
            streams,
            states: 0,
            buffer,
            read: 0,
        }
    }

    fn fill(&mut self) {
        self.buffer.clear();
        self.read = 0;
        while self.buffer.len() < BUFFER {
            // The stream that is furthest behind has its turn.
            let behind = |a: &&mut Progress, b: &&mut Progress| a.share().total_cmp(&b.share());
            let open = self.streams.iter_mut().filter(|stream| !stream.complete);
            let Some(progress) = open.min_by(behind) else {
                return;
            };
            progress.turn(&mut self.states, &mut self.buffer);
        }
    }
}

impl Progress {
    #[allow(clippy::cast_precision_loss, reason = "only orders the streams")]
    fn share(&self) -> f64 {
        (self.next - self.stream.first) as f64 / (self.stream.rows - self.stream.first) as f64
    }

    fn turn(&mut self, states: &mut u64, out: &mut Vec<u8>) {
        let every = self.stream.states_every;
        let end = self.stream.rows.min(self.next + TURN);
        while self.next < end {
            self.stream.record(self.next, out);
            self.next += 1;
            if every > 0 && self.next.is_multiple_of(every) {
                self.emit_state(states, out);
            }
        }
        if self.next >= self.stream.rows {
            if every > 0 && self.next > self.stated {
                self.emit_state(states, out);
            }
            self.stream.status("COMPLETE", out);
            self.complete = true;
        }
    }

    fn emit_state(&mut self, states: &mut u64, out: &mut Vec<u8>) {
        *states += 1;
        self.stream
            .state(self.next, self.next - self.stated, *states, out);
        self.stated = self.next;
    }
}

impl BufRead for Messages {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.read == self.buffer.len() {
            self.fill();
        }
        Ok(&self.buffer[self.read..])
    }

    fn consume(&mut self, amount: usize) {
        self.read += amount;
    }
}

impl Read for Messages {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.fill_buf()?.read(into)?;
        self.consume(read);
        Ok(read)
    }
}

/// The configured catalog of a sync of `streams`, each inserted into its shape's object.
pub(crate) fn catalog(streams: &[Stream]) -> Value {
    let stream = |stream: &Stream| {
        let shape = stream.shape;
        let columns = shape.columns().iter();
        let properties: serde_json::Map<String, Value> = columns
            .map(|column| (column.name, column.kind))
            .chain([("Ext_Id__c", "string")])
            .map(|(name, kind)| {
                let schema = match kind {
                    "date" | "date-time" => json!({"type": ["null", "string"], "format": kind}),
                    _ => json!({"type": ["null", kind]}),
                };
                (name.to_owned(), schema)
            })
            .collect();
        json!({
            "stream": {
                "name": shape.name(),
                "json_schema": {"type": "object", "properties": properties},
                "supported_sync_modes": ["full_refresh", "incremental"],
            },
            "sync_mode": "incremental",
            "destination_sync_mode": "append",
            "destination_object_name": shape.object(),
            "generation_id": 1,
            "minimum_generation_id": 0,
            "sync_id": 1,
        })
    };
    json!({"streams": streams.iter().map(stream).collect::<Vec<_>>()})
}

/// How many records of `streams` must come to each [`Fate`].
pub(crate) fn expected(streams: &[Stream]) -> BTreeMap<Fate, u64> {
    let mut counts = BTreeMap::new();
    for stream in streams {
        for row in stream.first..stream.rows {
            *counts.entry(stream.fate(row)).or_default() += 1;
        }
    }
    counts
}

/// A config for the simulator at `login_url`, with the settings of `more` (an object) on top.
pub(crate) fn config(login_url: &str, more: &Value) -> Value {
    let mut config = json!({
        "client_id": "sim-client-id",
        "client_secret": "sim-client-secret",
        "refresh_token": "sim-refresh-token",
        "is_sandbox": false,
        "auth_type": "Client",
        "login_url": login_url,
    });
    for (name, value) in more.as_object().into_iter().flatten() {
        config[name] = value.clone();
    }
    config
}

/// Pseudo-random numbers of one record (SplitMix64).
pub(crate) struct Draw {
    row: u64,
    state: u64,
}

impl Draw {
    fn new(stream: &Stream, row: u64) -> Self {
        let tag = u64::from(stream.shape.prefix());
        let mut seeded = Self {
            row,
            state: stream.seed << 8 | tag,
        };
        let state = seeded.next() ^ row.wrapping_mul(0xd6e8_feb8_6659_fd93);
        Self { row, state }
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn row(&self) -> u64 {
        self.row
    }

    /// A number from 0 to below `bound`.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }

    pub(crate) fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize]
    }

    /// The first number drawn of a record.
    #[allow(
        clippy::cast_precision_loss,
        reason = "53 of 64 random bits are enough"
    )]
    fn fate(&mut self, stream: &Stream) -> Fate {
        let drawn = (self.next() >> 11) as f64 / (1_u64 << 53) as f64;
        if drawn < stream.invalid {
            Fate::Invalid
        } else if drawn < stream.invalid + stream.refused {
            Fate::Refused
        } else if drawn < stream.invalid + stream.refused + stream.garbled {
            Fate::Garbled
        } else {
            Fate::Accepted
        }
    }
}

/// Writes `value` with at least `width` digits.
pub(crate) fn number(out: &mut Vec<u8>, mut value: u64, width: usize) {
    let mut digits = [b'0'; 20];
    let mut first = digits.len();
    while value > 0 || first == digits.len() {
        first -= 1;
        digits[first] = b'0' + (value % 10) as u8;
        value /= 10;
    }
    out.extend_from_slice(&digits[first.min(digits.len() - width)..]);
}

/// Spoils the line that begins at `start`: its end is missing, or a byte in it is no UTF-8.
fn garble(out: &mut Vec<u8>, start: usize, cut: bool) {
    if cut {
        out.truncate(out.len() - 4);
        out.push(b'\n');
    } else {
        let last = out.len() - 6;
        debug_assert!(last > start);
        out[last] = 0xff;
    }
}
