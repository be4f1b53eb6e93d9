//! Many containers: all at once, one after the other, and in a list. One peer after the other, since they would
//! share the machine otherwise.

use crate::cases::{CASES, Case};
use crate::line::{Line, Teller, reap};
use crate::measure::{Samples, long, short};
use crate::peers::beside;
use crate::place::Container;
use crate::{Bench, Outcome};
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Child;
use std::time::Instant;

/// How many a full benchmark has in sequence and in a list; a quick one has a part of it.
const MANY: u32 = 1000;
/// Rounds that make it a full one.
const FULL: u32 = 20;
/// How many each of the two processes starts at once, and how often.
const BURST: u32 = 50;
const BURSTS: u32 = 5;
/// What a burst may take.
const SECONDS: &str = "60";

/// One peer's.
pub(crate) struct Crowd {
    pub(crate) peer: &'static str,
    /// Containers in each second, 100 at once from two processes.
    pub(crate) burst: Outcome<f64>,
    /// Every run of a sequence.
    pub(crate) sequence: Outcome<Samples>,
    /// `list` of as many; the floor has none.
    pub(crate) list: Outcome<Samples>,
}

/// How many containers are in sequence and in a list.
pub(crate) fn many(rounds: u32) -> u32 {
    (MANY * rounds / FULL).clamp(10, MANY)
}

/// Measures every peer.
pub(crate) fn crowds(bench: &Bench) -> Outcome<Vec<Crowd>> {
    let case = &CASES[0];
    let view = bench.view_of(case)?;
    view.enter()?;
    let of = |peer| {
        let teller = Teller { peer, place: &bench.place, case, view };
        let crowd = Crowd {
            peer: peer.name,
            burst: burst(bench, teller),
            sequence: sequence(bench, teller),
            list: list(bench, teller),
        };
        println!("  {} done", peer.name);
        crowd
    };
    Ok(bench.peers.iter().map(of).collect())
}

/// The bundle of container `name`, which is its cgroup's name too.
fn bundle(bench: &Bench, teller: Teller, name: &str, args: &[String]) -> Outcome<PathBuf> {
    let Teller { case, view, place, .. } = teller;
    place.bundle(name, &bench.template, &Container { case, view, id: name, args, memory: None })
}

fn burst(bench: &Bench, teller: Teller) -> Outcome<f64> {
    for half in ["a", "b"] {
        for number in 0..BURST {
            bundle(bench, teller, &format!("{half}{number}"), &short())?;
        }
    }
    let launch = beside("launch")?;
    let half = |half: &str| {
        let name = format!("{half}{{}}");
        let line = teller.run(&bench.place.path("bundles").join(&name), &name, &short());
        let launcher = [launch.clone().into_os_string(), "burst".into(), BURST.to_string().into()];
        // With its whole process group, since one that hangs would hold up everything.
        line.by(["timeout", "--signal=KILL", SECONDS].map(OsString::from).into_iter().chain(launcher))
    };
    let halves = [half("a"), half("b")];
    let rates = (0..BURSTS).map(|_| rate(&halves)).collect::<Outcome<Vec<f64>>>();
    if rates.is_err() {
        let ids = (0..BURST).flat_map(|number| [format!("a{number}"), format!("b{number}")]);
        ids.into_iter().try_for_each(|id| teller.discard(&id))?;
    }
    Ok(rates?.into_iter().fold(0.0, f64::max))
}

/// Containers in each second when both start at once.
fn rate(halves: &[Line; 2]) -> Outcome<f64> {
    let start = Instant::now();
    let spawn = |line: &Line| line.command().spawn().map_err(|e| format!("launch: {e}"));
    let children = halves.iter().map(spawn).collect::<Outcome<Vec<Child>>>()?;
    for mut child in children {
        let status = child.wait().map_err(|e| format!("launch: {e}"))?;
        if !status.success() {
            return Err(format!("100 at once: {status}"));
        }
    }
    let rate = f64::from(2 * BURST) / start.elapsed().as_secs_f64();
    reap();
    Ok(rate)
}

fn sequence(bench: &Bench, teller: Teller) -> Outcome<Samples> {
    let bundle = bundle(bench, teller, "a0", &short())?;
    let line = teller.run(&bundle, "a0", &short());
    let mut samples = Samples::default();
    for _ in 0..many(bench.rounds) {
        match line.time() {
            Ok(taken) => samples.push(taken),
            Err(why) => return teller.discard("a0").and(Err(why)),
        }
    }
    Ok(samples)
}

fn list(bench: &Bench, teller: Teller) -> Outcome<Samples> {
    if teller.peer.is_floor() {
        return Err("it has no list".to_owned());
    }
    let mut made = 0;
    let listed = fill_and_list(bench, teller, &mut made);
    let deleted = (0..made).map(|number| teller.command(["delete", "--force", &format!("a{number}")]).time());
    let deleted: Outcome<Vec<_>> = deleted.collect();
    deleted.and(listed)
}

fn fill_and_list(bench: &Bench, teller: Teller, made: &mut u32) -> Outcome<Samples> {
    // The list is what counts: they share what they can with the host.
    let mut template = bench.template.clone();
    template["linux"]["namespaces"] = serde_json::json!([{ "type": "pid" }, { "type": "mount" }]);
    if let Some(config) = template.as_object_mut() {
        config.remove("hostname");
    }
    let Teller { view, place, .. } = teller;
    let case: &Case = teller.case;
    for number in 0..many(bench.rounds) {
        let name = format!("a{number}");
        let container = Container { case, view, id: &name, args: &long(), memory: None };
        let bundle = place.bundle(&name, &template, &container)?.into_os_string();
        *made = number + 1;
        teller.command(["create".into(), "--bundle".into(), bundle, OsString::from(name)]).time()?;
    }
    let line = teller.command(["list"]);
    let rows = line.output()?.lines().filter(|row| row.starts_with('a')).count();
    if rows != *made as usize {
        return Err(format!("list shows {rows} of {made}"));
    }
    let mut samples = Samples::default();
    for _ in 0..bench.rounds.max(3) {
        samples.push(line.time()?);
    }
    Ok(samples)
}
