//! The networks of a data root: made, found, listed, removed.
//!
//! Files are the one truth; whoever changes something holds the lock, and first takes away what belongs to containers
//! that are gone.

use super::asked::Asked;
use super::bridge;
use super::connect::Session;
use super::host::{self, Mark};
use super::model::{Attachment, Driver, Endpoint, Network, Populated, Subnet};
use super::pools::{self, Taken};
use super::resolver;
use super::store::{self, Store};
use crate::clock;
use crate::error::{During, Error, Kind, Result};
use crate::registry::{Places, new_id};
use forgeone_config::DEFAULT_NETWORK;
use forgeone_sys::BorrowedFd;
use forgeone_sys::net::{Device, Route};
use forgeone_sys::process::geteuid;
use ipnet::IpNet;
use std::path::Path;

/// The networks of a data root, in the network namespace of the caller.
#[derive(Debug)]
pub struct Networks {
    pub(super) places: Places,
    pub(super) store: Store,
    table: String,
}

impl Networks {
    /// The networks of these places. Nothing is made.
    pub fn of(places: &Places) -> Self {
        let store = Store::new(&places.data_root);
        Self { table: table(&places.data_root), store, places: places.clone() }
    }

    /// The name of the firewall's table (family `inet`).
    pub fn table(&self) -> &str {
        &self.table
    }

    /// Makes a network.
    ///
    /// # Errors
    /// [`Kind::Config`] for what can't be, naming what; [`Kind::Exists`] if there is one of this name.
    pub fn create(&self, asked: &Asked) -> Result<Network> {
        asked.check()?;
        let session = self.session()?;
        if self.store.network(&asked.name)?.is_some() {
            return Err(Error::new(Kind::Exists, format!("network {:?} exists already", asked.name)));
        }
        self.make(&session, asked)
    }

    /// The network of containers that name none; it is made when it is needed first. Where the host has come to use its
    /// addresses while nobody was in it, it gets others.
    ///
    /// # Errors
    /// If it can't be made.
    pub fn default_network(&self) -> Result<Network> {
        let asked = Asked { name: DEFAULT_NETWORK.to_owned(), ..Asked::default() };
        // Most often it is there, and somebody is in it.
        if let Some(network) = self.store.network(DEFAULT_NETWORK)?
            && Route::open()?.index(&network.interface)?.is_some()
        {
            return Ok(network);
        }
        let session = self.session()?;
        let Some(network) = self.store.network(DEFAULT_NETWORK)? else { return self.make(&session, &asked) };
        if !self.store.endpoints(DEFAULT_NETWORK)?.is_empty() {
            return Ok(network);
        }
        let taken = host::routes(&session.route, &[])?;
        if network.subnets.iter().all(|subnet| pools::overlap(&subnet.subnet, &taken).is_none()) {
            return Ok(network);
        }
        self.store.remove_network(DEFAULT_NETWORK)?;
        self.make(&session, &asked)
    }

    /// The network that a word means: its name, or the beginning of one id alone.
    ///
    /// # Errors
    /// [`Kind::NotFound`] with what may have been meant; [`Kind::Usage`] if several ids begin so.
    pub fn find(&self, word: &str) -> Result<Network> {
        if let Some(network) = self.store.network(word)? {
            return Ok(network);
        }
        let all = self.list()?;
        let begins: Vec<&Network> =
            all.iter().filter(|network| !word.is_empty() && network.id.starts_with(word)).collect();
        match begins[..] {
            [one] => return Ok(one.clone()),
            [] => {}
            _ => {
                let message = format!("{word:?} begins {} ids of networks; give more of it", begins.len());
                return Err(Error::new(Kind::Usage, message));
            }
        }
        let hint = match forgeone_config::closest(word, all.iter().map(|network| network.name.as_str())) {
            Some(known) => format!("did you mean {known:?}?"),
            None => "'forgeone network ls' lists what there is".to_owned(),
        };
        Err(Error::new(Kind::NotFound, format!("no network {word:?}; {hint}")))
    }

    /// All networks, by name.
    ///
    /// # Errors
    /// If they can't be read.
    pub fn list(&self) -> Result<Vec<Network>> {
        self.store.networks()
    }

    /// All networks with those who are in them.
    ///
    /// # Errors
    /// If they can't be read.
    pub fn populated(&self) -> Result<Vec<Populated>> {
        let mut all = self.store.populated()?;
        for one in all.iter_mut().filter(|one| !one.endpoints.is_empty()) {
            one.resolver = resolver::port(&self.places, &one.network.name);
        }
        Ok(all)
    }

    /// Who is in a network, by their ids' order.
    ///
    /// # Errors
    /// If they can't be read.
    pub fn endpoints(&self, name: &str) -> Result<Vec<Endpoint>> {
        self.store.endpoints(name)
    }

    /// The networks that a container is in, with its place in each, the one of its first interface first.
    ///
    /// # Errors
    /// If they can't be read.
    pub fn of_container(&self, id: &str) -> Result<Vec<(Network, Endpoint)>> {
        let mut mine = Vec::new();
        for network in self.list()? {
            mine.extend(self.store.endpoint(&network.name, id)?.map(|endpoint| (network, endpoint)));
        }
        mine.sort_by(|(_, one), (_, other)| one.interface.cmp(&other.interface));
        Ok(mine)
    }

    /// Removes a network that nobody is in.
    ///
    /// # Errors
    /// [`Kind::State`] with the containers that are in it.
    pub fn remove(&self, word: &str) -> Result<Network> {
        let session = self.session()?;
        let network = self.find(word)?;
        let users: Vec<String> =
            self.store.endpoints(&network.name)?.into_iter().map(|endpoint| endpoint.name).collect();
        if !users.is_empty() {
            let (name, users) = (&network.name, users.join(", "));
            let message =
                format!("network {name:?} is used by {users}; disconnect or stop what uses it before");
            return Err(Error::new(Kind::State, message));
        }
        bridge::remove(&session.route, &network, &self.mark(&network))?;
        self.store.remove_network(&network.name)?;
        Ok(network)
    }

    /// Removes the networks that nobody is in, but for the default one and those that are to be kept; their names.
    ///
    /// # Errors
    /// What couldn't be removed.
    pub fn prune(&self, kept: &[String]) -> Result<Vec<String>> {
        let session = self.session()?;
        let mut gone = Vec::new();
        for Populated { network, endpoints, .. } in self.store.populated()? {
            let kept = network.name == DEFAULT_NETWORK || kept.contains(&network.name);
            if endpoints.is_empty() && !kept {
                bridge::remove(&session.route, &network, &self.mark(&network))?;
                self.store.remove_network(&network.name)?;
                gone.push(network.name);
            }
        }
        Ok(gone)
    }

    /// Connects a container to a network: it gets an interface in `namespace`.
    ///
    /// # Errors
    /// What can't be had; nothing is changed then.
    pub fn connect(&self, attachment: &Attachment, namespace: BorrowedFd) -> Result<Endpoint> {
        self.session()?.connect(attachment, namespace)
    }

    /// Takes a container out of a network. Its interface goes, also out of `namespace`, that of a container that runs.
    ///
    /// # Errors
    /// [`Kind::NotFound`] if a container that runs isn't in it; otherwise all that failed, after the rest was done.
    pub fn disconnect(&self, network: &str, container: &str, namespace: Option<BorrowedFd>) -> Result<()> {
        self.session()?.disconnect(network, container, namespace)
    }

    /// Takes away what containers that are gone have left, and makes again what others have taken away: firewall,
    /// bridges.
    ///
    /// # Errors
    /// All that failed, after the rest was done.
    pub fn reload(&self) -> Result<()> {
        self.session()?.reload()
    }

    /// The lock, after which what is gone is taken away.
    fn session(&self) -> Result<Session<'_>> {
        if geteuid() != 0 {
            let message = "networks: bridges need root; without, a container has a network of its own";
            return Err(Error::new(Kind::Permission, message));
        }
        Session::open(self)
    }

    /// How interfaces of a network are known.
    pub(super) fn mark(&self, network: &Network) -> Mark {
        Mark::of(&self.places.data_root, &network.name)
    }

    fn make(&self, session: &Session, asked: &Asked) -> Result<Network> {
        let network = self.decide(&session.route, asked).during(|| format!("network {:?}", asked.name))?;
        self.store.write_network(&network)?;
        Ok(network)
    }

    /// What is asked for, with all that wasn't said.
    fn decide(&self, route: &Route, asked: &Asked) -> Result<Network> {
        let known = self.store.networks()?;
        let (interface, joined) = interface(route, asked, &known)?;
        if let Some(vlan) = &asked.vlan {
            there(route, &vlan.parent)?;
        }
        let mut taken: Vec<Taken> = known.iter().flat_map(taken_by).collect();
        // What a network joins has routes to its addresses already.
        let own: Vec<u32> = joined.iter().map(|device| device.index).collect();
        taken.extend(host::routes(route, &own)?);
        let subnets = match (asked.driver, &joined) {
            (Driver::Bridge, None) => self.subnets(asked, &taken)?,
            (Driver::Bridge, Some(device)) => joined_subnets(route, device, asked, &taken)?,
            (Driver::Macvlan, _) => {
                let check = |subnet| pools::asked(subnet, !asked.internal, &taken);
                asked.subnets.iter().map(check).collect::<Result<_>>()?
            }
        };
        if asked.wants(false) == Some(true) && !host::has_ipv6() {
            return Err(Error::new(Kind::Unsupported, "the kernel has no IPv6, or it is switched off"));
        }
        Ok(Network {
            version: store::VERSION,
            name: asked.name.clone(),
            id: new_id()?,
            created: clock::now(),
            driver: asked.driver,
            interface,
            joined: asked.driver == Driver::Bridge && joined.is_some(),
            vlan: asked.vlan.clone(),
            subnets,
            internal: asked.internal,
            isolated: asked.isolated,
            mtu: asked.mtu,
            dns: asked.dns && asked.driver == Driver::Bridge,
            labels: asked.labels.clone(),
        })
    }

    /// The subnets of a bridge of ours: those that are asked for, and free ones.
    fn subnets(&self, asked: &Asked, taken: &[Taken]) -> Result<Vec<Subnet>> {
        let default = asked.name == DEFAULT_NETWORK;
        let mut subnets = Vec::new();
        for v4 in [true, false] {
            let named = asked.subnets.iter().find(|subnet| subnet.subnet.addr().is_ipv4() == v4);
            let wants = asked.wants(v4).unwrap_or(v4 || host::has_ipv6());
            match named {
                Some(subnet) => subnets.push(pools::asked(subnet, true, taken)?),
                None if wants && v4 => subnets.push(pools::free_v4(default, taken)?),
                None if wants => subnets.push(pools::free_v6(default, self.store.ula()?, taken)?),
                None => {}
            }
        }
        match subnets.is_empty() {
            true => Err(Error::new(Kind::Config, "it has neither IPv4 nor IPv6")),
            false => Ok(subnets),
        }
    }
}

/// Removes the bridge of a network that nobody is in. Who calls holds the lock, and is the network's resolver.
pub(super) fn remove_bridge(places: &Places, network: &Network) -> Result<()> {
    bridge::remove(&Route::open()?, network, &Mark::of(&places.data_root, &network.name))
}

/// The interface of a new network, and the one of the host that it joins or stands on.
fn interface(route: &Route, asked: &Asked, known: &[Network]) -> Result<(String, Option<Device>)> {
    let wrong = |cause: String| Err(Error::new(Kind::Config, cause));
    match (asked.driver, &asked.interface, &asked.parent) {
        (Driver::Macvlan, _, parent) => {
            let parent = there(route, parent.as_deref().unwrap_or_default())?;
            if parent.master.is_some() {
                return wrong(format!("interface {:?} is a port of a bridge; join that one", parent.name));
            }
            Ok((parent.name.clone(), Some(parent)))
        }
        (Driver::Bridge, None, _) => {
            let taken: Vec<&str> = known.iter().map(|network| network.interface.as_str()).collect();
            Ok((bridge::free_name(route, &taken)?, None))
        }
        (Driver::Bridge, Some(name), _) => {
            if let Some(other) = known.iter().find(|other| other.interface == *name) {
                return wrong(format!("interface {name:?} is network {:?}'s", other.name));
            }
            match route.device(name)? {
                Some(device) if device.kind != "bridge" => wrong(format!("interface {name:?} is no bridge")),
                Some(device) if device.alias.starts_with("forgeone:") => {
                    wrong(format!("bridge {name:?} is another data root's ({})", device.alias))
                }
                Some(_) if asked.vlan.is_some() => {
                    wrong(format!("bridge {name:?} is there already; its VLAN is its owner's to connect"))
                }
                found => Ok((name.clone(), found)),
            }
        }
    }
}

fn there(route: &Route, name: &str) -> Result<Device> {
    let found = route.device(name)?;
    found.ok_or_else(|| Error::new(Kind::Config, format!("the host has no interface {name:?}")))
}

fn taken_by(network: &Network) -> impl Iterator<Item = Taken> {
    let by = |subnet: &Subnet| Taken { net: subnet.subnet, by: format!("network {:?}", network.name) };
    network.subnets.iter().map(by)
}

/// The subnets of a bridge that is joined: those of its addresses; and others that were asked for, whose gateway is
/// somebody else's.
fn joined_subnets(route: &Route, device: &Device, asked: &Asked, taken: &[Taken]) -> Result<Vec<Subnet>> {
    let addresses = route.addresses(device.index)?;
    let own = addresses.iter().filter(|address| address.is_global()).filter_map(|address| address.ip());
    let own: Vec<IpNet> = own.filter_map(|(address, prefix)| IpNet::new(address, prefix).ok()).collect();
    let mut subnets = Vec::new();
    for v4 in [true, false] {
        if asked.wants(v4) == Some(false) {
            continue;
        }
        let found = own.iter().find(|net| net.addr().is_ipv4() == v4);
        let named = asked.subnets.iter().find(|subnet| subnet.subnet.addr().is_ipv4() == v4);
        match (found, named) {
            (Some(found), Some(named)) if named.subnet.trunc() != found.trunc() => {
                let message =
                    format!("bridge {:?} has {found}, which isn't {}", device.name, named.subnet.trunc());
                return Err(Error::new(Kind::Config, message));
            }
            (Some(found), named) => {
                let gateway = named.and_then(|named| named.gateway).or(Some(found.addr()));
                let range = named.and_then(|named| named.range);
                subnets.push(pools::asked(&Subnet { subnet: found.trunc(), gateway, range }, true, taken)?);
            }
            (None, Some(named)) => subnets.push(pools::asked(named, false, taken)?),
            (None, None) => {}
        }
    }
    Ok(subnets)
}

/// The name of the firewall's table: one for each data root.
fn table(data_root: &Path) -> String {
    match data_root == Path::new("/var/lib/forgeone") {
        true => "forgeone".to_owned(),
        false => format!("forgeone-{}", host::digest(data_root.as_os_str().as_encoded_bytes(), 4)),
    }
}
