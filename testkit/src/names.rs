//! Names that tell whose a thing is: `forgeone-test-<pid>-<n>-<tag>`.
//!
//! Container ids, temporary directories and cgroups of tests all carry such a name. The leak detector finds
//! what belongs to a test by it, and leaves alone what other programs do on the machine meanwhile. Tests of a
//! suite say so as well, `forgeone-test-<suite's pid>.<pid>-<n>-<tag>`.

use std::sync::atomic::{AtomicU32, Ordering};

/// What every name of a test begins with.
pub const PREFIX: &str = "forgeone-test-";

/// The variable by which the suite runner tells its process id to the tests.
pub const SUITE: &str = "FORGEONE_SUITE";

/// What every name made by this process begins with.
pub fn process_prefix() -> String {
    let pid = std::process::id();
    match std::env::var(SUITE) {
        Ok(suite) => format!("{PREFIX}{suite}.{pid}-"),
        Err(_) => format!("{PREFIX}{pid}-"),
    }
}

/// A name that was not given before; `tag` says what for.
///
/// ```
/// use testkit::names;
/// assert!(names::unique("web").starts_with(names::PREFIX));
/// assert_ne!(names::unique("web"), names::unique("web"));
/// ```
pub fn unique(tag: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("{}{}-{tag}", process_prefix(), NEXT.fetch_add(1, Ordering::Relaxed))
}
