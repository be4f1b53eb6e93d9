//! Runs every test of the workspace and tells the sum: what `make test` starts.
//!
//! Lanes, in this order: the programs under test are built; cargo-nextest runs all tests; cargo runs the
//! examples of the documentation; the leak detector looks at the machine; a guest with systemd and cgroup v2 runs the
//! tests that need one. Each tells its minutes. The reasons of the skipped and of the failed follow, a line each, and the
//! last line is the sum: `N passed, N failed, N skipped`. A test that was skipped is not counted as passed, unless it passed in the guest.
//! The exit status is 0 if nothing failed and something passed.
//!
//! `suite guest [VARIANT …] [NAME …]` runs the guest alone, in each variant (`cgroupfs`, `systemd`, `user`, `selinux`), with all
//! tests whose names begin so. `suite clients`, `suite attacks` and `suite faults` run the end-to-end tests of that name
//! alone. `suite defences` tries that each attack gets through without the defence that it is against. `suite fuzz MINUTES
//! [TARGET …]` searches for findings, so long for each target.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "its output is its purpose")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use testkit::guest::{self, Results, Tests, Variant};
use testkit::results::Sum;
use testkit::{Leaks, Temp, defences, fuzz, names, programs, skip, soak};

/// The tests that run in the guest: those of cgroups, which differ with its version, and those of what only the guest has,
/// such as quotas.
const GUEST: &[&str] = &[
    "apparmor::",
    "cgroup::",
    "crio::",
    "nested::",
    "podman::limits::podman_sees",
    "podman::systemd::",
    "quota::",
    "rootless::",
    "service::",
    "systemd::",
    "usage::pressure",
    "v2::",
];

/// Those that a kernel with SELinux is booted for.
const SELINUX: &[&str] = &["selinux::"];

type Programs<'a> = &'a [(&'static str, PathBuf)];

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let [word, minutes, targets @ ..] = words.as_slice()
        && word == "fuzz"
    {
        let minutes = minutes.parse().expect("a number of minutes");
        return told(&lane("fuzz", || fuzz::search(targets, minutes)), &BTreeMap::new());
    }
    let programs = lane("build", programs::build_all);
    if words.first().is_some_and(|word| word == "guest") {
        return guests(&programs, &words[1..]);
    }
    if words.first().is_some_and(|word| word == "defences") {
        let wrong = lane("defences", || defences::try_all(&programs));
        let passed = defences::DEFENCES.len() - wrong.len();
        return told(&Sum { passed, failed: wrong }, &BTreeMap::new());
    }
    let temp = Temp::new("suite");
    let (skips, figures) = (temp.path().join("skips"), temp.path().join("figures"));
    let leaks = Leaks::whole_suite();
    let only = words.first().map(String::as_str);
    let mut sum = lane("tests", || nextest(&programs, &skips, &figures, only));
    if only.is_none() {
        sum = sum.and(lane("examples", || examples(&programs)));
    }
    let sum = sum.and(lane("leaks", || machine(&leaks)));
    print!("{}", fs::read_to_string(&figures).unwrap_or_default());
    let mut skipped = reasons(&fs::read_to_string(&skips).unwrap_or_default());
    if only.is_some() {
        return told(&sum, &skipped);
    }
    let (inside, results) = lane("guest", || guest(&programs, Variant::Cgroupfs, GUEST));
    let mut sum = sum.and(inside);
    for name in &results.passed {
        if skipped.remove(name).is_some() {
            // Counted once: where it ran.
            sum.passed -= 1;
        }
    }
    // What is skipped on both sides has its reason of here.
    for (name, reason) in results.skipped {
        match skipped.contains_key(&name) {
            true => sum.passed -= 1,
            false => drop(skipped.insert(format!("guest {name}"), reason)),
        }
    }
    told(&sum, &skipped)
}

/// Runs the guest alone, once for each variant that is named, and tells the sum of each.
fn guests(programs: Programs, words: &[String]) -> ExitCode {
    let named = |word: &String| Variant::ALL.into_iter().find(|(name, _)| name == word);
    let mut variants: Vec<_> = words.iter().map_while(named).map(|(_, variant)| variant).collect();
    let names: Vec<&str> = words[variants.len()..].iter().map(String::as_str).collect();
    if variants.is_empty() {
        variants.push(Variant::Cgroupfs);
    }
    let mut all = (Sum::default(), BTreeMap::new());
    for variant in variants {
        let usual = if variant == Variant::Selinux { SELINUX } else { GUEST };
        let names = if names.is_empty() { usual } else { &names };
        let word = variant.word();
        let (sum, results) = lane(&format!("guest {word}"), || guest(programs, variant, names));
        let skipped = results.skipped.len();
        let (passed, failed) = (sum.passed - skipped, sum.failed.len());
        println!("guest {word}: {passed} passed, {failed} failed, {skipped} skipped");
        all.0 = all.0.and(sum);
        let reasons =
            results.skipped.into_iter().map(|(name, reason)| (format!("guest {word} {name}"), reason));
        all.1.extend(reasons);
    }
    told(&all.0, &all.1)
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

fn nextest(programs: Programs, skips: &Path, figures: &Path, only: Option<&str>) -> Sum {
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
    command.env(skip::SKIPS, skips).env(soak::FIGURES, figures).envs(programs.iter().cloned());
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

fn examples(programs: Programs) -> Sum {
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

/// The test binaries that run in the guest: their names as nextest has them, and their sources.
const BINARIES: &[(&str, &str, &str)] = &[
    ("forgeone-tests::privileged", "privileged", "tests/privileged/main.rs"),
    ("forgeone-tests::attacks", "attacks", "tests/attacks/main.rs"),
    ("forgeone-tests::faults", "faults", "tests/faults/main.rs"),
    ("forgeone-tests::clients", "clients", "tests/clients/main.rs"),
    ("forgeone-tests::standalone", "standalone", "tests/standalone/main.rs"),
];

/// Runs the tests of these names in the guest; where there can't be one, that is one skipped test. As everywhere, the
/// skipped are counted as passed at first.
fn guest(programs: Programs, variant: Variant, names: &[&str]) -> (Sum, Results) {
    let mut build = programs::cargo();
    build.args(["test", "--package", "forgeone-tests", "--locked", "--profile", "ci", "--no-run"]);
    let output = build.arg("--message-format=json").stderr(Stdio::null()).output();
    let output = output.expect("run cargo test --no-run");
    let built = BINARIES
        .iter()
        .map(|(id, name, source)| Some((*id, programs::executable(&output.stdout, name, Some(source))?)));
    let ran = match built.collect::<Option<Vec<_>>>() {
        Some(binaries) => {
            // In software, all tests take hours.
            let limit = Duration::from_secs(if names == GUEST { 3600 } else { 6 * 3600 });
            guest::run_tests(&Tests { programs, binaries: &binaries, names, limit }, variant)
        }
        None => Err("cargo test --no-run tells no executable".into()),
    };
    let results = ran.unwrap_or_else(|reason| Results {
        skipped: [("all".to_owned(), reason)].into(),
        ..Results::default()
    });
    let mut sum = Sum { passed: results.passed.len() + results.skipped.len(), failed: Vec::new() };
    for (name, said) in &results.failed {
        let name = format!("guest {} {name}", variant.word());
        println!("failed: {name}\n{said}");
        sum = sum.and(Sum::failure(&name, said));
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
