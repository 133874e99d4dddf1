//! Plots as SVG: lines, and jobs as bars over time. Colours are classes of the page's style sheet.

use std::fmt::Write as _;

/// Plots of a page of HTML.
pub(crate) const WIDTH: f64 = 480.0;
const LEFT: f64 = 58.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 36.0;

/// A named line. Its colour is that of the loader of its number.
#[derive(Default)]
pub(crate) struct Series {
    pub(crate) name: String,
    pub(crate) colour: usize,
    pub(crate) points: Vec<(f64, f64)>,
    /// At a place, the least and the most of several runs.
    pub(crate) spreads: Vec<(f64, f64, f64)>,
    /// A straight line from the first point to the last is drawn too: what bends is seen.
    pub(crate) straight: bool,
}

/// How large a plot is, and whether its points are marked.
#[derive(Clone, Copy)]
pub(crate) struct Frame {
    pub(crate) width: f64,
    pub(crate) height: f64,
    pub(crate) marks: bool,
}

/// How an axis is drawn.
pub(crate) struct Axis<'a> {
    pub(crate) label: &'a str,
    /// Tenfold steps have one length.
    pub(crate) log: bool,
}

/// An axis with its place on the page.
struct Scale {
    low: f64,
    high: f64,
    log: bool,
    from: f64,
    to: f64,
}

impl Scale {
    fn new(values: impl Iterator<Item = f64>, log: bool, from: f64, to: f64) -> Self {
        let values: Vec<f64> = values.filter(|value| !log || *value > 0.0).collect();
        let most = values.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
        let least = values.iter().copied().fold(most, f64::min);
        let (low, high) = if log {
            (
                10_f64.powf(least.log10().floor()),
                10_f64.powf(most.log10().ceil()),
            )
        } else {
            let step = step(most);
            (0.0, (most / step).ceil() * step)
        };
        Self {
            low,
            high: if high > low { high } else { low * 10.0 },
            log,
            from,
            to,
        }
    }

    fn at(&self, value: f64) -> f64 {
        let share = if self.log {
            let value = value.max(self.low);
            (value / self.low).log10() / (self.high / self.low).log10()
        } else {
            (value - self.low) / (self.high - self.low)
        };
        self.from + share * (self.to - self.from)
    }

    fn ticks(&self) -> Vec<f64> {
        let mut ticks = vec![self.low];
        let step = step(self.high);
        while let Some(last) = ticks.last().copied()
            && last < self.high * 0.999
        {
            ticks.push(if self.log { last * 10.0 } else { last + step });
        }
        ticks
    }
}

/// A round step that gives an axis up to `most` four to eight ticks.
fn step(most: f64) -> f64 {
    let rough = most / 5.0;
    let power = 10_f64.powf(rough.log10().floor());
    let digit = rough / power;
    power
        * if digit < 1.5 {
            1.0
        } else if digit < 3.5 {
            2.0
        } else if digit < 7.5 {
            5.0
        } else {
            10.0
        }
}

/// A number as people read it: `1.5`, `250`, `3 k`, `1.2 M`.
pub(crate) fn short(value: f64) -> String {
    let (scaled, unit) = match value.abs() {
        at if at >= 1e9 => (value / 1e9, " G"),
        at if at >= 1e6 => (value / 1e6, " M"),
        at if at >= 1e3 => (value / 1e3, " k"),
        _ => (value, ""),
    };
    let digits = match scaled.abs() {
        at if at >= 100.0 => 0,
        at if at >= 10.0 => 1,
        _ => 2,
    };
    let text = format!("{scaled:.digits$}");
    let text = if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.')
    } else {
        &text
    };
    format!("{text}{unit}")
}

/// Text that HTML shows as it is.
pub(crate) fn escaped(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    text.replace('>', "&gt;").replace('"', "&quot;")
}

/// What a `write!` into a String returns cannot be an error.
macro_rules! put {
    ($out:expr, $($text:tt)*) => {
        let _ = write!($out, $($text)*);
    };
}
pub(crate) use put;

/// A plot: its size, its title, and its elements.
pub(crate) struct Drawing {
    pub(crate) width: f64,
    pub(crate) height: f64,
    title: String,
    body: String,
}

impl Drawing {
    /// As an element of a page.
    pub(crate) fn svg(&self) -> String {
        self.element("")
    }

    /// As a part of another drawing.
    pub(crate) fn part(&self, x: f64, y: f64) -> String {
        let Self { width, height, .. } = self;
        self.element(&format!(
            r#" x="{x}" y="{y}" width="{width}" height="{height}""#
        ))
    }

    fn element(&self, place: &str) -> String {
        let Self {
            width,
            height,
            title,
            body,
        } = self;
        let title = escaped(title);
        format!(
            r#"<svg{place} viewBox="0 0 {width} {height}" role="img" aria-label="{title}"><title>{title}</title>{body}</svg>"#
        )
    }
}

/// Where axes are drawn.
struct Place {
    top: f64,
    bottom: f64,
    right: f64,
}

fn axes(out: &mut String, x: &Scale, y: Option<&Scale>, labels: (&str, &str), place: &Place) {
    let Place { top, bottom, right } = *place;
    for tick in x.ticks() {
        let at = x.at(tick);
        put!(
            out,
            r#"<line class="grid" x1="{at:.1}" x2="{at:.1}" y1="{top}" y2="{bottom:.1}"/>"#
        );
        let text = short(tick);
        put!(
            out,
            r#"<text class="tick" x="{at:.1}" y="{:.1}" text-anchor="middle">{text}</text>"#,
            bottom + 14.0
        );
    }
    for tick in y.map(Scale::ticks).into_iter().flatten() {
        let at = y.map_or(0.0, |y| y.at(tick));
        put!(
            out,
            r#"<line class="grid" x1="{LEFT}" x2="{right:.1}" y1="{at:.1}" y2="{at:.1}"/>"#
        );
        let text = short(tick);
        put!(
            out,
            r#"<text class="tick" x="{:.1}" y="{:.1}" text-anchor="end">{text}</text>"#,
            LEFT - 5.0,
            at + 4.0
        );
    }
    let (across, up) = labels;
    put!(
        out,
        r#"<text class="label" x="{right:.1}" y="{:.1}" text-anchor="end">{across}</text>"#,
        bottom + 29.0
    );
    put!(
        out,
        r#"<text class="label" x="13" y="{top}" text-anchor="end" transform="rotate(-90 13 {top})">{up}</text>"#
    );
}

/// The names of several lines, in rows. Returns the height of the rows.
fn legend(out: &mut String, series: &[Series], width: f64) -> f64 {
    const ROW: f64 = 16.0;
    if series.len() < 2 {
        return 0.0;
    }
    let (mut x, mut y) = (LEFT, 0.0);
    for Series { name, colour, .. } in series {
        let long = 24.0 + 6.2 * name.chars().count() as f64;
        if x > LEFT && x + long > width {
            (x, y) = (LEFT, y + ROW);
        }
        put!(
            out,
            r#"<circle class="mark c{colour}" cx="{:.1}" cy="{:.1}" r="4"/><text class="name" x="{:.1}" y="{:.1}">{}</text>"#,
            x + 4.0,
            y + 8.0,
            x + 12.0,
            y + 12.0,
            escaped(name)
        );
        x += long;
    }
    y + ROW
}

/// Lines in one frame.
pub(crate) fn lines(title: &str, series: &[Series], x: &Axis, y: &Axis, frame: Frame) -> Drawing {
    let mut out = String::new();
    let shown: Vec<&Series> = series.iter().filter(|one| !one.points.is_empty()).collect();
    let named = legend(&mut out, series, frame.width);
    let place = Place {
        top: named + TOP,
        bottom: named + frame.height - BOTTOM,
        right: frame.width - RIGHT,
    };
    let points = || shown.iter().flat_map(|series| &series.points);
    let most = shown
        .iter()
        .flat_map(|series| &series.spreads)
        .map(|spread| spread.2);
    let values = points().map(|point| point.1).chain(most);
    let across = Scale::new(points().map(|point| point.0), x.log, LEFT, place.right);
    let up = Scale::new(values, y.log, place.bottom, place.top);
    axes(&mut out, &across, Some(&up), (x.label, y.label), &place);
    for series in shown {
        line(&mut out, series, &across, &up, frame.marks);
    }
    Drawing {
        width: frame.width,
        height: named + frame.height,
        title: title.to_owned(),
        body: out,
    }
}

fn line(out: &mut String, series: &Series, across: &Scale, up: &Scale, marks: bool) {
    let Series {
        name,
        colour,
        points,
        spreads,
        straight,
    } = series;
    let name = escaped(name);
    let polyline = |out: &mut String, class: &str, points: &[(f64, f64)]| {
        put!(out, r#"<polyline class="{class} c{colour}" points=""#);
        for (at, value) in points {
            put!(out, "{:.1},{:.1} ", across.at(*at), up.at(*value));
        }
        put!(out, r#""><title>{name}</title></polyline>"#);
    };
    if let (true, [first, .., last]) = (straight, &points[..]) {
        polyline(out, "straight", &[*first, *last]);
    }
    polyline(out, "line", points);
    for (at, low, high) in spreads {
        let x = across.at(*at);
        put!(
            out,
            r#"<line class="spread c{colour}" x1="{x:.1}" x2="{x:.1}" y1="{:.1}" y2="{:.1}"/>"#,
            up.at(*low),
            up.at(*high)
        );
    }
    for (at, value) in points.iter().filter(|_| marks) {
        let (shown_at, shown) = (short(*at), short(*value));
        put!(
            out,
            r#"<circle class="mark c{colour}" cx="{:.1}" cy="{:.1}" r="3.5"><title>{name}: {shown} at {shown_at}</title></circle>"#,
            across.at(*at),
            up.at(*value)
        );
    }
}

/// A job: created, closed and ended, in seconds.
pub(crate) struct Bar {
    pub(crate) created: f64,
    pub(crate) closed: f64,
    pub(crate) ended: f64,
    pub(crate) title: String,
    pub(crate) failed: bool,
}

/// The jobs of each loader, one bar below the other: pale until the close, full until the end. The
/// axis goes on to `end`.
pub(crate) fn jobs(
    title: &str,
    loaders: &[(String, usize, Vec<Bar>)],
    x: &Axis,
    end: f64,
) -> Drawing {
    const NAME: f64 = 16.0;
    const LANE: f64 = 72.0;
    let lane = |bars: &[Bar]| LANE.min(bars.len() as f64 * 9.0).max(9.0);
    let lanes: f64 = loaders
        .iter()
        .map(|(.., bars)| NAME + lane(bars) + 6.0)
        .sum();
    let bottom = TOP + lanes;
    let ends = loaders
        .iter()
        .flat_map(|(.., bars)| bars.iter().flat_map(|bar| [bar.created, bar.ended]));
    let left = 12.0;
    let across = Scale::new(ends.chain([end]), x.log, left, WIDTH - RIGHT);
    let mut out = String::new();
    let place = Place {
        top: TOP,
        bottom,
        right: WIDTH - RIGHT,
    };
    axes(&mut out, &across, None, (x.label, ""), &place);
    let mut top = TOP;
    for (name, colour, bars) in loaders {
        put!(
            out,
            r#"<text class="name" x="{left}" y="{:.1}">{}, {} job{}</text>"#,
            top + 11.0,
            escaped(name),
            bars.len(),
            if bars.len() == 1 { "" } else { "s" }
        );
        top += NAME;
        let height = lane(bars) / bars.len().max(1) as f64;
        for (number, bar) in bars.iter().enumerate() {
            let y = top + number as f64 * height;
            let thick = (height * 0.8).max(0.4);
            let mut part = |class: &str, from: f64, to: f64| {
                let (from, to) = (across.at(from), across.at(to));
                let width = (to - from).max(0.6);
                let title = escaped(&bar.title);
                put!(
                    out,
                    r#"<rect class="{class} c{colour}" x="{from:.1}" y="{y:.1}" width="{width:.1}" height="{thick:.1}"><title>{title}</title></rect>"#
                );
            };
            part("open", bar.created, bar.closed);
            part(
                if bar.failed { "bad" } else { "work" },
                bar.closed,
                bar.ended,
            );
        }
        top += lane(bars) + 6.0;
    }
    Drawing {
        width: WIDTH,
        height: bottom + BOTTOM,
        title: title.to_owned(),
        body: out,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_are_round() {
        let scale = Scale::new([0.0, 7.3].into_iter(), false, 0.0, 100.0);
        assert_eq!(scale.ticks(), [0.0, 2.0, 4.0, 6.0, 8.0]);
        assert!((scale.at(4.0) - 50.0).abs() < 1e-9);
        let scale = Scale::new([30.0, 4_000.0].into_iter(), true, 0.0, 3.0);
        assert_eq!(scale.ticks(), [10.0, 100.0, 1_000.0, 10_000.0]);
        assert!((scale.at(100.0) - 1.0).abs() < 1e-9);
        // Nothing at all, and only zeros, are plots too.
        assert!(
            Scale::new(std::iter::empty(), false, 0.0, 1.0)
                .at(0.0)
                .is_finite()
        );
        assert!(
            Scale::new([0.0].into_iter(), true, 0.0, 1.0)
                .at(0.0)
                .is_finite()
        );
    }

    #[test]
    fn numbers_are_short() {
        let shown = [0.0, 0.25, 12.34, 999.0, 1_500.0, 30_000_000.0].map(short);
        assert_eq!(shown, ["0", "0.25", "12.3", "999", "1.5 k", "30 M"]);
    }

    #[test]
    fn names_are_escaped_and_points_marked() {
        let series = || Series {
            name: "<b>&".to_owned(),
            points: vec![(0.0, 1.0), (2.0, 3.0), (4.0, 9.0)],
            spreads: vec![(2.0, 2.5, 3.5)],
            straight: true,
            ..Series::default()
        };
        let axis = |label| Axis { label, log: false };
        let frame = Frame {
            width: 300.0,
            height: 200.0,
            marks: true,
        };
        let plot = |series: &[Series]| lines("a < b", series, &axis("x"), &axis("y"), frame).svg();
        let one = plot(&[series()]);
        assert!(
            one.contains("&lt;b&gt;&amp;") && !one.contains("<b>"),
            "{one}"
        );
        assert_eq!(one.matches("<circle").count(), 3);
        assert_eq!(one.matches(r#"class="spread"#).count(), 1);
        assert_eq!(one.matches(r#"class="straight"#).count(), 1);
        // Several lines have a legend.
        let two = plot(&[series(), series()]);
        assert_eq!(two.matches("<circle").count(), 8);
        assert_eq!(two.matches(r#"class="name""#).count(), 2);
    }
}
