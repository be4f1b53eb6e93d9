//! Names that tell whose a thing is: `forgeone-test-<pid>-<n>-<tag>`.
//!
//! Container ids, temporary directories and cgroups of tests all carry such a name. The leak detector finds
//! what belongs to a test by it, and leaves alone what other programs do on the machine meanwhile.

use std::sync::atomic::{AtomicU32, Ordering};

/// What every name of a test begins with.
pub const PREFIX: &str = "forgeone-test-";

/// What every name made by this process begins with.
pub fn process_prefix() -> String {
    format!("{PREFIX}{}-", std::process::id())
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
