//! A container comes into a network, and goes.
//!
//! ```text
//!  connect      endpoint written ► bridge ► link ► rate ► addresses, routes ► resolver ► firewall ► forwarding
//!  disconnect   link, of a container that runs ► endpoint removed ► firewall ► bridge, if it was the last
//! ```
//!
//! A failed connect is undone by what disconnect does, and so is, by whoever comes next, one that was killed: the file of
//! the endpoint is written first and names all that comes after it. An endpoint is stale when no monitor of its container
//! lives and its interface is gone, which the kernel takes away with the container's network namespace.

use super::addresses;
use super::bridge::{self, There};
use super::firewall;
use super::host::{self, ROUTE_LOCALNET};
use super::inside::{self, Interface};
use super::link;
use super::model::{Attachment, Driver, Endpoint, Network, Populated};
use super::networks::Networks;
use super::rate;
use super::resolver;
use super::store::{self, Lock};
use crate::error::{During, Error, Kind, Result};
use crate::monitor;
use forgeone_sys::fs::{self, Mode, OFlags};
use forgeone_sys::net::{LinkWatch, Route, Veth};
use forgeone_sys::{BorrowedFd, Errno};
use std::net::IpAddr;
use std::path::Path;

/// The lock, a socket, and all networks as they are once what is gone was taken away.
pub(super) struct Session<'a> {
    networks: &'a Networks,
    pub(super) route: Route,
    all: Vec<Populated>,
    _lock: Lock,
}

impl<'a> Session<'a> {
    /// Takes the lock, and takes away what containers that are gone have left.
    pub(super) fn open(networks: &'a Networks) -> Result<Self> {
        let lock = networks.store.lock()?;
        let mut session =
            Self { networks, route: Route::open().during(|| "networks")?, all: Vec::new(), _lock: lock };
        if session.reconcile()? {
            session.apply()?;
        }
        Ok(session)
    }

    /// Takes stale endpoints away, and bridges that nobody is at; whether there were any.
    fn reconcile(&mut self) -> Result<bool> {
        let store = &self.networks.store;
        let mut changed = false;
        for network in store.networks()? {
            let mut endpoints = Vec::new();
            store.sweep(&network.name)?;
            for (id, kept) in store.kept(&network.name)? {
                let host_interface = host_interface(&network, &id);
                if self.is_stale(&network, &id, &host_interface)? {
                    self.take_away(&network, &id)?;
                    changed = true;
                } else {
                    endpoints.push(kept?);
                }
            }
            if endpoints.is_empty() {
                self.remove_bridge(&network)?;
            }
            let places = &self.networks.places;
            let resolver = if endpoints.is_empty() { None } else { resolver::port(places, &network.name) };
            self.all.push(Populated { network, endpoints, resolver });
        }
        Ok(changed)
    }

    fn is_stale(&self, network: &Network, id: &str, host_interface: &str) -> Result<bool> {
        if network.driver == Driver::Bridge && self.route.index(host_interface)?.is_some() {
            return Ok(false);
        }
        let path = self.networks.places.container(id);
        let lives = match fs::open(&path, OFlags::PATH | OFlags::DIRECTORY, Mode::empty()) {
            Err(e) if e.errno() == Errno::NOENT => return Ok(true),
            opened => monitor::lives(opened?)?,
        };
        let runs = || monitor::Status::read(&path).is_ok_and(|status| status.state.is_active());
        Ok(!lives && (network.driver == Driver::Bridge || !runs()))
    }

    fn position(&self, name: &str) -> Result<usize> {
        let found = self.all.iter().position(|one| one.network.name == name);
        found.ok_or_else(|| {
            let message = format!("no network {name:?}; 'forgeone network ls' lists what there is");
            Error::new(Kind::NotFound, message)
        })
    }

    pub(super) fn connect(mut self, attachment: &Attachment, namespace: BorrowedFd) -> Result<Endpoint> {
        let at = self.position(&attachment.network)?;
        let what = || format!("network {:?}", attachment.network);
        self.replace_old(at, attachment, namespace).during(what)?;
        self.choose_another_name(at)?;
        let endpoint = self.plan(at, attachment).during(what)?;
        let place = self.all[at].endpoints.partition_point(|other| other.container < endpoint.container);
        self.all[at].endpoints.insert(place, endpoint.clone());
        let Err(e) = self.build(at, &endpoint, attachment, namespace).during(what) else {
            return Ok(endpoint);
        };
        let undone = self.withdraw(at, &endpoint.container, Some(namespace));
        let errors: Vec<Error> = [Err(e.clone()), undone].into_iter().filter_map(Result::err).collect();
        Err(Error::all(errors).unwrap_or(e))
    }

    /// A container that was killed and is started again may be connected still, by an interface that its old namespace
    /// takes along any moment now.
    fn replace_old(&mut self, at: usize, attachment: &Attachment, namespace: BorrowedFd) -> Result<()> {
        let Some(old) = self.all[at].endpoints.iter().find(|old| old.container == attachment.container)
        else {
            return Ok(());
        };
        if inside::has(namespace, &old.interface, old.mac)? {
            let message = format!("container {:?} is in it already", old.name);
            return Err(Error::new(Kind::Exists, message));
        }
        self.take_away(&self.all[at].network, &attachment.container)?;
        self.all[at].endpoints.retain(|old| old.container != attachment.container);
        Ok(())
    }

    /// The name of a bridge that was chosen when it was free may be somebody else's by the time it is needed.
    fn choose_another_name(&mut self, at: usize) -> Result<()> {
        let Populated { network, endpoints, .. } = &self.all[at];
        let chosen =
            network.driver == Driver::Bridge && !network.joined && bridge::is_chosen(&network.interface);
        let there = || bridge::find(&self.route, network, &self.networks.mark(network));
        let other = chosen && endpoints.is_empty() && matches!(there()?, There::Other(_));
        if other {
            let taken: Vec<&str> = self.all.iter().map(|one| one.network.interface.as_str()).collect();
            let network = Network { interface: bridge::free_name(&self.route, &taken)?, ..network.clone() };
            self.networks.store.write_network(&network)?;
            self.all[at].network = network;
        }
        Ok(())
    }

    /// The endpoint that a container gets, decided without changing anything.
    fn plan(&self, at: usize, attachment: &Attachment) -> Result<Endpoint> {
        let Populated { network, endpoints, .. } = &self.all[at];
        let interface = match attachment.interface.as_str() {
            "" => "eth0",
            name => name,
        };
        let wrong = |cause: String| Err(Error::new(Kind::Config, cause));
        if !super::is_interface_name(interface) {
            return wrong(format!("{interface:?} can't be the name of a network interface"));
        }
        if attachment.rate.is_some() && network.driver == Driver::Macvlan {
            return wrong("there is no rate with macvlan; use a bridge".to_owned());
        }
        if !attachment.ports.is_empty() && network.driver == Driver::Macvlan {
            return wrong(
                "no ports are published with macvlan: its containers have addresses of their own".to_owned(),
            );
        }
        rate::check(attachment.rate)?;
        let last = self.networks.store.last(&network.name);
        let addresses = addresses::choose(network, endpoints, attachment, &last)?;
        if let Some(gateway) =
            attachment.gateway.filter(|gateway| !network.subnets.iter().any(|s| s.subnet.contains(gateway)))
        {
            return wrong(format!("the gateway {gateway} isn't in it"));
        }
        let mac = addresses::choose_mac(network, endpoints, attachment.mac, &addresses)?;
        Ok(Endpoint {
            version: store::VERSION,
            container: attachment.container.clone(),
            name: attachment.name.clone(),
            aliases: attachment.aliases.clone(),
            addresses,
            mac,
            interface: interface.to_owned(),
            host_interface: host_interface(network, &attachment.container),
            ports: attachment.ports.clone(),
            policy: attachment.policy.clone(),
            labels: attachment.labels.clone(),
            rate: attachment.rate,
            dns: attachment.dns.clone(),
        })
    }

    fn build(
        &mut self,
        at: usize,
        endpoint: &Endpoint,
        attachment: &Attachment,
        namespace: BorrowedFd,
    ) -> Result<()> {
        let store = &self.networks.store;
        let network = self.all[at].network.clone();
        store.write_endpoint(&network.name, endpoint)?;
        store.set_last(&network.name, endpoint.addresses.iter().map(|net| net.addr()))?;
        match network.driver {
            Driver::Bridge => {
                self.link(at, endpoint, namespace)?.add_routes(&network, attachment)?;
                self.name(at)?;
                self.apply()?;
                let has = |v4: bool| endpoint.addresses.iter().any(|net| net.addr().is_ipv4() == v4);
                match network.internal {
                    true => Ok(()),
                    false => host::forward(has(true), has(false)),
                }
            }
            Driver::Macvlan => {
                inside::macvlan(&self.route, namespace, &network, endpoint)?;
                let interface = inside::set_up(namespace, endpoint)?;
                interface.announce(endpoint)?;
                interface.add_routes(&network, attachment)
            }
        }
    }

    /// Connects a container to the bridge of its network; its interface, which the others have been told of.
    fn link<'n>(&self, at: usize, endpoint: &Endpoint, namespace: BorrowedFd<'n>) -> Result<Interface<'n>> {
        let Populated { network, endpoints, .. } = &self.all[at];
        // Of a container that was started again at once the old one may not be gone yet.
        bridge::delete(&self.route, &endpoint.host_interface)?;
        let bridge = self.bridge(network, endpoints)?;
        self.pair(network, endpoint, bridge, namespace)?;
        if let Some(rate) = endpoint.rate {
            rate::limit(&self.route, &endpoint.host_interface, rate)?;
        }
        // Of others, who had the address before, the host may know the hardware address.
        for net in &endpoint.addresses {
            match self.route.forget_neighbour(bridge, net.addr()) {
                Err(e) if e.errno() == Errno::NOENT => {}
                forgotten => forgotten?,
            }
        }
        let interface = inside::set_up(namespace, endpoint)?;
        for name in [&endpoint.host_interface, &network.interface] {
            link::settle(&self.route, name, || Ok(LinkWatch::open()?))?;
        }
        interface.announce(endpoint)?;
        if needs_localnet(endpoint) && ROUTE_LOCALNET.get(&network.interface) != "1" {
            ROUTE_LOCALNET.set(&network.interface, "1")?;
        }
        Ok(interface)
    }

    /// Sees to it that the names of a network are resolved, before the firewall is told where.
    fn name(&mut self, at: usize) -> Result<()> {
        let Populated { network, resolver, .. } = &mut self.all[at];
        resolver::ensure(&self.networks.places, network)?;
        *resolver = resolver::port(&self.networks.places, &network.name);
        Ok(())
    }

    /// The network's bridge. One that somebody has removed meanwhile is made again, with its ports.
    fn bridge(&self, network: &Network, endpoints: &[Endpoint]) -> Result<u32> {
        let (bridge, made) = bridge::ensure(&self.route, network, &self.networks.mark(network))?;
        for endpoint in endpoints.iter().filter(|_| made) {
            if let Some(port) = self.route.index(&endpoint.host_interface)? {
                match self.route.set_master(port, bridge) {
                    // Its container has just ended.
                    Err(e) if e.errno() == Errno::NODEV => {}
                    set => set.map_err(Error::from).and_then(|()| self.hairpin(port, endpoint))?,
                }
            }
        }
        Ok(bridge)
    }

    /// The pair of interfaces. Where both ends have the same number in their namespaces, the kernel takes up to a second
    /// to see that they are up (`linkwatch_urgent_event`): then the host's gets another.
    fn pair(&self, network: &Network, endpoint: &Endpoint, bridge: u32, namespace: BorrowedFd) -> Result<()> {
        let name = &endpoint.host_interface;
        let veth = Veth {
            name,
            master: bridge,
            namespace,
            peer: &endpoint.interface,
            mac: endpoint.mac.0,
            mtu: network.mtu,
        };
        loop {
            self.route.add_veth(&veth).map_err(|e| match e.errno() {
                Errno::EXIST => {
                    let message =
                        format!("interface {:?} is there already in the container", endpoint.interface);
                    Error::new(Kind::Exists, message)
                }
                _ => e.into(),
            })?;
            match self.route.device(name)? {
                Some(device) if device.lower == Some(device.index) => self.route.delete_link(device.index)?,
                Some(device) => return self.hairpin(device.index, endpoint),
                None => return Ok(()),
            }
        }
    }

    /// Has a port take back what its container sends to itself by a published port: where br_netfilter is, that is
    /// translated on the bridge already, and leaves by the port that it came by.
    fn hairpin(&self, port: u32, endpoint: &Endpoint) -> Result<()> {
        const BR_NETFILTER: &str = "/proc/sys/net/bridge";
        match !endpoint.ports.is_empty() && Path::new(BR_NETFILTER).exists() {
            true => Ok(self.route.set_hairpin(port)?),
            false => Ok(()),
        }
    }

    pub(super) fn disconnect(
        mut self,
        network: &str,
        container: &str,
        namespace: Option<BorrowedFd>,
    ) -> Result<()> {
        let at = self.position(network)?;
        let is_in = self.all[at].endpoints.iter().any(|endpoint| endpoint.container == container);
        match (is_in, namespace) {
            (true, _) => self.withdraw(at, container, namespace).during(|| format!("network {network:?}")),
            (false, None) => Ok(()),
            (false, Some(_)) => {
                let message = format!("container {container:?} isn't in network {network:?}");
                Err(Error::new(Kind::NotFound, message))
            }
        }
    }

    /// Takes a container out. Its interface goes with its namespace if that isn't named, since it takes the kernel some
    /// ten milliseconds: nobody waits for it then.
    fn withdraw(&mut self, at: usize, container: &str, namespace: Option<BorrowedFd>) -> Result<()> {
        let mut results = Vec::new();
        let Populated { network, endpoints, .. } = &self.all[at];
        let endpoint = endpoints.iter().find(|endpoint| endpoint.container == container);
        match (endpoint, namespace, network.driver) {
            (Some(endpoint), Some(namespace), Driver::Macvlan) => {
                results.push(inside::remove(namespace, &endpoint.interface, endpoint.mac));
                results.push(self.take_away(network, container));
            }
            (Some(endpoint), None, _) if endpoint.rate.is_none() => {
                results.push(self.set_down(&endpoint.host_interface));
                results.push(self.networks.store.remove_endpoint(&network.name, container));
            }
            _ => results.push(self.take_away(network, container)),
        }
        self.all[at].endpoints.retain(|endpoint| endpoint.container != container);
        results.push(self.apply());
        let Populated { network, endpoints, .. } = &self.all[at];
        if endpoints.is_empty() {
            results.push(self.remove_bridge(network));
        }
        Error::all(results.into_iter().filter_map(Result::err).collect()).map_or(Ok(()), Err)
    }

    /// Sets an interface down, if it is there: should somebody keep the namespace, nothing goes through it any more.
    fn set_down(&self, name: &str) -> Result<()> {
        let Some(index) = self.route.index(name)? else { return Ok(()) };
        match self.route.set_link_up(index, false) {
            Err(e) if e.errno() == Errno::NODEV => Ok(()),
            set => Ok(set?),
        }
    }

    /// Removes the bridge of a network that nobody is in, unless its resolver lives: that one does it when it ends, a
    /// moment later, and who comes before finds both.
    fn remove_bridge(&self, network: &Network) -> Result<()> {
        match resolver::lives(&self.networks.places, network)? {
            true => Ok(()),
            false => bridge::remove(&self.route, network, &self.networks.mark(network)),
        }
    }

    /// Takes away what a container has on the host's side, its endpoint last.
    fn take_away(&self, network: &Network, container: &str) -> Result<()> {
        let host_interface = host_interface(network, container);
        if !host_interface.is_empty() {
            bridge::delete(&self.route, &host_interface)?;
            bridge::delete(&self.route, &rate::detour(&host_interface))?;
        }
        self.networks.store.remove_endpoint(&network.name, container)
    }

    pub(super) fn reload(mut self) -> Result<()> {
        let mut results = Vec::new();
        for at in 0..self.all.len() {
            let Populated { network, endpoints, .. } = &self.all[at];
            if network.driver == Driver::Bridge && !endpoints.is_empty() {
                let kept: Vec<&str> = endpoints.iter().map(|e| e.host_interface.as_str()).collect();
                let bridge = self.bridge(network, endpoints);
                results.push(bridge.and_then(|bridge| bridge::sweep(&self.route, bridge, &kept)));
                results.push(self.name(at));
            }
        }
        results.push(self.apply());
        Error::all(results.into_iter().filter_map(Result::err).collect()).map_or(Ok(()), Err)
    }

    /// Brings the firewall to what the networks are.
    fn apply(&self) -> Result<()> {
        firewall::apply(self.networks.table(), &self.all)
    }
}

/// Whether a port of it is to be reached by the host's loopback addresses.
fn needs_localnet(endpoint: &Endpoint) -> bool {
    endpoint.ports.iter().any(|port| match port.host {
        None => true,
        Some(IpAddr::V4(address)) => address.is_loopback() || address.is_unspecified(),
        Some(IpAddr::V6(_)) => false,
    })
}

/// The name of the host's end of a container's interface.
fn host_interface(network: &Network, container: &str) -> String {
    match network.driver {
        Driver::Bridge => {
            format!(
                "{}{}",
                bridge::PORT,
                host::digest(format!("{container}\0{}", network.name).as_bytes(), 5)
            )
        }
        Driver::Macvlan => String::new(),
    }
}
