//! What a network is asked to be, and which words can be a name.

use super::model::{Driver, Subnet, Vlan};
use super::store::RESERVED;
use crate::error::{Error, Kind, Result};
use std::collections::BTreeMap;

/// A network that is to be made; what isn't said is chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Its name.
    pub name: String,
    /// What it is made of.
    pub driver: Driver,
    /// Subnets that it is to have, at most one of each family; gateways are chosen where there are none.
    pub subnets: Vec<Subnet>,
    /// Whether it has IPv4. Where it isn't said: if no subnet is, or an IPv4 one.
    pub ipv4: Option<bool>,
    /// Whether it has IPv6. Where it isn't said: if no subnet is and the kernel has it, or if an IPv6 one is.
    pub ipv6: Option<bool>,
    /// See [`Network`](super::Network).
    pub internal: bool,
    /// See [`Network`](super::Network).
    pub isolated: bool,
    /// See [`Network`](super::Network).
    pub mtu: Option<u32>,
    /// Whether it resolves names.
    pub dns: bool,
    /// The user's words.
    pub labels: BTreeMap<String, String>,
    /// The bridge's name. One that is there, and is somebody else's, is joined: its addresses say what the subnets are.
    pub interface: Option<String>,
    /// A VLAN that the bridge is connected to.
    pub vlan: Option<Vlan>,
    /// The interface of the host that macvlan stands on.
    pub parent: Option<String>,
}

impl Default for Asked {
    fn default() -> Self {
        Self {
            name: String::new(),
            driver: Driver::Bridge,
            subnets: Vec::new(),
            ipv4: None,
            ipv6: None,
            internal: false,
            isolated: false,
            mtu: None,
            dns: true,
            labels: BTreeMap::new(),
            interface: None,
            vlan: None,
            parent: None,
        }
    }
}

/// Words that mean other modes than a network.
const MODES: [&str; 9] =
    ["bridge", "cni", "container", "custom", "default", "host", "none", "pasta", "slirp4netns"];

/// Whether a word has the form of a network's name.
pub(super) fn is_name(word: &str) -> bool {
    let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    word.starts_with(|c: char| c.is_ascii_alphanumeric())
        && word.chars().all(inner)
        && word.len() <= 64
        && !RESERVED.contains(&word)
}

impl Asked {
    /// What is wrong with it, whatever the host has.
    ///
    /// # Errors
    /// [`Kind::Config`], naming what.
    pub(super) fn check(&self) -> Result<()> {
        let name = &self.name;
        let wrong = |cause: String| Err(Error::new(Kind::Config, format!("network {name:?}: {cause}")));
        if MODES.contains(&name.as_str()) || RESERVED.contains(&name.as_str()) {
            return wrong("the word has another meaning; choose another name".to_owned());
        }
        if !is_name(name) {
            let words =
                "a name has at most 64 letters, digits, _, . and -, and begins with a letter or digit";
            return wrong(words.to_owned());
        }
        for v4 in [true, false] {
            let family = if v4 { "IPv4" } else { "IPv6" };
            let subnets = self.subnets.iter().filter(|subnet| subnet.subnet.addr().is_ipv4() == v4).count();
            if subnets > 1 {
                return wrong(format!("it can have one {family} subnet, not {subnets}"));
            }
            let said = if v4 { self.ipv4 } else { self.ipv6 };
            if subnets == 1 && said == Some(false) {
                return wrong(format!("it is to have no {family}, and an {family} subnet"));
            }
        }
        if let Some(mtu) = self.mtu.filter(|mtu| !(68..=65_535).contains(mtu)) {
            return wrong(format!("an MTU is 68 to 65535, not {mtu}"));
        }
        if self.mtu.is_some_and(|mtu| mtu < 1280) && self.wants(false) != Some(false) {
            return wrong("IPv6 needs an MTU of 1280; name an IPv4 --subnet alone".to_owned());
        }
        let interfaces = [&self.interface, &self.parent, &self.vlan.as_ref().map(|vlan| vlan.parent.clone())];
        if let Some(interface) = interfaces.into_iter().flatten().find(|name| !super::is_interface_name(name))
        {
            return wrong(format!("{interface:?} can't be the name of a network interface"));
        }
        match (self.driver, &self.vlan) {
            (_, Some(vlan)) if !(1..=4094).contains(&vlan.id) => {
                wrong(format!("a VLAN's number is 1 to 4094, not {}", vlan.id))
            }
            (Driver::Macvlan, Some(_)) => {
                wrong("macvlan has no VLAN; name its sub-interface as the parent".to_owned())
            }
            (Driver::Macvlan, None) if self.parent.is_none() => {
                wrong("macvlan needs an interface of the host as its parent".to_owned())
            }
            (Driver::Macvlan, None) if self.interface.is_some() => wrong("macvlan has no bridge".to_owned()),
            (Driver::Bridge, _) if self.parent.is_some() => {
                wrong("a parent is for macvlan; a bridge has a VLAN of an interface".to_owned())
            }
            _ => Ok(()),
        }
    }

    /// Whether it is to have a family: surely, surely not, or if it can be had.
    pub(super) fn wants(&self, v4: bool) -> Option<bool> {
        let said = if v4 { self.ipv4 } else { self.ipv6 };
        let subnet = self.subnets.iter().any(|subnet| subnet.subnet.addr().is_ipv4() == v4);
        match (said, subnet, self.subnets.is_empty()) {
            (Some(said), ..) => Some(said),
            (None, true, _) => Some(true),
            (None, false, false) => Some(false),
            (None, false, true) => None,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn named(name: &str) -> Asked {
        Asked { name: name.to_owned(), ..Asked::default() }
    }

    fn subnet(text: &str) -> Subnet {
        Subnet { subnet: text.parse().unwrap(), gateway: None, range: None }
    }

    #[test]
    fn what_can_not_be_is_refused() {
        assert!(named("blue-1.x_y").check().is_ok());
        let vlan = |id| Some(Vlan { parent: "eth0".to_owned(), id });
        let macvlan = Asked { driver: Driver::Macvlan, ..named("m") };
        for (asked, cause) in [
            (named(""), "a name has"),
            (named("-x"), "a name has"),
            (named("a/b"), "a name has"),
            (named(&"x".repeat(65)), "a name has"),
            (named("host"), "another meaning"),
            (named("lock"), "another meaning"),
            (Asked { mtu: Some(67), ..named("x") }, "an MTU is 68 to 65535"),
            (Asked { mtu: Some(1000), ipv6: Some(true), ..named("x") }, "IPv6 needs an MTU of 1280"),
            (
                Asked { interface: Some("a b".to_owned()), ..named("x") },
                "can't be the name of a network interface",
            ),
            (Asked { vlan: vlan(0), ..named("x") }, "a VLAN's number is 1 to 4094"),
            (Asked { vlan: vlan(4095), ..named("x") }, "a VLAN's number is 1 to 4094"),
            (Asked { parent: Some("eth0".to_owned()), ..named("x") }, "a parent is for macvlan"),
            (macvlan.clone(), "needs an interface of the host"),
            (Asked { vlan: vlan(5), ..macvlan.clone() }, "macvlan has no VLAN"),
            (
                Asked { parent: Some("e".to_owned()), interface: Some("b".to_owned()), ..macvlan },
                "macvlan has no bridge",
            ),
            (
                Asked { subnets: vec![subnet("10.1.0.0/24"), subnet("10.2.0.0/24")], ..named("x") },
                "it can have one IPv4 subnet, not 2",
            ),
            (
                Asked { subnets: vec![subnet("fd00::/64")], ipv6: Some(false), ..named("x") },
                "it is to have no IPv6, and an IPv6 subnet",
            ),
        ] {
            let e = asked.check().unwrap_err();
            assert!(e.kind() == Kind::Config && e.to_string().contains(cause), "{cause}: {e}");
        }
    }

    #[test]
    fn families_are_those_of_the_subnets_or_both() {
        let wants = |subnets: &[&str], ipv6| {
            let asked = Asked { subnets: subnets.iter().map(|s| subnet(s)).collect(), ipv6, ..named("x") };
            (asked.wants(true), asked.wants(false))
        };
        assert_eq!(wants(&[], None), (None, None));
        assert_eq!(wants(&["10.1.0.0/24"], None), (Some(true), Some(false)));
        assert_eq!(wants(&["10.1.0.0/24"], Some(true)), (Some(true), Some(true)));
        assert_eq!(wants(&["fd00::/64"], None), (Some(false), Some(true)));
    }
}
