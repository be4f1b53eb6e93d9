//! What a command may cost, as far as it is the same on every run: system calls, of the door and of all that it starts.
//!
//! A bound stands just above what was counted when it was set. It is lowered when a command makes fewer; it is raised
//! only for what is worth more than the calls that it takes. And the stack, of which `ulimit -s` may leave little.
//! Times are the benchmark's (`make bench`), never a test's;
//! size and relocations of the binary are the house's.

use crate::running::{dir, prepared_by};
use serde_json::json;
use std::fs;
use testkit::{Bundle, Door, privileged, programs, skip};

/// What hides cgroup2 beside v1 in a mount namespace, and v1 with all that is mounted in it in favour of cgroup2.
const V1: &str = "umount -l /sys/fs/cgroup/unified";
const V2: &str = "umount -l /sys/fs/cgroup && mount -t cgroup2 none /sys/fs/cgroup";

const PROFILE: &str = include_str!("../../crates/runtime/tests/fixtures/seccomp-large.json");

fn can_count() -> bool {
    privileged::root()
        && privileged::program("strace", "strace")
        && privileged::file("/sys/fs/cgroup/memory")
        && privileged::file("/sys/fs/cgroup/unified")
}

/// A door whose every command is in a mount namespace of its own, where this has been done.
fn door(view: &str) -> Door {
    let script = format!("{view} && exec ${{COUNT:+strace -f -c -o \"$COUNT\"}} \"$@\"");
    Door::new().launched(["unshare", "--mount", "--propagation", "private", "sh", "-c", &script, "sh"])
}

/// The system calls of a command, of the door and of all that it starts: the sum of the fourth column of strace's
/// summary; errors and name follow.
#[track_caller]
fn count(door: &Door, args: &[&str]) -> u64 {
    let file = door.directory().join("count");
    let output = door.finish(door.command(args).env("COUNT", &file));
    assert_eq!(output.code, 0, "{args:?}: {}", output.stderr);
    let summary = fs::read_to_string(file).unwrap();
    // A door that isn't the release asks before each close whether the descriptor is open: the standard library's own
    // check, by fcntl.
    let rows = summary.lines().filter(|line| !line.ends_with("total") && !line.ends_with(" fcntl"));
    rows.filter_map(|line| line.split_whitespace().nth(3)?.parse::<u64>().ok()).sum()
}

/// The least of some counts is within a bound: what waits for others, as the removal of a group that is still emptying
/// does, takes more calls on a busy machine.
#[track_caller]
fn assert_at_most(bound: u64, count: impl Fn() -> u64) {
    let mut least = u64::MAX;
    for _ in 0..20 {
        least = least.min(count());
        if least <= bound {
            break;
        }
    }
    // Far fewer means that nothing was counted, or that the bound wants lowering.
    assert!((bound * 3 / 4..=bound).contains(&least), "{least}; the bound is {bound}");
}

fn limited(bundle: Bundle) -> Bundle {
    bundle.edit(|config| {
        config["linux"]["resources"]["memory"] = json!({ "limit": 64 << 20 });
        config["linux"]["resources"]["pids"] = json!({ "limit": 64 });
        config["linux"]["seccomp"] = serde_json::from_str(PROFILE).unwrap();
    })
}

#[test]
fn run_on_v2_without_limits_makes_few_system_calls() {
    if !can_count() {
        return;
    }
    let bundle = Bundle::busybox().args(["true"]);
    let door = door(V2);
    assert_at_most(RUN_V2, || count(&door, &["run", "--bundle", dir(&bundle), &door.id("run")]));
}

#[test]
fn run_on_v1_with_limits_and_a_filter_makes_few_system_calls() {
    if !can_count() {
        return;
    }
    let bundle = limited(Bundle::busybox().args(["true"]));
    let door = door(V1);
    assert_at_most(RUN_V1, || count(&door, &["run", "--bundle", dir(&bundle), &door.id("run")]));
}

#[test]
fn exec_and_state_make_few_system_calls() {
    if !can_count() {
        return;
    }
    let bundle = limited(Bundle::busybox().args(["sleep", "1000"]));
    let door = door(V1);
    let id = door.id("running");
    door.ok(["create", "--bundle", dir(&bundle), &id]);
    door.ok(["start", &id]);
    assert_at_most(STATE, || count(&door, &["state", &id]));
    assert_at_most(EXEC, || count(&door, &["exec", &id, "true"]));
}

#[test]
fn version_makes_few_system_calls() {
    if !can_count() {
        return;
    }
    assert_at_most(VERSION, || count(&door("true"), &["--version"]));
}

// `run` and `exec` of busybox' `true`, which makes 16 itself.
// 444 and 581 alone; beside other tests, which have mounts and groups of their own to be read, up to 13 more.
const RUN_V2: u64 = 460;
const RUN_V1: u64 = 600;
const EXEC: u64 = 365;
const STATE: u64 = 43;
const VERSION: u64 = 19;

/// The program has the caller's limit, and the runtime, which is under the same, needs no more.
#[test]
fn commands_do_with_64_kib_of_stack() {
    if !privileged::root() {
        return;
    }
    if fs::metadata(programs::forgeone()).unwrap().len() > 1 << 22 {
        return skip("needs the release door: frames of a less optimised one are larger");
    }
    let door = Door::new();
    let ok = |args: &[&str]| {
        let output = door.finish(&mut prepared_by("ulimit -S -s 64; exec \"$@\"", &door, args));
        assert_eq!(output.code, 0, "{args:?}: {}", output.stderr);
        output.stdout
    };
    let bundle = limited(Bundle::busybox()).shell("ulimit -S -s; ulimit -H -s >/dev/null");
    let id = door.id("stack");
    assert_eq!(ok(&["run", "--bundle", dir(&bundle), &id]), "64\n");
    let bundle = limited(Bundle::busybox()).args(["sleep", "1000"]);
    ok(&["run", "--detach", "--bundle", dir(&bundle), &id]);
    assert_eq!(ok(&["exec", &id, "sh", "-c", "ulimit -S -s"]), "64\n");
    for command in ["state", "pause", "resume", "ps"] {
        ok(&[command, &id]);
    }
    ok(&["update", "--pids-limit", "32", &id]);
    ok(&["events", "--stats", &id]);
    ok(&["list"]);
    ok(&["kill", &id, "KILL"]);
    door.await_status(&id, "stopped");
    ok(&["delete", &id]);
    let id = door.id("created");
    let output = door.directory().join("output");
    let create = format!("ulimit -S -s 64; exec \"$@\" >{0} 2>&1", output.display());
    let args = ["create", "--bundle", dir(&bundle), &id];
    let created = door.finish(&mut prepared_by(&create, &door, &args));
    assert_eq!(created.code, 0, "{}", fs::read_to_string(output).unwrap());
    ok(&["start", &id]);
    ok(&["delete", "--force", &id]);
}
