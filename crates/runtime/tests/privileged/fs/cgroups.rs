//! The container's view of cgroups. The groups are below a group of the test's own.

use super::support::{Bundle, KERNELS, mount_at, mounts};
use forgeone_runtime::fs::{CgroupHierarchy, CgroupView};
use forgeone_sys::process::Namespaces;
use std::fs as std_fs;
use std::path::{Path, PathBuf};

/// Groups that go away.
struct Groups(Vec<PathBuf>);

impl Groups {
    fn new(hierarchies: &[&str]) -> Self {
        let name = testkit::names::unique("cgroup");
        let mut groups = Self(Vec::new());
        for hierarchy in hierarchies {
            let base = Path::new("/sys/fs/cgroup").join(hierarchy);
            if !base.join("cgroup.procs").exists() {
                testkit::single::skip(format!("needs a cgroup hierarchy at {}", base.display()));
            }
            let path = base.join(&name);
            std_fs::create_dir(&path).unwrap();
            std_fs::create_dir(path.join("child")).unwrap();
            groups.0.push(path);
        }
        groups
    }
}

impl Drop for Groups {
    fn drop(&mut self) {
        for path in &self.0 {
            std_fs::remove_dir(path.join("child")).unwrap();
            std_fs::remove_dir(path).unwrap();
        }
    }
}

fn bundle(kind: &str, options: &str) -> Bundle {
    Bundle::new(&format!(
        "%mounts%:[{{%destination%:%/proc%,%type%:%proc%}},{{%destination%:%/sys%,%type%:%sysfs%}},
          {{%destination%:%/sys/fs/cgroup%,%type%:%{kind}%,%source%:%cgroup%,
            %options%:[%nosuid%,%noexec%,%nodev%,%relatime%{options}]}}]"
    ))
}

fn hierarchy(name: &str, option: &str, group: &Path) -> CgroupHierarchy {
    CgroupHierarchy { name: name.to_owned(), option: option.to_owned(), group: group.to_owned() }
}

pub(crate) fn hierarchies_are_bound() {
    let groups = Groups::new(&["cpu", "pids", "systemd"]);
    for (options, readonly) in [(",%ro%", true), ("", false)] {
        let mut bundle = bundle("cgroup", options);
        bundle.cgroups.hierarchies = vec![
            // A hierarchy of two controllers gets a link for each.
            hierarchy("cpu,cpuacct", "cpu,cpuacct", &groups.0[0]),
            hierarchy("pids", "pids", &groups.0[1]),
            hierarchy("systemd", "name=systemd", &groups.0[2]),
        ];
        bundle.on_all_kernels(|_, entered| {
            let all = mounts(entered);
            let mode = if readonly { "ro" } else { "rw" };
            let expected = format!("{mode},nosuid,nodev,noexec,relatime");
            for point in ["", "/cpu,cpuacct", "/pids", "/systemd"] {
                let mount = mount_at(&all, &format!("/sys/fs/cgroup{point}"));
                assert_eq!(mount.options, expected, "{point}");
            }
            assert_eq!(std_fs::read_link("/sys/fs/cgroup/cpu").unwrap(), Path::new("cpu,cpuacct"));
            assert_eq!(std_fs::read_link("/sys/fs/cgroup/cpuacct").unwrap(), Path::new("cpu,cpuacct"));
            // Its own group and no more.
            for name in ["cpuacct", "pids", "systemd"] {
                assert!(Path::new("/sys/fs/cgroup").join(name).join("child").is_dir(), "{name}");
            }
            let made = std_fs::create_dir("/sys/fs/cgroup/pids/made");
            assert_eq!(made.is_err(), readonly);
            if !readonly {
                std_fs::remove_dir("/sys/fs/cgroup/pids/made").unwrap();
            }
        });
    }
    // The host's can still be written.
    std_fs::create_dir(groups.0[1].join("after")).unwrap();
    std_fs::remove_dir(groups.0[1].join("after")).unwrap();
}

pub(crate) fn hierarchies_are_mounted_in_a_cgroup_namespace() {
    let groups = Groups::new(&["pids", "systemd"]);
    let mut bundle = bundle("cgroup", ",%ro%");
    bundle.namespaces |= Namespaces::CGROUP;
    bundle.options.cgroup_namespace = true;
    bundle.cgroups.hierarchies =
        vec![hierarchy("pids", "pids", &groups.0[0]), hierarchy("systemd", "name=systemd", &groups.0[1])];
    bundle.on_all_kernels(|_, entered| {
        for name in ["pids", "systemd"] {
            let mount = mount_at(&mounts(entered), &format!("/sys/fs/cgroup/{name}"));
            assert_eq!((mount.fstype.as_str(), mount.root.as_str()), ("cgroup", "/"));
            assert_eq!(mount.options, "ro,nosuid,nodev,noexec,relatime");
            // The file system is the host's too, and stays as it was.
            assert!(mount.superblock.starts_with("rw"), "{mount:?}");
        }
    });
    drop(groups);
}

pub(crate) fn unified_group_is_bound() {
    let groups = Groups::new(&["unified"]);
    for kind in ["cgroup", "cgroup2"] {
        let mut bundle = bundle(kind, ",%ro%");
        bundle.cgroups.unified = Some(groups.0[0].clone());
        bundle.on_all_kernels(|_, entered| {
            let mount = mount_at(&mounts(entered), "/sys/fs/cgroup");
            assert_eq!(mount.fstype, "cgroup2");
            assert_eq!(mount.options, "ro,nosuid,nodev,noexec,relatime");
            assert!(Path::new("/sys/fs/cgroup/child").is_dir());
        });
    }
}

pub(crate) fn unified_group_is_mounted_in_a_cgroup_namespace() {
    let groups = Groups::new(&["unified"]);
    let mut bundle = bundle("cgroup2", "");
    bundle.namespaces |= Namespaces::CGROUP;
    bundle.options.cgroup_namespace = true;
    bundle.cgroups.unified = Some(groups.0[0].clone());
    bundle.on_all_kernels(|_, entered| {
        let mount = mount_at(&mounts(entered), "/sys/fs/cgroup");
        assert_eq!((mount.fstype.as_str(), mount.root.as_str()), ("cgroup2", "/"));
        assert_eq!(mount.options, "rw,nosuid,nodev,noexec,relatime");
    });
    // A user namespace over a cgroup namespace that isn't its own may not mount it: its group is bound.
    bundle.namespaces.remove(Namespaces::CGROUP);
    bundle.namespaces |= Namespaces::USER;
    bundle.options.user_namespace = true;
    super::users::give_to_root(&bundle);
    bundle.on_all_kernels(|_, _| assert!(Path::new("/sys/fs/cgroup/child").is_dir()));
}

pub(crate) fn nothing_to_show() {
    let mut bundle = bundle("cgroup", "");
    for kernel in KERNELS {
        bundle.kernel = kernel;
        bundle.cgroups = CgroupView::default();
        let e = bundle.failure();
        assert!(e.starts_with("mounts[2] \"/sys/fs/cgroup\" (cgroup): ") && e.contains("no cgroup"), "{e}");
        // Rootless: covered, so that nothing of the host is to be written there.
        let mut rootless = self::bundle("cgroup", "");
        rootless.options.rootless = true;
        rootless.kernel = kernel;
        rootless.cgroups.unified = Some("/sys/fs/cgroup/nowhere".into());
        rootless.run(|entered| {
            let mount = mount_at(&mounts(entered), "/sys/fs/cgroup");
            assert_eq!((mount.fstype.as_str(), &mount.options[..2]), ("tmpfs", "ro"));
        });
    }
}
