//! What results are compared by, and what their costs may grow with.

use std::fmt::Write as _;

use clap::ValueEnum as _;

use crate::columns::scaled;
use crate::plot::{put, short};
use crate::result::{Cost, Report};
use crate::workload::Workload;

/// What is compared: results of the same workload, size and profile.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Task {
    /// The place of the workload among all.
    order: usize,
    pub(crate) workload: String,
    pub(crate) scale: u64,
    pub(crate) streams: u64,
    pub(crate) columns: u64,
    /// Bad records in a million.
    pub(crate) bad: u64,
    pub(crate) profile: String,
}

pub(crate) fn task(result: &Report) -> Task {
    let workload = result.workload.name.clone();
    let mut workloads = Workload::value_variants().iter();
    Task {
        order: workloads
            .position(|known| known.name() == workload)
            .unwrap_or(usize::MAX),
        workload,
        scale: result.scale,
        streams: result.workload.streams,
        columns: result.workload.columns,
        bad: scaled(1_000_000, result.workload.bad),
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

    fn known(&self) -> Option<Workload> {
        Workload::value_variants().get(self.order).copied()
    }

    /// What was given in place of the workload's own numbers, as an option and its value.
    pub(crate) fn given(&self) -> Vec<(&'static str, String)> {
        let Some(usual) = self.known() else {
            return Vec::new();
        };
        let mut given = Vec::new();
        if self.streams != usual.streams().min(self.scale) {
            given.push(("streams", self.streams.to_string()));
        }
        if self.columns != usual.columns(self.scale).len() as u64 + 1 {
            given.push(("columns", self.columns.to_string()));
        }
        if self.bad != scaled(1_000_000, usual.bad()) {
            given.push(("bad", (self.bad as f64 / 1e6).to_string()));
        }
        given
    }

    /// The size alone, with what is not as usual: `300 k`, `30 k, columns 300`.
    pub(crate) fn size(&self) -> String {
        let mut text = short(self.scale as f64);
        for (option, value) in self.given() {
            put!(text, ", {option} {value}");
        }
        text
    }

    /// The workload, and the profile if it is not the one without times.
    pub(crate) fn row(&self) -> (usize, String) {
        let profile = match self.profile.as_str() {
            "null" => String::new(),
            other => format!(", org {other}"),
        };
        (self.order, format!("{}{profile}", self.workload))
    }
}

/// What costs may grow with: its name, the option of it, whether its axis is logarithmic, its value,
/// and the task without it.
pub(crate) struct Growth {
    pub(crate) name: &'static str,
    pub(crate) option: &'static str,
    pub(crate) log: bool,
    pub(crate) value: fn(&Task) -> f64,
    pub(crate) without: fn(&mut Task),
}

pub(crate) const GROWTHS: [Growth; 4] = [
    Growth {
        name: "records",
        option: "scale",
        log: true,
        value: |task| task.scale as f64,
        without: |task| task.scale = 0,
    },
    Growth {
        name: "streams",
        option: "streams",
        log: false,
        value: |task| task.streams as f64,
        without: |task| task.streams = 0,
    },
    Growth {
        name: "columns",
        option: "columns",
        log: false,
        value: |task| task.columns as f64,
        without: |task| task.columns = 0,
    },
    Growth {
        name: "% bad",
        option: "bad",
        log: false,
        value: |task| task.bad as f64 / 1e4,
        without: |task| task.bad = 0,
    },
];

/// A figure of the costs: its name and its value. Where records grow, what grows with them is
/// divided by a million of them, so that a flat line is the best there can be.
pub(crate) struct Measure {
    pub(crate) name: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) per_million: bool,
    pub(crate) value: fn(&Cost) -> f64,
}

pub(crate) const MEASURES: [Measure; 4] = [
    Measure {
        name: "CPU",
        unit: "CPU s",
        per_million: true,
        value: |cost| cost.cpu_seconds,
    },
    Measure {
        name: "peak memory",
        unit: "MB",
        per_million: false,
        value: |cost| cost.peak_memory_bytes as f64 / 1e6,
    },
    Measure {
        name: "API calls",
        unit: "calls",
        per_million: true,
        value: |cost| cost.calls as f64,
    },
    Measure {
        name: "time",
        unit: "s",
        per_million: true,
        value: |cost| cost.wall_seconds,
    },
];
