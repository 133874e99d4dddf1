//! A figure of several plots as a file, for a page that has no style sheet of ours. Its colours are
//! read on light and dark pages alike.

use std::fmt::Write as _;

use crate::plot::{Drawing, escaped, put};

/// Between plots, and above them for their names.
const GAP: f64 = 14.0;
const HEAD: f64 = 22.0;

const STYLE: &str = "text{font:11px system-ui,sans-serif;fill:#7a828c}\
    .head{font-weight:600;font-size:12px}\
    .grid{stroke:#7a828c;stroke-opacity:.35;stroke-width:.7}\
    .line,.straight{fill:none;stroke:var(--c);stroke-width:1.8;stroke-linejoin:round}\
    .straight{stroke-width:1;stroke-dasharray:4 4;opacity:.7}\
    .spread{stroke:var(--c);stroke-width:4;opacity:.4}\
    .mark{fill:var(--c)}\
    .c0{--c:#2f81d8}.c1{--c:#d9622b}.c2{--c:#2a9d5c}.c3{--c:#a35bd0}\
    .c4{--c:#b58318}.c5{--c:#d94f8c}.c6{--c:#1d93ad}.c7{--c:#84807b}";

/// Named plots side by side, as the text of an SVG file.
pub(crate) fn figure(title: &str, plots: &[(String, Drawing)]) -> String {
    let width: f64 = plots.iter().map(|(_, plot)| plot.width + GAP).sum();
    let height = plots
        .iter()
        .map(|(_, plot)| plot.height)
        .fold(0.0, f64::max)
        + HEAD;
    let title = escaped(title);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" role=\"img\"><title>{title}</title><style>{STYLE}</style>\n"
    );
    let mut x = 0.0;
    for (name, plot) in plots {
        let name = escaped(name);
        put!(
            out,
            "<text class=\"head\" x=\"{:.0}\" y=\"14\">{name}</text>",
            x + 10.0
        );
        put!(out, "{}\n", plot.part(x, HEAD));
        x += plot.width + GAP;
    }
    out.push_str("</svg>\n");
    out
}
