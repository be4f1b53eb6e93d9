//! [`ContainerConfig`] and its builder. The fields are listed once; the struct, the builder, the table of fields
//! ([`FIELDS`]) and merging are made from that list.

use super::sorted;
use super::{BlkioConfig, Logging, PullPolicy, Secret, Ulimit, Volume};
use super::{Device, ExecMode, HealthCheck, Mount, NetworkConfig, Period, ResourceLimits, RestartPolicy};
use crate::merge::Merge;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// How a field looks as a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// A word: a string, or what is written as one.
    Text,
    /// A number, or true or false.
    Plain,
    /// Names and texts.
    Map,
    /// A list or an object.
    Nested,
}

/// The setter of a field, by how the field looks.
macro_rules! setter {
    (text $(#[$doc:meta])* $name:ident: $type:ty) => {
        $(#[$doc])*
        #[must_use]
        pub fn $name(mut self, $name: impl Into<$type>) -> Self {
            self.config.$name = Some($name.into());
            self
        }
    };
    (words $(#[$doc:meta])* $name:ident: $type:ty) => {
        $(#[$doc])*
        #[must_use]
        pub fn $name<W: Into<String>>(mut self, $name: impl IntoIterator<Item = W>) -> Self {
            self.config.$name = Some($name.into_iter().map(Into::into).collect());
            self
        }
    };
    (map $(#[$doc:meta])* $name:ident: $type:ty) => {
        $(#[$doc])*
        #[must_use]
        pub fn $name<K: Into<String>, V: Into<String>>(
            mut self,
            $name: impl IntoIterator<Item = (K, V)>,
        ) -> Self {
            self.config.$name = Some($name.into_iter().map(|(key, value)| (key.into(), value.into())).collect());
            self
        }
    };
    ($other:ident $(#[$doc:meta])* $name:ident: $type:ty) => {
        $(#[$doc])*
        #[must_use]
        pub fn $name(mut self, $name: $type) -> Self {
            self.config.$name = Some($name);
            self
        }
    };
}

macro_rules! shape {
    (text) => {
        Shape::Text
    };
    (enumeration) => {
        Shape::Text
    };
    (plain) => {
        Shape::Plain
    };
    (map) => {
        Shape::Map
    };
    (words) => {
        Shape::Nested
    };
    (nested) => {
        Shape::Nested
    };
}

/// From the list of fields: the struct, the builder's setters, the table, and what merging does with each.
macro_rules! container_config {
    ($( $(#[doc = $doc:literal])* $kind:ident $(($serialize:literal))? $name:ident: $type:ty, )*) => {
        /// What a container is asked to be. Absent fields are the image's, or the runtime's default.
        #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        #[serde(deny_unknown_fields)]
        pub struct ContainerConfig {
            /// The image: a reference of a registry (`nginx:1.27`), an absolute path, or `oci:`, `oci-archive:`,
            /// `docker-archive:` or `forgepkg:` and a path. Empty means that it isn't set, which validation refuses.
            #[serde(default, skip_serializing_if = "String::is_empty")]
            pub image: String,
            $(
                $(#[doc = $doc])*
                #[serde(default, skip_serializing_if = "Option::is_none" $(, serialize_with = $serialize)?)]
                pub $name: Option<$type>,
            )*
        }

        impl ContainerConfigBuilder {
            $( setter!($kind $(#[doc = $doc])* $name: $type); )*
        }

        /// Every field but `image`, in order, with how it looks.
        pub(crate) const FIELDS: &[(&str, Shape)] = &[$( (stringify!($name), shape!($kind)) ),*];

        #[cfg(feature = "encryption")]
        impl crate::encryption::Wipe for ContainerConfig {
            fn wipe(&mut self) {
                self.image.wipe();
                $( self.$name.wipe(); )*
            }
        }

        impl Merge for ContainerConfig {
            fn merged(&self, over: &Self) -> Self {
                Self {
                    image: if over.image.is_empty() { self.image.clone() } else { over.image.clone() },
                    $( $name: self.$name.merged(&over.$name), )*
                }
            }
        }
    };
}

container_config! {
    /// The container's name.
    text name: String,
    /// The program; the image's entry point where absent.
    text command: String,
    /// Its arguments; the image's where this and `command` are absent.
    words args: Vec<String>,
    /// Environment variables.
    map("sorted") env: HashMap<String, String>,
    /// The directory that the program starts in: an absolute path inside.
    text working_dir: String,
    /// What it may use.
    nested resource_limits: ResourceLimits,
    /// Whose signatures are trusted.
    words trusted_issuers: Vec<String>,
    /// The least entropy of the container's identity, in bits: 0 to 512.
    plain minimum_entropy: f64,
    /// What executes the program.
    enumeration exec_mode: ExecMode,
    /// What is mounted inside.
    nested mounts: Vec<Mount>,
    /// Named volumes.
    nested volumes: Vec<Volume>,
    /// The network.
    nested network: NetworkConfig,
    /// Words of the user's, to find containers by.
    map("sorted") labels: HashMap<String, String>,
    /// Words for other programs.
    map("sorted") annotations: HashMap<String, String>,
    /// What ForgeOne doesn't read: the user's own.
    map("sorted") custom: HashMap<String, String>,

    /// Who the program runs as: `USER[:GROUP]`, names or numbers.
    text user: String,
    /// Further groups, names or numbers.
    words group_add: Vec<String>,
    /// Whether it has a terminal.
    plain tty: bool,
    /// Whether its standard input stays open.
    plain stdin_open: bool,
    /// Whether an init of ForgeOne's is process 1, which passes on signals and reaps.
    plain init: bool,
    /// Whether the root file system is read-only.
    plain read_only: bool,
    /// Whether it is hardly confined: all capabilities and devices, no filter.
    plain privileged: bool,
    /// Capabilities it has besides the default ones, such as `NET_ADMIN`.
    words cap_add: Vec<String>,
    /// Capabilities it has not; `ALL` is every one but those of `cap_add`.
    words cap_drop: Vec<String>,
    /// Security options: `no-new-privileges`, `seccomp=FILE`, `apparmor=PROFILE`, `label=…`, each also with `:`.
    words security_opt: Vec<String>,
    /// Kernel parameters of its namespaces.
    map("sorted") sysctls: HashMap<String, String>,
    /// Limits of getrlimit(2) by their names in lower case: `nofile`.
    nested("sorted") ulimits: HashMap<String, Ulimit>,
    /// Devices of the host.
    nested devices: Vec<Device>,
    /// Secrets, as files inside.
    nested secrets: Vec<Secret>,
    /// The size of `/dev/shm`, in bytes.
    plain shm_size: u64,
    /// How many processes and threads there may be.
    plain pids_limit: u64,
    /// Whose processes it sees: `private`, `host` or `container:NAME`.
    text pid: String,
    /// Whose System V and POSIX objects it shares: `private`, `host` or `container:NAME`.
    text ipc: String,
    /// Whether the program is started again: `no`, `always`, `unless-stopped`, `on-failure[:TIMES]`.
    enumeration restart: RestartPolicy,
    /// The signal that asks it to end: `SIGTERM` where absent.
    text stop_signal: String,
    /// How long it may take to end: 10 s where absent.
    enumeration stop_grace_period: Period,
    /// How it is found out whether it works.
    nested healthcheck: HealthCheck,
    /// For the engine that `exec_mode` names.
    map("sorted") engine_options: HashMap<String, String>,

    /// Its weight in CPU time beside others: 2 to 262144, 1024 where absent.
    plain cpu_shares: u64,
    /// CPU time in each period, in microseconds; `resource_limits.cpu_cores` says the same in another way.
    plain cpu_quota: u64,
    /// The period of `cpu_quota`, in microseconds: 1000 to 1000000, 100000 where absent.
    plain cpu_period: u64,
    /// The CPUs that it may use, such as `0-3,7`.
    text cpuset: String,
    /// Memory that is left to it where there is little, in bytes.
    plain mem_reservation: u64,
    /// How likely it is killed where there is no memory: -1000 (never) to 1000.
    plain oom_score_adj: i64,
    /// Whether nothing of it is killed when it reaches its limit of memory, so that it waits: cgroup v1 alone can.
    plain oom_kill_disable: bool,
    /// What it may do with block devices.
    nested blkio_config: BlkioConfig,
    /// Whose users it has: `host` (who it is inside is who it is outside) or `container:NAME`.
    text userns_mode: String,
    /// Whose host name it has: `private`, `host` or `container:NAME`.
    text uts: String,
    /// Whose view of cgroups it has: `private` or `host`.
    text cgroup: String,
    /// For which platform the image is to be: `OS/ARCHITECTURE[/VARIANT]`, this machine's where absent.
    text platform: String,
    /// When the image is pulled.
    enumeration pull_policy: PullPolicy,
    /// Where its output goes.
    nested logging: Logging,
}

/// Makes a [`ContainerConfig`] field by field; a field that is set twice has the last value.
#[derive(Clone, Debug, Default)]
pub struct ContainerConfigBuilder {
    config: ContainerConfig,
}

impl ContainerConfigBuilder {
    /// The image, see [`ContainerConfig::image`].
    #[must_use]
    pub fn image(mut self, image: impl Into<String>) -> Self {
        self.config.image = image.into();
        self
    }

    /// What was asked for. It isn't validated: see [`validate_config`](crate::validate_config).
    pub fn build(self) -> ContainerConfig {
        self.config
    }
}

impl ContainerConfig {
    /// A builder of an empty configuration.
    pub fn builder() -> ContainerConfigBuilder {
        ContainerConfigBuilder::default()
    }
}
