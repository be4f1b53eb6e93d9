//! One configuration over another.
//!
//! What the second one has wins; what it doesn't have never does. Maps are merged by key, limits and the network field
//! by field. Lists of words are replaced, since their order and number mean something. Lists of things that are known
//! by a place (mounts and devices by where they are inside, ports by where they are on the host …) are joined: a thing
//! at the same place takes the other's place in the list, further ones follow.
//!
//! An empty configuration changes nothing, from either side, and it doesn't matter which of three are merged first.

use crate::{
    BlkioConfig, ContainerConfig, Device, DeviceRate, ExecMode, HealthCheck, Logging, Mount, NetworkConfig,
    Period, PortMapping, PortProtocol, PullPolicy,
};
use crate::{ResourceLimits, RestartPolicy, Secret, Ulimit, Volume};
use std::collections::HashMap;

/// `base` with what `override_config` has over it; neither is changed.
///
/// ```
/// use forgeone_config::{merge_configs, ContainerConfig};
/// let base = ContainerConfig::builder().image("web").env([("LEVEL", "info"), ("PORT", "80")]).build();
/// let test = ContainerConfig::builder().env([("LEVEL", "debug")]).build();
/// let both = merge_configs(&base, &test);
/// assert_eq!(both.image, "web");
/// let env = both.env.unwrap();
/// assert_eq!((env["LEVEL"].as_str(), env["PORT"].as_str()), ("debug", "80"));
/// ```
pub fn merge_configs(base: &ContainerConfig, override_config: &ContainerConfig) -> ContainerConfig {
    base.merged(override_config)
}

/// What can be put over another of its kind.
pub(crate) trait Merge: Clone {
    /// This one with `over` over it; `over` as it is, if nothing is said.
    fn merged(&self, over: &Self) -> Self {
        let _ = self;
        over.clone()
    }
}

impl<T: Merge> Merge for Option<T> {
    fn merged(&self, over: &Self) -> Self {
        match (self, over) {
            (Some(base), Some(over)) => Some(base.merged(over)),
            _ => over.clone().or_else(|| self.clone()),
        }
    }
}

macro_rules! replaced {
    ($($kind:ty)*) => { $( impl Merge for $kind {} )* };
}
replaced!(String Vec<String> bool u64 i64 f64 ExecMode Period PullPolicy RestartPolicy HealthCheck);

impl<V: Clone> Merge for HashMap<String, V> {
    fn merged(&self, over: &Self) -> Self {
        let mut both = self.clone();
        both.extend(over.iter().map(|(key, value)| (key.clone(), value.clone())));
        both
    }
}

/// Something of a list that is known by a place.
trait Placed: Clone {
    /// What tells it from others.
    type Place<'a>: PartialEq
    where
        Self: 'a;
    /// Its place.
    fn place(&self) -> Self::Place<'_>;
}

macro_rules! placed {
    ($($kind:ty, $place:ty, |$item:ident| $value:expr;)*) => { $(
        impl Placed for $kind {
            type Place<'a> = $place;
            fn place(&self) -> Self::Place<'_> {
                let $item = self;
                $value
            }
        }
        impl Merge for Vec<$kind> {
            fn merged(&self, over: &Self) -> Self {
                joined(self, over)
            }
        }
    )* };
}
placed! {
    Mount, &'a str, |mount| &mount.destination;
    Volume, &'a str, |volume| &volume.path;
    Device, &'a str, |device| device.target.as_ref().unwrap_or(&device.source);
    Secret, &'a str, |secret| &secret.name;
    DeviceRate, &'a str, |rate| &rate.path;
    PortMapping, (Option<&'a str>, u16, PortProtocol), |port| (port.host_ip.as_deref(), port.host_port, port.protocol);
}

/// The list `base`, in which what has a place in `over`, too, is that of `over`; the rest of `over` follows.
fn joined<T: Placed>(base: &[T], over: &[T]) -> Vec<T> {
    let mut both: Vec<T> = Vec::with_capacity(base.len() + over.len());
    for (at, item) in base.iter().enumerate() {
        if !over.iter().any(|other| other.place() == item.place()) {
            both.push(item.clone());
        } else if !base[..at].iter().any(|other| other.place() == item.place()) {
            both.extend(over.iter().filter(|other| other.place() == item.place()).cloned());
        }
    }
    both.extend(over.iter().filter(|item| !base.iter().any(|other| other.place() == item.place())).cloned());
    both
}

impl Merge for ResourceLimits {
    fn merged(&self, over: &Self) -> Self {
        Self {
            cpu_cores: self.cpu_cores.merged(&over.cpu_cores),
            memory_bytes: self.memory_bytes.merged(&over.memory_bytes),
            disk_bytes: self.disk_bytes.merged(&over.disk_bytes),
            network_bps: self.network_bps.merged(&over.network_bps),
        }
    }
}

impl Merge for BlkioConfig {
    fn merged(&self, over: &Self) -> Self {
        Self {
            weight: self.weight.merged(&over.weight),
            device_read_bps: self.device_read_bps.merged(&over.device_read_bps),
            device_write_bps: self.device_write_bps.merged(&over.device_write_bps),
            device_read_iops: self.device_read_iops.merged(&over.device_read_iops),
            device_write_iops: self.device_write_iops.merged(&over.device_write_iops),
        }
    }
}

impl Merge for Logging {
    fn merged(&self, over: &Self) -> Self {
        Self { driver: self.driver.merged(&over.driver), options: self.options.merged(&over.options) }
    }
}

impl Merge for NetworkConfig {
    fn merged(&self, over: &Self) -> Self {
        Self {
            mode: over.mode,
            name: self.name.merged(&over.name),
            ip_address: self.ip_address.merged(&over.ip_address),
            gateway: self.gateway.merged(&over.gateway),
            dns: self.dns.merged(&over.dns),
            dns_search: self.dns_search.merged(&over.dns_search),
            hostname: self.hostname.merged(&over.hostname),
            domain_name: self.domain_name.merged(&over.domain_name),
            extra_hosts: self.extra_hosts.merged(&over.extra_hosts),
            ports: self.ports.merged(&over.ports),
            options: self.options.merged(&over.options),
        }
    }
}

impl Merge for Ulimit {}
