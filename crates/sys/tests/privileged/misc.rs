//! Names, network, limits, keys, seccomp, scheduling.

use crate::support::{in_child, status};
use forgeone_sys::process::{self, CpuSet, Namespaces, SchedAttr};
use forgeone_sys::seccomp::{self, Instruction, flag};
use forgeone_sys::{Errno, event, fs, keyring, net, rlimit, signal, uts};
use std::net::UdpSocket;

pub(crate) fn host_name_is_the_namespaces() {
    let read = |name: &str| std::fs::read_to_string(format!("/proc/sys/kernel/{name}")).unwrap();
    let before = read("hostname");
    in_child(Namespaces::UTS, || {
        uts::sethostname("inside").unwrap();
        uts::setdomainname("example.org").unwrap();
        assert_eq!((read("hostname").as_str(), read("domainname").as_str()), ("inside\n", "example.org\n"));
        let long = "x".repeat(65);
        let error = uts::sethostname(&long).unwrap_err();
        assert_eq!(error.to_string(), format!("sethostname(\"{long}\"): EINVAL (Invalid argument)"));
    });
    assert_eq!(read("hostname"), before);
}

pub(crate) fn loopback_comes_up() {
    in_child(Namespaces::NET, || {
        assert!(UdpSocket::bind("127.0.0.1:0").and_then(|s| s.send_to(b"x", s.local_addr()?)).is_err());
        net::loopback_up().unwrap();
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.send_to(b"x", socket.local_addr().unwrap()).unwrap();
        assert_eq!(socket.recv(&mut [0; 4]).unwrap(), 1);
        net::loopback_up().unwrap();
    });
}

pub(crate) fn limits_change() {
    in_child(Namespaces::empty(), || {
        let (_, hard) = rlimit::getrlimit("RLIMIT_NOFILE").unwrap();
        rlimit::setrlimit("RLIMIT_NOFILE", 64, hard).unwrap();
        assert_eq!(rlimit::getrlimit("RLIMIT_NOFILE").unwrap(), (64, hard));
        rlimit::setrlimit("RLIMIT_CORE", 0, 0).unwrap();
        assert_eq!(rlimit::getrlimit("RLIMIT_CORE").unwrap(), (0, 0));
        let error = rlimit::setrlimit("RLIMIT_NOFILE", 65, 64).unwrap_err();
        assert_eq!(
            error.to_string(),
            "prlimit(0, RLIMIT_NOFILE, soft=65, hard=64): EINVAL (Invalid argument)"
        );
        assert_eq!(rlimit::setrlimit("RLIMIT_NONE", 1, 1).unwrap_err().errno(), Errno::INVAL);
    });
    assert_eq!(rlimit::rlimit_number("RLIMIT_RTTIME"), Some(15));
    assert_eq!(rlimit::rlimit_number("NOFILE"), None);
}

pub(crate) fn session_keyring_is_new() {
    in_child(Namespaces::empty(), || {
        let session = match keyring::join_session_keyring("forgeone-test") {
            Err(error) if error.errno() == Errno::NOSYS => {
                testkit::single::skip("the kernel has no keyrings")
            }
            joined => joined.unwrap(),
        };
        let before = keyring::keyring_permissions(session).unwrap();
        // As runc does: the possessor may search what is below.
        keyring::keyring_set_permissions(session, before | 0x0008_0000).unwrap();
        assert_eq!(keyring::keyring_permissions(session).unwrap(), before | 0x0008_0000);
        let error = keyring::keyring_permissions(-12345).unwrap_err();
        assert!(error.to_string().starts_with("keyctl(KEYCTL_DESCRIBE, -12345): E"), "{error}");
    });
}

pub(crate) fn seccomp_filter_and_listener() {
    assert!(seccomp::seccomp_action_available(libc::SECCOMP_RET_ERRNO));
    assert!(!seccomp::seccomp_action_available(0x1234_0000));
    assert!(seccomp::seccomp_flags_supported(0));
    assert!(seccomp::seccomp_flags_supported(
        flag::TSYNC | flag::LOG | flag::SPEC_ALLOW | flag::NEW_LISTENER
    ));
    assert!(seccomp::seccomp_flags_supported(flag::TSYNC_ESRCH | flag::WAIT_KILLABLE_RECV));
    assert!(!seccomp::seccomp_flags_supported(flag::LOG | 1 << 40));
    assert_eq!(status("Seccomp"), "0");
    in_child(Namespaces::empty(), || {
        process::set_no_new_privs().unwrap();
        let allow = Instruction { code: 6, k: libc::SECCOMP_RET_ALLOW, ..Instruction::default() };
        let listener = seccomp::seccomp_load(&[allow], flag::NEW_LISTENER).unwrap().unwrap();
        assert!(fs::cloexec(listener).unwrap());
        assert_eq!(status("Seccomp"), "2");
        let error = seccomp::seccomp_load(&[], 0).unwrap_err();
        let text = "seccomp(SECCOMP_SET_MODE_FILTER, 0x0, 0 instructions): EINVAL (Invalid argument)";
        assert_eq!(error.to_string(), text);
        assert_eq!(seccomp::seccomp_load(&[allow], 1 << 40).unwrap_err().errno(), Errno::INVAL);
        assert_eq!(seccomp::seccomp_load(&vec![allow; 70_000], 0).unwrap_err().errno(), Errno::INVAL);
    });
}

/// A field of `/proc/self/stat`, counted from 1 as in proc(5).
fn stat(field: usize) -> String {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap();
    text.rsplit(')').next().unwrap().split_whitespace().nth(field - 3).unwrap().to_owned()
}

pub(crate) fn scheduling() {
    in_child(Namespaces::empty(), || {
        let all = status("Cpus_allowed_list");
        process::sched_setattr(&SchedAttr { policy: 3, nice: 5, ..SchedAttr::default() }).unwrap();
        assert_eq!((stat(41).as_str(), stat(19).as_str()), ("3", "5"));
        let error = process::sched_setattr(&SchedAttr { policy: 77, ..SchedAttr::default() }).unwrap_err();
        assert_eq!(error.errno(), Errno::INVAL);
        let mut cpus = CpuSet::default();
        assert_eq!(process::sched_setaffinity(0, &cpus).unwrap_err().errno(), Errno::INVAL);
        assert!(cpus.insert(0));
        process::sched_setaffinity(0, &cpus).unwrap();
        assert_eq!(status("Cpus_allowed_list"), "0");
        assert_eq!(process::sched_getaffinity(0).unwrap().iter().collect::<Vec<_>>(), [0]);
        process::sched_setaffinity(0, &CpuSet::all()).unwrap();
        assert_eq!(status("Cpus_allowed_list"), all);
        process::ioprio_set(2, 7).unwrap();
        process::ioprio_set(3, 0).unwrap();
        let error = process::ioprio_set(7, 0).unwrap_err();
        let text = "ioprio_set(IOPRIO_WHO_PROCESS, 0, IOPRIO_PRIO_VALUE(7, 0)): EINVAL (Invalid argument)";
        assert_eq!(error.to_string(), text);
    });
}

pub(crate) fn events_are_counted() {
    let counter = event::eventfd().unwrap();
    assert!(fs::cloexec(&counter).unwrap());
    assert_eq!(event::read_eventfd(&counter).unwrap(), 0);
    fs::write_once(&counter, &3_u64.to_ne_bytes()).unwrap();
    assert_eq!(event::read_eventfd(&counter).unwrap(), 3);
    assert_eq!(event::read_eventfd(&counter).unwrap(), 0);
    let group = format!("/sys/fs/cgroup/memory/{}", testkit::names::unique("event"));
    if std::fs::create_dir(&group).is_err() {
        return testkit::skip("needs cgroup v1's memory");
    }
    let dir = fs::open(group.as_str(), fs::OFlags::PATH, fs::Mode::empty()).unwrap();
    let file = fs::openat(&dir, "memory.oom_control", fs::OFlags::RDONLY, fs::Mode::empty()).unwrap();
    event::count_cgroup_events(&dir, &counter, &file).unwrap();
    drop(file);
    assert_eq!(event::read_eventfd(&counter).unwrap(), 0);
    std::fs::remove_dir(&group).unwrap();
    assert!(signal::wait_readable(&counter, Some(10_000)).unwrap());
    assert_eq!(event::read_eventfd(&counter).unwrap(), 1);
}
