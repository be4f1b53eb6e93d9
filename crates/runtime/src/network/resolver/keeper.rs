//! What the resolver does beside resolving, since it lives as long as its network does: it sees to it that what was made for
//! networks is there. Somebody may flush the firewall's rules; a container and its monitor may be killed, which tells nobody.
//!
//! What has to be done is done by [`Networks::reload`], as every command does it, so that it doesn't matter who comes first.

use crate::error::Result;
use crate::network::firewall::Watch;
use crate::network::{Endpoint, Networks};
use crate::registry::Places;
use forgeone_sys::net::{LinkWatch, Route};
use forgeone_sys::signal::PollFd;
use std::time::{Duration, Instant};

/// How long after an interface has gone its endpoint is looked at: whoever takes both away has done so by then.
const SETTLES: Duration = Duration::from_millis(500);

/// See the module.
pub(super) struct Keeper {
    networks: Networks,
    /// None where the kernel has no tables.
    firewall: Option<Watch>,
    links: LinkWatch,
    /// When to look at the interfaces.
    look: Option<Instant>,
}

impl Keeper {
    pub(super) fn new(places: &Places) -> Result<Self> {
        let firewall = Watch::open().ok();
        Ok(Self { networks: Networks::of(places), firewall, links: LinkWatch::open()?, look: None })
    }

    /// What it waits for.
    pub(super) fn poll(&self) -> Vec<PollFd<'_>> {
        let firewall = self.firewall.as_ref().map(PollFd::readable);
        std::iter::once(PollFd::readable(&self.links)).chain(firewall).collect()
    }

    pub(super) fn until(&self) -> Option<Instant> {
        self.look
    }

    /// Goes on, since something has come or time has passed. What fails here is told to whoever next changes networks, by
    /// whom it is done again.
    pub(super) fn step(&mut self, ready: &[bool], now: Instant, members: &[Endpoint]) {
        if ready.first() == Some(&true) && self.links.gone().unwrap_or(true) {
            self.look = Some(now + SETTLES);
        }
        let flushed = ready.get(1) == Some(&true)
            && self
                .firewall
                .as_mut()
                .is_some_and(|watch| watch.changed(self.networks.table()).unwrap_or(true));
        let looks = self.look.is_some_and(|look| look <= now);
        if looks {
            self.look = None;
        }
        if flushed || looks && is_any_gone(members) {
            let _ = self.networks.reload();
        }
    }
}

/// Whether the interface of a member is gone.
fn is_any_gone(members: &[Endpoint]) -> bool {
    let Ok(route) = Route::open() else { return true };
    members.iter().any(|member| matches!(route.index(&member.host_interface), Ok(None)))
}
