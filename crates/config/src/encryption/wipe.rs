//! Overwrites the texts of a configuration.

use crate::sealed::Decrypted;
use crate::{BlkioConfig, ContainerConfig, Device, DeviceRate, HealthCheck, Logging, Mount, NetworkConfig};
use crate::{PortMapping, Secret, Volume};
use std::collections::HashMap;
use zeroize::Zeroize;

pub(crate) trait Wipe {
    /// Overwrites the texts of it.
    fn wipe(&mut self) {}
}

impl Wipe for String {
    fn wipe(&mut self) {
        self.zeroize();
    }
}

impl<T: Wipe> Wipe for Option<T> {
    fn wipe(&mut self) {
        self.iter_mut().for_each(Wipe::wipe);
    }
}

impl<T: Wipe> Wipe for Vec<T> {
    fn wipe(&mut self) {
        self.iter_mut().for_each(Wipe::wipe);
    }
}

impl<V: Wipe> Wipe for HashMap<String, V> {
    fn wipe(&mut self) {
        for (mut key, mut value) in self.drain() {
            key.wipe();
            value.wipe();
        }
    }
}

/// The types that are or have no texts.
macro_rules! plain {
    ($($kind:ty)*) => { $( impl Wipe for $kind {} )* };
}
plain! {
    bool u64 i64 f64 crate::ExecMode crate::PullPolicy crate::ResourceLimits crate::Period crate::RestartPolicy crate::Ulimit
}

macro_rules! texts {
    ($($kind:ident { $($field:ident)* })*) => { $(
        impl Wipe for $kind {
            fn wipe(&mut self) {
                $( self.$field.wipe(); )*
            }
        }
    )* };
}
texts! {
    Mount { source destination options }
    Volume { name path driver options }
    Device { source target permissions }
    Secret { name file environment target }
    PortMapping { host_ip }
    NetworkConfig { name ip_address gateway dns dns_search hostname domain_name extra_hosts ports options }
    HealthCheck { test }
    BlkioConfig { device_read_bps device_write_bps device_read_iops device_write_iops }
    DeviceRate { path }
    Logging { driver options }
}

impl Drop for Decrypted {
    fn drop(&mut self) {
        if self.has_secrets() {
            ContainerConfig::wipe(&mut self.config);
        }
    }
}
