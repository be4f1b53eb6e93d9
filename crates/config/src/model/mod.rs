//! The types of a configuration: [`ContainerConfig`] and its parts. They hold no logic.
//!
//! A type that isn't `ContainerConfig` has exactly the fields it was published with, so that literals of it compile
//! for ever; what is new becomes an optional field of `ContainerConfig`.

mod blkio;
mod connection;
mod container;
mod image;
mod limits;
mod mount;
mod network;
mod period;
mod process;

pub use blkio::{BlkioConfig, DeviceRate};
pub use connection::{Connection, DEFAULT_NETWORK};
pub use container::{ContainerConfig, ContainerConfigBuilder};
pub(crate) use container::{Shape, FIELDS};
pub use image::PullPolicy;
pub use limits::{ExecMode, ResourceLimits, Ulimit};
pub use mount::{Device, Mount, MountType, Secret, Volume};
pub use network::{NetworkConfig, NetworkMode, PortMapping, PortProtocol};
pub use period::Period;
pub use process::{HealthCheck, Logging, RestartPolicy};

use serde::{Serialize, Serializer};
use std::collections::{BTreeMap, HashMap};

/// Writes a map in the order of its keys, so that the same configuration is the same text.
fn sorted<V: Serialize, S: Serializer>(map: &Option<HashMap<String, V>>, out: S) -> Result<S::Ok, S::Error> {
    map.as_ref().map(|map| map.iter().collect::<BTreeMap<_, _>>()).serialize(out)
}
