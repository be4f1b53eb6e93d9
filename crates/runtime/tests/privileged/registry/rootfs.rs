//! Root file systems are mounted in a mount namespace of their own, and nothing of them is left behind.

use crate::fs::support::{KERNELS, Kernel, in_child, need_root, own_host};
use forgeone_runtime::registry::rootfs::{Base, Disk, Driver, RootfsPlan, Source};
use forgeone_sys::mount::{self, MountPropagationFlags};
use forgeone_sys::process::{self, Forked, Namespaces};
use forgeone_sys::{credentials, signal};
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use testkit::Temp;

/// A container's directory with its empty `rootfs`, and places for what it is made from.
struct Place(Temp);

impl Place {
    fn new() -> Self {
        need_root();
        let place = Self(Temp::new("registry"));
        fs::create_dir_all(place.path("container/rootfs")).unwrap();
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn target(&self) -> PathBuf {
        self.path("container/rootfs")
    }

    /// A layer with one file in it, called as it is.
    fn layer(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(&path).unwrap();
        fs::write(path.join(path.file_name().unwrap()), name).unwrap();
        path
    }

    fn plan(&self, base: Base, disk_bytes: Option<u64>) -> RootfsPlan {
        let source = Source { image: None, config: None, base, driver: Driver::Overlay };
        RootfsPlan::new(&source, &self.path("container"), disk_bytes).unwrap()
    }

    /// What mounting says that fails, after which nothing is mounted.
    fn failure(&self, plan: &RootfsPlan) -> String {
        let error = plan.mount(&self.target()).unwrap_err().to_string();
        assert_eq!(testkit::temp::mounts_below(self.0.path()), [""; 0]);
        assert_eq!(error.lines().count(), 1, "{error}");
        error
    }

    fn sh(&self, script: &str) -> String {
        let output = Command::new("sh").args(["-euc", script]).current_dir(self.0.path()).output().unwrap();
        assert!(output.status.success(), "{script}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// An ext4 with a file in it, made from a directory; nothing where `mkfs.ext4` is missing.
    fn disk(&self, size: &str) -> Disk {
        if !testkit::privileged::program("mkfs.ext4", "e2fsprogs") {
            testkit::single::skip("needs mkfs.ext4");
        }
        self.sh(&format!(
            "mkdir -p tree/etc && echo inside >tree/etc/file && mkfs.ext4 -q -F -d tree disk.ext4 {size}"
        ));
        let file = self.path("disk.ext4");
        Disk { file, offset: 0, size: None, filesystem: "ext4".into(), read_only: false }
    }

    /// The loop devices that have a file of this place.
    fn loops(&self) -> Vec<PathBuf> {
        let of_this = |path: &PathBuf| {
            let file = fs::read_to_string(path.join("loop/backing_file")).unwrap_or_default();
            file.contains(self.0.path().to_str().unwrap())
        };
        fs::read_dir("/sys/block").unwrap().map(|entry| entry.unwrap().path()).filter(of_this).collect()
    }

    fn without_loops(&self) {
        testkit::eventually("loop devices are gone", || self.loops().is_empty());
    }
}

/// In a mount namespace of its own, as a monitor.
fn alone(body: impl FnOnce()) {
    own_host();
    in_child(Namespaces::MOUNT, || {
        leave_host();
        body();
    });
}

fn leave_host() {
    mount::mount_propagation("/", MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC).unwrap();
}

pub(crate) fn layers_are_one_tree_that_is_written_above() {
    for kernel in [Kernel::New, KERNELS[1], KERNELS[2]] {
        let place = Place::new();
        // More than fits in the page that mount(2) takes, some of them by paths longer than fsconfig(2) takes.
        let long = format!("{}/{}", "a".repeat(200), "b".repeat(200));
        let layers: Vec<PathBuf> = (0..300)
            .map(|number| {
                place.layer(&if number % 100 == 7 { format!("{long}/{number}") } else { number.to_string() })
            })
            .collect();
        fs::write(layers[0].join("same"), "top").unwrap();
        fs::write(layers[299].join("same"), "lowest").unwrap();
        fs::set_permissions(&layers[0], fs::Permissions::from_mode(0o1755)).unwrap();
        std::os::unix::fs::chown(&layers[0], Some(3), Some(4)).unwrap();
        let plan = place.plan(Base::Layers(layers.clone()), None);
        alone(|| {
            kernel.become_it();
            let target = place.target();
            for round in ["first", "second"] {
                let mounted = plan.mount(&target).unwrap();
                assert_eq!(fs::read_to_string(target.join("same")).unwrap(), "top");
                let seen = (0..300).filter(|number| target.join(number.to_string()).exists()).count();
                assert_eq!(seen, if round == "first" { 300 } else { 299 });
                let root = fs::metadata(&target).unwrap();
                assert_eq!((root.mode() & 0o7777, root.uid(), root.gid()), (0o1755, 3, 4));
                // What was written is there the next time.
                assert_eq!(target.join("written").exists(), round == "second");
                fs::write(target.join("written"), round).unwrap();
                let _ = fs::remove_file(target.join("17"));
                mounted.unmount().unwrap();
                assert_eq!(fs::read_dir(&target).unwrap().count(), 0);
            }
        });
        assert_eq!(fs::read_to_string(place.path("container/upper/written")).unwrap(), "second");
        assert!(fs::symlink_metadata(place.path("container/upper/17")).unwrap().file_type().is_char_device());
        assert!(layers[17].join("17").exists());
        assert_eq!(testkit::temp::mounts_below(place.0.path()), [""; 0]);
    }
}

pub(crate) fn a_directory_is_written_in_place() {
    let place = Place::new();
    let directory = place.layer("directory");
    let plan = place.plan(Base::Directory(directory.clone()), None);
    alone(|| {
        let mounted = plan.mount(&place.target()).unwrap();
        fs::write(place.target().join("written"), "x").unwrap();
        mounted.unmount().unwrap();
    });
    assert!(directory.join("written").exists());
    let source = |base| Source { image: None, config: None, base, driver: Driver::Overlay };
    let refused =
        RootfsPlan::new(&source(Base::Directory(directory)), &place.path("container"), Some(1 << 30));
    assert!(refused.unwrap_err().to_string().starts_with("disk_bytes: there is no limit"));
    let plan = place.plan(Base::Directory(place.path("none")), None);
    let said = place.failure(&plan);
    assert!(said.starts_with("root file system: directory /") && said.contains("/none: "), "{said}");
    fs::write(place.path("file"), "").unwrap();
    let said = place.failure(&place.plan(Base::Directory(place.path("file")), None));
    assert!(said.ends_with("/file is no directory"), "{said}");
    let said = place.failure(&place.plan(Base::Layers(vec![place.path("gone")]), None));
    assert!(said.ends_with("/gone is gone; pull or load the image again"), "{said}");
}

pub(crate) fn a_disk_image_is_written_by_one_and_read_by_many() {
    for kernel in [Kernel::New, KERNELS[1], KERNELS[2]] {
        let place = Place::new();
        let disk = place.disk("8M");
        let shared = Disk { read_only: true, ..disk.clone() };
        let (writes, reads) = (place.plan(Base::Disk(disk), None), place.plan(Base::Disk(shared), None));
        let second = place.path("second");
        fs::create_dir(&second).unwrap();
        alone(|| {
            kernel.become_it();
            let target = place.target();
            let mounted = writes.mount(&target).unwrap();
            assert_eq!(fs::read_to_string(target.join("etc/file")).unwrap(), "inside\n");
            fs::write(target.join("etc/file"), "changed").unwrap();
            // Another would damage it.
            for plan in [&writes, &reads] {
                let said = plan.mount(&second).unwrap_err().to_string();
                assert!(said.ends_with("/disk.ext4 is in use; what is written to can't be shared"), "{said}");
            }
            // Devices of a foreign file system are none.
            assert!(options(&target).split(',').any(|option| option == "nodev"), "{}", options(&target));
            mounted.unmount().unwrap();
            place.without_loops();
            let before = fs::read(place.path("disk.ext4")).unwrap();
            let (first, other) = (reads.mount(&target).unwrap(), base(&place, &second));
            assert_eq!(fs::read_to_string(target.join("etc/file")).unwrap(), "changed");
            assert_eq!(fs::read_to_string(second.join("rootfs/etc/file")).unwrap(), "changed");
            fs::write(target.join("etc/file"), "above").unwrap();
            first.unmount().unwrap();
            other.unmount().unwrap();
            place.without_loops();
            assert!(before == fs::read(place.path("disk.ext4")).unwrap());
        });
        assert_eq!(fs::read_to_string(place.path("container/upper/etc/file")).unwrap(), "above");
        place.without_loops();
    }
}

/// The same image in another container.
fn base(place: &Place, container: &Path) -> forgeone_runtime::registry::rootfs::Mounted {
    fs::create_dir(container.join("rootfs")).unwrap();
    let file = place.path("disk.ext4");
    let disk = Disk { file, offset: 0, size: None, filesystem: "ext4".into(), read_only: true };
    let source = Source { image: None, config: None, base: Base::Disk(disk), driver: Driver::Overlay };
    RootfsPlan::new(&source, container, None).unwrap().mount(&container.join("rootfs")).unwrap()
}

fn options(point: &Path) -> String {
    let info = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let line = info.lines().rfind(|line| line.split(' ').nth(4) == point.to_str()).unwrap();
    line.split(' ').nth(5).unwrap().to_owned()
}

/// Each as its own tool makes it, behind other bytes as in a partition.
pub(crate) fn every_file_system_that_is_known_is_mounted() {
    let place = Place::new();
    place.sh("mkdir -p tree/etc && echo inside >tree/etc/file");
    let filled = "loop=$(losetup -f --show image); mkdir -p m; mount $loop m; cp -r tree/. m; umount m; losetup -d $loop";
    let mut tried = 0;
    for (filesystem, program, package, script, read_only) in [
        ("ext4", "mkfs.ext4", "e2fsprogs", "mkfs.ext4 -q -F -d tree image 16M".to_owned(), false),
        (
            "squashfs",
            "mksquashfs",
            "squashfs-tools",
            "mksquashfs tree image -quiet -no-progress".to_owned(),
            true,
        ),
        ("erofs", "mkfs.erofs", "erofs-utils", "mkfs.erofs --quiet image tree".to_owned(), true),
        (
            "btrfs",
            "mkfs.btrfs",
            "btrfs-progs",
            "truncate -s 120M image; mkfs.btrfs -q -r tree image".to_owned(),
            false,
        ),
        (
            "xfs",
            "mkfs.xfs",
            "xfsprogs",
            format!("truncate -s 320M image; mkfs.xfs -q image; {filled}"),
            false,
        ),
    ] {
        if !testkit::privileged::program(program, package) {
            continue;
        }
        tried += 1;
        let script = format!("rm -f image disk; {script}; (head -c 1M /dev/zero; cat image) >disk");
        alone(|| {
            place.sh(&script);
            let size = fs::metadata(place.path("image")).unwrap().len();
            for read_only in [read_only, true] {
                let filesystem = filesystem.to_owned();
                let disk = Disk {
                    file: place.path("disk"),
                    offset: 1 << 20,
                    size: Some(size),
                    filesystem,
                    read_only,
                };
                let plan = place.plan(Base::Disk(disk), None);
                let mounted = plan.mount(&place.target()).unwrap();
                let file = place.target().join("etc/file");
                assert_eq!(fs::read_to_string(&file).unwrap(), "inside\n", "{program}");
                fs::write(place.target().join("etc/written"), program).unwrap();
                mounted.unmount().unwrap();
                place.without_loops();
            }
        });
        // Of what can't be written to, it is above.
        assert!(place.path("container/upper/etc/written").exists(), "{program}");
        place.sh("rm -r container/upper container/work");
    }
    if tried == 0 {
        testkit::single::skip("needs a program that makes file systems");
    }
}

pub(crate) fn a_killed_monitor_leaves_no_loop_device() {
    let place = Place::new();
    let plan = place.plan(Base::Disk(place.disk("8M")), None);
    own_host();
    let (told, tell) = forgeone_sys::fs::pipe().unwrap();
    let args = process::CloneArgs { namespaces: Namespaces::MOUNT, ..Default::default() };
    let child = match process::clone(&args).unwrap() {
        Forked::Parent(child) => child,
        Forked::Child => {
            leave_host();
            let _mounted = plan.mount(&place.target()).unwrap();
            forgeone_sys::fs::write_all(&tell, b"x").unwrap();
            loop {
                std::thread::park();
            }
        }
    };
    drop(tell);
    assert_eq!(forgeone_sys::fs::read_up_to(&told, 1).unwrap(), b"x");
    assert_eq!(place.loops().len(), 1);
    process::kill(child.pid, signal::signal_number("SIGKILL").unwrap()).unwrap();
    process::wait(child.pid).unwrap();
    place.without_loops();
}

pub(crate) fn what_is_no_file_system_is_refused_by_name() {
    let place = Place::new();
    fs::write(place.path("noise"), vec![0x5a; 1 << 20]).unwrap();
    for (filesystem, expected) in [
        ("ext4", "root file system: disk image "),
        ("squashfs", "root file system: disk image "),
        ("no-such", "this kernel has no no-such (kernel module)"),
    ] {
        let file = place.path("noise");
        let disk = Disk { file, offset: 0, size: None, filesystem: filesystem.into(), read_only: false };
        let plan = place.plan(Base::Disk(disk), None);
        alone(|| {
            let said = place.failure(&plan);
            assert!(said.contains(expected), "{said}");
        });
        place.without_loops();
    }
}

pub(crate) fn disk_bytes_are_the_most_that_is_written() {
    let place = Place::new();
    if !testkit::privileged::program("mkfs.ext4", "e2fsprogs") {
        testkit::single::skip("needs mkfs.ext4");
    }
    let limit = 32 << 20;
    let plan = place.plan(Base::Layers(vec![place.layer("layer")]), Some(limit));
    alone(|| {
        let target = place.target();
        let mounted = plan.mount(&target).unwrap();
        let full = fs::write(target.join("large"), vec![1; limit as usize]).unwrap_err();
        assert_eq!(full.kind(), std::io::ErrorKind::StorageFull, "{full}");
        fs::remove_file(target.join("large")).unwrap();
        fs::write(target.join("small"), vec![1; 16 << 20]).unwrap();
        mounted.unmount().unwrap();
        let mounted = plan.mount(&target).unwrap();
        assert_eq!(fs::read(target.join("small")).unwrap().len(), 16 << 20);
        mounted.unmount().unwrap();
    });
    place.without_loops();
    let file = fs::metadata(place.path("container/disk.img")).unwrap();
    assert_eq!(file.len(), limit);
    assert!(!place.path("container/disk.img.new").exists());
    let other = Place::new();
    let said = other.failure(&other.plan(Base::Layers(vec![other.layer("layer")]), Some(5)));
    assert_eq!(said, "root file system: disk_bytes: 5: a file system has 16777216 bytes at least");
}

pub(crate) fn a_users_layers_are_mounted_in_a_user_namespace() {
    let place = Place::new();
    let (top, bottom) = (place.layer("top"), place.layer("bottom"));
    fs::create_dir_all(bottom.join("hidden")).unwrap();
    fs::write(bottom.join("hidden/below"), "").unwrap();
    fs::write(bottom.join("gone"), "").unwrap();
    fs::create_dir(top.join("hidden")).unwrap();
    place.sh("mknod top/gone c 0 0 && setfattr -n user.overlay.opaque -v y top/hidden");
    place.sh("chown -R 100000:100000 .");
    let plan = place.plan(Base::Layers(vec![top, bottom]), None);
    own_host();
    in_child(Namespaces::MOUNT | Namespaces::USER, || {
        leave_host();
        assert_eq!(credentials::capget().unwrap().effective & 1, 1);
        let target = place.target();
        let mounted = plan.mount(&target).unwrap();
        assert!(!target.join("gone").exists() && target.join("hidden").exists());
        assert!(!target.join("hidden/below").exists());
        fs::remove_file(target.join("bottom")).unwrap();
        fs::write(target.join("written"), "x").unwrap();
        mounted.unmount().unwrap();
        let disk = place.path("top/top");
        let disk = Disk { file: disk, offset: 0, size: None, filesystem: "ext4".into(), read_only: false };
        let said = place.failure(&place.plan(Base::Disk(disk), None));
        assert!(said.ends_with("the kernel mounts it for root of the machine only"), "{said}");
    });
    assert_eq!(fs::metadata(place.path("container/upper/written")).unwrap().uid(), 100_000);
}
