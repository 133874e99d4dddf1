//! What grows with the size: the results of one workload in several sizes, by loader.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use crate::plot::{Axis, Drawing, Frame, Series, lines, put, short};
use crate::result::{Cost, Figures, Outcome, Report};
use crate::task::{GROWTHS, Growth, MEASURES, Measure, Task, task};

/// One workload in several sizes.
pub(crate) struct Curve<'a> {
    pub(crate) growth: &'static Growth,
    /// The task, without what grows.
    pub(crate) group: Task,
    /// The results of each loader with two sizes or more, by size.
    pub(crate) loaders: Vec<(&'a str, Vec<Spot<'a>>)>,
}

/// One size of one loader.
#[derive(Clone, Copy)]
pub(crate) struct Spot<'a> {
    pub(crate) at: f64,
    pub(crate) result: &'a Report,
    pub(crate) cost: &'a Cost,
}

/// All curves of results that passed: what the others cost means little.
pub(crate) fn curves(results: &[Report]) -> Vec<Curve<'_>> {
    let mut curves = Vec::new();
    for growth in &GROWTHS {
        let mut groups: BTreeMap<Task, BTreeMap<&str, Vec<Spot>>> = BTreeMap::new();
        for result in results
            .iter()
            .filter(|result| result.outcome == Outcome::Passed)
        {
            let Some(cost) = &result.cost else { continue };
            let mut group = task(result);
            let at = (growth.value)(&group);
            (growth.without)(&mut group);
            let loaders = groups.entry(group).or_default();
            let spots = loaders.entry(&result.loader.name).or_default();
            spots.push(Spot { at, result, cost });
        }
        for (group, loaders) in groups {
            let mut loaders: Vec<(&str, Vec<Spot>)> = loaders.into_iter().collect();
            for (_, spots) in &mut loaders {
                spots.sort_by(|one, other| one.at.total_cmp(&other.at));
                spots.dedup_by(|one, other| one.at.total_cmp(&other.at).is_eq());
            }
            loaders.retain(|(_, spots)| spots.len() > 1);
            if !loaders.is_empty() {
                curves.push(Curve {
                    growth,
                    group,
                    loaders,
                });
            }
        }
    }
    curves
}

impl Curve<'_> {
    pub(crate) fn title(&self) -> String {
        let (_, row) = self.group.row();
        let mut text = format!("{row} by {}", self.growth.name);
        if self.group.scale > 0 {
            put!(text, ", {} records", short(self.group.scale as f64));
        }
        text
    }

    /// The tasks of the curve.
    pub(crate) fn tasks(&self) -> BTreeSet<Task> {
        let spots = self.loaders.iter().flat_map(|(_, spots)| spots);
        spots.map(|spot| task(spot.result)).collect()
    }

    fn divisor(&self, measure: &Measure, result: &Report) -> f64 {
        if measure.per_million && self.growth.option == "scale" {
            result.scale as f64 / 1e6
        } else {
            1.0
        }
    }

    /// The plot of a measure.
    pub(crate) fn plot(
        &self,
        measure: &Measure,
        frame: Frame,
        colour: impl Fn(&str) -> usize,
    ) -> Drawing {
        let series: Vec<Series> = self
            .loaders
            .iter()
            .map(|(name, spots)| {
                let value = |spot: &Spot, cost: &Cost| {
                    (measure.value)(cost) / self.divisor(measure, spot.result)
                };
                let of_run = |spot: &Spot, run: &Figures| value(spot, &cost_of(run));
                let spread = |spot: &Spot| {
                    let values = spot.result.runs.iter().map(|run| of_run(spot, run));
                    let middle = value(spot, spot.cost);
                    let (low, high) = values.fold((middle, middle), |(low, high), value| {
                        (low.min(value), high.max(value))
                    });
                    (spot.at, low, high)
                };
                Series {
                    name: (*name).to_owned(),
                    colour: colour(name),
                    points: spots
                        .iter()
                        .map(|spot| (spot.at, value(spot, spot.cost)))
                        .collect(),
                    spreads: spots.iter().map(spread).collect(),
                    straight: !self.growth.log,
                }
            })
            .collect();
        let million = measure.per_million && self.growth.option == "scale";
        let unit = format!(
            "{}{}",
            measure.unit,
            if million { " a million" } else { "" }
        );
        let title = format!("{}: {unit} by {}", self.group.workload, self.growth.name);
        let x = Axis {
            label: self.growth.name,
            log: self.growth.log,
        };
        let y = Axis {
            label: &unit,
            log: false,
        };
        lines(&title, &series, &x, &y, frame)
    }

    /// How costs grow, in words: over the whole curve, and over its last step.
    pub(crate) fn growths(&self) -> Vec<String> {
        let mut said = Vec::new();
        for (name, spots) in &self.loaders {
            let (Some(first), Some(last)) = (spots.first(), spots.last()) else {
                continue;
            };
            let mut parts = vec![self.step(first, last)];
            if let [.., before, last] = &spots[..]
                && spots.len() > 2
            {
                parts.push(self.step(before, last));
            }
            said.push(format!("{name}, {}", parts.join("; ")));
        }
        said
    }

    fn step(&self, from: &Spot, to: &Spot) -> String {
        let times = |from: f64, to: f64| {
            if from > 0.0 {
                format!("{} times", short(to / from))
            } else {
                "from nothing".to_owned()
            }
        };
        let mut text = format!(
            "from {} to {} {}",
            short(from.at),
            short(to.at),
            self.growth.name
        );
        if from.at > 0.0 {
            put!(text, " ({} as many)", times(from.at, to.at));
        }
        let grown = MEASURES.iter().take(3).map(|measure| {
            let (from, to) = ((measure.value)(from.cost), (measure.value)(to.cost));
            format!("{} the {}", times(from, to), measure.name)
        });
        put!(text, ": {}", grown.collect::<Vec<_>>().join(", "));
        text
    }
}

/// What is known of the costs of one run among several.
fn cost_of(run: &Figures) -> Cost {
    Cost {
        wall_seconds: run.wall_seconds,
        cpu_seconds: run.cpu_seconds,
        peak_memory_bytes: run.peak_memory_bytes,
        calls: run.calls,
        ..Cost::default()
    }
}
