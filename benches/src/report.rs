//! `docs/performance.md`: tables between two markers, so that what people write around them stays.

#[cfg(test)]
use crate::cases::CASES;
use crate::cases::{Case, Goal};
use crate::counts::Counts;
use crate::crowds::{Crowd, many};
use crate::machine;
use crate::measure::{Measured, Samples};
use crate::peers::{CRUN, FLOOR, OURS};
use crate::{Bench, Outcome};
use std::fs;
use std::path::Path;
use std::time::Duration;

/// The document.
pub(crate) const NAME: &str = "performance.md";
const BEGIN: &str = "<!-- begin: written by `make bench` -->\n";
const END: &str = "<!-- end: written by `make bench` -->\n";

/// All that was found.
pub(crate) struct Results<'a> {
    pub(crate) bench: &'a Bench,
    pub(crate) load: String,
    /// Runtimes that aren't installed.
    pub(crate) absent: Vec<String>,
    pub(crate) measured: Vec<Measured>,
    pub(crate) counts: Vec<Counts>,
    pub(crate) crowds: Vec<Crowd>,
    pub(crate) took: Duration,
}

/// Writes the document, or its part between the markers.
pub(crate) fn write(directory: &Path, results: &Results) -> Outcome<()> {
    let path = directory.join(NAME);
    let old = fs::read_to_string(&path).unwrap_or_else(|_| format!("# Performance\n\n{BEGIN}{END}"));
    let parts = old.split_once(BEGIN).and_then(|(before, rest)| Some((before, rest.split_once(END)?.1)));
    let (before, after) = parts.ok_or_else(|| format!("{}: no markers", path.display()))?;
    let text = format!("{before}{BEGIN}\n{}\n{END}{after}", document(results));
    fs::write(&path, text).map_err(|e| format!("write {}: {e}", path.display()))
}

fn document(results: &Results) -> String {
    let mut text = String::from("## The machine\n\n| | |\n|---|---|\n");
    for (what, value) in machine::describe() {
        text += &format!("| {what} | {value} |\n");
    }
    text += &format!("| load before, after | {}, {} |\n", results.load, machine::load());
    let versions = results.bench.peers.iter().map(|peer| format!("{} {}", peer.name, peer.version));
    text += &format!("| compared | {} |\n", versions.collect::<Vec<_>>().join("; "));
    let minutes = results.took.as_secs_f64() / 60.0;
    text += &format!("| rounds | {}, {minutes:.1} minutes |\n", results.bench.rounds);
    if !results.absent.is_empty() {
        text += &format!("| not compared | {} |\n", results.absent.join("; "));
    }
    text += "\n## Goals\n\n| case | goal | found | |\n|---|---|---|---|\n";
    text.extend(results.measured.iter().flat_map(goals));
    text.extend(goals_of_the_rest(results));
    text += "\n## Times\n\n![Times of each runtime](performance.svg)\n";
    for measured in &results.measured {
        text += &format!("\n### {}\n\n{}\n\n{}", measured.case.name, measured.case.what, table(measured));
    }
    if !results.counts.is_empty() {
        text += &format!("\n## System calls and memory\n\n{}", counts(&results.counts));
    }
    if !results.crowds.is_empty() {
        let number = many(results.bench.rounds);
        text += &format!("\n## Many containers ({number} in sequence and in the list)\n\n");
        text += &crowds(&results.crowds);
    }
    text.trim_end().to_owned() + "\n"
}

/// A case's table; on the terminal, too.
pub(crate) fn table(measured: &Measured) -> String {
    let mut text = String::new();
    if !measured.rows.is_empty() {
        text += "| milliseconds | warm: least | median | p10 to p90 | cold: least | median | p10 to p90 |\n";
        text += "|---|---|---|---|---|---|---|\n";
    }
    for row in &measured.rows {
        text += &format!("| {} | {} | {} |\n", row.peer, cells(&row.warm), cells(&row.cold));
    }
    if !measured.view.is_empty() {
        text += &format!("\ncgroups: {} alone\n", measured.view);
    }
    for note in &measured.notes {
        text += &format!("\n{note}\n");
    }
    text
}

fn cells(samples: &Samples) -> String {
    let [least, low, median, high] = [0.0, 0.1, 0.5, 0.9].map(|part| samples.quantile(part));
    format!("{least:.2} | {median:.2} | {low:.2} to {high:.2}")
}

/// Rows of the table of goals.
fn goals(measured: &Measured) -> Vec<String> {
    let Case { name, warm, cold, .. } = measured.case;
    let of = |goals: &[Goal], when: &str, is_cold: bool| {
        let medians: Vec<_> = medians(measured, is_cold);
        let row = |goal: &Goal| match judge(*goal, &medians) {
            Some((found, met)) => row(&format!("{name}, {when}"), &goal.text(), &found, met),
            None => row(&format!("{name}, {when}"), &goal.text(), "not measured", false),
        };
        goals.iter().map(row).collect::<Vec<_>>()
    };
    [of(warm, "warm", false), of(cold, "cold", true)].concat()
}

fn row(case: &str, goal: &str, found: &str, met: bool) -> String {
    format!("| {case} | {goal} | {found} | {} |\n", if met { "met" } else { "**not met**" })
}

fn medians(measured: &Measured, cold: bool) -> Vec<(&'static str, f64)> {
    let samples = measured.rows.iter().map(|row| (row.peer, if cold { &row.cold } else { &row.warm }));
    samples.filter(|(_, samples)| !samples.is_empty()).map(|(peer, s)| (peer, s.median())).collect()
}

impl Goal {
    fn text(self) -> String {
        match self {
            Self::Crun(factor) => format!("≤ {factor} × crun"),
            Self::Best(factor) => format!("≤ {factor} × the best other"),
            Self::Floor(factor) => format!("≤ {factor} × floor"),
            Self::Millis(bound) => format!("≤ {bound} ms"),
        }
    }
}

/// What was found, in the goal's terms, and whether it is met.
fn judge(goal: Goal, medians: &[(&str, f64)]) -> Option<(String, bool)> {
    let of = |name: &str| medians.iter().find(|(peer, _)| *peer == name).map(|(_, median)| *median);
    let ours = of(OURS)?;
    let against = |factor: f64, other: f64, name: &str| {
        (format!("{:.2} × {name} ({ours:.2} ms)", ours / other), ours <= factor * other)
    };
    Some(match goal {
        Goal::Crun(factor) => against(factor, of(CRUN)?, CRUN),
        Goal::Floor(factor) => against(factor, of(FLOOR)?, FLOOR),
        Goal::Millis(bound) => (format!("{ours:.2} ms"), ours <= bound),
        Goal::Best(factor) => {
            let others = medians.iter().filter(|(peer, _)| ![OURS, FLOOR].contains(peer));
            let (peer, best) = others.min_by(|a, b| a.1.total_cmp(&b.1))?;
            against(factor, *best, peer)
        }
    })
}

/// System calls, memory, many containers.
fn goals_of_the_rest(results: &Results) -> Vec<String> {
    let counts = |name: &str| results.counts.iter().find(|counts| counts.peer == name);
    let crowd = |name: &str| results.crowds.iter().find(|crowd| crowd.peer == name);
    let mut rows = Vec::new();
    if let Some(ours) = counts(OURS) {
        rows.extend(at_most("system calls of `run`, v2, no limits", &ours.plain, 250));
        rows.extend(at_most("system calls of `run`, limits, filter", &ours.confined, 400));
    }
    if let (Some(ours), Some(crun)) = (counts(OURS), counts(CRUN)) {
        rows.extend(times("peak memory", 0.6, &ours.peak, &crun.peak));
        rows.extend(times("smallest memory limit", 1.0, &ours.limit, &crun.limit));
    }
    if let Some(Ok(list)) = crowd(OURS).map(|crowd| &crowd.list) {
        let (found, bound) = (list.median(), 10.0);
        let name = format!("`list` of {}", many(results.bench.rounds));
        rows.push(row(&name, "≤ 10 ms", &format!("{found:.2} ms"), found <= bound));
    }
    if let (Some(ours), Some(crun)) = (crowd(OURS), crowd(CRUN))
        && let (Ok(rate), Ok(other)) = (&ours.burst, &crun.burst)
    {
        let found = format!("{:.2} × crun", rate / other);
        rows.push(row("100 at once", "≥ 3 × crun's rate", &found, *rate >= 3.0 * other));
    }
    if let Some(Ok(sequence)) = crowd(OURS).map(|crowd| &crowd.sequence) {
        let [first, last] = sequence.ends().map(|end| end.median());
        let found = format!("{first:.2} ms, then {last:.2} ms");
        rows.push(row("in sequence", "the last as fast as the first", &found, last <= 1.1 * first));
    }
    rows
}

fn at_most(name: &str, found: &Outcome<u64>, bound: u64) -> Option<String> {
    let found = found.as_ref().ok()?;
    Some(row(name, &format!("≤ {bound}"), &found.to_string(), *found <= bound))
}

fn times(name: &str, factor: f64, ours: &Outcome<u64>, other: &Outcome<u64>) -> Option<String> {
    let [ours, other] = [ours, other].map(|found| found.as_ref().ok().map(|found| *found as f64));
    let ratio = ours? / other?;
    Some(row(name, &format!("≤ {factor} × crun's"), &format!("{ratio:.2} × crun's"), ratio <= factor))
}

/// The table of counts; on the terminal, too.
pub(crate) fn counts(all: &[Counts]) -> String {
    let mut text =
        "| | system calls of `run`, v2 | the same, limits and filter | peak KiB | smallest limit, KiB |\n\
        |---|---|---|---|---|\n"
            .to_owned();
    let mut notes = String::new();
    for counts in all {
        let cells = [&counts.plain, &counts.confined, &counts.peak, &counts.limit].map(|found| match found {
            Ok(number) => number.to_string(),
            Err(why) => {
                notes += &format!("\nLeft out: {}: {why}\n", counts.peer);
                "–".to_owned()
            }
        });
        text += &format!("| {} | {} |\n", counts.peer, cells.join(" | "));
    }
    text + &notes
}

/// The table of crowds; on the terminal, too.
pub(crate) fn crowds(all: &[Crowd]) -> String {
    let mut text =
        "| | 100 at once, containers a second | in sequence: first tenth, ms | last tenth | `list`, ms |\n\
        |---|---|---|---|---|\n"
            .to_owned();
    let mut notes = String::new();
    for crowd in all {
        let mut cell = |found: Outcome<String>| {
            found.unwrap_or_else(|why| {
                notes += &format!("\nLeft out: {}: {why}\n", crowd.peer);
                "–".to_owned()
            })
        };
        let burst = cell(crowd.burst.clone().map(|rate| format!("{rate:.0}")));
        let ends = crowd.sequence.clone().map(|all| all.ends().map(|end| format!("{:.2}", end.median())));
        let sequence = cell(ends.map(|ends| ends.join(" | ")));
        let sequence = if sequence == "–" { "– | –".to_owned() } else { sequence };
        let list = cell(crowd.list.clone().map(|all| format!("{:.2}", all.median())));
        text += &format!("| {} | {burst} | {sequence} | {list} |\n", crowd.peer);
    }
    text + &notes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goals_are_judged_by_medians() {
        let medians = [(FLOOR, 2.0), (OURS, 4.0), (CRUN, 10.0), ("runc", 30.0), ("youki", 9.0)];
        let met = |goal| judge(goal, &medians).unwrap().1;
        assert!(met(Goal::Crun(0.5)) && !met(Goal::Crun(0.3)));
        assert!(met(Goal::Floor(2.0)) && !met(Goal::Floor(1.5)));
        assert!(met(Goal::Best(0.45)) && !met(Goal::Best(0.44)));
        assert!(met(Goal::Millis(4.0)) && !met(Goal::Millis(3.9)));
        assert!(judge(Goal::Crun(0.5), &medians[..2]).is_none());
    }

    #[test]
    fn every_case_has_a_name_of_its_own() {
        let names: std::collections::BTreeSet<_> = CASES.iter().map(|case| case.name).collect();
        assert_eq!(names.len(), CASES.len());
    }
}
