//! A machine with v1 alone: no `cgroup.kill`, no `cgroup.events`.

use super::members::{freezing, killing, signalling};
use super::support::{Ground, in_child, only_v1, plan, spawn};
use forgeone_runtime::cgroup::Paths;
use forgeone_sys::process::{self, Exit, Namespaces};

pub(crate) fn everything_works_without_cgroup2() {
    let ground = Ground::hybrid();
    in_child(Namespaces::MOUNT, || {
        only_v1();
        let mut group = ground.group(r#"{"memory": {"limit": 67108864}}"#);
        assert_eq!(group.paths().v2, None);
        assert!(group.birth().unwrap().into_cgroup().is_none());
        let pid = spawn(&mut group, || {
            let text = std::fs::read_to_string("/proc/self/cgroup").unwrap();
            assert_eq!(text.lines().filter(|line| line.ends_with(&ground.path)).count(), 9, "{text}");
        });
        assert_eq!(process::wait(pid).unwrap(), Exit::Code(0));
        group.delete().unwrap();
        freezing(&ground);
        signalling(&ground);
        killing(&ground, |paths| paths);
        // Without a freezer processes are looked for until there are no new ones.
        killing(&ground, |paths| Paths {
            v1: paths.v1.into_iter().filter(|(controllers, _)| controllers == "pids").collect(),
            ..paths
        });
        let error = plan(&ground.path, r#"{"unified": {"memory.max": "1"}}"#).unwrap_err().to_string();
        assert_eq!(
            error,
            "linux.resources.unified[\"memory.max\"]: invalid configuration: needs cgroup v2, which is not mounted"
        );
    });
    ground.end();
}
