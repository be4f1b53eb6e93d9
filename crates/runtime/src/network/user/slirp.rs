//! slirp4netns(1): it stays what was started, says that it is ready, and is told of ports by a socket.

use super::program::{NAMESPACE, command, process_of, said, spawn};
use super::record::Process;
use super::{MTU, Wish, has_ipv6};
use crate::error::{During, Error, Kind, Result};
use crate::network::model::Port;
use forgeone_sys::fs::{self, CWD, Mode, OFlags};
use forgeone_sys::{BorrowedFd, OwnedFd, socket};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::{IpAddr, Shutdown};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

/// Where it listens, in the container's directory.
const SOCKET: &str = "slirp.sock";
/// What it says is read up to this size.
const SAID_MAX: usize = 16 << 10;
/// How long it may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) fn start(path: &Path, directory: &Path, namespace: BorrowedFd, wish: &Wish) -> Result<Process> {
    let requests = wish.ports.iter().map(request).collect::<Result<Vec<Value>>>()?;
    // What it says later has nobody who reads it; a file that can't grow takes no more.
    let errors = fs::memfd_create("slirp4netns", true)?;
    let (reader, writer) = fs::pipe()?;
    let _ = std::fs::remove_file(directory.join(SOCKET));
    let mut command = command(path, directory, namespace)?;
    command.args(words(wish)).args([NAMESPACE, &wish.interface]);
    command.stdout(Stdio::from(writer)).stderr(Stdio::from(fs::dup(&errors)?));
    let child = spawn(&mut command);
    drop(command);
    let mut child = child?;
    let ready = is_ready(&reader)?;
    let process = ready.then(|| process_of(child.id().cast_signed())).transpose()?;
    let Some(process) = process else {
        let _ = child.wait();
        fs::rewind(&errors)?;
        return Err(said(&fs::read_up_to(&errors, SAID_MAX)?));
    };
    let sealed = fs::memfd_seal(&errors).map_err(Error::from);
    let opened = requests.iter().zip(&wish.ports).try_for_each(|(request, port)| {
        open(directory, request).during(|| format!("port {}", port.host_port))
    });
    let _ = std::fs::remove_file(directory.join(SOCKET));
    match sealed.and(opened) {
        Ok(()) => Ok(process),
        Err(e) => {
            process.end();
            let _ = child.wait();
            Err(e)
        }
    }
}

/// What it is told, but for where.
fn words(wish: &Wish) -> Vec<String> {
    let mut words: Vec<String> =
        ["--configure", "--netns-type=path", "--ready-fd=1", "--enable-sandbox", "--enable-seccomp"]
            .map(String::from)
            .into();
    words.push(format!("--mtu={}", wish.mtu.unwrap_or(MTU)));
    words.extend(wish.mac.map(|mac| format!("--macaddress={mac}")));
    if !wish.host_loopback {
        words.push("--disable-host-loopback".to_owned());
    }
    if has_ipv6() {
        words.push("--enable-ipv6".to_owned());
    }
    if !wish.ports.is_empty() {
        words.push(format!("--api-socket={SOCKET}"));
    }
    words
}

/// Whether it says that it is ready, `1` behind all else, before it ends.
fn is_ready(output: &OwnedFd) -> Result<bool> {
    let mut last = None;
    loop {
        match fs::read_up_to(output, 1)?.first() {
            Some(byte) => last = Some(*byte),
            None => return Ok(last == Some(b'1')),
        }
    }
}

fn request(Port { protocol, host, host_port, container_port }: &Port) -> Result<Value> {
    if let Some(host @ IpAddr::V6(_)) = host {
        let message =
            format!("port {host_port} of {host}: slirp4netns publishes no IPv6; install the package passt");
        return Err(Error::new(Kind::Unsupported, message));
    }
    let host = host.map_or_else(|| "0.0.0.0".to_owned(), |host| host.to_string());
    let arguments = json!({
        "proto": protocol.word(), "host_addr": host, "host_port": host_port, "guest_port": container_port,
    });
    Ok(json!({ "execute": "add_hostfwd", "arguments": arguments }))
}

/// Has it listen at a port.
fn open(directory: &Path, request: &Value) -> Result<()> {
    let failed = |e: std::io::Error| Error::new(Kind::System, e.to_string());
    // A path of any length.
    let place = fs::openat(CWD, directory.join(SOCKET), OFlags::PATH | OFlags::NOFOLLOW, Mode::empty())?;
    let mut stream = UnixStream::from(socket::connect_stream_within(&place, PATIENCE)?);
    stream.set_read_timeout(Some(PATIENCE)).map_err(failed)?;
    stream.write_all(request.to_string().as_bytes()).map_err(failed)?;
    stream.shutdown(Shutdown::Write).map_err(failed)?;
    let mut answer = Vec::new();
    stream.take(SAID_MAX as u64).read_to_end(&mut answer).map_err(failed)?;
    let answer: Value = serde_json::from_slice(&answer).unwrap_or_default();
    match answer.get("return") {
        Some(_) => Ok(()),
        None => Err(Error::new(Kind::System, "can't be opened")),
    }
}
