//! netlink(7): sockets to the kernel, and its verdict about a message.

use super::message::{Reply, attributes, number};
use crate::error::{Errno, Error, Fail, Result, check};
use rustix::net::{AddressFamily, Protocol, SocketFlags, SocketType};
use std::os::fd::{AsRawFd, OwnedFd};

pub(super) const NLM_F_REQUEST: u16 = 1;
pub(super) const NLM_F_ACK: u16 = 4;
pub(super) const NLM_F_DUMP: u16 = 0x300;
pub(super) const NLMSG_ERROR: u16 = 2;
pub(super) const NLMSG_DONE: u16 = 3;
const NLM_F_CAPPED: u16 = 0x100;
const NLM_F_ACK_TLVS: u16 = 0x200;

/// Opens a socket of this protocol (none is `NETLINK_ROUTE`) in the current network namespace, where it stays.
pub(super) fn open(protocol: Option<Protocol>, name: &str) -> Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, protocol)
        .fail(|| format!("socket(AF_NETLINK, SOCK_RAW|SOCK_CLOEXEC, {name})"))?;
    // The kernel says why it refuses (Linux 4.12), and doesn't repeat the question. Without them it still answers.
    for option in [libc::NETLINK_EXT_ACK, libc::NETLINK_CAP_ACK] {
        let (on, size) = (1_i32, size_of::<i32>() as libc::socklen_t);
        // SAFETY: the option's value is an int of `size` bytes, which outlives the call.
        let _ = check(unsafe {
            libc::setsockopt(socket.as_raw_fd(), libc::SOL_NETLINK, option, (&raw const on).cast(), size)
        });
    }
    Ok(socket)
}

/// An acknowledgement, or an error with the kernel's reason.
pub(super) fn verdict(reply: &Reply, call: &dyn Fn() -> String) -> Result<()> {
    /// `NLMSGERR_ATTR_MSG`.
    const MESSAGE: u16 = 1;
    let code = match number(reply.body, 0).map(|code| (code as i32).wrapping_neg()) {
        Some(0) => return Ok(()),
        Some(code @ 1..4096) => code,
        _ => libc::EBADMSG,
    };
    let mut call = call();
    if let Some(message) = reason(reply, MESSAGE) {
        call = format!("{call}: {}", String::from_utf8_lossy(message).trim_end_matches('\0'));
    }
    Err(Error::new(call, Errno::from_raw_os_error(code)))
}

/// What the kernel adds to an error, which has the number and the head of the message that is meant.
pub(super) fn reason<'a>(reply: &Reply<'a>, wanted: u16) -> Option<&'a [u8]> {
    if reply.flags & NLM_F_ACK_TLVS == 0 || reply.flags & NLM_F_CAPPED == 0 {
        return None;
    }
    attributes(reply.body.get(20..)?).find(|(kind, _)| *kind == wanted).map(|(_, value)| value)
}
