//! What is counted and not timed: system calls, peak memory, the smallest limit of memory that is enough.

use crate::cases::{CASES, Case};
use crate::line::{Line, Teller};
use crate::measure::short;
use crate::peers::{Peer, beside};
use crate::place::Container;
use crate::{Bench, Outcome};
use std::fs;
use testkit::privileged::find_program;

/// How often the peak of memory is taken; the smallest counts.
const PEAKS: u32 = 5;
/// The limit is found to this many bytes, below this many.
const STEP: u64 = 64 << 10;
const MOST: u64 = 128 << 20;
/// A limit is enough if as many runs in a row succeed.
const ENOUGH: u32 = 3;

/// One peer's.
pub(crate) struct Counts {
    pub(crate) peer: &'static str,
    /// System calls of the first case, `run` without limits.
    pub(crate) plain: Outcome<u64>,
    /// The same with limits and a filter.
    pub(crate) confined: Outcome<u64>,
    /// KiB, with limits and a filter.
    pub(crate) peak: Outcome<u64>,
    /// KiB.
    pub(crate) limit: Outcome<u64>,
}

/// Counts for every peer.
pub(crate) fn count(bench: &Bench) -> Outcome<Vec<Counts>> {
    let [plain, limited, confined] = ["run", "run-limits", "run-seccomp"].map(case);
    let of = |peer: &Peer| Counts {
        peer: peer.name,
        plain: calls(bench, peer, plain),
        confined: calls(bench, peer, confined),
        peak: peak(bench, peer, confined),
        limit: smallest(bench, peer, limited),
    };
    Ok(bench.peers.iter().map(of).collect())
}

fn case(name: &str) -> &'static Case {
    CASES.iter().find(|case| case.name == name).unwrap_or(&CASES[0])
}

/// The line of a `run` in this case, and its teller.
fn run_line<'a>(
    bench: &'a Bench,
    peer: &'a Peer,
    case: &'static Case,
    memory: Option<u64>,
) -> Outcome<(Line, Teller<'a>, String)> {
    let view = bench.view_of(case)?;
    view.enter()?;
    let teller = Teller { peer, place: &bench.place, case, view };
    let id = bench.id(&format!("count-{}", peer.name));
    if let Some(memory) = memory.filter(|_| peer.is_floor()) {
        return Ok((teller.floor_with_memory(&id, memory, &short()), teller, id));
    }
    let container = Container { case, view, id: &id, args: &short(), memory };
    let bundle = bench.place.bundle(&format!("count-{}", peer.name), &bench.template, &container)?;
    Ok((teller.run(&bundle, &id, &short()), teller, id))
}

fn calls(bench: &Bench, peer: &Peer, case: &'static Case) -> Outcome<u64> {
    let strace = find_program("strace").ok_or("strace is not installed")?;
    let (line, ..) = run_line(bench, peer, case, None)?;
    let summary = bench.place.path("strace");
    let launcher = [strace.into_os_string(), "-f".into(), "-c".into(), "-o".into(), summary.clone().into()];
    line.by(launcher).output()?;
    let text = fs::read_to_string(summary).map_err(|e| format!("strace: {e}"))?;
    Ok(total(&text))
}

/// The sum of the fourth column of `strace -c`; errors and name follow.
fn total(summary: &str) -> u64 {
    let lines = summary.lines().filter(|line| !line.trim_end().ends_with("total"));
    lines.filter_map(|line| line.split_whitespace().nth(3)?.parse::<u64>().ok()).sum()
}

fn peak(bench: &Bench, peer: &Peer, case: &'static Case) -> Outcome<u64> {
    let launch = beside("launch")?;
    let (line, ..) = run_line(bench, peer, case, None)?;
    let line = line.by([launch.into_os_string(), "peak".into()]);
    let once = || line.output()?.trim().parse::<u64>().map_err(|e| format!("peak: {e}"));
    let peaks = (0..PEAKS).map(|_| once()).collect::<Outcome<Vec<_>>>()?;
    peaks.into_iter().min().ok_or_else(|| "no runs".to_owned())
}

/// KiB, by halving: what is enough is enough with more.
fn smallest(bench: &Bench, peer: &Peer, case: &'static Case) -> Outcome<u64> {
    if !enough(bench, peer, case, MOST)? {
        return Err(format!("fails even with {} MiB", MOST >> 20));
    }
    let (mut below, mut above) = (0, MOST / STEP);
    while above - below > 1 {
        let middle = (below + above) / 2;
        match enough(bench, peer, case, middle * STEP)? {
            true => above = middle,
            false => below = middle,
        }
    }
    Ok(above * STEP / 1024)
}

fn enough(bench: &Bench, peer: &Peer, case: &'static Case, memory: u64) -> Outcome<bool> {
    let (line, teller, id) = run_line(bench, peer, case, Some(memory))?;
    for _ in 0..ENOUGH {
        if line.output().is_err() {
            teller.discard(&id)?;
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_summed_with_and_without_errors() {
        let summary = "% time     seconds  usecs/call     calls    errors syscall\n\
            ------ ----------- ----------- --------- --------- ----------------\n \
            50.00    0.000010           1        10         3 openat\n \
            50.00    0.000010           1        32           close\n\
            ------ ----------- ----------- --------- --------- ----------------\n\
            100.00    0.000020           1        42         3 total\n";
        assert_eq!(total(summary), 42);
    }
}
