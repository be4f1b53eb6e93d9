//! A machine with cgroup2 alone; here it has one controller, hugetlb.

use super::entry::devices;
use super::members::{freezing, killing, signalling};
use super::support::{Ground, in_child, layout, only_v2, place, plan, read, spawn};
use forgeone_runtime::Kind;
use forgeone_runtime::cgroup::{self, Group, Options};
use forgeone_sys::process::{self, Exit, Namespaces};
use std::os::unix::fs::MetadataExt;

/// Runs `body` where cgroup2 is alone.
fn alone(body: impl FnOnce(&Ground)) {
    let ground = Ground::hybrid();
    in_child(Namespaces::MOUNT, || {
        only_v2();
        body(&ground);
    });
    ground.end();
}

pub(crate) fn limits_and_view() {
    alone(|ground| {
        let resources = r#"{"hugepageLimits": [{"pageSize": "2MB", "limit": 2097152}], "unified": {
            "cgroup.max.depth": "3", "hugetlb.2MB.max": "8388608"}}"#;
        let plan = ground.plan(resources);
        let group = Group::create(&plan).unwrap();
        assert_eq!(read(group.paths(), "", "hugetlb.2MB.max"), "8388608");
        assert_eq!(read(group.paths(), "", "hugetlb.2MB.rsvd.max"), "2097152");
        assert_eq!(read(group.paths(), "", "cgroup.max.depth"), "3");
        let v2 = plan.view(group.paths()).v2.unwrap();
        assert_eq!((v2.name, v2.host), (String::new(), format!("/sys/fs/cgroup{}", ground.path)));
        group.delete().unwrap();
        // Others count on the controllers' numbers, limits or not.
        let group = ground.group("{}");
        assert_eq!(read(group.paths(), "", "cgroup.controllers"), "hugetlb");
        group.delete().unwrap();
    });
}

pub(crate) fn devices_are_denied_by_program() {
    alone(|ground| {
        devices(ground);
        // A group that was there with another program gets this one, and no second.
        let group = ground.group(r#"{"devices": [{"allow": true}]}"#);
        let mut again = Group::create(&ground.plan("{}")).unwrap();
        assert!(!super::entry::opens(&mut again, "/dev/kmsg", forgeone_sys::fs::OFlags::RDONLY));
        let mut again = Group::create(&ground.plan(r#"{"devices": [{"allow": true}]}"#)).unwrap();
        assert!(super::entry::opens(&mut again, "/dev/kmsg", forgeone_sys::fs::OFlags::RDONLY));
        // What v1 can't say: all but one of these.
        let rules = r#"[{"allow": true, "type": "c", "major": 1, "access": "rwm"},
            {"allow": false, "type": "c", "major": 1, "minor": 11, "access": "r"}]"#;
        let mut again = Group::create(&ground.plan(&format!(r#"{{"devices": {rules}}}"#))).unwrap();
        assert!(!super::entry::opens(&mut again, "/dev/kmsg", forgeone_sys::fs::OFlags::RDONLY));
        assert!(super::entry::opens(&mut again, "/dev/kmsg", forgeone_sys::fs::OFlags::WRONLY));
        group.delete().unwrap();
    });
}

pub(crate) fn missing_controllers_are_named() {
    alone(|ground| {
        let error = plan(&ground.path, r#"{"memory": {"limit": 1048576}}"#).unwrap_err();
        let text = "linux.resources.memory.limit: the memory controller of cgroups is not mounted";
        assert_eq!((error.to_string().as_str(), error.kind()), (text, Kind::Unsupported));
        let error = Group::create(&ground.plan(r#"{"rdma": {"a": {"hcaHandles": 1}}}"#)).unwrap_err();
        let text = "linux.resources.rdma[\"a\"]: the rdma controller is not available in /sys/fs/cgroup \
            (there are: hugetlb)";
        assert_eq!((error.to_string().as_str(), error.kind()), (text, Kind::Unsupported));
    });
}

pub(crate) fn everything_works_without_v1() {
    alone(|ground| {
        let mut group = ground.group("{}");
        assert!(group.paths().v1.is_empty());
        let pid = spawn(&mut group, || {
            let text = std::fs::read_to_string("/proc/self/cgroup").unwrap();
            assert!(text.contains(&format!("0::{}\n", ground.path)), "{text}");
        });
        assert_eq!(process::wait(pid).unwrap(), Exit::Code(0));
        group.delete().unwrap();
        freezing(ground);
        signalling(ground);
        killing(ground, |paths| paths);
    });
}

pub(crate) fn the_owner_may_make_groups() {
    alone(|ground| {
        let options = Options { owner: Some(65534), ..Options::default() };
        let (plan, _) = cgroup::plan(&layout(), "c1", &ground.path, None, &options).unwrap();
        let group = Group::create(&plan).unwrap();
        let path = place(group.paths(), "");
        let owner = |file: &str| std::fs::metadata(format!("{path}/{file}")).unwrap().uid();
        for (file, uid) in [
            ("", 65534),
            ("cgroup.procs", 65534),
            ("cgroup.subtree_control", 65534),
            ("cgroup.max.depth", 0),
            ("hugetlb.2MB.max", 0),
            ("..", 0),
        ] {
            assert_eq!(owner(file), uid, "{file}");
        }
        group.delete().unwrap();
    });
}

pub(crate) fn groups_below_threads_join_them() {
    alone(|ground| {
        let top = ground.group("{}");
        let path = place(top.paths(), "");
        std::fs::create_dir(format!("{path}/threads")).unwrap();
        std::fs::write(format!("{path}/threads/cgroup.type"), "threaded").unwrap();
        let below = plan(&format!("{}/threads/c2", ground.path), "{}").unwrap();
        let mut group = Group::create(&below).unwrap();
        assert_eq!(read(group.paths(), "", "cgroup.type"), "threaded");
        assert!(group.pids().unwrap().is_empty() && !group.populated().unwrap());
        drop(group.birth().unwrap());
        group.delete().unwrap();
        let resources = r#"{"hugepageLimits": [{"pageSize": "2MB", "limit": 0}]}"#;
        let below = plan(&format!("{}/threads/c2", ground.path), resources).unwrap();
        let error = Group::create(&below).unwrap_err().to_string();
        assert!(error.starts_with("linux.resources.hugepageLimits[0]: "), "{error}");
        top.delete().unwrap();
    });
}
