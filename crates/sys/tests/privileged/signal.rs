//! Signals by descriptor, resets and poll.

use crate::support::{in_child, spawn, status};
use forgeone_sys::fs;
use forgeone_sys::process::{self, Namespaces};
use forgeone_sys::signal::{self, PollFd, SignalSet};

pub(crate) fn signals_come_by_descriptor() {
    in_child(Namespaces::empty(), || {
        let before = signal::block_all().unwrap();
        assert_eq!(before, SignalSet::empty());
        let fd = signal::signalfd().unwrap();
        assert!(fs::cloexec(&fd).unwrap());
        assert_eq!(signal::read_signal(&fd).unwrap(), None);
        process::kill(process::getpid(), libc::SIGTERM).unwrap();
        let term = signal::read_signal(&fd).unwrap().unwrap();
        assert_eq!((term.number, term.pid, term.code), (15, process::getpid(), 0));
        let pid = spawn(Namespaces::empty(), || process::exit(3));
        assert_eq!(signal::poll(&mut [PollFd::readable(&fd)], None).unwrap(), 1);
        let child = signal::read_signal(&fd).unwrap().unwrap();
        assert_eq!((child.number, child.pid, child.status), (libc::SIGCHLD, pid, 3));
        assert_eq!(process::wait_any_nohang().unwrap(), Some((pid, process::Exit::Code(3))));
        signal::set_mask(&before).unwrap();
        assert_eq!(status("SigBlk"), "0000000000000000");
    });
}

pub(crate) fn everything_is_reset() {
    in_child(Namespaces::empty(), || {
        // Rust ignores SIGPIPE from the start.
        assert_ne!(status("SigIgn"), "0000000000000000");
        signal::block_all().unwrap();
        // All but SIGKILL and SIGSTOP, the two that libc keeps for itself included.
        assert_eq!(status("SigBlk"), "fffffffffffbfeff");
        signal::reset_all().unwrap();
        assert_eq!(status("SigIgn"), "0000000000000000");
        assert_eq!(status("SigCgt"), "0000000000000000");
        assert_eq!(status("SigBlk"), "0000000000000000");
    });
}

pub(crate) fn children_are_kept_for_who_waits() {
    in_child(Namespaces::empty(), || {
        signal::keep_children().unwrap();
        let pid = spawn(Namespaces::empty(), || process::exit(3));
        assert_eq!(process::wait(pid).unwrap(), process::Exit::Code(3));
    });
}

pub(crate) fn poll_waits_for_what_is_asked() {
    let (reader, writer) = fs::pipe().unwrap();
    let mut fds = [PollFd::readable(&reader), PollFd::writable(&writer)];
    assert_eq!(signal::poll(&mut fds, Some(0)).unwrap(), 1);
    assert!(!fds[0].is_ready() && fds[1].is_writable() && !fds[1].is_readable());
    assert_eq!(signal::poll(&mut [PollFd::readable(&reader)], Some(1)).unwrap(), 0);
    assert!(!signal::wait_readable(&reader, Some(0)).unwrap());
    fs::write_all(&writer, b"x").unwrap();
    assert!(signal::wait_readable(&reader, None).unwrap());
    drop(writer);
    let mut fds = [PollFd::readable(&reader)];
    assert_eq!(signal::poll(&mut fds, Some(1000)).unwrap(), 1);
    assert!(fds[0].is_readable() && fds[0].is_hung_up() && !fds[0].is_error());
    drop(reader);
}
