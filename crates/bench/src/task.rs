//! What results are compared by, and what their costs may grow with.

use std::fmt::Write as _;

use crate::columns::scaled;
use crate::plot::{put, short};
use crate::result::{Cost, Report};

/// What is compared: results of the same workload, size and profile.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Task {
    pub(crate) workload: String,
    pub(crate) scale: u64,
    pub(crate) streams: u64,
    pub(crate) columns: u64,
    /// Bad records in a million.
    pub(crate) bad: u64,
    pub(crate) profile: String,
}

pub(crate) fn task(result: &Report) -> Task {
    let bad = scaled(1_000_000, result.workload.bad);
    Task {
        workload: result.workload.name.clone(),
        scale: result.scale,
        streams: result.workload.streams,
        columns: result.workload.columns,
        bad,
        profile: result.profile.clone(),
    }
}

impl Task {
    /// Size and profile, and what else distinguishes it.
    pub(crate) fn detail(&self) -> String {
        let mut text = format!("{} records", short(self.scale as f64));
        if self.streams > 1 {
            put!(text, ", {} streams", self.streams);
        }
        put!(text, ", {} columns", self.columns);
        if self.bad > 0 {
            put!(text, ", {} % bad", short(self.bad as f64 / 1e4));
        }
        put!(text, ", org {}", self.profile);
        text
    }

    pub(crate) fn title(&self) -> String {
        format!("{}, {}", self.workload, self.detail())
    }
}

/// What costs may grow with: its name, whether its axis is logarithmic, its value, and the task
/// without it.
pub(crate) struct Growth {
    pub(crate) name: &'static str,
    pub(crate) log: bool,
    pub(crate) value: fn(&Task) -> f64,
    pub(crate) without: fn(&mut Task),
}

pub(crate) const GROWTHS: [Growth; 4] = [
    Growth {
        name: "records",
        log: true,
        value: |task| task.scale as f64,
        without: |task| task.scale = 0,
    },
    Growth {
        name: "streams",
        log: true,
        value: |task| task.streams as f64,
        without: |task| task.streams = 0,
    },
    Growth {
        name: "columns",
        log: false,
        value: |task| task.columns as f64,
        without: |task| task.columns = 0,
    },
    Growth {
        name: "% bad",
        log: false,
        value: |task| task.bad as f64 / 1e4,
        without: |task| task.bad = 0,
    },
];

/// A figure of the costs: its name, its unit, and its value.
pub(crate) type Measure = (&'static str, &'static str, fn(&Cost) -> f64);

pub(crate) const MEASURES: [Measure; 4] = [
    ("CPU", "CPU seconds", |cost| cost.cpu_seconds),
    ("peak memory", "MB", |cost| {
        cost.peak_memory_bytes as f64 / 1e6
    }),
    ("API calls", "calls", |cost| cost.calls as f64),
    ("time", "seconds", |cost| cost.wall_seconds),
];
