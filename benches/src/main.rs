//! `make bench`: ForgeOne beside other runtimes and beside the floor, on the same bundles, in one run.
//!
//! ```text
//! cases.rs  what is measured, and the goals        views.rs  v1 alone, v2 alone
//! peers.rs  who                                    place.rs  root file system, bundles, filter
//! line.rs   how each is told                       measure.rs, counts.rs, crowds.rs
//! machine.rs  where                                report.rs, plot.rs  docs/performance.md, .svg
//! ```
//!
//! `bench [--rounds N] [--only CASE] [--out DIRECTORY]`. With `--only`, nothing is written but to the terminal, unless
//! there is `--out`.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it talks to who started it")]
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test fails by panicking"))]

mod cases;
mod counts;
mod crowds;
mod line;
mod machine;
mod measure;
mod peers;
mod place;
mod plot;
mod report;
mod views;

use cases::{CASES, Case};
use forgeone_sys::process::{geteuid, set_child_subreaper};
use lexopt::prelude::{Long, ValueExt};
use measure::Measured;
use peers::Peer;
use place::Place;
use serde_json::Value;
use std::path::PathBuf;
use std::process::ExitCode;
use testkit::names;
use testkit::programs::workspace;
use views::{View, Views};

/// A benchmark's own errors are for reading only.
pub(crate) type Outcome<T> = Result<T, String>;

/// What one run of the benchmark has.
pub(crate) struct Bench {
    pub(crate) rounds: u32,
    pub(crate) peers: Vec<Peer>,
    /// The configs of `forgeone spec` and of `forgeone spec --rootless`.
    pub(crate) template: Value,
    pub(crate) rootless: Value,
    name: String,
    // Dropped in this order: no cgroup outlives its view, no bundle its containers.
    views: Views,
    pub(crate) place: Place,
}

impl Bench {
    /// The cgroups that a case is measured in.
    pub(crate) fn view_of(&self, case: &Case) -> Outcome<&View> {
        if case.limits { self.views.limits() } else { self.views.plain() }
    }

    /// A container's id that nobody else has.
    pub(crate) fn id(&self, tag: &str) -> String {
        format!("{}-{tag}", self.name)
    }
}

/// What the command line says.
struct Options {
    rounds: u32,
    only: Option<String>,
    out: Option<PathBuf>,
}

fn main() -> ExitCode {
    match options().and_then(|options| run(&options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("bench: {why}");
            ExitCode::FAILURE
        }
    }
}

fn options() -> Outcome<Options> {
    let mut options = Options { rounds: 30, only: None, out: None };
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next().map_err(|e| e.to_string())? {
        let read = match argument {
            Long("rounds") => parser.value().and_then(|value| value.parse()).map(|n| options.rounds = n),
            Long("only") => parser.value().and_then(|value| value.string()).map(|s| options.only = Some(s)),
            Long("out") => parser.value().map(|path| options.out = Some(path.into())),
            other => Err(other.unexpected()),
        };
        read.map_err(|e| e.to_string())?;
    }
    if let Some(only) = options.only.as_ref().filter(|only| !CASES.iter().any(|case| case.name == *only)) {
        let names: Vec<_> = CASES.iter().map(|case| case.name).collect();
        return Err(format!("no case {only}; there are {}", names.join(", ")));
    }
    Ok(options)
}

fn run(options: &Options) -> Outcome<()> {
    if geteuid() != 0 {
        return Err("needs root: it makes containers, mount namespaces and cgroups".to_owned());
    }
    let start = std::time::Instant::now();
    let load = machine::load();
    let (bench, absent) = prepare(options.rounds.max(1))?;
    for peer in &bench.peers {
        println!("{} {}", peer.name, peer.version);
    }
    absent.iter().for_each(|why| println!("{why}"));
    let wanted = CASES.iter().filter(|case| options.only.as_ref().is_none_or(|only| case.name == only));
    let measured = wanted.map(|case| one(&bench, case)).collect::<Vec<_>>();
    let out = match (&options.out, &options.only) {
        (Some(out), _) => out.clone(),
        (None, None) => workspace().join("docs"),
        (None, Some(_)) => return Ok(()),
    };
    let (counts, crowds) = if options.only.is_none() { all_the_rest(&bench)? } else { Default::default() };
    let took = start.elapsed();
    let results = report::Results { bench: &bench, load, absent, measured, counts, crowds, took };
    report::write(&out, &results)?;
    plot::write(&out, &results)?;
    println!("{} written in {:.1} minutes", out.join(report::NAME).display(), took.as_secs_f64() / 60.0);
    Ok(())
}

/// A case that can't be measured here is told of, and the others go on.
fn one(bench: &Bench, case: &'static Case) -> Measured {
    println!("\n{}: {}", case.name, case.what);
    let failed = |why: String| Measured { case, view: "", rows: Vec::new(), notes: vec![why] };
    let measured = measure::measure(bench, case).unwrap_or_else(failed);
    print!("{}", report::table(&measured));
    measured
}

fn all_the_rest(bench: &Bench) -> Outcome<(Vec<counts::Counts>, Vec<crowds::Crowd>)> {
    println!("\nsystem calls, memory");
    let counts = counts::count(bench)?;
    print!("{}", report::counts(&counts));
    println!("\nmany containers");
    let crowds = crowds::crowds(bench)?;
    print!("{}", report::crowds(&crowds));
    Ok((counts, crowds))
}

fn prepare(rounds: u32) -> Outcome<(Bench, Vec<String>)> {
    // As a shim: programs whose runtime has gone become this process's children.
    set_child_subreaper(true).map_err(|e| e.to_string())?;
    let place = Place::make()?;
    let (peers, absent) = peers::find(&place.path("bin"))?;
    let name = names::unique("bench");
    let views = Views::make(&name)?;
    let ours = peers.iter().find(|peer| peer.name == peers::OURS).map(|peer| peer.program.clone());
    let ours = ours.ok_or("no forgeone")?;
    let [template, rootless] = [place.template(&ours, false)?, place.template(&ours, true)?];
    Ok((Bench { rounds, peers, template, rootless, name, views, place }, absent))
}
