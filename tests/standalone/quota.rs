//! `disk_bytes` where the file system holds limits of projects. This machine's kernel may have none: the guest's has.

use crate::kit::Machine;
use crate::mounted::Mounted;
use forgeone_sys::quota;
use std::fs::{self, File};

/// 32 MiB, as the option and in bytes.
const LIMIT: (&str, u64) = ("32m", 32 << 20);

fn holds(machine: &Machine) {
    let archive = machine.archive();
    let line = "dd if=/dev/zero of=/large bs=1M count=64 2>/dev/null || echo full; wc -c </large; df -k / | tail -n 1; \
        : >/large; rm /large; echo small >/small; while :; do sleep 0.1; done";
    machine.ok(&machine.shell(&archive, &["-d", "--name", "web", "--disk", LIMIT.0], line));
    testkit::eventually("it has written", || machine.ok(&["diff", "web"]).contains("A /small\n"));
    let logs = machine.ok(&["logs", "web"]);
    let lines: Vec<&str> = logs.lines().collect();
    let [full, size, free] = lines[..] else { panic!("{logs}") };
    let size: u64 = size.trim().parse().unwrap();
    assert!(full == "full" && size <= LIMIT.1 && size > LIMIT.1 / 2, "{logs}");
    assert!(free.split_whitespace().any(|word| word == "32768"), "df shows the limit: {free}");

    // It needs no file system of its own, so that what it has can be looked at while it runs.
    let dir = machine.path("data/containers").join(machine.inspect("web")["Id"].as_str().unwrap());
    assert!(!dir.join("disk.img").exists());
    let project = machine.inspect("web")["Rootfs"]["upper"]["project"].as_u64().unwrap();
    let project = u32::try_from(project).unwrap();
    let data = File::open(machine.path("data")).unwrap();
    assert_eq!(quota::project(&data, project).unwrap().limit, LIMIT.1);
    machine.ok(&["snapshot", "create", "web", "live"]);
    machine.ok(&["stop", "-t", "0", "web"]);

    // What comes back from a snapshot counts as well.
    let before = quota::project(&data, project).unwrap().used;
    fs::write(machine.path("here/more"), vec![1; 8 << 20]).unwrap();
    machine.ok(&["cp", "more", "web:/more"]);
    assert!(quota::project(&data, project).unwrap().used >= before + (8 << 20));
    machine.ok(&["snapshot", "create", "web", "more"]);
    machine.ok(&["snapshot", "restore", "web", "live"]);
    machine.ok(&["snapshot", "restore", "web", "more"]);
    let used = quota::project(&data, project).unwrap().used;
    assert!((before + (8 << 20)..LIMIT.1).contains(&used), "{used}");

    // Another has its own limit, or none.
    let line = "dd if=/dev/zero of=/large bs=1M count=64 2>/dev/null && echo all";
    assert_eq!(machine.ok(&machine.shell(&archive, &["--rm"], line)), "all\n");
    machine.ok(&["rm", "web"]);
    let left = quota::project(&data, project);
    assert!(left.as_ref().map_or(true, |left| left.limit == 0), "{left:?}");
}

#[test]
fn ext4_holds_the_limit_of_what_a_container_writes() {
    let Some(machine) = Machine::new() else { return };
    let mkfs = "mkfs.ext4 -q -O quota,project";
    let Some(_mounted) = Mounted::new(&machine, mkfs, "e2fsprogs", ",prjquota") else { return };
    holds(&machine);
}

#[test]
fn xfs_holds_the_limit_of_what_a_container_writes() {
    let Some(machine) = Machine::new() else { return };
    let Some(_mounted) = Mounted::new(&machine, "mkfs.xfs -q", "xfsprogs", ",pquota") else { return };
    holds(&machine);
}

#[test]
fn without_project_quota_a_file_holds_the_limit() {
    let Some(machine) = Machine::new() else { return };
    let Some(_mounted) = Mounted::new(&machine, "mkfs.ext4 -q -O ^quota", "e2fsprogs", "") else { return };
    let archive = machine.archive();
    let line = "dd if=/dev/zero of=/large bs=1M count=64 2>/dev/null || echo full";
    assert_eq!(machine.ok(&machine.shell(&archive, &["--name", "web", "--disk", LIMIT.0], line)), "full\n");
    let record = machine.inspect("web");
    assert!(record["Rootfs"]["upper"]["project"].is_null(), "{}", record["Rootfs"]);
}
