//! `report`: results as one page of HTML, which needs no server and no script.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::curves::{Curve, curves};
use crate::error::{At, Error, Result};
use crate::markdown;
use crate::matrix;
use crate::plot::{self, Axis, Bar, Frame, Series, WIDTH, escaped, put};
use crate::result::{Cost, Outcome, Report, VERSION};
use crate::task::{MEASURES, Task, task};

/// Colours of the style sheet.
pub(crate) const COLOURS: usize = 8;

/// Lines whose points are results.
const LINES: Frame = Frame {
    width: WIDTH,
    height: 240.0,
    marks: true,
};

/// Draws the page of all results in `paths`: files, and folders that hold some; their tables go into
/// a page of Markdown too.
pub(crate) fn write(paths: &[PathBuf], out: &Path, tables: Option<&Path>) -> Result<ExitCode> {
    let mut results = Vec::new();
    for path in paths {
        read(path, &mut results)?;
    }
    if results.is_empty() {
        return Err(Error::Input(
            "there is no result.json in what was given".to_owned(),
        ));
    }
    fs::write(out, page(&results)).at(out)?;
    if let Some(page) = tables {
        markdown::write(&results, page)?;
    }
    println!("{} results: {}", results.len(), out.display());
    Ok(ExitCode::SUCCESS)
}

/// Reads all results below a path. A file that is none, such as one that was not written to its end,
/// is named on stderr, and the others are read.
fn read(path: &Path, results: &mut Vec<Report>) -> Result<()> {
    if path.is_dir() {
        let entries = fs::read_dir(path).at(path)?;
        let mut inside: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        inside.sort();
        let is_result =
            |path: &PathBuf| (path.is_dir() && !path.is_symlink()) || path.ends_with("result.json");
        return inside
            .iter()
            .filter(|path| is_result(path))
            .try_for_each(|path| read(path, results));
    }
    let text = fs::read_to_string(path).at(path)?;
    match serde_json::from_str::<Report>(&text) {
        Ok(result) if result.version == VERSION => results.push(result),
        Ok(Report { version, .. }) => {
            let path = path.display();
            eprintln!("{path}: left out: version {version} of the form is not {VERSION}");
        }
        Err(error) => eprintln!("{}: left out: {error}", path.display()),
    }
    Ok(())
}

/// All results, and the order and colours of their loaders.
struct Page<'a> {
    results: &'a [Report],
    loaders: Vec<&'a str>,
}

fn page(results: &[Report]) -> String {
    let page = Page {
        results,
        loaders: matrix::loaders(results),
    };
    let mut out = String::from("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">");
    out.push_str("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">");
    out.push_str("<title>Loaders into Salesforce, judged</title><style>\n");
    out.push_str(include_str!("report.css"));
    out.push_str("</style></head><body>\n<h1>Loaders into Salesforce, judged</h1>\n");
    out.push_str(
        "<p>Each loader ran alone against a simulated org, in a process of its own. What the org and the \
         loader's files of rejected records held at the end was compared with the input, field by field. \
         Only a loader that <b class=\"passed\">passed</b> did the same work as the others: costs of one \
         that did not are shown, and mean little. Of several runs each figure is the median.</p>\n",
    );
    page.versions(&mut out);
    page.matrix(&mut out, "Who loses what", false);
    page.matrix(&mut out, "Faults survived", true);
    page.curves(&mut out);
    page.tasks(&mut out);
    out.push_str("</body></html>\n");
    out
}

impl Page<'_> {
    fn colour(&self, loader: &str) -> usize {
        let at = self.loaders.iter().position(|name| *name == loader);
        at.unwrap_or_default() % COLOURS
    }

    fn versions(&self, out: &mut String) {
        out.push_str("<ul class=\"legend\">");
        for loader in &self.loaders {
            let of_loader = self
                .results
                .iter()
                .find(|result| result.loader.name == *loader);
            let version = of_loader
                .and_then(|result| result.loader.version.as_deref())
                .unwrap_or("");
            put!(
                out,
                "<li class=\"c{}\">{} {}</li>",
                self.colour(loader),
                escaped(loader),
                escaped(version)
            );
        }
        out.push_str("</ul>\n");
    }

    /// Loaders by workload, all sizes of it in one row.
    fn matrix(&self, out: &mut String, title: &str, faults: bool) {
        let rows = matrix::rows(self.results, &self.loaders, faults);
        if rows.is_empty() {
            return;
        }
        put!(
            out,
            "<h2>{title}</h2>\n<div class=\"table\"><table><thead><tr><th>workload</th>"
        );
        for loader in &self.loaders {
            put!(out, "<th>{}</th>", escaped(loader));
        }
        out.push_str("</tr></thead><tbody>\n");
        for row in rows {
            put!(
                out,
                "<tr><th title=\"{}\">{}<span class=\"soft\">{}</span></th>",
                escaped(row.about),
                escaped(&row.name),
                escaped(&row.size)
            );
            row.cells.iter().for_each(|cell| verdict(out, cell));
            out.push_str("</tr>\n");
        }
        out.push_str("</tbody></table></div>\n");
    }

    /// Plots of what grows with the size, where a task was run in several.
    fn curves(&self, out: &mut String) {
        let curves = curves(self.results);
        if curves.is_empty() {
            return;
        }
        out.push_str(
            "<h2>What grows with the size</h2>\n<p>Where records grow, CPU, calls and time are those of a \
             million records: a flat line is a cost in proportion. Elsewhere a dashed line is straight, and \
             shows what bends. An upright line is the spread of several runs.</p>\n",
        );
        for curve in &curves {
            self.curve(out, curve);
        }
    }

    fn curve(&self, out: &mut String, curve: &Curve) {
        put!(
            out,
            "<h3>{}</h3>\n<div class=\"figures\">\n",
            escaped(&curve.title())
        );
        for measure in &MEASURES {
            let plot = curve.plot(measure, LINES, |loader| self.colour(loader));
            figure(out, measure.name, &plot.svg());
        }
        out.push_str("</div>\n");
        for growth in curve.growths() {
            put!(out, "<p class=\"soft\">{}</p>\n", escaped(&growth));
        }
    }

    /// Costs, memory and jobs of each task.
    fn tasks(&self, out: &mut String) {
        out.push_str("<h2>Costs</h2>\n");
        out.push_str(
            "<p>CPU and memory are those of the loader and all that it started, not of the org. Jobs are pale \
             until their close, and full until their end; those that failed are red.</p>\n",
        );
        let tasks: BTreeSet<Task> = self.results.iter().map(task).collect();
        for wanted in tasks {
            let mut shown: Vec<(&Report, &Cost)> = self
                .results
                .iter()
                .filter(|result| task(result) == wanted)
                .filter_map(|result| Some((result, result.cost.as_ref()?)))
                .collect();
            if shown.is_empty() {
                continue;
            }
            let rank = |(result, cost): &(&Report, &Cost)| {
                (result.outcome != Outcome::Passed, cost.cpu_seconds)
            };
            shown.sort_by(|one, other| {
                rank(one)
                    .partial_cmp(&rank(other))
                    .unwrap_or(std::cmp::Ordering::Equal)
            });
            let title = wanted.title();
            put!(
                out,
                "<h3>{}</h3>\n<p class=\"soft\">{}</p>\n",
                escaped(&title),
                escaped(&shown[0].0.workload.about)
            );
            costs(out, &shown);
            out.push_str("<div class=\"figures\">\n");
            let walls = || shown.iter().map(|(_, cost)| cost.wall_seconds);
            let (least, end) = (
                walls().fold(f64::MAX, f64::min),
                walls().fold(0.0, f64::max),
            );
            // Beside a slow loader the others would be dots.
            let log = end > least * 8.0;
            let memory: Vec<Series> = shown
                .iter()
                .map(|(result, _)| Series {
                    name: result.loader.name.clone(),
                    colour: self.colour(&result.loader.name),
                    points: result
                        .memory
                        .iter()
                        .filter(|point| !log || point.seconds >= 0.1)
                        .map(|point| (point.seconds, point.bytes as f64 / 1e6))
                        .collect(),
                    ..Series::default()
                })
                .collect();
            let axis = |label, log| Axis { label, log };
            let frame = Frame {
                marks: false,
                ..LINES
            };
            let name = format!("Memory over time: {title}");
            let (x, y) = (axis("seconds", log), axis("MB", false));
            let plot = plot::lines(&name, &memory, &x, &y, frame);
            figure(out, "Memory over time", &plot.svg());
            let jobs: Vec<(String, usize, Vec<Bar>)> = shown
                .iter()
                .map(|(result, _)| {
                    (
                        result.loader.name.clone(),
                        self.colour(&result.loader.name),
                        bars(result),
                    )
                })
                .collect();
            figure(
                out,
                "Jobs over time",
                &plot::jobs(&format!("Jobs over time: {title}"), &jobs, &x, end).svg(),
            );
            out.push_str("</div>\n");
        }
    }
}

fn figure(out: &mut String, title: &str, svg: &str) {
    put!(
        out,
        "<figure><figcaption>{}</figcaption>{svg}</figure>\n",
        escaped(title)
    );
}

fn verdict(out: &mut String, cell: &[&Report]) {
    let Some((outcome, said)) = matrix::verdict(cell) else {
        out.push_str("<td></td>");
        return;
    };
    let (class, word) = outcome.words();
    put!(out, "<td><b class=\"{class}\">{word}</b>");
    for text in said {
        put!(out, "<small>{}</small>", escaped(&text));
    }
    out.push_str("</td>");
}

fn costs(out: &mut String, shown: &[(&Report, &Cost)]) {
    const HEAD: [&str; 12] = [
        "outcome",
        "wall s",
        "CPU s",
        "CPU s a million",
        "peak MB",
        "calls",
        "polls",
        "jobs",
        "batches",
        "rows sent",
        "lock errors",
        "org s",
    ];
    out.push_str("<div class=\"table\"><table><thead><tr><th>loader</th>");
    for (number, name) in HEAD.iter().enumerate() {
        put!(
            out,
            "<th{}>{name}</th>",
            if number > 0 { " class=\"number\"" } else { "" }
        );
    }
    out.push_str("</tr></thead><tbody>\n");
    for (result, cost) in shown {
        let (class, word) = result.outcome.words();
        put!(
            out,
            "<tr><th>{}</th><td><b class=\"{class}\">{word}</b></td>",
            escaped(&result.loader.name)
        );
        let million = cost.cpu_seconds * 1e6 / result.scale as f64;
        let numbers = [
            format!("{:.2}", cost.wall_seconds),
            format!("{:.2}", cost.cpu_seconds),
            format!("{million:.2}"),
            format!("{:.0}", cost.peak_memory_bytes as f64 / 1e6),
            cost.calls.to_string(),
            cost.polls.to_string(),
            cost.jobs.to_string(),
            cost.batches.to_string(),
            cost.rows_sent.to_string(),
            cost.lock_errors.to_string(),
            cost.org_seconds
                .map_or_else(String::new, |seconds| format!("{seconds:.0}")),
        ];
        for number in numbers {
            put!(out, "<td class=\"number\">{number}</td>");
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody></table></div>\n");
}

/// The jobs of a run. One that has not ended goes on to the end of the loader.
fn bars(result: &Report) -> Vec<Bar> {
    let end = result.cost.as_ref().map_or(0.0, |cost| cost.wall_seconds);
    let jobs = result.jobs.iter().map(|job| {
        let ended = job.ended.unwrap_or(end).max(job.created);
        Bar {
            created: job.created,
            closed: job.closed.unwrap_or(ended),
            ended,
            title: format!(
                "{} of {}: {}, {} rows, {} failed",
                job.operation, job.object, job.state, job.rows, job.failed
            ),
            failed: job.state != "JobComplete",
        }
    });
    jobs.collect()
}
