//! How processes get in, and what they may do there.

use super::support::{Ground, place, resident_with, run_and_exit, spawn};
use forgeone_runtime::cgroup::{Group, Paths};
use forgeone_sys::fs::{self, Mode, OFlags};
use forgeone_sys::process::{self, CloneArgs, Exit, Forked, Namespaces};
use forgeone_sys::{Errno, OwnedFd, credentials};

/// The lines of `/proc/self/cgroup` for the hierarchies that `paths` names all end with `end`.
fn is_in(paths: &Paths, end: &str) {
    let text = std::fs::read_to_string("/proc/self/cgroup").unwrap();
    let group = |names: &str| text.lines().find(|line| line.split(':').nth(1) == Some(names)).unwrap();
    for names in paths.v1.keys().map(String::as_str).chain(paths.v2.as_ref().map(|_| "")) {
        assert!(group(names).ends_with(end), "{names}: {text}");
    }
}

/// The paths behind this process's descriptors.
fn descriptors() -> Vec<String> {
    let links = std::fs::read_dir("/proc/self/fd")
        .unwrap()
        .filter_map(|entry| entry.unwrap().path().read_link().ok());
    links.map(|path| path.to_string_lossy().into_owned()).collect()
}

fn succeeds(pid: i32) {
    assert_eq!(process::wait(pid).unwrap(), Exit::Code(0));
}

pub(crate) fn born_in_every_hierarchy() {
    let ground = Ground::hybrid();
    let mut group = ground.group(r#"{"pids": {"limit": 1}, "memory": {"limit": 33554432}}"#);
    let paths = group.paths().clone();
    // The first birth uses what create has opened, the second opens by path, as exec does.
    for _ in 0..2 {
        let pid = spawn(&mut group, || {
            is_in(&paths, &ground.path);
            assert!(!descriptors().iter().any(|path| path.ends_with("/tasks")));
        });
        succeeds(pid);
        assert!(!descriptors().iter().any(|path| path.contains(&ground.path)));
    }
    let mut found = Group::open(paths.clone());
    succeeds(spawn(&mut found, || is_in(&paths, &ground.path)));
    group.delete().unwrap();
    let error = found.birth().unwrap_err();
    assert!(error.to_string().starts_with("cgroup: openat(AT_FDCWD, \"/sys/fs/cgroup/"), "{error}");
    ground.end();
}

pub(crate) fn born_without_clone3() {
    let ground = Ground::hybrid();
    let mut group = ground.group("{}");
    let mut birth = group.birth().unwrap();
    birth.without_clone3().unwrap();
    let Forked::Parent(child) = process::clone(&CloneArgs::default()).unwrap() else {
        run_and_exit(|| {
            birth.enter().unwrap();
            is_in(group.paths(), &ground.path);
        })
    };
    drop(birth);
    succeeds(child.pid);
    group.delete().unwrap();
    ground.end();
}

/// A root that the host knows as nobody: by path it could not even look.
pub(crate) fn born_by_a_mapped_root() {
    let ground = Ground::hybrid();
    let mut group = ground.group("{}");
    let birth = group.birth().unwrap();
    let args =
        CloneArgs { namespaces: Namespaces::USER, into_cgroup: birth.into_cgroup(), ..CloneArgs::default() };
    let (mapped, map) = fs::pipe().unwrap();
    let mut map = Some(map);
    let Forked::Parent(child) = process::clone(&args).unwrap() else {
        run_and_exit(|| {
            drop(map.take());
            fs::read(&mapped, &mut [0]).unwrap();
            credentials::setresuid(0).unwrap();
            let tasks = format!("{}/tasks", place(group.paths(), "memory"));
            let error = fs::open(tasks.as_str(), OFlags::WRONLY, Mode::empty()).unwrap_err();
            assert_eq!(error.errno(), Errno::ACCESS);
            birth.enter_v1().unwrap();
            is_in(group.paths(), &ground.path);
        })
    };
    std::fs::write(format!("/proc/{}/uid_map", child.pid), "0 65534 1").unwrap();
    drop(map);
    drop(birth);
    succeeds(child.pid);
    group.delete().unwrap();
    ground.end();
}

pub(crate) fn born_beside_an_init_that_moved() {
    let ground = Ground::hybrid();
    // With a controller passed on below it, a group takes no processes.
    let mut group = ground.group(r#"{"hugepageLimits": [{"pageSize": "2MB", "limit": 0}]}"#);
    let v2 = place(group.paths(), "");
    let (init, release) = resident_with(&mut group, || {
        std::fs::create_dir(format!("{v2}/init.scope")).unwrap();
        std::fs::write(format!("{v2}/init.scope/cgroup.procs"), "0").unwrap();
        std::fs::write(format!("{v2}/cgroup.subtree_control"), "+hugetlb").unwrap();
    });
    let clone = |birth: &forgeone_runtime::cgroup::Birth| {
        process::clone(&CloneArgs { into_cgroup: birth.into_cgroup(), ..CloneArgs::default() })
    };
    let birth = group.birth().unwrap();
    assert_eq!(clone(&birth).unwrap_err().errno(), Errno::BUSY);
    let birth = group.birth_beside(init).unwrap();
    let Forked::Parent(child) = clone(&birth).unwrap() else {
        run_and_exit(|| {
            birth.enter_v1().unwrap();
            let text = std::fs::read_to_string("/proc/self/cgroup").unwrap();
            assert!(text.contains(&format!("0::{}/init.scope\n", ground.path)), "{text}");
            assert!(text.contains(&format!(":memory:{}\n", ground.path)), "{text}");
        })
    };
    succeeds(child.pid);
    assert!(group.birth_beside(process::getpid()).is_err());
    assert_eq!(group.pids().unwrap(), [init]);
    drop(release);
    process::wait(init).unwrap();
    group.delete().unwrap();
    ground.end();
}

/// Whether a process of the group can open a device, and make its node.
pub(crate) fn opens(group: &mut Group, path: &str, flags: OFlags) -> bool {
    let open = || fs::open(path, flags, Mode::empty()).map(|_: OwnedFd| ());
    let pid = spawn(group, || match open() {
        Ok(()) => {}
        Err(error) => process::exit(if error.errno() == Errno::PERM { 1 } else { 2 }),
    });
    match process::wait(pid).unwrap() {
        Exit::Code(0) => true,
        Exit::Code(1) => false,
        exit => panic!("{path}: {exit:?}"),
    }
}

pub(crate) fn devices(ground: &Ground) {
    const KMSG: &str = "/dev/kmsg"; // c 1:11
    for (rules, readable, writable) in [
        (r#"[]"#, false, false),
        (r#"[{"allow": false, "access": "rwm"}]"#, false, false),
        (
            r#"[{"allow": false, "access": "rwm"}, {"allow": true, "type": "c", "major": 1, "minor": 11, "access": "r"}]"#,
            true,
            false,
        ),
        (r#"[{"allow": true, "type": "c", "major": 1, "access": "rw"}]"#, true, true),
        (r#"[{"allow": true, "access": "rwm"}]"#, true, true),
        (
            r#"[{"allow": true, "access": "rwm"}, {"allow": false, "type": "c", "major": 1, "minor": 11, "access": "w"}]"#,
            true,
            false,
        ),
        (r#"[{"allow": true, "access": "rwm"}, {"allow": false}]"#, false, false),
    ] {
        let mut group = ground.group(&format!(r#"{{"devices": {rules}}}"#));
        assert_eq!(opens(&mut group, KMSG, OFlags::RDONLY), readable, "{rules}");
        assert_eq!(opens(&mut group, KMSG, OFlags::WRONLY), writable, "{rules}");
        assert_eq!(opens(&mut group, KMSG, OFlags::RDWR), readable && writable, "{rules}");
        for path in ["/dev/null", "/dev/zero", "/dev/full", "/dev/urandom"] {
            assert!(opens(&mut group, path, OFlags::RDWR), "{path}");
        }
        group.delete().unwrap();
    }
}

pub(crate) fn devices_are_denied_unless_allowed() {
    let ground = Ground::hybrid();
    devices(&ground);
    let mut group = ground.group("{}");
    let temp = testkit::Temp::new("nodes");
    let pid = spawn(&mut group, || {
        // Any node may be made, and is of no use.
        let node = temp.path().join("kmsg");
        fs::mknodat(fs::CWD, &node, fs::FileType::CharacterDevice, 0o600, 1, 11).unwrap();
        assert_eq!(fs::open(&node, OFlags::RDONLY, Mode::empty()).unwrap_err().errno(), Errno::PERM);
    });
    succeeds(pid);
    // A group that was there with other rules gets these.
    let list = format!("{}/devices.allow", place(group.paths(), "devices"));
    std::fs::write(list, "c 1:11 r").unwrap();
    let mut again = Group::create(&ground.plan("{}")).unwrap();
    assert!(!opens(&mut again, "/dev/kmsg", OFlags::RDONLY));
    group.delete().unwrap();
    ground.end();
}
