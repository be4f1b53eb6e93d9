//! Runs every test of the workspace and tells the sum: what `make test` starts.
//!
//! Lanes, in this order: the programs under test are built; cargo-nextest runs all tests; cargo runs the
//! examples of the documentation; the leak detector looks at the machine; a guest with systemd and cgroup v2 runs the
//! tests that need one. Each tells its minutes. The reasons of the skipped and of the failed follow, a line each, and the
//! last line is the sum: `N passed, N failed, N skipped`. A test that was skipped is not counted as passed, unless it passed in the guest.
//! The exit status is 0 if nothing failed and something passed.
//!
//! `suite guest [NAME …]` runs the guest alone, with all tests whose names begin so. `suite clients` runs the end-to-end
//! tests of that name alone.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "its output is its purpose")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, ExitStatus, Stdio};
use std::time::Instant;
use testkit::guest::{self, Results};
use testkit::results::Sum;
use testkit::{Leaks, Temp, names, programs, skip};

/// The tests that run in the guest: those of cgroups, which differ with its version, and those of systemd and its services.
const GUEST: &[&str] = &["cgroup::", "service::", "systemd::", "v2::"];

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let programs = lane("build", programs::build_all);
    if words.first().is_some_and(|word| word == "guest") {
        let names: Vec<&str> = words[1..].iter().map(String::as_str).collect();
        let names = if names.is_empty() { GUEST } else { &names };
        let (sum, results) = lane("guest", || guest(&programs, names));
        let skipped = results.skipped.into_iter().map(|(name, reason)| (in_guest(&name), reason));
        return told(&sum, &skipped.collect());
    }
    let temp = Temp::new("suite");
    let skips = temp.path().join("skips");
    let leaks = Leaks::whole_suite();
    let only = words.first().map(String::as_str);
    let mut sum = lane("tests", || nextest(&programs, &skips, only));
    if only.is_none() {
        sum = sum.and(lane("examples", || examples(&programs)));
    }
    let sum = sum.and(lane("leaks", || machine(&leaks)));
    let mut skipped = reasons(&fs::read_to_string(&skips).unwrap_or_default());
    if only.is_some() {
        return told(&sum, &skipped);
    }
    let (inside, results) = lane("guest", || guest(&programs, GUEST));
    let mut sum = sum.and(inside);
    for name in &results.passed {
        if skipped.remove(&format!("{BINARY} {name}")).is_some() {
            // Counted once: where it ran.
            sum.passed -= 1;
        }
    }
    // What is skipped on both sides has its reason of here.
    for (name, reason) in results.skipped {
        match skipped.contains_key(&format!("{BINARY} {name}")) {
            true => sum.passed -= 1,
            false => drop(skipped.insert(in_guest(&name), reason)),
        }
    }
    told(&sum, &skipped)
}

/// The test binary that runs in the guest, as nextest names it.
const BINARY: &str = "forgeone-tests::privileged";

fn in_guest(name: &str) -> String {
    format!("guest {name}")
}

/// Prints the skipped, the failed and the sum.
fn told(sum: &Sum, skipped: &BTreeMap<String, String>) -> ExitCode {
    for (name, reason) in skipped {
        println!("skipped: {name}: {reason}");
    }
    for failed in &sum.failed {
        println!("failed: {failed}");
    }
    let passed = sum.passed.saturating_sub(skipped.len());
    println!("{passed} passed, {} failed, {} skipped", sum.failed.len(), skipped.len());
    if sum.failed.is_empty() && passed > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs a part of the suite and tells how long it took.
fn lane<T>(name: &str, run: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let result = run();
    println!("{name}: {:.1} minutes", start.elapsed().as_secs_f64() / 60.0);
    result
}

fn nextest(programs: &[(&'static str, PathBuf)], skips: &Path, only: Option<&str>) -> Sum {
    // Where `.config/nextest.toml` has it, whatever CARGO_TARGET_DIR says.
    let report = programs::workspace().join("target/nextest/ci/junit.xml");
    if report.exists() {
        fs::remove_file(&report).expect("remove the old report");
    }
    let mut command = programs::cargo();
    command.args([
        "nextest",
        "run",
        "--locked",
        "--cargo-profile",
        "ci",
        "--profile",
        "ci",
        "--no-fail-fast",
    ]);
    match only {
        None => command.arg("--workspace"),
        Some(name) => command.args(["--package", "forgeone-tests", "--test", name]),
    };
    command.env(skip::SKIPS, skips).envs(programs.iter().cloned());
    command.env(names::SUITE, std::process::id().to_string());
    let status = command.status().expect("run cargo nextest");
    let report = fs::read_to_string(&report).unwrap_or_default();
    ended("cargo nextest", status, Sum::of_nextest(&report).unwrap_or_default())
}

/// A runner that fails without a test that does counts as one.
fn ended(runner: &str, status: ExitStatus, sum: Sum) -> Sum {
    match status.success() || !sum.failed.is_empty() {
        true => sum,
        false => sum.and(Sum::failure(runner, &status.to_string())),
    }
}

fn examples(programs: &[(&'static str, PathBuf)]) -> Sum {
    let mut command = programs::cargo();
    command.args(["test", "--doc", "--workspace", "--locked", "--profile", "ci", "--no-fail-fast"]);
    let output = command.envs(programs.iter().cloned()).stderr(Stdio::inherit()).output();
    let output = output.expect("run cargo test --doc");
    let text = String::from_utf8_lossy(&output.stdout);
    print!("{text}");
    ended("cargo test --doc", output.status, Sum::of_libtest(&text))
}

/// The leak detector over the whole suite counts as one test.
fn machine(leaks: &Leaks) -> Sum {
    let left = leaks.left();
    if left.is_empty() {
        return Sum { passed: 1, failed: Vec::new() };
    }
    println!("left behind by the suite:\n  {}", left.join("\n  "));
    Sum::failure("left behind by the suite", &left.join(", "))
}

/// Runs the tests of these names in the guest; where there can't be one, that is one skipped test. As everywhere, the
/// skipped are counted as passed at first.
fn guest(programs: &[(&'static str, PathBuf)], names: &[&str]) -> (Sum, Results) {
    let mut build = programs::cargo();
    build.args(["test", "--workspace", "--locked", "--profile", "ci", "--no-run", "--message-format=json"]);
    let output = build.stderr(Stdio::null()).output().expect("run cargo test --no-run");
    let ran = match programs::executable(&output.stdout, "privileged", Some("tests/privileged/main.rs")) {
        Some(binary) => guest::run_tests(programs, &binary, names),
        None => Err("cargo test --no-run tells no executable".into()),
    };
    let results = ran.unwrap_or_else(|reason| Results {
        skipped: [("all".to_owned(), reason)].into(),
        ..Results::default()
    });
    let mut sum = Sum { passed: results.passed.len() + results.skipped.len(), failed: Vec::new() };
    for (name, said) in &results.failed {
        println!("failed: {}\n{said}", in_guest(name));
        sum = sum.and(Sum::failure(&in_guest(name), said));
    }
    (sum, results)
}

/// `<binary> <test>: <reason>` a line; a test that skips twice counts once, with its first reason.
fn reasons(lines: &str) -> BTreeMap<String, String> {
    let mut reasons = BTreeMap::new();
    for (name, reason) in lines.lines().filter_map(|line| line.split_once(": ")) {
        reasons.entry(name.to_owned()).or_insert(reason.to_owned());
    }
    reasons
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_skipped_test_counts_once() {
        let found = reasons("a::b t::one: needs root\na::b t::two: needs x: y\na::b t::one: later\n");
        let expected = [("a::b t::one", "needs root"), ("a::b t::two", "needs x: y")];
        assert_eq!(found, expected.map(|(name, reason)| (name.into(), reason.into())).into());
    }
}
