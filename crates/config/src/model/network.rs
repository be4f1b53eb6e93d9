//! The container's network.

use super::sorted;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// How the container is connected, and under which names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct NetworkConfig {
    /// Whose network it is. Files always say it, so that a change of the rest never changes it unseen.
    pub mode: NetworkMode,
    /// The network's name, or those of several with commas between them; with mode `container` that container's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its address in the first, which may have a prefix length: `10.0.0.7/24`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip_address: Option<String>,
    /// The address of the default route.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<String>,
    /// Addresses of name servers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dns: Option<Vec<String>>,
    /// Domains in which short names are looked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dns_search: Option<Vec<String>>,
    /// The container's name for itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// The domain of that name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain_name: Option<String>,
    /// Further lines of `/etc/hosts`: name to address.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "sorted")]
    pub extra_hosts: Option<HashMap<String, String>>,
    /// Ports of the host that lead inside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ports: Option<Vec<PortMapping>>,
    /// For the network's driver, and what [`Connection`](super::Connection) tells of.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "sorted")]
    pub options: Option<HashMap<String, String>>,
}

/// Whose network the container has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum NetworkMode {
    /// Its own, on a bridge of the host.
    #[default]
    Bridge,
    /// The host's.
    Host,
    /// Its own, with a loopback interface alone.
    None,
    /// That of the container that `name` names.
    Container,
    /// The network that `name` names.
    Custom,
}

/// A port of the host that leads to one inside.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PortMapping {
    /// On the host; 0 is one that is free, chosen when the container starts.
    pub host_port: u16,
    /// Inside.
    pub container_port: u16,
    /// Of which protocol.
    #[serde(default)]
    pub protocol: PortProtocol,
    /// The host's address on which it is open; all where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_ip: Option<String>,
}

/// A transport protocol that has ports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum PortProtocol {
    /// Transmission Control Protocol.
    #[default]
    TCP,
    /// User Datagram Protocol.
    UDP,
    /// Stream Control Transmission Protocol.
    SCTP,
}
