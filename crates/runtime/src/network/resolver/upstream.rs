//! The servers that know the rest of the world: those of the host's `/etc/resolv.conf` (resolv.conf(5)), which is read again
//! when it has changed.

use forgeone_sys::net::Route;
use std::fs::{Metadata, metadata, read};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::os::unix::fs::MetadataExt;

const FILE: &str = "/etc/resolv.conf";
/// As libc has it (`MAXNS`).
const SERVERS_MAX: usize = 3;
/// Where DNS is.
pub(super) const PORT: u16 = 53;

/// What tells one state of a file from another.
type Stamp = (u64, u64, u64, i64, i64);

/// The host's servers.
#[derive(Debug, Default)]
pub(super) struct Upstream {
    stamp: Option<Stamp>,
    servers: Vec<SocketAddr>,
}

impl Upstream {
    /// Those of now.
    pub(super) fn servers(&mut self) -> &[SocketAddr] {
        let stamp = metadata(FILE).ok().as_ref().map(stamp);
        if stamp != self.stamp || self.servers.is_empty() {
            self.servers = of_host();
            self.stamp = stamp;
        }
        &self.servers
    }
}

fn stamp(file: &Metadata) -> Stamp {
    (file.dev(), file.ino(), file.size(), file.ctime(), file.ctime_nsec())
}

fn index(name: &str) -> Option<u32> {
    Route::open().and_then(|route| route.link(name)).ok().map(|link| link.index)
}

/// The host's servers of now.
pub(in crate::network) fn of_host() -> Vec<SocketAddr> {
    parse(&String::from_utf8_lossy(&read(FILE).unwrap_or_default()), &index)
}

/// The servers that a resolv.conf names; the machine's own where there are none, as libc does.
fn parse(text: &str, index: &dyn Fn(&str) -> Option<u32>) -> Vec<SocketAddr> {
    let lines = text.lines().filter_map(|line| line.strip_prefix("nameserver"));
    let words =
        lines.filter(|line| line.starts_with([' ', '\t'])).filter_map(|line| line.split_whitespace().next());
    let mut servers: Vec<SocketAddr> =
        words.filter_map(|word| server(word, index)).take(SERVERS_MAX).collect();
    if servers.is_empty() {
        servers.push((Ipv4Addr::LOCALHOST, PORT).into());
    }
    servers
}

/// An address; one of IPv6 may name an interface: `fe80::1%eth0`.
fn server(word: &str, index: &dyn Fn(&str) -> Option<u32>) -> Option<SocketAddr> {
    let Some((address, scope)) = word.split_once('%') else {
        return word.parse::<IpAddr>().ok().map(|address| (address, PORT).into());
    };
    let scope = scope.parse().ok().or_else(|| index(scope))?;
    Some(SocketAddrV6::new(address.parse::<Ipv6Addr>().ok()?, PORT, 0, scope).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_those_that_libc_would_ask() {
        let index = |name: &str| (name == "eth0").then_some(7);
        let shown =
            |text: &str| parse(text, &index).iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        for (text, servers) in [
            ("# nameserver 1.1.1.1\nnameserver 9.9.9.9\n", "9.9.9.9:53"),
            ("search x\nnameserver\t::1 # own\nnameserver 10.0.0.1\n", "[::1]:53 10.0.0.1:53"),
            ("nameserver fe80::1%eth0\nnameserver fe80::1%eth1\n", "[fe80::1%7]:53"),
            ("nameservers 1.1.1.1\nnameserver dns.example\n", "127.0.0.1:53"),
            ("", "127.0.0.1:53"),
            (&"nameserver 10.0.0.1\n".repeat(9), "10.0.0.1:53 10.0.0.1:53 10.0.0.1:53"),
        ] {
            assert_eq!(shown(text), servers, "{text}");
        }
    }
}
