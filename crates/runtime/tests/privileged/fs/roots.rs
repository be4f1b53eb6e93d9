//! Whole roots: what is there, what isn't, and what the host sees.

use super::support::{
    Bundle, KERNELS, Mount, in_child, mount_at, mounts, nobody_idmaps, own_host, parse_mounts,
};
use forgeone_runtime::fs::{self as rootfs, CgroupView};
use forgeone_sys::process::Namespaces;
use forgeone_sys::{AsFd, fs, mount, process, pty};
use std::fs as std_fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::Path;

/// As runc's `spec` writes them, without cgroups.
pub(crate) const MOUNTS: &str = "%mounts%:[
  {%destination%:%/proc%,%type%:%proc%,%source%:%proc%},
  {%destination%:%/dev%,%type%:%tmpfs%,%source%:%tmpfs%,%options%:[%nosuid%,%strictatime%,%mode=755%,%size=65536k%]},
  {%destination%:%/dev/pts%,%type%:%devpts%,%source%:%devpts%,
   %options%:[%nosuid%,%noexec%,%newinstance%,%ptmxmode=0666%,%mode=0620%,%gid=5%]},
  {%destination%:%/dev/shm%,%type%:%tmpfs%,%source%:%shm%,
   %options%:[%nosuid%,%noexec%,%nodev%,%mode=1777%,%size=65536k%]},
  {%destination%:%/dev/mqueue%,%type%:%mqueue%,%source%:%mqueue%,%options%:[%nosuid%,%noexec%,%nodev%]},
  {%destination%:%/sys%,%type%:%sysfs%,%source%:%sysfs%,%options%:[%nosuid%,%noexec%,%nodev%,%ro%]}]";

const LINUX: &str = "%linux%:{%namespaces%:[{%type%:%mount%}],
  %maskedPaths%:[%/proc/acpi%,%/proc/kcore%,%/proc/keys%,%/proc/timer_list%,%/sys/firmware%,%/nowhere%],
  %readonlyPaths%:[%/proc/bus%,%/proc/fs%,%/proc/irq%,%/proc/sys%,%/proc/sysrq-trigger%,%/nowhere%]}";

fn parts(more: &str) -> String {
    format!("{MOUNTS},{more}")
}

pub(crate) fn the_default_bundle() {
    let mut bundle = Bundle::new(&parts(LINUX));
    bundle.on_all_kernels(|_, entered| {
        let all = mounts(entered);
        for (point, fstype, options) in [
            ("/", "", "rw,relatime"),
            ("/proc", "proc", "rw,relatime"),
            ("/dev", "tmpfs", "rw,nosuid"),
            ("/dev/pts", "devpts", "rw,nosuid,noexec,relatime"),
            ("/dev/shm", "tmpfs", "rw,nosuid,nodev,noexec,relatime"),
            ("/dev/mqueue", "mqueue", "rw,nosuid,nodev,noexec,relatime"),
            ("/sys", "sysfs", "ro,nosuid,nodev,noexec,relatime"),
        ] {
            let mount = mount_at(&all, point);
            assert_eq!(mount.options, options, "{point}");
            assert!(fstype.is_empty() || mount.fstype == fstype, "{point}: {mount:?}");
        }
        assert_eq!(mount_at(&all, "/dev/shm").source, "shm");
        assert!(mount_at(&all, "/dev").superblock.contains("size=65536k,mode=755"), "{all:?}");
        assert!(mount_at(&all, "/dev/pts").superblock.contains("gid=5,mode=620,ptmxmode=666"), "{all:?}");
        // Nothing of the host is left.
        assert!(all.iter().all(|m| m.point == "/" || m.point.starts_with(['/'])));
        assert_eq!(all.iter().filter(|m| m.point == "/").count(), 1, "{all:#?}");
        assert!(!Path::new("/home").exists() && !Path::new("/root").exists());
        assert_eq!(process::getcwd().unwrap(), Path::new("/"));
        default_devices();
        // Of the new PID namespace.
        assert_eq!(std_fs::read_link("/proc/self").unwrap(), Path::new("1"));
    });
}

/// Of what the runtime and init opened, nothing leads back to the host.
pub(crate) fn nothing_is_left_open() {
    let open = || std_fs::read_dir("/proc/self/fd").unwrap().count();
    let mut bundle = Bundle::new(&parts(LINUX));
    for kernel in KERNELS {
        bundle.kernel = kernel;
        let plan = bundle.plan();
        let before = open();
        let prepared = rootfs::prepare(&plan).unwrap();
        in_child(bundle.namespaces, || {
            kernel.become_it();
            let rootfs = rootfs::build(&plan, prepared, &bundle.cgroups, &nobody_idmaps).unwrap();
            rootfs.finish().unwrap();
            drop(rootfs.enter().unwrap());
            // One of the child's own, by which it waited to be started.
            assert_eq!(open(), before + 1, "{kernel:?}");
        });
    }
}

pub(crate) fn standard_streams() {
    let mut bundle = Bundle::new(&parts("%hostname%:%h%"));
    for kernel in KERNELS {
        bundle.kernel = kernel;
        bundle.run_with(
            |rootfs| {
                let null = rootfs.null()?;
                assert_eq!(fs::read_up_to(&null, 10).unwrap(), b"");
                fs::write_all(&null, b"x").unwrap();
                assert_eq!(rootfs.make_directory("/work//dir").map(drop), Ok(()));
                let e = rootfs.make_directory("/dev/null").unwrap_err().to_string();
                assert_eq!(e, "\"/dev/null\": not a directory");
                Ok(())
            },
            |entered| {
                let entered = entered.unwrap();
                assert!(Path::new("/work/dir").is_dir());
                assert_eq!(rootfs::users::home(entered.root.as_fd(), 0).unwrap(), None);
            },
        );
    }
}

fn default_devices() {
    for (name, number) in [
        ("null", (1, 3)),
        ("zero", (1, 5)),
        ("full", (1, 7)),
        ("random", (1, 8)),
        ("urandom", (1, 9)),
        ("tty", (5, 0)),
    ] {
        let stat = std_fs::symlink_metadata(Path::new("/dev").join(name)).unwrap();
        assert!(stat.file_type().is_char_device(), "{name}");
        assert_eq!((fs::major(stat.rdev()), fs::minor(stat.rdev())), number, "{name}");
        assert_eq!((stat.mode() & 0o7777, stat.uid(), stat.gid()), (0o666, 0, 0), "{name}");
    }
    for (name, target) in [
        ("ptmx", "pts/ptmx"),
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
    ] {
        assert_eq!(std_fs::read_link(Path::new("/dev").join(name)).unwrap(), Path::new(target), "{name}");
    }
    let kcore = std_fs::symlink_metadata("/proc/kcore").is_ok();
    assert_eq!(std_fs::read_link("/dev/core").is_ok(), kcore);
    std_fs::write("/dev/null", "x").unwrap();
    assert!(std_fs::File::open("/dev/ptmx").is_ok());
}

pub(crate) fn devices_have_owner_and_mode() {
    let devices = "%linux%:{%namespaces%:[{%type%:%mount%}],%devices%:[
      {%path%:%/dev/fuse%,%type%:%c%,%major%:10,%minor%:229,%fileMode%:33200,%uid%:7,%gid%:8},
      {%path%:%/dev/net/tun%,%type%:%u%,%major%:10,%minor%:200},
      {%path%:%/dev/null%,%type%:%c%,%major%:1,%minor%:3,%fileMode%:384},
      {%path%:%/srv/disk%,%type%:%b%,%major%:7,%minor%:0,%fileMode%:384},
      {%path%:%/srv/pipe%,%type%:%p%,%fileMode%:438}]}";
    for kernel in KERNELS {
        // Some are on the root itself, and stay there.
        let mut bundle = Bundle::new(&parts(devices));
        bundle.kernel = kernel;
        bundle.run(|_| {
            let look = |path: &str| {
                let stat = std_fs::symlink_metadata(path).unwrap();
                let number = (fs::major(stat.rdev()), fs::minor(stat.rdev()));
                (number, stat.mode() & 0o7777, stat.uid(), stat.gid())
            };
            assert_eq!(look("/dev/fuse"), ((10, 229), 0o660, 7, 8));
            assert_eq!(look("/dev/net/tun"), ((10, 200), 0o666, 0, 0));
            assert_eq!(look("/dev/null"), ((1, 3), 0o600, 0, 0));
            assert_eq!(look("/srv/disk"), ((7, 0), 0o600, 0, 0));
            let is = |path: &str| std_fs::symlink_metadata(path).unwrap().file_type();
            assert!(is("/srv/disk").is_block_device() && is("/srv/pipe").is_fifo());
            assert_eq!(look("/srv/pipe").1, 0o666);
        });
        // A second time, with what is there already.
        bundle.run(|_| assert!(Path::new("/srv/disk").exists()));
    }
}

pub(crate) fn dev_of_the_host_is_left_alone() {
    let mut bundle =
        Bundle::new("%mounts%:[{%destination%:%/dev%,%source%:%@/hostdev%,%options%:[%rbind%,%rprivate%]}]");
    std_fs::create_dir(bundle.path("hostdev")).unwrap();
    bundle.on_all_kernels(|_, _| assert_eq!(std_fs::read_dir("/dev").unwrap().count(), 0));
}

pub(crate) fn masked_and_read_only_paths() {
    let linux = "%linux%:{%namespaces%:[{%type%:%mount%}],
      %maskedPaths%:[%/proc/version%,%/secret%,%/secret/%,%/hidden%,%/alias%,%/hidden2%,%/etc/none/x%],
      %readonlyPaths%:[%/proc/sys%,%/data%,%/etc/file%,%/link%]}";
    let mut bundle = Bundle::new(&parts(linux));
    std_fs::write(bundle.inside("secret"), "secret").unwrap();
    for dir in ["hidden/below", "hidden2", "aliased", "linked"] {
        std_fs::create_dir_all(bundle.inside(dir)).unwrap();
    }
    std_fs::write(bundle.inside("hidden/below/file"), "secret").unwrap();
    std_fs::write(bundle.inside("aliased/file"), "secret").unwrap();
    std_fs::write(bundle.inside("etc/file"), "text").unwrap();
    std::os::unix::fs::symlink("/aliased", bundle.inside("alias")).unwrap();
    std::os::unix::fs::symlink("../../../linked", bundle.inside("link")).unwrap();
    bundle.on_all_kernels(|_, entered| {
        let null = std_fs::metadata("/dev/null").unwrap().rdev();
        for file in ["/proc/version", "/secret"] {
            assert_eq!(std_fs::metadata(file).unwrap().rdev(), null, "{file}");
        }
        assert_eq!(std_fs::read("/secret").unwrap(), b"");
        for dir in ["/hidden", "/hidden2", "/aliased"] {
            assert_eq!(std_fs::read_dir(dir).unwrap().count(), 0, "{dir}");
            assert_eq!(refusal(std_fs::write(Path::new(dir).join("new"), "")), libc_erofs(), "{dir}");
            let mount = mount_at(&mounts(entered), dir);
            assert!(mount.options.starts_with("ro,") && mount.superblock.starts_with("ro,"), "{mount:?}");
        }
        for path in ["/data/new", "/linked/new", "/proc/sys/kernel/domainname", "/etc/file"] {
            assert_eq!(refusal(std_fs::write(path, "x")), libc_erofs(), "{path}");
        }
        assert_eq!(std_fs::read("/etc/file").unwrap(), b"text");
        std_fs::write("/etc/other", "x").unwrap();
        // Each is masked once.
        assert_eq!(mounts(entered).iter().filter(|m| m.point == "/secret").count(), 1);
    });
}

pub(crate) fn refusal(result: std::io::Result<()>) -> i32 {
    result.unwrap_err().raw_os_error().unwrap()
}

pub(crate) fn libc_erofs() -> i32 {
    forgeone_sys::Errno::ROFS.raw_os_error()
}

pub(crate) fn read_only_root() {
    let mut bundle = Bundle::new(&parts("%hostname%:%h%"));
    bundle.spec = bundle.spec.replace(r#""path":"rootfs""#, r#""path":"rootfs","readonly":true"#);
    bundle.on_all_kernels(|_, entered| {
        assert_eq!(refusal(std_fs::write("/new", "x")), libc_erofs());
        std_fs::write("/dev/new", "x").unwrap();
        assert_eq!(mount_at(&mounts(entered), "/").options, "ro,relatime");
    });
    // The host's is not.
    std_fs::write(bundle.inside("new"), "x").unwrap();
}

pub(crate) fn console_is_the_terminal() {
    let mut bundle = Bundle::new(&parts("%hostname%:%h%"));
    for kernel in KERNELS {
        bundle.kernel = kernel;
        let terminal = std::cell::RefCell::new(None);
        bundle.run_with(
            |rootfs| {
                let pty = pty::open_pty(rootfs.devpts()?)?;
                rootfs.console(pty.peer.as_fd())?;
                *terminal.borrow_mut() = Some(pty);
                Ok(())
            },
            |entered| {
                let entered = entered.unwrap();
                let pty = terminal.borrow_mut().take().unwrap();
                let mount = mount_at(&mounts(&entered), "/dev/console");
                assert_eq!((mount.fstype.as_str(), mount.root.as_str()), ("devpts", "/0"));
                let console = std_fs::OpenOptions::new().write(true).open("/dev/console").unwrap();
                fs::write_all(&console, b"out\n").unwrap();
                assert_eq!(fs::read_up_to(&pty.master, 5).unwrap(), b"out\r\n");
            },
        );
    }
    // Where there is no devpts there is no terminal.
    let bare = Bundle::new("%mounts%:[]");
    bare.run_with(
        |rootfs| rootfs.devpts().map(drop),
        |entered| {
            let text = "process.terminal: needs a devpts mounted at /dev/pts";
            assert_eq!(entered.unwrap_err().to_string(), text);
        },
    );
}

pub(crate) fn no_pivot() {
    let mut bundle = Bundle::new(&parts(LINUX));
    bundle.options.no_pivot = true;
    bundle.on_all_kernels(|_, entered| {
        assert!(!Path::new("/home").exists() && Path::new("/dev/null").exists());
        assert_eq!(process::getcwd().unwrap(), Path::new("/"));
        // Only the container's own are left.
        let text = String::from_utf8(entered.procfs.read("self/mountinfo", 1 << 20).unwrap()).unwrap();
        let kernel = |m: &&Mount| matches!(m.fstype.as_str(), "proc" | "sysfs") && m.root == "/";
        let points = parse_mounts(&text).iter().filter(kernel).map(|m| m.point.clone()).collect::<Vec<_>>();
        assert_eq!(points, ["/proc", "/sys"]);
    });
}

pub(crate) fn propagation_of_the_root() {
    in_child(Namespaces::empty(), || {
        own_host();
        for (word, shown) in [
            ("", "master"),
            ("slave", "master"),
            ("rslave", "master"),
            ("private", ""),
            ("rprivate", ""),
            ("shared", "shared"),
            ("rshared", "shared"),
            ("unbindable", "unbindable"),
            ("runbindable", "unbindable"),
        ] {
            let linux = format!("%linux%:{{%namespaces%:[{{%type%:%mount%}}],%rootfsPropagation%:%{word}%}}");
            let mut bundle = Bundle::new(&parts(&linux));
            let before = host_mounts();
            bundle.on_all_kernels(|_, entered| {
                assert_eq!(mount_at(&mounts(entered), "/").propagation, shown, "{word}");
                std_fs::create_dir_all("/etc/deep").unwrap();
                super::support::tmpfs(Path::new("/etc/deep"), mount::MountFlags::empty());
            });
            assert_eq!(host_mounts(), before, "{word}");
        }
    });
}

/// Without what other tests have mounted: it goes when they remove its mount point, from here as well.
fn host_mounts() -> String {
    let text = std_fs::read_to_string("/proc/self/mountinfo").unwrap();
    let own = testkit::names::process_prefix();
    let keep = |line: &&str| !line.contains(testkit::names::PREFIX) || line.contains(&own);
    text.lines().filter(keep).map(|line| format!("{line}\n")).collect()
}

/// Nothing that is mounted while building appears on a host whose mounts are shared, nor is anything lost there.
pub(crate) fn the_host_sees_nothing() {
    in_child(Namespaces::empty(), || {
        own_host();
        let linux =
            "%linux%:{%namespaces%:[{%type%:%mount%}],%rootfsPropagation%:%rshared%,%maskedPaths%:[%/etc%]}";
        let mounts = MOUNTS.replace(
            "%mounts%:[",
            "%mounts%:[{%destination%:%/volume%,%source%:%@/volume%,%options%:[%rbind%,%rshared%]},
             {%destination%:%/below%,%type%:%tmpfs%},{%destination%:%/below/x%,%type%:%tmpfs%},",
        );
        for no_pivot in [false, true] {
            let mut bundle = Bundle::new(&format!("{mounts},{linux}"));
            bundle.options.no_pivot = no_pivot;
            // A root that is a mount itself, with a mount in it.
            mount::mount_bind(bundle.path("rootfs"), bundle.path("rootfs"), false).unwrap();
            super::support::tmpfs(&bundle.inside("below"), mount::MountFlags::empty());
            super::support::tmpfs(&bundle.path("volume"), mount::MountFlags::empty());
            let before = host_mounts();
            bundle.on_all_kernels(|_, entered| {
                assert_eq!(mount_at(&super::support::mounts(entered), "/volume").propagation, "shared");
            });
            assert_eq!(host_mounts(), before);
            // A shared volume is shared both ways, as it was asked for.
            bundle.kernel = super::support::Kernel::New;
            bundle.run(|_| super::support::tmpfs(Path::new("/volume/given"), mount::MountFlags::empty()));
            assert!(host_mounts().contains("/volume/given"));
            mount::umount(bundle.path("volume"), mount::UnmountFlags::DETACH).unwrap();
            mount::umount(bundle.path("rootfs"), mount::UnmountFlags::DETACH).unwrap();
        }
    });
}

pub(crate) fn a_replaced_root_is_noticed() {
    let bundle = Bundle::new("%mounts%:[]");
    let plan = bundle.plan();
    let prepared = rootfs::prepare(&plan).unwrap();
    std_fs::rename(bundle.path("rootfs"), bundle.path("away")).unwrap();
    std_fs::create_dir(bundle.path("rootfs")).unwrap();
    in_child(Namespaces::MOUNT, || {
        let e =
            rootfs::build(&plan, prepared, &CgroupView::default(), &nobody_idmaps).unwrap_err().to_string();
        assert!(e.starts_with("root.path: ") && e.contains("was replaced meanwhile"), "{e}");
    });
    std_fs::remove_dir(bundle.path("rootfs")).unwrap();
    let e = rootfs::prepare(&plan).unwrap_err().to_string();
    assert!(e.starts_with("root.path: /") && e.contains("No such file or directory"), "{e}");
    std_fs::set_permissions(bundle.path("away"), std_fs::Permissions::from_mode(0o755)).unwrap();
}
