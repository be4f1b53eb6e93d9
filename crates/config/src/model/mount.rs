//! What of the host is seen inside: mounts, volumes, devices, secrets.

use super::sorted;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// Something that is mounted inside the container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Mount {
    /// Path on the host (bind), name (volume), file-system type (custom); for tmpfs a name that is shown, or nothing.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub source: String,
    /// Absolute path inside.
    pub destination: String,
    /// What is mounted.
    #[serde(default)]
    pub mount_type: MountType,
    /// Options of mount(8), such as `nosuid`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub options: Option<Vec<String>>,
    /// Whether nothing can be written through it.
    #[serde(default)]
    pub read_only: bool,
}

/// What a [`Mount`] mounts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum MountType {
    /// A file or directory of the host.
    #[default]
    Bind,
    /// A named volume.
    Volume,
    /// An empty file system in memory.
    Tmpfs,
    /// A file system of the type that `source` names.
    Custom,
}

/// A named volume, made where there is none yet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Volume {
    /// Its name on this machine.
    pub name: String,
    /// Absolute path inside the container.
    pub path: String,
    /// What provides it; `local` where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub driver: Option<String>,
    /// For the driver.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "sorted")]
    pub options: Option<HashMap<String, String>>,
}

/// A device of the host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Device {
    /// Its path on the host.
    pub source: String,
    /// Its path inside; the same where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Of `r` (read), `w` (write) and `m` (make the node); all where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permissions: Option<String>,
}

/// A secret: where it comes from, never the secret itself. One of `file` and `environment` is set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Secret {
    /// Its name: a word.
    pub name: String,
    /// The file of the host that holds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The environment variable of the caller that holds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// The file inside; `/run/secrets/NAME` where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
}
