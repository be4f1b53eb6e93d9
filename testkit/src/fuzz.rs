//! Foreign bytes: each reader of some is a function of bytes that panics on a finding (`forgeone_runtime::fuzz`).
//!
//! Two feed it. In `make test` [`feed`] gives it the seeds, `fuzz/seeds/TARGET`, and bytes that are near them. `make fuzz`
//! is [`search`]: libFuzzer, which looks for bytes that reach code that none before has reached. What was a finding once
//! stays among the seeds.

use crate::programs::{cargo, target, workspace};
use crate::results::Sum;
use crate::soak::{Random, rounds};
use std::fs::{self, File};
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What makes a stable compiler count the edges that are taken, and tell what is compared. It is linked as any other
/// program, not as `.cargo/config.toml` has it for the door.
const COVERAGE: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares --cfg fuzzing";

/// Seconds for one input, and MiB for all that is kept of it: more is a finding.
const SECONDS: u32 = 10;
const MEMORY: u32 = 512;

/// Gives a reader its seeds, then `usual` inputs that differ a little from them, or nothing like them.
///
/// # Panics
/// If the reader does; the input is told.
pub fn feed(name: &str, read: fn(&[u8]), usual: u64) {
    let seeds = seeds(name);
    seeds.iter().for_each(|(path, seed)| check(&path.display().to_string(), read, seed));
    let mut random = Random::new();
    for _ in 0..rounds(usual) {
        let bytes = near(&seeds, &mut random);
        check("not in the seeds", read, &bytes);
    }
}

fn check(place: &str, read: fn(&[u8]), bytes: &[u8]) {
    let kept = "keep it among the seeds once it is mended";
    assert!(catch_unwind(|| read(bytes)).is_ok(), "{place} ({kept}): b\"{}\"", bytes.escape_ascii());
}

/// The seeds of a target, by their paths.
fn seeds(name: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = workspace().join("fuzz/seeds").join(name);
    let list = fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut paths: Vec<_> = list.map(|entry| entry.expect("read the seeds' folder").path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "{} is empty", folder.display());
    let read = |path: PathBuf| (path.clone(), fs::read(path).expect("read a seed"));
    paths.into_iter().map(read).collect()
}

/// Some bytes, or a seed with a few changes.
fn near(seeds: &[(PathBuf, Vec<u8>)], random: &mut Random) -> Vec<u8> {
    if random.below(8) == 0 {
        return (0..random.below(600)).map(|_| random.number() as u8).collect();
    }
    let mut bytes = random.one(seeds).1.clone();
    for _ in 0..=random.below(6) {
        change(&mut bytes, &random.one(seeds).1, random);
    }
    bytes
}

/// Changes a byte, adds some, takes some away, or puts a piece of another seed there.
fn change(bytes: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    const AT_BORDERS: &[u8] = b"\0\x01\x7f\x80\xff0+-:/.\\\"' \n";
    let at = random.below(bytes.len() as u64 + 1) as usize;
    let end = (at + random.below(24) as usize).min(bytes.len());
    match random.below(6) {
        0 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
        1 if at < bytes.len() => bytes[at] = *random.one(AT_BORDERS),
        2 => bytes.insert(at, *random.one(AT_BORDERS)),
        3 => drop(bytes.drain(at..end)),
        4 => bytes.extend_from_within(at..end),
        _ => {
            let from = random.below(other.len() as u64 + 1) as usize;
            let to = (from + random.below(24) as usize).min(other.len());
            bytes.splice(at..end, other[from..to].iter().copied());
        }
    }
}

/// Searches for findings, so many minutes for each target (all, unless some are named), and tells what came of it.
///
/// # Panics
/// If it can't be built, or a target has another name.
#[allow(clippy::print_stdout, reason = "it is asked for what came of it")]
pub fn search(only: &[String], minutes: f64) -> Sum {
    let folders = fs::read_dir(workspace().join("fuzz/seeds")).expect("read the seeds' folders");
    let mut names: Vec<_> = folders
        .map(|entry| entry.expect("read the seeds' folders").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    for name in only {
        assert!(names.contains(name), "{name} is none of {}", names.join(", "));
    }
    let program = build();
    let mut sum = Sum::default();
    for name in names.iter().filter(|name| only.is_empty() || only.contains(name)) {
        let (said, found) = search_one(&program, name, minutes);
        println!("fuzz {name}: {said}");
        sum = sum.and(match found {
            None => Sum { passed: 1, failed: Vec::new() },
            Some(found) => Sum::failure(&format!("fuzz {name}"), &found),
        });
    }
    sum
}

/// Builds the fuzzer, which is no part of the workspace, in a folder of its own.
fn build() -> PathBuf {
    let mut build = cargo();
    // Not locked: what the workspace has come to depend on is added to the fuzzer's own lock.
    build.args(["build", "--release", "--manifest-path", "fuzz/Cargo.toml", "--target-dir"]);
    build.arg(folder("build")).env("RUSTFLAGS", COVERAGE).arg("--message-format=json-render-diagnostics");
    let output = build.stderr(std::process::Stdio::inherit()).output().expect("run cargo build");
    assert!(output.status.success(), "the fuzzer could not be built");
    crate::programs::executable(&output.stdout, "fuzz", None).expect("cargo build tells no executable")
}

fn folder(name: &str) -> PathBuf {
    target().join("fuzz").join(name)
}

/// What was reached and found, and the finding.
fn search_one(program: &Path, name: &str, minutes: f64) -> (String, Option<String>) {
    let (corpus, log) = (folder("corpus").join(name), folder(&format!("{name}.log")));
    let findings = folder("findings").join(format!("{name}-"));
    for folder in [Some(corpus.as_path()), findings.parent()].into_iter().flatten() {
        fs::create_dir_all(folder).expect("make a folder");
    }
    let mut command = Command::new(program);
    command.env("FORGEONE_FUZZ", name).arg(corpus).arg(workspace().join("fuzz/seeds").join(name));
    command.args([
        format!("-max_total_time={}", (minutes * 60.0) as u64),
        format!("-timeout={SECONDS}"),
        format!("-rss_limit_mb={MEMORY}"),
        format!("-artifact_prefix={}", findings.display()),
        "-print_final_stats=1".to_owned(),
    ]);
    let file = File::create(&log).expect("make the log");
    let copy = file.try_clone().expect("copy a descriptor");
    let status = command.stdout(copy).stderr(file).status().expect("run the fuzzer");
    let said = fs::read(&log).unwrap_or_default();
    let said = String::from_utf8_lossy(&said);
    let (runs, edges) = (number(&said, "stat::number_of_executed_units: "), number(&said, " cov: "));
    let found = (!status.success()).then(|| finding(&said, &log));
    let verdict = found.as_deref().unwrap_or("no finding");
    (format!("{runs} runs, {edges} edges, {verdict}"), found)
}

/// The last number behind a word of libFuzzer's.
fn number(said: &str, word: &str) -> u64 {
    let last = said.rsplit(word).next().filter(|rest| rest.len() < said.len()).unwrap_or_default();
    last.trim_start().split(|c: char| !c.is_ascii_digit()).next().and_then(|n| n.parse().ok()).unwrap_or(0)
}

/// What went wrong, and where the input is.
fn finding(said: &str, log: &Path) -> String {
    let cause = said.lines().skip_while(|line| !line.contains("panicked at")).nth(1);
    let cause = cause.or_else(|| said.lines().find(|line| line.contains("ERROR: libFuzzer")));
    let kept = said.lines().find_map(|line| line.split_once("Test unit written to "));
    let kept = kept.map_or(log.display().to_string(), |(_, path)| path.to_owned());
    format!("{} ({kept})", cause.unwrap_or("it ended early"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_libfuzzer_tells_is_read() {
        let said =
            "#2\tINITED cov: 12 ft: 3\n#9\tNEW    cov: 345 ft: 4\nstat::number_of_executed_units: 77\n";
        assert_eq!((number(said, " cov: "), number(said, "stat::number_of_executed_units: ")), (345, 77));
        assert_eq!(number(said, "stat::other: "), 0);
        let crash = "thread '<unnamed>' panicked at a.rs:1:2:\nit is odd\n==1== ERROR: libFuzzer: deadly signal\n\
            artifact_prefix='x'; Test unit written to /f/config-crash-1\n";
        assert_eq!(finding(crash, Path::new("/log")), "it is odd (/f/config-crash-1)");
        let slow = "==1== ERROR: libFuzzer: timeout after 10 seconds\n";
        assert_eq!(
            finding(slow, Path::new("/log")),
            "==1== ERROR: libFuzzer: timeout after 10 seconds (/log)"
        );
    }

    #[test]
    fn a_finding_is_told_with_its_input() {
        let check = |bytes: &'static [u8]| catch_unwind(|| check("here", |b| assert!(b != b"\0x"), bytes));
        assert!(check(b"x").is_ok());
        let told = *check(b"\0x").unwrap_err().downcast::<String>().unwrap();
        assert!(told.starts_with("here (") && told.ends_with("b\"\\x00x\""), "{told}");
    }
}
