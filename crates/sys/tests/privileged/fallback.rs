//! What is left when a kernel, or a seccomp filter around us, hasn't got the newer calls.

use crate::process::marks_and_closes;
use crate::support::{Group, deny, deny_argument, in_child, need_root};
use forgeone_sys::fs::{self, CWD, Mode, OFlags, ResolveFlags};
use forgeone_sys::mount::{self, MountAttrFlags, MountFlags, OpenTreeFlags};
use forgeone_sys::process::{self, CloneArgs, Exit, Forked, Namespaces};
use forgeone_sys::{AsFd, Errno, Result, credentials, pty};

const NEWER: [libc::c_long; 9] = [
    libc::SYS_openat2,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsmount,
    libc::SYS_mount_setattr,
    libc::SYS_move_mount,
    libc::SYS_clone3,
    libc::SYS_pidfd_open,
    libc::SYS_close_range,
];

pub(crate) fn missing_calls_are_reported_and_clone_and_close_range_go_on() {
    without_newer_calls(Errno::NOSYS);
}

pub(crate) fn filtered_calls_are_reported_and_clone_and_close_range_go_on() {
    without_newer_calls(Errno::PERM);
}

fn without_newer_calls(errno: Errno) {
    need_root();
    let group = Group::new();
    in_child(Namespaces::MOUNT, || {
        let directory = fs::open(group.path(), OFlags::PATH, Mode::empty()).unwrap();
        deny(&NEWER, errno);
        let none = MountAttrFlags::empty();
        fails(errno, "openat2", fs::openat2(CWD, "/", OFlags::PATH, Mode::empty(), ResolveFlags::empty()));
        fails(errno, "open_tree", mount::open_tree(CWD, "/", OpenTreeFlags::empty()));
        fails(errno, "fsopen", mount::fsopen("tmpfs"));
        fails(errno, "fsmount", mount::fsmount(&directory, none));
        fails(errno, "mount_setattr", mount::mount_setattr(CWD, "/", false, none, none, None, None));
        fails(errno, "move_mount", mount::move_mount(&directory, &directory));
        fails(errno, "pidfd_open", process::pidfd_open(process::getpid()));
        clone_goes_on();
        let args = CloneArgs { into_cgroup: Some(directory.as_fd()), ..CloneArgs::default() };
        fails(Errno::NOSYS, "clone", process::clone(&args));
        marks_and_closes();
    });
}

fn fails<T>(errno: Errno, call: &str, result: Result<T>) {
    let Err(error) = result else { panic!("{call} succeeded") };
    assert_eq!(error.errno(), errno, "{error}");
    assert!(error.to_string().starts_with(&format!("{call}(")), "{error}");
}

/// clone(2) makes namespaces, a pidfd and siblings as clone3 does.
fn clone_goes_on() {
    let args = CloneArgs { namespaces: Namespaces::PID | Namespaces::UTS, ..CloneArgs::default() };
    match process::clone(&args).unwrap() {
        Forked::Parent(child) => {
            process::pidfd_send_signal(child.pidfd.as_ref().unwrap(), 0).unwrap();
            assert!(fs::cloexec(child.pidfd.as_ref().unwrap()).unwrap());
            assert_eq!(process::wait(child.pid).unwrap(), Exit::Code(1));
        }
        Forked::Child => process::exit(process::getpid()),
    }
    let args = CloneArgs { namespaces: Namespaces::TIME, ..CloneArgs::default() };
    fails(Errno::NOSYS, "clone", process::clone(&args));
}

pub(crate) fn clone_without_pidfd() {
    in_child(Namespaces::empty(), || {
        deny(&[libc::SYS_clone3], Errno::NOSYS);
        deny_argument(libc::SYS_clone, 0, libc::CLONE_PIDFD as u32, true, Errno::INVAL);
        match process::clone(&CloneArgs::default()).unwrap() {
            Forked::Parent(child) => {
                assert!(child.pidfd.is_none());
                assert_eq!(process::wait(child.pid).unwrap(), Exit::Code(5));
            }
            Forked::Child => process::exit(5),
        }
    });
}

pub(crate) fn descriptors_are_closed_without_proc() {
    in_child(Namespaces::MOUNT, || {
        mount::mount("none", "/proc", "tmpfs", MountFlags::empty(), None).unwrap();
        std::fs::create_dir_all("/proc/self/fd").unwrap();
        deny(&[libc::SYS_close_range], Errno::NOSYS);
        marks_and_closes();
    });
}

pub(crate) fn threads_are_counted_where_unshare_is_filtered() {
    in_child(Namespaces::empty(), || {
        deny(&[libc::SYS_unshare], Errno::PERM);
        assert!(process::single_threaded());
        let (sender, receiver) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::spawn(move || assert!(receiver.recv().is_err()));
        assert!(!process::single_threaded());
        drop(sender);
        thread.join().unwrap();
    });
}

pub(crate) fn a_real_eperm_of_clone3_stays() {
    in_child(Namespaces::empty(), || {
        credentials::setresuid(65534).unwrap();
        let args = CloneArgs { namespaces: Namespaces::NET, ..CloneArgs::default() };
        let error = process::clone(&args).unwrap_err();
        let text = "clone3(CLONE_NEWNET|CLONE_PIDFD): EPERM (Operation not permitted)";
        assert_eq!(error.to_string(), text);
    });
}

pub(crate) fn pty_peer_is_opened_by_number() {
    in_child(Namespaces::MOUNT, || {
        let devpts = crate::pty::devpts();
        deny_argument(libc::SYS_ioctl, 1, libc::TIOCGPTPEER as u32, false, Errno::INVAL);
        let first = pty::open_pty(&devpts).unwrap();
        let pty = pty::open_pty(&devpts).unwrap();
        assert_eq!((pty::pty_number(&first.master).unwrap(), pty::pty_number(&pty.master).unwrap()), (0, 1));
        crate::pty::are_connected(&pty);
    });
}
