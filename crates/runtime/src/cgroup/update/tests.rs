//! Changes by tables: what holds, what is asked for, what is written, what holds afterwards.

use super::*;
use crate::cgroup::plan::tests::{hybrid, unified, v1_only, writes};
use crate::cgroup::plan::{Options, plan};

fn resources(json: &str) -> Resources {
    crate::json::from_slice(json.as_bytes()).unwrap()
}

/// The groups that a container has.
fn paths(layout: &Layout) -> Paths {
    let (plan, _) = plan(layout, "c1", "/pod/c1", None, &Options::default()).unwrap();
    let mut paths = Paths::default();
    for place in plan.places() {
        paths.insert(place);
    }
    paths
}

fn updated(layout: &Layout, current: &str, change: &str) -> Result<(Update, Vec<String>)> {
    plan_update(layout, &paths(layout), &resources(current), &resources(change))
}

/// Rows of: what holds, what is asked for, what is written.
type Rows<'a> = &'a [(&'a str, &'a str, &'a [&'a str])];

fn check(layout: &Layout, rows: Rows) {
    for (current, change, expected) in rows {
        let (update, _) = updated(layout, current, change).unwrap();
        assert_eq!(writes(&update.plan), *expected, "{current} {change}");
    }
}

#[test]
fn changes_on_v1() {
    let memory = r#"{"memory":{"limit":100,"swap":200,"reservation":50}}"#;
    check(
        &v1_only(),
        &[
            (memory, "{}", &[]),
            (memory, r#"{"memory":{"limit":0,"swap":0,"reservation":0},"cpu":{"quota":0,"shares":0}}"#, &[]),
            (
                memory,
                r#"{"memory":{"limit":150}}"#,
                &["memory memory.limit_in_bytes=150", "memory memory.memsw.limit_in_bytes=200"],
            ),
            (
                memory,
                r#"{"memory":{"swap":300}}"#,
                &["memory memory.limit_in_bytes=100", "memory memory.memsw.limit_in_bytes=300"],
            ),
            (
                memory,
                r#"{"memory":{"limit":-1}}"#,
                &["memory memory.limit_in_bytes=-1", "memory memory.memsw.limit_in_bytes=-1?"],
            ),
            (memory, r#"{"memory":{"reservation":7}}"#, &["memory memory.soft_limit_in_bytes=7"]),
            ("{}", r#"{"memory":{"kernelTCP":9}}"#, &["memory memory.kmem.tcp.limit_in_bytes=9"]),
            ("{}", r#"{"memory":{"disableOOMKiller":false}}"#, &[]),
            (
                r#"{"memory":{"disableOOMKiller":true}}"#,
                r#"{"memory":{"disableOOMKiller":false}}"#,
                &["memory memory.oom_control=0"],
            ),
            (
                r#"{"cpu":{"quota":5000,"period":10000}}"#,
                r#"{"cpu":{"quota":6000}}"#,
                &["cpu,cpuacct cpu.cfs_period_us=10000", "cpu,cpuacct cpu.cfs_quota_us=6000"],
            ),
            ("{}", r#"{"cpu":{"shares":512}}"#, &["cpu,cpuacct cpu.shares=512"]),
            (
                r#"{"cpu":{"shares":512,"idle":1}}"#,
                r#"{"cpu":{"idle":0}}"#,
                &["cpu,cpuacct cpu.shares=512", "cpu,cpuacct cpu.idle=0"],
            ),
            (r#"{"cpu":{"cpus":"0","mems":"0"}}"#, r#"{"cpu":{"cpus":"1"}}"#, &["cpuset cpuset.cpus=1"]),
            (
                r#"{"cpu":{"realtimePeriod":1000}}"#,
                r#"{"cpu":{"realtimeRuntime":500}}"#,
                &["cpu,cpuacct cpu.rt_period_us=1000", "cpu,cpuacct cpu.rt_runtime_us=500"],
            ),
            (
                r#"{"blockIO":{"weightDevice":[{"major":8,"minor":0,"weight":20}]}}"#,
                r#"{"blockIO":{"weight":10}}"#,
                &[
                    "blkio blkio.weight=10|blkio.bfq.weight=10",
                    "blkio blkio.weight_device=8:0 20|blkio.bfq.weight_device=8:0 20",
                ],
            ),
            (r#"{"pids":{"limit":5}}"#, r#"{"pids":{"limit":0}}"#, &["pids pids.max=1"]),
            ("{}", r#"{"pids":{"limit":-1}}"#, &["pids pids.max=max"]),
            ("{}", r#"{"network":{"classID":7}}"#, &["net_cls,net_prio net_cls.classid=7"]),
            ("{}", r#"{"rdma":{"mlx":{"hcaHandles":3}}}"#, &["rdma rdma.max=mlx hca_handle=3"]),
        ],
    );
}

#[test]
fn changes_on_v2() {
    check(
        &unified(),
        &[
            (
                r#"{"memory":{"limit":30,"swap":50}}"#,
                r#"{"memory":{"limit":40}}"#,
                &[" memory.swap.max=10", " memory.max=40"],
            ),
            (
                r#"{"memory":{"limit":30}}"#,
                r#"{"memory":{"swap":50}}"#,
                &[" memory.swap.max=20", " memory.max=30"],
            ),
            (
                r#"{"memory":{"limit":30,"swap":50}}"#,
                r#"{"memory":{"limit":-1}}"#,
                &[" memory.swap.max=max?", " memory.max=max"],
            ),
            (
                r#"{"memory":{"limit":30,"checkBeforeUpdate":true}}"#,
                r#"{"memory":{"limit":20,"swap":25}}"#,
                &[" memory.current<20", " memory.swap.max=5", " memory.max=20"],
            ),
            (
                r#"{"memory":{"limit":30,"checkBeforeUpdate":true}}"#,
                r#"{"memory":{"limit":20,"checkBeforeUpdate":false}}"#,
                &[" memory.max=20"],
            ),
            (r#"{"cpu":{"quota":500,"period":1000}}"#, r#"{"cpu":{"period":2000}}"#, &[" cpu.max=500 2000"]),
            (r#"{"cpu":{"quota":500,"period":1000}}"#, r#"{"cpu":{"quota":-1}}"#, &[" cpu.max=max 1000"]),
            (
                r#"{"cpu":{"quota":500,"period":1000}}"#,
                r#"{"cpu":{"burst":100}}"#,
                &[" cpu.max=500 1000", " cpu.max.burst=100"],
            ),
            ("{}", r#"{"cpu":{"shares":1024}}"#, &[" cpu.weight=100"]),
            ("{}", r#"{"blockIO":{"weight":10}}"#, &[" io.bfq.weight=10|io.weight=1"]),
            (
                r#"{"blockIO":{"throttleReadBpsDevice":[{"major":8,"minor":0,"rate":1}]}}"#,
                r#"{"blockIO":{"throttleWriteBpsDevice":[{"major":8,"minor":0,"rate":0}]}}"#,
                &[" io.max=8:0 wbps=max"],
            ),
            (
                r#"{"hugepageLimits":[{"pageSize":"2MB","limit":1}]}"#,
                r#"{"hugepageLimits":[{"pageSize":"1GB","limit":0}]}"#,
                &[" hugetlb.1GB.max=0", " hugetlb.1GB.rsvd.max=0?"],
            ),
            (r#"{"unified":{"memory.high":"1"}}"#, r#"{"unified":{"memory.high":"2"}}"#, &[" memory.high=2"]),
        ],
    );
}

#[test]
fn what_holds_afterwards_is_known_to_the_next_change() {
    for (current, change, expected) in [
        ("{}", "{}", "{}"),
        (
            r#"{"memory":{"limit":1,"swap":2},"devices":[{"allow":false}]}"#,
            r#"{"memory":{"limit":-1},"pids":{"limit":3},"devices":[{"allow":true}]}"#,
            r#"{"devices":[{"allow":false}],"memory":{"limit":-1},"pids":{"limit":3}}"#,
        ),
        (
            r#"{"cpu":{"quota":1,"cpus":"0"}}"#,
            r#"{"cpu":{"quota":0,"period":5,"mems":"1"}}"#,
            r#"{"cpu":{"quota":1,"period":5,"cpus":"0","mems":"1"}}"#,
        ),
        (
            r#"{"blockIO":{"throttleReadBpsDevice":[{"major":8,"minor":0,"rate":1}],
                "weightDevice":[{"major":8,"minor":0,"weight":10}]}}"#,
            r#"{"blockIO":{"throttleReadBpsDevice":[{"major":8,"minor":16,"rate":2},{"major":8,"minor":0,"rate":3}],
                "weightDevice":[{"major":8,"minor":0,"weight":20}]}}"#,
            r#"{"blockIO":{"weightDevice":[{"major":8,"minor":0,"weight":20}],
                "throttleReadBpsDevice":[{"major":8,"minor":0,"rate":3},{"major":8,"minor":16,"rate":2}]}}"#,
        ),
        (
            r#"{"hugepageLimits":[{"pageSize":"2MB","limit":1}],"unified":{"a.b":"1"},"rdma":{"m":{"hcaHandles":1}}}"#,
            r#"{"hugepageLimits":[{"pageSize":"2MB","limit":2}],"unified":{"a.c":"2"},"rdma":{"m":{"hcaObjects":2}}}"#,
            r#"{"hugepageLimits":[{"pageSize":"2MB","limit":2}],"rdma":{"m":{"hcaHandles":1,"hcaObjects":2}},
                "unified":{"a.b":"1","a.c":"2"}}"#,
        ),
        (
            r#"{"network":{"classID":1,"priorities":[{"name":"eth0","priority":1}]}}"#,
            r#"{"network":{"priorities":[{"name":"eth0","priority":2}]}}"#,
            r#"{"network":{"classID":1,"priorities":[{"name":"eth0","priority":2}]}}"#,
        ),
    ] {
        assert_eq!(merge(&resources(current), &asked(&resources(change))), resources(expected), "{change}");
    }
}

#[test]
fn what_is_wrong_or_can_not_be_had_is_refused_by_field() {
    let swap = r#"{"memory":{"limit":100,"swap":200}}"#;
    for (layout, current, change, expected) in [
        (
            v1_only(),
            swap,
            r#"{"memory":{"limit":300}}"#,
            "linux.resources.memory.swap: 200 is below linux.resources.memory.limit 300, which it includes",
        ),
        (
            unified(),
            "{}",
            r#"{"memory":{"swap":300}}"#,
            "linux.resources.memory.swap: needs linux.resources.memory.limit, which it includes",
        ),
        (
            unified(),
            r#"{"cpu":{"burst":500,"quota":1000}}"#,
            r#"{"cpu":{"quota":400}}"#,
            "linux.resources.cpu.burst: 500 is above linux.resources.cpu.quota 400",
        ),
        (unified(), "{}", r#"{"cpu":{"idle":2}}"#, "linux.resources.cpu.idle: 2 is neither 0 nor 1"),
        (
            hybrid(),
            "{}",
            r#"{"unified":{"memory.high":"1"}}"#,
            "linux.resources.unified[\"memory.high\"]: invalid configuration: the controller belongs to cgroup v1: memory",
        ),
        (
            unified(),
            "{}",
            r#"{"network":{"classID":1}}"#,
            "linux.resources.network.classID: needs cgroup v1's net_cls, which is not mounted",
        ),
    ] {
        assert_eq!(updated(&layout, current, change).unwrap_err().to_string(), expected, "{change}");
    }
}

#[test]
fn a_controller_in_which_the_container_has_no_group_is_missed_by_who_needs_it() {
    let layout = v1_only();
    let mut paths = paths(&layout);
    paths.v1.remove("pids");
    let change = |json: &str| plan_update(&layout, &paths, &Resources::default(), &resources(json));
    let error = change(r#"{"pids":{"limit":1}}"#).unwrap_err().to_string();
    assert_eq!(
        error,
        "linux.resources.pids.limit: the pids controller of cgroups has no group of the container's"
    );
    assert!(change(r#"{"cpu":{"shares":2}}"#).is_ok());
}

#[test]
fn warnings_for_what_is_not_changed() {
    let rules = r#"{"devices":[{"allow":true}]}"#;
    for (current, change, expected) in [
        ("{}", rules, Some("linux.resources.devices: ignored: device rules can't be changed by update")),
        (rules, rules, None),
        (
            r#"{"cpu":{"idle":1}}"#,
            r#"{"cpu":{"shares":512}}"#,
            Some(
                "linux.resources.cpu.shares: ignored: an idle group (linux.resources.cpu.idle) has the smallest weight",
            ),
        ),
    ] {
        let (_, warnings) = updated(&unified(), current, change).unwrap();
        assert_eq!(warnings.first().map(String::as_str), expected, "{change}");
    }
}
