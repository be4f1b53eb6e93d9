//! Network namespaces that containers get before they are there.

use super::user;
use crate::error::{During, Result};
use forgeone_sys::fs::{self, Mode, OFlags};
use forgeone_sys::net::loopback_up;
use forgeone_sys::process::{Namespaces, setns, unshare};
use forgeone_sys::{Errno, OwnedFd};

/// The table of interfaces is read up to this size.
const TABLE_MAX: usize = 1 << 20;

/// The namespace that the calling thread is in.
const CURRENT: &str = "/proc/thread-self/ns/net";

/// Makes a network namespace, with its loopback interface up. It lives for as long as somebody has its descriptor or is
/// in it; the calling thread is back where it was. In a user namespace without rights over the network namespace that it is
/// in, it could not come back: a child makes it, of a caller with one thread.
///
/// # Errors
/// The kernel's answer, such as that the caller may not or that there are too many.
pub fn new_namespace() -> Result<OwnedFd> {
    let open = || fs::open(CURRENT, OFlags::RDONLY, Mode::empty());
    let make = || -> Result<OwnedFd> {
        let here = open()?;
        match setns(&here, Namespaces::NET) {
            Err(e) if e.errno() == Errno::PERM => return user::child::new_namespace(),
            may => may?,
        }
        unshare(Namespaces::NET)?;
        let made = loopback_up().and_then(|()| open());
        if setns(&here, Namespaces::NET).is_err() {
            // In the wrong namespace whatever it did next would be wrong.
            std::process::abort();
        }
        Ok(made?)
    };
    make().during(|| "network namespace")
}

/// What went through an interface since it is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Bytes that came.
    pub rx_bytes: u64,
    /// Packets that came.
    pub rx_packets: u64,
    /// Packets that came and were wrong.
    pub rx_errors: u64,
    /// Packets that came and were thrown away.
    pub rx_dropped: u64,
    /// Bytes that were sent.
    pub tx_bytes: u64,
    /// Packets that were sent.
    pub tx_packets: u64,
    /// Packets that could not be sent.
    pub tx_errors: u64,
    /// Packets that were thrown away before they were sent.
    pub tx_dropped: u64,
}

/// The interfaces of the network that a process is in but for the loopback, with what went through them; `process` is its
/// directory in `/proc`. It needs no right in that network.
///
/// # Errors
/// If the process is gone.
pub fn statistics(process: &str) -> Result<Vec<(String, Counters)>> {
    let path = format!("{process}/net/dev");
    let text = fs::read_file_at(fs::CWD, &*path, TABLE_MAX).during(|| path.clone())?;
    Ok(String::from_utf8_lossy(&text)
        .lines()
        .filter_map(interface)
        .filter(|(name, _)| name != "lo")
        .collect())
}

/// A line of `net/dev`: `eth0: bytes packets errs drop fifo frame compressed multicast bytes packets errs drop …`.
fn interface(line: &str) -> Option<(String, Counters)> {
    let (name, rest) = line.split_once(':')?;
    let numbers: Vec<u64> =
        rest.split_whitespace().map(str::parse).collect::<std::result::Result<_, _>>().ok()?;
    let &[
        rx_bytes,
        rx_packets,
        rx_errors,
        rx_dropped,
        _,
        _,
        _,
        _,
        tx_bytes,
        tx_packets,
        tx_errors,
        tx_dropped,
        ..,
    ] = numbers.as_slice()
    else {
        return None;
    };
    let counters =
        Counters { rx_bytes, rx_packets, rx_errors, rx_dropped, tx_bytes, tx_packets, tx_errors, tx_dropped };
    Some((name.trim().to_owned(), counters))
}
