//! What a storm comes to, over all of its seeds.

use std::collections::BTreeMap;
use std::fmt;

use super::cells;
use super::run::Ran;

/// The sum of all runs.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub(super) runs: usize,
    rows: usize,
    seconds: f64,
    passing: usize,
    /// Seeds whose faults all pass that ended early, and why.
    pub(super) early: Vec<(u64, String)>,
    /// Seeds, and what did not hold.
    pub(super) violations: Vec<(u64, String)>,
    /// How often each fault hit.
    hits: BTreeMap<String, u64>,
    /// Seeds that ended early and were repeated, and all their attempts.
    repeated: [usize; 2],
    /// Records that a kill between a cursor and its states has doubled, by seed.
    pub(super) doubled: Vec<(u64, usize)>,
}

impl Report {
    pub(super) fn add(&mut self, ran: Ran) {
        self.runs += 1;
        self.rows += ran.rows;
        self.seconds += ran.seconds;
        self.passing += usize::from(ran.passing);
        let seed = ran.seed;
        let early = ran
            .early_end
            .inspect(|text| println!("seed {seed} ended early: {text:.300}"));
        self.early.extend(early.map(|text| (seed, text)));
        self.repeated[0] += usize::from(ran.repeated > 0);
        self.repeated[1] += ran.repeated;
        if ran.doubled > 0 {
            self.doubled.push((seed, ran.doubled));
        }
        let violations = ran.violations.into_iter();
        let violations = violations.inspect(|text| println!("seed {seed}: {text:.300}"));
        self.violations.extend(violations.map(|text| (seed, text)));
        for (cell, count) in ran.hits {
            *self.hits.entry(cell).or_default() += count;
        }
    }

    /// The share of runs that ended in exit 0, of those whose faults all pass.
    pub(super) fn share(&self) -> f64 {
        let ended = self.passing - self.early.len();
        if self.passing == 0 {
            1.0
        } else {
            ended as f64 / self.passing as f64
        }
    }

    /// Cells that no run hit.
    pub(super) fn never_hit(&self) -> Vec<String> {
        let never = |cell: &String| self.hits.get(cell).is_none_or(|count| *count == 0);
        cells::all().into_iter().filter(never).collect()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            runs,
            rows,
            seconds,
            passing,
            ..
        } = self;
        writeln!(
            f,
            "{runs} runs, {rows} records, {:.1} s a run",
            seconds / (*runs).max(1) as f64
        )?;
        let ended = passing - self.early.len();
        writeln!(
            f,
            "faults that pass: {ended} of {passing} ended in exit 0 ({:.1} %)",
            self.share() * 100.0
        )?;
        let [seeds, attempts] = self.repeated;
        writeln!(
            f,
            "{seeds} ended early and were repeated, by {attempts} attempts; doubled between a cursor \
             and its states: {:?}",
            self.doubled
        )?;
        for (cell, count) in &self.hits {
            writeln!(f, "  {count:>6} {cell}")?;
        }
        let never = self.never_hit();
        writeln!(
            f,
            "{} cells were never hit: {}",
            never.len(),
            never.join(", ")
        )?;
        for (seed, text) in &self.early {
            writeln!(f, "seed {seed} ended early: {text:.400}")?;
        }
        writeln!(f, "{} violations", self.violations.len())?;
        for (seed, text) in &self.violations {
            writeln!(f, "seed {seed}: {text:.600}")?;
        }
        Ok(())
    }
}
