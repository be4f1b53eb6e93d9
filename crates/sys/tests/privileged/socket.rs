//! Unix sockets and what goes through them.

use crate::support::spawn;
use forgeone_sys::fs::{self, CWD, Mode, OFlags};
use forgeone_sys::process::{self, Exit, Namespaces};
use forgeone_sys::{AsFd, Errno, socket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener};
use testkit::Temp;

pub(crate) fn messages_carry_descriptors() {
    let (one, other) = socket::seqpacket_pair().unwrap();
    let (reader, writer) = fs::pipe().unwrap();
    socket::send(&one, b"first", &[writer.as_fd(), reader.as_fd()]).unwrap();
    socket::send(&one, b"second", &[]).unwrap();
    let first = socket::receive(&other, 64).unwrap();
    assert_eq!((first.bytes.as_slice(), first.fds.len(), first.eof), (&b"first"[..], 2, false));
    assert!(fs::cloexec(&first.fds[0]).unwrap());
    fs::write_all(&first.fds[0], b"through").unwrap();
    drop((first, writer));
    assert_eq!(fs::read_to_end(&reader, 7).unwrap(), b"through");
    assert_eq!(socket::receive(&other, 64).unwrap().bytes, b"second");
    assert_eq!(socket::send(&one, b"", &[]).unwrap_err().errno(), Errno::INVAL);
}

pub(crate) fn truncation_and_end_are_seen() {
    let (one, other) = socket::seqpacket_pair().unwrap();
    let (reader, writer) = fs::pipe().unwrap();
    socket::send(&one, b"too long", &[writer.as_fd()]).unwrap();
    let error = socket::receive(&other, 4).unwrap_err();
    assert_eq!(error.errno(), Errno::MSGSIZE);
    assert!(error.to_string().contains("4 bytes): message truncated: EMSGSIZE"), "{error}");
    // The descriptor that came with it is closed: this end sees that there is no writer any more.
    drop(writer);
    assert_eq!(fs::read(&reader, &mut [0]).unwrap(), 0);
    drop(one);
    let end = socket::receive(&other, 4).unwrap();
    assert!(end.eof && end.bytes.is_empty());
    assert_eq!(socket::send(&other, b"x", &[]).unwrap_err().errno(), Errno::PIPE);
}

pub(crate) fn path_sockets_of_any_length() {
    let scratch = Temp::new("socket");
    let deep = scratch.path().join("d".repeat(100)).join("e".repeat(100));
    std::fs::create_dir_all(&deep).unwrap();
    let directory = fs::open(&deep, OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).unwrap();
    let listener = socket::listen_seqpacket(&directory, "start.sock").unwrap();
    let client = socket::connect_seqpacket(&directory, "start.sock").unwrap();
    let server = socket::accept(&listener).unwrap();
    assert!(
        fs::cloexec(&listener).unwrap() && fs::cloexec(&client).unwrap() && fs::cloexec(&server).unwrap()
    );
    socket::send(&client, b"start", &[]).unwrap();
    assert_eq!(socket::receive(&server, 16).unwrap().bytes, b"start");
    // A link to a socket, or what is none, is not what a hostile directory can give us.
    fs::symlinkat("start.sock", &directory, "link").unwrap();
    assert_eq!(socket::connect_seqpacket(&directory, "link").unwrap_err().errno(), Errno::NOTSOCK);
    for name in ["", ".", "..", "a/b"] {
        assert_eq!(socket::listen_seqpacket(&directory, name).unwrap_err().errno(), Errno::INVAL);
    }
    assert_eq!(socket::listen_seqpacket(&directory, "start.sock").unwrap_err().errno(), Errno::ADDRINUSE);
    // As a console socket is: a stream, by path.
    process::chdir(&deep).unwrap();
    let console = UnixListener::bind("console.sock").unwrap();
    process::chdir("/").unwrap();
    let client = socket::connect_stream(deep.join("console.sock")).unwrap();
    let (server, _) = console.accept().unwrap();
    let (reader, _writer) = fs::pipe().unwrap();
    socket::send(&client, b"/dev/ptmx", &[reader.as_fd()]).unwrap();
    assert_eq!(socket::receive(&server, 64).unwrap().fds.len(), 1);
    let error = socket::connect_stream(deep.join("none")).unwrap_err();
    assert_eq!(error.errno(), Errno::NOENT);
}

/// As sd_notify(3) has them.
pub(crate) fn datagram_sockets_are_for_everybody() {
    let scratch = Temp::new("socket");
    let deep = scratch.path().join("d".repeat(100)).join("e".repeat(100));
    std::fs::create_dir_all(&deep).unwrap();
    let directory = fs::open(&deep, OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).unwrap();
    let before = process::umask(0o777);
    let socket = socket::bind_datagram(&directory, "notify").unwrap();
    process::umask(before);
    let mode = fs::statat(&directory, "notify", fs::AtFlags::SYMLINK_NOFOLLOW).unwrap().st_mode;
    assert_eq!(mode & 0o777, 0o666, "whatever the mask");
    let hears = |socket: &forgeone_sys::OwnedFd, name: &std::ffi::OsStr| {
        let client = socket::connect_datagram(name).unwrap();
        assert!(fs::cloexec(socket).unwrap() && fs::cloexec(&client).unwrap());
        socket::send(&client, b"READY=1", &[]).unwrap();
        assert_eq!(socket::receive(socket, 16).unwrap().bytes, b"READY=1");
    };
    hears(&socket, deep.join("notify").as_os_str());
    // Again, by who comes later; and in the place of a link that leads elsewhere.
    let later = socket::bind_datagram(&directory, "notify").unwrap();
    hears(&later, deep.join("notify").as_os_str());
    fs::symlinkat("/etc/passwd", &directory, "link").unwrap();
    let over = socket::bind_datagram(&directory, "link").unwrap();
    hears(&over, deep.join("link").as_os_str());
    assert_ne!(std::fs::metadata("/etc/passwd").unwrap().len(), 0);
    let abstract_name = format!("forgeone-test-{}", process::getpid());
    let address = SocketAddr::from_abstract_name(&abstract_name).unwrap();
    let manager = UnixDatagram::bind_addr(&address).unwrap();
    hears(&manager.into(), format!("@{abstract_name}").as_ref());
    for (name, errno) in
        [("relative", Errno::AFNOSUPPORT), ("vsock:2:1", Errno::AFNOSUPPORT), ("", Errno::AFNOSUPPORT)]
    {
        assert_eq!(socket::connect_datagram(name.as_ref()).unwrap_err().errno(), errno, "{name}");
    }
    assert_eq!(socket::connect_datagram("/etc/passwd".as_ref()).unwrap_err().errno(), Errno::NOTSOCK);
    for name in ["", ".", "..", "a/b"] {
        assert_eq!(socket::bind_datagram(&directory, name).unwrap_err().errno(), Errno::INVAL);
    }
}

pub(crate) fn peer_is_known() {
    let scratch = Temp::new("socket");
    let directory = fs::openat(CWD, scratch.path(), OFlags::PATH, Mode::empty()).unwrap();
    let listener = socket::listen_seqpacket(&directory, "s").unwrap();
    let pid = spawn(Namespaces::empty(), || {
        let client = socket::connect_seqpacket(&directory, "s").unwrap();
        assert_eq!(socket::peer(&client).unwrap().pid, process::getppid());
        assert!(socket::receive(&client, 1).unwrap().eof);
    });
    let server = socket::accept(&listener).unwrap();
    let peer = socket::peer(&server).unwrap();
    drop(server);
    assert_eq!((peer.pid, peer.uid, peer.gid), (pid, process::geteuid(), process::getegid()));
    assert_eq!(process::wait(pid).unwrap(), Exit::Code(0));
}
