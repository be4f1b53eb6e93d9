//! Mounts and their options.

use super::roots::{libc_erofs, refusal};
use super::support::{Bundle, KERNELS, in_child, mount_at, mounts, own_host, tmpfs};
use forgeone_sys::mount::{MountFlags, UnmountFlags, umount};
use forgeone_sys::process::Namespaces;
use std::fs as std_fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

fn one(destination: &str, kind: &str, source: &str, options: &str) -> String {
    let options = options.split_whitespace().map(|o| format!("%{o}%")).collect::<Vec<_>>().join(",");
    format!("{{%destination%:%{destination}%,%type%:%{kind}%,%source%:%{source}%,%options%:[{options}]}}")
}

fn all(mounts: &[String]) -> String {
    format!("%mounts%:[{}]", mounts.join(","))
}

pub(crate) fn options_are_what_mountinfo_shows() {
    let cases = [
        ("", "rw,relatime"),
        ("defaults rw suid dev exec", "rw,relatime"),
        ("nosuid nodev noexec", "rw,nosuid,nodev,noexec,relatime"),
        ("noatime", "rw,noatime"),
        ("strictatime", "rw"),
        ("noatime atime", "rw,relatime"),
        ("nodiratime", "rw,nodiratime,relatime"),
        ("nodiratime noatime", "rw,noatime,nodiratime"),
        ("nosuid suid", "rw,relatime"),
        ("nosymfollow", "rw,relatime,nosymfollow"),
        ("rro rnosuid", "ro,nosuid,relatime"),
        ("ro", "ro,relatime"),
    ];
    let tmpfs = |(i, (options, _)): (usize, &(&str, &str))| one(&format!("/t{i}"), "tmpfs", "t", options);
    let mut bundle = Bundle::new(&all(&cases.iter().enumerate().map(tmpfs).collect::<Vec<_>>()));
    bundle.on_all_kernels(|_, entered| {
        for (i, (options, shown)) in cases.iter().enumerate() {
            assert_eq!(mount_at(&mounts(entered), &format!("/t{i}")).options, *shown, "{options}");
        }
    });
    let bind = |(i, (options, _)): (usize, &(&str, &str))| {
        one(&format!("/t{i}"), "none", "@/source", &format!("bind {options}"))
    };
    bundle.configure(&all(&cases.iter().enumerate().map(bind).collect::<Vec<_>>()));
    std_fs::create_dir(bundle.path("source")).unwrap();
    bundle.on_all_kernels(|_, entered| {
        for (i, (options, shown)) in cases.iter().enumerate() {
            assert_eq!(mount_at(&mounts(entered), &format!("/t{i}")).options, *shown, "bind {options}");
        }
    });
    // Of the file system: fsconfig's words, and those that only mount(2) has.
    let cases = [
        ("sync dirsync lazytime", "rw,sync,dirsync,lazytime"),
        ("silent size=8k", "rw,size=8k"),
        ("ro", "ro"),
    ];
    let ramfs = |(i, (options, _)): (usize, &(&str, &str))| {
        one(&format!("/s{i}"), if i == 1 { "tmpfs" } else { "ramfs" }, "t", options)
    };
    bundle.configure(&all(&cases.iter().enumerate().map(ramfs).collect::<Vec<_>>()));
    bundle.on_all_kernels(|_, entered| {
        for (i, (options, shown)) in cases.iter().enumerate() {
            let got = mount_at(&mounts(entered), &format!("/s{i}")).superblock;
            assert_eq!(got.replace(",inode64", "").replace(",mode=755", ""), *shown, "{options}");
        }
    });
}

pub(crate) fn binds_keep_their_flags_until_one_is_named() {
    in_child(Namespaces::empty(), || {
        own_host();
        let cases = [
            ("bind", "rw,nosuid,noexec,noatime"),
            ("bind ro", "ro,noatime"),
            ("bind exec nodev", "rw,nodev,noatime"),
            ("bind relatime", "rw,relatime"),
            ("bind strictatime suid", "rw"),
        ];
        let bind =
            |(i, (options, _)): (usize, &(&str, &str))| one(&format!("/t{i}"), "", "@/source", options);
        let mut bundle = Bundle::new(&all(&cases.iter().enumerate().map(bind).collect::<Vec<_>>()));
        tmpfs(&bundle.path("source"), MountFlags::NOSUID | MountFlags::NOEXEC | MountFlags::NOATIME);
        bundle.on_all_kernels(|_, entered| {
            for (i, (options, shown)) in cases.iter().enumerate() {
                assert_eq!(mount_at(&mounts(entered), &format!("/t{i}")).options, *shown, "{options}");
            }
        });
        umount(bundle.path("source"), UnmountFlags::DETACH).unwrap();
    });
}

pub(crate) fn recursive_options_reach_below() {
    in_child(Namespaces::empty(), || {
        own_host();
        let mut bundle = Bundle::new(&all(&[
            one("/tree", "", "@/source", "rbind rro nosuid"),
            one("/top", "", "@/source", "rbind ro rnoatime"),
            one("/alone", "", "@/source", "bind rro"),
        ]));
        tmpfs(&bundle.path("source"), MountFlags::empty());
        tmpfs(&bundle.path("source/below"), MountFlags::empty());
        bundle.run(|entered| {
            let all = mounts(entered);
            for (point, options) in [
                ("/tree", "ro,nosuid,relatime"),
                ("/tree/below", "ro,relatime"),
                ("/top", "ro,noatime"),
                ("/top/below", "rw,noatime"),
                ("/alone", "ro,relatime"),
            ] {
                assert_eq!(mount_at(&all, point).options, options, "{point}");
            }
            assert!(!all.iter().any(|m| m.point == "/alone/below"));
        });
        // Without mount_setattr(2) it is refused, not ignored.
        for kernel in KERNELS.into_iter().filter(|kernel| !kernel.has_setattr()) {
            bundle.kernel = kernel;
            let e = bundle.failure();
            assert!(e.starts_with("mounts[0] \"/tree\" (bind of ") && e.contains("Linux 5.12"), "{e}");
        }
        umount(bundle.path("source"), UnmountFlags::DETACH).unwrap();
    });
}

pub(crate) fn files_and_missing_places() {
    for kernel in KERNELS {
        let mut bundle = Bundle::new(&all(&[
            one("/new/deep/dir", "", "@/source", "bind"),
            one("/new/deep/file", "", "@/source/file", "bind ro"),
            one("/etc/conf", "", "@/source/file", "bind"),
            one("/new/deep/dir/inner", "tmpfs", "t", ""),
            one("relative", "tmpfs", "t", ""),
            one("/new/deep/dir/inner", "", "source", "bind"),
        ]));
        std_fs::create_dir(bundle.path("source")).unwrap();
        std_fs::write(bundle.path("source/file"), "content").unwrap();
        symlink("../../run/conf", bundle.inside("etc/conf")).unwrap();
        bundle.kernel = kernel;
        bundle.run(|entered| {
            assert_eq!(std_fs::read("/new/deep/file").unwrap(), b"content");
            assert_eq!(refusal(std_fs::write("/new/deep/file", "x")), libc_erofs());
            assert_eq!(std_fs::read("/run/conf").unwrap(), b"content");
            assert_eq!(std_fs::read("/new/deep/dir/inner/file").unwrap(), b"content");
            assert_eq!(mount_at(&mounts(entered), "/relative").fstype, "tmpfs");
            for dir in ["/new", "/new/deep"] {
                assert_eq!(std_fs::metadata(dir).unwrap().mode() & 0o7777, 0o755, "{dir}");
            }
        });
        assert_eq!(std_fs::read(bundle.inside("run/conf")).unwrap(), b"");
    }
}

pub(crate) fn tmpfs_takes_mode_and_content() {
    let mut bundle = Bundle::new(&all(&[
        one("/old", "tmpfs", "t", ""),
        one("/own", "tmpfs", "t", "mode=711"),
        one("/fresh", "tmpfs", "t", ""),
        one("/full", "tmpfs", "t", "tmpcopyup ro nosuid"),
    ]));
    for dir in ["old", "own", "full/sub/empty"] {
        std_fs::create_dir_all(bundle.inside(dir)).unwrap();
        std_fs::set_permissions(bundle.inside(dir), std_fs::Permissions::from_mode(0o2750)).unwrap();
    }
    let large = (0..3_000_000u32).map(|i| i as u8).collect::<Vec<_>>();
    std_fs::write(bundle.inside("full/large"), &large).unwrap();
    std_fs::write(bundle.inside("full/sub/run"), "x").unwrap();
    std::os::unix::fs::chown(bundle.inside("full/sub/run"), Some(7), Some(8)).unwrap();
    std_fs::set_permissions(bundle.inside("full/sub/run"), std_fs::Permissions::from_mode(0o4755)).unwrap();
    symlink("/etc/passwd", bundle.inside("full/link")).unwrap();
    let dir =
        forgeone_sys::fs::open(bundle.inside("full"), forgeone_sys::fs::OFlags::PATH, 0.into()).unwrap();
    forgeone_sys::fs::mknodat(&dir, "fifo", forgeone_sys::fs::FileType::Fifo, 0o640, 0, 0).unwrap();
    bundle.on_all_kernels(|_, entered| {
        let mode = |path: &str| std_fs::symlink_metadata(path).unwrap().mode() & 0o7777;
        assert_eq!((mode("/old"), mode("/own"), mode("/fresh")), (0o2750, 0o711, 0o1777));
        // Not there for the next kernel.
        umount("/fresh", UnmountFlags::DETACH).unwrap();
        std_fs::remove_dir("/fresh").unwrap();
        assert_eq!(std_fs::read("/full/large").unwrap(), large);
        let run = std_fs::metadata("/full/sub/run").unwrap();
        assert_eq!((run.mode() & 0o7777, run.uid(), run.gid()), (0o4755, 7, 8));
        assert_eq!((mode("/full/sub/empty"), mode("/full/fifo")), (0o2750, 0o640));
        assert_eq!(std_fs::read_link("/full/link").unwrap(), Path::new("/etc/passwd"));
        assert_eq!(refusal(std_fs::write("/full/new", "x")), libc_erofs());
        let mount = mount_at(&mounts(entered), "/full");
        assert_eq!((mount.fstype.as_str(), mount.options.as_str()), ("tmpfs", "ro,nosuid,relatime"));
    });
    // What doesn't fit is an error, not half a copy.
    bundle.configure(&all(&[one("/full", "tmpfs", "t", "tmpcopyup size=1m")]));
    for kernel in KERNELS {
        bundle.kernel = kernel;
        let e = bundle.failure();
        assert!(e.starts_with("mounts[0] \"/full\" (tmpfs): ") && e.contains("ENOSPC"), "{kernel:?} {e}");
    }
}

pub(crate) fn remount_changes_what_is_there() {
    let mut bundle = Bundle::new(&all(&[
        one("/a", "tmpfs", "t", "nosuid"),
        one("/a", "", "", "remount bind ro nodev"),
        one("/b", "tmpfs", "t", "size=8k"),
        one("/b", "tmpfs", "t", "remount size=16k noexec"),
    ]));
    bundle.on_all_kernels(|_, entered| {
        let all = mounts(entered);
        let a = mount_at(&all, "/a");
        assert_eq!(a.options, "ro,nosuid,nodev,relatime");
        assert!(a.superblock.starts_with("rw"));
        let b = mount_at(&all, "/b");
        assert!(b.options.contains("noexec") && b.superblock.contains("size=16k"), "{b:?}");
        assert_eq!(all.iter().filter(|m| m.point == "/a").count(), 1);
    });
    for (path, cause) in [("/data", "not a mount point"), ("/nowhere", "ENOENT")] {
        bundle.configure(&all(&[one(path, "", "", "remount bind ro")]));
        for kernel in KERNELS {
            bundle.kernel = kernel;
            let e = bundle.failure();
            assert!(e.starts_with(&format!("mounts[0] \"{path}\" (remount): ")) && e.contains(cause), "{e}");
        }
    }
}

pub(crate) fn propagation_words() {
    in_child(Namespaces::empty(), || {
        own_host();
        let cases = [
            ("rbind", "master", "master"),
            ("rbind rprivate", "", ""),
            ("rbind private", "", "master"),
            ("rbind rslave", "master", "master"),
            ("rbind rshared", "shared master", "shared master"),
            ("rbind rprivate shared", "shared", ""),
            ("rbind runbindable", "unbindable", "unbindable"),
        ];
        let bind = |(i, case): (usize, &(&str, &str, &str))| one(&format!("/t{i}"), "", "@/source", case.0);
        let mut bundle = Bundle::new(&all(&cases.iter().enumerate().map(bind).collect::<Vec<_>>()));
        tmpfs(&bundle.path("source"), MountFlags::empty());
        tmpfs(&bundle.path("source/below"), MountFlags::empty());
        bundle.on_all_kernels(|_, entered| {
            for (i, (options, top, below)) in cases.iter().enumerate() {
                let all = mounts(entered);
                assert_eq!(mount_at(&all, &format!("/t{i}")).propagation, *top, "{options}");
                assert_eq!(mount_at(&all, &format!("/t{i}/below")).propagation, *below, "{options}");
            }
        });
        bundle.configure(&all(&[one("/t", "tmpfs", "t", "shared"), one("/u", "tmpfs", "t", "unbindable")]));
        bundle.on_all_kernels(|_, entered| {
            assert_eq!(mount_at(&mounts(entered), "/t").propagation, "shared");
            assert_eq!(mount_at(&mounts(entered), "/u").propagation, "unbindable");
        });
        umount(bundle.path("source"), UnmountFlags::DETACH).unwrap();
    });
}

/// A read-only tmpfs, and a read-only /dev, still get what is mounted or made in them.
pub(crate) fn read_only_comes_last() {
    let mut bundle = Bundle::new(&all(&[
        one("/dev", "tmpfs", "tmpfs", "ro mode=755"),
        one("/dev/pts", "devpts", "devpts", "newinstance"),
        one("/run", "tmpfs", "tmpfs", "ro"),
        one("/run/inner", "tmpfs", "tmpfs", ""),
    ]));
    bundle.on_all_kernels(|_, entered| {
        assert!(Path::new("/dev/null").exists() && Path::new("/dev/ptmx").exists());
        for dir in ["/dev", "/run"] {
            assert_eq!(refusal(std_fs::write(Path::new(dir).join("x"), "")), libc_erofs(), "{dir}");
            assert!(mount_at(&mounts(entered), dir).options.starts_with("ro,"));
        }
        std_fs::write("/run/inner/x", "").unwrap();
        std_fs::write("/dev/null", "x").unwrap();
    });
}

pub(crate) fn failures_name_the_mount() {
    let mut bundle = Bundle::new("%mounts%:[]");
    std_fs::write(bundle.inside("file"), "").unwrap();
    std_fs::write(bundle.path("source"), "").unwrap();
    for (mount, start, cause) in [
        (one("/x", "", "/nowhere/at/all", "bind"), "mounts[0] \"/x\" (bind of /nowhere/at/all): ", "ENOENT"),
        (one("/x", "nosuchfs", "n", ""), "mounts[0] \"/x\" (nosuchfs): ", "ENODEV"),
        (one("/x", "tmpfs", "t", "nosuchoption=1"), "mounts[0] \"/x\" (tmpfs): ", "EINVAL"),
        (one("/file", "tmpfs", "t", ""), "mounts[0] \"/file\" (tmpfs): ", "not a directory"),
        (one("/file/x", "tmpfs", "t", ""), "mounts[0] \"/file/x\" (tmpfs): ", "ENOTDIR"),
        (one("/data", "", "@/source", "bind"), "mounts[0] \"/data\" (bind of ", "is a directory"),
        (one("/file", "", "@/rootfs", "bind"), "mounts[0] \"/file\" (bind of ", "not a directory"),
    ] {
        bundle.configure(&all(&[mount]));
        for kernel in KERNELS {
            bundle.kernel = kernel;
            let e = bundle.failure();
            assert!(e.starts_with(start) && e.contains(cause), "{kernel:?}: {e}");
        }
    }
}

/// Values that fsconfig(2) can't carry go through mount(2), on new kernels as well.
pub(crate) fn options_for_mount2_alone() {
    let mut bundle = Bundle::new("%mounts%:[]");
    let lower = (0..12).map(|i| format!("{}/layer-with-a-long-name-{i}", bundle.path("").display()));
    let lower = lower.collect::<Vec<_>>();
    for (i, dir) in lower.iter().enumerate() {
        std_fs::create_dir(dir).unwrap();
        std_fs::write(Path::new(dir).join(format!("from{i}")), "").unwrap();
    }
    let option = format!("lowerdir={}", lower.join(":"));
    assert!(option.len() > 256);
    bundle.configure(&all(&[one("/over", "overlay", "overlay", &format!("{option} ro nosuid"))]));
    bundle.on_all_kernels(|_, entered| {
        assert_eq!(std_fs::read_dir("/over").unwrap().count(), 12);
        assert_eq!(mount_at(&mounts(entered), "/over").options, "ro,nosuid,relatime");
    });
}
