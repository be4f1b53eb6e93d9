//! What is written to the kernel's own files.

use super::support::{Bundle, KERNELS, in_child, need_root};
use forgeone_runtime::fs::{self as rootfs, Procfs, apply_sysctls};
use forgeone_runtime::{json, spec::Spec};
use forgeone_sys::mount::{self, MountFlags, MountPropagationFlags};
use forgeone_sys::process::{self, Namespaces};
use std::collections::BTreeMap;
use std::fs as std_fs;
use std::path::Path;
use testkit::Temp;

fn private_mounts() {
    mount::mount_propagation("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC).unwrap();
}

/// CVE-2025-52881: another file lies over the one that is meant.
pub(crate) fn a_covered_file_of_proc_is_not_written() {
    need_root();
    let temp = Temp::new("proc");
    std_fs::write(temp.path().join("false"), "0").unwrap();
    for kernel in KERNELS {
        in_child(Namespaces::MOUNT | Namespaces::UTS, || {
            private_mounts();
            let procfs = Procfs::open().unwrap();
            let target = "/proc/sys/kernel/domainname";
            let before = procfs.read("sys/kernel/domainname", 100).unwrap();
            // A plain file, then another file of procfs.
            for source in [temp.path().join("false"), "/proc/sys/kernel/hostname".into()] {
                mount::mount_bind(&source, target, false).unwrap();
                kernel.become_it();
                let e = procfs.write("sys/kernel/domainname", b"mine").unwrap_err().to_string();
                assert!(e.contains("EXDEV"), "{kernel:?}: {e}");
                mount::umount(target, mount::UnmountFlags::DETACH).unwrap();
            }
            assert_eq!(procfs.read("sys/kernel/domainname", 100).unwrap(), before);
            procfs.write("sys/kernel/domainname", b"mine").unwrap();
            assert_eq!(procfs.read("sys/kernel/domainname", 100).unwrap(), b"mine\n");
            // A whole directory.
            let temp = temp.path();
            mount::mount_bind(temp, "/proc/sys/kernel", false).unwrap();
            assert!(procfs.write("sys/kernel/false", b"x").unwrap_err().to_string().contains("EXDEV"));
        });
    }
    assert_eq!(std_fs::read(temp.path().join("false")).unwrap(), b"0");
}

pub(crate) fn a_false_proc_is_refused() {
    need_root();
    let refused = || {
        let e = Procfs::open().unwrap_err().to_string();
        assert_eq!(e, "/proc: not the root of a proc file system");
    };
    in_child(Namespaces::MOUNT, || {
        private_mounts();
        mount::mount_bind("/proc/sys", "/proc", false).unwrap();
        refused();
    });
    in_child(Namespaces::MOUNT, || {
        private_mounts();
        mount::mount("tmpfs", "/proc", "tmpfs", MountFlags::empty(), None).unwrap();
        std_fs::create_dir_all("/proc/self/fd").unwrap();
        refused();
    });
}

pub(crate) fn sysctls_are_the_containers() {
    need_root();
    let host = |path: &str| std_fs::read_to_string(Path::new("/proc/sys").join(path)).unwrap();
    let before = [host("net/ipv4/ip_forward"), host("kernel/msgmax"), host("kernel/domainname")];
    let sysctls = BTreeMap::from(
        [
            ("net.ipv4.ip_forward", if before[0].trim() == "1" { "0" } else { "1" }),
            ("kernel.msgmax", "4242"),
            ("net/ipv4/conf/lo/forwarding", "1"),
            ("kernel.domainname", "domain"),
        ]
        .map(|(k, v)| (k.to_owned(), v.to_owned())),
    );
    for kernel in KERNELS {
        let procfs = Procfs::open().unwrap();
        in_child(Namespaces::NET | Namespaces::IPC | Namespaces::UTS, || {
            kernel.become_it();
            apply_sysctls(&procfs, &sysctls).unwrap();
            assert_eq!(host("kernel/msgmax"), "4242\n");
            assert_ne!(host("net/ipv4/ip_forward"), before[0]);
            assert_eq!(host("net/ipv4/conf/lo/forwarding"), "1\n");
            let missing = BTreeMap::from([("net.no.such".to_owned(), "1".to_owned())]);
            let e = apply_sysctls(&procfs, &missing).unwrap_err().to_string();
            assert!(e.starts_with("linux.sysctl[\"net.no.such\"]: ") && e.contains("ENOENT"), "{e}");
        });
    }
    assert_eq!([host("net/ipv4/ip_forward"), host("kernel/msgmax"), host("kernel/domainname")], before);
}

pub(crate) fn a_joined_namespace_of_the_host_is_refused() {
    let bundle = Bundle::new("%mounts%:[]");
    let plan = |path: &str| {
        let text = format!(
            r#"{{"ociVersion":"1.3.0","root":{{"path":"rootfs"}},"linux":{{
              "namespaces":[{{"type":"mount"}},{{"type":"network","path":"{path}"}}],
              "sysctl":{{"net.ipv4.ip_forward":"1"}}}}}}"#
        );
        let spec: Spec = json::from_slice(text.as_bytes()).unwrap();
        rootfs::plan(&spec, &bundle.path(""), &rootfs::Options::default()).unwrap().0
    };
    let own = format!("/proc/{}/ns/net", process::getpid());
    let e = rootfs::prepare(&plan(&own)).unwrap_err().to_string();
    assert_eq!(e, format!("linux.sysctl: the network namespace {own} is the host's"));
    in_child(Namespaces::NET, || {
        let outer = format!("/proc/{}/ns/net", process::getppid());
        assert!(rootfs::prepare(&plan(&outer)).is_ok());
    });
}
