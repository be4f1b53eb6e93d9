//! What broke other runtimes: the tree is hostile, and the host stays unharmed.

use super::roots::MOUNTS;
use super::support::{Bundle, KERNELS, Kernel, in_child, mount_at, mounts, nobody_idmaps, parse_mounts};
use forgeone_runtime::fs as rootfs;
use forgeone_sys::process::Namespaces;
use forgeone_sys::{AsFd, Errno, OwnedFd, fs, process, pty};
use std::fs as std_fs;
use std::os::unix::fs::{FileTypeExt, symlink};
use std::path::Path;

/// CVE-2026-41579: `/dev` is a link; devices and links are made inside, whatever it says.
pub(crate) fn dev_as_a_link_stays_inside() {
    for kernel in KERNELS {
        for (target, inside) in [
            ("/etc", "etc"),
            ("../../../../../../etc", "etc"),
            ("chain", "chained"),
            ("/tmp/new/dev", "tmp/new/dev"),
            ("@/outside", ""),
        ] {
            for mounted in [false, true] {
                let parts = if mounted { MOUNTS } else { "%mounts%:[]" };
                let mut bundle = Bundle::new(parts);
                let outside = bundle.path("outside");
                std_fs::create_dir(&outside).unwrap();
                std_fs::remove_dir(bundle.inside("dev")).unwrap();
                let target = target.replace('@', bundle.path("").to_str().unwrap().trim_end_matches('/'));
                symlink(&target, bundle.inside("dev")).unwrap();
                symlink("/chained", bundle.inside("chain")).unwrap();
                let host = std_fs::read_dir("/etc").unwrap().count();
                bundle.kernel = kernel;
                bundle.run(|entered| {
                    let null = std_fs::symlink_metadata(Path::new("/dev").join("null")).unwrap();
                    assert!(null.file_type().is_char_device());
                    assert_eq!(std_fs::read_link("/dev/ptmx").unwrap(), Path::new("pts/ptmx"));
                    if mounted && !inside.is_empty() {
                        assert_eq!(mount_at(&mounts(entered), &format!("/{inside}")).fstype, "tmpfs");
                    }
                });
                assert_eq!(std_fs::read_dir(&outside).unwrap().count(), 0, "{target}");
                assert_eq!(std_fs::read_dir("/etc").unwrap().count(), host, "{target}");
            }
        }
    }
}

/// CVE-2019-19921: what is to be `/proc` or `/sys` is behind a link.
pub(crate) fn proc_and_sys_behind_links_are_refused() {
    for kernel in KERNELS {
        for (name, fstype) in [("proc", "proc"), ("sys", "sysfs")] {
            for target in ["/etc", "etc", "/nowhere", "../../etc"] {
                let mut bundle =
                    Bundle::new(&format!("%mounts%:[{{%destination%:%/{name}%,%type%:%{fstype}%}}]"));
                std_fs::remove_dir(bundle.inside(name)).unwrap();
                symlink(target, bundle.inside(name)).unwrap();
                bundle.kernel = kernel;
                let e = bundle.failure();
                assert!(e.starts_with(&format!("mounts[0] \"/{name}\" ({fstype}): ")), "{e}");
                assert!(e.contains("ELOOP"), "{kernel:?} {target}: {e}");
                assert!(!bundle.inside("nowhere").exists());
            }
        }
    }
}

/// CVE-2019-16884 and its kin: a destination that leads into `/proc`.
pub(crate) fn links_into_proc_are_refused() {
    for kernel in KERNELS {
        for (target, cause) in [
            ("/proc/sys", "leads into /proc"),
            ("/proc", "leads into /proc"),
            ("/proc/self/attr", "leads into /proc"),
            ("../../proc/self/status", "leads into /proc"),
            ("/proc/self/fd/0", "ELOOP"),
            ("/proc/self/root/etc", "ELOOP"),
            ("/proc/self/cwd", "ELOOP"),
        ] {
            let source = if target.ends_with("status") { "@/file" } else { "@/dir" };
            let mut bundle = Bundle::new(&format!(
                "%mounts%:[{{%destination%:%/proc%,%type%:%proc%}},
                  {{%destination%:%/way%,%source%:%{source}%,%options%:[%bind%]}}]"
            ));
            std_fs::create_dir(bundle.path("dir")).unwrap();
            std_fs::write(bundle.path("file"), "").unwrap();
            symlink(target, bundle.inside("way")).unwrap();
            bundle.kernel = kernel;
            let e = bundle.failure();
            assert!(e.starts_with("mounts[1] \"/way\"") && e.contains(cause), "{kernel:?} {target}: {e}");
        }
    }
    // A file that may be covered, by a way that is straight; and a bind that isn't a procfs.
    let mut bundle = Bundle::new(
        "%mounts%:[{%destination%:%/proc%,%type%:%proc%},
          {%destination%:%/proc/uptime%,%source%:%@/file%,%options%:[%bind%]}]",
    );
    std_fs::write(bundle.path("file"), "forever").unwrap();
    bundle.on_all_kernels(|_, _| assert_eq!(std_fs::read("/proc/uptime").unwrap(), b"forever"));
    bundle.configure("%mounts%:[{%destination%:%/proc%,%source%:%@/rootfs%,%options%:[%bind%]}]");
    for kernel in KERNELS {
        bundle.kernel = kernel;
        let e = bundle.failure();
        assert!(e.contains("only a proc file system can be mounted on /proc"), "{e}");
    }
    bundle.configure("%mounts%:[{%destination%:%/proc%,%source%:%/proc%,%options%:[%rbind%]}]");
    bundle.on_all_kernels(|_, _| assert!(Path::new("/proc/version").exists()));
}

/// CVE-2025-31133: the image's `/dev/null` is a link to what is to be masked, or anything else.
pub(crate) fn a_false_null_masks_nothing() {
    let linux = "%linux%:{%namespaces%:[{%type%:%mount%}],%maskedPaths%:[%/secret%]}";
    // The host's /dev is used, so no devices are made.
    let parts = format!("%mounts%:[{{%destination%:%/dev%,%source%:%@/fake%,%options%:[%bind%]}}],{linux}");
    for kernel in KERNELS {
        for case in ["file", "link", "device", "none"] {
            let mut bundle = Bundle::new(&parts);
            let null = bundle.path("fake/null");
            std_fs::create_dir(bundle.path("fake")).unwrap();
            std_fs::write(bundle.inside("secret"), "secret").unwrap();
            match case {
                "file" => std_fs::write(&null, "").unwrap(),
                "link" => symlink("/secret", &null).unwrap(),
                "device" => {
                    let kind = fs::FileType::CharacterDevice;
                    let dir = fs::open(bundle.path("fake"), fs::OFlags::PATH, 0.into()).unwrap();
                    fs::mknodat(dir, "null", kind, 0o666, 1, 5).unwrap();
                }
                _ => {}
            }
            bundle.kernel = kernel;
            let e = bundle.failure();
            let cause = if case == "none" { "ENOENT" } else { "is not the device 1:3" };
            assert!(e.starts_with("linux.maskedPaths: \"/secret\": ") && e.contains(cause), "{case}: {e}");
        }
    }
}

/// CVE-2026-88265: something else stands where a device is to be.
pub(crate) fn a_false_device_is_refused() {
    for user in [false, true] {
        for case in ["file", "link", "device", "directory"] {
            let mut bundle = Bundle::new("%mounts%:[]");
            let null = bundle.inside("dev/null");
            std_fs::write(bundle.path("target"), "host").unwrap();
            match case {
                "file" => std_fs::write(&null, "").unwrap(),
                "link" => symlink(bundle.path("target"), &null).unwrap(),
                "directory" => std_fs::create_dir(&null).unwrap(),
                _ => {
                    let dir = fs::open(bundle.inside("dev"), fs::OFlags::PATH, 0.into()).unwrap();
                    fs::mknodat(dir, "null", fs::FileType::CharacterDevice, 0o666, 1, 5).unwrap();
                }
            }
            if user {
                bundle.namespaces |= Namespaces::USER;
                bundle.options.user_namespace = true;
                super::users::give_to_root(&bundle);
                if matches!(case, "file" | "device") {
                    // Covered by the real one.
                    bundle.run(|_| {
                        let rdev = std::os::unix::fs::MetadataExt::rdev;
                        let number = rdev(&std_fs::metadata("/dev/null").unwrap());
                        assert_eq!((fs::major(number), fs::minor(number)), (1, 3));
                    });
                    continue;
                }
            }
            let e = bundle.failure();
            assert!(e.starts_with("device /dev/null: ") && e.contains("EEXIST"), "{user} {case}: {e}");
            assert_eq!(std_fs::read(bundle.path("target")).unwrap(), b"host");
        }
    }
}

/// CVE-2025-52565: `/dev/console` is a link.
pub(crate) fn a_false_console_is_refused() {
    for kernel in KERNELS {
        for target in ["/etc/passwd", "/proc/self/status", "../../../etc"] {
            let mut bundle = Bundle::new(
                "%mounts%:[{%destination%:%/dev/pts%,%type%:%devpts%,%options%:[%newinstance%,%ptmxmode=0666%]}]",
            );
            symlink(target, bundle.inside("dev/console")).unwrap();
            bundle.kernel = kernel;
            bundle.run_with(
                |rootfs| {
                    let pty = pty::open_pty(rootfs.devpts()?)?;
                    rootfs.console(pty.peer.as_fd())
                },
                |entered| {
                    let e = entered.unwrap_err().to_string();
                    assert!(e.starts_with("/dev/console: ") && e.contains("is a link or a directory"), "{e}");
                },
            );
        }
    }
}

/// A process that is killed in the end.
struct Killed(i32);

impl Drop for Killed {
    fn drop(&mut self) {
        process::kill(self.0, 9).unwrap();
        process::wait(self.0).unwrap();
    }
}

/// `swap` is a directory, a link to the host's path of a directory, a link that climbs out; again and again.
fn swap_for_ever(volume: &OwnedFd, outside: &Path) -> ! {
    for stray in 0_u64.. {
        let links: [&Path; 3] = [outside, Path::new("../../outside"), Path::new("../../../../../../../tmp")];
        let _ = fs::symlinkat(links[stray as usize % 3], volume, "swap");
        let _ = fs::unlinkat(volume, "swap", fs::AtFlags::empty());
        let _ = fs::mkdirat(volume, "swap", 0o755);
        if fs::unlinkat(volume, "swap", fs::AtFlags::REMOVEDIR).is_err() {
            let _ = fs::renameat(volume, "swap", volume, format!("stray{stray}"));
        }
    }
    process::exit(0)
}

/// CVE-2021-30465 and its kin: another container swaps directories and links in a volume that both have.
pub(crate) fn a_shared_volume_that_is_swapped_while_mounting() {
    for kernel in [Kernel::New, Kernel::Without(Errno::NOSYS)] {
        let mut bundle = Bundle::new(
            "%mounts%:[{%destination%:%/data%,%source%:%@/volume%,%options%:[%bind%]},
              {%destination%:%/data/swap/inner%,%type%:%tmpfs%},
              {%destination%:%/data/swap/file%,%source%:%@/file%,%options%:[%bind%,%ro%]},
              {%destination%:%/data/swap/made/deep%,%type%:%tmpfs%}]",
        );
        bundle.kernel = kernel;
        let outside = bundle.path("outside");
        for dir in ["volume", "outside"] {
            std_fs::create_dir_all(bundle.path(dir)).unwrap();
        }
        std_fs::write(bundle.path("file"), "file").unwrap();
        let volume = fs::open(bundle.path("volume"), fs::OFlags::PATH, 0.into()).unwrap();
        let swapper = match process::clone(&process::CloneArgs::default()).unwrap() {
            process::Forked::Parent(child) => Killed(child.pid),
            process::Forked::Child => swap_for_ever(&volume, &outside),
        };
        let plan = bundle.plan();
        // By their places: a mount of another test goes from here when that one removes its mount point.
        let before: Vec<String> = parse_mounts(&std_fs::read_to_string("/proc/self/mountinfo").unwrap())
            .into_iter()
            .map(|mount| mount.point)
            .collect();
        let mut built = 0;
        for _ in 0..150 {
            let prepared = rootfs::prepare(&plan).unwrap();
            let (reader, writer) = fs::pipe().unwrap();
            in_child(Namespaces::MOUNT, || {
                bundle.kernel.become_it();
                if let Ok(rootfs) = rootfs::build(&plan, prepared, &bundle.cgroups, &nobody_idmaps) {
                    // Wherever they went: inside.
                    let all = parse_mounts(&std_fs::read_to_string("/proc/self/mountinfo").unwrap());
                    let strange = all.iter().filter(|m| {
                        !before.contains(&m.point) && !Path::new(&m.point).starts_with(&plan.path)
                    });
                    assert_eq!(strange.count(), 0, "{all:#?}");
                    rootfs.finish().unwrap();
                    fs::write_all(&writer, b"1").unwrap();
                }
            });
            drop(writer);
            built += fs::read_up_to(reader, 1).unwrap().len();
            assert_eq!(std_fs::read_dir(&outside).unwrap().count(), 0, "made something outside");
        }
        eprintln!("{kernel:?}: {built} of 150 were built");
        // How many depends on who runs when; that it can be built at all is seen when nobody swaps.
        drop(swapper);
        std_fs::remove_dir_all(bundle.path("volume")).unwrap();
        std_fs::create_dir(bundle.path("volume")).unwrap();
        let prepared = rootfs::prepare(&plan).unwrap();
        in_child(Namespaces::MOUNT, || {
            bundle.kernel.become_it();
            rootfs::build(&plan, prepared, &bundle.cgroups, &nobody_idmaps).unwrap();
        });
    }
}

pub(crate) fn a_destination_that_is_the_root() {
    for kernel in KERNELS {
        for target in ["/", "..", "../..", "/etc/.."] {
            let mut bundle = Bundle::new("%mounts%:[{%destination%:%/way%,%type%:%tmpfs%}]");
            symlink(target, bundle.inside("way")).unwrap();
            bundle.kernel = kernel;
            let e = bundle.failure();
            assert!(e.contains("leads to the root itself"), "{kernel:?} {target}: {e}");
        }
    }

    let text = std_fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!text.contains(&testkit::names::process_prefix()), "{text}");
}
