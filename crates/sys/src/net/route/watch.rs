//! Links that come and go, as the kernel tells of them (`RTNLGRP_LINK`).

use super::*;
use rustix::net::netlink::SocketAddrNetlink;

const RTMGRP_LINK: u32 = 1;
const RTM_DELLINK: u16 = 17;

/// A socket that is readable when an interface of its network namespace has changed.
#[derive(Debug)]
pub struct LinkWatch {
    socket: OwnedFd,
}

impl LinkWatch {
    /// Begins to watch the current network namespace.
    pub fn open() -> Result<Self> {
        let socket = Route::open()?.socket;
        rustix::net::bind(&socket, &SocketAddrNetlink::new(0, RTMGRP_LINK))
            .fail(|| "bind(AF_NETLINK, RTMGRP_LINK)".into())?;
        Ok(Self { socket })
    }

    /// Whether an interface has gone since it was asked last; it doesn't wait. Where too much has happened at once for
    /// all of it to be told, one may have.
    pub fn gone(&mut self) -> Result<bool> {
        let mut buffer = vec![0; BUFFER];
        let mut gone = false;
        loop {
            match retry(|| rustix::net::recv(&self.socket, &mut buffer[..], RecvFlags::DONTWAIT)) {
                Ok((length, _)) => gone |= replies(&buffer[..length]).any(|reply| is_end(&reply)),
                Err(Errno::NOBUFS) => gone = true,
                Err(Errno::AGAIN) => return Ok(gone),
                Err(errno) => return Err(errno).fail(|| "recv(AF_NETLINK, RTMGRP_LINK)".into()),
            }
        }
    }
}

/// A port that leaves its bridge is told of in the same way, with the bridge's family: it isn't gone.
fn is_end(reply: &Reply) -> bool {
    reply.kind == RTM_DELLINK
        && reply.body.first().is_some_and(|family| i32::from(*family) == libc::AF_UNSPEC)
}

impl AsFd for LinkWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
