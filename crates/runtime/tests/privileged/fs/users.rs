//! With a user namespace: root inside is nobody outside.

use super::roots::MOUNTS;
use super::support::{Bundle, KERNELS, Kernel, mount_at, mounts};
use forgeone_sys::process::Namespaces;
use forgeone_sys::{Errno, credentials, fs};
use std::fs as std_fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;

fn with_user(parts: &str) -> Bundle {
    let mut bundle = Bundle::new(parts);
    bundle.namespaces |= Namespaces::USER;
    bundle.options.user_namespace = true;
    give_to_root(&bundle);
    bundle
}

/// Gives the root file system to the container's root.
pub(crate) fn give_to_root(bundle: &Bundle) {
    fn give(path: &Path) {
        let stat = std_fs::symlink_metadata(path).unwrap();
        std::os::unix::fs::lchown(path, Some(100_000), Some(100_000)).unwrap();
        if stat.is_dir() {
            std_fs::read_dir(path).unwrap().for_each(|entry| give(&entry.unwrap().path()));
        }
    }
    give(&bundle.path("rootfs"));
}

pub(crate) fn devices_are_bound() {
    let mut bundle = with_user(&format!(
        "{MOUNTS},%linux%:{{%namespaces%:[{{%type%:%mount%}}],%maskedPaths%:[%/proc/kcore%,%/etc%,%/tmp%],
          %readonlyPaths%:[%/proc/sys%],
          %devices%:[{{%path%:%/dev/fuse%,%type%:%c%,%major%:10,%minor%:229}},
                     {{%path%:%/dev/pipe%,%type%:%p%,%fileMode%:384}}]}}"
    ));
    if !Path::new("/dev/fuse").exists() {
        testkit::single::skip("needs /dev/fuse");
    }
    bundle.on_all_kernels(|_, entered| {
        let all = mounts(entered);
        for (name, number) in [("null", (1, 3)), ("zero", (1, 5)), ("tty", (5, 0)), ("fuse", (10, 229))] {
            let rdev = std_fs::metadata(Path::new("/dev").join(name)).unwrap().rdev();
            assert_eq!((fs::major(rdev), fs::minor(rdev)), number, "{name}");
            assert_eq!(mount_at(&all, &format!("/dev/{name}")).root, format!("/{name}"));
        }
        assert!(std_fs::symlink_metadata("/dev/pipe").unwrap().mode() & 0o777 == 0o600);
        std_fs::write("/dev/null", "x").unwrap();
        assert_eq!(std_fs::read_dir("/etc").unwrap().count(), 0);
        assert_eq!(mount_at(&all, "/sys").fstype, "sysfs");
    });
    // What isn't the device of that number is not bound.
    bundle.configure(
        "%linux%:{%namespaces%:[{%type%:%mount%}],
          %devices%:[{%path%:%/dev/fuse%,%type%:%c%,%major%:10,%minor%:230}]}",
    );
    let e = bundle.failure();
    assert!(e.starts_with("device /dev/fuse: ") && e.contains("10:230"), "{e}");
}

pub(crate) fn out_of_reach_is_reached() {
    let mut bundle = with_user(
        "%mounts%:[{%destination%:%/data%,%source%:%@/closed/volume%,%options%:[%rbind%,%ro%]},
          {%destination%:%/file%,%source%:%@/closed/file%,%options%:[%bind%]},
          {%destination%:%/proc%,%type%:%proc%}]",
    );
    std_fs::create_dir_all(bundle.path("closed/volume")).unwrap();
    std_fs::write(bundle.path("closed/volume/file"), "volume").unwrap();
    std_fs::write(bundle.path("closed/file"), "file").unwrap();
    let close = |path: &str| {
        std_fs::set_permissions(bundle.path(path), std_fs::Permissions::from_mode(0o700)).unwrap();
    };
    close("closed");
    let look = |entered: &forgeone_runtime::fs::Entered| {
        assert_eq!(std_fs::read("/data/file").unwrap(), b"volume");
        assert_eq!(std_fs::read("/file").unwrap(), b"file");
        let mount = mount_at(&mounts(entered), "/data");
        assert_eq!((mount.options.as_str(), mount.propagation.as_str()), ("ro,relatime", ""));
        assert!(std_fs::read_to_string("/proc/self/mountinfo").unwrap().lines().count() >= 4);
    };
    bundle.run(look);
    // The root file system itself, and all of the bundle.
    close("");
    bundle.run(look);
    // Without the newer calls in the container's own process the copies can't be attached: said, not ignored.
    bundle.kernel = Kernel::Without(Errno::NOSYS);
    let e = bundle.failure();
    assert!(e.starts_with("root.path: ") && e.contains("ENOSYS"), "{e}");
}

pub(crate) fn sysfs_is_bound_without_a_network_namespace() {
    let mut bundle = with_user(
        "%mounts%:[{%destination%:%/sys%,%type%:%sysfs%,%options%:[%nosuid%,%noexec%,%nodev%,%ro%]}]",
    );
    bundle.namespaces.remove(Namespaces::NET);
    for kernel in KERNELS {
        bundle.kernel = kernel;
        if !kernel.has_setattr() {
            let e = bundle.failure();
            assert!(e.starts_with("mounts[0] \"/sys\" (sysfs): ") && e.contains("Linux 5.12"), "{e}");
            continue;
        }
        bundle.run(|entered| {
            assert!(Path::new("/sys/kernel").exists());
            let all = mounts(entered);
            let below = all.iter().filter(|m| m.point.starts_with("/sys")).collect::<Vec<_>>();
            assert!(below.len() > 1, "the host has nothing below /sys");
            assert!(below.iter().all(|m| m.options.starts_with("ro,")), "{below:#?}");
        });
    }
}

pub(crate) fn terminal_group_in_a_joined_namespace() {
    // The map is not in the config, and has no 5.
    let mut bundle = Bundle::new(
        "%mounts%:[{%destination%:%/dev/pts%,%type%:%devpts%,
          %options%:[%newinstance%,%ptmxmode=0666%,%gid=5%,%mode=0620%]}]",
    );
    bundle.options.user_namespace = true;
    bundle.namespaces |= Namespaces::USER;
    give_to_root(&bundle);
    chown(bundle.path(""), Some(100_000), Some(100_000)).unwrap();
    bundle.maps = "0 100000 3";
    bundle.on_all_kernels(|_, entered| {
        let mount = mount_at(&mounts(entered), "/dev/pts");
        assert!(mount.superblock.contains("mode=620") && !mount.superblock.contains("gid="), "{mount:?}");
    });
    bundle.maps = "0 100000 6";
    bundle.on_all_kernels(|_, entered| {
        let mount = mount_at(&mounts(entered), "/dev/pts");
        assert!(mount.superblock.contains("gid=100005"), "{mount:?}");
    });
}

/// All of it without any privilege: an ordinary user, one id, no control over cgroups.
pub(crate) fn an_ordinary_user() {
    let mut bundle = with_user(&format!(
        "{MOUNTS},%linux%:{{%namespaces%:[{{%type%:%mount%}}],%maskedPaths%:[%/etc%,%/proc/keys%],
          %readonlyPaths%:[%/proc/sys%]}}"
    ));
    // The group 5 isn't mapped, as the plan would have seen in the config.
    bundle.spec = bundle.spec.replace(r#","gid=5""#, "");
    bundle.maps = "0 65534 1";
    chown(bundle.path(""), Some(65_534), Some(65_534)).unwrap();
    for dir in ["", "dev", "proc", "sys", "etc", "tmp", "data"] {
        chown(bundle.inside(dir), Some(65_534), Some(65_534)).unwrap();
    }
    super::support::in_child(Namespaces::empty(), || {
        credentials::setgroups(&[]).unwrap();
        credentials::setresgid(65_534).unwrap();
        credentials::setresuid(65_534).unwrap();
        forgeone_sys::process::set_dumpable(true).unwrap();
        bundle.on_all_kernels(|_, entered| {
            std_fs::write("/dev/null", "x").unwrap();
            assert_eq!(std_fs::metadata("/dev/null").unwrap().rdev(), 0x103);
            assert_eq!(std_fs::read_dir("/etc").unwrap().count(), 0);
            assert!(std_fs::write("/proc/sys/kernel/domainname", "x").is_err());
            assert_eq!(mount_at(&mounts(entered), "/sys").fstype, "sysfs");
            std_fs::write("/data/new", "x").unwrap();
            assert_eq!(std_fs::metadata("/data/new").unwrap().uid(), 0);
            std_fs::remove_file("/data/new").unwrap();
        });
    });
}
