//! Connecting a container to one more network, and taking it out of one: at once if it runs, and for every start from then on.

use super::container::Container;
use super::found::is_rootless;
use super::network::{Wanted, interface, wanted};
use super::record::Record;
use crate::error::{Error, Kind, Result};
use crate::network::{Attachment, Endpoint, Network, Networks, Subnet, user};
use forgeone_config::{Connection, NetworkMode};
use forgeone_sys::fs::{self, Mode, OFlags};
use forgeone_sys::{AsFd, OwnedFd};

impl Container {
    /// The networks that it is in at the moment, with its place in each, the one of its first interface first.
    ///
    /// # Errors
    /// If a network can't be read.
    pub fn endpoints(&self) -> Result<Vec<(Network, Endpoint)>> {
        match user::connected(&self.dir())? {
            Some(connected) => Ok(vec![self.of_user(connected)]),
            None => Networks::of(self.places()).of_container(self.id()),
        }
    }

    /// The network that a program of the user's makes for it alone, called after the program.
    fn of_user(&self, connected: user::Connected) -> (Network, Endpoint) {
        let gateway = Some(connected.gateway);
        let subnets = connected.addresses.iter().map(|net| {
            let subnet = net.trunc();
            Subnet { subnet, gateway: gateway.filter(|gateway| subnet.contains(gateway)), range: None }
        });
        let network = Network {
            name: connected.program.word().to_owned(),
            subnets: subnets.collect(),
            ..Network::default()
        };
        let endpoint = Endpoint {
            container: self.id().to_owned(),
            name: self.name().to_owned(),
            addresses: connected.addresses,
            mac: connected.mac,
            interface: connected.interface,
            ports: connected.ports,
            dns: connected.dns,
            ..Endpoint::default()
        };
        (network, endpoint)
    }

    /// What it asks of networks.
    ///
    /// # Errors
    /// What can't be had, by the field.
    pub(crate) fn wanted_network(&self) -> Result<Wanted> {
        wanted(self.record(), &Networks::of(self.places()).list()?, is_rootless())
    }

    /// Connects it to one more network.
    ///
    /// # Errors
    /// [`Kind::NotFound`] if there is no such network, [`Kind::Exists`] if it is in it, [`Kind::State`] if it has no network of
    /// its own; addresses that it can't have. Nothing has changed then.
    pub fn connect(&mut self, connection: Connection) -> Result<()> {
        let networks = Networks::of(self.places());
        let network = networks.find(&connection.network)?.name;
        let mut connections = self.connections()?;
        if connections.iter().any(|other| other.network == network) {
            let message = format!("container {:?} is in network {network:?} already", self.name());
            return Err(Error::new(Kind::Exists, message));
        }
        // Those that follow keep their interfaces when one of them goes.
        let taken: Vec<String> =
            connections.iter().enumerate().map(|(at, other)| interface(other, at)).collect();
        let free = (0..=taken.len()).map(|at| format!("eth{at}")).find(|name| !taken.contains(name));
        let interface = connection.interface.clone().or(free);
        connections.push(Connection { network: network.clone(), interface, ..connection });
        let changed = self.with(&connections);
        let attachment = match wanted(&changed, &networks.list()?, is_rootless())? {
            Wanted::Bridges(all) => all.into_iter().find(|attachment| attachment.network == network),
            _ => None,
        };
        let namespace = self.namespace()?;
        if let (Some(attachment), Some(namespace)) = (&attachment, &namespace) {
            // Ports are those of the network that it was started with.
            let attachment = Attachment { ports: Vec::new(), ..attachment.clone() };
            networks.connect(&attachment, namespace.as_fd())?;
        }
        let written = self.change(|config| config.network = changed.config.network);
        if written.is_err()
            && let Some(namespace) = &namespace
        {
            let undone = networks.disconnect(&network, self.id(), Some(namespace.as_fd()));
            return Err(Error::all([written.err(), undone.err()].into_iter().flatten().collect())
                .unwrap_or_else(|| Error::new(Kind::System, "container.json")));
        }
        written
    }

    /// Takes it out of a network.
    ///
    /// # Errors
    /// [`Kind::NotFound`] if it isn't in it.
    pub fn disconnect(&mut self, network: &str) -> Result<()> {
        let networks = Networks::of(self.places());
        let found = networks.find(network);
        let name = found.map_or_else(|_| network.to_owned(), |network| network.name);
        let mut connections = self.connections()?;
        for (at, connection) in connections.iter_mut().enumerate() {
            connection.interface = Some(interface(connection, at));
        }
        let before = connections.len();
        connections.retain(|connection| connection.network != name);
        if connections.len() == before {
            let message = format!("container {:?} isn't in network {name:?}", self.name());
            return Err(Error::new(Kind::NotFound, message));
        }
        let changed = self.with(&connections);
        self.change(|config| config.network = changed.config.network)?;
        match self.namespace()? {
            Some(namespace) => networks.disconnect(&name, self.id(), Some(namespace.as_fd())),
            None => Ok(()),
        }
    }

    fn connections(&self) -> Result<Vec<Connection>> {
        let network = self.config().network.clone().unwrap_or_default();
        let driver = network.options.as_ref().and_then(|options| options.get("driver"));
        let refuse = |whose: &str| {
            let message = format!(
                "container {:?} has the network of {whose}: it can't be connected to others",
                self.name()
            );
            Err(Error::new(Kind::State, message))
        };
        match (network.mode, driver.map(String::as_str)) {
            _ if is_rootless() => {
                Err(Error::new(Kind::Unsupported, "networks are root's to make and to connect"))
            }
            (NetworkMode::Host, _) => refuse("the host"),
            (NetworkMode::Container, _) => refuse("another container"),
            (_, Some("cni" | "pasta" | "slirp4netns")) => refuse("another driver"),
            _ => Ok(network.connections()),
        }
    }

    fn with(&self, connections: &[Connection]) -> Record {
        let mut changed = self.record().clone();
        changed.config.network.get_or_insert_default().set_connections(connections);
        changed
    }

    /// Its network namespace, if it runs.
    fn namespace(&self) -> Result<Option<OwnedFd>> {
        let status = self.status()?;
        if !status.state.is_active() || status.pid == 0 {
            return Ok(None);
        }
        Ok(Some(fs::open(format!("/proc/{}/ns/net", status.pid), OFlags::RDONLY, Mode::empty())?))
    }
}
