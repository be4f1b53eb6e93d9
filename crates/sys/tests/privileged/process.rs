//! clone, setns, wait and the process's attributes.

use crate::support::{Group, exit_of, in_child, need_root, run_and_exit, spawn, status};
use forgeone_sys::fs::{self, Mode, OFlags};
use forgeone_sys::process::{self, CloneArgs, Exit, Forked, Namespaces};
use forgeone_sys::{AsFd, Errno, OwnedFd};
use std::os::fd::{AsRawFd, IntoRawFd};
use testkit::Temp;

const KINDS: [(Namespaces, &str); 7] = [
    (Namespaces::MOUNT, "mnt"),
    (Namespaces::UTS, "uts"),
    (Namespaces::IPC, "ipc"),
    (Namespaces::USER, "user"),
    (Namespaces::PID, "pid"),
    (Namespaces::NET, "net"),
    (Namespaces::CGROUP, "cgroup"),
];

fn namespace(kind: &str) -> String {
    std::fs::read_link(format!("/proc/self/ns/{kind}")).unwrap().to_string_lossy().into_owned()
}

fn open_namespace(pid: i32, kind: &str) -> OwnedFd {
    fs::open(format!("/proc/{pid}/ns/{kind}"), OFlags::RDONLY, Mode::empty()).unwrap()
}

pub(crate) fn clone_makes_namespaces() {
    need_root();
    let mut all = Namespaces::empty();
    for (kind, _) in KINDS {
        all |= kind;
    }
    let before: Vec<String> = KINDS.iter().map(|(_, name)| namespace(name)).collect();
    let own = process::getpid();
    match process::clone(&CloneArgs { namespaces: all, ..CloneArgs::default() }).unwrap() {
        Forked::Parent(child) => {
            process::pidfd_send_signal(child.pidfd.as_ref().unwrap(), 0).unwrap();
            assert!(fs::cloexec(child.pidfd.as_ref().unwrap()).unwrap());
            assert_ne!(child.pid, own);
            assert_eq!(process::wait(child.pid).unwrap(), Exit::Code(0));
        }
        Forked::Child => run_and_exit(|| {
            assert_eq!((process::getpid(), process::getppid()), (1, 0));
            for ((_, name), before) in KINDS.iter().zip(before) {
                // /proc is the parent's still, but "self" is found by the reader's place in it.
                assert_ne!(namespace(name), before, "{name}");
            }
        }),
    }
}

pub(crate) fn clone_refuses_threads() {
    assert!(process::single_threaded());
    let (sender, receiver) = std::sync::mpsc::channel::<()>();
    let thread = std::thread::spawn(move || assert!(receiver.recv().is_err()));
    assert!(!process::single_threaded());
    let error = process::clone(&CloneArgs::default()).unwrap_err();
    assert_eq!(error.errno(), Errno::INVAL);
    assert!(error.to_string().contains("more than one thread"), "{error}");
    drop(sender);
    thread.join().unwrap();
}

pub(crate) fn clone_makes_a_sibling() {
    let own = process::getpid();
    let pid = spawn(Namespaces::empty(), || {
        let args = CloneArgs { parent: true, ..CloneArgs::default() };
        match process::clone(&args).unwrap() {
            Forked::Parent(sibling) => assert!(sibling.pid > 0 && sibling.pidfd.is_some()),
            Forked::Child => process::exit(if process::getppid() == own { 42 } else { 43 }),
        }
    });
    assert_eq!(process::wait(pid).unwrap(), Exit::Code(0));
    assert_eq!(process::wait(-1).unwrap(), Exit::Code(42));
}

pub(crate) fn clone_into_cgroup() {
    need_root();
    let group = Group::new();
    let directory = fs::open(group.path(), OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()).unwrap();
    let args = CloneArgs { into_cgroup: Some(directory.as_fd()), ..CloneArgs::default() };
    let name = group.path().file_name().unwrap().to_string_lossy().into_owned();
    match process::clone(&args).unwrap() {
        Forked::Parent(child) => assert_eq!(process::wait(child.pid).unwrap(), Exit::Code(0)),
        Forked::Child => run_and_exit(|| {
            let groups = std::fs::read_to_string("/proc/self/cgroup").unwrap();
            assert!(groups.lines().any(|line| line.starts_with("0::") && line.ends_with(&name)), "{groups}");
        }),
    }
}

pub(crate) fn setns_by_namespace_and_by_pidfd() {
    need_root();
    let (ready, wait_here) = fs::pipe().unwrap();
    let args = CloneArgs { namespaces: Namespaces::UTS | Namespaces::NET, ..CloneArgs::default() };
    let Forked::Parent(child) = process::clone(&args).unwrap() else {
        drop(wait_here);
        run_and_exit(|| assert_eq!(fs::read(&ready, &mut [0]).unwrap(), 0));
    };
    let expected = std::fs::read_link(format!("/proc/{}/ns/uts", child.pid)).unwrap();
    let pidfd = child.pidfd.unwrap();
    in_child(Namespaces::empty(), || {
        process::setns(open_namespace(child.pid, "uts"), Namespaces::UTS).unwrap();
        assert_eq!(namespace("uts"), expected.to_string_lossy());
        let error = process::setns(open_namespace(child.pid, "uts"), Namespaces::NET).unwrap_err();
        assert!(error.to_string().ends_with(">, CLONE_NEWNET): EINVAL (Invalid argument)"), "{error}");
    });
    in_child(Namespaces::empty(), || {
        process::setns(&pidfd, Namespaces::UTS | Namespaces::NET).unwrap();
        assert_eq!(namespace("uts"), expected.to_string_lossy());
        process::unshare(Namespaces::UTS).unwrap();
        assert_ne!(namespace("uts"), expected.to_string_lossy());
    });
    drop(wait_here);
    assert_eq!(process::wait(child.pid).unwrap(), Exit::Code(0));
}

pub(crate) fn wait_tells_how_it_ended() {
    assert_eq!(process::wait_any_nohang().unwrap(), None);
    let pid = spawn(Namespaces::empty(), || process::exit(7));
    assert_eq!(process::wait(pid).unwrap(), Exit::Code(7));
    let (ready, wait_here) = fs::pipe().unwrap();
    let pid = spawn(Namespaces::empty(), || drop(fs::read(&ready, &mut [0])));
    assert_eq!(process::wait_nohang(pid).unwrap(), None);
    assert_eq!(process::wait_any_nohang().unwrap(), None);
    process::pidfd_send_signal(process::pidfd_open(pid).unwrap(), libc::SIGKILL).unwrap();
    let exit = process::wait(pid).unwrap();
    assert_eq!((exit, exit.status()), (Exit::Signal(9), 137));
    drop(wait_here);
    let error = process::wait(pid).unwrap_err();
    assert_eq!(error.to_string(), format!("waitpid({pid}, __WALL): ECHILD (No child processes)"));
    assert_eq!(process::kill(pid, 0).unwrap_err().errno(), Errno::SRCH);
    assert_eq!(process::pidfd_open(-1).unwrap_err().errno(), Errno::SRCH);
}

pub(crate) fn orphans_and_their_death_signal() {
    in_child(Namespaces::empty(), || {
        process::set_child_subreaper(true).unwrap();
        let (alive, held) = fs::pipe().unwrap();
        let middle = spawn(Namespaces::empty(), || {
            let (ready, set) = fs::pipe().unwrap();
            spawn(Namespaces::empty(), || {
                process::set_parent_death_signal(libc::SIGTERM).unwrap();
                // This side's copy; the one in the process between is gone with the closure.
                drop(set);
                drop(fs::read(&alive, &mut [0]));
                process::exit(9);
            });
            assert_eq!(fs::read(&ready, &mut [0]).unwrap(), 0);
        });
        assert_eq!(process::wait(middle).unwrap(), Exit::Code(0));
        assert_eq!(process::wait(-1).unwrap(), Exit::Signal(libc::SIGTERM));
        drop(held);
    });
}

pub(crate) fn attributes_of_the_process() {
    in_child(Namespaces::empty(), || {
        process::set_no_new_privs().unwrap();
        assert_eq!(status("NoNewPrivs"), "1");
        process::set_name(c"forgeone[test]").unwrap();
        assert_eq!(status("Name"), "forgeone[test]");
        process::umask(0o077);
        assert_eq!(process::umask(0o022), 0o077);
        assert_eq!(process::setsid().unwrap(), process::getpid());
        process::chdir("/usr").unwrap();
        assert_eq!(process::getcwd().unwrap().to_str(), Some("/usr"));
        process::fchdir(fs::open("/proc", OFlags::PATH, Mode::empty()).unwrap()).unwrap();
        assert_eq!(process::getcwd().unwrap().to_str(), Some("/proc"));
        process::personality(0x0004_0000).unwrap();
        assert_eq!(std::fs::read_to_string("/proc/self/personality").unwrap().trim(), "00040000");
    });
    let deleted = exit_of(Namespaces::empty(), || {
        let temp = Temp::new("cwd");
        process::chdir(temp.path()).unwrap();
        drop(temp);
        assert_eq!(process::getcwd().unwrap_err().errno(), Errno::NOENT);
    });
    assert_eq!(deleted, Exit::Code(0));
}

pub(crate) fn close_range_marks_and_closes() {
    in_child(Namespaces::empty(), marks_and_closes);
}

/// What holds for both calls, whichever way they go.
pub(crate) fn marks_and_closes() {
    let file = fs::open("/dev/null", OFlags::RDONLY, Mode::empty()).unwrap();
    fs::set_cloexec(&file, false).unwrap();
    let low = fs::dup(&file).unwrap();
    fs::set_cloexec(&low, false).unwrap();
    let (first, second) = if file.as_raw_fd() < low.as_raw_fd() { (file, low) } else { (low, file) };
    process::close_range_cloexec(second.as_raw_fd() as u32).unwrap();
    assert!(!fs::cloexec(&first).unwrap() && fs::cloexec(&second).unwrap());
    let number = second.as_raw_fd() as u32;
    // Nobody may own what close_from closes.
    std::mem::forget(second);
    process::close_from(number).unwrap();
    assert_eq!(fs::take_fd(number).unwrap_err().errno(), Errno::BADF);
    assert!(!fs::cloexec(&first).unwrap());
    let kept: Vec<_> = (0..3).map(|_| fs::dup(&first).unwrap()).collect();
    let lost: Vec<u32> = (0..3).map(|_| fs::dup(&first).unwrap().into_raw_fd() as u32).collect();
    let high = fs::dup(&first).unwrap();
    let keep = [high.as_fd(), kept[1].as_fd(), kept[0].as_fd(), kept[2].as_fd(), fs::stdin()];
    process::close_all_but(first.as_raw_fd() as u32 + 1, &keep).unwrap();
    for number in lost {
        assert_eq!(fs::take_fd(number).unwrap_err().errno(), Errno::BADF);
    }
    assert!(kept.iter().chain([&first, &high]).all(|fd| fs::fstat(fd).is_ok()));
}
