//! The resolver: one process for each network that has names. It knows the network's members by name, and asks others for
//! the rest.
//!
//! ```text
//! member ── UDP, TCP: port 53 of the gateway ──► resolver ── names, addresses: endpoints/*.json
//!                                                   └──────► the member's own servers, or those of the host
//! ```
//!
//! [`ensure`] starts it with the network's first member, and it ends by itself some time after the last: both under the lock of all
//! networks, so that nobody is ever left without. The bridge goes with it. While it
//! lives it is also its network's keeper. It has one thread, one loop over poll(2) and no cache: what it says of
//! members is what their files say at that moment, and what others said is passed on as it came.

mod client;
mod confine;
mod forward;
mod keeper;
mod message;
mod names;
mod place;
mod server;
pub(super) mod upstream;
mod words;

use super::{Driver, Network};
use crate::background;
use crate::error::{During, Error, Kind, Result};
use crate::registry::Places;
use forgeone_sys::fs;
use place::Place;
use server::Server;
use std::ffi::OsString;
use std::net::IpAddr;
use words::Words;

/// The addresses at which a network's members ask for names; none where it has no resolver.
pub fn addresses(network: &Network) -> Vec<IpAddr> {
    if !network.dns || network.driver != Driver::Bridge {
        return Vec::new();
    }
    network.subnets.iter().filter_map(|subnet| subnet.gateway).collect()
}

/// The port at which the network's resolver listens, if it isn't 53.
pub fn port(places: &Places, network: &str) -> Option<u16> {
    Place::new(&places.data_root, network).port()
}

/// Whether the network's resolver lives.
///
/// # Errors
/// The kernel's answer.
pub(super) fn lives(places: &Places, network: &Network) -> Result<bool> {
    Ok(!addresses(network).is_empty() && Place::new(&places.data_root, &network.name).lives()?)
}

/// Sees to it that the network's resolver lives, if it has one, and listens; the firewall is told [`port`] after that. The
/// lock of all networks is held by the caller, and the network has a member and its gateways' addresses.
///
/// # Errors
/// What the resolver says that can't start.
pub fn ensure(places: &Places, network: &Network) -> Result<()> {
    if addresses(network).is_empty() || Place::new(&places.data_root, &network.name).lives()? {
        return Ok(());
    }
    let words = Words { places: places.clone(), network: network.name.clone() };
    background::start(&places.monitor, &words.to_words(), "resolver")
}

/// The program of a resolver, `forgeone-standalone resolver …`, which [`ensure`] starts with these words behind the
/// program's name. It says what is wrong on its standard output, which it closes when it listens; the exit status.
pub fn main(words: impl Iterator<Item = OsString>) -> u8 {
    match Words::read(words).and_then(|words| run(&words).during(|| "resolver")) {
        Ok(()) => 0,
        Err(e) => {
            // Whoever would read it may be gone.
            let _ = fs::write_all(fs::stdout(), format!("{e}\n").as_bytes());
            1
        }
    }
}

fn run(words: &Words) -> Result<()> {
    let mut place = Place::new(&words.places.data_root, &words.network);
    let network = place.network()?;
    let addresses = addresses(&network);
    if addresses.is_empty() {
        return Err(Error::new(Kind::Usage, format!("network {:?} has none", network.name)));
    }
    if !place.take()? || !confine::leave(place.held())? {
        return Ok(());
    }
    let (listeners, port) = server::listen(&addresses)?;
    place.tell(port)?;
    confine::confine(&words.places.data_root)?;
    let server = Server::new(&words.places, network, place, listeners)?;
    background::ready()?;
    server.serve()
}

/// Reads bytes as questions and answers.
#[cfg(any(test, feature = "fuzz"))]
pub(crate) fn fuzz(bytes: &[u8]) {
    message::fuzz(bytes);
}
