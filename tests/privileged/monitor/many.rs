//! Many monitors at once: what they cost.

use super::Home;
use serde_json::json;
use std::fs;
use testkit::privileged;

/// So many.
const MANY: usize = 50;

/// The most that one may have for itself, in KiB.
const MOST: u64 = 256;

fn private_dirty(pid: i32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("Private_Dirty:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn machine_fifty_monitors_take_little_memory() {
    if !privileged::root() {
        return;
    }
    let home = Home::new();
    let check = json!({"test": ["true"], "interval": "100ms"});
    let line = "echo hello; i=0; while test $i -lt 500; do echo line $i; i=$((i+1)); done; sleep 600";
    let all: Vec<_> = (0..MANY).map(|_| home.shell(line, json!({"healthcheck": check}))).collect();
    all.iter().for_each(|made| drop(made.start()));
    for made in &all {
        made.until("it was checked", |status| {
            status.health.as_ref().is_some_and(|health| !health.log.is_empty())
        });
    }
    let dirty: Vec<_> = all.iter().map(|made| private_dirty(made.monitor())).collect();
    let (most, sum) = (dirty.iter().max().unwrap(), dirty.iter().sum::<u64>());
    testkit::figure(format_args!("{MANY} monitors: at most {most} KiB of their own, {sum} in all"));
    assert!(*most <= MOST, "{dirty:?}");
}
