//! Making groups, their limits, and changing them.

use super::support::{Ground, place, plan, read, resident, resident_with, run_and_exit};
use forgeone_runtime::Kind;
use forgeone_runtime::cgroup::{Group, Paths};
use forgeone_sys::process::{self, CloneArgs, Exit, Forked};

const LIMITS: &str = r#"{
    "memory": {"limit": 67108864, "swap": 134217728, "reservation": 33554432, "swappiness": 7, "kernelTCP": 16777216,
        "disableOOMKiller": true, "useHierarchy": true},
    "cpu": {"shares": 512, "quota": 50000, "period": 200000, "burst": 10000, "cpus": "1", "mems": "0"},
    "pids": {"limit": 17},
    "blockIO": {"weight": 77, "throttleReadBpsDevice": [{"major": 254, "minor": 0, "rate": 1000000}]}
}"#;

pub(crate) fn limits_are_there_before_anybody_is_in() {
    let ground = Ground::hybrid();
    let group = ground.group(LIMITS);
    for (controller, file, value) in [
        ("memory", "memory.limit_in_bytes", "67108864"),
        ("memory", "memory.memsw.limit_in_bytes", "134217728"),
        ("memory", "memory.soft_limit_in_bytes", "33554432"),
        ("memory", "memory.swappiness", "7"),
        ("memory", "memory.kmem.tcp.limit_in_bytes", "16777216"),
        ("cpu", "cpu.shares", "512"),
        ("cpu", "cpu.cfs_quota_us", "50000"),
        ("cpu", "cpu.cfs_period_us", "200000"),
        ("cpu", "cpu.cfs_burst_us", "10000"),
        ("cpuset", "cpuset.cpus", "1"),
        ("cpuset", "cpuset.mems", "0"),
        ("pids", "pids.max", "17"),
        ("blkio", "blkio.bfq.weight", "77"),
        ("blkio", "blkio.throttle.read_bps_device", "254:0 1000000"),
    ] {
        assert_eq!(read(group.paths(), controller, file), value, "{file}");
    }
    assert!(read(group.paths(), "memory", "memory.oom_control").contains("oom_kill_disable 1"));
    assert!(!group.populated().unwrap() && group.pids().unwrap().is_empty());
    assert_eq!(group.paths().v1.len(), 9);
    group.delete().unwrap();
    ground.end();
}

pub(crate) fn huge_pages_are_limited_beside_v1() {
    let ground = Ground::hybrid();
    let group = ground.group(r#"{"hugepageLimits": [{"pageSize": "2MB", "limit": 4194304}]}"#);
    assert_eq!(read(group.paths(), "", "hugetlb.2MB.max"), "4194304");
    assert_eq!(read(group.paths(), "", "hugetlb.2MB.rsvd.max"), "4194304");
    group.delete().unwrap();
    let error =
        Group::create(&ground.plan(r#"{"hugepageLimits": [{"pageSize": "3MB", "limit": 0}]}"#)).unwrap_err();
    let text = "linux.resources.hugepageLimits[0]: there is no hugetlb.3MB.max in the group: this machine can't limit it";
    assert_eq!(error.to_string(), text);
    ground.end();
}

pub(crate) fn cpus_come_from_above() {
    let ground = Ground::hybrid();
    // Somebody made a level and left it empty.
    let cpuset = place(&Paths::survey(&ground.plan("{}")).unwrap(), "cpuset");
    let level = cpuset.rsplit_once('/').unwrap().0;
    std::fs::create_dir(level).unwrap();
    let group = ground.group(r#"{"cpu": {"cpus": "0"}}"#);
    let root = std::fs::read_to_string(format!("{level}/../cpuset.cpus")).unwrap();
    assert_eq!(std::fs::read_to_string(format!("{level}/cpuset.cpus")).unwrap(), root);
    assert_eq!(read(group.paths(), "cpuset", "cpuset.cpus"), "0");
    assert_ne!(read(group.paths(), "cpuset", "cpuset.mems"), "");
    assert!(!group.paths().parents.iter().any(|parent| parent == level), "it is not ours to remove");
    group.delete().unwrap();
    std::fs::remove_dir(level).unwrap();

    let deep = plan(&format!("{}/a/b", ground.path), "{}").unwrap();
    let group = Group::create(&deep).unwrap();
    assert_eq!(read(group.paths(), "cpuset", "cpuset.cpus"), root.trim());
    assert_eq!(group.paths().parents.len(), 3 * (group.paths().v1.len() + 1));
    group.delete().unwrap();
    ground.end();
}

pub(crate) fn a_failed_create_leaves_nothing() {
    let ground = Ground::hybrid();
    for (resources, error) in [
        (r#"{"cpu": {"cpus": "4000"}}"#, "linux.resources.cpu.cpus: write(<"),
        (r#"{"pids": {"limit": 9223372036854775807}}"#, "linux.resources.pids.limit: write(<"),
        (
            r#"{"blockIO": {"weightDevice": [{"major": 9999, "minor": 0, "weight": 10}]}}"#,
            "linux.resources.blockIO.weightDevice[0].weight: write(<",
        ),
        (
            r#"{"unified": {"cgroup.max.depth": "x"}}"#,
            "linux.resources.unified[\"cgroup.max.depth\"]: write(<",
        ),
        (
            r#"{"unified": {"misc.max": "x 1"}}"#,
            "linux.resources.unified[\"misc.max\"]: the misc controller is not available in /sys/fs/cgroup/unified (there are: ",
        ),
    ] {
        let failure = Group::create(&ground.plan(resources)).unwrap_err();
        assert!(failure.to_string().starts_with(error), "{failure}");
        assert!(!failure.to_string().contains('\n'));
    }
    ground.end();
}

pub(crate) fn groups_in_use_are_refused() {
    let ground = Ground::hybrid();
    let mut group = ground.group("{}");
    // An empty one that is there is taken.
    assert!(Group::create(&ground.plan("{}")).is_ok());
    group.freeze().unwrap();
    let error = Group::create(&ground.plan("{}")).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("cgroup {}: the container's cgroup unexpectedly frozen", place(group.paths(), ""))
    );
    group.thaw().unwrap();
    let (pid, release) = resident(&mut group);
    let error = Group::create(&ground.plan("{}")).unwrap_err();
    let said = format!("{}: the container's cgroup is not empty: it has process {pid} (", ground.path);
    assert!(error.to_string().contains(&said), "{error}");
    assert_eq!(error.kind(), Kind::State);
    assert_eq!(group.pids().unwrap(), [pid]);
    drop(release);
    process::wait(pid).unwrap();
    group.delete().unwrap();
    ground.end();
}

pub(crate) fn levels_above_go_with_who_made_them() {
    let ground = Ground::hybrid();
    let first = ground.group("{}");
    let second = Group::create(&plan(&ground.path.replace("/c1", "/c2"), "{}").unwrap()).unwrap();
    assert_eq!(second.paths().parents, [""; 0]);
    assert_eq!(first.paths().parents.len(), first.paths().v1.len() + 1);
    second.delete().unwrap();
    first.delete().unwrap();

    let first = ground.group("{}");
    let second = Group::create(&plan(&ground.path.replace("/c1", "/c2"), "{}").unwrap()).unwrap();
    first.delete().unwrap();
    assert!(std::path::Path::new(&place(second.paths(), "memory")).exists());
    second.delete().unwrap();
    // The first one's levels were in use when it went; a second delete takes them.
    first.delete().unwrap();
    ground.end();
}

/// The level above both comes and goes under the one that is just being made.
pub(crate) fn two_at_once_share_a_level() {
    let ground = Ground::hybrid();
    let many = |name: &str| {
        let plan = plan(&ground.path.replace("/c1", name), r#"{"cpu": {"cpus": "0"}}"#).unwrap();
        for _ in 0..50 {
            Group::create(&plan).unwrap().delete().unwrap();
        }
    };
    let Forked::Parent(other) = process::clone(&CloneArgs::default()).unwrap() else {
        run_and_exit(|| many("/c2"))
    };
    many("/c1");
    assert_eq!(process::wait(other.pid).unwrap(), Exit::Code(0));
    // Each leaves the level to the other while that is in it, so the last one may not be the one that made it.
    let paths = Paths::survey(&ground.plan("{}")).unwrap();
    for path in paths.v1.values().chain(&paths.v2) {
        let _ = std::fs::remove_dir(path.rsplit_once('/').unwrap().0);
    }
    ground.end();
}

pub(crate) fn survey_tells_what_will_be_made() {
    let ground = Ground::hybrid();
    let plan = ground.plan("{}");
    let before = Paths::survey(&plan).unwrap();
    let group = Group::create(&plan).unwrap();
    let sorted = |paths: &Paths| {
        let mut paths = paths.clone();
        paths.parents.sort();
        paths
    };
    assert_eq!(sorted(group.paths()), sorted(&before));
    assert!(Paths::survey(&plan).unwrap().parents.is_empty());
    // As after a crash: the record from before is enough to remove everything.
    Group::open(before).delete().unwrap();
    ground.end();
}

pub(crate) fn update_changes_limits_in_any_order() {
    let ground = Ground::hybrid();
    let group = ground.group(LIMITS);
    let set = |resources: &str| group.update(&ground.plan(resources)).map(drop);
    let sizes = || {
        (
            read(group.paths(), "memory", "memory.limit_in_bytes"),
            read(group.paths(), "memory", "memory.memsw.limit_in_bytes"),
        )
    };
    for (limit, swap) in [(268435456, 536870912), (16777216, 16777216), (33554432, 67108864)] {
        set(&format!(r#"{{"memory": {{"limit": {limit}, "swap": {swap}}}}}"#)).unwrap();
        assert_eq!(sizes(), (limit.to_string(), swap.to_string()));
    }
    set(r#"{"memory": {"limit": -1}}"#).unwrap();
    assert_eq!(sizes().0, sizes().1);
    for (quota, period, burst) in
        [(900000, 1000000, 800000), (1000, 1000, 0), (20000, 10000, 20000), (5000, 1000000, 5000)]
    {
        set(&format!(r#"{{"cpu": {{"quota": {quota}, "period": {period}, "burst": {burst}}}}}"#)).unwrap();
        assert_eq!(read(group.paths(), "cpu", "cpu.cfs_quota_us"), quota.to_string());
        assert_eq!(read(group.paths(), "cpu", "cpu.cfs_period_us"), period.to_string());
        assert_eq!(read(group.paths(), "cpu", "cpu.cfs_burst_us"), burst.to_string());
    }
    set(r#"{"pids": {"limit": -1}}"#).unwrap();
    assert_eq!(read(group.paths(), "pids", "pids.max"), "max");
    let mut user = Group::open(group.paths().clone());
    let (pid, release) = resident_with(&mut user, || {
        std::hint::black_box(vec![1_u8; 8 << 20]).leak();
    });
    let error = set(r#"{"memory": {"limit": 4096}}"#).unwrap_err().to_string();
    assert!(error.starts_with("linux.resources.memory.limit: write(<"), "{error}");
    assert!(error.ends_with("EBUSY (Device or resource busy): more than that is in use"), "{error}");
    drop(release);
    process::wait(pid).unwrap();
    let error = set(r#"{"cpu": {"cpus": "77"}}"#).unwrap_err();
    assert!(error.to_string().starts_with("linux.resources.cpu.cpus: write(<"), "{error}");
    let gone = Paths { v1: Default::default(), ..group.paths().clone() };
    let error = Group::open(gone).update(&ground.plan(r#"{"pids": {"limit": 1}}"#)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "linux.resources.pids.limit: the container has no group in /sys/fs/cgroup/pids"
    );
    group.delete().unwrap();
    ground.end();
}
