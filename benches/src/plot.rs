//! `docs/performance.svg`: medians as bars, warm above cold, with a line from p10 to p90. Readable on light and dark.

use crate::Outcome;
use crate::measure::{Measured, Row, Samples};
use crate::peers::OURS;
use crate::report::Results;
use std::fs;
use std::path::Path;

const NAME: &str = "performance.svg";

/// Pixels.
const WIDTH: f64 = 900.0;
const LEFT: f64 = 90.0;
const RIGHT: f64 = 110.0;
const HEADER: f64 = 26.0;
const BAR: f64 = 9.0;
const ROW: f64 = 2.0 * BAR + 6.0;

const STYLE: &str = "text{font:12px system-ui,sans-serif;fill:#333}.title{font-weight:600}.value{font-size:10px}\
    .warm{fill:#8a94a6}.cold{fill:#c3c9d4}.ours.warm{fill:#d9580d}.ours.cold{fill:#f0b48a}.spread{stroke:#222;\
    stroke-width:1}.axis{stroke:#bbb;stroke-width:1}\
    @media(prefers-color-scheme:dark){text{fill:#ddd}.warm{fill:#8a94a6}.cold{fill:#565e6d}.ours.warm{fill:#f07a30}\
    .ours.cold{fill:#8f4a1f}.spread{stroke:#eee}.axis{stroke:#555}}";

/// Writes the picture.
pub(crate) fn write(directory: &Path, results: &Results) -> Outcome<()> {
    let path = directory.join(NAME);
    fs::write(&path, draw(&results.measured)).map_err(|e| format!("write {}: {e}", path.display()))
}

fn draw(all: &[Measured]) -> String {
    let mut body = String::new();
    let mut y = 24.0;
    body += &text(LEFT, 16.0, "title", "start", "medians in milliseconds: upper bar warm, lower bar cold");
    for measured in all.iter().filter(|measured| !measured.rows.is_empty()) {
        let scale = scale(measured);
        body += &text(LEFT, y + 18.0, "title", "start", measured.case.name);
        y += HEADER;
        let top = y;
        for row in &measured.rows {
            body += &row_of(row, y, scale);
            y += ROW;
        }
        body += &format!("<line class=\"axis\" x1=\"{LEFT}\" y1=\"{top}\" x2=\"{LEFT}\" y2=\"{y}\"/>\n");
        y += 8.0;
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {y}\" width=\"{WIDTH}\" height=\"{y}\" \
         role=\"img\">\n<title>Times of each runtime</title>\n<style>{STYLE}</style>\n{body}</svg>\n"
    )
}

/// Pixels for a millisecond: each case has its own, so that its longest bar fits.
fn scale(measured: &Measured) -> f64 {
    let samples = measured.rows.iter().flat_map(|row| [&row.warm, &row.cold]);
    let longest = samples.map(|samples| samples.quantile(0.9)).fold(f64::MIN_POSITIVE, f64::max);
    (WIDTH - LEFT - RIGHT) / longest
}

fn row_of(row: &Row, y: f64, scale: f64) -> String {
    let ours = if row.peer == OURS { " ours" } else { "" };
    text(LEFT - 8.0, y + BAR + 4.0, "", "end", row.peer)
        + &bar(&row.warm, &format!("warm{ours}"), y + 1.0, scale)
        + &bar(&row.cold, &format!("cold{ours}"), y + 2.0 + BAR, scale)
}

fn bar(samples: &Samples, class: &str, y: f64, scale: f64) -> String {
    if samples.is_empty() {
        return String::new();
    }
    let [low, median, high] = [0.1, 0.5, 0.9].map(|part| samples.quantile(part) * scale);
    let (from, to, middle) = (LEFT + low, LEFT + high, y + BAR / 2.0);
    let value = format!("{:.2}", samples.median());
    format!(
        "<rect class=\"{class}\" x=\"{LEFT}\" y=\"{y}\" width=\"{median:.1}\" height=\"{BAR}\"/>\n\
         <line class=\"spread\" x1=\"{from:.1}\" y1=\"{middle}\" x2=\"{to:.1}\" y2=\"{middle}\"/>\n"
    ) + &text(LEFT + median.max(high) + 6.0, y + BAR - 1.0, "value", "start", &value)
}

fn text(x: f64, y: f64, class: &str, anchor: &str, words: &str) -> String {
    format!("<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{words}</text>\n")
}
