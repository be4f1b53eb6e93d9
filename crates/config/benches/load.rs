//! How long it takes to load and validate a file of 200 lines: `cargo bench -p forgeone-config`, or `make bench-config`.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a measurement fails by panicking")]
#![allow(clippy::print_stdout, reason = "that is what it is for")]

use forgeone_config::{
    check_config, config_to_string, load_config_from_file, parse_config, Format, Severity,
};
use std::hint::black_box;
use std::time::{Duration, Instant};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/web.yaml");

const ROUNDS: usize = 2000;

fn main() {
    // `cargo test --benches` runs it, too, and wants no figures.
    let rounds = if std::env::args().any(|word| word == "--bench") { ROUNDS } else { 1 };
    let text = std::fs::read_to_string(FILE).unwrap();
    let config = parse_config(&text, Format::Yaml).unwrap();
    assert!(check_config(&config).iter().all(|finding| finding.severity == Severity::Warning));
    println!("{}", machine());
    println!("{:<34} {:>10} {:>10} {:>10}", "microseconds", "least", "median", "99 %");
    let both = || check_config(&load_config_from_file(FILE).unwrap()).len();
    measure("load and validate 200 lines YAML", rounds, both);
    for format in [Format::Yaml, Format::Json, Format::Toml] {
        let text = config_to_string(&config, format).unwrap();
        measure(&format!("parse the same as {format}"), rounds, || parse_config(&text, format).unwrap());
    }
    measure("validate", rounds, || check_config(&config));
}

fn measure<T>(what: &str, rounds: usize, work: impl Fn() -> T) {
    let mut times: Vec<Duration> = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        let start = Instant::now();
        let made = black_box(work());
        times.push(start.elapsed());
        drop(made);
    }
    times.sort();
    let micros = |at: usize| times[at.min(times.len() - 1)].as_secs_f64() * 1e6;
    println!(
        "{what:<34} {:>10.1} {:>10.1} {:>10.1}",
        micros(0),
        micros(rounds / 2),
        micros(rounds * 99 / 100)
    );
}

/// The processor and the kernel.
fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cpus = read("/proc/cpuinfo");
    let model = cpus.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let count = std::thread::available_parallelism().map_or(0, usize::from);
    let model = model.map_or("unknown processor", |(_, model)| model);
    format!("{model}, {count} CPUs, Linux {}", read("/proc/sys/kernel/osrelease").trim())
}
