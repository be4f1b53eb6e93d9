//! What the tests of mounts and root file systems share: running a bundle, and reading what the probe saw in it.

use forgeone_sys::mount::{self as sys_mount, MountPropagationFlags, UnmountFlags};
use forgeone_sys::process;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use testkit::bundle::PROBE;
use testkit::{Bundle, Door, Output, Temp};

/// The path of a bundle, for a command line.
pub(crate) fn dir(bundle: &Bundle) -> &str {
    bundle.path().to_str().unwrap()
}

/// Runs the bundle to its end.
#[track_caller]
pub(crate) fn run(bundle: &Bundle) -> Output {
    run_with(bundle, &[])
}

/// Runs the bundle to its end, with more options for `run`.
#[track_caller]
pub(crate) fn run_with(bundle: &Bundle, options: &[&str]) -> Output {
    let door = Door::new();
    let id = door.id("inside");
    let mut args = vec!["run", "--bundle", dir(bundle)];
    args.extend(options);
    args.push(&id);
    let output = door.run(args);
    assert!(door.containers().is_empty(), "run removes its container");
    output
}

/// What the bundle's program, which has to succeed without a complaint, printed.
#[track_caller]
pub(crate) fn printed(bundle: &Bundle) -> String {
    let output = run(bundle);
    assert_eq!((output.code, output.stderr.as_str()), (0, ""), "{}", output.stdout);
    output.stdout
}

/// What a line of shell printed in a busybox root; `set -e` holds.
#[track_caller]
pub(crate) fn shell(bundle: Bundle, line: &str) -> String {
    printed(&bundle.shell(&format!("set -e\n{line}")))
}

/// The one line that a bundle which can't be started is refused with; nothing is left of it.
#[track_caller]
pub(crate) fn refused(bundle: &Bundle) -> String {
    let output = run(bundle);
    assert_eq!((output.code, output.stdout.as_str()), (1, ""), "{}", output.stderr);
    assert_eq!(output.stderr.lines().count(), 1, "one line: {}", output.stderr);
    output.stderr.trim_end().to_owned()
}

/// What the probe sees in the bundle, with these questions.
#[track_caller]
pub(crate) fn probed(bundle: Bundle, questions: &[&str]) -> Value {
    let bundle = bundle.with_probe().args([&[PROBE], questions].concat());
    serde_json::from_str(&printed(&bundle)).unwrap()
}

/// A mount for `mounts`; options are separated by blanks, the file system's own may have commas.
pub(crate) fn mount(destination: &str, kind: &str, source: impl AsRef<Path>, options: &str) -> Value {
    let options: Vec<_> = options.split_whitespace().collect();
    json!({ "destination": destination, "type": kind, "source": source.as_ref(), "options": options })
}

/// The topmost mount at a point, as the probe saw it.
#[track_caller]
pub(crate) fn mount_at<'a>(seen: &'a Value, point: &str) -> &'a Value {
    let mounts = seen["mounts"].as_array().unwrap();
    let found = mounts.iter().rev().find(|mount| mount["point"] == point);
    found.unwrap_or_else(|| panic!("no mount at {point} in {mounts:#?}"))
}

/// A mount's own options, sorted and joined by commas.
#[track_caller]
pub(crate) fn options_at(seen: &Value, point: &str) -> String {
    joined(&mount_at(seen, point)["options"])
}

/// A list of words, joined by commas.
pub(crate) fn joined(list: &Value) -> String {
    list.as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect::<Vec<_>>().join(",")
}

/// From here on this thread is in a mount namespace of its own whose mounts are shared among its children, as on an
/// ordinary machine: what is mounted in it is seen by nobody else.
pub(crate) fn own_host() {
    process::unshare(process::Namespaces::MOUNT).unwrap();
    let all = |kind| sys_mount::mount_propagation("/", kind | MountPropagationFlags::REC).unwrap();
    all(MountPropagationFlags::PRIVATE);
    all(MountPropagationFlags::SHARED);
}

/// A directory with `sub/file`, to be bound.
pub(crate) fn source() -> Temp {
    let source = Temp::new("source");
    fs::create_dir(source.path().join("sub")).unwrap();
    fs::write(source.path().join("sub/file"), "from the host\n").unwrap();
    source
}

/// A busybox root that can be written to, since mount points are made in it.
pub(crate) fn writable() -> Bundle {
    Bundle::busybox().writable()
}

/// A mount of this thread's own, taken away with all on and below it, when this is dropped: a directory of which
/// anything is mounted can't be removed.
pub(crate) struct Mounted(pub(crate) PathBuf);

impl Drop for Mounted {
    fn drop(&mut self) {
        // If that fails, so does removing the directory, which says it.
        let _ = sys_mount::umount(&self.0, UnmountFlags::DETACH);
    }
}
