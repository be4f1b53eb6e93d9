//! A container's interface, in its network namespace.

use super::host::{ACCEPT_DAD, ACCEPT_RA, ARP_NOTIFY, DISABLE_IPV6, NDISC_NOTIFY};
use super::link;
use super::model::{Attachment, Endpoint, Mac, Network};
use crate::error::{During, Error, Kind, Result};
use forgeone_sys::net::{Address, LinkWatch, Route, inside};
use forgeone_sys::{BorrowedFd, Errno};

/// A container's interface, which is up.
pub(super) struct Interface<'a> {
    namespace: BorrowedFd<'a>,
    route: Route,
    index: u32,
}

/// Gives a new interface its settings and addresses, and sets it up. Nobody is asked whether the addresses are free, since
/// who gives them knows.
pub(super) fn set_up<'a>(namespace: BorrowedFd<'a>, endpoint: &Endpoint) -> Result<Interface<'a>> {
    let name = &endpoint.interface;
    let route = inside(namespace, || -> Result<Route> {
        settings(name, endpoint)?;
        Ok(Route::open()?)
    })??;
    let index = route.index(name)?;
    let index = index.ok_or_else(|| Error::new(Kind::System, format!("interface {name:?} is gone")))?;
    for net in &endpoint.addresses {
        let added = route.add_address(index, &Address::new(net.addr(), net.prefix_len()));
        added.during(|| format!("address {net}"))?;
    }
    route.set_link_up(index, true)?;
    Ok(Interface { namespace, route, index })
}

impl Interface<'_> {
    /// Has the kernel tell the neighbours whose the addresses are now, by gratuitous ARP and unsolicited advertisements:
    /// they may know another hardware address of who had them before.
    pub(super) fn announce(&self, endpoint: &Endpoint) -> Result<()> {
        let watch = || Ok(inside(self.namespace, LinkWatch::open)??);
        link::settle(&self.route, &endpoint.interface, watch)?;
        Ok(self.route.set_mac(self.index, endpoint.mac.0)?)
    }

    /// Gives it the routes to everybody else, if it is to have them.
    pub(super) fn add_routes(&self, network: &Network, attachment: &Attachment) -> Result<()> {
        if network.internal || !attachment.default_route {
            return Ok(());
        }
        for subnet in &network.subnets {
            let v4 = subnet.subnet.addr().is_ipv4();
            let gateway = attachment.gateway.filter(|gateway| gateway.is_ipv4() == v4).or(subnet.gateway);
            let Some(gateway) = gateway else { continue };
            self.route.add_default_route(self.index, gateway).map_err(|e| match e.errno() {
                Errno::EXIST => {
                    let message = format!("gateway {gateway}: the container has a default route already");
                    Error::new(Kind::Exists, message)
                }
                _ => Error::from(e).during(format!("gateway {gateway}")),
            })?;
        }
        Ok(())
    }
}

/// Without addresses of ours it is somebody else's to give them, by DHCP or the routers' words.
fn settings(interface: &str, endpoint: &Endpoint) -> Result<()> {
    ARP_NOTIFY.set(interface, "1")?;
    if endpoint.addresses.is_empty() {
        return Ok(());
    }
    if !endpoint.addresses.iter().any(|net| net.addr().is_ipv6()) {
        return DISABLE_IPV6.set(interface, "1");
    }
    for (setting, value) in [(DISABLE_IPV6, "0"), (ACCEPT_RA, "0"), (ACCEPT_DAD, "0"), (NDISC_NOTIFY, "1")] {
        setting.set(interface, value)?;
    }
    Ok(())
}

/// Makes an interface that stands on one of the host's.
pub(super) fn macvlan(
    host: &Route,
    namespace: BorrowedFd,
    network: &Network,
    endpoint: &Endpoint,
) -> Result<()> {
    let (parent, interface) = (&network.interface, &endpoint.interface);
    let what = || format!("macvlan on {parent:?}");
    let index = host.index(parent).during(what)?;
    let index = index.ok_or_else(|| Error::new(Kind::State, "there is no such interface").during(what()))?;
    host.add_macvlan(interface, index, namespace, endpoint.mac.0, network.mtu).map_err(|e| match e.errno() {
        Errno::OPNOTSUPP => Error::new(Kind::Unsupported, "the kernel has no macvlan").during(what()),
        Errno::EXIST => {
            let message = format!("interface {interface:?} is there already in the container");
            Error::new(Kind::Exists, message)
        }
        _ => Error::from(e).during(what()),
    })
}

/// Whether an interface is there: this one, and no other of the same name.
pub(super) fn has(namespace: BorrowedFd, interface: &str, mac: Mac) -> Result<bool> {
    let device = inside(namespace, Route::open)??.device(interface)?;
    Ok(device.is_some_and(|device| device.mac == Some(mac.0)))
}

/// Removes an interface, if it is there.
pub(super) fn remove(namespace: BorrowedFd, interface: &str, mac: Mac) -> Result<()> {
    let route = inside(namespace, Route::open)??;
    match route.device(interface)?.filter(|device| device.mac == Some(mac.0)) {
        Some(device) => Ok(route.delete_link(device.index)?),
        None => Ok(()),
    }
}
