//! What networks need of the host itself: its settings, its addresses that are taken, and the marks of what is ours.

use super::pools::Taken;
use crate::error::{During, Error, Kind, Result};
use forgeone_sys::net::{Route, RouteKind};
use forgeone_sys::{Errno, fs};
use ipnet::IpNet;
use sha2::{Digest, Sha256};
use std::path::Path;

const IPV6: &str = "/proc/sys/net/ipv6/conf";
const IPV4: &str = "/proc/sys/net/ipv4/conf";

/// A setting of an interface, of the network namespace that the calling thread is in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Setting {
    v4: bool,
    name: &'static str,
}

pub(super) const ARP_NOTIFY: Setting = Setting { v4: true, name: "arp_notify" };
pub(super) const ROUTE_LOCALNET: Setting = Setting { v4: true, name: "route_localnet" };
pub(super) const NDISC_NOTIFY: Setting = Setting { v4: false, name: "ndisc_notify" };
pub(super) const ACCEPT_RA: Setting = Setting { v4: false, name: "accept_ra" };
pub(super) const ACCEPT_DAD: Setting = Setting { v4: false, name: "accept_dad" };
pub(super) const DISABLE_IPV6: Setting = Setting { v4: false, name: "disable_ipv6" };
const FORWARDING: Setting = Setting { v4: false, name: "forwarding" };

impl Setting {
    fn path(self, interface: &str) -> String {
        format!("{}/{interface}/{}", if self.v4 { IPV4 } else { IPV6 }, self.name)
    }

    /// Sets it; a kernel that doesn't have it does without.
    pub(super) fn set(self, interface: &str, value: &str) -> Result<()> {
        write(&self.path(interface), value)
    }

    /// What it is; nothing where the kernel doesn't have it.
    pub(super) fn get(self, interface: &str) -> String {
        read(&self.path(interface))
    }
}

fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}

fn write(path: &str, value: &str) -> Result<()> {
    match fs::write_file_at(fs::CWD, path, value.as_bytes()) {
        Err(e) if e.errno() == Errno::NOENT => Ok(()),
        written => written.during(|| format!("set {path} to {value}")),
    }
}

/// Whether the kernel has IPv6, and it isn't switched off.
pub(super) fn has_ipv6() -> bool {
    DISABLE_IPV6.get("all") == "0"
}

/// Has the host pass packets on between its interfaces. They stay so afterwards: others may rely on it by then.
pub(super) fn forward(v4: bool, v6: bool) -> Result<()> {
    const IPV4_FORWARD: &str = "/proc/sys/net/ipv4/ip_forward";
    if v4 && read(IPV4_FORWARD) != "1" {
        write(IPV4_FORWARD, "1")?;
    }
    if !v6 || FORWARDING.get("all") == "1" {
        return Ok(());
    }
    // Who forwards doesn't listen to routers any more, unless told to: the host's way out would be lost.
    let interfaces = std::fs::read_dir(IPV6).map_err(|e| Error::new(Kind::System, format!("{IPV6}: {e}")))?;
    for interface in interfaces.flatten().filter_map(|entry| entry.file_name().into_string().ok()) {
        if !matches!(interface.as_str(), "all" | "lo") && ACCEPT_RA.get(&interface) == "1" {
            ACCEPT_RA.set(&interface, "2")?;
        }
    }
    FORWARDING.set("all", "1")
}

/// The addresses that the host has routes for, but by the interfaces in `except`.
pub(super) fn routes(route: &Route, except: &[u32]) -> Result<Vec<Taken>> {
    let all = route.routes().during(|| "the host's routes")?;
    let counts = |route: &forgeone_sys::net::Destination| {
        // Halves of everything stand for a default route.
        let real = route.kind != RouteKind::Other && route.to.1 > 1 && !route.to.0.is_loopback();
        real && route.index.is_none_or(|index| !except.contains(&index))
    };
    let taken = all.into_iter().filter(counts).filter_map(|destination| {
        let net = IpNet::new(destination.to.0, destination.to.1).ok()?;
        let by = match destination.kind {
            RouteKind::Local => format!("the host's address {}", net.addr()),
            _ => format!("the host's route to {net}"),
        };
        Some(Taken { net, by })
    });
    Ok(taken.collect())
}

/// The first bytes of SHA-256 as hexadecimal digits, two each.
pub(super) fn digest(text: &[u8], bytes: usize) -> String {
    Sha256::digest(text).iter().take(bytes).map(|byte| format!("{byte:02x}")).collect()
}

/// How an interface of ours is known: two data roots, and strangers, may choose the same name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) alias: String,
    /// What it is made with, before it can have an alias.
    pub(super) mac: [u8; 6],
}

impl Mark {
    pub(super) fn of(data_root: &Path, network: &str) -> Self {
        let alias = format!("forgeone:{}:{network}", data_root.display());
        let hash = Sha256::digest(&alias);
        // An alias has 255 bytes at most.
        let alias = match alias.len() {
            0..=255 => alias,
            _ => format!("forgeone:{}:{network}", digest(data_root.as_os_str().as_encoded_bytes(), 16)),
        };
        let mac = [hash[0] & !1 | 2, hash[1], hash[2], hash[3], hash[4], hash[5]];
        Self { alias, mac }
    }
}
