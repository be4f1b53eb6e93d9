//! A state root that can't be written, or is full: one line, and nothing is left.
//!
//! The state root is a tmpfs in a mount namespace of the test's own, which goes away with its last process.

use std::process::Command;
use testkit::{Bundle, Door, Output, privileged};

/// Runs a line of shell with a tmpfs of these options as `$ROOT`, the door as `$DOOR`.
fn on_tmpfs(door: &Door, bundle: &Bundle, options: &str, line: &str) -> Output {
    let script = format!("mount -t tmpfs -o {options} $MARK \"$ROOT\" || exit 99\n{line}");
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-c", &script]);
    command.env("DOOR", testkit::forgeone()).env("ROOT", door.root()).env("BUNDLE", bundle.path());
    command.env("MARK", testkit::names::process_prefix()).env("ID", door.id("full"));
    door.finish(&mut command)
}

#[test]
fn a_read_only_state_root_is_named() {
    if !privileged::root() {
        return;
    }
    let bundle = Bundle::busybox().args(["true"]);
    let door = Door::new();
    for command in ["create", "run"] {
        let line = format!(
            "mount -o remount,ro \"$ROOT\"; exec \"$DOOR\" --root \"$ROOT\" {command} --bundle \"$BUNDLE\" $ID"
        );
        let output = on_tmpfs(&door, &bundle, "size=1m", &line);
        assert_eq!((output.code, output.stdout.as_str()), (1, ""), "{}", output.stderr);
        assert_eq!(output.stderr.lines().count(), 1, "{}", output.stderr);
        let root = door.root().display().to_string();
        for word in ["state root", &root, "Read-only file system"] {
            assert!(output.stderr.contains(word), "{word}: {}", output.stderr);
        }
        // A missing root on a read-only file system.
        let line = format!(
            "mount -o remount,ro \"$ROOT\"; exec \"$DOOR\" --root \"$ROOT/new/one\" {command} --bundle \"$BUNDLE\" $ID"
        );
        let output = on_tmpfs(&door, &bundle, "size=1m", &line);
        assert_eq!((output.code, output.stderr.lines().count()), (1, 1), "{}", output.stderr);
        assert!(output.stderr.contains("/new/one"), "{}", output.stderr);
    }
}

#[test]
fn a_state_root_that_is_no_directory_is_named() {
    if !privileged::root() {
        return;
    }
    let bundle = Bundle::busybox().args(["true"]);
    let door = Door::new();
    let file = door.directory().join("file");
    std::fs::write(&file, "").unwrap();
    for root in [file.clone(), file.join("below")] {
        for words in
            [&["create", "--bundle", bundle.path().to_str().unwrap(), "x"][..], &["state", "x"], &["list"]]
        {
            let output = door.run([&["--root", root.to_str().unwrap()], words].concat());
            assert_eq!((output.code, output.stderr.lines().count()), (1, 1), "{words:?}: {}", output.stderr);
            assert!(output.stderr.contains(root.to_str().unwrap()), "{words:?}: {}", output.stderr);
        }
    }
}

/// The disk is full at each place in turn, from the first inode on, until there is room for all.
#[test]
fn a_full_state_root_leaves_nothing() {
    if !privileged::root() {
        return;
    }
    let bundle = Bundle::busybox().args(["sleep", "1000"]);
    let door = Door::new();
    let create = "\"$DOOR\" --root \"$ROOT\" create --bundle \"$BUNDLE\" $ID; code=$?; ls -A \"$ROOT\" | sed s/^/left:/; \
                  \"$DOOR\" --root \"$ROOT\" delete --force $ID; exit $code";
    let inodes = (1..=8).map(|n| format!("size=1m,nr_inodes={n}"));
    let pages = (1..=8).map(|n| format!("size={}k", 4 * n));
    let (mut refused, mut made) = (0, 0);
    for options in inodes.chain(pages) {
        let output = on_tmpfs(&door, &bundle, &options, create);
        if output.code == 0 {
            made += 1;
            assert_eq!(output.stderr, "", "{options}");
            continue;
        }
        refused += 1;
        assert_eq!((output.code, output.stdout.as_str()), (1, ""), "{options}: {}", output.stderr);
        assert_eq!(output.stderr.lines().count(), 1, "{options}: {}", output.stderr);
        assert!(output.stderr.starts_with("forgeone: create: "), "{options}: {}", output.stderr);
        assert!(output.stderr.contains("No space left on device"), "{options}: {}", output.stderr);
    }
    assert!(refused >= 4 && made >= 4, "{refused} refused, {made} made");
}

/// A container that was made can be taken away when the disk is full.
#[test]
fn a_full_disk_is_no_reason_to_keep_a_container() {
    if !privileged::root() {
        return;
    }
    let bundle = Bundle::busybox().args(["sleep", "1000"]);
    let door = Door::new();
    let line = "set -e; d() { \"$DOOR\" --root \"$ROOT\" \"$@\"; }; d create --bundle \"$BUNDLE\" $ID; \
                dd if=/dev/zero of=\"$ROOT/.fill\" 2>/dev/null || :; \
                d state $ID >/dev/null; d kill $ID KILL; d delete --force $ID; ls \"$ROOT\"";
    let output = on_tmpfs(&door, &bundle, "size=64k", line);
    assert_eq!((output.code, output.stdout.as_str(), output.stderr.as_str()), (0, "", ""));
}
