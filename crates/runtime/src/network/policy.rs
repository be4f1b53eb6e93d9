//! Whom a container may hear and reach: lists of what is allowed, as words.
//!
//! ```text
//! PEER[@PROTOCOL[/PORT[-PORT]]]
//!
//! any                     everybody
//! 10.0.0.0/8@tcp/443      a network or an address
//! label:app=web@tcp/80-90 containers of ours with this label, wherever they are; without a value, with any
//! ```
//!
//! A direction without a list is open; with an empty one nothing is allowed. Answers to what was allowed always are.

use super::model::Protocol;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::str::FromStr;

/// Both directions of a container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// Who may begin to speak to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ingress: Option<Vec<Rule>>,
    /// Whom it may begin to speak to. Its own networks' resolvers are always allowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub egress: Option<Vec<Rule>>,
}

impl Policy {
    /// Whether it forbids nothing.
    pub fn is_open(&self) -> bool {
        *self == Self::default()
    }
}

/// Something that is allowed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Rule {
    /// With whom.
    pub peer: Peer,
    /// By which protocol; by every one where absent.
    pub protocol: Option<Protocol>,
    /// To which ports of whoever is spoken to; to all where absent.
    pub ports: Option<RangeInclusive<u16>>,
}

/// Somebody at the other end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Peer {
    /// Everybody.
    Any,
    /// Addresses.
    Net(IpNet),
    /// Containers with this label, of this value if there is one.
    Label(String, Option<String>),
}

impl Peer {
    /// Whether a container with these labels is meant.
    pub fn is_labelled(&self, labels: &std::collections::BTreeMap<String, String>) -> bool {
        match self {
            Self::Label(key, value) => {
                labels.get(key).is_some_and(|own| value.as_ref().is_none_or(|value| value == own))
            }
            _ => false,
        }
    }
}

impl FromStr for Rule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // A label may have any character, also this one: what follows the last one has to be a protocol.
        let (peer, rest) = text.rsplit_once('@').map_or((text, None), |(peer, rest)| (peer, Some(rest)));
        let (protocol, ports) = match rest {
            None => (None, None),
            Some(rest) => {
                let (protocol, ports) =
                    rest.split_once('/').map_or((rest, None), |(word, ports)| (word, Some(ports)));
                (Some(protocol.parse()?), ports.map(range).transpose()?)
            }
        };
        Ok(Self { peer: peer_of(peer)?, protocol, ports })
    }
}

fn peer_of(text: &str) -> Result<Peer, String> {
    if text == "any" {
        return Ok(Peer::Any);
    }
    if let Some(label) =
        text.strip_prefix("label:").filter(|label| !label.is_empty() && !label.starts_with('='))
    {
        let (key, value) = label.split_once('=').map_or((label, None), |(key, value)| (key, Some(value)));
        return Ok(Peer::Label(key.to_owned(), value.map(str::to_owned)));
    }
    let net = text.parse::<IpNet>().map(|net| net.trunc());
    let net = net.or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    net.map(Peer::Net).map_err(|_| {
        format!("{text:?} is none of any, an address, a network such as 10.0.0.0/8, label:KEY[=VALUE]")
    })
}

/// `80`, or `8000-8080`.
fn range(text: &str) -> Result<RangeInclusive<u16>, String> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let number = |text: &str| text.parse::<u16>().ok().filter(|port| *port != 0 && !text.starts_with('+'));
    match (number(first), number(last)) {
        (Some(first), Some(last)) if first <= last => Ok(first..=last),
        _ => Err(format!("{text:?} is no port (1 to 65535) nor a range of them")),
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match &self.peer {
            Peer::Any => f.write_str("any")?,
            Peer::Net(net) => write!(f, "{net}")?,
            Peer::Label(key, None) => write!(f, "label:{key}")?,
            Peer::Label(key, Some(value)) => write!(f, "label:{key}={value}")?,
        }
        let Some(protocol) = self.protocol else { return Ok(()) };
        write!(f, "@{}", protocol.word())?;
        match &self.ports {
            None => Ok(()),
            Some(ports) if ports.start() == ports.end() => write!(f, "/{}", ports.start()),
            Some(ports) => write!(f, "/{}-{}", ports.start(), ports.end()),
        }
    }
}

impl TryFrom<String> for Rule {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Rule> for String {
    fn from(rule: Rule) -> Self {
        rule.to_string()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_read_as_they_are_written() {
        let same = [
            "any",
            "10.0.0.0/8@tcp/443",
            "fd00::/64@udp/53",
            "label:app=web@tcp/80-90",
            "label:app",
            "192.0.2.1/32@sctp",
        ];
        for text in same {
            assert_eq!(text.parse::<Rule>().unwrap().to_string(), text);
        }
        let other =
            [("10.1.2.3/8", "10.0.0.0/8"), ("192.0.2.1", "192.0.2.1/32"), ("any@TCP/80-80", "any@tcp/80")];
        for (text, meant) in other {
            assert_eq!(text.parse::<Rule>().unwrap().to_string(), meant);
        }
    }

    #[test]
    fn what_is_no_rule_is_refused() {
        for text in [
            "",
            "all",
            "10.0.0.0/33",
            "any@",
            "any@icmp",
            "any@tcp/0",
            "any@tcp/90-80",
            "any@tcp/+80",
            "label:",
            "label:=x",
            "any@tcp/70000",
        ] {
            assert!(text.parse::<Rule>().is_err(), "{text}");
        }
    }
}
