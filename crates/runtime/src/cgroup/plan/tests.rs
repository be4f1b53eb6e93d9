//! Plans by tables: what a bundle asks for, and what would be written where.

use super::*;
use crate::cgroup::Absent;
use crate::cgroup::path::join;

/// v1 controllers mounted singly, cgroup2 beside them.
pub(in crate::cgroup) fn hybrid() -> Layout {
    layout(
        &["cpu", "cpuset", "memory", "devices", "freezer", "blkio", "pids", "name=systemd"],
        Some("unified"),
    )
}

/// cgroup2 alone.
pub(in crate::cgroup) fn unified() -> Layout {
    layout(&[], Some(""))
}

/// v1 alone, with everything.
pub(in crate::cgroup) fn v1_only() -> Layout {
    let names = ["cpu,cpuacct", "cpuset", "memory", "devices", "freezer", "blkio", "pids", "hugetlb"];
    layout(&[&names[..], &["net_cls,net_prio", "rdma"]].concat(), None)
}

fn layout(v1: &[&str], v2: Option<&str>) -> Layout {
    let mut mountinfo = String::new();
    let mut cgroup = String::new();
    for (i, names) in v1.iter().enumerate() {
        let dir = names.trim_start_matches("name=");
        mountinfo += &format!("{i} 99 0:1 / /sys/fs/cgroup/{dir} rw - cgroup cgroup rw,{names}\n");
        cgroup += &format!("{}:{names}:/own/shell\n", i + 1);
    }
    if let Some(dir) = v2 {
        mountinfo +=
            &format!("90 99 0:1 / {} rw - cgroup2 c rw\n", join("/sys/fs/cgroup", dir).trim_end_matches('/'));
        cgroup += "0::/own/shell\n";
    }
    Layout::parse(&mountinfo, &cgroup)
}

fn planned(layout: &Layout, resources: &str) -> Result<(Plan, Vec<String>)> {
    let resources: Resources = crate::json::from_slice(resources.as_bytes()).unwrap();
    plan(layout, "c1", "/test/c1", Some(&resources), &Options::default())
}

/// All writes as `controllers file=value`, `?` where it may be absent, `|` before what is written instead.
pub(in crate::cgroup) fn writes(plan: &Plan) -> Vec<String> {
    let mut out = Vec::new();
    for place in plan.places() {
        for step in &place.steps {
            let writes = match step {
                Step::Write(write) => std::slice::from_ref(write),
                Step::Together(writes) => writes.as_slice(),
                Step::Below { file, limit, .. } => {
                    out.push(format!("{} {file}<{limit}", place.controllers));
                    continue;
                }
            };
            out.extend(writes.iter().map(|write| {
                let absent = match &write.absent {
                    Absent::Refuse => String::new(),
                    Absent::Ignore => "?".into(),
                    Absent::Instead(file, value) => format!("|{file}={value}"),
                };
                format!("{} {}={}{absent}", place.controllers, write.file, write.value)
            }));
        }
    }
    out
}

#[test]
fn places_by_path_and_hierarchy() {
    let paths = |layout: &Layout, path: &str| -> Vec<String> {
        let (plan, _) = plan(layout, "c1", path, None, &Options::default()).unwrap();
        plan.places().map(Place::path).collect()
    };
    let two = layout(&["cpu,cpuacct", "devices"], Some("unified"));
    assert_eq!(
        paths(&two, "/docker/abc"),
        [
            "/sys/fs/cgroup/cpu,cpuacct/docker/abc",
            "/sys/fs/cgroup/devices/docker/abc",
            "/sys/fs/cgroup/unified/docker/abc"
        ]
    );
    assert_eq!(
        paths(&two, ""),
        [
            "/sys/fs/cgroup/cpu,cpuacct/own/shell/c1",
            "/sys/fs/cgroup/devices/own/shell/c1",
            "/sys/fs/cgroup/unified/own/c1"
        ]
    );
    assert_eq!(paths(&unified(), "../../x"), ["/sys/fs/cgroup/own/x"]);
}

#[test]
fn limits_on_v1() {
    for (resources, expected) in [
        (r#"{}"#, &[][..]),
        (r#"{"memory":{"limit":0,"swap":0,"reservation":0}}"#, &[]),
        (
            r#"{"memory":{"limit":100,"swap":200,"reservation":50,"kernelTCP":10,"swappiness":0,
                "disableOOMKiller":true,"useHierarchy":true}}"#,
            &[
                "memory memory.use_hierarchy=1?",
                "memory memory.limit_in_bytes=100",
                "memory memory.memsw.limit_in_bytes=200",
                "memory memory.soft_limit_in_bytes=50",
                "memory memory.kmem.tcp.limit_in_bytes=10",
                "memory memory.swappiness=0",
                "memory memory.oom_control=1",
            ],
        ),
        (
            r#"{"memory":{"limit":-1,"disableOOMKiller":false}}"#,
            &["memory memory.limit_in_bytes=-1", "memory memory.memsw.limit_in_bytes=-1?"],
        ),
        (r#"{"memory":{"swap":-1}}"#, &["memory memory.memsw.limit_in_bytes=-1"]),
        (
            r#"{"cpu":{"shares":2,"quota":5000,"period":10000,"burst":0,"cpus":"0-1","mems":"0","idle":0,
                "realtimeRuntime":100,"realtimePeriod":1000}}"#,
            &[
                "cpu,cpuacct cpu.shares=2",
                "cpu,cpuacct cpu.idle=0",
                "cpu,cpuacct cpu.cfs_period_us=10000",
                "cpu,cpuacct cpu.cfs_quota_us=5000",
                "cpu,cpuacct cpu.cfs_burst_us=0",
                "cpu,cpuacct cpu.rt_period_us=1000",
                "cpu,cpuacct cpu.rt_runtime_us=100",
                "cpuset cpuset.cpus=0-1",
                "cpuset cpuset.mems=0",
            ],
        ),
        (r#"{"cpu":{"shares":0,"quota":0,"period":0}}"#, &[]),
        (r#"{"cpu":{"quota":-7}}"#, &["cpu,cpuacct cpu.cfs_quota_us=-1"]),
        (r#"{"cpu":{"shares":512,"idle":1}}"#, &["cpu,cpuacct cpu.idle=1"]),
        (r#"{"pids":{"limit":7}}"#, &["pids pids.max=7"]),
        (r#"{"pids":{"limit":0}}"#, &["pids pids.max=1"]),
        (r#"{"pids":{"limit":-1}}"#, &["pids pids.max=max"]),
        (r#"{"pids":{"limit":null}}"#, &[]),
        (
            r#"{"blockIO":{"weight":10,"leafWeight":20,"weightDevice":[{"major":8,"minor":0,"weight":500,
                "leafWeight":300}],"throttleReadBpsDevice":[{"major":8,"minor":0,"rate":600}],
                "throttleWriteIOPSDevice":[{"major":8,"minor":16,"rate":0}]}}"#,
            &[
                "blkio blkio.weight=10|blkio.bfq.weight=10",
                "blkio blkio.leaf_weight=20",
                "blkio blkio.weight_device=8:0 500|blkio.bfq.weight_device=8:0 500",
                "blkio blkio.leaf_weight_device=8:0 300",
                "blkio blkio.throttle.read_bps_device=8:0 600",
                "blkio blkio.throttle.write_iops_device=8:16 0",
            ],
        ),
        (
            r#"{"hugepageLimits":[{"pageSize":"2MB","limit":4194304}]}"#,
            &[
                "hugetlb hugetlb.2MB.limit_in_bytes=4194304",
                "hugetlb hugetlb.2MB.rsvd.limit_in_bytes=4194304?",
            ],
        ),
        (
            r#"{"network":{"classID":1048577,"priorities":[{"name":"eth0","priority":500}]}}"#,
            &["net_cls,net_prio net_cls.classid=1048577", "net_cls,net_prio net_prio.ifpriomap=eth0 500"],
        ),
        (
            r#"{"rdma":{"mlx5_1":{"hcaHandles":3,"hcaObjects":9},"rxe3":{"hcaObjects":0}}}"#,
            &["rdma rdma.max=mlx5_1 hca_handle=3 hca_object=9", "rdma rdma.max=rxe3 hca_object=0"],
        ),
    ] {
        let (plan, _) = planned(&v1_only(), resources).unwrap();
        let mut expected = expected.to_vec();
        let mut found = writes(&plan);
        // The order of hierarchies is the machine's.
        expected.sort_by_key(|w| w.split(' ').next());
        found.sort_by_key(|w| w.split(' ').next().map(str::to_owned));
        assert_eq!(found, expected, "{resources}");
    }
}

#[test]
fn limits_on_v2() {
    for (resources, expected, controllers) in [
        (r#"{}"#, &[][..], &[][..]),
        (
            r#"{"memory":{"limit":100,"swap":300,"reservation":50,"checkBeforeUpdate":true}}"#,
            &[" memory.current<100", " memory.swap.max=200", " memory.max=100", " memory.low=50"],
            &["memory"],
        ),
        (r#"{"memory":{"limit":100,"swap":100}}"#, &[" memory.swap.max=0?", " memory.max=100"], &["memory"]),
        (r#"{"memory":{"limit":-1}}"#, &[" memory.swap.max=max?", " memory.max=max"], &["memory"]),
        (r#"{"memory":{"limit":-1,"swap":70}}"#, &[" memory.swap.max=70", " memory.max=max"], &["memory"]),
        (
            r#"{"cpu":{"shares":1024,"quota":5000,"burst":100,"cpus":"0","idle":0}}"#,
            &[
                " cpu.weight=100",
                " cpu.idle=0",
                " cpu.max=5000 100000",
                " cpu.max.burst=100",
                " cpuset.cpus=0",
            ],
            &["cpu", "cpuset"],
        ),
        (r#"{"cpu":{"quota":-1,"period":5000}}"#, &[" cpu.max=max 5000"], &["cpu"]),
        (r#"{"cpu":{"period":5000}}"#, &[" cpu.max=max 5000"], &["cpu"]),
        (r#"{"pids":{"limit":0}}"#, &[" pids.max=1"], &["pids"]),
        (
            r#"{"blockIO":{"weight":1000,"weightDevice":[{"major":8,"minor":0,"weight":10}],
                "throttleWriteBpsDevice":[{"major":8,"minor":0,"rate":600},{"major":8,"minor":1,"rate":0}]}}"#,
            &[
                " io.bfq.weight=1000|io.weight=10000",
                " io.bfq.weight=8:0 10|io.weight=8:0 1",
                " io.max=8:0 wbps=600",
                " io.max=8:1 wbps=max",
            ],
            &["io"],
        ),
        (
            r#"{"hugepageLimits":[{"pageSize":"1GB","limit":0}]}"#,
            &[" hugetlb.1GB.max=0", " hugetlb.1GB.rsvd.max=0?"],
            &["hugetlb"],
        ),
        (r#"{"rdma":{"a":{"hcaHandles":3}}}"#, &[" rdma.max=a hca_handle=3"], &["rdma"]),
        (r#"{"network":{"classID":0,"priorities":[]}}"#, &[], &[]),
        (
            r#"{"pids":{"limit":3},"unified":{"cgroup.max.depth":"2","io.max":"8:0 rbps=1\n8:1 rbps=2\n",
                "cpuset.cpus":""}}"#,
            &[
                " pids.max=3",
                " cgroup.max.depth=2",
                " cpuset.cpus=\n",
                " io.max=8:0 rbps=1",
                " io.max=8:1 rbps=2",
            ],
            &["pids", "cpuset", "io"],
        ),
    ] {
        let (plan, warnings) = planned(&unified(), resources).unwrap();
        assert_eq!(writes(&plan), expected, "{resources}");
        let enable = plan.v2.unwrap().enable;
        assert!(enable.all);
        assert_eq!(
            enable.needed.iter().map(|(c, _)| c.as_str()).collect::<Vec<_>>(),
            controllers,
            "{resources}"
        );
        assert!(warnings.is_empty(), "{warnings:?}");
    }
}

#[test]
fn shares_become_weights() {
    for (shares, weight) in [
        (2, 1),
        (3, 2),
        (100, 17),
        (256, 35),
        (1023, 100),
        (1024, 100),
        (1025, 101),
        (2048, 174),
        (262_143, 10_000),
        (262_144, 10_000),
        (u64::MAX, 10_000),
    ] {
        assert_eq!(v2::cpu_weight(shares), weight, "{shares}");
    }
}

#[test]
fn what_is_wrong_or_can_not_be_had_is_refused_by_field() {
    let (v1, v2, both) = (v1_only(), unified(), hybrid());
    for (layout, resources, error) in [
        (&v1, r#"{"memory":{"limit":-2}}"#, "memory.limit: -2 is neither a size nor -1"),
        (&v1, r#"{"memory":{"limit":9,"swap":8}}"#, "memory.swap: 8 is below linux.resources.memory.limit 9"),
        (&v1, r#"{"memory":{"swap":8}}"#, "memory.swap: needs linux.resources.memory.limit"),
        (&v1, r#"{"memory":{"limit":-1,"swap":8}}"#, "memory.swap: can't be limited on cgroup v1"),
        (&v2, r#"{"memory":{"swap":8}}"#, "memory.swap: needs linux.resources.memory.limit"),
        (&v1, r#"{"memory":{"swappiness":101}}"#, "memory.swappiness: 101 is not within 0 to 100"),
        (&v2, r#"{"memory":{"swappiness":1}}"#, "memory.swappiness: cgroup v2 has none"),
        (&v2, r#"{"memory":{"disableOOMKiller":true}}"#, "memory.disableOOMKiller: cgroup v2 has none"),
        (&v1, r#"{"cpu":{"shares":1}}"#, "cpu.shares: 1 is not within 2 to 262144"),
        (&v1, r#"{"cpu":{"quota":10,"burst":11}}"#, "cpu.burst: 11 is above linux.resources.cpu.quota 10"),
        (&v2, r#"{"cpu":{"idle":2}}"#, "cpu.idle: 2 is neither 0 nor 1"),
        (&v2, r#"{"cpu":{"realtimeRuntime":2}}"#, "cpu.realtimeRuntime, realtimePeriod: cgroup v2 has none"),
        (&v1, r#"{"cpu":{"cpus":"all"}}"#, "cpu.cpus: \"all\" is not a list such as 0-3,7"),
        (&v1, r#"{"blockIO":{"weight":9}}"#, "blockIO.weight: 9 is not within 10 to 1000"),
        (&v2, r#"{"blockIO":{"leafWeight":10}}"#, "blockIO.leafWeight: cgroup v2 has none"),
        (
            &v2,
            r#"{"hugepageLimits":[{"pageSize":"../2MB","limit":1}]}"#,
            "hugepageLimits[0]: \"../2MB\" is not a size",
        ),
        (
            &v2,
            r#"{"network":{"classID":5}}"#,
            "network.classID: needs cgroup v1's net_cls, which is not mounted",
        ),
        (
            &v2,
            r#"{"network":{"priorities":[{"name":"a","priority":1}]}}"#,
            "network.priorities: needs cgroup v1's net_prio, which is not mounted",
        ),
        (
            &v1,
            r#"{"network":{"priorities":[{"name":"a b","priority":1}]}}"#,
            "network.priorities[0]: \"a b\" is not",
        ),
        (&v1, r#"{"rdma":{"a":{}}}"#, "rdma[\"a\"]: has neither hcaHandles nor hcaObjects"),
        (&v1, r#"{"devices":[{"allow":true,"type":"x"}]}"#, "devices[0].type: \"x\" is none of a, b and c"),
        (
            &v1,
            r#"{"unified":{"memory.max":"1"}}"#,
            "unified[\"memory.max\"]: invalid configuration: needs cgroup v2, which is not mounted",
        ),
        (
            &both,
            r#"{"unified":{"memory.max":"1"}}"#,
            "unified[\"memory.max\"]: invalid configuration: the controller belongs to cgroup v1: memory",
        ),
        (
            &v2,
            r#"{"unified":{"../memory.max":"1"}}"#,
            "unified[\"../memory.max\"]: is not the name of a file",
        ),
        (&v2, r#"{"unified":{"a/b.max":"1"}}"#, "unified[\"a/b.max\"]: is not the name of a file"),
        (
            &v2,
            r#"{"unified":{"memory":"1"}}"#,
            "unified[\"memory\"]: is not of the form CONTROLLER.PARAMETER",
        ),
        (&v2, r#"{"unified":{"cgroup.procs":"1"}}"#, "unified[\"cgroup.procs\"]: is not a setting"),
    ] {
        let e = planned(layout, resources).unwrap_err();
        assert!(e.to_string().starts_with(&format!("linux.resources.{error}")), "{resources}: {e}");
        assert_eq!(e.kind(), Kind::Config, "{resources}");
    }
}

#[test]
fn a_controller_that_is_not_mounted_is_missed_only_by_who_needs_it() {
    let devices = layout(&["devices"], None);
    assert!(planned(&devices, r#"{"memory":{},"cpu":{},"hugepageLimits":[]}"#).is_ok());
    // Mounted nowhere, but in use on v1, so that v2 can't have it.
    let mut elsewhere = unified();
    elsewhere.unmounted = vec!["memory".into()];
    for (layout, resources, error) in [
        (
            &devices,
            r#"{"memory":{"limit":1}}"#,
            "memory.limit: the memory controller of cgroups is not mounted",
        ),
        (&devices, r#"{"cpu":{"cpus":"0"}}"#, "cpu.cpus: the cpuset controller of cgroups is not mounted"),
        (
            &devices,
            r#"{"blockIO":{"weight":10}}"#,
            "blockIO.weight: the blkio controller of cgroups is not mounted",
        ),
        (
            &elsewhere,
            r#"{"memory":{"limit":1}}"#,
            "memory.limit: the memory controller of cgroups is not mounted",
        ),
        (
            &elsewhere,
            r#"{"unified":{"memory.max":"1"}}"#,
            "unified[\"memory.max\"]: the memory controller of cgroups",
        ),
        (&Layout::default(), r#"{}"#, "devices: the devices controller of cgroups is not mounted"),
    ] {
        let e = planned(layout, resources).unwrap_err();
        assert!(e.to_string().starts_with(&format!("linux.resources.{error}")), "{resources}: {e}");
        assert_eq!(e.kind(), Kind::Unsupported);
    }
}

#[test]
fn hybrid_uses_v2_for_what_v1_lacks() {
    let resources = r#"{"memory":{"limit":5},"hugepageLimits":[{"pageSize":"2MB","limit":0}]}"#;
    let (plan, _) = planned(&hybrid(), resources).unwrap();
    let v2 = plan.v2.clone().unwrap();
    assert_eq!(v2.enable.needed, [("hugetlb".to_owned(), "linux.resources.hugepageLimits[0]".to_owned())]);
    assert!(!v2.enable.all);
    assert_eq!(v2.devices, Devices::None);
    assert_eq!(
        writes(&plan),
        ["memory memory.limit_in_bytes=5", " hugetlb.2MB.max=0", " hugetlb.2MB.rsvd.max=0?"]
    );
    let by_program = layout(&["memory"], Some("unified"));
    let (plan, _) = planned(&by_program, "{}").unwrap();
    assert!(matches!(plan.v2.unwrap().devices, Devices::Program(_)));
}

#[test]
fn cpuset_inherits_what_the_bundle_leaves_open() {
    let noprefix = {
        let mut layout = hybrid();
        layout.v1.iter_mut().for_each(|h| h.noprefix = h.controllers == ["cpuset"]);
        layout
    };
    for (layout, cpu, inherit, file) in [
        (&hybrid(), r#"{}"#, [true, true], "cpuset.cpus"),
        (&hybrid(), r#"{"cpus":"0"}"#, [false, true], "cpuset.cpus"),
        (&hybrid(), r#"{"cpus":"0","mems":"0"}"#, [false, false], "cpuset.cpus"),
        (&noprefix, r#"{"mems":"0"}"#, [true, false], "cpus"),
    ] {
        let (plan, _) = planned(layout, &format!(r#"{{"cpu":{cpu}}}"#)).unwrap();
        let cpusets: Vec<_> = plan.v1.iter().filter_map(|place| place.cpuset).collect();
        assert_eq!(cpusets.len(), 1);
        assert_eq!((cpusets[0].inherit, cpusets[0].files[0]), (inherit, file));
    }
    let (plan, _) = planned(&noprefix, r#"{"cpu":{"mems":"0"}}"#).unwrap();
    assert_eq!(writes(&plan), ["cpuset mems=0"]);
}

#[test]
fn warnings_for_what_is_ignored() {
    let resources =
        r#"{"memory":{"kernel":5,"kernelTCP":5,"useHierarchy":false},"cpu":{"idle":1,"shares":5}}"#;
    let fields = |layout: &Layout| -> Vec<String> {
        let (_, warnings) = planned(layout, resources).unwrap();
        warnings.iter().map(|w| w.split(": ").next().unwrap()[16..].to_owned()).collect()
    };
    assert_eq!(fields(&v1_only()), ["memory.kernel", "memory.useHierarchy", "cpu.shares"]);
    assert_eq!(
        fields(&unified()),
        ["memory.kernel", "memory.useHierarchy", "memory.kernelTCP", "cpu.shares"]
    );
}

#[test]
fn lack_of_rights_is_borne_only_where_the_bundle_names_no_group() {
    let options = Options { tolerate_missing_rights: true, owner: Some(1000), ..Options::default() };
    for (path, tolerant) in [("", true), ("/a", false), ("a", false)] {
        assert_eq!(plan(&unified(), "c1", path, None, &options).unwrap().0.tolerant, tolerant);
    }
    let (plan_of_nothing, warnings) = plan(&Layout::default(), "c1", "", None, &options).unwrap();
    assert_eq!((plan_of_nothing.places().count(), warnings.len()), (0, 1));
    // Beside v1, cgroup2 isn't handed over either.
    let owner = |layout: &Layout| plan(layout, "c1", "", None, &options).unwrap().0.v2.unwrap().owner;
    assert_eq!((owner(&unified()), owner(&hybrid())), (Some(1000), None));
}

#[test]
fn views_show_the_hosts_names() {
    let layout =
        layout(&["cpu,cpuacct", "memory", "name=systemd", "name=openrc", "devices"], Some("unified"));
    let (plan, _) = plan(&layout, "c1", "/a/c1", None, &Options::default()).unwrap();
    let mut paths = Paths::default();
    plan.places().for_each(|place| paths.insert(place));
    paths.v1.remove("devices");
    let view = plan.view(&paths);
    let names: Vec<_> =
        view.v1.iter().map(|s| (s.name.as_str(), s.aliases.join(" "), s.option.as_str())).collect();
    assert_eq!(
        names,
        [
            ("cpu,cpuacct", "cpu cpuacct".to_owned(), "cpu,cpuacct"),
            ("memory", String::new(), "memory"),
            ("systemd", String::new(), "name=systemd")
        ]
    );
    assert_eq!(view.v1[0].host, "/sys/fs/cgroup/cpu,cpuacct/a/c1");
    let v2 = view.v2.unwrap();
    assert_eq!((v2.name.as_str(), v2.host.as_str()), ("unified", "/sys/fs/cgroup/unified/a/c1"));

    let (alone, _) = super::plan(&unified(), "c1", "/a/c1", None, &Options::default()).unwrap();
    let mut paths = Paths::default();
    alone.places().for_each(|place| paths.insert(place));
    assert_eq!(alone.view(&paths).v2.unwrap().name, "");
}

#[test]
fn paths_survive_json() {
    let (plan, _) = planned(&hybrid(), "{}").unwrap();
    let mut paths = Paths::default();
    plan.places().for_each(|place| paths.insert(place));
    paths.parents.push("/sys/fs/cgroup/memory/test".into());
    let text = serde_json::to_vec(&paths).unwrap();
    assert_eq!(crate::json::from_slice::<Paths>(&text), Ok(paths));
}
