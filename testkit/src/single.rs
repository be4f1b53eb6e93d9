//! A harness for tests that need a process with a single thread: `clone`, namespaces, seccomp, credentials.
//!
//! libtest runs each test in a thread of its own, even when there is only one. A test binary with
//! `harness = false` and `fn main() { testkit::single::main(&[("name", name), …]) }` runs each in the main
//! thread of its own process: under nextest, which starts the binary once for each test; and under
//! `cargo test`, where this harness starts itself again for each. It understands what both ask of it
//! (`--list --format terse [--ignored]`, `NAME --exact --nocapture`, filters, `--skip`).
#![allow(clippy::print_stdout, reason = "a harness talks to who reads its output")]

use std::fmt::Display;
use std::process::{Command, Stdio, exit};

/// A test: its name and its body, which fails by panicking.
pub type Test = (&'static str, fn());

/// Set for a test that this harness has started, so that [`skip()`] can be told from success.
const STARTED_BY_HARNESS: &str = "TESTKIT_SINGLE";
/// The exit code of a skipped test then.
const SKIPPED: i32 = 77;

/// What the command line asks for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Request {
    list: bool,
    ignored: bool,
    exact: bool,
    filters: Vec<String>,
    skips: Vec<String>,
}

impl Request {
    fn parse(args: impl IntoIterator<Item = String>) -> Self {
        let mut request = Self::default();
        let mut args = args.into_iter();
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "--list" => request.list = true,
                "--ignored" => request.ignored = true,
                "--exact" => request.exact = true,
                "--skip" => request.skips.extend(args.next()),
                "--format" | "--test-threads" | "--color" | "--logfile" | "-Z" => drop(args.next()),
                _ if arg.starts_with('-') => {}
                _ => request.filters.push(arg),
            }
        }
        request
    }

    fn wants(&self, name: &str) -> bool {
        let matches =
            |filter: &String| if self.exact { name == filter } else { name.contains(filter.as_str()) };
        let named = self.filters.is_empty() || self.filters.iter().any(matches);
        named && !self.ignored && !self.skips.iter().any(matches)
    }
}

/// Runs or lists `tests`, as the command line asks, and ends the process.
pub fn main(tests: &[Test]) -> ! {
    let request = Request::parse(std::env::args().skip(1));
    let wanted: Vec<Test> = tests.iter().copied().filter(|(name, _)| request.wants(name)).collect();
    if request.list {
        wanted.iter().for_each(|(name, _)| println!("{name}: test"));
        exit(0);
    }
    match wanted.as_slice() {
        [(_, body)] if request.exact => {
            body();
            exit(0)
        }
        _ => exit(run_each(&wanted, tests.len() - wanted.len())),
    }
}

/// [`crate::skip()`], and ends the test: no closure and no caller has to return.
pub fn skip(reason: impl Display) -> ! {
    crate::skip(reason);
    exit(if std::env::var_os(STARTED_BY_HARNESS).is_some() { SKIPPED } else { 0 })
}

/// Each test in a process of its own, one after the other; the exit code for all.
fn run_each(tests: &[Test], filtered: usize) -> i32 {
    let (mut passed, mut failed, mut skipped) = (0, 0, 0);
    println!("\nrunning {} tests", tests.len());
    for (name, _) in tests {
        let (result, output) = run(name);
        match result {
            Some(0) => passed += 1,
            Some(SKIPPED) => skipped += 1,
            _ => failed += 1,
        }
        let word = match result {
            Some(0) => "ok",
            Some(SKIPPED) => "ignored",
            _ => "FAILED",
        };
        println!("test {name} ... {word}");
        if word != "ok" {
            println!("{}", String::from_utf8_lossy(&output).trim_end());
        }
    }
    let word = if failed == 0 { "ok" } else { "FAILED" };
    println!(
        "\ntest result: {word}. {passed} passed; {failed} failed; {skipped} ignored; 0 measured; \
         {filtered} filtered out\n"
    );
    if failed == 0 { 0 } else { 101 }
}

/// One test in its own process: the exit code, and what it wrote.
fn run(name: &str) -> (Option<i32>, Vec<u8>) {
    let started = Command::new("/proc/self/exe")
        .args([name, "--exact", "--nocapture"])
        .env(STARTED_BY_HARNESS, "1")
        .stdin(Stdio::null())
        .output();
    match started {
        Ok(output) => (output.status.code(), [output.stdout, output.stderr].concat()),
        Err(error) => (None, format!("/proc/self/exe can't be started: {error}").into_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(line: &str) -> Request {
        Request::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn nextest_gets_what_it_asks_for() {
        let list = request("--list --format terse");
        assert!(list.list && list.wants("a"));
        assert!(!request("--list --format terse --ignored").wants("a"));
        let run = request("fs::a --exact --nocapture");
        assert!(run.wants("fs::a") && !run.wants("fs::ab") && !run.list);
    }

    #[test]
    fn filters_and_skips_are_substrings_as_in_libtest() {
        let some = request("mount clone --skip slow --test-threads 1");
        assert!(some.wants("mount_a") && some.wants("fs::clone"));
        assert!(!some.wants("mount_slow") && !some.wants("pty") && !some.wants("1"));
    }
}
