//! Namespaces: own ones, but for those that are the host's or another container's by name.

use super::{Inputs, refuse};
use crate::error::Result;
use crate::spec::{Linux, Namespace};
use forgeone_config::{ContainerConfig, NetworkConfig, NetworkMode};

/// Whose a namespace is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Whose<'a> {
    Own,
    Host,
    /// A container's, by a word for it.
    Container(&'a str),
}

/// Each kind as the specification and `/proc/PID/ns` call it, its field, and whose it is.
pub(in super::super) fn all(
    config: &ContainerConfig,
) -> [(&'static str, &'static str, &'static str, Whose<'_>); 6] {
    [
        ("pid", "pid", "pid", whose(config.pid.as_deref())),
        ("ipc", "ipc", "ipc", whose(config.ipc.as_deref())),
        ("uts", "uts", "uts", whose(config.uts.as_deref())),
        ("cgroup", "cgroup", "cgroup", whose(config.cgroup.as_deref())),
        ("user", "user", "userns_mode", user(config.userns_mode.as_deref())),
        ("network", "net", "network.mode", network(config.network.as_ref())),
    ]
}

fn whose(value: Option<&str>) -> Whose<'_> {
    match value {
        Some("host") => Whose::Host,
        Some(word) => word.strip_prefix("container:").map_or(Whose::Own, Whose::Container),
        None => Whose::Own,
    }
}

/// There is no user namespace of its own: who runs it decides that.
fn user(value: Option<&str>) -> Whose<'_> {
    match whose(value) {
        Whose::Container(word) => Whose::Container(word),
        _ => Whose::Host,
    }
}

fn network(network: Option<&NetworkConfig>) -> Whose<'_> {
    match network {
        Some(NetworkConfig { mode: NetworkMode::Host, .. }) => Whose::Host,
        Some(NetworkConfig { mode: NetworkMode::Container, name: Some(name), .. }) => Whose::Container(name),
        _ => Whose::Own,
    }
}

/// Whether the container's network is the host's.
pub(in super::super) fn shares_host_network(config: &ContainerConfig) -> bool {
    network(config.network.as_ref()) == Whose::Host
}

/// Whether it has a host name of its own.
pub(in super::super) fn own_uts(config: &ContainerConfig) -> bool {
    whose(config.uts.as_deref()) == Whose::Own
}

pub(super) fn make(inputs: &Inputs) -> Result<Linux> {
    let config = inputs.config();
    if let (Some(name), false) = (config.network.as_ref().and_then(|n| n.hostname.as_ref()), own_uts(config))
    {
        return Err(refuse(
            "network.hostname",
            format!("{name:?}: uts is not the container's own; leave one out"),
        ));
    }
    let mut namespaces = vec![Namespace { kind: "mount".to_owned(), ..Namespace::default() }];
    for (kind, _, _, whose) in all(config) {
        let path = match whose {
            Whose::Host => continue,
            Whose::Own if kind == "network" => inputs.given.namespace.clone().unwrap_or_default(),
            Whose::Own => String::new(),
            Whose::Container(_) => {
                match inputs.found.joined.iter().find(|joined| joined.kind == kind) {
                    Some(joined) => joined.path.clone(),
                    // The other's is the host's.
                    None => continue,
                }
            }
        };
        namespaces.push(Namespace { kind: kind.to_owned(), path, ..Namespace::default() });
    }
    Ok(Linux { namespaces, ..Linux::default() })
}
