//! What has to be done in another network namespace by somebody who could not come back from it: by a child.

use crate::error::{During, Error, Kind, Result};
use crate::network::Mac;
use forgeone_sys::fs::{self, Mode, OFlags};
use forgeone_sys::net::{Route, loopback_up};
use forgeone_sys::process::{self, CloneArgs, Forked, Namespaces, exit, setns, unshare};
use forgeone_sys::socket::{Message, receive, send, seqpacket_pair};
use forgeone_sys::{AsFd, BorrowedFd, OwnedFd};
use ipnet::{IpNet, Ipv6Net};
use std::net::Ipv6Addr;

const CURRENT: &str = "/proc/self/ns/net";
/// What a child says is at most this long.
const MESSAGE_MAX: usize = 16 << 10;

/// What an interface has.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) mac: Option<Mac>,
    /// Those of IPv6 that reach beyond the link.
    pub(super) addresses: Vec<IpNet>,
}

/// Has a child do something and tell it: text, and a descriptor.
fn by_child(work: impl FnOnce() -> Result<(String, Option<OwnedFd>)>) -> Result<Message> {
    let (ours, theirs) = seqpacket_pair()?;
    match process::clone(&CloneArgs::default())? {
        Forked::Child => {
            let told = work().map_or_else(
                |e| send(&theirs, format!("!{e}").as_bytes(), &[]),
                |(text, fd)| {
                    let fds: Vec<BorrowedFd> = fd.iter().map(|fd| fd.as_fd()).collect();
                    send(&theirs, format!("={text}").as_bytes(), &fds)
                },
            );
            exit(i32::from(told.is_err()))
        }
        Forked::Parent(child) => {
            drop(theirs);
            let said = receive(&ours, MESSAGE_MAX);
            process::wait(child.pid)?;
            let mut said = said?;
            match said.bytes.first() {
                Some(b'=') => {
                    said.bytes.remove(0);
                    Ok(said)
                }
                Some(_) => {
                    Err(Error::new(Kind::System, String::from_utf8_lossy(&said.bytes[1..]).into_owned()))
                }
                None => Err(Error::new(Kind::System, "a process of ours has ended without a word")),
            }
        }
    }
}

/// Makes a network namespace, with its loopback interface up.
pub(in crate::network) fn new_namespace() -> Result<OwnedFd> {
    let mut said = by_child(|| {
        unshare(Namespaces::NET)?;
        loopback_up()?;
        Ok((String::new(), Some(fs::open(CURRENT, OFlags::RDONLY, Mode::empty())?)))
    })?;
    said.fds.pop().ok_or_else(|| Error::new(Kind::System, "nobody gave it"))
}

/// What an interface of a network namespace has.
pub(super) fn look(namespace: BorrowedFd, interface: &str) -> Result<Found> {
    let said = by_child(|| {
        setns(namespace, Namespaces::NET)?;
        let mac = Route::open()?.device(interface)?.and_then(|device| device.mac).map(Mac);
        let table = std::fs::read_to_string("/proc/self/net/if_inet6").unwrap_or_default();
        Ok((format!("{}\n{table}", mac.map(|mac| mac.to_string()).unwrap_or_default()), None))
    });
    let said = said.during(|| format!("interface {interface:?}"))?;
    Ok(found(&String::from_utf8_lossy(&said.bytes), interface))
}

/// The hardware address, and below it the lines of `/proc/net/if_inet6`: address, index, prefix, scope, flags, interface.
fn found(text: &str, interface: &str) -> Found {
    let mut lines = text.lines();
    let mac = lines.next().and_then(|line| line.parse().ok());
    let address = |line: &str| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let [address, _, prefix, scope, _, name] = fields[..] else { return None };
        let address = Ipv6Addr::from_bits(u128::from_str_radix(address, 16).ok()?);
        let net = Ipv6Net::new(address, u8::from_str_radix(prefix, 16).ok()?).ok()?;
        (name == interface && scope == "00").then_some(IpNet::V6(net))
    };
    Found { mac, addresses: lines.filter_map(address).collect() }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_the_interface_that_reach_beyond_the_link() {
        let text = "02:00:00:00:00:01\n00000000000000000000000000000001 01 80 10 80       lo\n\
                    20010db8000000000000000000000001 02 40 00 80     eth0\n\
                    fe800000000000003c52cefffefd05b5 02 40 20 80     eth0\n";
        let mac = Some("02:00:00:00:00:01".parse().unwrap());
        let addresses = vec!["2001:db8::1/64".parse().unwrap()];
        assert_eq!(found(text, "eth0"), Found { mac, addresses });
        assert_eq!(found("", "eth0"), Found::default());
    }
}
