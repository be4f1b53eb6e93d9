//! Connections to whoever answers wrongly, late or not at all. What systemd really says is tried where it runs.

use super::*;
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use testkit::Temp;

/// Connects to a peer that does this with the connection; what comes of `Hello`.
fn greet(peer: impl FnOnce(UnixStream) + Send + 'static) -> Result<Connection> {
    let temp = Temp::new("bus");
    let path = temp.path().join("a bus");
    let listener = UnixListener::bind(&path).unwrap();
    let thread = std::thread::spawn(move || peer(listener.accept().unwrap().0));
    let address = format!("unix:guid=00,path={}", path.to_str().unwrap().replace(' ', "%20"));
    let connected = Connection::to_bus(&address);
    thread.join().unwrap();
    connected
}

/// Reads up to what ends with this.
fn until(stream: &mut UnixStream, end: &[u8]) {
    let mut read = Vec::new();
    let mut byte = [0];
    while !read.ends_with(end) {
        stream.read_exact(&mut byte).unwrap();
        read.push(byte[0]);
    }
}

/// Authenticates the client, and reads its first call.
fn let_in(stream: &mut UnixStream) {
    until(stream, b"\0AUTH EXTERNAL\r\n");
    stream.write_all(b"DATA\r\n").unwrap();
    until(stream, b"DATA\r\n");
    stream.write_all(b"OK 1234\r\n").unwrap();
    until(stream, b"BEGIN\r\n");
    until(stream, b"Hello\0");
}

/// A reply to the first call, or what a broken peer makes of it.
fn reply(change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut bytes = b"l\x02\x00\x01\x08\x00\x00\x00\x01\x00\x00\x00\x0f\x00\x00\x00".to_vec();
    bytes.extend_from_slice(b"\x05\x01u\0\x01\x00\x00\x00\x08\x01g\0\x01s\0\0\x03\x00\x00\x00:.1\0");
    change(&mut bytes);
    bytes
}

#[test]
fn a_bus_that_answers_is_connected() {
    let connection = greet(|mut stream| {
        let_in(&mut stream);
        let whole = reply(|_| {});
        // In two parts, and behind a signal that is for somebody else.
        let mut signal = whole.clone();
        signal[1] = message::SIGNAL;
        stream.write_all(&signal).unwrap();
        stream.write_all(&whole[..20]).unwrap();
        stream.write_all(&whole[20..]).unwrap();
    });
    assert_eq!(connection.unwrap().signals.len(), 1);
}

#[test]
fn a_bus_that_hangs_up_or_answers_wrongly_is_an_error() {
    type Peer = fn(UnixStream);
    let peers: [(Peer, &str); 6] = [
        (|mut stream| until(&mut stream, b"\r\n"), "closed before the answer to authentication"),
        (
            |mut stream| {
                until(&mut stream, b"\r\n");
                stream.write_all(b"REJECTED KERBEROS\r\n").unwrap();
            },
            "authentication is refused: \"REJECTED KERBEROS\"",
        ),
        (
            |mut stream| {
                until(&mut stream, b"\r\n");
                drop(stream.write_all(&[b'x'; 3 * LINE_MAX]));
            },
            "no end",
        ),
        (|mut stream| let_in(&mut stream), "the connection was closed before the answer to Hello"),
        (
            |mut stream| {
                let_in(&mut stream);
                stream.write_all(&reply(|bytes| bytes[32] = 200)).unwrap();
            },
            "broken",
        ),
        (
            |mut stream| {
                let_in(&mut stream);
                stream.write_all(&reply(|bytes| bytes[12..16].fill(0xff))).unwrap();
            },
            "broken",
        ),
    ];
    for (peer, expected) in peers {
        let error = greet(peer).unwrap_err().to_string();
        assert!(error.starts_with("D-Bus unix:guid=00,path="), "{error}");
        assert!(error.contains(expected), "{error}");
        assert!(!error.contains('\n'));
    }
}

#[test]
fn a_bus_that_never_answers_is_an_error() {
    let (done, wait) = std::sync::mpsc::channel::<()>();
    let temp = Temp::new("bus");
    let path = temp.path().join("bus");
    let listener = UnixListener::bind(&path).unwrap();
    let thread = std::thread::spawn(move || {
        let _open = listener.accept();
        let _ = wait.recv();
    });
    let error = Connection::to_bus(&format!("unix:path={}", path.display())).unwrap_err().to_string();
    drop(done);
    thread.join().unwrap();
    assert!(error.ends_with("no answer to authentication within 5 seconds"), "{error}");
}

#[test]
fn a_bus_that_nobody_accepts_on_is_an_error() {
    let temp = Temp::new("bus");
    let path = temp.path().join("bus");
    let listener = UnixListener::bind(&path).unwrap();
    let mut waiting = Vec::new();
    // Until the queue is full.
    while waiting.len() < 5000 {
        match connect(&format!("unix:path={}", path.display())) {
            Ok(socket) => waiting.push(socket),
            Err(e) => {
                assert!(e.to_string().contains("EAGAIN"), "{e}");
                return drop(listener);
            }
        }
    }
    panic!("{} connections that nobody accepts", waiting.len());
}

#[test]
fn addresses_that_lead_nowhere_are_errors() {
    for (address, expected) in [
        ("", "the address of the bus is empty"),
        ("tcp:host=x,port=1", "is not the address of a Unix socket"),
        ("unix:path=/nonexistent/bus", "ENOENT"),
        ("unix:abstract=forgeone-test-nobody", "ECONNREFUSED"),
        ("unix:path=/nonexistent/bus;tcp:x", "ENOENT"),
    ] {
        let error = Connection::to_bus(address).unwrap_err().to_string();
        assert!(error.starts_with("D-Bus") && error.contains(expected), "{error}");
    }
    assert_eq!(unescape("a%20b%2fc%zz%+f%"), b"a b/c%zz%+f%");
}
