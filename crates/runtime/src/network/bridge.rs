//! The bridge of a network, which is there for as long as a container is in it.

use super::host::{self, ACCEPT_DAD, ACCEPT_RA, DISABLE_IPV6, Mark};
use super::model::{Driver, Network, Vlan};
use super::pools;
use crate::error::{During, Error, Kind, Result};
use forgeone_sys::Errno;
use forgeone_sys::net::{Address, Device, Route};

/// What names of bridges begin with that are chosen by us.
const PREFIX: &str = "forgeone";

/// What names of containers' interfaces begin with on the host.
pub(super) const PORT: &str = "fo";

/// The lowest name that nobody has: no interface, and none of `taken`.
pub(super) fn free_name(route: &Route, taken: &[&str]) -> Result<String> {
    let mut number = 0_u32;
    loop {
        let name = format!("{PREFIX}{number}");
        if !taken.contains(&name.as_str()) && route.index(&name)?.is_none() {
            return Ok(name);
        }
        number += 1;
    }
}

/// Whether a name was chosen by us, and may be another as well.
pub(super) fn is_chosen(name: &str) -> bool {
    name.strip_prefix(PREFIX).is_some_and(|number| number.parse::<u32>().is_ok())
}

/// What is there under the name of a network's bridge.
#[derive(Debug)]
pub(super) enum There {
    Nothing,
    Ours(Device),
    Other(Device),
}

pub(super) fn find(route: &Route, network: &Network, mark: &Mark) -> Result<There> {
    Ok(match route.device(&network.interface)? {
        None => There::Nothing,
        Some(device) if is_ours(&device, mark) => There::Ours(device),
        Some(device) => There::Other(device),
    })
}

fn is_ours(device: &Device, mark: &Mark) -> bool {
    let unmarked = device.alias.is_empty() && device.mac == Some(mark.mac);
    device.kind == "bridge" && (device.alias == mark.alias || unmarked)
}

/// The number of a network's bridge, which is made if it isn't there; whether it was made.
///
/// # Errors
/// [`Kind::State`] if another interface has its name, or somebody else its addresses.
pub(super) fn ensure(route: &Route, network: &Network, mark: &Mark) -> Result<(u32, bool)> {
    let wrong = |cause: String| Err(Error::new(Kind::State, cause));
    let name = &network.interface;
    match find(route, network, mark)? {
        There::Ours(device) => Ok((device.index, false)),
        There::Other(device) if network.joined && device.kind == "bridge" => Ok((device.index, false)),
        There::Other(_) => {
            wrong(format!("interface {name:?} is not ours, and it has the bridge's name; remove it"))
        }
        There::Nothing if network.joined => wrong(format!("there is no bridge {name:?} any more; make it")),
        There::Nothing => match make(route, network, mark) {
            Ok(index) => Ok((index, true)),
            Err(e) => {
                let errors = [Err(e.clone()), remove(route, network, mark)];
                Err(Error::all(errors.into_iter().filter_map(Result::err).collect()).unwrap_or(e))
            }
        },
    }
}

fn make(route: &Route, network: &Network, mark: &Mark) -> Result<u32> {
    let name = &network.interface;
    let taken = host::routes(route, &[])?;
    for subnet in &network.subnets {
        if let Some(other) = pools::overlap(&subnet.subnet, &taken) {
            let message =
                format!("subnet {} overlaps with {} by now; make the network anew", subnet.subnet, other.by);
            return Err(Error::new(Kind::State, message));
        }
    }
    route.add_bridge(name, mark.mac, network.mtu).during(|| format!("bridge {name:?}"))?;
    let device =
        route.device(name)?.ok_or_else(|| Error::new(Kind::System, format!("bridge {name:?} is gone")))?;
    let index = device.index;
    route.set_alias(index, &mark.alias)?;
    if network.subnets.iter().any(|subnet| subnet.subnet.addr().is_ipv6()) {
        DISABLE_IPV6.set(name, "0")?;
        ACCEPT_RA.set(name, "0")?;
        ACCEPT_DAD.set(name, "0")?;
    } else {
        DISABLE_IPV6.set(name, "1")?;
    }
    for subnet in &network.subnets {
        if let Some(gateway) = subnet.gateway {
            route.add_address(index, &Address::new(gateway, subnet.subnet.prefix_len()))?;
        }
    }
    if let Some(vlan) = &network.vlan {
        add_vlan(route, vlan, &vlan_name(mark), index)?;
    }
    Ok(index)
}

fn add_vlan(route: &Route, vlan: &Vlan, name: &str, bridge: u32) -> Result<()> {
    let what = || format!("VLAN {} of {:?}", vlan.id, vlan.parent);
    let parent = route.index(&vlan.parent)?;
    let parent =
        parent.ok_or_else(|| Error::new(Kind::State, "there is no such interface").during(what()))?;
    route.add_vlan(name, parent, vlan.id, bridge).map_err(|e| match e.errno() {
        Errno::OPNOTSUPP => Error::new(Kind::Unsupported, "the kernel has no VLANs (8021q)").during(what()),
        Errno::EXIST => Error::new(Kind::State, "somebody else has it").during(what()),
        _ => Error::from(e).during(what()),
    })
}

/// The name of the sub-interface that connects a bridge to its VLAN.
fn vlan_name(mark: &Mark) -> String {
    format!("fv{}", host::digest(mark.alias.as_bytes(), 5))
}

/// Removes a network's bridge, if it is there and ours, with the sub-interface of its VLAN.
///
/// # Errors
/// The kernel's answer.
pub(super) fn remove(route: &Route, network: &Network, mark: &Mark) -> Result<()> {
    if network.driver != Driver::Bridge || network.joined || route.index(&network.interface)?.is_none() {
        return Ok(());
    }
    let There::Ours(device) = find(route, network, mark)? else { return Ok(()) };
    sweep(route, device.index, &[])?;
    if network.vlan.is_some() {
        delete(route, &vlan_name(mark))?;
    }
    gone(route.delete_link(device.index)).during(|| format!("bridge {:?}", network.interface))
}

/// Removes the ports of a bridge that are ours and not among `kept`: of containers that have ended, but whose namespaces
/// somebody keeps.
///
/// # Errors
/// The kernel's answer.
pub(super) fn sweep(route: &Route, bridge: u32, kept: &[&str]) -> Result<()> {
    let ports = route.devices()?.into_iter().filter(|device| device.master == Some(bridge));
    let ours = ports.filter(|port| port.kind == "veth" && port.name.starts_with(PORT));
    for port in ours.filter(|port| !kept.contains(&port.name.as_str())) {
        gone(route.delete_link(port.index)).during(|| format!("interface {:?}", port.name))?;
    }
    Ok(())
}

/// Removes an interface, if it is there.
pub(super) fn delete(route: &Route, name: &str) -> Result<()> {
    match route.index(name)? {
        None => Ok(()),
        Some(index) => gone(route.delete_link(index)).during(|| format!("interface {name:?}")),
    }
}

fn gone(deleted: forgeone_sys::Result<()>) -> Result<()> {
    match deleted {
        Err(e) if e.errno() == Errno::NODEV => Ok(()),
        deleted => Ok(deleted?),
    }
}
