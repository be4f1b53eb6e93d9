//! Each test runs by openat2 and by walking: both have to give the same.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::*;
use std::fs as std_fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use testkit::Temp;

/// `outside/secret`, and `root/` with what a hostile image may have.
struct Tree {
    temp: Temp,
}

impl Tree {
    fn new() -> Self {
        let temp = Temp::new("resolve");
        let (root, outside) = (temp.path().join("root"), temp.path().join("outside"));
        for dir in ["root/a/b", "root/etc", "outside"] {
            std_fs::create_dir_all(temp.path().join(dir)).unwrap();
        }
        std_fs::write(outside.join("secret"), "outside").unwrap();
        std_fs::write(root.join("etc/file"), "inside").unwrap();
        for (target, link) in [
            ("/etc", "absolute"),
            ("../../../../etc", "climbing"),
            ("a/b", "relative"),
            ("a/../etc/file", "through"),
            ("loop", "loop"),
            ("nowhere/deep", "dangling"),
            ("/nowhere", "dangling_absolute"),
            ("../../../../../../nowhere", "dangling_climbing"),
            ("etc/file/", "slashed_file"),
            ("etc/", "slashed_directory"),
            ("chain2", "chain1"),
            ("chain3", "chain2"),
            ("/etc", "chain3"),
        ] {
            symlink(target, root.join(link)).unwrap();
        }
        symlink(&outside, root.join("host")).unwrap();
        symlink("/proc/self/root", root.join("magic_by_name")).unwrap();
        symlink("../../outside", root.join("a/up")).unwrap();
        Self { temp }
    }

    fn path(&self) -> std::path::PathBuf {
        self.temp.path().join("root")
    }

    fn open(&self) -> OwnedFd {
        fs::open(self.path(), OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).unwrap()
    }

    /// Where a descriptor is, below the root.
    fn place(&self, fd: &OwnedFd) -> String {
        let path = std_fs::read_link(fs::fd_path(fd)).unwrap();
        let base = std_fs::canonicalize(self.path()).unwrap();
        path.strip_prefix(base).unwrap_or_else(|_| panic!("{path:?} is outside")).to_str().unwrap().to_owned()
    }
}

fn both() -> [(&'static str, Resolver); 2] {
    [("openat2", Resolver::default()), ("walk", Resolver::walking())]
}

#[test]
fn paths_end_inside() {
    let tree = Tree::new();
    let root = tree.open();
    for (name, resolver) in both() {
        for (path, place) in [
            ("/", ""),
            ("/.", ""),
            ("/..", ""),
            ("/../../..", ""),
            ("/a/b", "a/b"),
            ("a/b", "a/b"),
            ("//a///b/", "a/b"),
            ("/a/./b/..", "a"),
            ("/a/../../../a/b", "a/b"),
            ("/etc/file", "etc/file"),
            ("/absolute", "etc"),
            ("/absolute/file", "etc/file"),
            ("/climbing/file", "etc/file"),
            ("/relative", "a/b"),
            ("/relative/../../etc", "etc"),
            ("/through", "etc/file"),
            ("/chain1/file", "etc/file"),
            ("/slashed_directory/file", "etc/file"),
            ("/a/up/../etc", "etc"),
        ] {
            match resolver.open(&root, path, Links::Follow) {
                Ok(fd) => assert_eq!(tree.place(&fd), place, "{name} {path}"),
                Err(e) if path == "/a/up/../etc" => assert_eq!(e.errno(), Errno::NOENT, "{name} {path}"),
                Err(e) => panic!("{name} {path}: {e}"),
            }
        }
    }
}

#[test]
fn what_is_not_there_or_not_allowed() {
    let tree = Tree::new();
    let root = tree.open();
    for (name, resolver) in both() {
        for (path, links, errno) in [
            ("/missing", Links::Follow, Errno::NOENT),
            ("/missing/..", Links::Follow, Errno::NOENT),
            ("/etc/file/x", Links::Follow, Errno::NOTDIR),
            ("/etc/file/.", Links::Follow, Errno::NOTDIR),
            ("/etc/file/..", Links::Follow, Errno::NOTDIR),
            ("/etc/file/", Links::Follow, Errno::NOTDIR),
            ("/slashed_file", Links::Follow, Errno::NOTDIR),
            ("/loop", Links::Follow, Errno::LOOP),
            ("/loop/x", Links::Follow, Errno::LOOP),
            ("/dangling", Links::Follow, Errno::NOENT),
            ("/host/secret", Links::Follow, Errno::NOENT),
            ("/a/up/secret", Links::Follow, Errno::NOENT),
            ("/magic_by_name/etc", Links::Follow, Errno::NOENT),
            ("/absolute/file", Links::Refuse, Errno::LOOP),
            ("/relative", Links::Refuse, Errno::LOOP),
            ("/dangling", Links::Refuse, Errno::LOOP),
        ] {
            let e = resolver.open(&root, path, links).unwrap_err();
            assert_eq!(e.errno(), errno, "{name} {path}: {e}");
        }
        assert!(resolver.open(&root, "/a/b", Links::Refuse).is_ok());
    }
}

#[test]
fn magic_links_are_refused_and_plain_ones_of_proc_are_not() {
    let root = fs::open("/", OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).unwrap();
    let _held = std_fs::File::open("/etc/passwd").unwrap();
    for (name, resolver) in both() {
        for path in [
            "/proc/self/exe",
            "/proc/self/cwd",
            "/proc/self/root/etc",
            "/proc/self/fd/0",
            "/proc/self/ns/mnt",
        ] {
            let e = resolver.open(&root, path, Links::Follow).unwrap_err();
            assert_eq!(e.errno(), Errno::LOOP, "{name} {path}: {e}");
        }
        for path in ["/proc/self", "/proc/self/status", "/proc/mounts", "/proc/thread-self/comm"] {
            assert!(resolver.open(&root, path, Links::Follow).is_ok(), "{name} {path}");
        }
    }
}

#[test]
fn what_is_missing_is_made() {
    for (name, resolver) in both() {
        let tree = Tree::new();
        let root = tree.open();
        let (directory, file) = (Make::Directory(0o700), Make::File(0o640));
        for (path, make, place, existed) in [
            ("/a/b", directory, "a/b", true),
            ("/a/new", directory, "a/new", false),
            ("/a/new", directory, "a/new", true),
            ("/x/y/z", directory, "x/y/z", false),
            ("/x/y/f", file, "x/y/f", false),
            ("/p/q/r", file, "p/q/r", false),
            ("/absolute/new", file, "etc/new", false),
            ("/climbing/deep/er", directory, "etc/deep/er", false),
            ("/dangling", directory, "nowhere/deep", false),
            ("/dangling_climbing", file, "nowhere_is_taken", false),
            ("/host/made", directory, "", false),
        ] {
            let got = resolver.make(&root, path, Links::Follow, make);
            // Made above as the directory of `dangling`.
            if path == "/dangling_climbing" {
                assert_eq!(tree.place(&got.unwrap().0), "nowhere", "{name} {path}");
                continue;
            }
            let (fd, was) = got.unwrap();
            if path == "/host/made" {
                // The host's path, below the root.
                assert!(tree.place(&fd).ends_with("outside/made"), "{name}");
                continue;
            }
            assert_eq!((tree.place(&fd).as_str(), was), (place, existed), "{name} {path}");
        }
        assert!(!tree.temp.path().join("outside/made").exists());
        let mode =
            |path: &str| std_fs::metadata(tree.path().join(path)).unwrap().permissions().mode() & 0o7777;
        assert_eq!((mode("x/y/z"), mode("x/y/f"), mode("x")), (0o700, 0o640, 0o755));
        let e = resolver.make(&root, "/etc/file/x", Links::Follow, directory).unwrap_err();
        assert_eq!(e.errno(), Errno::NOTDIR, "{name}");
        let e = resolver.make(&root, "/loop/x", Links::Follow, directory).unwrap_err();
        assert_eq!(e.errno(), Errno::LOOP, "{name}");
        let e = resolver.make(&root, "/dangling_absolute/x", Links::Refuse, directory).unwrap_err();
        assert_eq!(e.errno(), Errno::LOOP, "{name}");
    }
}

#[test]
fn a_dangling_link_makes_what_it_names_inside() {
    for (name, resolver) in both() {
        let tree = Tree::new();
        let root = tree.open();
        symlink("/run/outside.conf", tree.path().join("etc/resolv.conf")).unwrap();
        let (fd, existed) =
            resolver.make(&root, "/etc/resolv.conf", Links::Follow, Make::File(0o644)).unwrap();
        assert_eq!((tree.place(&fd).as_str(), existed), ("run/outside.conf", false), "{name}");
    }
}

#[test]
fn parents() {
    for (name, resolver) in both() {
        let tree = Tree::new();
        let root = tree.open();
        let (dir, last) = resolver.parent(&root, "/absolute/sub/node").unwrap();
        assert_eq!((tree.place(&dir).as_str(), last), ("etc/sub", "node"), "{name}");
        let (dir, last) = resolver.parent(&root, "/node").unwrap();
        assert_eq!((tree.place(&dir).as_str(), last), ("", "node"), "{name}");
    }
}

#[test]
fn only_regular_files_are_read() {
    for (name, resolver) in both() {
        let tree = Tree::new();
        let root = tree.open();
        let file = resolver.read(&root, "/through").unwrap();
        assert_eq!(fs::read_to_end(file, 100).unwrap(), b"inside");
        fs::mknodat(&root, "fifo", FileType::Fifo, 0o600, 0, 0).unwrap();
        assert!(std_fs::metadata(tree.path().join("fifo")).unwrap().file_type().is_fifo());
        for path in ["/fifo", "/etc", "/"] {
            assert_eq!(resolver.read(&root, path).unwrap_err().errno(), Errno::INVAL, "{name} {path}");
        }
        assert_eq!(resolver.read(&root, "/host/secret").unwrap_err().errno(), Errno::NOENT, "{name}");
    }
}

/// Whoever shares the tree swaps a directory for a link out of it, again and again.
#[test]
fn a_racing_swapper_gets_nothing() {
    for (name, resolver) in both() {
        let tree = Tree::new();
        let root = tree.open();
        let (place, stop) = (tree.path(), AtomicBool::new(false));
        symlink("../../outside", place.join("a/trap")).unwrap();
        std_fs::create_dir_all(place.join("a/swap/below")).unwrap();
        let secret = std_fs::metadata(tree.temp.path().join("outside")).unwrap().ino();
        let mut inside = 0;
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let dir = fs::open(place.join("a"), OFlags::PATH, Mode::empty()).unwrap();
                while !stop.load(Ordering::Relaxed) {
                    for (from, to) in [("swap", "kept"), ("trap", "swap"), ("swap", "trap"), ("kept", "swap")]
                    {
                        let _ = fs::renameat(&dir, from, &dir, to);
                    }
                }
            });
            for round in 0..2000 {
                let path = format!("/a/swap/{}", round % 7);
                if let Ok((fd, _)) = resolver.make(&root, &path, Links::Follow, Make::Directory(0o755)) {
                    // The directory itself may be renamed meanwhile, but it is inside.
                    let up = fs::openat(&fd, "..", OFlags::PATH, Mode::empty()).unwrap();
                    assert_ne!(fs::fstat(&up).unwrap().st_ino, secret, "{name}");
                    inside += 1;
                }
                if let Ok(fd) = resolver.open(&root, "/a/swap/../../../outside/secret", Links::Follow) {
                    panic!("{name}: {:?}", std_fs::read_link(fs::fd_path(&fd)));
                }
            }
            stop.store(true, Ordering::Relaxed);
        });
        assert!(inside > 0, "{name}: nothing was ever resolved");
        let outside = std_fs::read_dir(tree.temp.path().join("outside")).unwrap().count();
        assert_eq!(outside, 1, "{name}: something was made outside");
        assert!(Path::new(&tree.temp.path().join("outside/secret")).exists());
    }
}
