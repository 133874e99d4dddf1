//! Results as tables and plots between two marks of a page of Markdown. Plots are files beside it.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use crate::commands;
use crate::curves::{Curve, curves};
use crate::error::{At, Error, Result};
use crate::figure::figure;
use crate::matrix::{self, grouped};
use crate::plot::{Frame, escaped, put, short};
use crate::report::COLOURS;
use crate::result::{Cost, Outcome, Report};
use crate::task::{MEASURES, Task, task};

const BEGIN: &str = "<!-- results -->\n";
const END: &str = "<!-- end of results -->\n";

/// The folder of the plots, beside the page.
const PLOTS: &str = "plots";

/// One of the plots that are side by side in a figure.
const PLOT: Frame = Frame {
    width: 290.0,
    height: 200.0,
    marks: true,
};

/// Puts the tables of `results` between the marks of a page, in place of what is there.
pub(crate) fn write(results: &[Report], page: &Path) -> Result<()> {
    let text = fs::read_to_string(page).at(page)?;
    let parts = text.split_once(BEGIN);
    let parts = parts.and_then(|(before, rest)| Some((before, rest.split_once(END)?.1)));
    let (before, after) = parts.ok_or_else(|| {
        let marks = format!("{} and {}", BEGIN.trim(), END.trim());
        Error::Input(format!(
            "{} has no place for results: {marks}",
            page.display()
        ))
    })?;
    let curves = curves(results);
    let loaders = matrix::loaders(results);
    let mut out = String::new();
    verdicts(&mut out, results, &loaders);
    comparison(&mut out, results, &loaders, &curves);
    let folder = page.parent().unwrap_or(Path::new("")).join(PLOTS);
    for curve in &curves {
        fs::create_dir_all(&folder).at(&folder)?;
        let file = format!("{}.svg", file_name(&curve.title()));
        let path = folder.join(&file);
        fs::write(&path, drawn(curve, &loaders)).at(&path)?;
        self::curve(&mut out, curve, &file);
    }
    fs::write(page, format!("{before}{BEGIN}{out}\n{END}{after}")).at(page)
}

/// A title as the name of a file.
fn file_name(title: &str) -> String {
    let plain = title.replace('%', "share");
    let words = plain.split(|letter: char| !letter.is_alphanumeric());
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    words.join("-").to_lowercase()
}

/// A name or a reason as text of a cell.
fn plain(text: &str) -> String {
    escaped(text).replace('|', "\\|").replace('\n', " ")
}

fn head(out: &mut String, first: &str, names: impl Iterator<Item = String>) {
    let names: Vec<String> = names.map(|name| plain(&name)).collect();
    put!(out, "| {first} | {} |\n", names.join(" | "));
    put!(out, "|---|{}\n", "---|".repeat(names.len()));
}

fn commands(out: &mut String, lines: &[String]) {
    put!(out, "\n```sh\n{}\n```\n", lines.join("\n"));
}

/// Who loses what.
fn verdicts(out: &mut String, results: &[Report], loaders: &[&str]) {
    out.push_str("\n#### Who loses what\n\n");
    let versions = loaders.iter().map(|loader| {
        let mut of_loader = results
            .iter()
            .filter(|result| result.loader.name == *loader);
        let version = of_loader.find_map(|result| result.loader.version.as_deref());
        format!("{loader} {}", version.unwrap_or_default())
            .trim()
            .to_owned()
    });
    head(out, "workload", versions);
    for faults in [false, true] {
        for row in matrix::rows(results, loaders, faults) {
            let size = if row.size.is_empty() {
                String::new()
            } else {
                format!(", {}", row.size)
            };
            put!(out, "| `{}`{size} |", row.name);
            for results in &row.cells {
                let Some((outcome, said)) = matrix::verdict(results) else {
                    out.push_str(" |");
                    continue;
                };
                let word = outcome.words().1;
                let word = if outcome == Outcome::Passed {
                    word.to_owned()
                } else {
                    format!("**{word}**")
                };
                let said = said.iter().map(|text| plain(text));
                let said: Vec<String> = [word].into_iter().chain(said).collect();
                put!(out, " {} |", said.join("<br>"));
            }
            out.push('\n');
        }
    }
}

/// A figure of a result, as text.
type Figure = fn(&Report, &Cost) -> String;

/// What the same task cost each loader: a table a figure.
fn comparison(out: &mut String, results: &[Report], loaders: &[&str], curves: &[Curve]) {
    let in_curves: BTreeSet<Task> = curves.iter().flat_map(Curve::tasks).collect();
    let costly = |result: &&Report| result.cost.is_some();
    let shown: Vec<&Report> = results
        .iter()
        .filter(costly)
        .filter(|result| {
            let wanted = task(result);
            let others = results.iter().filter(|other| task(other) == wanted);
            others.count() > 1 || !in_curves.contains(&wanted)
        })
        .collect();
    if shown.is_empty() {
        return;
    }
    out.push_str("\n#### What it costs\n\n");
    let runs = shown
        .iter()
        .map(|result| result.runs.len().max(1))
        .max()
        .unwrap_or(1);
    if runs > 1 {
        put!(
            out,
            "Medians of {runs} runs, loaders in turn; {}. ",
            spread(&shown)
        );
    }
    out.push_str("In brackets: what a loader cost that did not pass.\n");
    let tasks: BTreeSet<Task> = shown.iter().map(|result| task(result)).collect();
    let figures: [(&str, Figure); 4] = [
        ("CPU s a million records", |result, cost| {
            format!("{:.2}", cost.cpu_seconds * 1e6 / result.scale as f64)
        }),
        ("peak MB", |_, cost| {
            format!("{:.0}", cost.peak_memory_bytes as f64 / 1e6)
        }),
        ("wall s", |_, cost| format!("{:.1}", cost.wall_seconds)),
        ("API calls", |_, cost| grouped(cost.calls)),
    ];
    for (name, figure) in figures {
        put!(out, "\n");
        head(out, name, loaders.iter().map(|loader| (*loader).to_owned()));
        for wanted in &tasks {
            put!(out, "| `{}`, {} |", wanted.row().1, wanted.size());
            for loader in loaders {
                let mut of_task = shown.iter().filter(|result| task(result) == *wanted);
                let found = of_task.find(|result| result.loader.name == *loader);
                let text = found.and_then(|result| {
                    let text = figure(result, result.cost.as_ref()?);
                    let passed = result.outcome == Outcome::Passed;
                    Some(if passed { text } else { format!("({text})") })
                });
                put!(out, " {} |", text.unwrap_or_default());
            }
            out.push('\n');
        }
    }
    commands(out, &commands::of_tasks(&shown));
}

/// How far runs of one loader on one task lie apart.
fn spread(results: &[&Report]) -> String {
    let spread = |of: fn(&crate::result::Figures) -> f64| {
        let of_result = |result: &&Report| {
            let values = result.runs.iter().map(of);
            let (low, high) = values.fold((f64::MAX, 0.0_f64), |(low, high), value| {
                (low.min(value), high.max(value))
            });
            (high > 0.0).then(|| (high - low) / high * 100.0)
        };
        let mut spreads: Vec<f64> = results
            .iter()
            .filter(|result| result.runs.len() > 1)
            .filter_map(of_result)
            .collect();
        spreads.sort_by(f64::total_cmp);
        (
            spreads.get(spreads.len() / 2).copied().unwrap_or_default(),
            spreads.last().copied().unwrap_or_default(),
        )
    };
    let (usual, most) = spread(|run| run.cpu_seconds);
    format!("CPU of the same task varies by {usual:.0} % (median), {most:.0} % at most")
}

fn drawn(curve: &Curve, loaders: &[&str]) -> String {
    let colour = |loader: &str| {
        let at = loaders.iter().position(|name| *name == loader);
        at.unwrap_or_default() % COLOURS
    };
    let plots: Vec<_> = MEASURES
        .iter()
        .take(3)
        .map(|measure| (measure.name.to_owned(), curve.plot(measure, PLOT, colour)))
        .collect();
    figure(&curve.title(), &plots)
}

/// A curve: its plots, its numbers, and how it grows.
fn curve(out: &mut String, curve: &Curve, file: &str) {
    let title = curve.title();
    put!(out, "\n#### {title}\n\n![{title}]({PLOTS}/{file})\n\n");
    let names = [
        "loader",
        "CPU s",
        "CPU s a million",
        "peak MB",
        "API calls",
        "wall s",
        "runs",
    ];
    head(out, curve.growth.name, names.map(str::to_owned).into_iter());
    for (name, spots) in &curve.loaders {
        for spot in spots {
            let (result, cost) = (spot.result, spot.cost);
            put!(
                out,
                "| {} | {} | {:.2} | {:.2} | {:.0} | {} | {:.1} | {} |\n",
                short(spot.at),
                plain(name),
                cost.cpu_seconds,
                cost.cpu_seconds * 1e6 / result.scale as f64,
                cost.peak_memory_bytes as f64 / 1e6,
                grouped(cost.calls),
                cost.wall_seconds,
                result.runs.len().max(1)
            );
        }
    }
    out.push('\n');
    for growth in curve.growths() {
        put!(out, "{}.\n", plain(&growth));
    }
    commands(out, &commands::of_curve(curve));
}
