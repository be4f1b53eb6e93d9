//! Mounts by descriptor and by path.

use crate::support::{in_child, need_root, spawn};
use forgeone_sys::fs::{self, CWD, Mode, OFlags};
use forgeone_sys::mount::{
    self, MountAttrFlags, MountFlags, MountPropagationFlags, OpenTreeFlags, UnmountFlags,
};
use forgeone_sys::process::{self, Namespaces};
use forgeone_sys::{AsFd, Errno, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use testkit::Temp;

fn tmpfs() -> OwnedFd {
    let context = mount::fsopen("tmpfs").unwrap();
    mount::fsconfig_string(&context, "size", "1m").unwrap();
    mount::fsconfig_create(&context).unwrap();
    mount::fsmount(&context, MountAttrFlags::MOUNT_ATTR_NODEV).unwrap()
}

fn place(path: &Path) -> OwnedFd {
    fs::open(path, OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).unwrap()
}

/// The options of the mount at a path.
fn options(path: &Path) -> String {
    let info = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let of = |line: &str| line.split(' ').nth(4) == path.to_str();
    info.lines().rfind(|line| of(line)).unwrap().split(' ').skip(5).collect::<Vec<_>>().join(" ")
}

fn in_scratch(body: impl FnOnce(&Path)) {
    need_root();
    let scratch = Temp::new("mount");
    in_child(Namespaces::MOUNT, || body(scratch.path()));
}

pub(crate) fn by_descriptor() {
    in_scratch(|path| {
        let made = tmpfs();
        assert!(fs::cloexec(&made).unwrap() && fs::is_tmpfs(&made).unwrap());
        fs::mkdirat(&made, "below", 0o755).unwrap();
        mount::move_mount(&made, place(path)).unwrap();
        assert!(options(path).starts_with("rw,nodev,relatime - tmpfs "), "{}", options(path));
        mount::move_mount_at(tmpfs(), &made, "below").unwrap();
        fs::symlinkat("below", &made, "link").unwrap();
        // A link is the place itself, not followed; a mount can't be put there.
        assert!(mount::move_mount_at(tmpfs(), &made, "link").is_err());
        let clone = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::AT_RECURSIVE;
        let tree = mount::open_tree(CWD, path, clone).unwrap();
        assert!(fs::cloexec(&tree).unwrap());
        mount::umount(path.join("below"), UnmountFlags::empty()).unwrap();
        let error =
            mount::umount(path.join("below"), UnmountFlags::DETACH | UnmountFlags::NOFOLLOW).unwrap_err();
        assert!(
            error.to_string().ends_with("/below\", MNT_DETACH|UMOUNT_NOFOLLOW): EINVAL (Invalid argument)")
        );
        let below = fs::openat(&tree, "below", OFlags::PATH, Mode::empty()).unwrap();
        assert!(fs::is_mount_root(below).unwrap());
        let error = mount::move_mount(place(path), place(path)).unwrap_err();
        let flags = "MOVE_MOUNT_F_EMPTY_PATH|MOVE_MOUNT_T_EMPTY_PATH";
        let shown = path.display();
        assert!(
            error
                .to_string()
                .starts_with(&format!("move_mount(<{shown}>, \"\", <{shown}>, \"\", {flags}): E"))
        );
    });
}

pub(crate) fn attributes_change_recursively() {
    in_scratch(|path| {
        let made = tmpfs();
        fs::mkdirat(&made, "below", 0o755).unwrap();
        mount::move_mount(&made, place(path)).unwrap();
        mount::move_mount_at(tmpfs(), &made, "below").unwrap();
        let none = MountAttrFlags::empty();
        let readonly = MountAttrFlags::MOUNT_ATTR_RDONLY;
        mount::mount_setattr(&made, "", false, readonly, MountAttrFlags::MOUNT_ATTR_NODEV, None, None)
            .unwrap();
        assert_eq!(fs::mkdirat(&made, "x", 0o755).unwrap_err().errno(), Errno::ROFS);
        assert!(options(path).starts_with("ro,relatime"));
        assert!(options(&path.join("below")).starts_with("rw,nodev,relatime"));
        let shared = Some(MountPropagationFlags::SHARED);
        mount::mount_setattr(CWD, path, true, readonly, none, shared, None).unwrap();
        assert!(options(&path.join("below")).starts_with("ro,nodev,relatime shared:"));
        let error = mount::mount_setattr(
            &made,
            "below",
            true,
            MountAttrFlags::MOUNT_ATTR_NOATIME,
            none,
            shared,
            None,
        );
        let text = format!(
            "mount_setattr(<{}>, \"below\", AT_SYMLINK_NOFOLLOW|AT_RECURSIVE, set=MOUNT_ATTR_NOATIME, clear=0, \
             propagation=MS_SHARED): EINVAL (Invalid argument)",
            path.display()
        );
        assert_eq!(error.unwrap_err().to_string(), text);
        let clear = MountAttrFlags::MOUNT_ATTR__ATIME;
        mount::mount_setattr(&made, "", false, MountAttrFlags::MOUNT_ATTR_NOATIME, clear, None, None)
            .unwrap();
        assert!(options(path).starts_with("ro,noatime"));
    });
}

pub(crate) fn idmapped() {
    in_child(Namespaces::MOUNT, || {
        let (reader, writer) = fs::pipe().unwrap();
        let holder = spawn(Namespaces::USER, || {
            drop(writer);
            drop(fs::read(&reader, &mut [0]));
        });
        fs::write_file_at(CWD, format!("/proc/{holder}/uid_map"), b"0 5000 10").unwrap();
        fs::write_file_at(CWD, format!("/proc/{holder}/gid_map"), b"0 6000 10").unwrap();
        let users = fs::open(format!("/proc/{holder}/ns/user"), OFlags::RDONLY, Mode::empty()).unwrap();
        let made = tmpfs();
        fs::mkdirat(&made, "of-root", 0o755).unwrap();
        let none = MountAttrFlags::empty();
        mount::mount_setattr(&made, "", false, none, none, None, Some(users.as_fd())).unwrap();
        let stat = fs::statat(&made, "of-root", fs::AtFlags::empty()).unwrap();
        assert_eq!((stat.st_uid, stat.st_gid), (5000, 6000));
        process::kill(holder, libc::SIGKILL).unwrap();
        process::wait(holder).unwrap();
    });
}

pub(crate) fn fsconfig_error_has_the_kernels_reason() {
    in_child(Namespaces::MOUNT, || {
        let context = mount::fsopen("tmpfs").unwrap();
        let error = mount::fsconfig_string(&context, "nope", "1").unwrap_err();
        let text = r#""nope", "1"): tmpfs: Unknown parameter 'nope': EINVAL (Invalid argument)"#;
        assert!(error.to_string().ends_with(text), "{error}");
        // Each message is told once.
        let error = mount::fsconfig_flag(&context, "neither").unwrap_err();
        assert!(!error.to_string().contains("'nope'") && error.to_string().contains("'neither'"), "{error}");
        let error = mount::fsmount(&context, MountAttrFlags::MOUNT_ATTR_RDONLY).unwrap_err();
        assert!(error.to_string().starts_with("fsmount(<"), "{error}");
        assert!(error.to_string().ends_with(", MOUNT_ATTR_RDONLY): EINVAL (Invalid argument)"), "{error}");
        let error = mount::fsopen("no-such-fs").unwrap_err();
        assert_eq!(error.to_string(), "fsopen(\"no-such-fs\"): ENODEV (No such device)");
    });
}

pub(crate) fn by_path() {
    in_scratch(|path| {
        mount::mount("none", path, "tmpfs", MountFlags::NOSUID, Some(c"size=64k,mode=0700")).unwrap();
        assert_eq!(std::fs::metadata(path).unwrap().mode() & 0o7777, 0o700);
        std::fs::create_dir(path.join("below")).unwrap();
        mount::mount("none", path.join("below"), "tmpfs", MountFlags::empty(), None).unwrap();
        std::fs::write(path.join("below/file"), "x").unwrap();
        mount::mount_bind(path, "/mnt", false).unwrap();
        assert!(!Path::new("/mnt/below/file").exists());
        mount::umount("/mnt", UnmountFlags::empty()).unwrap();
        mount::mount_bind(path, "/mnt", true).unwrap();
        assert!(Path::new("/mnt/below/file").exists());
        mount::mount_remount("/mnt", MountFlags::BIND | MountFlags::RDONLY | MountFlags::NOSUID, None)
            .unwrap();
        assert!(std::fs::write("/mnt/file", "x").is_err());
        assert!(options(Path::new("/mnt")).starts_with("ro,nosuid"));
        mount::mount_remount(path.join("below"), MountFlags::empty(), Some(c"size=128k")).unwrap();
        assert!(options(&path.join("below")).contains("size=128k"));
        mount::mount_propagation(path, MountPropagationFlags::SHARED).unwrap();
        mount::mount_propagation("/mnt", MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC)
            .unwrap();
        let error = mount::mount("none", path.join("none"), "tmpfs", MountFlags::NODEV, None).unwrap_err();
        assert!(
            error
                .to_string()
                .ends_with("/none\", \"tmpfs\", MS_NODEV, NULL): ENOENT (No such file or directory)")
        );
    });
}

pub(crate) fn root_is_pivoted() {
    in_scratch(|path| {
        let root = tmpfs();
        fs::mkdirat(&root, "old", 0o755).unwrap();
        fs::mkdirat(&root, "inside", 0o755).unwrap();
        mount::move_mount(&root, place(path)).unwrap();
        mount::pivot_root(path, path.join("old")).unwrap();
        process::chdir("/").unwrap();
        mount::umount("/old", UnmountFlags::DETACH).unwrap();
        assert_eq!(fs::read_dir(fs::open("/", OFlags::PATH, Mode::empty()).unwrap()).unwrap().len(), 2);
        mount::chroot("/inside").unwrap();
        process::chdir("/").unwrap();
        assert!(fs::read_dir(CWD).unwrap().is_empty());
        // Without /proc the error still comes, with the number in place of the path.
        let error = fs::mkdirat(&root, "inside", 0o755).unwrap_err();
        assert!(error.to_string().starts_with("mkdirat(<fd "), "{error}");
    });
}
