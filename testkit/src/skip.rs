//! Skipping a test aloud: its name and the reason go into the summary of `make test`.
//!
//! The suite runner names a file in `FORGEONE_SKIPS`; each skip appends one line to it, in one write, so that
//! tests that run at the same time don't mix their lines. Format: `<binary> <test>: <reason>`.

use std::fmt::Display;
use std::fs::OpenOptions;
use std::io::Write;

/// The variable that names the file of skips.
pub const SKIPS: &str = "FORGEONE_SKIPS";

/// Notes that the running test can't run here, and why; the test returns at once after it.
///
/// `return testkit::skip("needs /dev/kvm");`
pub fn skip(reason: impl Display) {
    let line = format!("{}: {reason}", running_test()).replace('\n', " ");
    eprintln!("skipped: {line}");
    let Some(file) = std::env::var_os(SKIPS) else { return };
    let mut file = OpenOptions::new().create(true).append(true).open(file).expect("open the file of skips");
    file.write_all(format!("{line}\n").as_bytes()).expect("write the file of skips");
}

/// The name of the running test, as nextest tells it, or as libtest names the thread.
pub fn running_test() -> String {
    let variable = |name| std::env::var(name).ok();
    match (variable("NEXTEST_BINARY_ID"), variable("NEXTEST_TEST_NAME")) {
        (Some(binary), Some(test)) => format!("{binary} {test}"),
        _ => std::thread::current().name().unwrap_or("a test").to_owned(),
    }
}
