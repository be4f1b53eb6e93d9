//! Files and descriptors.

use crate::support::{in_child, need_root, spawn};
use forgeone_sys::fs::{self, AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags};
use forgeone_sys::mount::{self, MountAttrFlags, OpenTreeFlags};
use forgeone_sys::process::{self, Exit, Namespaces};
use forgeone_sys::{Errno, OwnedFd};
use std::os::fd::{AsRawFd, IntoRawFd};
use std::os::unix::fs::MetadataExt;
use testkit::Temp;

fn directory(scratch: &Temp) -> OwnedFd {
    fs::open(scratch.path(), OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).unwrap()
}

pub(crate) fn openat2_stays_in_the_root() {
    let scratch = Temp::new("fs");
    let root = directory(&scratch);
    fs::mkdirat(&root, "etc", 0o755).unwrap();
    std::fs::write(scratch.path().join("etc/passwd"), "inside").unwrap();
    fs::symlinkat("/../../etc/passwd", &root, "link").unwrap();
    let opened = fs::openat2(&root, "link", OFlags::RDONLY, Mode::empty(), ResolveFlags::IN_ROOT).unwrap();
    assert_eq!(fs::read_to_end(&opened, 100).unwrap(), b"inside");
    assert!(fs::cloexec(&opened).unwrap());
    let error = fs::openat2(&root, "link", OFlags::PATH, Mode::empty(), ResolveFlags::BENEATH).unwrap_err();
    let shown = scratch.path().display();
    let text = format!(
        "openat2(<{shown}>, \"link\", O_PATH, 0000, RESOLVE_BENEATH): EXDEV (Invalid cross-device link)"
    );
    assert_eq!(error.to_string(), text);
}

pub(crate) fn directories_and_links() {
    let scratch = Temp::new("fs");
    let root = directory(&scratch);
    process::umask(0o022);
    fs::mkdirat(&root, "a", 0o777).unwrap();
    fs::symlinkat("a", &root, "s").unwrap();
    std::fs::write(scratch.path().join("f"), "x").unwrap();
    fs::linkat(&root, "f", &root, "hard", AtFlags::empty()).unwrap();
    fs::renameat(&root, "hard", &root, "g").unwrap();
    let mut entries = fs::read_dir(&root).unwrap();
    entries.sort_by(|a, b| a.0.cmp(&b.0));
    let found: Vec<(&str, FileType)> =
        entries.iter().map(|(name, kind)| (name.to_str().unwrap(), *kind)).collect();
    let file = FileType::RegularFile;
    assert_eq!(found, [("a", FileType::Directory), ("f", file), ("g", file), ("s", FileType::Symlink)]);
    assert_eq!(fs::readlinkat(&root, "s").unwrap().to_str(), Some("a"));
    let link = fs::openat(&root, "s", OFlags::PATH | OFlags::NOFOLLOW, Mode::empty()).unwrap();
    assert_eq!(fs::readlinkat(&link, "").unwrap().to_str(), Some("a"));
    assert_eq!(fs::statat(&root, "f", AtFlags::empty()).unwrap().st_nlink, 2);
    assert_eq!(fs::statat(&root, "a", AtFlags::empty()).unwrap().st_mode & 0o7777, 0o755);
    fs::fchmodat(&root, "a", 0o1700).unwrap();
    assert_eq!(
        fs::fstat(fs::openat(&root, "a", OFlags::PATH, Mode::empty()).unwrap()).unwrap().st_mode & 0o7777,
        0o1700
    );
    fs::unlinkat(&root, "a", AtFlags::REMOVEDIR).unwrap();
    let error = fs::unlinkat(&root, "a", AtFlags::REMOVEDIR).unwrap_err();
    assert!(
        error.to_string().ends_with("\"a\", AT_REMOVEDIR): ENOENT (No such file or directory)"),
        "{error}"
    );
}

pub(crate) fn files_are_read_and_written_whole() {
    let scratch = Temp::new("fs");
    let root = directory(&scratch);
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL;
    let file = fs::openat(&root, "f", flags, Mode::from_raw_mode(0o600)).unwrap();
    fs::write_all(&file, &vec![b'x'; 100_000]).unwrap();
    assert_eq!(fs::read_file_at(&root, "f", 100_000).unwrap().len(), 100_000);
    let error = fs::read_file_at(&root, "f", 99_999).unwrap_err();
    assert_eq!(error.errno(), Errno::FBIG);
    assert!(error.to_string().contains("more than 99999 bytes"), "{error}");
    fs::write_file_at(&root, "f", b"head").unwrap();
    assert_eq!(&fs::read_file_at(&root, "f", 100_000).unwrap()[..5], b"headx");
    let error = fs::write_file_at(CWD, "/dev/full", b"value").unwrap_err();
    assert_eq!(error.to_string(), "write(</dev/full>, \"value\"): ENOSPC (No space left on device)");
    assert_eq!(fs::write_file_at(&root, "none", b"").unwrap_err().errno(), Errno::NOENT);
    fs::fchmod(&file, 0o640).unwrap();
    assert_eq!(fs::fstat(&file).unwrap().st_mode & 0o7777, 0o640);
    let copy = fs::memfd_create("copy", false).unwrap();
    let from = fs::openat(&root, "f", OFlags::RDONLY, Mode::empty()).unwrap();
    assert_eq!(fs::copy_file(&from, &copy, 1 << 40).unwrap(), 100_000);
    assert_eq!(fs::fstat(&copy).unwrap().st_size, 100_000);
    assert!(fs::read_up_to(&copy, 4).unwrap().is_empty());
    fs::rewind(&copy).unwrap();
    assert_eq!(fs::read_up_to(&copy, 4).unwrap(), b"head");
    assert_eq!(fs::read_up_to(&copy, 1 << 20).unwrap().len(), 99_996);
    fs::may_execute("/bin/sh").unwrap();
    let error = fs::may_execute("/etc/passwd").unwrap_err();
    assert_eq!(
        error.to_string(),
        "faccessat2(AT_FDCWD, \"/etc/passwd\", X_OK, AT_EACCESS): EACCES (Permission denied)"
    );
}

pub(crate) fn mounts_are_told_apart() {
    let proc = fs::open("/proc", OFlags::PATH, Mode::empty()).unwrap();
    assert!(
        fs::is_procfs(&proc).unwrap() && !fs::is_tmpfs(&proc).unwrap() && !fs::is_cgroup2(&proc).unwrap()
    );
    assert!(fs::is_mount_root(&proc).unwrap());
    let namespace = fs::open("/proc/self/ns/net", OFlags::RDONLY, Mode::empty()).unwrap();
    assert!(fs::is_nsfs(&namespace).unwrap() && !fs::is_nsfs(&proc).unwrap());
    let below = fs::open("/proc/self", OFlags::PATH, Mode::empty()).unwrap();
    assert!(!fs::is_mount_root(&below).unwrap());
    let id = fs::mount_id(&proc).unwrap();
    assert_eq!(fs::mount_id(&below).unwrap(), id);
    let info = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(info.lines().any(|line| line.starts_with(&format!("{id} ")) && line.contains(" /proc ")));
    // The same answers from procfs where statx is missing.
    in_child(Namespaces::empty(), || {
        crate::support::deny(&[libc::SYS_statx], Errno::NOSYS);
        assert_eq!(fs::mount_id(&proc).unwrap(), id);
        assert!(fs::is_mount_root(&proc).unwrap() && !fs::is_mount_root(&below).unwrap());
    });
    need_root();
    in_child(Namespaces::MOUNT, || {
        let tree = mount::open_tree(CWD, "/proc/self/ns", OpenTreeFlags::OPEN_TREE_CLONE).unwrap();
        assert!(fs::is_mount_root(&tree).unwrap() && fs::is_procfs(&tree).unwrap());
        assert_ne!(fs::mount_id(&tree).unwrap(), id);
        let (set, none) = (MountAttrFlags::MOUNT_ATTR_RDONLY, MountAttrFlags::empty());
        assert!(!fs::statfs(fs::fd_path(&tree)).unwrap().is_read_only);
        mount::mount_setattr(&tree, "", false, set, none, None, None).unwrap();
        let place = |fd| fs::statfs(fs::fd_path(fd)).unwrap();
        assert!(place(&tree).is_read_only && !place(&proc).is_read_only);
    });
}

pub(crate) fn memfd_can_be_sealed() {
    let memory = fs::memfd_create("sealed", true).unwrap();
    fs::write_all(&memory, b"once").unwrap();
    assert!(!fs::is_sealed(&memory));
    fs::memfd_seal(&memory).unwrap();
    assert!(fs::is_sealed(&memory) && !fs::is_sealed(fs::open("/", OFlags::PATH, Mode::empty()).unwrap()));
    assert_eq!(fs::write_all(&memory, b"twice").unwrap_err().errno(), Errno::PERM);
    let error = fs::memfd_seal(fs::memfd_create("open", false).unwrap()).unwrap_err();
    let seals = "F_SEAL_SEAL|F_SEAL_SHRINK|F_SEAL_GROW|F_SEAL_WRITE";
    let text =
        format!("fcntl(</memfd:open (deleted)>, F_ADD_SEALS, {seals}): EPERM (Operation not permitted)");
    assert_eq!(error.to_string(), text);
}

pub(crate) fn locks_exclude() {
    let scratch = Temp::new("fs");
    let path = scratch.path().join("lock");
    std::fs::write(&path, "").unwrap();
    let open = || fs::open(&path, OFlags::RDONLY, Mode::empty()).unwrap();
    let (one, other) = (open(), open());
    fs::flock_exclusive(&one).unwrap();
    assert!(!fs::try_flock(&other).unwrap() && !fs::try_flock_shared(&other).unwrap());
    drop(one);
    assert!(fs::try_flock_shared(&other).unwrap());
    assert!(fs::try_flock_shared(open()).unwrap() && !fs::try_flock(open()).unwrap());
}

pub(crate) fn descriptors_are_adopted_and_copied() {
    let (reader, writer) = fs::pipe().unwrap();
    fs::set_cloexec(&writer, false).unwrap();
    let number = writer.into_raw_fd() as u32;
    let writer = fs::take_fd(number).unwrap();
    assert!(fs::cloexec(&writer).unwrap() && fs::cloexec(fs::dup(&reader).unwrap()).unwrap());
    assert_eq!(fs::fd_path(&writer).to_str(), Some(format!("/proc/self/fd/{number}").as_str()));
    for closed in [1000, u32::MAX] {
        assert_eq!(fs::take_fd(closed).unwrap_err().errno(), Errno::BADF);
    }
    assert_eq!(fs::dup2_stdio(&writer, 3).unwrap_err().errno(), Errno::BADF);
    let pid = spawn(Namespaces::empty(), || {
        fs::dup2_stdio(&writer, 1).unwrap();
        let out = std::io::stdout();
        assert!(!fs::cloexec(&out).unwrap());
        fs::set_cloexec(&out, true).unwrap();
        fs::dup2_stdio(&out, 1).unwrap();
        assert!(!fs::cloexec(&out).unwrap() && out.as_raw_fd() == 1);
        fs::write_all(out, b"out").unwrap();
    });
    assert_eq!(process::wait(pid).unwrap(), Exit::Code(0));
    drop(writer);
    assert_eq!(fs::read_to_end(&reader, 100).unwrap(), b"out");
}

pub(crate) fn device_nodes() {
    in_child(Namespaces::MOUNT, || {
        let context = mount::fsopen("tmpfs").unwrap();
        mount::fsconfig_create(&context).unwrap();
        let root = mount::fsmount(&context, MountAttrFlags::empty()).unwrap();
        process::umask(0);
        fs::mknodat(&root, "null", FileType::CharacterDevice, 0o666, 1, 3).unwrap();
        fs::mknodat(&root, "fifo", FileType::Fifo, 0o600, 0, 0).unwrap();
        let node = fs::openat(&root, "null", OFlags::PATH | OFlags::NOFOLLOW, Mode::empty()).unwrap();
        fs::fchown(&node, 1000, 1001).unwrap();
        let stat = fs::fstat(&node).unwrap();
        assert_eq!((fs::major(stat.st_rdev), fs::minor(stat.st_rdev)), (1, 3));
        assert_eq!((stat.st_uid, stat.st_gid, stat.st_mode & 0o7777), (1000, 1001, 0o666));
        assert_eq!(fs::fchown(&node, u32::MAX, 0).unwrap_err().errno(), Errno::INVAL);
        assert_eq!(fs::fchmod(&node, 0o600).unwrap_err().errno(), Errno::BADF);
        let error = fs::mknodat(&root, "null", FileType::BlockDevice, 0o600, 8, 1).unwrap_err();
        assert!(error.to_string().contains("\"null\", S_IFBLK|0600, makedev(8, 1)): EEXIST"), "{error}");
    });
    assert_eq!(std::fs::metadata("/dev/null").unwrap().rdev(), fs::makedev(1, 3));
}

pub(crate) fn extended_attributes_are_set() {
    need_root();
    in_child(Namespaces::MOUNT, || {
        let scratch = Temp::new("xattr");
        mount::mount_propagation(
            "/",
            mount::MountPropagationFlags::PRIVATE | mount::MountPropagationFlags::REC,
        )
        .unwrap();
        mount::mount("tmpfs", scratch.path(), "tmpfs", mount::MountFlags::empty(), None).unwrap();
        fs::setxattr(scratch.path(), c"trusted.forgeone", b"value").unwrap();
        let found = std::process::Command::new("getfattr")
            .args(["-n", "trusted.forgeone", "--only-values"])
            .arg(scratch.path())
            .output();
        if let Ok(found) = found {
            assert_eq!(found.stdout, b"value");
        }
        let e = fs::setxattr(scratch.path(), c"nonsense.forgeone", b"value").unwrap_err();
        assert_eq!(e.errno(), Errno::OPNOTSUPP);
        assert!(e.to_string().contains("\"nonsense.forgeone\", \"value\""), "{e}");
        mount::umount(scratch.path(), mount::UnmountFlags::DETACH).unwrap();
    });
}
