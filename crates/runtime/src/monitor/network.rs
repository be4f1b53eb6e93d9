//! The network of a container: made before it starts, there while it is started again, gone when it is at rest.
//!
//! The monitor holds the descriptor of the container's network namespace: while nobody else is in it, it is there as long as
//! the monitor is, and with it go the interfaces. It also holds sockets that keep the published ports of the host.

use super::serve::Monitor;
use crate::error::{Error, Result};
use crate::network::{Attachment, Endpoint, Network, Networks, Port, Protocol, new_namespace, user};
use crate::registry::{Container, Given, Wanted};
use forgeone_config::DEFAULT_NETWORK;
use forgeone_sys::fs::{self, Mode, OFlags};
use forgeone_sys::net::{self, Transport};
use forgeone_sys::{AsFd, BorrowedFd, Errno, OwnedFd, process};
use std::net::IpAddr;
use std::os::fd::AsRawFd;

/// What a container that is about to run, or runs, is connected by.
#[derive(Debug)]
pub(super) struct Connected {
    /// None if it went with a container whose monitor was lost.
    pub(super) namespace: Option<OwnedFd>,
    /// Ports of the host, kept from others.
    pub(super) kept: Vec<OwnedFd>,
}

impl Connected {
    /// The descriptors that the program that this monitor becomes goes on with.
    pub(super) fn open(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.namespace.iter().chain(&self.kept).map(AsFd::as_fd)
    }
}

impl Monitor {
    /// Connects the container, unless it still is; gives what `config.json` and the files inside say of it.
    pub(super) fn connect(&mut self, container: &Container) -> Result<Given> {
        let attachments = match container.wanted_network()? {
            Wanted::Nothing => return Ok(Given::default()),
            Wanted::Bridges(attachments) => attachments,
            Wanted::User { program, attachment } => {
                return self.connect_user(program.as_deref(), &attachment);
            }
        };
        let networks = Networks::of(&self.places);
        if self.network.is_none()
            && let Err(e) = self.join_all(&networks, attachments)
        {
            // The next start begins anew.
            let errors = [Err(e.clone()), self.disconnect()];
            return Err(Error::all(errors.into_iter().filter_map(Result::err).collect()).unwrap_or(e));
        }
        Ok(given(self.namespace_path(), &networks.of_container(&self.duties.id)?))
    }

    fn join_all(&mut self, networks: &Networks, attachments: Vec<Attachment>) -> Result<()> {
        self.network = Some(Connected { namespace: Some(new_namespace()?), kept: Vec::new() });
        for mut attachment in attachments {
            if attachment.network == DEFAULT_NETWORK {
                networks.default_network()?;
            }
            self.keep_ports(&mut attachment.ports)?;
            self.join(networks, &attachment)?;
        }
        Ok(())
    }

    /// The namespace as others can open it.
    fn namespace_path(&self) -> Option<String> {
        let namespace = self.network.as_ref()?.namespace.as_ref()?;
        Some(format!("/proc/{}/fd/{}", process::getpid(), namespace.as_raw_fd()))
    }

    /// Has a program connect a user's container, unless it still does.
    fn connect_user(&mut self, program: Option<&str>, attachment: &Attachment) -> Result<Given> {
        if self.network.is_none() {
            let mut wish = user::Wish {
                program: program.and_then(user::Program::of_word),
                interface: attachment.interface.clone(),
                mac: attachment.mac,
                ports: attachment.ports.clone(),
                ..user::Wish::default()
            };
            // The program listens by itself at the one that was found to be free.
            for port in wish.ports.iter_mut().filter(|port| port.host_port == 0) {
                port.host_port = keep(port)?.1;
            }
            let namespace = new_namespace()?;
            user::connect(&self.directory, namespace.as_fd(), &wish)?;
            self.network = Some(Connected { namespace: Some(namespace), kept: Vec::new() });
        }
        let connected = user::connected(&self.directory)?;
        let dns = connected.as_ref().map(|connected| connected.dns.clone()).unwrap_or_default();
        let addresses = connected.iter().flat_map(|connected| &connected.addresses);
        Ok(Given {
            namespace: self.namespace_path(),
            addresses: addresses.map(|net| net.addr()).collect(),
            resolvers: if attachment.dns.is_empty() { dns } else { attachment.dns.clone() },
            host: None,
        })
    }

    fn join(&mut self, networks: &Networks, attachment: &Attachment) -> Result<()> {
        let Some(namespace) = self.network.as_ref().and_then(|network| network.namespace.as_ref()) else {
            return Ok(());
        };
        let endpoint = networks.connect(attachment, namespace.as_fd())?;
        let addresses: Vec<_> = endpoint.addresses.iter().map(ToString::to_string).collect();
        self.tell(
            "connect",
            &[("network", attachment.network.clone().into()), ("addresses", addresses.into())],
        );
        Ok(())
    }

    /// Keeps ports of the host from everybody else, and chooses those that nobody named.
    fn keep_ports(&mut self, ports: &mut [Port]) -> Result<()> {
        for port in ports {
            let (kept, number) = keep(port)?;
            port.host_port = number;
            if let Some(network) = &mut self.network {
                network.kept.extend(kept);
            }
        }
        Ok(())
    }

    /// Takes the container, which is at rest, out of all of its networks. Its interfaces go with the namespace.
    pub(super) fn disconnect(&mut self) -> Result<()> {
        let connected = self.network.take();
        let networks = Networks::of(&self.places);
        let mut errors: Vec<Error> = user::disconnect(&self.directory).err().into_iter().collect();
        // Also of those that it was connected to while it ran.
        for (network, endpoint) in networks.of_container(&self.duties.id)? {
            match networks.disconnect(&network.name, &endpoint.container, None) {
                Ok(()) => self.tell("disconnect", &[("network", network.name.into())]),
                Err(e) => errors.push(e),
            }
        }
        drop(connected);
        Error::all(errors).map_or(Ok(()), Err)
    }

    /// Finds the network of a container whose monitor was lost: by its init, if it runs. It is taken away in any case when
    /// the container is at rest.
    pub(super) fn reconnect(&mut self, init: Option<i32>) -> Result<()> {
        let mine = Networks::of(&self.places).of_container(&self.duties.id)?;
        if mine.is_empty() && user::connected(&self.directory)?.is_none() {
            return Ok(());
        }
        let path = init.map(|pid| format!("/proc/{pid}/ns/net"));
        let namespace = path.map(|path| fs::open(path, OFlags::RDONLY, Mode::empty())).transpose()?;
        let ports = mine.iter().flat_map(|(_, endpoint)| &endpoint.ports);
        // Somebody may have taken one while nobody kept it.
        let kept = ports.filter_map(|port| keep(port).ok()?.0).collect();
        self.network = Some(Connected { namespace, kept });
        Ok(())
    }
}

fn given(namespace: Option<String>, mine: &[(Network, Endpoint)]) -> Given {
    let gateways = |network: &Network| {
        network.subnets.iter().filter_map(|subnet| subnet.gateway).collect::<Vec<IpAddr>>()
    };
    let resolving = mine.iter().filter(|(network, _)| network.dns).flat_map(|(network, _)| gateways(network));
    let outward = mine.iter().find(|(network, _)| !network.internal).or(mine.first());
    Given {
        namespace,
        addresses: mine.iter().flat_map(|(_, endpoint)| &endpoint.addresses).map(|net| net.addr()).collect(),
        resolvers: resolving.collect(),
        host: outward.and_then(|(network, _)| gateways(network).first().copied()),
    }
}

/// Keeps a port, if the kernel knows its protocol; gives its number.
fn keep(port: &Port) -> Result<(Option<OwnedFd>, u16)> {
    let transport = match port.protocol {
        Protocol::Tcp => Transport::Tcp,
        Protocol::Udp => Transport::Udp,
        Protocol::Sctp => Transport::Sctp,
    };
    let (number, word) = (port.host_port, port.protocol.word());
    let address = port.host.map_or_else(String::new, |host| format!(" of {host}"));
    match net::reserve(transport, port.host, number) {
        Ok(Some((socket, number))) => Ok((Some(socket), number)),
        Ok(None) => Ok((None, number)),
        Err(e) => {
            let way_out = match e.errno() {
                Errno::ADDRINUSE => "; end who has it, or publish another",
                Errno::ADDRNOTAVAIL => "; name an address of this machine",
                _ => "",
            };
            let cause = forgeone_sys::describe(e.errno());
            Err(Error::new(
                crate::error::Kind::Config,
                format!("publish: port {number}/{word}{address}: {cause}{way_out}"),
            ))
        }
    }
}
